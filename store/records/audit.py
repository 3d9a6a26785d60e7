"""The trail: who did what to which case, and when; append-only, each line bound to the one before.

The hash of a line covers the line and the hash before it, so that no line can be changed, dropped
or put in between without every later hash being wrong. Names, addresses and ids only: no content.
"""

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import AuditLine
from store.records.schema import audit, audit_head

GENESIS = "0" * 64


async def record(
    connection: AsyncConnection,
    at: int,
    actor: str,
    action: str,
    *,
    lab_id: str | None = None,
    case_id: str | None = None,
    **detail: Any,
) -> None:
    """Appends a line in the caller's transaction: it is true if and only if the change is."""
    # The update takes the row's lock first: lines of two transactions cannot share a number.
    moved = sa.update(audit_head).values(number=audit_head.c.number + 1).returning(audit_head)
    head = (await connection.execute(moved)).mappings().one()
    line: dict[str, Any] = {
        "number": head["number"],
        "at": at,
        "actor": actor,
        "action": action,
        "lab_id": lab_id,
        "case_id": case_id,
        "detail": detail,
    }
    own = _hash(line, head["hash"])
    await connection.execute(sa.insert(audit).values(**line, previous=head["hash"], hash=own))
    await connection.execute(sa.update(audit_head).values(hash=own))


async def lines_of_case(connection: AsyncConnection, case_id: str) -> list[AuditLine]:
    question = sa.select(audit).where(audit.c.case_id == case_id).order_by(audit.c.number)
    return [AuditLine.of(row) for row in (await connection.execute(question)).mappings()]


async def first_broken_line(connection: AsyncConnection) -> int | None:
    """The number of the first line that does not follow from the one before; None if all do."""
    previous, expected = GENESIS, 1
    rows = await connection.stream(sa.select(audit).order_by(audit.c.number))
    async for row in rows.mappings():
        line = {name: row[name] for name in row if name not in ("previous", "hash")}
        broken = row["number"] != expected or row["previous"] != previous
        if broken or row["hash"] != _hash(line, previous):
            return expected
        previous, expected = row["hash"], expected + 1
    head = (await connection.execute(sa.select(audit_head))).mappings().one()
    return None if head["hash"] == previous else expected


def _hash(line: dict[str, Any], previous: str) -> str:
    text = json.dumps([previous, line], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
