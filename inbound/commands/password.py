"""PASSWORD. The words themselves go no further than this file: what is kept is their hash."""

from dataclasses import replace

from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store import passwords
from store.errors import CommandRefused
from store.records import access, cases, tries

OFF = "OFF"


async def run(desk: Desk, order: Order) -> Transcript:
    """Asks everybody who opens a link of the case for these words too, 8 characters at least. OFF ends
    that. Tell them by another way than mail.
    """
    case = desk.open_case()
    if order.text == OFF and not case.password:
        return Transcript([f"{case.short_name} asks for no password already."])
    await tries.forget_of_case(desk.connection, case.id)
    if order.text == OFF:
        await cases.set_way_in(desk.connection, case.id, password="")
        return Transcript([f"{case.short_name} asks for no password any more."])
    await cases.set_way_in(desk.connection, case.id, password=order.text)
    await access.lull_reviewers(desk.connection, case.id, desk.now)
    again = " The password before it does not count any more." if case.password else ""
    return Transcript(
        [
            f"{case.short_name} asks for the password that you wrote, whoever opens a link.{again} Reviewers"
            " who were in must type it too.",
            "We do not mail it to anybody: tell the reviewers by telephone or in person. It stands in the"
            " mail that you have just sent; delete that if others read your mailbox.",
        ],
        undo="Reply PASSWORD OFF to ask for none.",
    )


async def keep(desk: Desk, order: Order) -> Order:
    """The order with the hash in the place of the words."""
    if order.text == OFF:
        return order
    words = passwords.plain_form(order.text)
    if not words:
        raise CommandRefused(
            "Say PASSWORD: and the words, or PASSWORD OFF. Nothing was changed; STATUS shows whether a"
            " password is asked for."
        )
    if not passwords.SHORTEST <= len(words) <= passwords.LONGEST:
        raise CommandRefused(
            f"A password has {passwords.SHORTEST} to {passwords.LONGEST} characters, so nothing was"
            " changed. Three words that do not belong together are good ones."
        )
    hashed = await desk.house.threads.run(passwords.hash_of, words)
    return replace(order, text=hashed)


async def describe(desk: Desk, order: Order) -> list[str]:
    """Without the words, and without their hash."""
    case = desk.open_case()
    if order.text == OFF:
        return [f"{case.name} (#{case.public_id}) will ask for no password any more."]
    return [
        f"{case.name} (#{case.public_id}) will ask whoever opens a link for the password that you wrote."
    ]


COMMAND = Command(
    "PASSWORD",
    "words, or OFF",
    run,
    True,
    Weight.CHANGE,
    describe=describe,
    keep=keep,
)
