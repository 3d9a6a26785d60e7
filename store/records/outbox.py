"""Letters waiting to go out, and what became of them."""

from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Letter, LetterDraft, LetterState
from store.records.schema import letters
from store.tokens import derived_id, new_id


async def write(
    connection: AsyncConnection, draft: LetterDraft, domain: str, now: int, once: str = ""
) -> str:
    """Writes a letter in the transaction of what it tells; returns its Message-ID, the only one ever.

    Args:
        once: names the occasion where the transaction itself does not say that it happened: the
            letter is then written at most once for it.
    """
    letter_id = derived_id("letter", once) if once else new_id()
    message_id = f"<{letter_id}@{domain}>"
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
            due_at=now,
        )
    )
    return message_id


async def letter(connection: AsyncConnection, letter_id: str) -> Letter:
    question = sa.select(letters).where(letters.c.id == letter_id)
    row = (await connection.execute(question)).mappings().one()
    return Letter.of({**row, "state": LetterState(row["state"])})


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
    """Letters of a case that has ended must not go out with dead links."""
    await _withdraw(connection, letters.c.case_id == case_id, "the case ended", now)


async def withdraw_of_person(connection: AsyncConnection, person_id: str, now: int) -> None:
    """Nor must those to somebody whose link was revoked while the relay put them off."""
    to_person = sa.and_(letters.c.person_id == person_id, letters.c.kind == "share")
    await _withdraw(connection, to_person, "the link was revoked", now)


async def _withdraw(
    connection: AsyncConnection, which: sa.ColumnElement[bool], why: str, now: int
) -> None:
    due = sa.select(letters.c.id).where(which, letters.c.state == LetterState.DUE)
    for letter_id in (await connection.execute(due)).scalars().all():
        await settle(connection, letter_id, LetterState.WITHDRAWN, why, now)
