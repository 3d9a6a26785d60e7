"""The second factor of members: codes of an authenticator app (RFC 6238), and ten for the drawer.

A code counts once, within five minutes. Mail is slow: the ten steps of 30 seconds before now count,
and one after it, for a phone whose clock is ahead. Five wrong codes in an hour, or ten in a day, and
codes are locked until the member presses a link in their mailbox.
"""

import hmac
import re
import secrets
from enum import StrEnum

import pyotp
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.blobs.keys import Keys
from store.clock import DAY, HOUR, SECOND
from store.records.schema import backup_codes, members, wrong_codes
from store.tokens import new_id

STEP = 30 * SECOND
BEHIND, AHEAD = 10, 1  # steps
MOST_IN_HOUR, MOST_IN_DAY = 5, 10  # wrong codes
BACKUP_CODES = 10
_SIX = re.compile(r"[0-9]{6}")  # not \d: full-width digits are no code
_BACKUP = re.compile(r"[a-z2-7]{5}-?[a-z2-7]{5}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


class Spent(StrEnum):
    """What became of a code."""

    RIGHT = "right"  # It counted, and never will again.
    WRONG = "wrong"
    LOCKED = "locked"  # Codes were wrong too often: none counts now.


def new_secret() -> str:
    """160 bits, in base32 as apps expect it (RFC 4226 4, R6)."""
    return pyotp.random_base32(32)


def new_backup_codes() -> list[str]:
    """Ten codes of 50 bits."""
    return [f"{_five()}-{_five()}" for _ in range(BACKUP_CODES)]


async def enrol(
    connection: AsyncConnection,
    keys: Keys,
    member_id: str,
    secret: str,
    code: str,
    backup: list[str],
    now: int,
) -> bool:
    """Codes are asked for from now on; False if the first one, typed to prove it, is wrong."""
    step = _step_of(secret, code, now, 0)
    if step is None:
        return False
    await forget(connection, member_id)
    sealed = keys.seal(secret.encode(), member_id)
    change = sa.update(members).where(members.c.id == member_id)
    await connection.execute(change.values(code_secret=sealed, code_since=now, code_step=step))
    hashes = [keys.fingerprint(f"code {member_id}", _plain(one)) for one in backup]
    rows = [{"hash": one, "member_id": member_id} for one in hashes]
    await connection.execute(sa.insert(backup_codes), rows)
    return True


async def spend(
    connection: AsyncConnection, keys: Keys, member_id: str, code: str, now: int
) -> Spent:
    """Looks at a code and spends it. Ask only where the mail or the page proves whose it is."""
    question = sa.select(members).where(members.c.id == member_id)
    row = (await connection.execute(question)).mappings().one()
    if row["code_locked_at"] is not None:
        return Spent.LOCKED
    if row["code_secret"] is None:
        return Spent.WRONG
    if _BACKUP.fullmatch(code.lower()):
        right = await _spend_backup(connection, keys, member_id, code, now)
    else:
        secret = keys.unseal(row["code_secret"], member_id).decode()
        step = _step_of(secret, code, now, row["code_step"] or 0)
        right = step is not None and await _spend_step(connection, member_id, step)
    return Spent.RIGHT if right else await _note_wrong(connection, member_id, now)


async def are_locked(connection: AsyncConnection, member_id: str) -> bool:
    question = sa.select(members.c.code_locked_at).where(members.c.id == member_id)
    return (await connection.execute(question)).scalar_one() is not None


async def unlock(connection: AsyncConnection, member_id: str) -> None:
    change = sa.update(members).where(members.c.id == member_id)
    await connection.execute(change.values(code_locked_at=None))
    await connection.execute(sa.delete(wrong_codes).where(wrong_codes.c.member_id == member_id))


async def forget(connection: AsyncConnection, member_id: str) -> None:
    """Codes are asked for no more."""
    await unlock(connection, member_id)
    await connection.execute(sa.delete(backup_codes).where(backup_codes.c.member_id == member_id))
    change = sa.update(members).where(members.c.id == member_id)
    await connection.execute(change.values(code_secret=None, code_since=None, code_step=None))


async def backup_codes_left(connection: AsyncConnection, member_id: str) -> int:
    question = sa.select(sa.func.count()).where(
        backup_codes.c.member_id == member_id, backup_codes.c.used_at.is_(None)
    )
    return int((await connection.execute(question)).scalar_one())


def _step_of(secret: str, code: str, now: int, spent: int) -> int | None:
    """The step of time whose code this is, later than the last one that was spent."""
    if not _SIX.fullmatch(code):
        return None
    present, app = now // STEP, pyotp.TOTP(secret)
    found = None
    for step in range(max(spent + 1, present - BEHIND), present + AHEAD + 1):
        if hmac.compare_digest(app.generate_otp(step), code):
            found = step
    return found


async def _spend_step(connection: AsyncConnection, member_id: str, step: int) -> bool:
    """RFC 6238 5.2: a second attempt with the same code must not be accepted."""
    unspent = sa.or_(members.c.code_step.is_(None), members.c.code_step < step)
    change = sa.update(members).where(members.c.id == member_id, unspent)
    return (await connection.execute(change.values(code_step=step))).rowcount == 1


async def _spend_backup(
    connection: AsyncConnection, keys: Keys, member_id: str, code: str, now: int
) -> bool:
    change = sa.update(backup_codes).where(
        backup_codes.c.hash == keys.fingerprint(f"code {member_id}", _plain(code)),
        backup_codes.c.used_at.is_(None),
    )
    return (await connection.execute(change.values(used_at=now))).rowcount == 1


async def _note_wrong(connection: AsyncConnection, member_id: str, now: int) -> Spent:
    await connection.execute(
        sa.insert(wrong_codes).values(id=new_id(), member_id=member_id, at=now)
    )
    for period, most in ((HOUR, MOST_IN_HOUR), (DAY, MOST_IN_DAY)):
        question = sa.select(sa.func.count()).where(
            wrong_codes.c.member_id == member_id, wrong_codes.c.at > now - period
        )
        if (await connection.execute(question)).scalar_one() >= most:
            change = sa.update(members).where(members.c.id == member_id)
            await connection.execute(change.values(code_locked_at=now))
            return Spent.LOCKED
    return Spent.WRONG


def _five() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(5))


def _plain(code: str) -> str:
    return code.lower().replace("-", "")
