"""The one gate that every letter passes on its way out: nothing that we send may go round in circles.

Letters are only ever written for people, but a robot that hides it well looks like one. So what
answers, helps or passes on words stops at twenty letters to an address in two hours, at ten of one
subject in three, and at sixty to one domain; the rest is joined into one digest a day. Answers to
shares, first letters and verdicts are paced instead and never joined. Who asked for no letters of a
lab gets none but the answer to what they write themselves.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from store.clock import DAY, HOUR, MINUTE
from store.house import House
from store.model import Letter, LetterDraft, PersonKind
from store.records import access, cases, outbox, suppressions

JOINED = frozenset({"notice", "transcript", "remark", "passed_on", "operator", "alarm"})
TO_ADDRESS, ADDRESS_WINDOW = 20, 2 * HOUR
OF_SUBJECT, SUBJECT_WINDOW = 10, 3 * HOUR
TO_DOMAIN, IN_ALL = 60, 600  # in two hours
PACE, PACE_WINDOW, PAUSE = 60, 2 * HOUR, 10 * MINUTE
DIGEST_AFTER, DIGEST_EVERY = 2 * HOUR, DAY
_ANSWERED = re.compile(r"^(?:\s*(?:re|aw|antw|sv|rv|回复)\s*[::])+", re.IGNORECASE)
log = structlog.get_logger()


class Passage(StrEnum):
    OPEN = "open"  # It goes out.
    LATER = "later"  # It goes out, a little later.
    JOINED = "joined"  # It is said in a digest.
    UNWANTED = "unwanted"  # Its reader asked for no such letters.
    REVOKED = "revoked"  # Its link is dead.


@dataclass(frozen=True)
class Decision:
    passage: Passage
    why: str = ""


OPEN = Decision(Passage.OPEN)


async def decide(connection: AsyncConnection, letter: Letter, now: int) -> Decision:
    """Whether a letter may go out now."""
    person = await access.person(connection, letter.person_id) if letter.person_id else None
    if letter.kind == "share" and person and person.revoked_at is not None:
        return Decision(Passage.REVOKED, "the link was revoked")
    reviewer = person is not None and person.kind is PersonKind.REVIEWER
    if letter.case_id and reviewer and not letter.in_reply_to:
        case = await cases.case(connection, letter.case_id)
        reason = await suppressions.reason_for(connection, case.lab_id, letter.recipient)
        if reason:
            return Decision(Passage.UNWANTED, f"its reader wants no letters of this lab ({reason})")
    if letter.kind == "digest":
        return OPEN
    if letter.kind in JOINED:
        return await _limited(connection, letter, now)
    sent = await outbox.passed(connection, since=now - PACE_WINDOW, recipient=letter.recipient)
    return Decision(Passage.LATER, "too many at once") if sent >= PACE else OPEN


async def join(house: House, connection: AsyncConnection, letter: Letter, why: str) -> None:
    """Keeps a letter for the digest to its address, and alarms the operator, once a day each."""
    now, domain = house.clock.now(), house.settings.domain
    log.warning("letter joined", letter=letter.id, kind=letter.kind, why=why)
    await outbox.set_aside(connection, letter.id, why)
    draft = LetterDraft(
        kind="digest", recipient=letter.recipient, subject="What else happened", context={}
    )
    # One to the operator would be joined in its turn.
    due_at = await outbox.next_digest(connection, letter.recipient, now, DIGEST_AFTER, DIGEST_EVERY)
    if due_at is not None:
        await outbox.write(connection, draft, domain, now, due_at=due_at)
    if letter.recipient == house.settings.operator:
        return
    alarm = LetterDraft(
        kind="alarm",
        recipient=house.settings.operator,
        subject="Too many letters",
        context={
            "sentences": [
                f"Letters to {letter.recipient} are joined into one a day: {why}.",
                "Perhaps two robots answer each other. The log names the letters.",
            ]
        },
    )
    once = f"alarm|{letter.recipient.rpartition('@')[2]}|{now // DAY}"
    await outbox.write(connection, alarm, domain, now, once=once)


def plain_subject(subject: str) -> str:
    """A subject without what answering has put before it."""
    return _ANSWERED.sub("", subject[:300]).strip()


async def _limited(connection: AsyncConnection, letter: Letter, now: int) -> Decision:
    kinds = JOINED
    since = now - ADDRESS_WINDOW
    to = letter.recipient
    if await outbox.passed(connection, since=since, recipient=to, kinds=kinds) >= TO_ADDRESS:
        return Decision(Passage.JOINED, f"{TO_ADDRESS} in two hours")
    subjects = await outbox.subjects(connection, now - SUBJECT_WINDOW, to, kinds)
    same = plain_subject(letter.subject)
    if sum(1 for subject in subjects if plain_subject(subject) == same) >= OF_SUBJECT:
        return Decision(Passage.JOINED, f"{OF_SUBJECT} of one subject in three hours")
    domain = to.rpartition("@")[2]
    if await outbox.passed(connection, since=since, domain=domain, kinds=kinds) >= TO_DOMAIN:
        return Decision(Passage.JOINED, f"{TO_DOMAIN} to {domain} in two hours")
    if await outbox.passed(connection, since=since, kinds=kinds) >= IN_ALL:
        return Decision(Passage.JOINED, f"{IN_ALL} in all in two hours")
    return OPEN
