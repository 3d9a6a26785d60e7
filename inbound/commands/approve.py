"""APPROVE."""

from inbound.commands import verdict
from inbound.commands.shape import Command, Desk, Order, Role, Transcript, Weight
from store.model import RemarkKind


async def run(desk: Desk, order: Order) -> Transcript:
    """Approves the version that you were sent; a note may follow behind a colon."""
    return await verdict.give(desk, RemarkKind.APPROVED, order.text)


COMMAND = Command("APPROVE", "[: note]", run, True, Weight.CHANGE, frozenset({Role.REVIEWER}))
