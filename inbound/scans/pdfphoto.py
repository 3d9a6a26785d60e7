"""A photo on a PDF's page, as its camera packed it: the pixels stay, the camera's records go.

JPEG (DCTDecode) loses its metadata segments. In JPEG 2000 (JPXDecode: ISO 15444-1 annex I) the boxes that do not
make the picture are blanked and keep their size, for other boxes may point behind them. What is packed around a
photo is undone, within bounds: EXIF is just as readable through it.
"""

import contextlib
import zlib
from dataclasses import dataclass

import numpy as np

from inbound.scans.photo import jpeg_metadata
from store.errors import ScanRefused

MOST_UNPACKED = 256 << 20  # bytes of all photos of one document
JPEG, JPEG_2000 = "/DCTDecode", "/JPXDecode"
_SHORT = {"/DCT": JPEG, "/Fl": "/FlateDecode", "/A85": "/ASCII85Decode", "/AHx": "/ASCIIHexDecode"}
_DEEPEST = 4  # packings around one photo
_AGAIN = "Print it to a new PDF and send it in a new mail."
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_SPACE = b"\0\t\n\f\r "

# Boxes that make a picture, by type; and those that hold others.
_SHOWING = {b"jP  ", b"ftyp", b"rreq", b"jp2c", b"flst", b"mdat", b"free", b"ihdr", b"bpcc"}
_SHOWING |= {b"colr", b"pclr", b"cmap", b"cdef", b"opct", b"creg"}
_HOLDING = {b"jp2h", b"jpch", b"jplh", b"cgrp", b"ftbl"}
_MOST_BOXES, _MOST_SEGMENTS = 10_000, 10_000
_CODE_START, _COMMENT, _TILE = b"\xff\x4f\xff\x51", b"\xff\x64", b"\xff\x90"


@dataclass(frozen=True)
class Bare:
    """A photo without its metadata.

    Attributes:
        coding: `JPEG` or `JPEG_2000`, the only packing of `data`.
        unpacked: bytes that came out of packings around it.
        stripped: how many pieces of metadata are gone.
    """

    data: bytes
    coding: str
    unpacked: int
    stripped: int


def is_photo(filters: list[str]) -> bool:
    """Whether a stream of these filters, in the order in which they are undone, is a JPEG or JPEG 2000."""
    return bool(filters) and _long(filters[-1]) in {JPEG, JPEG_2000}


def bare(data: bytes, filters: list[str], room: int = MOST_UNPACKED) -> Bare:
    """The photo without metadata and without other packings.

    Args:
        filters: of which the last is a photo's, see `is_photo`.
        room: how many bytes may be unpacked.

    Raises:
        ScanRefused: it unpacks to more, or is packed in a way that cannot be undone.
    """
    *around, coding = [_long(name) for name in filters]
    if len(around) > _DEEPEST:
        raise cannot()
    unpacked = 0
    for packing in around:
        data = _undone(data, packing, room - unpacked)
        unpacked += len(data)
    clean, stripped = _jpeg(data) if coding == JPEG else _jpeg_2000(data)
    return Bare(clean, coding, unpacked, stripped)


def cannot() -> ScanRefused:
    """The refusal of a photo that would keep its metadata."""
    return ScanRefused(f"holds a photo whose metadata cannot be taken out. {_AGAIN}")


def _long(name: str) -> str:
    return _SHORT.get(name, name)


def _too_much() -> ScanRefused:
    return ScanRefused(f"unpacks to more than {MOST_UNPACKED >> 20} MB of photos. {_AGAIN}")


# ---------------------------------------------------------------- what is packed around it


def _undone(data: bytes, packing: str, room: int) -> bytes:
    with contextlib.suppress(ValueError, zlib.error):
        if packing == "/FlateDecode":
            return _inflated(data, room)
        if packing == "/ASCIIHexDecode":
            return _from_hex(data, room)
        if packing == "/ASCII85Decode":
            return _from_base_85(data, room)
    raise cannot()


def _inflated(data: bytes, room: int) -> bytes:
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(data, room + 1)
    if len(unpacked) > room:
        raise _too_much()
    return unpacked  # one that ends early is shown as far as it goes


