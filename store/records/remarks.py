"""What people have said about a case: comments, and verdicts that bind the files they were given on."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Remark
from store.records.schema import marks as marks_table
from store.records.schema import people, remarks
from store.states import RemarkKind

# Two within a millisecond stay in the order in which they were written.
_WRITTEN: sa.ColumnElement[int] = sa.literal_column("remarks.rowid")


async def add(
    connection: AsyncConnection,
    remark_id: str,
    case_id: str,
    kind: RemarkKind,
    author: str,
    text: str,
    now: int,
    *,
    person_id: str | None = None,
    version_id: str | None = None,
    files: Sequence[str] = (),
    reasons: Sequence[str] = (),
    marks: Sequence[dict[str, Any]] = (),
    view: dict[str, Any] | None = None,
    picture_size: int = 0,
    due_at: int | None = None,
) -> bool:
    """Writes a remark; False if it is there already, so that a step may run twice.

    Args:
        due_at: when its flow is to write the letters that pass it on; None where they are written
            in the same transaction.
    """
    known = sa.select(remarks.c.id).where(remarks.c.id == remark_id)
    if (await connection.execute(known)).first():
        return False
    await connection.execute(
        sa.insert(remarks).values(
            id=remark_id,
            case_id=case_id,
            kind=kind,
            author=author,
            text=text,
            at=now,
            person_id=person_id,
            version_id=version_id,
            files=list(files),
            reasons=list(reasons),
            marks=list(marks),
            view=view,
            picture_size=picture_size,
            due_at=due_at,
        )
    )
    return True


async def find(connection: AsyncConnection, remark_id: str) -> Remark | None:
    question = sa.select(remarks).where(remarks.c.id == remark_id)
    row = (await connection.execute(question)).mappings().first()
    return _remark(row) if row else None


async def passed_on(connection: AsyncConnection, remark_id: str) -> None:
    """Its letters are written."""
    change = sa.update(remarks).where(remarks.c.id == remark_id)
    await connection.execute(change.values(due_at=None))


async def of_case(connection: AsyncConnection, case_id: str) -> list[Remark]:
    """Oldest first."""
    question = sa.select(remarks).where(remarks.c.case_id == case_id)
    rows = (await connection.execute(question.order_by(remarks.c.at, _WRITTEN))).mappings()
    return [_remark(row) for row in rows]


async def verdict_of(connection: AsyncConnection, person_id: str, version_id: str) -> Remark | None:
    """What a reviewer said last about a version."""
    question = (
        sa.select(remarks)
        .where(
            remarks.c.person_id == person_id,
            remarks.c.version_id == version_id,
            remarks.c.kind != RemarkKind.COMMENT,
        )
        .order_by(remarks.c.at.desc(), _WRITTEN.desc())
    )
    row = (await connection.execute(question)).mappings().first()
    return _remark(row) if row else None


async def forget(connection: AsyncConnection, case_id: str) -> None:
    """The words go with the case; that and when something was said stays in the trail."""
    blank = {"text": "", "author": "", "marks": None, "view": None, "due_at": None}
    await connection.execute(sa.update(remarks).where(remarks.c.case_id == case_id).values(**blank))
    own = sa.select(people.c.id).where(people.c.case_id == case_id)
    await connection.execute(sa.delete(marks_table).where(marks_table.c.person_id.in_(own)))


def _remark(row: Any) -> Remark:
    return Remark.of({**row, "kind": RemarkKind(row["kind"])})
