"""The one gate that every letter passes on its way out: nothing that we send may go round in circles.

Letters are only ever written for people, but a robot that hides it well looks like one. So what
answers, helps or passes on words stops at twenty letters to an address in two hours, at ten of one
subject in three, and at sixty to one domain; the rest is joined into one digest a day, and to those
who are nobody here it is not said at all. Answers to shares, first letters, verdicts and digests are
paced instead and never joined. Who asked for no letters of a lab gets none but the answers to what
they write themselves.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from store.clock import DAY, HOUR, MINUTE
from store.house import House
from store.model import UNASKED_LETTERS, Letter, LetterDraft
from store.records import access, cases, knocks, labs, outbox, suppressions
from store.states import PersonKind

JOINED = frozenset({"notice", "transcript", "remark", "passed_on", "operator", "alarm"})
_SHORT_LIVED = frozenset({"confirm", "code"})
TO_ADDRESS, ADDRESS_WINDOW = 20, 2 * HOUR
OF_SUBJECT, SUBJECT_WINDOW = 10, 3 * HOUR
TO_DOMAIN, IN_ALL = 60, 600  # in two hours
PACE, PACE_WINDOW, PAUSE = 60, 2 * HOUR, 10 * MINUTE
DIGEST_AFTER, DIGEST_EVERY = 2 * HOUR, DAY
_ANSWERED = re.compile(r"^(?:\s*(?:re|aw|antw|sv|rv|回复)\s*[:\uff1a])+", re.IGNORECASE)
log = structlog.get_logger()


class Passage(StrEnum):
    OPEN = "open"  # It goes out.
    LATER = "later"  # It goes out, a little later.
    JOINED = "joined"  # It is said in a digest.
    UNHEARD = "unheard"  # It is not said: its reader is nobody here.
    UNWANTED = "unwanted"  # Its reader asked for no such letters.
    REVOKED = "revoked"  # Its link is dead.
    USELESS = "useless"  # The code that it brings does not count, or not any more.


@dataclass(frozen=True)
class Decision:
    passage: Passage
    why: str = ""


OPEN = Decision(Passage.OPEN)


async def decide(house: House, connection: AsyncConnection, letter: Letter) -> Decision:
    """Whether a letter may go out now."""
    now = house.clock.now()
    person = await access.person(connection, letter.person_id) if letter.person_id else None
    of_link = letter.kind == "code" or letter.kind in UNASKED_LETTERS
    if of_link and person and person.revoked_at is not None:
        return Decision(Passage.REVOKED, "the link was revoked")
    if letter.kind == "code":
        knock = await knocks.find(connection, (letter.context or {}).get("knock", ""))
        if not knocks.has_a_code(knock, now):
            return Decision(Passage.USELESS, "no code, or one that counts no more")
    reviewer = person is not None and person.kind is PersonKind.REVIEWER
    if letter.case_id and reviewer and letter.kind in UNASKED_LETTERS:
        case = await cases.case(connection, letter.case_id)
        reason = await suppressions.reason_for(connection, case.lab_id, letter.recipient)
        if reason:
            return Decision(Passage.UNWANTED, reason)
    if letter.kind not in JOINED:
        return await _paced(connection, letter, now)
    why = await _too_many(connection, letter, now)
    if not why:
        return OPEN
    known = await _is_somebody(house, connection, letter.recipient)
    return Decision(Passage.JOINED if known else Passage.UNHEARD, why)


async def join(house: House, connection: AsyncConnection, letter: Letter, why: str) -> None:
    """Keeps a letter for the digest to its address, of which there is one a day."""
    log.warning("letter joined", letter=letter.id, kind=letter.kind, why=why)
    await outbox.set_aside(connection, letter.id, why)
    await plan_digest(house, connection, letter.recipient)


async def plan_digest(house: House, connection: AsyncConnection, recipient: str) -> None:
    """The next digest to an address, unless one waits already."""
    now = house.clock.now()
    draft = LetterDraft(
        kind="digest", recipient=recipient, subject="What else happened", context={}
    )
    due_at = await outbox.next_digest(connection, recipient, now, DIGEST_AFTER, DIGEST_EVERY)
    if due_at is not None:
        await outbox.write(connection, draft, house.settings.domain, now, due_at=due_at)


async def alarm(house: House, connection: AsyncConnection, letter: Letter, why: str) -> None:
    """Tells the operator that somebody gets too many letters, once a day for each domain."""
    now, domain = house.clock.now(), house.settings.domain
    if letter.recipient == house.settings.operator:
        return  # an alarm would be joined in its turn
    held = (
        "The rest is joined into one letter a day."
        if await _is_somebody(house, connection, letter.recipient)
        else "They belong to no lab and review no case, so the rest is not sent."
    )
    draft = LetterDraft(
        kind="alarm",
        recipient=house.settings.operator,
        subject="Too many letters",
        context={
            "sentences": [
                f"Too many letters go to {letter.recipient}: {why}. {held}",
                "Perhaps two robots answer each other. The log names the letters. This is said once a"
                " day for each mail domain.",
            ]
        },
    )
    once = f"alarm|{letter.recipient.rpartition('@')[2]}|{now // DAY}"
    await outbox.write(connection, draft, domain, now, once=once)


def plain_subject(subject: str) -> str:
    """A subject without what answering has put before it."""
    return _ANSWERED.sub("", subject[:300]).strip()


async def _paced(connection: AsyncConnection, letter: Letter, now: int) -> Decision:
    since, but = now - PACE_WINDOW, letter.id
    if letter.kind == "digest":  # one to an address anyway; a domain may have many addresses
        domain = letter.recipient.rpartition("@")[2]
        sent = await outbox.passed(
            connection, since=since, but=but, domain=domain, kinds={"digest"}
        )
    elif letter.kind in _SHORT_LIVED:  # they wait behind nothing but their like
        sent = await outbox.passed(
            connection, since=since, but=but, recipient=letter.recipient, kinds={letter.kind}
        )
    else:
        sent = await outbox.passed(connection, since=since, but=but, recipient=letter.recipient)
    return Decision(Passage.LATER, "too many at once") if sent >= PACE else OPEN


async def _too_many(connection: AsyncConnection, letter: Letter, now: int) -> str:
    """Which limit a letter breaks; empty if none."""
    kinds, since, but, to = JOINED, now - ADDRESS_WINDOW, letter.id, letter.recipient
    sent = await outbox.passed(connection, since=since, but=but, recipient=to, kinds=kinds)
    if sent >= TO_ADDRESS:
        return f"{TO_ADDRESS} in two hours"
    subjects = await outbox.subjects(connection, now - SUBJECT_WINDOW, but, to, kinds)
    same = plain_subject(letter.subject)
    if sum(1 for subject in subjects if plain_subject(subject) == same) >= OF_SUBJECT:
        return f"{OF_SUBJECT} of one subject in three hours"
    if letter.kind == "alarm":
        return ""  # it says that the limits below are broken
    domain = to.rpartition("@")[2]
    sent = await outbox.passed(connection, since=since, but=but, domain=domain, kinds=kinds)
    if sent >= TO_DOMAIN:
        return f"{TO_DOMAIN} to {domain} in two hours"
    if await outbox.passed(connection, since=since, but=but, kinds=kinds) >= IN_ALL:
        return f"{IN_ALL} in all in two hours"
    return ""


async def _is_somebody(house: House, connection: AsyncConnection, address: str) -> bool:
    """Whether a digest to an address makes sense: a robot may have any number of addresses."""
    if address == house.settings.operator:
        return True
    if await labs.members_by_address(connection, {address.lower()}):
        return True
    return await access.reviews_any(connection, address)
