"""OBJ (Wavefront), read with numpy: `v x y z [r g b]`, `vt u v`, `f` with a, a/b, a//c or a/b/c, `usemtl`.

Lines are told apart by their first letters, all at once, and the numbers of all lines of a kind are parsed in one
go. Materials and images come from the files beside it: an image becomes the scan's texture, plain colours become
vertex colours, where materials meet a vertex is split. Colours on `v` lines, where scanners put them, win over
plain ones.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inbound.scans import mtl
from inbound.scans.assembly import say_something
from inbound.scans.beside import Beside
from inbound.scans.mesh import AGAIN, Bytes, Floats, Mesh, Wide, checked, fans, in_plain_words
from inbound.scans.mtl import Material
from inbound.scans.numbers import numbers, widths
from inbound.scans.texture import Colour, Sheet, onto, sheet
from store.errors import ScanRefused

_CONTINUED = re.compile(rb"\\\r?\n")
_INDENTED = re.compile(rb"^[ \t]+", re.MULTILINE)
_COMMENT = re.compile(rb"#[^\n]*")
_BEYOND_FIRST = re.compile(rb"/[^\s]*")
_SECOND = re.compile(rb"([^\s/]+)(?:/([^\s/]*))?[^\s]*")
_NOTE = re.compile(rb"^(?:#[^\n]*\w|(?:o|g|usemtl|mtllib)[ \t]+\S)", re.MULTILINE)
_USED = re.compile(rb"^(usemtl|mtllib)[ \t]+([^\n]*)", re.MULTILINE)
_BLOCK = 65_536  # lines formatted at a time
_MOST_LIBRARIES = 16
_WHITE: Colour = (255, 255, 255)


def read(data: memoryview) -> Mesh:
    """The mesh of an OBJ alone, polygons cut into triangles.

    Raises:
        ScanRefused: a line is cut or odd, or there is no usable surface.
    """
    return read_with(data, Beside({}))[0]


def read_with(data: memoryview, beside: Beside) -> tuple[Mesh, int]:
    """The mesh of an OBJ with the materials and images beside it, and how many notes stand in it.

    Raises:
        ScanRefused: a line is cut or odd, there is no usable surface, or an image is too large.
    """
    with in_plain_words("OBJ"):
        lines = _Lines(_clean(data))
        vertices, colours = _points(lines.of(b"v"))
        faces = _faces(lines, len(vertices))
        mesh = checked(vertices, faces.points, colours)
        return _painted(mesh, faces, lines, beside), len(_NOTE.findall(lines.text))


def write(mesh: Mesh) -> bytes:
    """An OBJ of `v` and `f` lines only; nine digits keep every float32 bit."""
    points: NDArray[np.float64] = mesh.vertices.astype(np.float64)
    line = "v %.9g %.9g %.9g\n"
    if mesh.colours is not None:
        points = np.hstack([points, mesh.colours / 255.0])
        line = "v %.9g %.9g %.9g %.4f %.4f %.4f\n"
    return b"".join(
        [*written(points, line), *written(mesh.faces.astype(np.int64) + 1, "f %d %d %d\n")]
    )


def written(rows: NDArray[np.float64] | Wide, line: str) -> Iterable[bytes]:
    """Rows of numbers as lines of text, in blocks; `line` has a place for each number of a row."""
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        yield ((line * len(block)) % tuple(block.ravel().tolist())).encode()


def _clean(data: memoryview) -> bytes:
    """The text with plain line ends, lines that go on joined, and nothing before a line's first letter."""
    text = bytes(data).removeprefix(b"\xef\xbb\xbf")
    if b"\\" in text:
        text = _CONTINUED.sub(b" ", text)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if text[:1] in {b" ", b"\t"} or b"\n " in text or b"\n\t" in text:
        text = _INDENTED.sub(b"", text)
    return text if text.endswith(b"\n") else text + b"\n"


