"""NOTIFY."""

from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.errors import CommandRefused
from store.records import cases


async def run(desk: Desk, order: Order) -> Transcript:
    """ON mails you when a reviewer of the case looks for the first time; OFF does not."""
    case = desk.open_case()
    if order.text not in ("ON", "OFF"):
        raise CommandRefused("Say NOTIFY ON or NOTIFY OFF.")
    wanted = order.text == "ON"
    if wanted == case.tells_views:
        return Transcript([f"NOTIFY is {order.text} for {case.short_name} already."])
    await cases.set_way_in(desk.connection, case.id, tells_views=wanted)
    if wanted:
        done = f"You get a letter when a reviewer looks at {case.short_name} for the first time."
        return Transcript([done], undo="Reply NOTIFY OFF to end that.")
    done = f"First looks at {case.short_name} are not mailed any more; STATUS shows them."
    return Transcript([done], undo="Reply NOTIFY ON to get the letters again.")


COMMAND = Command("NOTIFY", "ON or OFF", run, True, Weight.CHANGE)
