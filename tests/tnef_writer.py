"""Writes winmail.dat as Outlook does (MS-OXTNEF), and wrongly where a test asks for it."""

import struct
from dataclasses import dataclass

MESSAGE, ATTACHMENT = 1, 2
UNICODE, STRING, BINARY, OBJECT, INTEGER, BOOLEAN = 0x1F, 0x1E, 0x102, 0x0D, 3, 11
IMESSAGE = bytes.fromhex("0703020000000000c000000000000046")
ISTORAGE = bytes.fromhex("0b00000000000000c000000000000046")


@dataclass
class File:
    """An attachment: `data` beside the MAPI properties, or with `inside` among them."""

    data: bytes | None
    title: str = ""
    long_name: str = ""
    method: int = 1
    inside: bool = False
    embedded: bytes = b""
    more: tuple[bytes, ...] = ()


def winmail(*files: File, codepage: int = 1252, more: bytes = b"") -> bytes:
    head = attribute(MESSAGE, 0x9006, 8, struct.pack("<I", 0x10000))
    head += attribute(MESSAGE, 0x9007, 6, struct.pack("<II", codepage, 0))
    head += attribute(MESSAGE, 0x8008, 7, b"IPM.Microsoft Mail.Note\0")
    head += attribute(MESSAGE, 0x9003, 6, properties(text(0x0037, "Two scans")))
    return stream(head, more, *(attachment(file, codepage) for file in files))


def stream(*parts: bytes) -> bytes:
    return b"\x78\x9f\x3e\x22\x01\x00" + b"".join(parts)


def attribute(level: int, name: int, kind: int, data: bytes) -> bytes:
    total = sum(data) & 0xFFFF
    return struct.pack("<BHHI", level, name, kind, len(data)) + data + struct.pack("<H", total)


def attachment(file: File, codepage: int = 1252) -> bytes:
    parts = [attribute(ATTACHMENT, 0x9002, 6, bytes(14))]
    if file.title:
        title = file.title.encode(f"cp{codepage}", "replace") + b"\0"
        parts.append(attribute(ATTACHMENT, 0x8010, 1, title))
    if file.data is not None and not file.inside:
        parts.append(attribute(ATTACHMENT, 0x800F, 6, file.data))
    parts.append(attribute(ATTACHMENT, 0x8011, 6, b"a picture of the file"))
    values = [number(0x3705, file.method), flag(0x7FFE), named(0x8001, "über"), *file.more]
    if file.embedded:
        values.append(value(0x3701, OBJECT, file.embedded))
    if file.data is not None and file.inside:
        values.append(value(0x3701, BINARY, file.data))
    if file.long_name:
        values.append(text(0x3707, file.long_name))
    parts.append(attribute(ATTACHMENT, 0x9005, 6, properties(*values)))
    return b"".join(parts)


def properties(*values: bytes) -> bytes:
    return struct.pack("<I", len(values)) + b"".join(values)


def value(identity: int, kind: int, data: bytes, count: int = 1) -> bytes:
    return struct.pack("<HHI", kind, identity, count) + sized(data)


def values(identity: int, kind: int, *data: bytes) -> bytes:
    head = struct.pack("<HHI", kind | 0x1000, identity, len(data))
    return head + b"".join(map(sized, data))


def text(identity: int, written: str) -> bytes:
    return value(identity, UNICODE, written.encode("utf-16-le") + b"\0\0")


def number(identity: int, given: int) -> bytes:
    return struct.pack("<HHI", INTEGER, identity, given)


def flag(identity: int) -> bytes:
    return struct.pack("<HHHH", BOOLEAN, identity, 1, 0)


def named(identity: int, name: str) -> bytes:
    """A named property, whose name stands before its value."""
    written = name.encode("utf-16-le") + b"\0\0"
    head = struct.pack("<HH", UNICODE, identity) + bytes(16) + struct.pack("<I", 1)
    return head + sized(written) + struct.pack("<I", 1) + sized("wert\0".encode("utf-16-le"))


def numbered(identity: int) -> bytes:
    head = struct.pack("<HH", INTEGER, identity) + bytes(16) + struct.pack("<II", 0, 7)
    return head + struct.pack("<I", 9)


def shorts(identity: int, *given: int) -> bytes:
    head = struct.pack("<HHI", 0x1002, identity, len(given))
    return head + struct.pack(f"<{len(given)}H", *given) + bytes(2 * (len(given) % 2))


def sized(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data + bytes(-len(data) % 4)
