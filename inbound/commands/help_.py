"""HELP."""

from inbound.commands.shape import Command, Desk, Order, Role, Transcript, Weight


async def run(desk: Desk, _order: Order) -> Transcript:
    """Shows what you can say."""
    return Transcript(
        [f"To share scans, mail them to share@{desk.house.settings.domain}: the reviewer's address"
         " and the case number in the subject, the scans attached. STL, PLY, OBJ, or ZIP of these."
         " Scans that you mail into the thread of an open case are its next version."]
    )  # fmt: skip


COMMAND = Command("HELP", "", run, about_case=False, weight=Weight.READ, roles=frozenset(Role))
