"""winmail.dat (MS-OXTNEF): the files that Outlook packs away when a mail is written in Rich Text.

A list of attributes, each with its length and the sum of its bytes. It is walked by seeking, so that a
file of any size costs a megabyte of memory; only what belongs to attachments is read. tnefparse is not
used: it cuts the zero bytes off the end of a file, takes half a file for a whole one, and counts to
four thousand million where a hostile count tells it to (tests/test_scans_tnef.py compares the rest).

A refusal's sentence begins with its verb, as everywhere in this package.
"""

import struct
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from inbound.scans.archive import DEFAULT, Limits, Member
from store.errors import ScanRefused

SIGNATURE = b"\x78\x9f\x3e\x22"
RICH_TEXT = (
    "Outlook makes winmail.dat of a mail in Rich Text. Choose File > Options > Mail > Compose messages"
    " in this format: HTML (or Plain Text), and send the scans again."
)
MOST_READS = 1_000_000  # of a few bytes each; 200 attachments need fifty thousand
_DAMAGED = f"is damaged. {RICH_TEXT}"
_BLOCK = 1 << 20
_LONGEST_NAME, _LONGEST_TAIL = 2_048, 4_096  # bytes
_HEADER = struct.Struct("<BHHI")
_ATTACHMENT_LEVEL, _LEVELS = 2, (1, 2)
_DATA, _TITLE, _BEGINS, _PROPERTIES, _CODEPAGE = 0x800F, 0x8010, 0x9002, 0x9005, 0x9007
_MAPI_DATA, _MAPI_METHOD = 0x3701, 0x3705
_MAPI_NAMES = (0x3707, 0x3704, 0x3001)  # the long one, the short one, the one shown
_SHORT, _INTEGER, _BOOLEAN, _OBJECT, _STRING, _UNICODE, _BINARY = 2, 3, 11, 13, 0x1E, 0x1F, 0x102
_FIXED = {_SHORT: 2, _INTEGER: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, _BOOLEAN: 2, 20: 8, 64: 8, 72: 16}
_VARIABLE = {0, _OBJECT, _STRING, _UNICODE, _BINARY}
_MULTIPLE, _NAMED = 0x1000, 0x8000
_MESSAGE_METHOD = 5
_REFUSED = {  # MS-OXCMSG 2.2.2.9: where an attachment's bytes are
    **dict.fromkeys((2, 3, 4, 7), "is only a link to a file. Attach the file itself."),
    _MESSAGE_METHOD: "is a mail within the mail. Send its files directly.",
    6: "is an object inside the text. Attach it as a file.",
}
_MESSAGE = bytes.fromhex("0703020000000000c000000000000046")  # IID_IMessage


def members(file: BinaryIO, limits: Limits = DEFAULT) -> list[Member]:
    """The attachments of a winmail.dat, in their order; what is no file is listed as refused.

    Raises:
        ScanRefused: it is damaged, or holds too much.
    """
    found: list[_Attachment] = []
    codepage = "cp1252"
    stream = _Stream(file)
    for attribute in _attributes(stream):
        if attribute.name == _CODEPAGE and attribute.size >= 4:
            codepage = f"cp{stream.number(4)}"
        if attribute.level != _ATTACHMENT_LEVEL:
            continue
        if attribute.name == _BEGINS or not found:
            found.append(_Attachment(codepage))
            if len(found) > limits.members:
                raise ScanRefused(f"holds more than {limits.members} files. Send them in parts.")
        found[-1].take(stream, attribute)
    if sum(attachment.size for attachment in found) > limits.unpacked:
        raise ScanRefused(f"holds more than {limits.unpacked >> 20} MB. Send it in parts.")
    return [attachment.member(number) for number, attachment in enumerate(found, 1)]


def extract(file: BinaryIO, member: Member, out: BinaryIO, limit: int = DEFAULT.unpacked) -> int:
    """Write a member to `out` and return its size in bytes.

    Raises:
        ScanRefused: it is refused or larger than `limit`.
    """
    if member.refused:
        raise ScanRefused(member.refused)
    if member.size > limit:
        raise ScanRefused(f"holds more than {limit >> 20} MB. Send it in parts.")
    return sum(map(out.write, _Stream(file).pieces(member.position, member.size)))


