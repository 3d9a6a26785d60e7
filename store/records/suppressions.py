"""Who wants no more letters of a lab."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.records.labs import canonical
from store.records.schema import suppressions
from store.states import Suppression


async def suppress(
    connection: AsyncConnection, lab_id: str, address: str, reason: Suppression, now: int
) -> bool:
    """Ends all letters of a lab to an address; False if they had ended before."""
    if await reason_for(connection, lab_id, address):
        return False
    await connection.execute(
        sa.insert(suppressions).values(
            lab_id=lab_id, address=canonical(address), reason=reason, at=now
        )
    )
    return True


async def lift(connection: AsyncConnection, lab_id: str, address: str) -> bool:
    """Lets letters go out again; False if nothing stood against them."""
    change = sa.delete(suppressions).where(
        suppressions.c.lab_id == lab_id, suppressions.c.address == canonical(address)
    )
    return (await connection.execute(change)).rowcount == 1


async def reason_for(connection: AsyncConnection, lab_id: str, address: str) -> Suppression | None:
    question = sa.select(suppressions.c.reason).where(
        suppressions.c.lab_id == lab_id, suppressions.c.address == canonical(address)
    )
    found = (await connection.execute(question)).scalar()
    return Suppression(found) if found else None
