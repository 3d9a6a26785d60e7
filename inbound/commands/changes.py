"""CHANGES."""

from inbound.commands import verdict
from inbound.commands.shape import Command, Desk, Order, Role, Transcript, Weight
from store.errors import CommandRefused
from store.states import RemarkKind


async def run(desk: Desk, order: Order) -> Transcript:
    """Asks for changes to the version whose letter you answer; say which."""
    if not order.text:
        raise CommandRefused("CHANGES needs words: write behind it what shall be changed.")
    return await verdict.give(desk, RemarkKind.CHANGES, order)


COMMAND = Command(
    "CHANGES", "text", run, True, Weight.CHANGE, frozenset({Role.REVIEWER}), verdict.describe
)
