"""Photos: pixels stay, upright and in sRGB; place, device and words are in neither copy nor preview."""

import io
import struct
import zlib
from time import process_time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from inbound.scans.photo import MOST_PIXELS, PREVIEW_BYTES, Photo, jpeg_metadata, strip
from store.errors import ScanRefused
from tests.refusing import refused

SECRETS = [
    b"Jane",
    b"Roe",
    b"SN-0815",
    b"Clinic",
    b"\x00\x00\x00\x30\x00\x00\x00\x01",
    b"Exif",
    b"GPS",
    b"xmp",
]
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:creator>Jane Roe xmp</dc:creator></x:xmpmeta>'


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """Red above left, green above right, blue below left, white below right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = 220, 30, 30
    pixels[: height // 2, width // 2 :] = 30, 200, 30
    pixels[height // 2 :, : width // 2] = 30, 30, 220
    pixels[height // 2 :, width // 2 :] = 250, 250, 250
    return Image.fromarray(pixels).convert(mode)


def told(orientation: int = 1) -> bytes:
    """EXIF with a place, a serial number, a name and a comment."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x013B], exif[0x8298] = (
        orientation,
        "Clinic Cam",
        "Jane",
        "Roe",
    )
    exif.get_ifd(0x8769)[0xA431] = "SN-0815"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2], gps[3], gps[4] = "N", (48.0, 8.0, 14.2), "E", (11.0, 34.0, 30.9)
    return exif.tobytes()


def packed(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def stripped(data: bytes) -> Photo:
    return strip(memoryview(data))


def refusal(data: bytes) -> str:
    return refused(stripped, data)


def shown(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def corners(data: bytes) -> str:
    """The colours of the four quarters: above left, above right, below left, below right."""
    pixels = shown(data)
    height, width, _ = pixels.shape
    names = ""
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            red, green, blue = pixels[y, x]
            names += "W" if min(red, green, blue) > 200 else "RGB"[int(pixels[y, x].argmax())]
    return names


def nothing_told(photo: Photo) -> None:
    for data in (photo.copy, photo.preview):
        assert not [secret for secret in SECRETS if secret in data]
        image = Image.open(io.BytesIO(data))
        assert not image.getexif()
        assert not {"exif", "xmp", "icc_profile", "comment", "photoshop"} & set(image.info)


def profile(*, swapped: bool) -> bytes:
    """A display profile (ICC.1 7.2) with sRGB's primaries, red and blue exchanged if `swapped`."""
    red, green, blue = (0.436, 0.222, 0.014), (0.385, 0.717, 0.097), (0.143, 0.061, 0.714)
    first, third = (blue, red) if swapped else (red, blue)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 11) + b"Jane Roe P\0" + bytes(79),
        b"wtpt": _xyz(0.964, 1.0, 0.825),
        b"rXYZ": _xyz(*first),
        b"gXYZ": _xyz(*green),
        b"bXYZ": _xyz(*third),
        **{
            name: b"curv" + bytes(4) + struct.pack(">IHxx", 1, 563)
            for name in (b"rTRC", b"gTRC", b"bTRC")
        },
    }
    at, table, data = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    head = bytearray(128)
    head[0:4] = struct.pack(">I", 128 + len(table) + len(data))
    head[8:12], head[12:16], head[16:20], head[20:24] = b"\2\x10\0\0", b"mntr", b"RGB ", b"XYZ "
    head[36:40], head[68:80] = b"acsp", struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    return bytes(head) + table + data


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(header: bytes, *chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def test_place_serial_names_and_words_are_gone_from_a_jpeg() -> None:
    data = packed(
        picture(),
        "JPEG",
        exif=told(),
        comment=b"Jane Roe",
        xmp=XMP,
        icc_profile=profile(swapped=False),
    )
    iptc = b"Photoshop 3.0\0 8BIM Jane Roe"
    data = data[:2] + b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc + data[2:]
    data += b"trailing Jane Roe"
    assert all(secret in data for secret in SECRETS if secret != b"GPS")
    photo = stripped(data)
    nothing_told(photo)
    assert photo.stripped == 6  # EXIF, XMP, IPTC, comment, profile, what trails
    assert (photo.suffix, photo.width, photo.height) == (".jpg", 64, 48)
    assert corners(photo.copy) == corners(photo.preview) == "RGBW"


def test_text_time_and_exif_are_gone_from_a_png() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "Jane Roe")
    text.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    text.add(b"tIME", b"\x07\xe9\x01\x02\x03\x04\x05")
    photo = stripped(packed(picture(), "PNG", pnginfo=text, exif=told()) + b"Jane Roe")
    nothing_told(photo)
    assert photo.stripped == 5
    assert photo.suffix == ".png"
    assert photo.copy.startswith(b"\x89PNG")
    assert (shown(photo.copy) == np.asarray(picture())).all()
    assert {photo.copy.count(kind) for kind in (b"tEXt", b"iTXt", b"zTXt", b"tIME", b"eXIf")} == {0}


