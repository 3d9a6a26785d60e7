"""Pieces that a file places in space (the parts of a 3MF, the nodes of a glTF) become one mesh, within bounds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import AGAIN, Bytes, Floats, Mesh, Wide, checked
from inbound.scans.texture import Colour, Sheet, onto, sheet
from store.errors import ScanRefused

MOST_PLACES = 10_000  # pieces placed in space; a file may place one many times
_MOST_CORNERS = 60_000_000  # of all pieces placed: twenty million triangles
_WHITE: Colour = (255, 255, 255)
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Piece:
    """A surface and where it goes.

    Attributes:
        vertices: (n, 3) float32, in the file's unit.
        faces: (m, 3) rows of `vertices`.
        matrix: (4, 4), applied to columns: the last column moves.
        colours: (n, 3) sRGB, or None.
        plain: the colour of its material, or None.
        uvs: (n, 2) from the image's upper left corner, or None.
        image: which of the images it wears; -1 for none.
    """

    vertices: Floats
    faces: Wide
    matrix: Matrix
    colours: Bytes | None = None
    plain: Colour | None = None
    uvs: Floats | None = None
    image: int = -1


def too_many_places() -> ScanRefused:
    """The refusal of a file whose parts hold one another without end, or nearly so."""
    return ScanRefused(f"places its parts more than {MOST_PLACES:,} times. {AGAIN}")


class Bounds:
    """How much a file has placed so far, held against the limits before a copy of it is made."""

    def __init__(self) -> None:
        self._places = self._corners = 0

    def add(self, piece: Piece) -> None:
        """One piece more.

        Raises:
            ScanRefused: with it there are more pieces, triangles or points than in any scan.
        """
        self._places += 1
        if self._places > MOST_PLACES:
            raise too_many_places()
        self._corners += max(piece.faces.size, len(piece.vertices))
        if self._corners > _MOST_CORNERS:
            raise ScanRefused(
                f"holds more than {_MOST_CORNERS // 3:,} triangles. Export it with fewer triangles."
            )


def joined(pieces: Sequence[Piece], images: Sequence[bytes | memoryview], scale: float) -> Mesh:
    """All pieces in their places as one mesh, their numbers times `scale`.

    Raises:
        ScanRefused: there is no usable surface, too much of it, or an image is too large.
    """
    bounds = Bounds()
    for piece in pieces:
        bounds.add(piece)
    if not pieces:
        return checked(np.empty((0, 3), np.float32), np.empty((0, 3), np.int64))
    resize = np.diag([scale, scale, scale, 1.0])
    matrices = [resize @ piece.matrix for piece in pieces]
    placed = [placed_in(piece.vertices, m) for piece, m in zip(pieces, matrices, strict=True)]
    sizes = [len(vertices) for vertices in placed]
    starts = np.cumsum(sizes) - sizes
    faces = [
        _seen_from_outside(piece.faces, m) + start
        for piece, m, start in zip(pieces, matrices, starts.tolist(), strict=True)
    ]
    for piece in pieces:  # a wrong corner must not become one of the next piece
        if piece.faces.size:
            _refuse_foreign_corners(piece)
    mesh = checked(np.concatenate(placed), np.concatenate(faces))
    return _painted(mesh, pieces, images)


def _refuse_foreign_corners(piece: Piece) -> None:
    """Refuses a piece whose faces refer to points that it does not have."""
    lowest, highest = int(piece.faces.min()), int(piece.faces.max())
    if lowest >= 0 and highest < len(piece.vertices):
        return
    wrong = lowest if lowest < 0 else highest + 1  # people count points from one
    raise ScanRefused(
        f"refers to point {wrong:,} and holds {len(piece.vertices):,} points. {AGAIN}"
    )


def placed_in(vertices: Floats, matrix: Matrix) -> Floats:
    """(n, 3) points moved by a (4, 4) matrix; bit for bit the same where it moves nothing."""
    if np.array_equal(matrix, np.eye(4)):
        return vertices
    with np.errstate(all="ignore"):  # what is too large becomes inf, and is refused as such
        moved = vertices.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
        return moved.astype(np.float32)


def _seen_from_outside(faces: Wide, matrix: Matrix) -> Wide:
    """A mirrored piece would be inside out."""
    with np.errstate(all="ignore"):
        return faces[:, ::-1] if np.linalg.det(matrix[:3, :3]) < 0 else faces


def _painted(mesh: Mesh, pieces: Sequence[Piece], images: Sequence[bytes | memoryview]) -> Mesh:
    if any(piece.uvs is not None and piece.image >= 0 for piece in pieces):
        cells = [_cell(piece) for piece in pieces]
        distinct = list(dict.fromkeys(cells))
        found = sheet([images[cell] if isinstance(cell, int) else cell for cell in distinct])
        if found is not None:
            numbers = [distinct.index(cell) for cell in cells]
            uvs = np.concatenate(
                [_spots(p, n, found) for p, n in zip(pieces, numbers, strict=True)]
            )
            return Mesh(mesh.vertices, mesh.faces, None, uvs, found.data)
    colours = [piece.plain for piece in pieces]
    if all(piece.colours is None for piece in pieces) and not say_something(colours):
        return mesh
    return Mesh(mesh.vertices, mesh.faces, np.concatenate([_colours(p) for p in pieces]))


def say_something(colours: Sequence[Colour | None]) -> bool:
    """Whether colours of materials tell parts apart; a single grey only hides the viewer's own look."""
    different = set(colours)
    return len(different) > 1 or any(c is not None and len(set(c)) > 1 for c in different)


def _cell(piece: Piece) -> int | Colour:
    """The number of the image that a piece wears, or the one colour that stands for it."""
    if piece.image >= 0 and piece.uvs is not None:
        return piece.image
    if piece.colours is not None and len(piece.colours):
        red, green, blue = np.rint(piece.colours.mean(axis=0)).astype(int).tolist()
        return red, green, blue
    return piece.plain or _WHITE


def _spots(piece: Piece, cell: int, found: Sheet) -> Floats:
    uvs = piece.uvs
    if uvs is None or piece.image < 0:
        uvs = np.full((len(piece.vertices), 2), 0.5, np.float32)
    return onto(found, uvs, np.full(len(uvs), cell))


def _colours(piece: Piece) -> Bytes:
    if piece.colours is not None:
        return piece.colours
    return np.tile(np.array(piece.plain or _WHITE, np.uint8), (len(piece.vertices), 1))
