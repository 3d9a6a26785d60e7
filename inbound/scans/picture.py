"""The pictures of a case: one for the letter, a poster that stands where the page will show the scans, six views.

The letter's picture has three views: above, the jaws in occlusion from the front; below, the upper and the lower
jaw from their biting sides, both with the patient's right on the left, as on a tooth chart. A single scan is shown
from the front, from its biting side and from behind (from the tongue's side). All three have one scale, and one
bar of 10 mm says which. Small scans stand in a row instead, where that shows them larger.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from inbound.scans.frame import Frame
from inbound.scans.mesh import Bytes
from inbound.scans.views import PAPER, Part, Scene, View, extent, from_above, look, scene, views

__all__ = ["LETTER", "POSTER", "SIDE", "Part", "Pictures", "draw", "letter"]

LETTER, POSTER, SIDE = (1200, 675), (1200, 900), (800, 600)  # pixels
LETTER_BYTES, POSTER_BYTES, SIDE_BYTES = 60_000, 40_000, 30_000
_INK = (0x14, 0x20, 0x2B)
_GAP = 0.02  # of the picture's width, around each view
_ABOVE = 14.0  # degrees from which the poster looks down
_BARS = (10.0, 1.0, 0.1, 100.0, 1e3, 1e4, 1e5, 1e6)  # mm; the first that can be seen and fits
# Qualities as JPEG and WebP count them, and the lowest at which each still keeps the paper's colour.
_MIDDLE, _BEST = 75, 80
_TRUE = {"JPEG": 50, "WEBP": 62}
_SMALLEST = 1e-3  # mm

Size = tuple[float, float]
Rows = list[list[int]]  # numbers of views, row by row
Options = dict[str, bool | int]


@dataclass(frozen=True)
class Pictures:
    """All pictures of a case.

    Attributes:
        letter: JPEG, 1200 by 675, at most 60,000 bytes.
        poster: WebP, 1200 by 900, at most 40,000 bytes.
        views: "front", "left", "right" (the patient's), "back", "upper", "lower": WebP, 800 by 600, at most
            30,000 bytes each.
    """

    letter: bytes
    poster: bytes
    views: dict[str, bytes]


@dataclass(frozen=True, eq=False)
class _Plate:
    """A view that is drawn, with hardly any paper around it: its size in mm, and pixels a millimetre."""

    image: Image.Image
    size: Size
    scale: float


def draw(parts: Sequence[Part], frame: Frame) -> Pictures:
    """All pictures of a case.

    Args:
        parts: its scans, in shared coordinates.
        frame: how to hold them.
    """
    case = scene(parts, frame)
    sides = views(case)
    plates = {
        name: _plate(case, view, _fit([_size(case, view)], SIDE)) for name, view in sides.items()
    }
    above = from_above(_ABOVE)
    poster = _plate(case, above, _fit([_size(case, above)], POSTER))
    return Pictures(
        letter=_jpeg(_arranged([plates[name] for name in _in_letter(sides)], LETTER), LETTER_BYTES),
        poster=_webp(_arranged([poster], POSTER), POSTER_BYTES),
        views={name: _webp(_arranged([plate], SIDE), SIDE_BYTES) for name, plate in plates.items()},
    )


def letter(parts: Sequence[Part], frame: Frame) -> bytes:
    """The letter's picture alone: JPEG, 1200 by 675, at most 60,000 bytes."""
    return _jpeg(_letter(parts, frame), LETTER_BYTES)


def _letter(parts: Sequence[Part], frame: Frame) -> Image.Image:
    case = scene(parts, frame)
    sides = views(case)
    chosen = [sides[name] for name in _in_letter(sides)]
    scale = _fit([_size(case, view) for view in chosen], LETTER)
    return _arranged([_plate(case, view, scale) for view in chosen], LETTER)


def _in_letter(sides: dict[str, View]) -> tuple[str, str, str]:
    """The front, and both biting sides; a single jaw's own, and its back."""
    if sides["upper"].jaw is None:
        return "front", "lower", "back"
    if sides["lower"].jaw is None:
        return "front", "upper", "back"
    return "front", "upper", "lower"


def _size(case: Scene, view: View) -> Size:
    low, high = extent(case, view)
    return float(high[0] - low[0]), float(high[1] - low[1])


def _plate(case: Scene, view: View, scale: float) -> _Plate:
    low, high = extent(case, view)
    width, height = (int(np.ceil(side * scale)) + 4 for side in _size(case, view))
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = PAPER
    if len(case.faces):
        look(case, view, scale, (low + high) * np.float32(0.5), picture)
    return _Plate(Image.fromarray(picture), _size(case, view), scale)


def _arranged(plates: list[_Plate], size: tuple[int, int]) -> Image.Image:
    """Plates on paper, all at the largest scale at which they fit, and the bar."""
    picture = Image.new("RGB", size, PAPER)
    scale, rows = _arrangement([plate.size for plate in plates], size)
    high = [max(plates[number].size[1] for number in row) * scale for row in rows]
    gap = (size[1] - sum(high)) / (len(rows) + 1)
    top = gap
    for row, height in zip(rows, high, strict=True):
        _place([plates[number] for number in row], scale, top + height / 2, picture)
        top += height + gap
    return _with_bar(picture, scale) if max(map(max, (plate.size for plate in plates))) else picture


def _place(row: list[_Plate], scale: float, middle: float, picture: Image.Image) -> None:
    """Plates side by side, around a line of the picture."""
    wide = [plate.size[0] * scale for plate in row]
    gap = (picture.width - sum(wide)) / (len(row) + 1)
    left = gap
    for plate, width in zip(row, wide, strict=True):
        image = plate.image
        if abs(plate.scale - scale) > 1e-6 * scale:
            share = scale / plate.scale
            size = round(image.width * share), round(image.height * share)
            image = image.resize(size, Image.Resampling.BICUBIC)
        place = round(left + width / 2 - image.width / 2), round(middle - image.height / 2)
        picture.paste(image, place)
        left += width + gap


def _fit(sizes: list[Size], size: tuple[int, int]) -> float:
    """Pixels a millimetre with which views of these sizes (mm) fit on a picture."""
    return _arrangement(sizes, size)[0]


def _arrangement(sizes: list[Size], size: tuple[int, int]) -> tuple[float, Rows]:
    """The scale, and which views stand in which row."""
    choices: list[Rows] = [[list(range(len(sizes)))]]
    if len(sizes) == 3:
        choices.insert(0, [[0], [1, 2]])
    scales = [_scale(sizes, rows, size) for rows in choices]
    best = scales.index(max(scales))
    return scales[best], choices[best]


def _scale(sizes: list[Size], rows: Rows, size: tuple[int, int]) -> float:
    gap = _GAP * size[0]
    high = sum(max(sizes[number][1] for number in row) for row in rows)
    scale = (size[1] - gap * (len(rows) + 1)) / max(high, _SMALLEST)
    for row in rows:
        wide = sum(sizes[number][0] for number in row)
        scale = min(scale, (size[0] - gap * (len(row) + 1)) / max(wide, _SMALLEST))
    return scale


def _with_bar(picture: Image.Image, scale: float) -> Image.Image:
    """The picture with its bar in the corner where it covers least of the scan."""
    unit = picture.width / 1200
    fitting = [bar for bar in _BARS if 16 * unit <= bar * scale <= picture.width / 3]
    length = fitting[0] if fitting else _BARS[0]
    long = length * scale
    box = (round(max(long, 76 * unit) + 24 * unit), round(52 * unit))
    left, top = _freest_corner(np.asarray(picture), box)
    pen = ImageDraw.Draw(picture)
    middle, y = left + box[0] / 2, top + box[1] - 16 * unit
    start, end, stroke = middle - long / 2, middle + long / 2, max(1, round(2 * unit))
    pen.line([(start, y), (end, y)], fill=_INK, width=stroke)
    for tick in (start, end):
        pen.line([(tick, y - 6 * unit), (tick, y + 6 * unit)], fill=_INK, width=stroke)
    font = ImageFont.load_default(size=22 * unit)
    pen.text((middle, y - 10 * unit), f"{length:,g} mm", fill=_INK, font=font, anchor="ms")
    return picture


def _freest_corner(picture: Bytes, box: tuple[int, int]) -> tuple[int, int]:
    """Left and top of a box in a corner: lower left, upper left, lower right, upper right, whichever is free."""
    height, width = picture.shape[:2]
    edge = round(width / 100)
    corners = [
        (left, top)
        for left in (edge, width - box[0] - edge)
        for top in (height - box[1] - edge, edge)
    ]
    covered = [
        int((picture[top : top + box[1], left : left + box[0]] != np.array(PAPER, np.uint8)).sum())
        for left, top in corners
    ]
    return corners[covered.index(min(covered))]


def _jpeg(image: Image.Image, most: int) -> bytes:
    """As good as fits into so many bytes, with colour at full resolution, which a blue margin needs."""
    quick = _packed(image, "JPEG", _MIDDLE, subsampling=0)
    options = {"subsampling": 0, "progressive": True, "optimize": True}
    return _fitting(image, "JPEG", most, most / (0.92 * len(quick)), options)


def _webp(image: Image.Image, most: int) -> bytes:
    quick = _packed(image, "WEBP", _MIDDLE, method=0)
    return _fitting(image, "WEBP", most, most / (0.8 * len(quick)), {"method": 4})


def _fitting(image: Image.Image, kind: str, most: int, room: float, options: Options) -> bytes:
    """As good as `most` bytes allow; `room` is how many times the picture of middling quality fits into them."""
    quality = min(_BEST, _MIDDLE + 22 * float(np.log2(room)))
    soft = False
    while True:
        if quality < _TRUE[kind] and not soft:
            # A busy picture loses its finest grain before the paper around it loses its colour.
            image, quality, soft = image.filter(ImageFilter.GaussianBlur(0.7)), _TRUE[kind], True
        data = _packed(image, kind, max(1, int(quality)), **options)
        if len(data) <= most or quality <= 1:
            return data
        quality -= 3 + 22 * float(np.log2(len(data) / most))


def _packed(image: Image.Image, kind: str, quality: int, **options: bool | int) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, quality=quality, **options)
    return out.getvalue()