class _Lines:
    """Where each line begins and ends, and what it begins with."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        letters = np.frombuffer(text, np.uint8)
        self.ends = np.flatnonzero(letters == 10) + 1
        self.starts = np.concatenate([[0], self.ends[:-1]])
        ahead = np.minimum(self.starts[:, None] + np.arange(3), len(letters) - 1)
        self.heads = letters[ahead]

    def numbers_of(self, keyword: bytes) -> NDArray[np.intp]:
        """Which lines begin with a keyword of one or two letters and a blank."""
        first, size = self.heads, len(keyword)
        found = (first[:, size] == 32) | (first[:, size] == 9)
        for place, letter in enumerate(keyword):
            found &= first[:, place] == letter
        return np.flatnonzero(found)

    def of(self, keyword: bytes) -> bytes:
        """All lines of a keyword, without it, without comments, each with its end."""
        rows = self.numbers_of(keyword)
        if not len(rows):
            return b""
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        firsts, lasts = rows[np.append(0, breaks)], rows[np.append(breaks - 1, -1)]
        runs = zip(self.starts[firsts].tolist(), self.ends[lasts].tolist(), strict=True)
        text = b"".join([self.text[start:end] for start, end in runs])
        if b"#" in text:
            text = _COMMENT.sub(b"", text)
        opening, blanks = b"\n" + keyword, b"\n".ljust(len(keyword) + 1)
        return (b"\n" + text).replace(opening, blanks)[1:]


def _points(text: bytes) -> tuple[Floats, Bytes | None]:
    """(n, 3) positions and, where every line has them, (n, 3) colours."""
    lengths = widths(text)
    if not len(lengths):
        return np.empty((0, 3), np.float32), None
    width = int(lengths.min())
    if width < 3:
        raise ScanRefused(f"stops inside one of its {len(lengths):,} points. {AGAIN}")
    flat = numbers(text, int(lengths.sum()))
    if width != lengths.max():
        starts = np.cumsum(lengths) - lengths
        width = 3
        flat = flat[starts[:, None] + np.arange(3)]
    rows = flat.reshape(-1, width)
    colours = _colours(rows) if width in (6, 7) else None
    with np.errstate(over="ignore"):  # what is too large becomes inf, and is refused as such
        return rows[:, :3].astype(np.float32), colours


def _colours(rows: NDArray[np.float64]) -> Bytes:
    values = np.nan_to_num(rows[:, -3:], nan=0, posinf=1, neginf=0)
    scale = 255.0 if values.max() <= 1 else 1.0
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class _Faces:
    """Triangles.

    Attributes:
        points: (m, 3) rows of the `v` lines.
        spots: (m, 3) rows of the `vt` lines, -1 where there is none; None where no face has any.
        lines: (m,) bytes before the line that a triangle comes from.
    """

    points: Wide
    spots: Wide | None
    lines: Wide


def _faces(lines: _Lines, points: int) -> _Faces:
    text = lines.of(b"f")
    lengths = widths(text)
    at = lines.starts[lines.numbers_of(b"f")]
    firsts, seconds = _corners(text, int(lengths.sum()))
    corners = _whole(firsts)
    if (corners == 0).any():
        raise ScanRefused(
            f"refers to point 0 and holds {points:,} points, the first being 1. {AGAIN}"
        )
    corners = _counted(corners, lengths, at, lines, b"v")
    if not len(lengths):
        none = np.empty((0, 3), np.int64)
        return _Faces(none, None, np.empty(0, np.int64))
    triangles = fans(np.arange(len(corners)), lengths)
    spots = None
    if seconds is not None:
        spots = _counted(_whole(seconds), lengths, at, lines, b"vt")[triangles]
    made = np.maximum(lengths - 2, 0)
    return _Faces(corners[triangles], spots, np.repeat(at, made))


def _corners(text: bytes, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """(count,) first numbers of all corners, and second ones, 0 where one has none."""
    slashes, pairs = text.count(b"/"), text.count(b"//")
    if not slashes:
        return numbers(text, count), None
    if (slashes == 2 * count and pairs in (0, count)) or (slashes == count and not pairs):
        width = 2 if pairs or slashes == count else 3
        try:
            rows = numbers(text.replace(b"/", b" "), width * count).reshape(-1, width)
        except ValueError:
            pass  # a/b/ and the like
        else:
            return rows[:, 0], None if pairs else rows[:, 1]
    firsts = numbers(_BEYOND_FIRST.sub(b"", text), count)
    return firsts, numbers(_SECOND.sub(_second, text), count)


def _second(corner: re.Match[bytes]) -> bytes:
    return corner[2] or b"0"


def _whole(values: NDArray[np.float64]) -> Wide:
    if not (np.abs(values) <= 2**53).all():
        raise ValueError
    return values.astype(np.int64)


def _counted(corners: Wide, lengths: Wide, at: Wide, lines: _Lines, keyword: bytes) -> Wide:
    """Rows from zero; a negative corner counts back from the last `keyword` before its own line."""
    if not (corners < 0).any():
        return corners - 1
    known = np.searchsorted(lines.starts[lines.numbers_of(keyword)], at)
    return np.where(corners < 0, corners + np.repeat(known, lengths), corners - 1)


# ---------------------------------------------------------------- materials


def _painted(mesh: Mesh, faces: _Faces, lines: _Lines, beside: Beside) -> Mesh:
    materials, cells = _materials(lines, faces.lines, beside)
    if not materials:
        return mesh
    images = [_image(material, beside) for material in materials]
    distinct: dict[object, int] = {}
    same = [distinct.setdefault(_key(image), len(distinct)) for image in images]
    images = [images[same.index(number)] for number in range(len(distinct))]
    on_image = np.array([not isinstance(image, tuple) for image in images])
    if faces.spots is not None and on_image.any():
        found = sheet(images)
        if found is not None:
            cell = np.array(same)[cells]
            return _textured(mesh, faces, _spots(lines), cell, found, on_image)
    return _coloured(mesh, cells, [material.colour for material in materials])


def _materials(lines: _Lines, at: Wide, beside: Beside) -> tuple[list[Material], NDArray[np.intp]]:
    """The materials that are used, and for each triangle which one it has."""
    inside = b"newmtl" in lines.text
    known: dict[str, Material] = mtl.read(memoryview(lines.text)) if inside else {}
    uses = [(0, "")]
    libraries = 0
    for line in _USED.finditer(lines.text):
        if line[1] == b"usemtl":
            uses.append((line.start(), mtl.words(line[2])))
        elif libraries < _MOST_LIBRARIES:
            libraries += 1
            known = {**_library(mtl.words(line[2]), beside), **known}
    if not known:
        return [], np.empty(0, np.intp)
    starts = np.array([start for start, _ in uses])
    use = np.searchsorted(starts, at, side="right") - 1
    kinds: dict[Material, int] = {}
    numbered = [kinds.setdefault(known.get(name, Material()), len(kinds)) for _, name in uses]
    really, cells = np.unique(np.array(numbered)[use], return_inverse=True)
    every = list(kinds)
    return [every[number] for number in really.tolist()], cells


def _library(value: str, beside: Beside) -> dict[str, Material]:
    """The materials of a `mtllib`: one name with blanks in it, or several names."""
    whole = beside.find(value)
    files = [whole] if whole is not None else [beside.find(name) for name in value.split()[:8]]
    found: dict[str, Material] = {}
    for file in files:
        if file is not None:
            found |= mtl.read(file)
    return found


def _image(material: Material, beside: Beside) -> memoryview | Colour:
    """A material's image if it is there, or its plain colour."""
    if material.image:
        for name in mtl.image_names(material.image):
            found = beside.find(name)
            if found is not None:
                return found
    return material.colour or _WHITE