class _Stream:
    """A file that is read in few and small pieces, and never beyond its end."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, 2)
        self.reads = 0
        self.seek(0, self.size)

    def seek(self, at: int, end: int) -> None:
        """Go to a place; nothing at or behind `end` is read until the next call."""
        self.reads += 1
        if at > end or self.reads > MOST_READS:
            raise ScanRefused(_DAMAGED)
        self.at, self.end = self.file.seek(at), end

    def take(self, count: int) -> bytes:
        self.reads += 1
        data = self.file.read(count) if self.at + count <= self.end else b""
        if len(data) < count or self.reads > MOST_READS:
            raise ScanRefused(_DAMAGED)
        self.at += count
        return data

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def skip(self, count: int) -> None:
        self.seek(self.at + count, self.end)

    def pieces(self, start: int, size: int) -> Iterator[bytes]:
        self.seek(start, self.size)
        while size:
            piece = self.take(min(size, _BLOCK))
            size -= len(piece)
            yield piece


@dataclass(frozen=True)
class _Attribute:
    level: int
    name: int
    start: int
    size: int


def _attributes(stream: _Stream) -> Iterator[_Attribute]:
    """Each attribute, with the stream at its first byte."""
    if stream.size < 6 or stream.take(4) != SIGNATURE:
        raise ScanRefused(_DAMAGED)
    at = 6
    while at < stream.size:
        stream.seek(at, stream.size)
        rest = stream.size - at
        if rest <= _LONGEST_TAIL and not stream.take(rest).strip(b"\0\r\n\t "):
            return  # blanks that some program on the way put behind
        stream.seek(at, stream.size)
        level, name, _, size = _HEADER.unpack(stream.take(_HEADER.size))
        start = at + _HEADER.size
        if level not in _LEVELS or start + size + 2 > stream.size:
            raise ScanRefused(_DAMAGED)
        stream.seek(start, start + size)
        yield _Attribute(level, name, start, size)
        at = start + size + 2


class _Attachment:
    """What the attributes say of one attachment, in whatever order they come."""

    def __init__(self, codepage: str) -> None:
        self.codepage = codepage
        self.names: dict[int, str] = {}
        self.method = 0
        self.position: int | None = None
        self.size = 0
        self.damaged = False

    def take(self, stream: _Stream, attribute: _Attribute) -> None:
        if attribute.name not in (_TITLE, _DATA, _PROPERTIES):
            return
        if attribute.name == _TITLE:
            self.names[_TITLE] = self._name(stream, _STRING, attribute.size)
        elif attribute.name == _DATA:
            self.position, self.size = attribute.start, attribute.size
        elif attribute.name == _PROPERTIES:
            for identity, kind, size in _properties(stream):
                self._take_property(stream, identity, kind, size)
        self.damaged = self.damaged or not _sum_is_right(stream, attribute)

    def member(self, number: int) -> Member:
        named = (self.names.get(key, "") for key in (*_MAPI_NAMES[:1], _TITLE, *_MAPI_NAMES[1:]))
        name = next(filter(None, named), f"file {number}")
        refused = _REFUSED.get(self.method)
        if not refused and self.position is None:
            refused = f"is named in winmail.dat and not in it. {RICH_TEXT}"
        if not refused and self.damaged:
            refused = _DAMAGED
        return Member(name, self.size, self.size, self.position or 0, refused)

    def _take_property(self, stream: _Stream, identity: int, kind: int, size: int) -> None:
        if identity in _MAPI_NAMES and kind in (_STRING, _UNICODE):
            self.names[identity] = self._name(stream, kind, size)
        elif identity == _MAPI_METHOD and kind == _INTEGER:
            self.method = stream.number(4)
        elif identity == _MAPI_DATA and kind == _BINARY:
            self.position, self.size = stream.at, size
        elif identity == _MAPI_DATA and kind == _OBJECT:
            is_message = size >= len(_MESSAGE) and stream.take(len(_MESSAGE)) == _MESSAGE
            self.method = _MESSAGE_METHOD if is_message else 6
            self.size = size

    def _name(self, stream: _Stream, kind: int, size: int) -> str:
        data = stream.take(min(size, _LONGEST_NAME))
        codec = "utf-16-le" if kind == _UNICODE else self.codepage
        try:
            text = data.decode(codec, "replace")
        except LookupError:
            text = data.decode("cp1252", "replace")
        return "".join(c for c in text.partition("\0")[0] if unicodedata.category(c)[0] != "C")


def _properties(stream: _Stream) -> Iterator[tuple[int, int, int]]:
    """Each MAPI value (identity, kind, bytes), with the stream at its first byte (MS-OXTNEF 2.1.3.4)."""
    end = stream.end
    for _ in range(stream.number(4)):
        kind, identity = stream.number(2), stream.number(2)
        multiple, kind = kind & _MULTIPLE, kind & ~_MULTIPLE
        if identity >= _NAMED:
            _skip_name(stream)
        if kind not in _FIXED and kind not in _VARIABLE:
            return  # its length is not known, and so not where the next one begins
        count = stream.number(4) if multiple or kind in _VARIABLE else 1
        start = at = stream.at
        for _ in range(count):
            size = _FIXED.get(kind) or stream.number(4)
            at = stream.at
            yield identity, kind, size
            at += size if kind in _FIXED else size + -size % 4
            stream.seek(at, end)
        stream.skip(-(at - start) % 4)


def _skip_name(stream: _Stream) -> None:
    stream.skip(16)
    if stream.number(4):
        size = stream.number(4)
        stream.skip(size + -size % 4)
    else:
        stream.skip(4)


def _sum_is_right(stream: _Stream, attribute: _Attribute) -> bool:
    total = 0
    for piece in stream.pieces(attribute.start, attribute.size):
        total += int(np.frombuffer(piece, np.uint8).sum(dtype=np.uint64))
    return total & 0xFFFF == stream.number(2)
