"""STOP."""

from inbound.cases.letters import notice_letter
from inbound.commands.shape import Command, Desk, Order, Role, Transcript, Weight
from store.records import audit, outbox, suppressions
from store.states import Suppression


async def run(desk: Desk, _order: Order) -> Transcript:
    """Ends all letters of this lab to you."""
    case, person = desk.case, desk.reviewer
    assert case is not None
    if not await suppressions.suppress(
        desk.connection, case.lab_id, person.address, Suppression.STOP, desk.now
    ):
        return Transcript([f"{desk.lab.name} sends you no letters already."])
    sentence = (
        f"{person.address} asked for no more letters of {desk.lab.name}. None will be sent. Their link"
        " works until the case ends; ask them another way."
    )
    draft = await notice_letter(desk.connection, case, "No more letters", [sentence], desk.now)
    domain = desk.house.settings.domain
    await outbox.write(desk.connection, draft, domain, desk.now, once=f"stop|{desk.occasion}")
    await audit.record(
        desk.connection,
        desk.now,
        person.address,
        "letters stopped",
        lab_id=case.lab_id,
        case_id=case.id,
    )
    return Transcript(
        [f"You get no more letters of {desk.lab.name} by this service."],
        undo=f"To get them again, write to {desk.house.settings.operator}.",
    )


COMMAND = Command("STOP", "", run, True, Weight.SAFE, frozenset({Role.REVIEWER}))
