"""DOWNLOADS."""

from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.errors import CommandRefused
from store.records import cases


async def run(desk: Desk, order: Order) -> Transcript:
    """OFF takes the files away from reviewers, who can look all the same; ON gives them back."""
    case = desk.open_case()
    if order.text not in ("ON", "OFF"):
        raise CommandRefused("Say DOWNLOADS ON or DOWNLOADS OFF.")
    wanted = order.text == "ON"
    if wanted == case.downloads:
        return Transcript([f"DOWNLOADS are {order.text} for {case.short_name} already."])
    await cases.set_way_in(desk.connection, case.id, downloads=wanted)
    if wanted:
        done = f"Reviewers of {case.short_name} can download the scans."
        return Transcript([done], undo="Reply DOWNLOADS OFF to end that.")
    done = (
        f"Reviewers of {case.short_name} can look at the scans and not download them. What was downloaded"
        " before stays where it is."
    )
    return Transcript([done], undo="Reply DOWNLOADS ON to allow it again.")


COMMAND = Command("DOWNLOADS", "ON or OFF", run, True, Weight.CHANGE)
