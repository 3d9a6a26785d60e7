"""OBJ (Wavefront), read with numpy: `v x y z [r g b]`, `f` with a, a/b, a//c or a/b/c; all else is skipped.

Materials and textures are other files; colours come from the `v` lines, where scanners put them.
"""

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import AGAIN, Bytes, Floats, Mesh, Wide, checked, fans, in_plain_words
from inbound.scans.numbers import numbers
from store.errors import ScanRefused

_POINT = re.compile(rb"^[ \t]*v[ \t]+([^\r\n#]*)", re.MULTILINE)
_FACE = re.compile(rb"^[ \t]*f[ \t]+([^\r\n#]*)", re.MULTILINE)
_BEYOND_FIRST = re.compile(rb"/[^\s]*")
_CONTINUED = re.compile(rb"\\\r?\n")
_BLOCK = 65_536  # lines formatted at a time


def read(data: memoryview) -> Mesh:
    """The mesh of an OBJ, polygons cut into triangles.

    Raises:
        ScanRefused: a line is cut or odd, or there is no usable surface.
    """
    with in_plain_words("OBJ"):
        text = bytes(data)
        if b"\\" in text:
            text = _CONTINUED.sub(b" ", text)
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        vertices, colours = _points(text)
        return checked(vertices, _corners(text, len(vertices)), colours)


def write(mesh: Mesh) -> bytes:
    """An OBJ of `v` and `f` lines only; nine digits keep every float32 bit."""
    points: NDArray[np.float64] = mesh.vertices.astype(np.float64)
    line = "v %.9g %.9g %.9g\n"
    if mesh.colours is not None:
        points = np.hstack([points, mesh.colours / 255.0])
        line = "v %.9g %.9g %.9g %.4f %.4f %.4f\n"
    return b"".join(
        [*_lines(points, line), *_lines(mesh.faces.astype(np.int64) + 1, "f %d %d %d\n")]
    )


def _lines(rows: NDArray[np.float64] | Wide, line: str) -> Iterable[bytes]:
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        yield ((line * len(block)) % tuple(block.ravel().tolist())).encode()


def _points(text: bytes) -> tuple[Floats, Bytes | None]:
    """(n, 3) positions and, where every line has them, (n, 3) colours."""
    lines = _POINT.findall(text)
    widths = {len(line.split()) for line in lines}
    if not lines:
        return np.empty((0, 3), np.float32), None
    if len(widths) > 1:
        lines = [b" ".join(line.split()[:3]) for line in lines]
        widths = {len(line.split()) for line in lines}
    width = widths.pop()
    if widths or width < 3:
        raise ScanRefused(f"stops inside one of its {len(lines):,} points. {AGAIN}")
    rows = numbers(b"\n".join(lines), width * len(lines)).reshape(-1, width)
    colours = _colours(rows) if width in (6, 7) else None
    with np.errstate(over="ignore"):  # what is too large becomes inf, and is refused as such
        return rows[:, :3].astype(np.float32), colours


def _colours(rows: NDArray[np.float64]) -> Bytes:
    values = np.nan_to_num(rows[:, 3:6], nan=0, posinf=1, neginf=0)
    scale = 255.0 if values.max() <= 1 else 1.0
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def _corners(text: bytes, points: int) -> Wide:
    lines = [_BEYOND_FIRST.sub(b"", line) if b"/" in line else line for line in _FACE.findall(text)]
    lengths = np.fromiter((len(line.split()) for line in lines), np.int64, len(lines))
    flat = numbers(b"\n".join(lines), int(lengths.sum()))
    if not (np.abs(flat) <= 2**53).all():
        raise ValueError
    corners = flat.astype(np.int64)
    _refuse_zero(corners, points)
    if (corners < 0).any():
        corners = _counted_back(text, corners, lengths)
    else:
        corners -= 1
    return fans(corners, lengths) if len(lengths) else np.empty((0, 3), np.int64)


def _refuse_zero(corners: Wide, points: int) -> None:
    if (corners == 0).any():
        raise ScanRefused(
            f"refers to point 0 and holds {points:,} points, the first being 1. {AGAIN}"
        )


def _counted_back(text: bytes, corners: Wide, lengths: Wide) -> Wide:
    """Rows from zero; a negative corner counts back from the last point before its own line."""
    point_lines = np.fromiter((m.start() for m in _POINT.finditer(text)), np.int64)
    face_lines = np.fromiter((m.start() for m in _FACE.finditer(text)), np.int64)
    known = np.repeat(np.searchsorted(point_lines, face_lines), lengths)
    return np.where(corners < 0, corners + known, corners - 1)
