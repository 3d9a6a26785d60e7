"""Files that hold files: ZIP, and what Outlook makes of a mail in Rich Text (winmail.dat).

A child process looks into them; what it hands out goes on like any attached file. A ZIP within a
winmail.dat is unpacked too, as if it had been attached; a ZIP within a ZIP is not.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from inbound.mail.attachments import Attachment
from inbound.mail.names import safe_name
from inbound.scans.child import Children, Memory
from inbound.scans.sniff import HEAD, Format, sniff
from store.errors import Refusal, ScanRefused
from store.threads import Threads

MOST_UNPACKED = 200  # files of one mail; each costs a child
# Outlook's own names for the pictures of a signature: linked, missing, and drawn into Rich Text.
_SIGNATURE = re.compile(
    r"image\d{3}\.(?:png|jpe?g|gif|bmp|tiff?|[ew]m[fz])|~WRD\d+\.jpg|picture \(.+\)", re.IGNORECASE
)


class Unpacker:
    """
    Args:
        store: takes a name, its bytes and its path; called once for each file found inside.
        tell: takes a sentence about what could not be unpacked.
    """

    def __init__(
        self,
        threads: Threads,
        children: Children,
        store: Callable[[str, Callable[[], Iterable[bytes]], str], Awaitable[object]],
        tell: Callable[[str], None],
    ) -> None:
        self.threads = threads
        self.children = children
        self.store = store
        self.tell = tell
        self.unpacked = 0

    async def unpack(self, file: Attachment) -> str:
        """Unpacks a file; returns the SHA-256 of it as it was sent, nothing if it was damaged.

        Raises:
            ChildLost: a child died by no fault of the file.
        """
        digest = hashlib.sha256()
        async with self.children.room:
            try:
                packed = await self.threads.run(Memory.of, _hashed(file.pieces(), digest))
            except Refusal as refusal:  # uuencoded, and damaged on its way
                self.tell(str(refusal))
                return ""
            with packed:
                await self._unpack(packed, file.format, file.name)
        return digest.hexdigest()

    async def _unpack(self, packed: Memory, kind: Format, name: str) -> None:
        try:
            listed, _ = await self.children.run("list_members", [packed], 0, format=kind.value)
        except ScanRefused as refusal:
            self.tell(f"{name} {refusal}")
            return
        self.unpacked += len(listed["members"])
        if self.unpacked > MOST_UNPACKED:
            self.tell(
                f"{name} was not unpacked: with it this mail holds more than {MOST_UNPACKED} files."
                " Send it in a mail of its own."
            )
            return
        for place, member in enumerate(listed["members"]):
            if kind is Format.ZIP or not _SIGNATURE.fullmatch(member["name"]):
                await self._unpack_member(packed, kind, place, member, name)

    async def _unpack_member(
        self, packed: Memory, kind: Format, place: int, member: dict[str, Any], inside: str
    ) -> None:
        name = safe_name(member["name"], f"file {place + 1} of {inside}")
        try:
            _, (out,) = await self.children.run(
                "extract_member", [packed], 1, place=place, format=kind.value
            )
        except ScanRefused as refusal:
            self.tell(f"{name} {refusal}")
            return
        with out:
            if kind is Format.TNEF and _format_of(out) is Format.ZIP:
                await self._unpack(out, Format.ZIP, name)
            else:
                await self.store(name, out.pieces, f"{inside}/{member['name']}")


async def is_mere_formatting(threads: Threads, children: Children, file: Attachment) -> bool:
    """Whether a file is only how Outlook wanted a text to look: a winmail.dat that holds no file."""
    if file.format is not Format.TNEF:
        return False
    try:
        async with children.room:
            with await threads.run(lambda: Memory.of(file.pieces())) as packed:
                listed, _ = await children.run(
                    "list_members", [packed], 0, format=Format.TNEF.value
                )
    except Refusal:  # damaged: whoever takes it says so
        return False
    return all(_SIGNATURE.fullmatch(member["name"]) for member in listed["members"])


def _format_of(file: Memory) -> Format:
    return sniff(next(file.pieces(HEAD), b""), file.size)


def _hashed(pieces: Iterable[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece
