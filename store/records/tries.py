"""Wrong passwords of a person: five, and none counts for a quarter of an hour."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.clock import MINUTE
from store.records.schema import people

MOST = 5
LOCK = 15 * MINUTE


async def take(connection: AsyncConnection, person_id: str, now: int) -> int | None:
    """Counts a try before it is judged, so that a hundred at the same moment are five.

    Returns:
        How many are left if this one is wrong; None if none counts now.
    """
    mine = people.c.id == person_id
    over = sa.update(people).where(mine, people.c.locked_until <= now)
    await connection.execute(over.values(wrong_tries=0, locked_until=None))
    # The fifth locks by itself, so that a crash between count and judgement leaves no door open.
    until = sa.case((people.c.wrong_tries + 1 >= MOST, now + LOCK), else_=None)
    change = (
        sa.update(people)
        .where(mine, people.c.wrong_tries < MOST)
        .values(wrong_tries=people.c.wrong_tries + 1, locked_until=until)
    )
    if (await connection.execute(change)).rowcount == 0:
        return None
    count = sa.select(people.c.wrong_tries).where(mine)
    return MOST - int((await connection.execute(count)).scalar_one())


async def forget(connection: AsyncConnection, person_id: str) -> None:
    """One was right."""
    change = sa.update(people).where(people.c.id == person_id)
    await connection.execute(change.values(wrong_tries=0, locked_until=None))


async def forget_of_case(connection: AsyncConnection, case_id: str) -> None:
    """Another password is asked for now."""
    change = sa.update(people).where(people.c.case_id == case_id)
    await connection.execute(change.values(wrong_tries=0, locked_until=None))
