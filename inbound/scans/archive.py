"""ZIP (APPNOTE 6.3), judged by its directory before a byte of it is unpacked.

The counts and sizes at the archive's end are read by us first, for zipfile would build an object for each of a
million names. Members that share bytes (the trick behind archives that unpack to petabytes) are found by laying
all of them side by side. What is written stops at the size that the directory declared, checksum included.

A refusal's sentence begins with its verb, as everywhere in this package: `case.zip is protected with ...`.
"""

import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from store.errors import ScanRefused

_AGAIN = "Pack the scans again and send them in a new mail."
_END, _END64, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_SIZE, _LOCATOR_SIZE, _LOCAL_SIZE, _ENTRY_SIZE = 22, 20, 30, 46
_LONGEST_COMMENT = 65_535
_BLOCK = 1 << 20
_READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SILENT_FOLDER, _SILENT_NAMES = "__MACOSX", {".DS_Store", "Thumbs.db", "desktop.ini"}
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".3oxz")


@dataclass(frozen=True)
class Limits:
    """Attributes: ratio holds for members above `ratio_from` bytes; depth counts folders of a name."""

    members: int = 200
    unpacked: int = 1 << 30
    ratio: int = 200
    ratio_from: int = 1 << 20
    depth: int = 12
    name: int = 512


DEFAULT = Limits()


@dataclass(frozen=True)
class Member:
    """A file of the archive.

    Attributes:
        name: as packed, decoded and without control characters; for people, never for a path.
        size: bytes once unpacked, as declared and later enforced.
        packed: bytes in the archive.
        position: its place in the directory, by which `extract` finds it.
        refused: a sentence if this one member is not taken; its neighbours are.
    """

    name: str
    size: int
    packed: int
    position: int
    refused: str | None = None


def members(file: BinaryIO, limits: Limits = DEFAULT) -> list[Member]:
    """The files of a ZIP, without folders and the droppings of desktops.

    Raises:
        ScanRefused: the archive as a whole is not taken.
    """
    with _in_plain_words():
        _refuse_large_directory(file, limits)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            real = [(n, entry) for n, entry in enumerate(entries) if not _is_silent(entry)]
            _refuse_too_many(len(real), limits)
            for entry in entries:
                _refuse_unsafe(entry, limits)
            _refuse_too_large(entries, limits)
            _refuse_overlaps(file, entries, archive.start_dir)
            return [_member(number, entry) for number, entry in real]


def extract(file: BinaryIO, member: Member, out: BinaryIO, limit: int = DEFAULT.unpacked) -> int:
    """Write a member to `out` and return its size in bytes; nothing beyond its declared size is written.

    Raises:
        ScanRefused: it is refused, larger than `limit`, damaged, or not of its declared size.
    """
    if member.refused:
        raise ScanRefused(member.refused)
    if member.size > limit:
        raise ScanRefused(f"holds more than {_size(limit)} once unpacked. Send it in parts.")
    with _in_plain_words(), zipfile.ZipFile(file) as archive:
        entry = archive.infolist()[member.position]
        with archive.open(entry) as packed:
            written = 0
            while block := packed.read(_BLOCK):
                written += out.write(block)
        if written != member.size:
            raise zipfile.BadZipFile
        return written


@contextmanager
def _in_plain_words() -> Iterator[None]:
    try:
        yield
    except ScanRefused:
        raise
    except Exception as error:
        # zipfile raises a dozen kinds of error on hostile bytes; none is of use to the sender.
        raise ScanRefused(f"is damaged and cannot be unpacked. {_AGAIN}") from error


def _refuse_large_directory(file: BinaryIO, limits: Limits) -> None:
    """Hold the counts at the end of the archive against the limits, in constant time and memory."""
    count, directory = _end(file)
    # Folders and desktop droppings are entries too, so the raw count may be higher than the limit on files.
    _refuse_too_many(count, limits, slack=4)
    if directory > 4 * limits.members * (_ENTRY_SIZE + limits.name):
        raise ScanRefused(f"has a directory of {_size(directory)}. {_AGAIN}")


