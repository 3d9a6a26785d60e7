"""Photos in PDFs: whatever is packed around them, their cameras' records go and their pixels stay."""

import base64
import io
import random
import struct
import zlib
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inbound.scans import pdfphoto
from inbound.scans.pdfphoto import JPEG, JPEG_2000, bare, is_photo
from store.errors import ScanRefused
from tests.refusing import refused

PLACE = b"48 8.2 N 11 34.5 E, Jane Roe"


def noise(seed: int = 1) -> Image.Image:
    return Image.frombytes("RGB", (40, 30), random.Random(seed).randbytes(3600))


def jpeg() -> bytes:
    exif = Image.Exif()
    exif[0x013B] = PLACE.decode()
    out = io.BytesIO()
    noise().save(out, "JPEG", exif=exif, comment=PLACE)
    assert out.getvalue().count(PLACE) == 2
    return out.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def jpeg_2000(*boxes: bytes) -> bytes:
    """With these boxes before the picture, and one of 64-bit length behind it."""
    out = io.BytesIO()
    noise().save(out, "JPEG2000", comment=PLACE.decode())
    data = out.getvalue()
    at = data.index(b"jp2c") - 4
    picture = struct.pack(">I", len(data) - at) + data[at + 4 :]
    behind = struct.pack(">I4sQ", 1, b"asoc", 16 + len(PLACE)) + PLACE
    return data[:at] + b"".join(boxes) + picture + behind


TELLING = (
    box(b"xml ", b"<x:xmpmeta>" + PLACE),
    box(b"uuid", b"JpgTiffExif->JP2" + PLACE),
    box(b"Exif", PLACE),
)


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).convert("RGB").tobytes()


def refusal(data: bytes, *filters: str, room: int = pdfphoto.MOST_UNPACKED) -> str:
    return refused(bare, data, list(filters), room)


PACKED = {
    "/FlateDecode": zlib.compress,
    "/Fl": zlib.compress,
    "/ASCII85Decode": lambda data: base64.a85encode(data, wrapcol=70) + b"~>",
    "/A85": lambda data: base64.a85encode(data, adobe=True),
    "/ASCIIHexDecode": lambda data: data.hex(" ", 40).upper().encode() + b">",
}


@pytest.mark.parametrize("around", [[name] for name in PACKED] + [["/A85", "/Fl"], ["/Fl", "/Fl"]])
@pytest.mark.parametrize("coding", [JPEG, JPEG_2000])
def test_packings_around_a_photo_are_undone(around: list[str], coding: str) -> None:
    original = jpeg() if coding == JPEG else jpeg_2000(*TELLING)
    data = original
    for name in reversed(around):
        data = PACKED[name](data)
    photo = bare(data, [*around, coding])
    assert photo.coding == coding
    assert PLACE not in photo.data
    assert photo.stripped == (2 if coding == JPEG else 5)
    assert photo.unpacked >= len(original)
    assert pixels(photo.data) == pixels(original)


def test_what_is_no_photo_is_told_apart() -> None:
    assert is_photo(["/DCTDecode"])
    assert is_photo(["/Fl", "/DCT"])
    assert is_photo(["/JPXDecode"])
    for filters in ([], ["/FlateDecode"], ["/DCTDecode", "/FlateDecode"], ["/JBIG2Decode"]):
        assert not is_photo(filters)


def test_a_photo_without_an_end_loses_its_place_too() -> None:
    for cut in (2, 300):
        data = jpeg()[:-cut]
        photo = bare(data, [JPEG])
        assert PLACE not in photo.data
        assert photo.data.endswith(data[-100:] + b"\xff\xd9")


def test_what_stands_before_a_photo_goes() -> None:
    photo = bare(PLACE + jpeg(), [JPEG])
    assert PLACE not in photo.data
    assert photo.stripped == 3
    assert pixels(photo.data) == pixels(jpeg())
    assert bare(PLACE, [JPEG]).data == b""
    assert bare(b"", [JPEG]).stripped == 0


def test_what_cannot_be_cleaned_is_refused() -> None:
    cannot = "metadata cannot be taken out"
    assert cannot in refusal(jpeg()[:40], JPEG)
    for packing in ("/LZWDecode", "/RunLengthDecode", "/Crypt", "/Fl", "/A85", "/AHx"):
        assert cannot in refusal(jpeg(), packing, JPEG)
    assert cannot in refusal(jpeg(), *["/Fl"] * 5, JPEG)
    assert cannot in refusal(box(b"free", b"") * 10_001, JPEG_2000)


def test_what_unpacks_without_end_is_refused_at_once() -> None:
    bomb = zlib.compress(bytes(64 << 20), 9)
    before = process_time()
    assert "unpacks to more" in refusal(bomb, "/Fl", JPEG, room=1 << 20)
    assert "unpacks to more" in refusal(b"z" * 1_000_000, "/A85", JPEG, room=1 << 20)
    assert "unpacks to more" in refusal(b"0" * 4_000_000, "/AHx", JPEG, room=1 << 20)
    twice = zlib.compress(b"z" * 100_000)
    assert "unpacks to more" in refusal(twice, "/Fl", "/A85", JPEG, room=300_000)
    assert process_time() - before < 0.5


@given(st.binary(max_size=40), st.booleans())
def test_base_85_is_read_as_it_is_written(data: bytes, adobe: bool) -> None:
    data += bytes(4) * (len(data) % 3)
    written = base64.a85encode(data, adobe=adobe)
    assert pdfphoto._from_base_85(written, 1000) == data


def test_boxes_keep_their_size() -> None:
    data = jpeg_2000(*TELLING)
    photo = bare(data, [JPEG_2000])
    assert len(photo.data) == len(data)
    assert photo.data.count(b"free") == 4
    again = bare(photo.data, [JPEG_2000])
    assert again.data == photo.data
    assert again.stripped == 1  # the code stream's comment, which is blank


def test_a_bare_code_stream_loses_its_comment() -> None:
    data = jpeg_2000()
    stream = data[data.index(b"\xff\x4f\xff\x51") : data.index(b"asoc") - 4]
    assert PLACE in stream
    photo = bare(stream, [JPEG_2000])
    assert PLACE not in photo.data
    assert pixels(photo.data) == pixels(stream)


@given(at=st.integers(0, 300), change=st.binary(min_size=1, max_size=8), cut=st.integers(0, 3000))
def test_a_damaged_box_leads_nowhere(at: int, change: bytes, cut: int) -> None:
    data = bytearray(jpeg_2000(*TELLING))
    data[at : at + len(change)] = change
    del data[len(data) - cut :]
    try:
        photo = bare(bytes(data), [JPEG_2000])
    except ScanRefused:
        return
    assert len(photo.data) <= len(data)


def test_long_photos_take_time_in_proportion() -> None:
    far = box(b"jp2c", b"\xff\x4f\xff\x64\x7f\xff") * 9000 + b"\xff\x64\0\4??" * 100_000
    before = process_time()
    bare(far, [JPEG_2000])
    refusal(b"\xff\x4f\xff\x51" + b"\0\2" + b"\xff\x64\0\4??" * 100_000, JPEG_2000)
    many = box(b"xml ", PLACE) * 5000 + box(b"uuid", bytes(50 << 20))
    assert bare(many, [JPEG_2000]).stripped == 5001
    text = base64.a85encode(bytes(range(256)) * 4000)
    bare(text * 4, ["/A85", JPEG])
    assert process_time() - before < 1.5
