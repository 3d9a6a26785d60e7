"""What a dentist asks of two scans: where they touch, how far apart they are, what has changed.

A place counts as touching within 0.05 mm: what studies of occlusion call actual contact, and about the foil with
which it is marked in the mouth. More than 0.2 mm, the thickest marking paper, at the closest place is an open bite.
Areas are measured along the triangles, with distances running evenly from corner to corner.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inbound.scans.align import Transform, align, moved
from inbound.scans.check import face_normals
from inbound.scans.distance import signed_distance
from inbound.scans.mesh import Floats, Mesh

Point = tuple[float, float, float]
Array = NDArray[np.float64]

TOUCHING = 0.05  # mm
OPEN_BITE = 0.2  # mm
CHANGED = 0.02  # mm; less is the noise of a scanner
REACH = 2.0  # mm that distances to an antagonist are told
CHANGE_REACH = 3.0  # mm up to which a place counts as moved rather than new
_FARTHEST = 30.0  # mm; jaws farther apart were never brought together
_SAMPLES = 20_000  # vertices that tell about how far apart two distant scans are


@dataclass(frozen=True, eq=False)
class Contacts:
    """How two antagonists meet.

    Attributes:
        one, other: (n,) mm from each vertex of either scan to the other scan's surface, negative where it lies
            behind it; NaN beyond 2 mm or past the other's border (see `signed_distance`).
        tightest_mm: the smallest distance, negative for an overlap; None if no place of either faces the other
            within 30 mm.
        tightest: (x, y, z) mm, the vertex where that is; None likewise.
        contact_mm2: area of `one` that lies within 0.05 mm of the other, or behind it.
        overlap_mm: how far the deepest vertex is behind the other's surface; 0 without overlap.
        gap_mm: the smallest distance if nothing touches, 0 if something does; None without `tightest_mm`.
    """

    one: Floats
    other: Floats
    tightest_mm: float | None
    tightest: Point | None
    contact_mm2: float
    overlap_mm: float
    gap_mm: float | None

    @property
    def bite_open(self) -> bool:
        """Whether the bite leaves more than 0.2 mm everywhere; `gap_mm` says how much."""
        return self.gap_mm is None or self.gap_mm > OPEN_BITE


@dataclass(frozen=True, eq=False)
class Deviation:
    """What has changed from one version to the next.

    Attributes:
        values: (n,) mm from each vertex of the new version to the old surface, positive where material was added;
            NaN where the old version has nothing within 3 mm, or had ended.
        largest_mm: the value farthest from 0, with its sign; 0 if nothing is near.
        largest: (x, y, z) mm in the new version's own coordinates, the vertex where that is; None likewise.
        changed_mm2: area of the new version that moved more than 0.02 mm.
        new_mm2: area of the new version without a counterpart in the old one.
        moved: the motion that brought the new version onto the old one; None if they shared coordinates.
    """

    values: Floats
    largest_mm: float
    largest: Point | None
    changed_mm2: float
    new_mm2: float
    moved: Transform | None


def contacts(one: Mesh, other: Mesh) -> Contacts:
    """How antagonists meet: two jaws in occlusion, or a design and the jaw opposite, in shared coordinates.

    Raises:
        ScanRefused: a scan is such a tangle that measuring would take minutes.
    """
    first = signed_distance(one.vertices, other, REACH)
    second = signed_distance(other.vertices, one, REACH)
    closest = _lowest([(one, first), (other, second)]) or _closest_afar(one, other)
    tightest = None if closest is None else closest[0]
    return Contacts(
        one=first,
        other=second,
        tightest_mm=tightest,
        tightest=None if closest is None else closest[1],
        contact_mm2=_area_below(one, first, TOUCHING),
        overlap_mm=0.0 if tightest is None else max(0.0, -tightest),
        gap_mm=None if tightest is None else (tightest if tightest > TOUCHING else 0.0),
    )


def deviation(new: Mesh, old: Mesh) -> Deviation | None:
    """What has changed from `old` to `new`; None if they are not comparable, being different objects.

    Raises:
        ScanRefused: the old version is such a tangle that measuring would take minutes.
    """
    motion = align(new, old)
    if motion is None:
        return None
    in_place = np.array_equal(motion, np.eye(4))
    points = new.vertices if in_place else moved(new.vertices, motion)
    values = signed_distance(points, old, CHANGE_REACH)
    farthest = _lowest([(new, -np.abs(values))])
    row = -1 if farthest is None else int(np.nanargmax(np.abs(values)))
    return Deviation(
        values=values,
        largest_mm=0.0 if farthest is None else float(values[row]),
        largest=None if farthest is None else farthest[1],
        changed_mm2=_area_below(new, -values, -CHANGED) + _area_below(new, values, -CHANGED),
        new_mm2=_area_without(new, values),
        moved=None if in_place else motion,
    )


def _lowest(parts: list[tuple[Mesh, Floats]]) -> tuple[float, Point] | None:
    """The lowest value of all and the vertex it belongs to; None if there are no values."""
    found = []
    for mesh, values in parts:
        if not np.isnan(values).all():
            row = int(np.nanargmin(values))
            found.append((float(values[row]), _point(mesh.vertices[row])))
    return min(found, default=None)


def _closest_afar(one: Mesh, other: Mesh) -> tuple[float, Point] | None:
    """The smallest distance of scans that are nowhere within reach, and where it is."""
    from scipy.spatial import cKDTree  # noqa: PLC0415  # most bites are not as open

    few, others = _some(one), _some(other)
    about = float(cKDTree(others).query(few, distance_upper_bound=_FARTHEST)[0].min())
    if not np.isfinite(about):
        return None
    # The closest vertices of all are no farther apart than those of a sample.
    reach = about * 1.001
    return _lowest(
        [
            (one, signed_distance(one.vertices, other, reach)),
            (other, signed_distance(other.vertices, one, reach)),
        ]
    )


def _some(mesh: Mesh) -> Floats:
    return mesh.vertices[:: max(1, len(mesh.vertices) // _SAMPLES)]


def _area_below(mesh: Mesh, values: Floats, limit: float) -> float:
    """Area of the mesh in mm2 where values, linear within each triangle, are at most `limit`."""
    with_part = np.flatnonzero((values <= limit)[mesh.faces].any(axis=1))
    faces = mesh.faces[with_part]
    corner = np.sort(values[faces].astype(np.float64), axis=1) - limit
    area = _areas(Mesh(mesh.vertices, faces))
    known = np.isfinite(corner).all(axis=1)
    low, middle, high = corner[known].T
    share = np.where(
        middle <= 0,
        1 - np.square(high.clip(0)) / np.maximum((high - low) * (high - middle), 1e-300),
        np.square(low) / np.maximum((middle - low) * (high - low), 1e-300),
    )
    return float((area[known] * np.where(high <= 0, 1, share)).sum())


def _area_without(mesh: Mesh, values: Floats) -> float:
    """Area in mm2 of the triangles that have no value at any corner."""
    faces = mesh.faces[np.isnan(values)[mesh.faces].all(axis=1)]
    return float(_areas(Mesh(mesh.vertices, faces)).sum())


def _areas(mesh: Mesh) -> Array:
    area: Array = np.linalg.norm(face_normals(mesh).astype(np.float64), axis=1) / 2
    return area


def _point(vertex: Floats) -> Point:
    x, y, z = (float(value) for value in vertex)
    return x, y, z
