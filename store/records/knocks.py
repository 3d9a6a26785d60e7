"""Knocks: somebody asks to be let in on one more device, by a mailed code or by a picture to scan.

The digits of a code are kept nowhere: they follow from the knock's id under the case's key, once for
the letter and once for the check. Who types an address that is not the person's gets a knock all the
same, for which no digits are right, so that nothing tells the two apart.
"""

import hmac
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.clock import DAY, HOUR, MINUTE
from store.model import Knock
from store.records.schema import knocks
from store.states import KnockKind
from store.tokens import fingerprint, has_shape, new_id

LIFETIME = 10 * MINUTE
MOST_TRIES = 5
# Codes that a link may ask for. Five digits of five codes an hour for a week would be guessed by one in
# two hundred who know link and address; with the day's limit by one in fourteen hundred.
IN_AN_HOUR, IN_A_DAY = 5, 20
PICTURES_IN_AN_HOUR = 20


async def ask(
    connection: AsyncConnection, knock_id: str, person_id: str, *, right: bool, now: int
) -> bool:
    """Writes down that a code was asked for; False if this very knock was written before."""
    known = sa.select(knocks.c.id).where(knocks.c.id == knock_id)
    if (await connection.execute(known)).first():
        return False
    await _write(connection, knock_id, person_id, KnockKind.CODE, now, right=right)
    return True


async def may_ask(connection: AsyncConnection, person_id: str, kind: KnockKind, now: int) -> bool:
    """Whether a link may knock once more: its limit is the same for everybody who has it."""
    if kind is KnockKind.HANDOVER:
        return await _since(connection, person_id, kind, now - HOUR) < PICTURES_IN_AN_HOUR
    in_hour = await _since(connection, person_id, kind, now - HOUR)
    return in_hour < IN_AN_HOUR and await _since(connection, person_id, kind, now - DAY) < IN_A_DAY


async def waiting_code(
    connection: AsyncConnection, knock_id: str, person_id: str, now: int
) -> Knock | None:
    """The knock for which a browser may type a code; None when its time or its tries are over."""
    found = await find(connection, knock_id) if has_shape(knock_id) else None
    if found is None or found.kind is not KnockKind.CODE or found.person_id != person_id:
        return None
    return found if _waits(found, now) and found.tries < MOST_TRIES else None


async def take_try(connection: AsyncConnection, knock_id: str) -> bool:
    """Counts a try before it is judged: a hundred at the same moment are five all the same."""
    change = sa.update(knocks).where(knocks.c.id == knock_id, knocks.c.tries < MOST_TRIES)
    return (await connection.execute(change.values(tries=knocks.c.tries + 1))).rowcount == 1


async def offer(connection: AsyncConnection, person_id: str, session_id: str, now: int) -> str:
    """A secret that opens one session beside another; the picture shown before it is void."""
    change = sa.update(knocks).where(knocks.c.session_id == session_id, knocks.c.used_at.is_(None))
    await connection.execute(change.values(used_at=now))
    secret, kind = new_id(), KnockKind.HANDOVER
    given = {"right": True, "session_id": session_id}
    await _write(connection, fingerprint(secret), person_id, kind, now, **given)
    return secret


async def offered(
    connection: AsyncConnection, secret: str, person_id: str, now: int
) -> Knock | None:
    """The knock of a picture that was scanned, if it still counts."""
    found = await find(connection, fingerprint(secret)) if has_shape(secret) else None
    if found is None or found.kind is not KnockKind.HANDOVER or found.person_id != person_id:
        return None
    return found if _waits(found, now) else None


async def use(connection: AsyncConnection, knock_id: str, now: int) -> bool:
    """Spends a knock; False if somebody was quicker."""
    change = sa.update(knocks).where(knocks.c.id == knock_id, knocks.c.used_at.is_(None))
    return (await connection.execute(change.values(used_at=now))).rowcount == 1


async def end_of(connection: AsyncConnection, person_id: str, now: int) -> None:
    """Nothing that a person has asked for opens anything any more."""
    change = sa.update(knocks).where(knocks.c.person_id == person_id, knocks.c.used_at.is_(None))
    await connection.execute(change.values(used_at=now))


async def find(connection: AsyncConnection, knock_id: str) -> Knock | None:
    row = (await connection.execute(sa.select(knocks).where(knocks.c.id == knock_id))).mappings()
    found = row.first()
    return Knock.of({**found, "kind": KnockKind(found["kind"])}) if found else None


def digits_of(key: bytes, knock_id: str) -> str:
    """The six digits of a knock. 2^64 is so much larger than a million that none is likelier."""
    digest = hmac.digest(key, f"digits|{knock_id}".encode(), "sha256")
    return f"{int.from_bytes(digest[:8]) % 1_000_000:06d}"


def is_right(key: bytes, knock: Knock, typed: str) -> bool:
    """Whether the digits are the knock's; the same work for one that has none."""
    same = hmac.compare_digest(digits_of(key, knock.id).encode(), typed.encode())
    return same and knock.right


def has_a_code(knock: Knock | None, now: int) -> bool:
    """Whether a letter with its code is of use: the address was right, and it counts still."""
    return knock is not None and knock.right and _waits(knock, now)


def _waits(knock: Knock, now: int) -> bool:
    return knock.used_at is None and now < knock.expires_at


async def _since(connection: AsyncConnection, person_id: str, kind: KnockKind, since: int) -> int:
    question = sa.select(sa.func.count()).where(
        knocks.c.person_id == person_id, knocks.c.kind == kind, knocks.c.created_at > since
    )
    return int((await connection.execute(question)).scalar_one())


async def _write(
    connection: AsyncConnection,
    knock_id: str,
    person_id: str,
    kind: KnockKind,
    now: int,
    **given: Any,
) -> None:
    row = {"id": knock_id, "person_id": person_id, "kind": kind, "created_at": now, "tries": 0}
    await connection.execute(sa.insert(knocks).values(**row, expires_at=now + LIFETIME, **given))
