"""A photo or a screenshot: its pixels stay, upright and in sRGB; all that tells who, where and with what goes.

The copy is made of decoded pixels and of nothing else, so that no place in the file can be forgotten. The file's
own structure (JPEG: ITU T.81 annex B; PNG: section 5; WebP: RFC 9649) is walked first: to count what is left
behind, to see whether the file ends early, and to refuse what would take too much to decode.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from inbound.scans.mesh import in_plain_words
from store.errors import ScanRefused

MOST_PIXELS = 100_000_000
PREVIEW_EDGE = 1600  # pixels
PREVIEW_BYTES = 200_000
_AGAIN = "Send the photo again in a new mail."
_QUALITY = 92
# Preview qualities, and then smaller edges, tried until the size is right; the last is taken as it is.
_PREVIEWS = ((1600, 82), (1600, 72), (1600, 60), (1600, 45), (1200, 45), (900, 40), (640, 30))
_MOST_SCANS = 100  # passes over a progressive JPEG; cameras and programs make about ten
_MOST_PIECES = 100_000
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
# A marker that ends the coded pixels: no stuffed zero, no restart, no fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_END, _SCAN, _COMMENT, _JFIF, _ICC, _ADOBE, _LAST_APPLICATION = (
    0xD9,
    0xDA,
    0xFE,
    0xE0,
    0xE2,
    0xEE,
    0xEF,
)
_SHOWING = {_JFIF: b"JFIF\0", _ICC: b"ICC_PROFILE\0", _ADOBE: b"Adobe"}
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
# What decoding needs, and what the copy is made after.
_PNG_READ = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"iCCP", b"eXIf"}
_PNG_HARMLESS = {
    b"sRGB",
    b"gAMA",
    b"cHRM",
    b"sBIT",
    b"bKGD",
    b"hIST",
    b"pHYs",
    b"acTL",
    b"fcTL",
    b"fdAT",
}
_PNG_HARMLESS |= _PNG_READ - {b"iCCP", b"eXIf"}
_WEBP_HARMLESS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}


@dataclass(frozen=True)
class Photo:
    """A photo as reviewers get it.

    Attributes:
        copy: all its pixels, as a JPEG or a PNG.
        suffix: ".jpg" or ".png".
        preview: a WebP, at most 1600 pixels long and wide and about 200 KB.
        width, height: pixels of the copy.
        stripped: how many pieces of metadata were left behind (EXIF, XMP, profiles, comments, text, bytes
            after the end).
    """

    copy: bytes
    suffix: str
    preview: bytes
    width: int
    height: int
    stripped: int


def strip(data: memoryview) -> Photo:
    """The photo without its metadata; of an animation, the first picture.

    Raises:
        ScanRefused: it ends early, is damaged, is no JPEG, PNG or WebP, or has too many pixels.
    """
    kind = _kind(data)
    with in_plain_words(f"a {kind}"):
        stripped, read = _WALKS[kind](data)
        image = _pixels(_opened(read, kind))
        copy = _packed(image, kind)
        return Photo(
            copy=copy,
            suffix=".png" if kind == "PNG" else ".jpg",
            preview=_preview(image),
            width=image.width,
            height=image.height,
            stripped=stripped,
        )


def jpeg_metadata(data: memoryview) -> list[tuple[int, int]]:
    """Where in a JPEG metadata lies: (start, end) in bytes; the rest is a JPEG with the same pixels.

    Colour profiles are not among them, for the pixels would look different without.

    Raises:
        ScanRefused: it ends early, or its parts do not follow one another.
    """
    return [
        (start, end) for marker, start, end in _jpeg_parts(data) if _tells(marker, data[start:end])
    ]


# ---------------------------------------------------------------- what the file is made of


def _kind(data: memoryview) -> str:
    head = bytes(data[:12])
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(_PNG):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return "WebP"
    raise ScanRefused(f"is no JPEG, PNG or WebP. Save it as one of them. {_AGAIN}")


def _walk_jpeg(data: memoryview) -> tuple[int, memoryview]:
    profiles = [
        marker
        for marker, start, end in _jpeg_parts(data)
        if marker == _ICC and not _tells(marker, data[start:end])
    ]
    return len(jpeg_metadata(data)) + len(profiles), data


def _tells(marker: int | None, segment: memoryview) -> bool:
    """Whether a JPEG's segment is metadata, and not needed to show its pixels as they were meant."""
    if marker in _SHOWING:
        return not bytes(segment[4:]).startswith(_SHOWING[marker])
    return marker is None or marker == _COMMENT or _JFIF <= marker <= _LAST_APPLICATION


def _jpeg_parts(data: memoryview) -> Iterator[tuple[int | None, int, int]]:
    """(marker, start, end) of each segment, and (None, ...) of what lies behind the picture's end."""
    at, scans, parts = 2, 0, 0
    while True:
        marker = _marker(data, at)
        if marker is None:
            raise _cut_short()
        code, at = marker
        if code == _END:
            break
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if length < 2 or end > len(data):
            raise _cut_short()
        yield code, at, end
        scans, parts = scans + (code == _SCAN), parts + 1
        if scans > _MOST_SCANS or parts > _MOST_PIECES:
            raise ScanRefused(f"is built of too many parts for a photo. Save it anew. {_AGAIN}")
        at = end
    if data[at + 2 :]:
        yield None, at + 2, len(data)


