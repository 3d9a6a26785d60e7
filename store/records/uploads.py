"""Upload pages and the files that come in by them, piece by piece, until they become a mail.

The token is derived from the row (store/blobs/keys.py); only its fingerprint is stored. What counts as
here is what a row says: an object that no row names was never whole.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.errors import Gone
from store.records.schema import upload_files, uploads
from store.tokens import derived_id, fingerprint, has_shape
from store.uploads import LIFETIME, Upload, UploadFile, UploadState


@dataclass(frozen=True)
class Words:
    """What an upload says besides its files, as a subject and a body would."""

    reviewers: str = ""
    subject: str = ""
    note: str = ""


# ---------------------------------------------------------------- the page


async def create(
    connection: AsyncConnection,
    upload_id: str,
    token: str,
    member_id: str,
    wrapped_key: bytes,
    words: Words,
    now: int,
    *,
    case_id: str | None = None,
) -> None:
    """Writes a row that is due when its time is over. The id comes from the caller, so that a step
    that runs twice writes one.
    """
    if await find(connection, upload_id):
        return
    await connection.execute(
        sa.insert(uploads).values(
            id=upload_id,
            token=fingerprint(token),
            member_id=member_id,
            case_id=case_id,
            state=UploadState.OPEN,
            key=wrapped_key,
            created_at=now,
            expires_at=now + LIFETIME,
            due_at=now + LIFETIME,
            **words.__dict__,
        )
    )


async def find(connection: AsyncConnection, upload_id: str) -> Upload | None:
    return await _one(connection, uploads.c.id == upload_id)


async def by_token(connection: AsyncConnection, token: str) -> Upload | None:
    """None if it was never issued."""
    if not has_shape(token):
        return None
    return await _one(connection, uploads.c.token == fingerprint(token))


async def count_open(connection: AsyncConnection, member_id: str, now: int) -> int:
    """How many live upload pages a member has."""
    question = sa.select(sa.func.count()).where(
        uploads.c.member_id == member_id,
        uploads.c.state == UploadState.OPEN,
        uploads.c.expires_at > now,
    )
    return int((await connection.execute(question)).scalar_one())


async def wrapped_key(connection: AsyncConnection, upload_id: str) -> bytes:
    """Raises Gone when the key has been destroyed."""
    question = sa.select(uploads.c.key).where(uploads.c.id == upload_id)
    key: bytes | None = (await connection.execute(question)).scalar_one()
    if key is None:
        raise Gone("The files of this upload were destroyed.")
    return key


# ---------------------------------------------------------------- its files


async def files_of(connection: AsyncConnection, upload_id: str) -> list[UploadFile]:
    question = sa.select(upload_files).where(upload_files.c.upload_id == upload_id)
    rows = (await connection.execute(question.order_by(upload_files.c.number))).mappings()
    return [UploadFile.of(row) for row in rows]


async def file_of(connection: AsyncConnection, upload_id: str, number: int) -> UploadFile | None:
    question = sa.select(upload_files).where(
        upload_files.c.upload_id == upload_id, upload_files.c.number == number
    )
    row = (await connection.execute(question)).mappings().first()
    return UploadFile.of(row) if row else None


async def is_known(connection: AsyncConnection, upload_id: str, mark: str) -> bool:
    """Whether a file was announced under this mark."""
    question = sa.select(upload_files.c.id).where(upload_files.c.id == _file_id(upload_id, mark))
    return (await connection.execute(question)).first() is not None


async def add_file(
    connection: AsyncConnection,
    upload_id: str,
    mark: str,
    name: str,
    size: int,
    pieces: list[dict[str, Any]] | None = None,
) -> UploadFile:
    """Notes a file that is to come, or one that is here already.

    Args:
        mark: names the file for whoever asks again because the answer was lost.
    """
    file_id = _file_id(upload_id, mark)
    known = [one for one in await files_of(connection, upload_id) if one.id == file_id]
    if known:
        return known[0]
    last = sa.select(sa.func.max(upload_files.c.number)).where(
        upload_files.c.upload_id == upload_id
    )
    number = ((await connection.execute(last)).scalar() or 0) + 1
    pieces = pieces or []
    received = sum(piece["size"] for piece in pieces)
    new = UploadFile(file_id, upload_id, number, name, size, received, pieces)
    await connection.execute(sa.insert(upload_files).values(**new.__dict__))
    return new


async def add_piece(connection: AsyncConnection, file: UploadFile, piece: dict[str, Any]) -> bool:
    """Notes that the next piece of a file is durable; False if another one came before it."""
    change = (
        sa.update(upload_files)
        .where(upload_files.c.id == file.id, upload_files.c.received == file.received)
        .values(received=file.received + piece["size"], pieces=[*file.pieces, piece])
    )
    return (await connection.execute(change)).rowcount == 1


async def drop_file(connection: AsyncConnection, file: UploadFile) -> None:
    await connection.execute(sa.delete(upload_files).where(upload_files.c.id == file.id))


# ---------------------------------------------------------------- its ends


async def share(connection: AsyncConnection, upload_id: str, words: Words, now: int) -> bool:
    """Takes the click on Share; False if it was taken before, or comes too late."""
    change = (
        sa.update(uploads)
        .where(
            uploads.c.id == upload_id,
            uploads.c.state == UploadState.OPEN,
            uploads.c.expires_at > now,
        )
        .values(state=UploadState.SHARED, **words.__dict__, **_due(now))
    )
    return (await connection.execute(change)).rowcount == 1


async def settle(
    connection: AsyncConnection,
    upload_id: str,
    state: UploadState,
    *,
    mail_id: str | None = None,
) -> None:
    """Ends an upload; what was typed is forgotten. It stays due until its files are destroyed."""
    change = sa.update(uploads).where(uploads.c.id == upload_id)
    blank = Words().__dict__
    await connection.execute(change.values(state=state, mail_id=mail_id, **blank))


async def end_of_case(connection: AsyncConnection, case_id: str, now: int) -> None:
    """A case has ended: nothing can become its next version any more."""
    await _end(connection, uploads.c.case_id == case_id, now)


async def end_of_member(connection: AsyncConnection, member_id: str, now: int) -> None:
    """A member may not share any more."""
    await _end(connection, uploads.c.member_id == member_id, now)


async def destroy_key(connection: AsyncConnection, upload_id: str) -> None:
    """Nobody can open its objects from now on; their names are forgotten too."""
    await connection.execute(sa.delete(upload_files).where(upload_files.c.upload_id == upload_id))
    await connection.execute(sa.update(uploads).where(uploads.c.id == upload_id).values(key=None))


async def _end(connection: AsyncConnection, which: sa.ColumnElement[bool], now: int) -> None:
    change = sa.update(uploads).where(which, uploads.c.state == UploadState.OPEN)
    blank = Words().__dict__
    await connection.execute(change.values(state=UploadState.OVER, **blank, **_due(now)))


def _file_id(upload_id: str, mark: str) -> str:
    return derived_id("upload file", f"{upload_id}|{mark}")


def _due(now: int) -> dict[str, Any]:
    return {"due_at": now, "attempt": uploads.c.attempt + 1, "failures": 0}


async def _one(connection: AsyncConnection, which: sa.ColumnElement[bool]) -> Upload | None:
    row = (await connection.execute(sa.select(uploads).where(which))).mappings().first()
    return Upload.of({**row, "state": UploadState(row["state"])}) if row else None
