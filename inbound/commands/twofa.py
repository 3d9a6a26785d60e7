"""2FA."""

from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.errors import CommandRefused
from store.records import audit, codes
from store.states import ConfirmationKind


async def run(desk: Desk, order: Order) -> Transcript:
    """Asks for a code of an authenticator app (or ends that) before DELETE, ADD and whatever else
    cannot be undone. ON sends you a link to a page that sets it up; OFF needs a code.
    """
    await describe(desk, order)  # ON never comes so far: its click leads to the page
    await codes.forget(desk.connection, desk.member.id)
    await audit.record(
        desk.connection, desk.now, desk.speaker.address, "codes off", lab_id=desk.lab.id
    )
    return Transcript(
        [f"Codes are off for {desk.member.address}. A click on a link permits harm again."],
        undo="Reply 2FA ON to set them up anew.",
    )


async def describe(desk: Desk, order: Order) -> list[str]:
    if order.text not in ("ON", "OFF"):
        raise CommandRefused("Say 2FA ON or 2FA OFF.")
    whose = desk.member
    if order.text == "ON" and whose.has_codes:
        raise CommandRefused(f"Codes are on for {whose.address} already. 2FA OFF ends them.")
    if order.text == "OFF" and not whose.has_codes:
        raise CommandRefused(f"Codes are off for {whose.address} already.")
    if order.text == "OFF":
        return ["From then on a click on a link is enough for what cannot be undone."]
    return [
        "You are shown a picture for your authenticator app, and ten codes for the day your phone is"
        " gone. From then on DELETE, ADD and whatever else cannot be undone needs a code."
    ]


COMMAND = Command(
    "2FA",
    "ON or OFF",
    run,
    False,
    Weight.HARM,
    describe=describe,
    click=ConfirmationKind.ENROL,
)