def test_a_webp_becomes_a_jpeg_without_a_word() -> None:
    data = packed(picture(), "WEBP", exif=told(), xmp=XMP, icc_profile=profile(swapped=False))
    photo = stripped(data)
    nothing_told(photo)
    assert photo.stripped == 3
    assert photo.copy.startswith(b"\xff\xd8\xff")
    assert photo.preview[8:12] == b"WEBP"


@pytest.mark.parametrize(
    ("orientation", "seen"),
    [
        (1, "RGBW"),
        (2, "GRWB"),
        (3, "WBGR"),
        (4, "BWRG"),
        (5, "RBGW"),
        (6, "BRWG"),
        (7, "WGBR"),
        (8, "GWRB"),
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_photos_are_shown_upright(form: str, orientation: int, seen: str) -> None:
    photo = stripped(packed(picture(), form, exif=told(orientation)))
    assert corners(photo.copy) == corners(photo.preview) == seen
    assert (photo.width, photo.height) == ((64, 48) if orientation < 5 else (48, 64))


def test_colours_are_meant_as_their_profile_says() -> None:
    plain, exchanged = (
        stripped(packed(picture(), "PNG", icc_profile=profile(swapped=swapped)))
        for swapped in (False, True)
    )
    assert corners(plain.copy) == "RGBW"
    assert corners(exchanged.copy) == "BGRW"
    assert (
        np.abs(shown(plain.copy) - np.asarray(picture()).astype(int)).max() < 12
    )  # its curve is a power


@pytest.mark.parametrize("damaged", [b"no profile at all", profile(swapped=True)[:150]])
def test_a_damaged_profile_is_not_followed(damaged: bytes) -> None:
    assert corners(stripped(packed(picture(), "PNG", icc_profile=damaged)).copy) == "RGBW"


def test_a_profile_for_other_colours_is_not_followed() -> None:
    photo = stripped(packed(picture(mode="L"), "JPEG", icc_profile=profile(swapped=True)))
    assert shown(photo.copy).shape == (48, 64, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_kinds_of_pixels_are_read(mode: str) -> None:
    form = "JPEG" if mode in {"CMYK", "YCbCr"} else "PNG"
    photo = stripped(packed(picture(mode=mode), form))
    assert corners(photo.copy)[3] == "W"
    if mode in {"P", "CMYK", "YCbCr"}:
        assert corners(photo.copy) == "RGBW"


def test_sixteen_bits_of_grey_keep_their_brightness() -> None:
    deep = Image.fromarray(np.full((10, 10), 0x8080, np.uint16))
    assert np.abs(shown(stripped(packed(deep, "PNG")).copy) - 0x80).max() <= 1


def test_what_is_transparent_lies_on_white() -> None:
    clear = picture().convert("RGBA")
    clear.putalpha(0)
    assert (shown(stripped(packed(clear, "PNG")).copy) == 255).all()
    palette = picture().quantize(4)
    hidden = palette.getpixel((0, 0))
    assert corners(stripped(packed(palette, "PNG", transparency=hidden)).copy) == "WGBW"


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_animation_gives_its_first_picture(form: str) -> None:
    other = picture().transpose(Image.Transpose.ROTATE_180)
    moving = packed(picture(), form, save_all=True, append_images=[other], duration=100)
    assert corners(stripped(moving).copy) == "RGBW"


def test_a_preview_is_small_and_keeps_its_shape() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1500, 2400, 3), np.uint8)
    before = process_time()
    photo = stripped(packed(Image.fromarray(noise), "JPEG"))
    assert process_time() - before < 6
    preview = Image.open(io.BytesIO(photo.preview))
    assert len(photo.preview) <= PREVIEW_BYTES
    assert max(preview.size) <= 1600
    assert abs(preview.width / preview.height - 1.6) < 0.01
    small = stripped(packed(picture(), "PNG"))
    assert Image.open(io.BytesIO(small.preview)).size == (64, 48)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_cut_photo_says_that_it_stops(form: str) -> None:
    data = packed(Image.effect_noise((200, 200), 90).convert("RGB"), form)
    for size in (len(data) // 2, len(data) - 30):
        assert "stops before the end of its picture" in refusal(data[:size])


@pytest.mark.parametrize("edge", [10_001, 13_400, 65_000])
def test_too_many_pixels_are_refused_before_they_are_decoded(edge: int) -> None:
    bomb = png_of(
        struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0),
        chunk(b"IDAT", zlib.compress(bytes(1000))),
    )
    before = process_time()
    assert "million" in refusal(bomb)
    assert process_time() - before < 0.5
    assert edge * edge > MOST_PIXELS


def test_a_webp_declares_its_size_before_room_is_made() -> None:
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0\xff\x3f\0"
    assert "16,384 x 16,384 pixels" in refusal(
        b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended
    )


def test_text_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(30 << 20), 9))
    data = packed(picture(), "PNG")
    assert stripped(data[:33] + bomb + data[33:]).stripped == 1


