"""What every part is handed: the stores, the clock and the settings of this process."""

import asyncio
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from store.blobs import Blobs, Writing
from store.blobs.keys import Keys
from store.blobs.sealed import SealedReader, SealedWriter
from store.blobs.spool import Spool
from store.clock import Clock
from store.model import Scan
from store.records import cases, uploads
from store.records.database import Database
from store.settings import Settings
from store.threads import Threads

MAPS = frozenset({"map", "change"})  # one value a vertex of a scan's full mesh


@dataclass
class House:
    settings: Settings
    clock: Clock
    database: Database
    spool: Spool
    blobs: Blobs
    keys: Keys
    threads: Threads  # for the spool and for reading mails
    object_threads: Threads  # for objects: an outage of their store must not hold up a REVOKE
    poked: asyncio.Event = field(default_factory=asyncio.Event)

    def poke(self) -> None:
        """Says that a row has become due: the sweep looks at once instead of in a second."""
        self.poked.set()

    async def case_key(self, connection: AsyncConnection, case_id: str) -> bytes:
        """Raises Gone when the key has been destroyed."""
        return self.keys.unwrap(await cases.wrapped_key(connection, case_id))

    async def upload_key(self, connection: AsyncConnection, upload_id: str) -> bytes:
        """Raises Gone when the key has been destroyed."""
        return self.keys.unwrap(await uploads.wrapped_key(connection, upload_id))


class SealedObject:
    """An object that is being written: sealed on its way, visible at `commit`. Blocks."""

    def __init__(self, blobs: Blobs, key: bytes, name: str) -> None:
        self.writing: Writing = blobs.create(name)
        self.sealed = SealedWriter(self.writing, key, name)

    def write(self, data: bytes | memoryview) -> None:
        self.sealed.write(data)

    def commit(self) -> None:
        self.sealed.finish()
        self.writing.commit()

    def abort(self) -> None:
        self.writing.abort()


def open_object(blobs: Blobs, key: bytes, name: str) -> SealedReader:
    """Opens a sealed object for reading. Blocks. Raises NotFound."""
    return SealedReader(
        lambda start, end: blobs.read(name, start, end), blobs.size(name), key, name
    )


def object_name(case_id: str, version_id: str, scan: int, what: str) -> str:
    """Where an object of a scan lies; scan 0 is the version as a whole."""
    return f"{version_prefix(case_id, version_id)}{scan}/{what}"


def scan_object(case_id: str, scan: Scan, what: str) -> str:
    """Where an object of a scan lies; what an earlier version brought lies there still.

    Maps belong to the version itself: they say how its scans meet, and what has changed.
    """
    if scan.is_carried and what not in MAPS:
        return object_name(case_id, scan.home_version, scan.home_number, what)
    return object_name(case_id, scan.version_id, scan.number, what)


def remark_object(case_id: str, remark_id: str, what: str) -> str:
    """Where the picture of a remark lies: as it was "sent", and as it was "checked"."""
    return f"{case_prefix(case_id)}remarks/{remark_id}/{what}"


def version_prefix(case_id: str, version_id: str) -> str:
    return f"{case_prefix(case_id)}{version_id[:8]}/"


def case_prefix(case_id: str) -> str:
    return f"cases/{case_id}/"


def piece_name(upload_id: str, piece: str) -> str:
    """Where a piece of an uploaded file lies until its upload has become a mail."""
    return f"{upload_prefix(upload_id)}{piece}"


def upload_prefix(upload_id: str) -> str:
    return f"uploads/{upload_id}/"
