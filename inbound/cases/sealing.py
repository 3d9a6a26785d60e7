"""Objects of a case: plaintext in memory for a child, and what comes back sealed again. Blocks."""

import hashlib
from collections.abc import Iterable

from inbound.scans.child import Memory
from inbound.scans.sniff import HEAD
from store.house import House, SealedObject, open_object


def plain(house: House, key: bytes, name: str) -> Memory:
    return Memory.of(open_object(house.blobs, key, name).pieces())


def seal_result(house: House, key: bytes, name: str, result: Memory) -> tuple[int, str]:
    size, digest, _ = seal(house, key, name, result.pieces())
    return size, digest


def seal(house: House, key: bytes, name: str, pieces: Iterable[bytes]) -> tuple[int, str, bytes]:
    """Seals bytes into an object; returns their size, their SHA-256 and the first of them. Blocks."""
    digest, size, head = hashlib.sha256(), 0, b""
    target = SealedObject(house.blobs, key, name)
    try:
        for piece in pieces:
            target.write(piece)
            digest.update(piece)
            size += len(piece)
            head = head if len(head) >= HEAD else (head + piece)[:HEAD]
        target.commit()
    finally:
        target.abort()
    return size, digest.hexdigest(), head
