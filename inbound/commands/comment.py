"""COMMENT."""

from inbound.cases.remarks import relay_comment
from inbound.commands.shape import Command, Desk, Order, Role, Transcript, Weight
from store.errors import CommandRefused


async def run(desk: Desk, order: Order) -> Transcript:
    """Passes on what follows, to the other side, even if it looks like a command."""
    if not order.text:
        raise CommandRefused("COMMENT needs words: write them behind it.")
    case = desk.open_case()
    told = await relay_comment(
        desk.house,
        desk.connection,
        case,
        desk.speaker.called,
        desk.speaker.reviewer,
        order.text,
        desk.occasion,
    )
    return Transcript(
        [
            f"Passed on to {', '.join(told) or 'nobody: their links are revoked, or they want no letters'}."
        ]
    )


COMMAND = Command(
    "COMMENT",
    "text",
    run,
    True,
    Weight.READ,
    frozenset({Role.MEMBER, Role.REVIEWER}),
)
