"""LIST."""

from inbound.cases.facts import newest_verdicts
from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.clock import day_in_words
from store.model import Case
from store.records import access, cases, remarks
from store.states import CaseState, RemarkKind


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
    said = ", ".join([people, *await _version(desk, case), seen, f"ends {end}"])
    return f"#{case.public_id}  {case.name}: {said}"


async def _version(desk: Desk, case: Case) -> list[str]:
    """Which version people see, where there are several, and who has judged it."""
    shared = await cases.shared_versions(desk.connection, case.id)
    if not shared:
        return []
    newest = shared[-1]
    said = [f"version {newest.number}"] if newest.number > 1 else []
    verdicts = newest_verdicts(await remarks.of_case(desk.connection, case.id), {newest.id: 1})
    kinds = [one.kind for one in verdicts.values() if one.version_id == newest.id]
    approved, changes = kinds.count(RemarkKind.APPROVED), kinds.count(RemarkKind.CHANGES)
    said += [f"approved by {approved}"] if approved else []
    return said + ([f"changes asked for by {changes}"] if changes else [])


COMMAND = Command("LIST", "", run, about_case=False, weight=Weight.READ)
