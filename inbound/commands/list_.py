"""LIST."""

from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.clock import day_in_words
from store.model import Case, CaseState
from store.records import access, cases


async def run(desk: Desk, _order: Order) -> Transcript:
    """Shows the open cases of your lab."""
    found = await cases.live_of_lab(desk.connection, desk.lab.id)
    if not found:
        return Transcript([f"{desk.lab.name} has no open case."])
    lines = [await _line(desk, case) for case in found]
    count = f"{len(found)} open case" + ("s" if len(found) > 1 else "")
    return Transcript([f"{desk.lab.name} has {count}:", *lines])


async def _line(desk: Desk, case: Case) -> str:
    if case.state is CaseState.WAITING:
        return f"#{case.public_id}  {case.name}: waits for the address of a reviewer"
    if case.state is CaseState.HELD:
        return f"#{case.public_id}  {case.name}: waits for the unit of its scans"
    reviewers = await access.reviewers_of(desk.connection, case.id)
    people = ", ".join(reviewer.address for reviewer in reviewers) or "nobody"
    views = sum(reviewer.views for reviewer in reviewers)
    seen = f"seen {views} times" if views != 1 else "seen once"
    end = day_in_words(case.expires_at)
    return f"#{case.public_id}  {case.name}: {people}, {seen}, ends {end}"


COMMAND = Command("LIST", "", run, about_case=False, weight=Weight.READ)
