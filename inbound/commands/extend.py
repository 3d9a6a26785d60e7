"""EXTEND."""

from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.clock import DAY, in_words
from store.errors import CommandRefused
from store.model import LONGEST_EXTENSION, REMINDER_BEFORE_END
from store.records import access, cases

USUAL = 7
MOST = LONGEST_EXTENSION // DAY


async def run(desk: Desk, order: Order) -> Transcript:
    """Keeps the links open longer: 7 days more, or as many as you say, up to 30 from today."""
    case = desk.open_case()
    days = USUAL if order.days is None else order.days
    if days < 1:
        raise CommandRefused(
            f"EXTEND adds days: say a number from 1 to {MOST}. To end the links now, reply REVOKE."
        )
    wished = case.expires_at + days * DAY
    latest = desk.now + LONGEST_EXTENSION
    if wished > latest:
        possible = max(0, (latest - case.expires_at) // DAY)
        raise CommandRefused(
            f"Links stay open for at most {MOST} days from today, and those of {case.short_name} are"
            f" open until {in_words(case.expires_at)}: {possible} more {'day is' if possible == 1 else 'days are'} possible."
        )
    await cases.set_times(
        desk.connection, case.id, expires_at=wished, due_at=wished - REMINDER_BEFORE_END
    )
    more = "1 more day" if days == 1 else f"{days} more days"
    reviewers = await access.reviewers_of(desk.connection, case.id)
    if all(person.revoked_at is not None for person in reviewers):
        return Transcript(
            [
                f"{case.short_name} stays {more}, until {in_words(wished)}, but no reviewer has a live"
                " link: all were revoked. Reply RESEND to send new ones."
            ]
        )
    return Transcript(
        [f"The links to {case.short_name} stay open {more}, until {in_words(wished)}."],
        undo="To end the links sooner, reply REVOKE.",
    )


COMMAND = Command("EXTEND", "[days]", run, about_case=True, weight=Weight.CHANGE)
