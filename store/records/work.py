"""Rows with work to do, whatever they are: what the sweep asks and writes.

A flow ends by moving `due_at`: to nothing, or to a later moment and counting `attempt` up, since the
same flow id is never begun twice. A row that is still due after its flow ended, or whose flow failed,
has failed once more.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.records.schema import cases, confirmations, letters, mails, remarks, uploads
from store.states import ConfirmationState, LetterState, MailState

TABLES = {
    "mail": mails,
    "letter": letters,
    "case": cases,
    "confirmation": confirmations,
    "remark": remarks,
    "upload": uploads,
}
_DEAD = {
    "mail": MailState.DEAD,
    "letter": LetterState.DEAD,
    "confirmation": ConfirmationState.DEAD,
}


@dataclass(frozen=True)
class Due:
    kind: str
    id: str
    attempt: int
    failures: int

    @property
    def flow_id(self) -> str:
        return f"{self.kind}-{self.id}-{self.attempt}"


async def due(connection: AsyncConnection, now: int, limit: int = 500) -> list[Due]:
    """The rows whose moment has come, oldest first in each kind."""
    found = []
    for kind, table in TABLES.items():
        question = (
            sa.select(table.c.id, table.c.attempt, table.c.failures)
            .where(table.c.due_at <= now)
            .order_by(table.c.due_at)
            .limit(limit)
        )
        found += [Due(kind, *row) for row in await connection.execute(question)]
    return found


async def reschedule(
    connection: AsyncConnection, kind: str, row_id: str, due_at: int | None, failures: int = 0
) -> None:
    table = TABLES[kind]
    await connection.execute(
        sa.update(table)
        .where(table.c.id == row_id)
        .values(due_at=due_at, attempt=table.c.attempt + 1, failures=failures)
    )


async def wait(connection: AsyncConnection, kind: str, row_id: str, due_at: int) -> None:
    """Moves a row to a later moment for a reason that is none of its own: no failure is counted."""
    table = TABLES[kind]
    await connection.execute(
        sa.update(table)
        .where(table.c.id == row_id, table.c.due_at.is_not(None))
        .values(due_at=due_at, attempt=table.c.attempt + 1)
    )


async def bury(connection: AsyncConnection, kind: str, row_id: str) -> None:
    """Gives a row up: it stays as it is, for the operator to look at."""
    await reschedule(connection, kind, row_id, None)
    if kind in _DEAD:
        table = TABLES[kind]
        change = sa.update(table).where(table.c.id == row_id).values(state=_DEAD[kind])
        await connection.execute(change)
