"""What comes back of our letters to bounce@: delivery reports, complaints, out-of-office replies.

Anybody can write a delivery report; the token in the address that it came to says which letter it is
about, and only who got that letter can know it. It counts while the letter is two weeks young and its
case is open. A dead address is marked, and the owner told with the line that corrects it; full
mailboxes and the rules of other servers mark nobody. A complaint counts as long as the letter, for it
is about letters and not about a case.
"""

from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.letters import notice_letter
from inbound.mail.opened import OpenedMail
from inbound.mail.skeleton import Contents
from inbound.talk.away import away_until
from inbound.talk.classify import Kind
from inbound.talk.reports import Bounce, Complaint, Fate, read_bounce, read_complaint
from store.clock import in_words
from store.house import House
from store.model import BOUNCE_LIFETIME, Case, Letter, Mail, Person
from store.records import access, audit, cases, mails, outbox, suppressions
from store.records.owners import undelivered_letter
from store.states import MailState, PersonKind, Suppression

log = structlog.get_logger()
_NO_COMPLAINTS = frozenset({"not-spam", "auth-failure"})


@dataclass(frozen=True)
class Returned:
    """What a mail to bounce@ says, before anybody believes it."""

    kind: Kind
    bounce: Bounce | None = None
    complaint: Complaint | None = None
    away: str = ""


@dataclass(frozen=True)
class _Back:
    """One letter of ours that something came back of."""

    house: House
    connection: AsyncConnection
    mail: Mail
    letter: Letter
    case: Case | None
    person: Person | None
    now: int


def read_returned(opened: OpenedMail, contents: Contents, kind: Kind, sender: str) -> Returned:
    """Reads the reports in a mail. Blocks. Raises Refusal where the mail cannot be read."""
    if kind is Kind.BOUNCE:
        return Returned(kind, bounce=read_bounce(opened.mail, opened.root, sender))
    if kind is Kind.COMPLAINT:
        return Returned(kind, complaint=read_complaint(opened.mail, opened.root))
    if kind is Kind.AUTO_REPLY:
        return Returned(kind, away=away_until(contents))
    return Returned(kind)


async def is_about_ours(house: House, token: str) -> bool:
    """Whether a letter of ours ever had this token."""
    async with house.database.read() as connection:
        return await outbox.by_bounce_token(connection, token) is not None


async def take_returned(house: House, mail: Mail, said: Returned, token: str) -> None:
    """Does what a report asks for, if its token is alive; never answers it."""
    now = house.clock.now()
    async with house.database.write() as connection:
        letter = await outbox.by_bounce_token(connection, token)
        outcome = f"returned: {said.kind}"
        if letter is not None:
            case = await cases.case(connection, letter.case_id) if letter.case_id else None
            person = await access.person(connection, letter.person_id) if letter.person_id else None
            back = _Back(house, connection, mail, letter, case, person, now)
            outcome = await _take(back, said)
            await audit.record(
                connection,
                now,
                "mail system",
                outcome,
                lab_id=case.lab_id if case else None,
                case_id=letter.case_id,
                to=letter.recipient,
            )
        await mails.settle(connection, mail.id, MailState.DONE, outcome)
    log.info("letter came back", mail=mail.id, outcome=outcome)
    house.poke()


async def note_away(house: House, mail: Mail, case: Case, words: str) -> None:
    """An out-of-office reply that came into a case's thread: a line on the case, a note to the owner."""
    async with house.database.write() as connection:
        person = await access.reviewer_of(connection, case.id, mail.author)
        is_open = case.is_open(house.clock.now())
        if person is not None and person.revoked_at is None and is_open:
            await _note_away(house, connection, case, person, words)
        await mails.settle(connection, mail.id, MailState.DONE, "auto-reply", case.id)
    house.poke()


async def _take(back: _Back, said: Returned) -> str:
    """Returns what became of it, for the trail."""
    if not _is_young(back):
        return f"letter came back late: {said.kind}"
    if said.complaint and said.complaint.kind not in _NO_COMPLAINTS:
        return await _take_complaint(back)
    if not _is_alive(back):
        return f"letter came back late: {said.kind}"
    if said.bounce:
        return await _take_bounce(back, said.bounce)
    if said.away and back.case and back.person and back.person.kind is PersonKind.REVIEWER:
        await _note_away(back.house, back.connection, back.case, back.person, said.away)
        return "reviewer away"
    return f"returned: {said.kind}"


def _is_young(back: _Back) -> bool:
    """Whether this letter can still come back; one that the relay has never taken has no age."""
    return back.now - (back.letter.sent_at or back.now) < BOUNCE_LIFETIME


def _is_alive(back: _Back) -> bool:
    """Whether anybody still waits for what the letter was about."""
    revoked = back.person is not None and back.person.revoked_at is not None
    return not revoked and (back.case is None or back.case.is_open(back.now))


async def _take_bounce(back: _Back, bounce: Bounce) -> str:
    outcome = f"letter came back: {bounce.fate}"
    if bounce.fate in (Fate.DELIVERED, Fate.DELAYED):
        return outcome
    if not await outbox.note_fate(back.connection, back.letter.id, bounce.fate):
        return f"{outcome}, again"
    if bounce.fate is Fate.POLICY:
        log.warning("a letter was refused by policy", letter=back.letter.id, status=bounce.status)
    if back.case is None or back.person is None or back.person.kind is not PersonKind.REVIEWER:
        return outcome  # the owner themselves, or no case: nobody else to tell
    if bounce.fate is Fate.PERMANENT:
        why = bounce.reason or bounce.status
        await access.note_trouble(back.connection, back.person.id, why, back.now)
    said = bounce.reason or bounce.status
    draft = await undelivered_letter(back.connection, back.letter, bounce.fate, said)
    # A full mailbox may turn out to be a dead one: that is said too.
    once = f"bounce|{back.letter.id}|{bounce.fate}"
    await outbox.write(back.connection, draft, back.house.settings.domain, back.now, once=once)
    return outcome


async def _take_complaint(back: _Back) -> str:
    """Somebody pressed "spam": this lab writes to them no more.

    The owner of a case that is over is not bothered: they hear it with the next letter withheld.
    """
    if back.case is None or back.person is None or back.person.kind is not PersonKind.REVIEWER:
        return "complaint"
    address = back.person.address
    fresh = await suppressions.suppress(
        back.connection, back.case.lab_id, address, Suppression.COMPLAINT, back.now
    )
    if fresh and _is_alive(back):
        sentences = [
            f"{address} marked a letter of {back.case.name} as spam. Your lab's letters go there no"
            " more. The link works until the case ends; ask the person another way.",
            f"To write to them again, ask {back.house.settings.operator}.",
        ]
        draft = await notice_letter(
            back.connection, back.case, "Marked as spam", sentences, back.now
        )
        once = f"complaint|{back.letter.id}"
        await outbox.write(back.connection, draft, back.house.settings.domain, back.now, once=once)
    return "complaint"


async def _note_away(
    house: House, connection: AsyncConnection, case: Case, person: Person, words: str
) -> None:
    now = house.clock.now()
    if not await access.note_away(connection, person.id, words, now):
        return
    sentences = [
        f"An automatic reply came from {person.address}:",
        f"“{words}”",
        f"The links end on {in_words(case.expires_at)}; EXTEND keeps them open longer.",
    ]
    draft = await notice_letter(connection, case, f"{person.called} is away", sentences, now)
    once = f"away|{person.id}"
    await outbox.write(connection, draft, house.settings.domain, now, once=once)
