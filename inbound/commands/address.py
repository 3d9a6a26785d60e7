"""ADDRESS."""

from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.errors import CommandRefused
from store.records import audit, labs


async def run(desk: Desk, order: Order) -> Transcript:
    """Lets you write from one more address of yours. Answers still go to your registered one. Needs
    a click on a link, or a code.
    """
    address = await _wanted(desk, order)
    await labs.add_alias(desk.connection, desk.member.id, address, desk.now)
    await audit.record(
        desk.connection,
        desk.now,
        desk.speaker.address,
        "address added",
        lab_id=desk.lab.id,
        address=address,
    )
    return Transcript([f"You may write from {address} now; answers go to {desk.member.address}."])


async def describe(desk: Desk, order: Order) -> list[str]:
    address = await _wanted(desk, order)
    return [f"Whoever writes from {address} may do all that you may do here."]


async def _wanted(desk: Desk, order: Order) -> str:
    """Raises CommandRefused where it is not exactly one address, or somebody's."""
    if len(order.recipients) != 1:
        raise CommandRefused("ADDRESS needs one address, as in “ADDRESS anna@home.example”.")
    address = order.recipients[0]
    if desk.house.settings.addressing.is_ours(address):
        raise CommandRefused(f"{address} is this service itself.")
    if await labs.member_by_address(desk.connection, address):
        raise CommandRefused(f"{address} belongs to a member already.")
    return address


COMMAND = Command("ADDRESS", "address", run, False, Weight.HARM, describe=describe)
