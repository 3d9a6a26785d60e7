"""What people have measured on the page: each one's own, until they remove it or say it in a comment."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.measures import MOST_MARKS
from store.model import Mark
from store.records.schema import marks
from store.states import MarkKind
from store.tokens import new_id


async def add(
    connection: AsyncConnection,
    person_id: str,
    version_id: str,
    mark: dict[str, Any],
    now: int,
) -> str | None:
    """Keeps a mark as `measures.read_mark` gives it; returns its id, None where there are too many."""
    own = sa.select(sa.func.count(), sa.func.max(marks.c.created_at))
    count, last = (await connection.execute(own.where(marks.c.person_id == person_id))).one()
    if count >= MOST_MARKS:
        return None
    mark_id = new_id()
    await connection.execute(
        sa.insert(marks).values(
            id=mark_id,
            person_id=person_id,
            version_id=version_id,
            kind=mark["kind"],
            geometry=mark,
            created_at=max(now, (last or 0) + 1),  # two of a millisecond keep their order
        )
    )
    return mark_id


async def of_person(connection: AsyncConnection, person_id: str) -> list[Mark]:
    """Oldest first."""
    question = sa.select(marks).where(marks.c.person_id == person_id)
    rows = (await connection.execute(question.order_by(marks.c.created_at))).mappings()
    return [Mark.of({**row, "kind": MarkKind(row["kind"])}) for row in rows]


async def remove(connection: AsyncConnection, person_id: str, mark_id: str) -> None:
    """Removes a mark of that person; of somebody else's nothing happens."""
    which = sa.delete(marks).where(marks.c.id == mark_id, marks.c.person_id == person_id)
    await connection.execute(which)
