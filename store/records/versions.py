"""Versions of a case after its first: what they carry on, and what becomes of those that are not shared."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Scan, Version
from store.records import cases
from store.records.schema import scans, versions
from store.tokens import derived_id

# What was measured of a scan among the others of its version: not carried on.
_MEASURED = {"map_size": 0, "change": None, "change_size": 0}


async def follow(
    connection: AsyncConnection, version: Version, base: Version, carried: Sequence[Scan]
) -> None:
    """Puts a version behind another one, with those of its scans that it goes on to show.

    Free to call twice, and once more when a newer one was shared meanwhile: whatever it carried before
    is forgotten, and so is all that was drawn and measured.
    """
    own = scans.c.version_id == version.id
    await connection.execute(sa.delete(scans).where(own, scans.c.home_version != ""))
    await connection.execute(sa.update(scans).where(own).values(**_MEASURED))
    last = sa.select(sa.func.max(scans.c.number)).where(own)
    first = ((await connection.execute(last)).scalar() or 0) + 1
    for number, scan in enumerate(carried, first):
        await connection.execute(sa.insert(scans).values(**_carried(scan, version.id, number)))
    await cases.forget_drawing(connection, version.id)
    change = sa.update(versions).where(versions.c.id == version.id)
    await connection.execute(change.values(follows=base.id))


async def drop(connection: AsyncConnection, version_id: str) -> None:
    """A version that nobody has seen is not there any more; its number is free again."""
    unseen = sa.select(versions.c.id).where(
        versions.c.id == version_id, versions.c.shared_at.is_(None)
    )
    await connection.execute(sa.delete(scans).where(scans.c.version_id.in_(unseen)))
    await connection.execute(
        sa.delete(versions).where(versions.c.id == version_id, versions.c.shared_at.is_(None))
    )


async def in_preparation(connection: AsyncConnection, case_id: str) -> int:
    """How many versions of a case nobody sees yet."""
    question = sa.select(sa.func.count()).where(
        versions.c.case_id == case_id, versions.c.shared_at.is_(None)
    )
    return int((await connection.execute(question)).scalar_one())


async def originals_of(connection: AsyncConnection, case_id: str) -> list[Scan]:
    """Every file that was mailed for a case, once, oldest version first."""
    question = (
        sa.select(scans)
        .join(versions, versions.c.id == scans.c.version_id)
        .where(versions.c.case_id == case_id, scans.c.home_version == "")
        .order_by(versions.c.number, scans.c.number)
    )
    return [cases.scan_of(row) for row in (await connection.execute(question)).mappings()]


def _carried(scan: Scan, version_id: str, number: int) -> dict[str, Any]:
    """The row of a scan in a later version: as it was, but for its place; its objects stay where they
    are.
    """
    row = {name: getattr(scan, name) for name in scans.c.keys()}  # noqa: SIM118 -- no dict
    return {
        **row,
        **_MEASURED,
        "id": derived_id("scan", f"{version_id}|{number}"),
        "version_id": version_id,
        "number": number,
        "home_version": scan.home_version or scan.version_id,
        "home_number": scan.home_number or scan.number,
    }