def _marker(data: memoryview, at: int) -> tuple[int, int] | None:
    """The next marker at or behind `at`: its code and its place."""
    found = _MARKER.search(data, at)
    return (data[found.start() + 1], found.start()) if found else None


def _walk_png(data: memoryview) -> tuple[int, memoryview]:
    """Only what decoding needs goes to the decoder: text that unpacks to gigabytes is not even looked at."""
    at, stripped, pieces, kind = len(_PNG), 0, 0, b""
    read: list[bytes | memoryview] = [_PNG]
    while kind != _PNG_END:
        kind = bytes(data[at + 4 : at + 8])
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        pieces += 1
        if end > len(data):
            raise _cut_short()
        if pieces > _MOST_PIECES:
            raise ScanRefused(f"is built of too many parts for a photo. Save it anew. {_AGAIN}")
        stripped += kind not in _PNG_HARMLESS
        if kind in _PNG_READ:
            read.append(data[at:end])
        at = end
    return stripped + bool(data[at:]), memoryview(b"".join(read))


def _walk_webp(data: memoryview) -> tuple[int, memoryview]:
    whole = 8 + int.from_bytes(data[4:8], "little")
    if whole > len(data):
        raise _cut_short()
    _refuse_many_pixels(*_webp_size(data))  # the decoder makes room for all of them at once
    at, stripped, pieces = 12, 0, 0
    while at + 8 <= whole:
        stripped += bytes(data[at : at + 4]) not in _WEBP_HARMLESS
        at += 8 + (length := int.from_bytes(data[at + 4 : at + 8], "little")) + length % 2
        pieces += 1
        if pieces > _MOST_PIECES:
            raise ScanRefused(f"is built of too many parts for a photo. Save it anew. {_AGAIN}")
    return stripped + (len(data) > whole), data[:whole]


def _webp_size(data: memoryview) -> tuple[int, int]:
    """(width, height) in pixels by RFC 9649, sections 2.5 to 2.7."""
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(data[24:27], "little"),
            1 + int.from_bytes(data[27:30], "little"),
        )
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return (
        int.from_bytes(data[26:28], "little") & 0x3FFF,
        int.from_bytes(data[28:30], "little") & 0x3FFF,
    )


_WALKS = {"JPEG": _walk_jpeg, "PNG": _walk_png, "WebP": _walk_webp}


def _cut_short() -> ScanRefused:
    return ScanRefused(f"stops before the end of its picture. {_AGAIN}")


def _refuse_many_pixels(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise ScanRefused(
            f"has {width:,} x {height:,} pixels; more than {MOST_PIXELS // 1_000_000} million are not shown."
            f" Make it smaller. {_AGAIN}"
        )


# ---------------------------------------------------------------- pixels


def _opened(data: memoryview, kind: str) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of many pixels; the one does not interest, the other is refused.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=[kind])
        except Image.DecompressionBombError:
            raise ScanRefused(
                f"has more than {MOST_PIXELS // 1_000_000} million pixels. Make it smaller. {_AGAIN}"
            ) from None
        _refuse_many_pixels(*image.size)
        image.load()
    return image


def _pixels(image: Image.Image) -> Image.Image:
    """Upright, in sRGB, on white: an image of mode L or RGB that knows nothing but its pixels."""
    profile, turn = image.info.get("icc_profile"), _TURNS.get(_orientation(image))
    plain = _flat(image)
    if profile:
        plain = _in_srgb(plain, profile)
    if plain.mode == "CMYK":
        plain = plain.convert("RGB")
    if turn is not None:
        plain = plain.transpose(turn)
    bare = Image.new(plain.mode, plain.size)
    bare.im = plain.im  # the pixels themselves, without a second copy of them
    return bare


def _orientation(image: Image.Image) -> int:
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        turn: Any = image.getexif().get(_ORIENTATION, 1)
        return int(turn)
    return 1  # EXIF that cannot be read turns nothing


def _flat(image: Image.Image) -> Image.Image:
    """Mode L, RGB or CMYK, what was transparent on white."""
    if image.mode.startswith("I"):  # 16 bits of grey
        deep = np.asarray(image)
        return Image.fromarray((np.clip(deep, 0, 65_535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        seen = image if image.mode == "RGBA" else image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(seen, mask=seen.getchannel("A"))
        return paper
    if image.mode in {"L", "RGB", "CMYK"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """As its profile means it; a profile that is damaged or made for other colours is not followed."""
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
        meant = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image,
            meant,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return converted or image
    return image


def _packed(image: Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "PNG":
        image.save(out, "PNG")
    else:
        image.save(out, "JPEG", quality=_QUALITY, subsampling="4:2:2")
    return out.getvalue()


def _preview(image: Image.Image) -> bytes:
    small, data = image.convert("RGB"), b""
    for edge, quality in _PREVIEWS:
        if max(small.size) > edge:
            small = small.copy()
            small.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
        out = io.BytesIO()
        small.save(out, "WEBP", quality=quality, method=4)
        data = out.getvalue()
        if len(data) <= PREVIEW_BYTES:
            break
    return data
