"""Letters waiting to go out, and what became of them."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import UNASKED_LETTERS, Letter, LetterDraft
from store.records.schema import letters
from store.states import LetterState
from store.tokens import derived_id, fingerprint, has_shape, new_id


async def write(
    connection: AsyncConnection,
    draft: LetterDraft,
    domain: str,
    now: int,
    once: str = "",
    due_at: int | None = None,
) -> str:
    """Writes a letter in the transaction of what it tells; returns its Message-ID, the only one ever.

    Args:
        once: names the occasion where the transaction itself does not say that it happened: the
            letter is then written at most once for it.
    """
    letter_id = derived_id("letter", once) if once else new_id()
    message_id = message_id_of(once, domain) if once else f"<{letter_id}@{domain}>"
    known = sa.select(letters.c.id).where(letters.c.id == letter_id)
    if once and (await connection.execute(known)).first():
        return message_id
    await connection.execute(
        sa.insert(letters).values(
            **asdict(draft),
            id=letter_id,
            message_id=message_id,
            state=LetterState.DUE,
            created_at=now,
            due_at=now if due_at is None else due_at,
        )
    )
    return message_id


def message_id_of(once: str, domain: str) -> str:
    """The Message-ID of what is written one time only, written yet or not."""
    return f"<{derived_id('letter', once)}@{domain}>"


async def letter(connection: AsyncConnection, letter_id: str) -> Letter:
    question = sa.select(letters).where(letters.c.id == letter_id)
    row = (await connection.execute(question)).mappings().one()
    return Letter.of({**row, "state": LetterState(row["state"])})


async def by_bounce_token(connection: AsyncConnection, token: str) -> Letter | None:
    """The letter whose envelope sender held this token; None if it was never issued."""
    if not has_shape(token):
        return None
    question = sa.select(letters).where(letters.c.bounce_token == fingerprint(token))
    row = (await connection.execute(question)).mappings().first()
    return Letter.of({**row, "state": LetterState(row["state"])}) if row else None


async def by_message_ids(connection: AsyncConnection, message_ids: list[str]) -> Letter | None:
    """The newest of our letters that a mail answers (In-Reply-To, References)."""
    question = sa.select(letters).where(letters.c.message_id.in_(message_ids))
    rows = (await connection.execute(question.order_by(letters.c.created_at.desc()))).mappings()
    row = rows.first()
    return Letter.of({**row, "state": LetterState(row["state"])}) if row else None


async def note_bounce_token(connection: AsyncConnection, letter_id: str, token: str) -> None:
    """Before the first attempt: what comes back of it must be known."""
    change = sa.update(letters).where(letters.c.id == letter_id)
    await connection.execute(change.values(bounce_token=fingerprint(token)))


async def passed(
    connection: AsyncConnection,
    *,
    since: int,
    but: str,
    recipient: str = "",
    domain: str = "",
    kinds: Iterable[str] = (),
) -> int:
    """How many letters but this one have passed the gate since a moment."""
    which = [_passed_since(since), letters.c.id != but]
    if recipient:
        which.append(letters.c.recipient == recipient)
    if domain:
        which.append(letters.c.recipient.endswith(f"@{domain}", autoescape=True))
    if kinds:
        which.append(letters.c.kind.in_(kinds))
    question = sa.select(sa.func.count()).select_from(letters).where(*which)
    return int((await connection.execute(question)).scalar_one())


async def subjects(
    connection: AsyncConnection, since: int, but: str, recipient: str, kinds: Iterable[str]
) -> list[str]:
    """The subjects of letters to an address that have passed the gate, but for this one."""
    question = sa.select(letters.c.subject).where(
        _passed_since(since),
        letters.c.id != but,
        letters.c.recipient == recipient,
        letters.c.kind.in_(kinds),
    )
    return list((await connection.execute(question)).scalars())


async def set_aside(connection: AsyncConnection, letter_id: str, why: str) -> None:
    """A letter is said in a digest instead; until then what it was filled with is kept."""
    change = sa.update(letters).where(letters.c.id == letter_id)
    await connection.execute(change.values(state=LetterState.JOINED, answer=why, due_at=None))


async def next_digest(
    connection: AsyncConnection, recipient: str, now: int, after: int, every: int
) -> int | None:
    """When the next digest to an address is due; None if one waits already."""
    digests = sa.select(letters.c.state, letters.c.sent_at).where(
        letters.c.recipient == recipient, letters.c.kind == "digest"
    )
    rows = (await connection.execute(digests)).all()
    if any(row.state == LetterState.DUE for row in rows):
        return None
    last = max((row.sent_at for row in rows if row.sent_at is not None), default=0)
    return max(now + after, last + every)


async def joined(connection: AsyncConnection, recipient: str) -> list[Letter]:
    """The letters to an address that wait for its digest, oldest first."""
    question = sa.select(letters).where(
        letters.c.recipient == recipient,
        letters.c.state == LetterState.JOINED,
        letters.c.context.is_not(None),
    )
    rows = (await connection.execute(question.order_by(letters.c.created_at))).mappings()
    return [
        Letter.of({**row, "state": LetterState.JOINED})
        for row in rows
        if row["context"] is not None
    ]


async def forget_joined(connection: AsyncConnection, letter_ids: list[str]) -> None:
    """The digest that holds them is out."""
    change = sa.update(letters).where(letters.c.id.in_(letter_ids))
    await connection.execute(change.values(context=None))


async def note_context(
    connection: AsyncConnection, letter_id: str, context: dict[str, Any]
) -> None:
    """Fills a letter anew before it goes out."""
    change = sa.update(letters).where(letters.c.id == letter_id)
    await connection.execute(change.values(context=context))


async def note_fate(connection: AsyncConnection, letter_id: str, fate: str) -> bool:
    """Notes what came back of a letter; False if the same came back before."""
    change = sa.update(letters).where(letters.c.id == letter_id, letters.c.fate != fate)
    return (await connection.execute(change.values(fate=fate))).rowcount == 1


async def settle(
    connection: AsyncConnection, letter_id: str, state: LetterState, answer: str, now: int
) -> None:
    """Ends the work on a letter. What it was filled with is forgotten: the mailbox has it now."""
    await connection.execute(
        sa.update(letters)
        .where(letters.c.id == letter_id)
        .values(state=state, answer=answer, sent_at=now, due_at=None, context=None)
    )


async def try_later(connection: AsyncConnection, letter_id: str, due_at: int, answer: str) -> None:
    await connection.execute(
        sa.update(letters)
        .where(letters.c.id == letter_id)
        .values(
            due_at=due_at,
            answer=answer,
            tries=letters.c.tries + 1,
            attempt=letters.c.attempt + 1,
            failures=0,
        )
    )


async def withdraw_of_case(connection: AsyncConnection, case_id: str, now: int) -> None:
    """Letters of a case that has ended must not go out with dead links; nor are their words kept for
    a digest.
    """
    await _withdraw(connection, letters.c.case_id == case_id, "the case ended", now)


async def withdraw_of_person(connection: AsyncConnection, person_id: str, now: int) -> None:
    """Nor must those to somebody whose link was revoked while the relay put them off."""
    of_lab = letters.c.kind.in_(UNASKED_LETTERS)
    to_person = sa.and_(letters.c.person_id == person_id, of_lab)
    await _withdraw(connection, to_person, "the link was revoked", now)


def _passed_since(since: int) -> sa.ColumnElement[bool]:
    """Letters get their bounce token at the gate; the relay has them since then, or is still asked.

    When they were written says nothing: they may have waited for hours before they might go.
    """
    went = sa.or_(letters.c.sent_at > since, letters.c.due_at.is_not(None))
    return sa.and_(letters.c.bounce_token.is_not(None), went)


async def _withdraw(
    connection: AsyncConnection, which: sa.ColumnElement[bool], why: str, now: int
) -> None:
    joined = sa.and_(letters.c.state == LetterState.JOINED, letters.c.context.is_not(None))
    waits = sa.or_(letters.c.state == LetterState.DUE, joined)
    due = sa.select(letters.c.id).where(which, waits)
    for letter_id in (await connection.execute(due)).scalars().all():
        await settle(connection, letter_id, LetterState.WITHDRAWN, why, now)
