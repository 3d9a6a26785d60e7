"""DELETE."""

from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store import ending
from store.errors import CommandRefused
from store.model import Case
from store.records import access, versions
from store.states import CaseState


async def run(desk: Desk, _order: Order) -> Transcript:
    """Destroys a case at once and for good: scans, pictures, comments, links and the key. Needs a
    click on a link, or a code.
    """
    await ending.delete(desk.connection, _deletable(desk), desk.speaker.address, desk.now)
    return Transcript([], answered=True)  # The receipt says it, when everything is gone.


async def describe(desk: Desk, _order: Order) -> list[str]:
    case = _deletable(desk)
    if case.state in _WAITING:
        return [
            f"{case.name} (#{case.public_id}) is not shared: your mail with its scans, which waits for"
            " your answer, will be destroyed at once and for good."
        ]
    scans = await versions.originals_of(desk.connection, case.id)
    reviewers = await access.reviewers_of(desk.connection, case.id)
    files = "1 file" if len(scans) == 1 else f"{len(scans)} files"
    them = "it" if len(scans) == 1 else "them"
    people = ", ".join(person.address for person in reviewers) or "nobody"
    return [
        f"{case.name} (#{case.public_id}) will be destroyed at once and for good: {files}, all that was made"
        f" of {them}, all comments, and the key of the case.",
        f"The links of these people will die: {people}.",
    ]


def _deletable(desk: Desk) -> Case:
    """Raises CommandRefused where there is nothing left, or not all of it yet."""
    case = desk.case
    assert case is not None
    if case.state in _WAITING:
        return case
    if case.state is CaseState.DELETED:
        raise CommandRefused(f"{case.short_name} is deleted already; nothing of it is left.")
    return desk.open_case()


_WAITING = (CaseState.WAITING, CaseState.HELD)
COMMAND = Command("DELETE", "[case]", run, True, Weight.HARM, describe=describe)
