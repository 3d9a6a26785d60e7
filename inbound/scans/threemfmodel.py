"""One XML model of a 3MF (core specification 1.3), gathered from expat's events into flat arrays."""

import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from inbound.scans.assembly import Matrix
from inbound.scans.mesh import AGAIN, Bytes, Floats, Wide, in_plain_words
from inbound.scans.texture import Colour
from store.errors import ScanRefused

_MOST_SOLIDS = 100_000
_COLOUR = re.compile(r"#([0-9a-fA-F]{6})(?:[0-9a-fA-F]{2})?\Z")
_PIECE = 1 << 16  # bytes given to expat at a time
Attributes = dict[str, str]


@dataclass(frozen=True, eq=False)
class Part:
    """A solid placed in another or in the build; `path` names another model of the archive, or is ""."""

    path: str
    name: str
    matrix: Matrix


@dataclass(eq=False)
class Solid:
    """An object of a model: a surface, or parts.

    Attributes:
        points: x, y, z of each vertex, one after another, as float32.
        faces: three corners of each triangle, one after another.
        painted: for triangles with colours of their own: its number, the group and three colours.
        group, colour: what the others have; "" for nothing.
    """

    group: str = ""
    colour: int = 0
    points: "array[float]" = field(default_factory=lambda: array("f"))
    faces: "array[int]" = field(default_factory=lambda: array("i"))
    painted: "array[int]" = field(default_factory=lambda: array("q"))
    parts: list[Part] = field(default_factory=list)

    def surface(
        self, colours: dict[str, list[Colour]]
    ) -> tuple[Floats, Wide, Bytes | None, Colour | None]:
        """(n, 3) vertices, (m, 3) faces, (n, 3) colours if they differ, and the one colour if they do not."""
        vertices = np.frombuffer(self.points, np.float32).reshape(-1, 3)
        faces = np.frombuffer(self.faces, np.int32).reshape(-1, 3).astype(np.int64)
        group = colours.get(self.group, [])
        plain = group[self.colour] if 0 <= self.colour < len(group) else None
        if not self.painted:
            return vertices, faces, None, plain
        corners = self._corner_colours(colours, plain or (255, 255, 255))
        if corners is None:
            return vertices, faces, None, plain
        return *_split(vertices, faces, corners), None

    def _corner_colours(self, colours: dict[str, list[Colour]], plain: Colour) -> Wide | None:
        """(m, 3) colours of corners, each as one number; None where no triangle's colour is known."""
        corners = np.full((len(self.faces) // 3, 3), _packed(plain), np.int64)
        palette = np.array([_packed(one) for group in colours.values() for one in group], np.int64)
        sizes = np.array([len(group) for group in colours.values()] + [0])
        starts = np.cumsum(sizes) - sizes
        rows = np.frombuffer(self.painted, np.int64).reshape(-1, 5)
        group, wanted = rows[:, 1], rows[:, 2:]  # a group of -1 is the empty one at the end
        known = ((wanted >= 0) & (wanted < sizes[group, None])).all(axis=1)
        if not known.any():
            return None
        corners[rows[known, 0]] = palette[wanted[known] + starts[group[known], None]]
        return corners


@dataclass(eq=False)
class Model:
    """What one model file says.

    Attributes:
        solids: by their ids.
        colours: sRGB colours of each group, by its id.
        items: what is built.
        notes: metadata, names and comments, which no copy keeps.
    """

    unit: str = "millimeter"
    solids: dict[str, Solid] = field(default_factory=dict)
    colours: dict[str, list[Colour]] = field(default_factory=dict)
    items: list[Part] = field(default_factory=list)
    notes: int = 0


def read_model(unpack: Callable[[BinaryIO], object]) -> Model:
    """The model that `unpack` writes, piece by piece, into the file it is given.

    Raises:
        ScanRefused: it declares a document type, is cut or damaged.
    """
    reader = _Reader()
    unpack(cast(BinaryIO, reader))
    reader.end()
    return reader.model


class _Reader:
    """Expat's handlers; to the unpacker it looks like a file."""

    def __init__(self) -> None:
        self.model = Model()
        self.solid = Solid()
        self.palette: list[Colour] = []
        self.groups: dict[str, int] = {}
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.StartDoctypeDeclHandler = self._no_document_type
        self.parser.CommentHandler = self._comment
        self.known: dict[str, Callable[[Attributes], None]] = {
            "vertex": self._vertex,
            "triangle": self._triangle,
            "model": self._model,
            "object": self._object,
            "component": self._component,
            "item": self._item,
            "basematerials": self._group,
            "colorgroup": self._group,
            "base": self._base,
            "color": self._color,
            "metadata": self._metadata,
        }
        # Most elements come under a name that was resolved before.
        self.resolved: dict[str, Callable[[Attributes], None]] = {}

    def write(self, data: bytes) -> int:
        with in_plain_words("3MF"):  # the unpacker would take a parser's errors for its own
            for start in range(0, len(data), _PIECE):
                self._parse(data[start : start + _PIECE], last=False)
        return len(data)

    def end(self) -> None:
        self._parse(b"", last=True)

    def _parse(self, data: bytes, last: bool) -> None:
        try:
            self.parser.Parse(data, last)
        except expat.ExpatError as error:
            raise ScanRefused(f"is damaged or stops before its end. {AGAIN}") from error

    def _start(self, name: str, attributes: Attributes) -> None:
        handler = self.resolved.get(name)
        if handler is None:
            handler = self.known.get(name.rpartition(" ")[2])
            if handler is None:
                return
            if len(self.resolved) < 100:
                self.resolved[name] = handler
        handler(attributes)

    def _no_document_type(self, *_: Any) -> None:
        raise ScanRefused(f"declares a document type, which no 3MF may. {AGAIN}")

    def _comment(self, _text: str) -> None:
        self.model.notes += 1

    def _model(self, attributes: Attributes) -> None:
        self.model.unit = attributes.get("unit", "millimeter")

    def _metadata(self, _attributes: Attributes) -> None:
        self.model.notes += 1

    def _object(self, attributes: Attributes) -> None:
        if len(self.model.solids) >= _MOST_SOLIDS:
            raise ScanRefused(f"holds more than {_MOST_SOLIDS:,} parts. {AGAIN}")
        colour = int(attributes.get("pindex", "0"))
        self.solid = Solid(attributes.get("pid", ""), colour)
        self.model.solids[attributes["id"]] = self.solid
        self.model.notes += ("name" in attributes) + ("partnumber" in attributes)

    def _vertex(self, attributes: Attributes) -> None:
        points = self.solid.points
        points.append(float(attributes["x"]))
        points.append(float(attributes["y"]))
        points.append(float(attributes["z"]))

    def _triangle(self, attributes: Attributes) -> None:
        faces = self.solid.faces
        faces.append(int(attributes["v1"]))
        faces.append(int(attributes["v2"]))
        faces.append(int(attributes["v3"]))
        if "p1" in attributes:
            self._paint(attributes)

    def _paint(self, attributes: Attributes) -> None:
        group = self.groups.get(attributes.get("pid", self.solid.group), -1)
        first = int(attributes["p1"])
        second, third = int(attributes.get("p2", first)), int(attributes.get("p3", first))
        number = len(self.solid.faces) // 3 - 1
        self.solid.painted.extend((number, group, first, second, third))

    def _component(self, attributes: Attributes) -> None:
        self.solid.parts.append(_part(attributes))

    def _item(self, attributes: Attributes) -> None:
        self.model.items.append(_part(attributes))
        self.model.notes += "partnumber" in attributes

    def _group(self, attributes: Attributes) -> None:
        self.palette = []
        self.groups.setdefault(attributes["id"], len(self.groups))
        self.model.colours[attributes["id"]] = self.palette

    def _base(self, attributes: Attributes) -> None:
        self.palette.append(_colour(attributes.get("displaycolor", "")))
        self.model.notes += "name" in attributes

    def _color(self, attributes: Attributes) -> None:
        self.palette.append(_colour(attributes.get("color", "")))


def _part(attributes: Attributes) -> Part:
    path = next((value for key, value in attributes.items() if key.endswith(" path")), "")
    return Part(path, attributes["objectid"], _matrix(attributes.get("transform", "")))


def _matrix(text: str) -> Matrix:
    """Twelve numbers, for rows of points (core specification 3.3); ours is for columns."""
    matrix = np.eye(4)
    if text.strip():
        values = np.array([float(word) for word in text.split()[:13]])
        if len(values) != 12 or not np.isfinite(values).all():
            raise ScanRefused(f"places a part where there is no place. {AGAIN}")
        matrix[:3] = values.reshape(4, 3).T
    return matrix


def _colour(text: str) -> Colour:
    found = _COLOUR.match(text)
    red, green, blue = bytes.fromhex(found[1]) if found else b"\xff\xff\xff"
    return red, green, blue


def _packed(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _split(vertices: Floats, faces: Wide, colours: Wide) -> tuple[Floats, Wide, Bytes]:
    """One vertex for each colour that a point has; in the order of the points."""
    keys = (faces << 24) | colours
    distinct, corners = np.unique(keys.reshape(-1), return_inverse=True)
    points, packed = distinct >> 24, distinct & 0xFFFFFF
    if int(points.min()) < 0 or int(points.max()) >= len(vertices):
        wrong = faces[(faces < 0) | (faces >= len(vertices))][0]
        raise ScanRefused(
            f"refers to point {wrong + (wrong >= 0):,} and holds {len(vertices):,} points. {AGAIN}"
        )
    channels: NDArray[np.int64] = packed[:, None] >> np.array([16, 8, 0]) & 0xFF
    return vertices[points], corners.reshape(-1, 3), channels.astype(np.uint8)
