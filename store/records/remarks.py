"""What people have said about a case: comments, and verdicts that bind the files they were given on."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Remark, RemarkKind
from store.records.schema import remarks

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
) -> bool:
    """Writes a remark; False if it is there already, so that a step may run twice."""
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
        )
    )
    return True


async def of_case(connection: AsyncConnection, case_id: str) -> list[Remark]:
    """Oldest first."""
    question = sa.select(remarks).where(remarks.c.case_id == case_id)
    rows = (await connection.execute(question.order_by(remarks.c.at, _WRITTEN))).mappings()
    return [Remark.of({**row, "kind": RemarkKind(row["kind"])}) for row in rows]


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
    return Remark.of({**row, "kind": RemarkKind(row["kind"])}) if row else None


async def forget(connection: AsyncConnection, case_id: str) -> None:
    """The words go with the case; that and when something was said stays in the trail."""
    await connection.execute(
        sa.update(remarks).where(remarks.c.case_id == case_id).values(text="", author="")
    )
