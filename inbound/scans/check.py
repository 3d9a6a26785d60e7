"""What a scan's surface is worth: size, pieces, holes and faults, counted with numpy.

Every edge is a 64-bit number whose lowest bit is the direction in which its face runs along it, so that one
sort shows open, shared and wrongly wound edges at once.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import Floats, Ints, Mesh, Wide, extent

_LARGE = 0.02  # a piece with a smaller share of the faces is debris, and its edges are no holes
_MOST_PLACES = 20
_FLAT = 1e-10  # mm2; a smaller triangle has no direction


Hole = tuple[float, float, float, float]


@dataclass(frozen=True)
class Report:
    """Facts of one scan.

    Attributes:
        triangles, vertices: after welding.
        size_mm: the box along the file's own axes.
        corner_mm: where that box begins.
        components: pieces that share no vertex.
        rims: pieces that are open along an outer edge. The longest loop of a large piece is its rim, if it is
            at least as long as the largest side of the piece's box; each of its other loops is a hole.
        holes: loops of open edges other than rims, on large pieces.
        longest_hole_mm: the length around the longest of them; 0 without holes.
        hole_places: (x, y, z, mm around) of the middle of each, the longest first, twenty at most.
        degenerate: triangles without area.
        duplicates: triangles that are there more than once (each copy after the first counts).
        nonmanifold_edges: edges of three or more triangles.
        inconsistent_edges: edges whose two triangles face opposite ways.
    """

    triangles: int
    vertices: int
    size_mm: tuple[float, float, float]
    corner_mm: tuple[float, float, float]
    components: int
    rims: int
    holes: int
    longest_hole_mm: float
    hole_places: list[Hole]
    degenerate: int
    duplicates: int
    nonmanifold_edges: int
    inconsistent_edges: int

    @property
    def watertight(self) -> bool:
        return not (self.rims or self.holes or self.nonmanifold_edges or self.inconsistent_edges)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists, ready for json.dumps."""
        return {
            **asdict(self),
            "size_mm": list(self.size_mm),
            "corner_mm": list(self.corner_mm),
            "hole_places": [list(hole) for hole in self.hole_places],
        }


@dataclass(frozen=True)
class _Edges:
    """Distinct edges: their two ends, how many faces each has; `opened` keeps the ends of open ones."""

    low: Ints
    high: Ints
    opened: NDArray[np.bool_]
    nonmanifold: int
    inconsistent: int


def examine(mesh: Mesh) -> Report:
    """The report of a welded mesh."""
    edges = _edges(mesh.faces)
    low, high = extent(mesh.vertices)
    piece = _labels(len(mesh.vertices), edges.low, edges.high)
    rims, holes, longest = _loops(mesh, edges, piece)
    return Report(
        triangles=len(mesh.faces),
        vertices=len(mesh.vertices),
        size_mm=_rounded(high - low),
        corner_mm=_rounded(low),
        components=int((piece == np.arange(len(piece))).sum()),
        rims=rims,
        holes=holes,
        longest_hole_mm=max((around for *_, around in longest), default=0.0),
        hole_places=longest,
        degenerate=_degenerate(mesh),
        duplicates=_duplicates(mesh),
        nonmanifold_edges=edges.nonmanifold,
        inconsistent_edges=edges.inconsistent,
    )


def likely_unit(size_mm: tuple[float, float, float]) -> str:
    """The unit in which an arch of this size was probably written: "mm", "cm", "inch" or "m".

    For whole jaws only, whose box is 45 to 85 mm wide; a single crown is as small as an arch in centimetres.
    """
    longest = max(size_mm)
    if longest < 1:
        return "m"
    if 1.5 <= longest <= 4:
        return "inch"
    return "cm" if 4 < longest <= 9 else "mm"