def test_a_jpeg_of_endless_passes_is_refused() -> None:
    data = packed(picture(), "JPEG", progressive=True)
    scan = data.index(b"\xff\xda")
    assert "too many parts" in refusal(data[:scan] + data[scan : scan + 12] * 500 + data[scan:])


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\0" * 100, b"RIFF\x04\0\0\0WAVE"])
def test_what_is_no_photo_is_called_so(data: bytes) -> None:
    assert "is no JPEG, PNG or WebP" in refusal(data)


def test_a_jpeg_without_its_metadata_has_the_same_pixels() -> None:
    data = packed(
        picture(), "JPEG", exif=told(), comment=b"Jane", icc_profile=profile(swapped=False)
    )
    spans = jpeg_metadata(memoryview(data))
    for start, end in reversed(spans):
        data = data[:start] + data[end:]
    assert not [secret for secret in SECRETS[1:] if secret in data and secret != b"Roe"]
    assert "icc_profile" in Image.open(io.BytesIO(data)).info
    assert (shown(data) == shown(packed(picture(), "JPEG"))).all()


WHOLE = {form: packed(picture(), form, exif=told()) for form in ("JPEG", "PNG", "WEBP")}


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(sorted(WHOLE)),
    at=st.integers(0, 400),
    change=st.binary(min_size=1, max_size=8),
    cut=st.integers(0, 100),
)
def test_damage_gives_a_photo_or_a_sentence(form: str, at: int, change: bytes, cut: int) -> None:
    data = bytearray(WHOLE[form])
    data[at : at + len(change)] = change
    try:
        photo = stripped(bytes(data[: len(data) - cut]))
    except ScanRefused:
        return
    assert b"SN-0815" not in photo.copy + photo.preview
