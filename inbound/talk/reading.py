"""What a mail says to us: its first line, or the subject of a prefilled mail whose body is empty."""

from inbound.commands.shape import Order
from inbound.commands.table import COMMANDS, verbs_of
from inbound.mail.skeleton import Contents
from inbound.talk.grammar import (
    Reading,
    Said,
    first_line,
    read_order,
    read_reply,
    same_order,
)
from inbound.talk.talk import Talk
from store.errors import CommandRefused
from store.model import Case


def reading_of(talk: Talk, case: Case | None) -> Reading:
    """What the first line is, or the subject of a prefilled mail whose body is empty.

    Raises:
        CommandRefused: its text and its HTML say different things, and one of them changes something.
    """
    contents, verbs = talk.contents, verbs_of(talk.speaker.roles)
    if talk.mail.is_upload:  # a note on a page: whoever was handed the link must not command by it
        return Reading(Said.NOTE)
    reading = read_reply(contents.body, verbs)
    if contents.has_html and contents.text.strip():
        other = read_reply(contents.html_text, verbs)
        if not same_order(reading, other) and _changes(reading, other):
            raise CommandRefused(
                "Your mail says one thing as plain text and another as HTML, so nothing was done."
                " Send the command once more as plain text."
            )
    if reading.said is Said.NOTHING and not first_line(contents.body):
        order = _order_in_subject(contents, case)
        return Reading(Said.COMMAND, order, order.line) if order else reading
    return reading


def version_in_subject(contents: Contents, order: Order) -> int | None:
    """The version that one of our buttons has written behind its command: "APPROVE #7F3KQ2 v2"."""
    written = read_order(first_line(contents.subject))
    return written.version if written and written.verb == order.verb else None


def _order_in_subject(contents: Contents, case: Case | None) -> Order | None:
    """Only the form that our buttons write: it names the case, and is no answer to anything.

    Outside of a thread a subject may ask; to change something it must name the case by its #.
    """
    order = read_order(first_line(contents.subject))
    if order is None:
        return None
    if case is not None:
        return order if f"#{case.public_id}" in order.cases else None
    named = any(name.startswith("#") for name in order.cases)
    return order if named or not _may_change(order) else None


def _changes(*readings: Reading) -> bool:
    return any(
        reading.said is Said.COMMAND and reading.order and _may_change(reading.order)
        for reading in readings
    )


def _may_change(order: Order) -> bool:
    return order.verb not in COMMANDS or COMMANDS[order.verb].changes
