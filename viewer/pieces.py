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

from store.errors import Gone, Refusal, TryAgain
from store.house import House, SealedObject, piece_name
from store.tokens import new_id
from store.uploads import LARGEST_PIECE
from viewer.languages import msgid

CHUNK = 1 << 16
IDLE = 30.0  # seconds without a byte until a place is given to somebody else
LONGEST_PIECE, LONGEST_FORM = 600.0, 3_600.0  # seconds, however steadily it trickles
MOST_AT_ONCE, MOST_OF_ONE = 24, 4  # requests that bring bytes: of all uploads, and of one
_DISK_IS_FULL = msgid("This server's disk is full. What is here is kept; try again later.")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
Read = Callable[[int], Awaitable[bytes]]
Piece = dict[str, Any]


class NoRoom(Refusal):
    """The disk is full: a sentence for who wants to upload."""

    def __init__(self) -> None:
        super().__init__(_DISK_IS_FULL)


class Places:
    """How many requests may bring bytes at once: each may hold a piece in memory for an object store."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()

    @contextmanager
    def place(self, upload_id: str) -> Iterator[None]:
        """Raises TryAgain when all are taken."""
        if self.taken.total() >= MOST_AT_ONCE or self.taken[upload_id] >= MOST_OF_ONE:
            raise TryAgain("Too many files come in at once. Try again in a moment.")
        self.taken[upload_id] += 1
        try:
            yield
        finally:
            self.taken[upload_id] -= 1
            if not self.taken[upload_id]:
                del self.taken[upload_id]


PLACES = web.AppKey("places", Places)


def check_room(house: House, size: int) -> None:
    """Raises NoRoom when the disk could not hold these bytes and the largest mails that may come."""
    if house.spool.free_bytes() < 2 * house.settings.max_mail_bytes + size:
        raise NoRoom


async def take_piece(house: House, key: bytes, upload_id: str, read: Read) -> Piece | None:
    """Seals what comes, up to a piece, into an object of its own; None if nothing comes.

    Raises:
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
                digest.update(chunk)
                size += len(chunk)
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


async def take_file(house: House, key: bytes, upload_id: str, read: Read) -> list[Piece]:
    """Seals a whole file, in as many pieces as it takes; nothing is left of one that is cut off."""
    pieces: list[Piece] = []
    try:
        while piece := await take_piece(house, key, upload_id, read):
            pieces.append(piece)
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
