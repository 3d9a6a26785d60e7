"""STATUS."""

from inbound.commands.shape import Command, Desk, Order, Transcript, Weight


async def run(_desk: Desk, _order: Order) -> Transcript:
    """Shows the scans of the case, who may look, who has looked, and when the links end."""
    return Transcript([])  # Every transcript ends with the state of its case: that is the answer.


COMMAND = Command("STATUS", "[case]", run, about_case=True, weight=Weight.READ)
