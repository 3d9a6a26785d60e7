"""APPROVE."""

from inbound.commands import verdict
from inbound.commands.shape import Command, Desk, Order, Role, Transcript, Weight
from store.states import RemarkKind


async def run(desk: Desk, order: Order) -> Transcript:
    """Approves the version whose letter you answer, or the one you name, as in v2; a note may follow
    behind a colon.
    """
    return await verdict.give(desk, RemarkKind.APPROVED, order)


COMMAND = Command(
    "APPROVE",
    "[version] [: note]",
    run,
    True,
    Weight.CHANGE,
    frozenset({Role.REVIEWER}),
    verdict.describe,
)
