"""Scans in a case's thread are its next version, where a member sends them and nothing speaks against it.

And which version somebody means who approves one by mail.
"""

from collections.abc import Collection
from dataclasses import replace

from inbound.commands.shape import Order
from inbound.commands.table import verbs_of
from inbound.talk import version_click
from inbound.talk.grammar import Reading, Said
from inbound.talk.reading import reading_of, version_in_subject
from inbound.talk.talk import Talk
from inbound.talk.threads import letter_answered
from store.errors import CommandRefused
from store.model import Case
from store.records import audit, mails
from store.states import MailState

VERDICTS = frozenset({"APPROVE", "CHANGES"})
# Whoever nearly says one of these may want to show less: no new version goes out before it is asked.
_ENDS = frozenset({"REVOKE", "DELETE"})


async def becomes_version(talk: Talk, case: Case) -> MailState | None:
    """Takes the scans of a mail as the next version of an open case, at once or after a click; returns
    the mail's state, None where they are no version.
    """
    member = talk.speaker.member
    if not talk.has_scans or talk.known or member is None or not case.is_open(talk.now):
        return None
    try:
        if _says_something_else(reading_of(talk, case), verbs_of(talk.speaker.roles)):
            return None
    except CommandRefused:  # of two meanings: the conversation says so
        return None
    if await version_click.must_be_clicked(talk.connection, talk.mail):
        await version_click.ask(talk, case, member)
        return MailState.WAITING
    await mails.belongs(talk.connection, talk.mail.id, case.id)
    await audit.record(
        talk.connection,
        talk.now,
        talk.mail.author,
        "version begun",
        lab_id=case.lab_id,
        case_id=case.id,
    )
    return MailState.RECEIVED


async def with_version(talk: Talk, case: Case | None, order: Order) -> Order:
    """A verdict with the version that it is about, as far as the mail tells: its own words say so, or
    the button that wrote its subject, or the letter that it answers.
    """
    if order.verb not in VERDICTS or order.version is not None or case is None:
        return order
    meant = version_in_subject(talk.contents, order)
    if meant is None:
        letter = await letter_answered(talk.connection, talk.contents)
        meant = letter.version if letter and letter.case_id == case.id else None
    return replace(order, version=meant)


def _says_something_else(reading: Reading, verbs: Collection[str]) -> bool:
    """Whether the words beside scans are no note: a command, or nearly one that would matter first.

    "Changes: the margin is lower now" is a note, of whoever cannot ask for changes.
    """
    order = reading.order
    if order is None or order.verb not in verbs:
        return False
    if reading.said is Said.COMMAND:
        return True
    return reading.said is Said.NEARLY and (order.verb in _ENDS or bool(order.recipients))
