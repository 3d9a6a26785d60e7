"""ADD."""

from inbound.cases.letters import share_letter
from inbound.cases.opening import add_reviewers
from inbound.cases.subject import Reviewer, take_addresses
from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.errors import CommandRefused
from store.records import access, audit, outbox, suppressions

MOST = 30  # reviewers that one command may name


async def run(desk: Desk, order: Order) -> Transcript:
    """Shares the case with one more reviewer, or several. Needs a click on a link, or a code."""
    case = desk.open_case()
    fresh, said = await _sorted_out(desk, order)
    key = await desk.house.case_key(desk.connection, case.id)
    named = [Reviewer(address, "") for address in fresh]
    await add_reviewers(desk.connection, case, named, key, desk.now)
    for address in fresh:
        person = await access.reviewer_of(desk.connection, case.id, address)
        assert person is not None
        draft = await share_letter(desk.connection, case, person, desk.now)
        await outbox.write(desk.connection, draft, desk.house.settings.domain, desk.now)
    await audit.record(
        desk.connection,
        desk.now,
        desk.speaker.address,
        "reviewers added",
        lab_id=case.lab_id,
        case_id=case.id,
        named=fresh,
    )
    return Transcript(said, undo="To end a link, reply REVOKE and the address.")


async def describe(desk: Desk, order: Order) -> list[str]:
    case = desk.open_case()
    _, said = await _sorted_out(desk, order)
    return [f"{case.name} (#{case.public_id}) will be shared with more people:", *said]


async def _sorted_out(desk: Desk, order: Order) -> tuple[list[str], list[str]]:
    """Who is new, and a sentence for each address that was named.

    Raises:
        CommandRefused: nobody was named who could be added, or too many.
    """
    case = desk.open_case()
    named = [*order.recipients, *order.unknown]
    if not named:
        raise CommandRefused("ADD needs a reviewer's address, as in “ADD kim@clinic.example”.")
    if len(named) > MOST:
        raise CommandRefused(f"ADD takes at most {MOST} addresses; nobody was added.")
    fresh: list[str] = []
    said = []
    for address in named:
        known = await access.reviewer_of(desk.connection, case.id, address)
        reason = await suppressions.reason_for(desk.connection, case.lab_id, address)
        if not is_usable(address):
            said.append(f"{address}: cannot be used as an e-mail address, left out.")
        elif address in fresh:
            said.append(f"{address}: named twice, gets one letter.")
        elif desk.house.settings.addressing.is_ours(address):
            said.append(f"{address}: is this service itself, left out.")
        elif known:
            said.append(f"{address}: is a reviewer already; RESEND {address} sends the link again.")
        elif reason:
            said.append(f"{address}: wants no letters of your lab, left out.")
        else:
            fresh.append(address)
            said.append(f"{address}: gets a link of their own.")
    if not fresh:
        raise CommandRefused(" ".join(["Nobody was added.", *said]))
    return fresh, said


def is_usable(address: str) -> bool:
    """Whether a letter can go there: the grammar takes whatever looks like an address."""
    return [one.address for one in take_addresses(address).reviewers] == [address]


COMMAND = Command("ADD", "reviewer", run, True, Weight.HARM, describe=describe)
