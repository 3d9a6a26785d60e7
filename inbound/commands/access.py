"""ACCESS."""

from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.errors import CommandRefused
from store.records import cases
from store.states import AccessMode

_SAYS = {
    AccessMode.LINK: "Whoever has a link to {} gets in with a click, on any device.",
    AccessMode.BOUND: "A link to {} opens with a click on its first device, and on every other one with a"
    " code that is mailed to the person's address.",
    AccessMode.CODE: "A link to {} opens only with a code that is mailed to the person's address, on every"
    " device. Who got in by a click alone is shut out from now on.",
}


async def run(desk: Desk, order: Order) -> Transcript:
    """Says how links open. BOUND, as from the start: with a click on the first device, with a mailed
    code on every other. CODE: with a mailed code on each. LINK: with a click for whoever has it.
    """
    case = desk.open_case()
    try:
        mode = AccessMode(order.text.lower())
    except ValueError:
        raise CommandRefused("Say ACCESS LINK, ACCESS BOUND or ACCESS CODE.") from None
    said = _SAYS[mode].format(case.short_name)
    if mode is case.access:
        return Transcript([f"Nothing was changed, for it is so already. {said}"])
    await cases.set_way_in(desk.connection, case.id, access=mode)
    return Transcript([said], undo=f"Reply ACCESS {case.access.upper()} to undo it.")


COMMAND = Command("ACCESS", "LINK, BOUND or CODE", run, True, Weight.CHANGE)
