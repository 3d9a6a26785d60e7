"""Bytes that a browser sends become sealed objects while they come: a slow client costs no memory.

An object counts once a row names it. One that was cut off, or came second, is destroyed here.
"""

import asyncio
import errno
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from store.errors import Gone, Refusal, ScanpostError, TryAgain
from store.house import House, SealedObject, piece_name
from store.tokens import new_id
from store.uploads import LARGEST_PIECE, Upload
from viewer.languages import msgid

CHUNK = 1 << 16
IDLE = 30.0  # seconds without a byte until a place is given to somebody else
LONGEST_PIECE, LONGEST_FORM = 600.0, 3_600.0  # seconds, however steadily it trickles
# Requests that bring bytes: of all uploads, of the pages of one member, and of one page.
MOST_AT_ONCE, MOST_OF_MEMBER, MOST_OF_ONE = 24, 8, 4
_DISK_IS_FULL = msgid("This server's disk is full. What is here is kept; try again later.")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
Read = Callable[[int], Awaitable[bytes]]
Piece = dict[str, Any]


class NoRoom(Refusal):
    """The disk is full: a sentence for who wants to upload."""

    def __init__(self) -> None:
        super().__init__(_DISK_IS_FULL)


class TooLong(ScanpostError):
    """More bytes come than there is room for; none of them is left."""


class Places:
    """How many requests may bring bytes at once: each may hold a piece in memory for an object store."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()  # by upload
        self.members: Counter[str] = Counter()

    @contextmanager
    def place(self, upload: Upload) -> Iterator[None]:
        """Raises TryAgain when all are taken, or all that one member may have."""
        if (
            self.taken.total() >= MOST_AT_ONCE
            or self.members[upload.member_id] >= MOST_OF_MEMBER
            or self.taken[upload.id] >= MOST_OF_ONE
        ):
            raise TryAgain("Too many files come in at once. Try again in a moment.")
        ours = ((self.taken, upload.id), (self.members, upload.member_id))
        for counter, name in ours:
            counter[name] += 1
        try:
            yield
        finally:
            for counter, name in ours:
                counter[name] -= 1
                if not counter[name]:
                    del counter[name]


PLACES = web.AppKey("places", Places)


def check_room(house: House, size: int) -> None:
    """Raises NoRoom when the disk could not hold these bytes and the largest mails that may come."""
    if house.spool.free_bytes() < 2 * house.settings.max_mail_bytes + size:
        raise NoRoom


def comes_packed(request: web.Request) -> bool:
    """Whether the bytes of a request are not the ones that were announced.

    Each such header counts: a parser may unpack by the last one where we would look at the first.
    """
    encodings = request.headers.getall("Content-Encoding", [])
    return any(one.strip().lower() != "identity" for one in encodings)


async def take_piece(
    house: House, key: bytes, upload_id: str, read: Read, most: int
) -> Piece | None:
    """Seals what comes, up to a piece, into an object of its own; None if nothing comes.

    Args:
        most: bytes that may come. What is beyond them is neither sealed nor read to its end.

    Raises:
        TooLong: more come.
        NoRoom: the disk is full.
        Gone: the upload has ended meanwhile.
        TimeoutError: nothing came for too long.
        ConnectionError: it was cut off; nothing is left of it.
    """
    first = await _next(read)
    if not first:
        return None
    run, name = house.object_threads.run, new_id()
    digest, size = hashlib.sha256(), 0
    try:
        sealed = await run(SealedObject, house.blobs, key, piece_name(upload_id, name))
        try:
            chunk = first
            while chunk:
                size += len(chunk)
                if size > most:
                    raise TooLong("More bytes come than there is room for.")
                digest.update(chunk)
                await run(sealed.write, chunk)
                chunk = await _next(read) if size < LARGEST_PIECE else b""
            await run(sealed.commit)
        finally:
            await run(sealed.abort)
    except FileNotFoundError:  # destroyed under our hands: the page has taken its files meanwhile
        raise Gone("This upload page has taken its files.") from None
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoRoom from None
    return {"name": name, "size": size, "sha256": digest.hexdigest()}


async def take_file(house: House, key: bytes, upload_id: str, read: Read, most: int) -> list[Piece]:
    """Seals a whole file, in as many pieces as it takes; nothing is left of one that is cut off, or has
    more bytes than `most`. Raises as `take_piece`.
    """
    pieces: list[Piece] = []
    try:
        while piece := await take_piece(house, key, upload_id, read, most):
            pieces.append(piece)
            most -= piece["size"]
            check_room(house, min(most, LARGEST_PIECE))  # others may have filled the disk meanwhile
    except BaseException:
        await drop_pieces(house, upload_id, pieces)
        raise
    return pieces


async def drop_pieces(house: House, upload_id: str, pieces: list[Piece]) -> None:
    for piece in pieces:
        name = piece_name(upload_id, piece["name"])
        await house.object_threads.run(house.blobs.delete, name)


async def _next(read: Read) -> bytes:
    async with asyncio.timeout(IDLE):
        return await read(CHUNK)