def _end(file: BinaryIO) -> tuple[int, int]:
    """How many entries the archive declares, and the size of its directory in bytes."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT - _LOCATOR_SIZE))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise ScanRefused(f"stops before its end. {_AGAIN}")
    count, directory = struct.unpack_from("<HI", tail, at + 10)
    if tail[max(0, at - _LOCATOR_SIZE) : at].startswith(_LOCATOR):
        return _end64(file, struct.unpack_from("<Q", tail, at - 12)[0])
    return count, directory


def _end64(file: BinaryIO, offset: int) -> tuple[int, int]:
    file.seek(offset)
    record = file.read(56)
    if not record.startswith(_END64):
        raise zipfile.BadZipFile
    count, directory = struct.unpack_from("<QQ", record, 32)
    return count, directory


def _refuse_too_many(count: int, limits: Limits, slack: int = 1) -> None:
    if count > limits.members * slack:
        raise ScanRefused(f"holds {count:,} files; up to {limits.members} are read. {_AGAIN}")


def _is_silent(entry: zipfile.ZipInfo) -> bool:
    folders, _, name = entry.filename.rpartition("/")
    inside = folders.split("/")
    return not name or _SILENT_FOLDER in inside or name in _SILENT_NAMES


def _refuse_unsafe(entry: zipfile.ZipInfo, limits: Limits) -> None:
    if entry.flag_bits & 0x41:
        raise ScanRefused("is protected with a password. Send it without one.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ScanRefused(f"holds a link to another file. {_AGAIN}")
    if _leads_outside(entry.orig_filename) or _leads_outside(entry.filename):
        raise ScanRefused(f"holds a file whose path leads out of the archive. {_AGAIN}")
    if entry.filename.count("/") > limits.depth or len(entry.filename) > limits.name:
        raise ScanRefused(f"holds folders within folders, too deep to read. {_AGAIN}")
    if entry.compress_type not in _READ:
        raise ScanRefused("is packed in an unusual way. Pack it as an ordinary ZIP.")


def _leads_outside(name: str) -> bool:
    return (
        name.startswith("/")
        or "\\" in name
        or "\0" in name
        or name[1:2] == ":"
        or ".." in name.split("/")
    )


def _refuse_too_large(entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    if sum(entry.file_size for entry in entries) > limits.unpacked:
        raise ScanRefused(
            f"holds more than {_size(limits.unpacked)} once unpacked. Send it in parts."
        )
    for entry in entries:
        if entry.file_size > max(limits.ratio_from, limits.ratio * entry.compress_size):
            raise ScanRefused(f"holds a file that unpacks to far more than any scan. {_AGAIN}")


def _refuse_overlaps(file: BinaryIO, entries: list[zipfile.ZipInfo], directory: int) -> None:
    """Every member owns its bytes: header, name and data end before the next one begins."""
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    bounds = [*(entry.header_offset for entry in ordered), directory][1:]
    for entry, bound in zip(ordered, bounds, strict=True):
        if entry.header_offset + _local_size(file, entry) + entry.compress_size > bound:
            raise ScanRefused(f"holds files that share the same bytes. {_AGAIN}")


def _local_size(file: BinaryIO, entry: zipfile.ZipInfo) -> int:
    """Bytes of the header before a member's data."""
    file.seek(entry.header_offset)
    header = file.read(_LOCAL_SIZE)
    if len(header) < _LOCAL_SIZE or not header.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile
    name, extra = struct.unpack_from("<HH", header, 26)
    return int(_LOCAL_SIZE + name + extra)


def _member(position: int, entry: zipfile.ZipInfo) -> Member:
    name = _readable(entry)
    nested = name.lower().endswith(_ARCHIVES)
    refused = "is an archive within an archive. Send its files directly." if nested else None
    return Member(name, entry.file_size, entry.compress_size, position, refused)


def _readable(entry: zipfile.ZipInfo) -> str:
    """The name for people: UTF-8 where it is (macOS does not always say so), without control characters."""
    name = entry.filename
    if not entry.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            name = entry.filename
    return "".join(letter for letter in name if unicodedata.category(letter)[0] != "C")


def _size(count: int) -> str:
    if count >= 1 << 30:
        return f"{count / (1 << 30):.0f} GB"
    return f"{max(count / (1 << 20), 0.1):.1f} MB"
