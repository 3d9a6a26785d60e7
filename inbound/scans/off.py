"""OFF (Geomview) as text: `OFF`, the counts, points, faces. COFF adds colours to points, NOFF normals, STOFF places.

Faces may carry colours after their corners; they are passed over. The binary kind, which nobody mails, is refused.
"""

import re

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import (
    AGAIN,
    Bytes,
    Floats,
    Mesh,
    Wide,
    checked,
    fans,
    in_plain_words,
    stops_early,
)
from inbound.scans.numbers import numbers, widths
from inbound.scans.obj import written
from store.errors import ScanRefused

_COMMENT = re.compile(rb"#[^\n]*")
_BLANK_LINES = re.compile(rb"\n\s*\n")
_HEAD = re.compile(rb"\s*(ST)?(C)?(N)?(4)?(n)?OFF(?![a-z])[ \t]*(BINARY\b)?", re.IGNORECASE)
_COUNTS = re.compile(rb"\s*(\d{1,12})[ \t]+(\d{1,12})(?:[ \t]+-?\d+)?[ \t]*(?:\n|\Z)")


def read(data: memoryview) -> tuple[Mesh, int]:
    """The mesh of an OFF, polygons cut into triangles, and how many comments stand in it.

    Raises:
        ScanRefused: the file is cut, lies about its size, is the binary kind, or holds no usable surface.
    """
    with in_plain_words("OFF"):
        text, notes = bytes(data).replace(b"\r\n", b"\n").replace(b"\r", b"\n"), 0
        if b"#" in text:
            notes = sum(1 for one in _COMMENT.finditer(text) if one[0].strip(b"# \t"))
            text = _COMMENT.sub(b"", text)
        head = _HEAD.match(text)
        if not head or head[4] or head[5]:
            raise ValueError
        if head[6]:
            raise ScanRefused("is a binary OFF, which is not read here. Export it as STL or PLY.")
        counts = _COUNTS.match(text, head.end())
        if not counts:
            raise ScanRefused(f"stops inside its header. {AGAIN}")
        body = _BLANK_LINES.sub(b"\n", text[counts.end() :].lstrip())
        points, faces = int(counts[1]), int(counts[2])
        return _mesh(body, points, faces, bool(head[2]), bool(head[3])), notes


def write(mesh: Mesh) -> bytes:
    """An OFF of points and triangles, COFF where there are colours; nine digits keep every float32 bit."""
    points: NDArray[np.float64] = mesh.vertices.astype(np.float64)
    word, line = "OFF", "%.9g %.9g %.9g\n"
    if mesh.colours is not None:
        points = np.hstack([points, mesh.colours])
        word, line = "COFF", "%.9g %.9g %.9g %d %d %d 255\n"
    head = f"{word}\n{len(mesh.vertices)} {len(mesh.faces)} 0\n".encode()
    return b"".join(
        [head, *written(points, line), *written(mesh.faces.astype(np.int64), "3 %d %d %d\n")]
    )


def _mesh(body: bytes, points: int, faces: int, coloured: bool, with_normals: bool) -> Mesh:
    lengths = widths(body)
    if len(lengths) < points:
        raise stops_early(len(lengths), points, "points")
    if len(lengths) < points + faces:
        raise stops_early(len(lengths) - points, faces, "triangles")
    values = numbers(body, int(lengths.sum()))
    cut = int(lengths[:points].sum())
    vertices, colours = _points(values[:cut], lengths[:points], coloured, with_normals)
    face_lengths = lengths[points : points + faces]
    corners = _corners(values[cut : cut + int(face_lengths.sum())], face_lengths, faces)
    return checked(vertices, corners, colours)


def _points(
    values: NDArray[np.float64], lengths: Wide, coloured: bool, with_normals: bool
) -> tuple[Floats, Bytes | None]:
    if not len(lengths):
        return np.empty((0, 3), np.float32), None
    if lengths.min() != lengths.max() or lengths[0] < 3:
        raise ScanRefused(f"stops inside one of its {len(lengths):,} points. {AGAIN}")
    rows = values.reshape(len(lengths), -1)
    first = 6 if with_normals else 3
    colours = rows[:, first : first + 3] if coloured and rows.shape[1] >= first + 3 else None
    with np.errstate(over="ignore"):  # what is too large becomes inf, and is refused as such
        return rows[:, :3].astype(np.float32), None if colours is None else _as_bytes(colours)


def _as_bytes(channels: NDArray[np.float64]) -> Bytes:
    values = np.nan_to_num(channels, nan=0, posinf=1, neginf=0)
    scale = 255.0 if values.max() <= 1 else 1.0
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def _corners(values: NDArray[np.float64], lengths: Wide, faces: int) -> Wide:
    if not faces:
        return np.empty((0, 3), np.int64)
    starts = np.cumsum(lengths) - lengths
    if not lengths.all() or not (np.abs(values) <= 2**53).all():
        raise ValueError
    sizes = values[starts].astype(np.int64)
    if (sizes < 0).any() or (sizes + 1 > lengths).any():
        raise ScanRefused(f"stops inside one of its {faces:,} triangles. {AGAIN}")
    before = np.repeat(np.cumsum(sizes) - sizes, sizes)
    wanted = np.repeat(starts + 1, sizes) + np.arange(int(sizes.sum())) - before
    return fans(values[wanted].astype(np.int64), sizes)
