"""PLY, text and binary of both byte orders, any properties in any order, read with numpy.

Rows of one length are read in one go; a table whose lists differ in length (triangles among quads) is walked
row by row. Text becomes float64 numbers first and then takes the same way as binary.
"""

import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import (
    AGAIN,
    Bytes,
    Floats,
    Ints,
    Mesh,
    Wide,
    checked,
    fans,
    in_plain_words,
    stops_early,
)
from inbound.scans.numbers import numbers
from inbound.scans.plyhead import Element, Header, Property, read_header
from store.errors import ScanRefused

_ROWS = 50_000  # rows of a walked table gathered at a time, to bound the index arrays
_FARTHEST = 2.0**53  # of a whole number that was written as a fraction
_WHAT = {"vertex": "points", "face": "triangles"}
_COMMENT = re.compile(rb"(?m)^[ \t]*(?:comment|obj_info|#)[^\n]*$")
_FACE_LISTS = ("vertex_indices", "vertex_index")
_COLOURS = (
    ("red", "green", "blue"),
    ("r", "g", "b"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
)


@dataclass(frozen=True)
class Table:
    """Rows of one length: `rows` has a field for each property, and `#name` for each list's count."""

    rows: NDArray[np.void]
    end: int


@dataclass(frozen=True)
class Walked:
    """Rows of different lengths: where each list's values begin, and how many there are."""

    starts: Wide
    lengths: Wide
    end: int


def read(data: memoryview) -> Mesh:
    """The mesh of a PLY, polygons cut into triangles.

    Raises:
        ScanRefused: the file is cut, lies about its size, or holds no usable surface.
    """
    return read_with_notes(data)[0]


def read_with_notes(data: memoryview) -> tuple[Mesh, int]:
    """The same, and how many comments and tables of its writer's own stand in it."""
    with in_plain_words("PLY"):
        header = read_header(data)
        vertices, corners, colours = _read_body(data, header)
        own = sum(1 for e in header.elements if e.count and e.name not in ("vertex", "face"))
        return checked(vertices, corners, colours), header.notes + own


def write(mesh: Mesh) -> bytes:
    """A binary little-endian PLY: positions, colours where there are any, triangles; nothing else."""
    return b"".join([_header(mesh), _vertex_rows(mesh).tobytes(), _face_rows(mesh).tobytes()])


def _read_body(data: memoryview, header: Header) -> tuple[Floats, Wide | Ints, Bytes | None]:
    body, elements = data[header.body :], header.elements
    if header.text:
        body = _text_as_numbers(body)
        elements = tuple(element.as_text() for element in elements)
    vertices, colours = np.empty((0, 3), np.float32), None
    corners: Wide | Ints = np.empty((0, 3), np.int64)
    at = 0
    for element in elements:
        table = _table(body, at, element)
        at = table.end
        if element.name == "vertex":
            vertices, colours = _points(table), _colours(table)
        elif element.name == "face":
            corners = _corners(body, table, element)
    if header.text and at < len(body):
        raise ScanRefused(f"holds more numbers than its header declares. {AGAIN}")
    return vertices, corners, colours


def _text_as_numbers(body: memoryview) -> memoryview:
    text = bytes(body)
    if b"comment" in text or b"#" in text or b"obj_info" in text:
        text = _COMMENT.sub(b"", text)
    return memoryview(numbers(text).astype("<f8").tobytes())


def _table(body: memoryview, at: int, element: Element) -> Table | Walked:
    """The rows of one element, from byte `at`; nothing is allocated for rows that are not there."""
    if not element.count or not element.properties:
        return Table(np.empty(0, np.dtype([("none", "u1")])), at)
    shape = _shape_of_first_row(body, at, element)
    present = min(element.count, (len(body) - at) // shape.itemsize)
    rows: NDArray[np.void] = np.frombuffer(body, shape, present, at)
    if not _all_alike(rows, element):
        return _walk(body, at, element)
    if present < element.count:
        raise stops_early(present, element.count, _WHAT.get(element.name, "rows"))
    return Table(rows, at + present * shape.itemsize)


def _shape_of_first_row(body: memoryview, at: int, element: Element) -> "np.dtype[np.void]":
    """A row's layout, if all rows are like the first."""
    fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
    for prop in element.properties:
        if not prop.counted:
            fields.append((prop.name, prop.kind))
            at += np.dtype(prop.kind).itemsize
            continue
        length = _list_length(body, at, prop, element)
        fields += [("#" + prop.name, prop.counted), (prop.name, prop.kind, (length,))]
        at += np.dtype(prop.counted).itemsize + length * np.dtype(prop.kind).itemsize
    return np.dtype(fields)


def _list_length(body: memoryview, at: int, prop: Property, element: Element) -> int:
    counted = np.dtype(prop.counted)
    room = len(body) - at - counted.itemsize
    if room < 0:
        raise stops_early(0, element.count, _WHAT.get(element.name, "rows"))
    length = int(np.frombuffer(body, counted, 1, at)[0])
    if not 0 <= length * np.dtype(prop.kind).itemsize <= room:
        raise ScanRefused(
            f"stops inside the first of its {_WHAT.get(element.name, 'rows')}. {AGAIN}"
        )
    return length


def _all_alike(rows: NDArray[np.void], element: Element) -> bool:
    counts = [rows["#" + prop.name] for prop in element.properties if prop.counted]
    return all(bool((count == count[0]).all()) for count in counts if len(count))


def _walk(body: memoryview, at: int, element: Element) -> Walked:
    """Row by row; each row takes at least a byte of the file, so a lying count ends with the file."""
    starts: list[int] = []
    lengths: list[int] = []
    steps = _steps(element)
    for row in range(element.count):
        for count, size, wanted in steps:
            length = 1
            if count and at + count.size <= len(body):
                length = int(count.unpack_from(body, at)[0])
                at += count.size
            if wanted:
                starts.append(at)
                lengths.append(length)
            at += length * size
            if length < 0 or at > len(body):
                raise stops_early(row, element.count, _WHAT.get(element.name, "rows"))
    return Walked(np.array(starts, np.int64), np.array(lengths, np.int64), at)


def _steps(element: Element) -> list[tuple[struct.Struct | None, int, bool]]:
    """For each property: the count before its list if it is one, bytes a value, whether it is wanted."""
    return [
        (_unpacker(prop), np.dtype(prop.kind).itemsize, prop.name in _FACE_LISTS)
        for prop in element.properties
    ]


def _unpacker(prop: Property) -> struct.Struct | None:
    if not prop.counted:
        return None
    return struct.Struct(prop.counted[0] + np.dtype(prop.counted).char)


def _points(table: Table | Walked) -> Floats:
    assert isinstance(table, Table), "no writer gives points lists of different lengths"
    if not len(table.rows):
        return np.empty((0, 3), np.float32)
    with np.errstate(over="ignore"):  # a double too large becomes inf, and is refused as such
        return np.stack([table.rows[axis].astype(np.float32) for axis in "xyz"], axis=1)


def _colours(table: Table | Walked) -> Bytes | None:
    assert isinstance(table, Table), "no writer gives points lists of different lengths"
    for names in _COLOURS:
        if set(names) <= set(table.rows.dtype.names or ()):
            return np.stack([_as_byte(table.rows[name]) for name in names], axis=1)
    return None


def _as_byte(channel: NDArray[Any]) -> Bytes:
    """0..255 of a channel that is in bytes, in 16 bits, or in 0..1."""
    if channel.dtype == np.uint8:
        return channel
    values = np.nan_to_num(channel.astype(np.float64), nan=0, posinf=255, neginf=0)
    if channel.dtype.itemsize == 2:
        values = values / 257
    elif channel.dtype.kind == "f" and values.max(initial=0) <= 1:
        values = values * 255
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _corners(body: memoryview, table: Table | Walked, element: Element) -> Wide | Ints:
    named = next((prop for prop in element.properties if prop.name in _FACE_LISTS), None)
    if named is None or not named.counted or not element.count:
        return np.empty((0, 3), np.int64)
    if isinstance(table, Walked):
        flat = _gather(body, table, np.dtype(named.kind))
        return fans(_whole(flat), table.lengths)
    lists = table.rows[named.name]
    if lists.shape[1] == 3 and lists.dtype.kind == "i":  # the normal path: no wider than it came
        return lists.astype(np.int32)
    lengths = np.full(len(lists), lists.shape[1], np.int64)
    return fans(_whole(lists.reshape(-1)), lengths)


def _gather(body: memoryview, walked: Walked, kind: "np.dtype[Any]") -> NDArray[Any]:
    """The values of all lists of a walked table, one after another."""
    raw = np.frombuffer(body, np.uint8)
    blocks = []
    for first in range(0, len(walked.starts), _ROWS):
        starts, lengths = (
            walked.starts[first : first + _ROWS],
            walked.lengths[first : first + _ROWS],
        )
        before = np.cumsum(lengths) - lengths
        offsets = np.repeat(starts - before * kind.itemsize, lengths)
        offsets += np.arange(len(offsets)) * kind.itemsize
        blocks.append(raw[offsets[:, None] + np.arange(kind.itemsize)].view(kind).reshape(-1))
    return np.concatenate(blocks)


def _whole(values: NDArray[Any]) -> Wide:
    if values.dtype.kind == "f" and not (np.abs(values) < _FARTHEST).all():  # nor what is no number
        raise ValueError
    return values.astype(np.int64)


def _header(mesh: Mesh) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(mesh.vertices)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    if mesh.colours is not None:
        lines += [f"property uchar {channel}" for channel in ("red", "green", "blue")]
    lines += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices"]
    return "\n".join([*lines, "end_header\n"]).encode()


def _vertex_rows(mesh: Mesh) -> NDArray[Any]:
    if mesh.colours is None:
        return mesh.vertices.astype("<f4", copy=False)
    rows = np.empty(len(mesh.vertices), [("position", "<f4", 3), ("colour", "u1", 3)])
    rows["position"], rows["colour"] = mesh.vertices, mesh.colours
    return rows


def _face_rows(mesh: Mesh) -> NDArray[Any]:
    rows = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    rows["count"], rows["corners"] = 3, mesh.faces
    return rows