def face_normals(mesh: Mesh) -> Floats:
    """(m, 3) normals of length twice the triangle's area in mm2."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    b -= a
    c -= a
    return np.stack(
        [
            b[:, 1] * c[:, 2] - b[:, 2] * c[:, 1],
            b[:, 2] * c[:, 0] - b[:, 0] * c[:, 2],
            b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0],
        ],
        axis=1,
    )


def _rounded(vector: Floats) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 3) for value in vector)
    return x, y, z


def _edges(faces: Ints) -> _Edges:
    keys = _edge_keys(faces)
    keys.sort()
    undirected = keys >> 1
    starts = np.flatnonzero(np.append(True, undirected[1:] != undirected[:-1]))
    count = np.diff(np.append(starts, len(keys)))
    pairs = starts[count == 2]
    inconsistent = int((keys[pairs] == keys[pairs + 1]).sum())
    ends = undirected[starts]
    return _Edges(
        low=(ends >> 31).astype(np.int32),
        high=(ends & 0x7FFFFFFF).astype(np.int32),
        opened=count == 1,
        nonmanifold=int((count > 2).sum()),
        inconsistent=inconsistent,
    )


def _edge_keys(faces: Ints) -> Wide:
    """(3m,) int64: lower end, higher end, and whether the face runs from the higher to the lower.

    Edges of a corner with itself are left out: such a face is counted as degenerate already.
    """
    keys = np.empty((3, len(faces)), np.int64)
    for side in range(3):
        here, there = faces[:, side], faces[:, (side + 1) % 3]
        row = keys[side]
        row[:] = np.minimum(here, there)
        row <<= 31
        row |= np.maximum(here, there)
        row <<= 1
        row |= here > there
    flat = keys.reshape(-1)
    collapsed = (flat >> 32) == ((flat >> 1) & 0x7FFFFFFF)
    return flat[~collapsed] if collapsed.any() else flat


def _labels(count: int, low: Ints, high: Ints) -> Ints:
    """For each of `count` vertices the lowest vertex that edges connect it with."""
    label = np.arange(count, dtype=np.int32)
    while True:
        one, other = label[low], label[high]
        apart = one != other
        if not apart.any():
            return label
        # An edge inside a piece stays inside it: only edges between pieces matter from here on.
        low, high, one, other = low[apart], high[apart], one[apart], other[apart]
        np.minimum.at(label, np.maximum(one, other), np.minimum(one, other))
        label = _flattened(label)


def _flattened(label: Ints) -> Ints:
    while True:
        further = label[label]
        if np.array_equal(further, label):
            return label
        label = further


def _loops(mesh: Mesh, edges: _Edges, piece: Ints) -> tuple[int, int, list[Hole]]:
    """How many rims there are, how many holes, and the longest of these."""
    low, high = edges.low[edges.opened], edges.high[edges.opened]
    if not len(low):
        return 0, 0, []
    length = np.linalg.norm(mesh.vertices[low] - mesh.vertices[high], axis=1)
    points, ends = np.unique(np.concatenate([low, high]), return_inverse=True)
    numbered = ends.astype(np.int32)
    loop = _labels(len(points), numbered[: len(low)], numbered[len(low) :])
    around = np.zeros(len(points))
    np.add.at(around, loop[numbered[: len(low)]], length)
    loops = np.flatnonzero(around)
    rims, holes = _rims_and_holes(mesh, piece, piece[points[loops]], around[loops])
    places = mesh.vertices[points].astype(np.float64)
    longest = holes[:_MOST_PLACES]
    found = [_hole(places[loop == loops[hole]], around[loops[hole]]) for hole in longest]
    return len(rims), len(holes), found


def _hole(border: NDArray[np.float64], around: float) -> Hole:
    x, y, z = _rounded(border.mean(axis=0))
    return x, y, z, round(float(around), 3)


def _rims_and_holes(
    mesh: Mesh, piece: Ints, owner: Ints, around: NDArray[np.float64]
) -> tuple[list[int], list[int]]:
    """Which loops are rims and which are holes, the longest first; told apart piece by piece.

    Args:
        owner: the piece of each loop.
        around: the length of each in mm.
    """
    faces_of = np.bincount(piece[mesh.faces[:, 0]], minlength=len(piece))
    rims: list[int] = []
    holes: list[int] = []
    for large in np.unique(owner[faces_of[owner] >= _LARGE * len(mesh.faces)]):
        loops = np.flatnonzero(owner == large)
        loops = loops[np.argsort(-around[loops], kind="stable")]
        low, high = extent(mesh.vertices[piece == large])
        widest = float((high - low).max())
        is_rim = bool(around[loops[0]] >= widest)
        rims += loops[:is_rim].tolist()
        holes += loops[is_rim:].tolist()
    return rims, sorted(holes, key=lambda hole: -around[hole])


def _degenerate(mesh: Mesh) -> int:
    twice = np.square(face_normals(mesh)).sum(axis=1)
    return int((twice < (2 * _FLAT) ** 2).sum())


def _duplicates(mesh: Mesh) -> int:
    corners = np.sort(mesh.faces, axis=1).astype(np.int64)
    if len(mesh.vertices) < 1 << 21:
        keys = (corners[:, 0] << 42) | (corners[:, 1] << 21) | corners[:, 2]
        keys.sort()
        return int((keys[1:] == keys[:-1]).sum())
    ordered = corners[np.lexsort(corners.T)]
    return int((ordered[1:] == ordered[:-1]).all(axis=1).sum())
