"""ADDRESS."""

from inbound.cases.clicks import Click, ask_for_click
from inbound.commands.add import is_usable
from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.errors import CommandRefused
from store.records import audit, labs
from store.states import ConfirmationKind
from store.tokens import derived_id


async def run(desk: Desk, order: Order) -> Transcript:
    """Lets you write from one more address of yours, once a link is pressed there too. Answers still
    go to your registered one. Needs a click on a link, or a code.
    """
    address = await _wanted(desk, order)
    await _ask_address(desk, address)
    await audit.record(
        desk.connection,
        desk.now,
        desk.speaker.address,
        "address asked",
        lab_id=desk.lab.id,
        address=address,
    )
    return Transcript(
        [
            f"A letter with a link is on its way to {address}. Press it there, and you may write from"
            f" that address; answers go to {desk.member.address}."
        ]
    )


async def describe(desk: Desk, order: Order) -> list[str]:
    address = await _wanted(desk, order)
    return [f"Whoever writes from {address} may do all that you may do here."]


async def _ask_address(desk: Desk, address: str) -> None:
    """The address itself must agree: else a member could take in what somebody else writes."""
    member = desk.member
    sentences = [
        f"{member.address} asks that mail from {address} counts as theirs here: whoever writes from"
        f" {address} may then do all that {member.address} may do."
    ]
    await ask_for_click(
        desk.house,
        desk.connection,
        Click(
            derived_id("alias", f"{desk.occasion}|{address}"),
            ConfirmationKind.ALIAS,
            address,
            "Is this address yours?",
            sentences,
            "Look, then agree",
            context={"heading": "One mailbox more", "sentences": sentences, "harm": True},
            member_id=member.id,
        ),
    )


async def _wanted(desk: Desk, order: Order) -> str:
    """Raises CommandRefused where it is not exactly one address, or somebody's."""
    named = [*order.recipients, *order.unknown]
    if len(named) != 1:
        raise CommandRefused("ADDRESS needs one address, as in “ADDRESS anna@home.example”.")
    address = named[0]
    if not is_usable(address):
        raise CommandRefused(f"{address} cannot be used as an e-mail address.")
    if desk.house.settings.addressing.is_ours(address):
        raise CommandRefused(f"{address} is this service itself.")
    if await labs.member_by_address(desk.connection, address):
        raise CommandRefused(f"{address} belongs to a member already.")
    return address


COMMAND = Command("ADDRESS", "address", run, False, Weight.HARM, describe=describe)
