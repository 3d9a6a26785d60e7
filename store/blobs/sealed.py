"""Sealed bytes: AES-256-GCM in chunks of 1 MiB, readable from any place.

Form: 7 random bytes, then the chunks, each 1 MiB of plaintext and its tag of 16 bytes, the last one
shorter (never empty, except that empty plaintext is one empty chunk). The nonce of a chunk is those
7 bytes, its number (4 bytes) and whether it is the last (1 byte): chunks cannot be moved, dropped
or cut off unseen (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár). The
associated data names the object, so that one object cannot stand in for another.
"""

import os
import struct
from collections.abc import Callable, Iterator
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from store.errors import ScanpostError

CHUNK = 1 << 20
TAG = 16
PREFIX = 7
MOST_HELD = PREFIX + 4 * (CHUNK + TAG)  # stored bytes


class Sink(Protocol):
    def write(self, data: bytes | memoryview) -> object: ...


class SealedWriter:
    """Seals what is written to it into a sink; `finish` seals the last chunk."""

    def __init__(self, sink: Sink, key: bytes, name: str) -> None:
        self.sink = sink
        self.name = name.encode()
        self.cipher = AESGCM(key)
        self.prefix = os.urandom(PREFIX)
        self.number = 0
        self.size = 0
        self.buffer = bytearray()
        sink.write(self.prefix)

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self.size += len(view)
        if self.buffer:
            missing = CHUNK - len(self.buffer)
            self.buffer += view[:missing]
            view = view[missing:]
            # A full chunk waits until more comes: only then is it known not to be the last.
            if not view:
                return
            self._seal(self.buffer, last=False)
            self.buffer.clear()
        while len(view) > CHUNK:
            self._seal(view[:CHUNK], last=False)
            view = view[CHUNK:]
        self.buffer += view

    def finish(self) -> None:
        self._seal(self.buffer, last=True)
        self.buffer.clear()

    def _seal(self, chunk: bytearray | memoryview, *, last: bool) -> None:
        nonce = _nonce(self.prefix, self.number, last=last)
        self.sink.write(self.cipher.encrypt(nonce, chunk, self.name))
        self.number += 1


class SealedReader:
    """Reads any range of sealed bytes; keeps the chunk of which it read a part last.

    Args:
        read_at: gives the stored bytes from a start up to an end.
        stored: how many bytes are stored.
    """

    def __init__(
        self, read_at: Callable[[int, int], bytes], stored: int, key: bytes, name: str
    ) -> None:
        self.read_at = read_at
        self.stored = stored
        self.name = name.encode()
        self.cipher = AESGCM(key)
        self.prefix = read_at(0, PREFIX)
        self.chunks = max(1, -(-(stored - PREFIX) // (CHUNK + TAG)))
        self.size = stored - PREFIX - TAG * self.chunks
        self.kept = (-1, b"")
        self.held: memoryview | None = None
        if self.size < 0:
            raise ScanpostError(f"The sealed object {name} is cut off.")

    def __len__(self) -> int:
        return self.size

    def hold(self) -> None:
        """Keeps the stored bytes of a small object, sealed as they are: reading never waits again."""
        if self.stored <= MOST_HELD:
            self.held = memoryview(self.read_at(0, self.stored))

    def let_go(self) -> None:
        self.held = None

    @property
    def is_at_hand(self) -> bool:
        """Whether reading asks nothing of a disk or of the network."""
        return self.held is not None

    def read(self, start: int, end: int) -> bytes:
        """The plaintext from `start` up to `end`, fewer bytes at the end."""
        start, end = max(0, start), min(end, self.size)
        if start >= end:
            return b""
        first, last = start // CHUNK, (end - 1) // CHUNK
        if first == last and end - start == CHUNK:
            return self._unseal(first)
        if first == last:
            return self._chunk(first)[start - first * CHUNK : end - first * CHUNK]
        joined = b"".join(self._chunk(number) for number in range(first, last + 1))
        return joined[start - first * CHUNK : end - first * CHUNK]

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The same range in pieces of at most one chunk: constant memory."""
        end = self.size if end is None else min(end, self.size)
        while start < end:
            stop = min(end, (start // CHUNK + 1) * CHUNK)
            yield self.read(start, stop)
            start = stop

    def _chunk(self, number: int) -> bytes:
        kept_number, kept = self.kept  # at once: several threads may read
        if kept_number == number:
            return kept
        chunk = self._unseal(number)
        self.kept = (number, chunk)
        return chunk

    def _unseal(self, number: int) -> bytes:
        start = PREFIX + number * (CHUNK + TAG)
        end = min(start + CHUNK + TAG, self.stored)
        held = self.held  # at once, likewise
        sealed = self.read_at(start, end) if held is None else held[start:end]
        nonce = _nonce(self.prefix, number, last=number == self.chunks - 1)
        try:
            return self.cipher.decrypt(nonce, sealed, self.name)
        except InvalidTag:
            raise ScanpostError(
                f"The sealed object {self.name.decode()} is damaged or belongs to another key."
            ) from None


def _nonce(prefix: bytes, number: int, *, last: bool) -> bytes:
    return prefix + struct.pack(">IB", number, last)