def _from_hex(data: bytes, room: int) -> bytes:
    digits = data.partition(b">")[0].translate(None, _SPACE)
    if len(digits) // 2 > room:
        raise _too_much()
    return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))


def _from_base_85(data: bytes, room: int) -> bytes:
    """Five letters from "!" to "u" are four bytes, "z" is four zeros; the last letters may be fewer."""
    letters = data.lstrip(_SPACE).removeprefix(b"<~").partition(b"~")[0].translate(None, _SPACE)
    if (len(letters) + 4 * letters.count(b"z")) // 5 * 4 > room:
        raise _too_much()
    letters = letters.replace(b"z", b"!!!!!")
    missing = -len(letters) % 5
    codes = np.frombuffer(letters + b"u" * missing, np.uint8).reshape(-1, 5)
    if len(codes) and (codes.min() < ord("!") or codes.max() > ord("u")):
        raise cannot()
    words = np.zeros(len(codes), np.uint64)
    for place in range(5):
        words = words * np.uint64(85) + (codes[:, place] - np.uint8(ord("!")))
    packed = words.astype(np.uint32).astype(">u4").tobytes()
    return packed[: len(packed) - missing]


# ---------------------------------------------------------------- JPEG


def _jpeg(data: bytes) -> tuple[bytes, int]:
    before = data.find(_JPEG_START)
    if before < 0:
        return b"", int(bool(data))  # no reader shows anything of it
    photo = memoryview(data)[before:]
    try:
        spans = jpeg_metadata(photo)
    except ScanRefused:  # one without an end is shown as far as it goes
        photo = memoryview(bytes(photo) + _JPEG_END)
        spans = _spans(photo)
    starts = [0, *[end for _, end in spans]]
    ends = [*[start for start, _ in spans], len(photo)]
    clean = b"".join(photo[start:end] for start, end in zip(starts, ends, strict=True))
    # Two bytes or fewer behind the end are a line's.
    return clean, (before > 0) + sum(1 for start, end in spans if end - start > 2)


def _spans(photo: memoryview) -> list[tuple[int, int]]:
    try:
        return jpeg_metadata(photo)
    except ScanRefused:
        raise cannot() from None


# ---------------------------------------------------------------- JPEG 2000


def _jpeg_2000(data: bytes) -> tuple[bytes, int]:
    clean = bytearray(data)
    if clean.startswith(_CODE_START):  # without any box
        blanked = _blank_comments(clean, 0, len(clean))
        return bytes(clean), blanked
    at, blanked = 0, 0
    for _ in range(_MOST_BOXES):
        if len(clean) - at < 8:  # no room for a box
            return bytes(clean[:at]), blanked + (len(clean) - at > 2)
        kind = bytes(clean[at + 4 : at + 8])
        head, end = _box(clean, at)
        if kind in _HOLDING:
            at += head  # what it holds comes next, and fills it
            continue
        if kind == b"jp2c":
            blanked += _blank_comments(clean, at + head, end)
        elif kind not in _SHOWING:
            clean[at + 4 : at + 8] = b"free"
            clean[at + head : end] = bytes(end - at - head)
            blanked += 1
        at = end
    raise cannot()


def _box(data: bytearray, at: int) -> tuple[int, int]:
    """(bytes of the box's head, where it ends); what is no box reaches to the end of the data."""
    whole = len(data) - at
    head, length = 8, int.from_bytes(data[at : at + 4], "big")
    if length == 1 and whole >= 16:
        head, length = 16, int.from_bytes(data[at + 8 : at + 16], "big")
    return head, at + (length if head <= length <= whole else whole)


def _blank_comments(data: bytearray, at: int, end: int) -> int:
    """Blanks the texts in the head of a code stream; how many."""
    blanked = 0
    at += 2
    for _ in range(_MOST_SEGMENTS):
        marker, length = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4], "big")
        behind = at + 2 + length
        if marker == _TILE or not marker.startswith(b"\xff") or length < 2 or behind > end:
            return blanked
        if marker == _COMMENT and length > 4:
            data[at + 6 : behind] = bytes(length - 4)
            blanked += 1
        at = behind
    raise cannot()