def _key(image: memoryview | Colour) -> object:
    return image if isinstance(image, tuple) else id(image)


def _spots(lines: _Lines) -> Floats:
    """(t, 2) places on an image, from its upper left corner."""
    text = lines.of(b"vt")
    lengths = widths(text)
    if not len(lengths):
        return np.empty((0, 2), np.float32)
    if lengths.min() < 2:
        raise ScanRefused(f"stops inside one of its {len(lengths):,} texture points. {AGAIN}")
    starts = np.cumsum(lengths) - lengths
    rows = numbers(text, int(lengths.sum()))[starts[:, None] + np.arange(2)]
    rows[:, 1] = 1 - rows[:, 1]
    with np.errstate(over="ignore"):
        spots: Floats = rows.astype(np.float32)
    return spots


def _textured(
    mesh: Mesh,
    faces: _Faces,
    spots: Floats,
    cells: NDArray[np.intp],
    found: Sheet,
    on_image: NDArray[np.bool_],
) -> Mesh:
    """One vertex for each point, place on the texture and image that meet in a corner."""
    assert faces.spots is not None
    corner_spots = faces.spots.reshape(-1)
    if corner_spots.max() >= len(spots):
        raise ScanRefused(
            f"refers to texture point {int(corner_spots.max()) + 1:,} and holds {len(spots):,}. {AGAIN}"
        )
    placed = np.vstack([spots, np.full((1, 2), 0.5, np.float32)])
    corner_cells = np.repeat(cells, 3)
    # A plain colour has no places, and what has none is put in the middle.
    nowhere = (corner_spots < 0) | ~on_image[corner_cells]
    corner_spots = np.where(nowhere, len(spots), corner_spots)
    point, spot, cell, inverse = _distinct(mesh.faces.reshape(-1), corner_spots, corner_cells)
    return Mesh(
        mesh.vertices[point],
        inverse.reshape(-1, 3),
        None,
        onto(found, placed[spot], cell),
        found.data,
    )


def _distinct(
    points: NDArray[np.int32], spots: Wide, cells: NDArray[np.intp]
) -> tuple[Wide, Wide, Wide, NDArray[np.int32]]:
    """Distinct (point, spot, cell), and for each corner which one it is."""
    pairs = points.astype(np.int64) * (int(spots.max()) + 1) + spots
    if cells.any():
        pairs = np.unique(pairs, return_inverse=True)[1] * (int(cells.max()) + 1) + cells
    _, first, inverse = np.unique(pairs, return_index=True, return_inverse=True)
    return points[first].astype(np.int64), spots[first], cells[first], inverse.astype(np.int32)


def _coloured(mesh: Mesh, cells: NDArray[np.intp], colours: list[Colour | None]) -> Mesh:
    """Plain colours of materials on the vertices; a single grey says nothing that the scan's own look would not."""
    if mesh.colours is not None or not say_something(colours):
        return mesh
    distinct = {colour: number for number, colour in enumerate(dict.fromkeys(colours))}
    cells = np.array([distinct[colour] for colour in colours])[cells]
    nowhere = np.zeros(mesh.faces.size, np.int64)
    point, _, cell, inverse = _distinct(mesh.faces.reshape(-1), nowhere, np.repeat(cells, 3))
    table = np.array([colour or _WHITE for colour in distinct], np.uint8)
    return Mesh(mesh.vertices[point], inverse.reshape(-1, 3), table[cell])
