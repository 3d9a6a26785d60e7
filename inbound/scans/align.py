"""Two versions of one scan brought into the same coordinates, if they are not in them already.

A designer's next version usually lies where the last one lay, and then nothing is moved: moving would hide the very
change that the dentist is to see. Only a scan that lies elsewhere and has the same shape is moved; a scan of another
shape is said to be another scan.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbound.scans.check import face_normals
from inbound.scans.distance import signed_distance
from inbound.scans.mesh import Floats, Mesh

Array = NDArray[np.float64]
Transform = NDArray[np.float64]  # (4, 4) rigid, for columns (x, y, z, 1) in mm

_SAMPLES, _ROUGH = (
    4_000,
    800,
)  # points of the new version that are looked at, and those of a first try
_REACH = 1.0  # mm that places of one shape may be apart
_SAME, _SAME_SHARE = 0.01, 0.3  # mm, and the share of points that unchanged versions agree in
_ALIKE, _ALIKE_SHARE = 0.1, 0.5  # mm, and share, for one shape in two scans
_SURELY_MOVED = (
    0.9  # share alike, above which a version that lies close by was moved rather than changed
)
_CLOSE = 0.5  # mm: the median distance of a version that was changed all over, in place
_TRIMMED = 0.7  # share of the pairs that an alignment follows; the others may have changed


def align(new: Mesh, old: Mesh) -> Transform | None:
    """The rigid motion that brings `new` onto `old`: exactly the identity if they share coordinates already.

    None if the two are not the same object: no motion brings half of `new` to within 0.1 mm of `old`. A version
    that shows only a part of the other can be compared in place, and is not found when it was moved as well.
    """
    points = _sample(new, _SAMPLES)
    if _shared(points, old) >= _SAME_SHARE:
        return np.eye(4)
    in_place = _apart(points, old)
    if (in_place <= _SAME).mean() >= _SAME_SHARE:
        return np.eye(4)
    motion = _Target.of(old).fitted(new, points)
    alike = float((_apart(moved(points, motion), old) <= _ALIKE).mean())
    close = float(np.median(in_place)) <= _CLOSE
    if close and alike < _SURELY_MOVED:
        return np.eye(4)
    return motion if alike >= _ALIKE_SHARE else None


def moved(points: Floats, motion: Transform) -> Floats:
    """(n, 3) points after a motion."""
    places: Floats = _placed(points.astype(np.float64), motion).astype(np.float32)
    return places


def _placed(points: Array, motion: Transform) -> Array:
    placed: Array = points @ motion[:3, :3].T + motion[:3, 3]
    return placed


def _sample(mesh: Mesh, count: int) -> Floats:
    """At most `count` vertices that have a face, the same ones each time."""
    used = np.unique(mesh.faces[:: max(1, len(mesh.faces) // (4 * count))])
    points: Floats = mesh.vertices[np.random.default_rng(1).permutation(used)[:count]]
    return points


def _shared(points: Floats, mesh: Mesh) -> float:
    """The share of points that are vertices of the mesh, bit for bit: unchanged versions are told at once."""
    factors = np.array([0x9E3779B1, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5], np.uint64)
    keys = [(place + np.float32(0)).view(np.uint32) * factors for place in (points, mesh.vertices)]
    mine, theirs = (np.bitwise_xor.reduce(key, axis=1) for key in keys)
    return float(np.isin(mine, theirs).mean())


def _apart(points: Floats, mesh: Mesh) -> Floats:
    """(n,) mm from the surface; infinite out of reach."""
    distance: Floats = np.abs(signed_distance(points, mesh, _REACH))
    return np.nan_to_num(distance, nan=np.inf)


@dataclass(frozen=True)
class _Target:
    """The old version: its vertices in a tree, their normals, and how it lies."""

    places: Array
    normals: Array
    tree: Any
    axes: Array
    centre: Array

    @classmethod
    def of(cls, mesh: Mesh) -> "_Target":
        from scipy.spatial import cKDTree  # noqa: PLC0415  # versions seldom have to be aligned

        places = mesh.vertices.astype(np.float64)
        tree = cKDTree(places, leafsize=32, balanced_tree=False, compact_nodes=False)
        return cls(places, _normals(mesh), tree, *_lie(mesh))

    def fitted(self, new: Mesh, points: Floats) -> Transform:
        """The best motion of the points that is found: rough tries from several sides, then a fine one."""
        rough, fine = points[:_ROUGH].astype(np.float64), points.astype(np.float64)
        tries = [self._refined(rough, start, 25) for start in self._starts(new)]
        best = min(tries, key=lambda motion: self._misfit(rough, motion))
        return self._refined(fine, best, 40)

    def _starts(self, new: Mesh) -> list[Transform]:
        """Where it lies, shifted only, and with its three main axes on those of the old version, four ways."""
        axes, centre = _lie(new)
        flips = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
        turns = [np.eye(3), *(self.axes.T @ np.diag(flip) @ axes for flip in flips)]
        return [np.eye(4), *(_motion(turn, self.centre - turn @ centre) for turn in turns)]

    def _refined(self, points: Array, motion: Transform, steps: int) -> Transform:
        for _ in range(steps):
            places = _placed(points, motion)
            away, nearest = self.tree.query(places)
            kept = np.argsort(away, kind="stable")[: max(6, int(_TRIMMED * len(away)))]
            step = _step(places[kept], self.places[nearest[kept]], self.normals[nearest[kept]])
            motion = step @ motion
            if np.abs(step - np.eye(4)).max() < 1e-7:
                break
        return motion

    def _misfit(self, points: Array, motion: Transform) -> float:
        away, _ = self.tree.query(_placed(points, motion))
        return float(np.quantile(away, _TRIMMED))


def _normals(mesh: Mesh) -> Array:
    """(n, 3) unit normals, the mean of the faces around each vertex weighted by area; double, as a fit needs."""
    corners, face = mesh.faces.T.reshape(-1), face_normals(mesh).astype(np.float64)
    columns = [np.bincount(corners, np.tile(axis, 3), len(mesh.vertices)) for axis in face.T]
    normals = np.stack(columns, axis=1)
    unit: Array = normals / np.maximum(np.linalg.norm(normals, axis=1), 1e-300)[:, None]
    return unit


def _lie(mesh: Mesh) -> tuple[Array, Array]:
    """(3, 3) rows: the unit main axes of the surface, right-handed; (3,) its centre, mm."""
    middle = mesh.vertices[mesh.faces].mean(axis=1, dtype=np.float64)
    area = np.linalg.norm(face_normals(mesh), axis=1).astype(np.float64) + 1e-12
    centre = np.average(middle, axis=0, weights=area)
    spread = ((middle - centre) * area[:, None]).T @ (middle - centre)
    axes = np.linalg.eigh(spread)[1].T
    axes[2] *= np.sign(np.linalg.det(axes))
    return axes, centre


def _step(places: Array, feet: Array, normals: Array) -> Transform:
    """The small motion that brings places closest to the planes at their feet, least squares."""
    centre = places.mean(axis=0)
    rows = np.hstack([np.cross(places - centre, normals), normals])
    gap = np.einsum("ij,ij->i", feet - places, normals)
    # A touch of damping: a plane or a sphere can slide along itself without end.
    normal = rows.T @ rows + 1e-9 * len(rows) * np.eye(6)
    found = np.linalg.solve(normal, rows.T @ gap)
    turn = _turn(found[:3])
    return _motion(turn, found[3:] + centre - turn @ centre)


def _turn(vector: Array) -> Array:
    """The rotation about a vector by its length in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn: Array = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return turn


def _motion(turn: Array, shift: Array) -> Transform:
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = turn, shift
    return motion
