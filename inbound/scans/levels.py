"""Lighter levels of a scan for pictures and the first view; never for measuring."""

import numpy as np
from numpy.typing import NDArray

from inbound.scans.check import face_normals
from inbound.scans.mesh import Bytes, Floats, Ints, Mesh, Wide

PREVIEW, MEDIUM = 50_000, 200_000  # triangles: a first look, and what a small device can bear
_TRIES = 30


def simplify(mesh: Mesh, triangles: int = PREVIEW) -> Mesh:
    """At most `triangles` of them, with colours carried over; the mesh itself when it is small enough.

    Quadric edge collapse does it well. Where that gives up (surfaces of loose triangles cannot be collapsed),
    vertices are clustered on a grid instead: coarser to look at, and never more than was asked for.
    """
    if len(mesh.faces) <= triangles:
        return mesh
    collapsed = _collapse(mesh, triangles)
    if collapsed is not None and 0 < len(collapsed.faces) <= triangles:
        return collapsed
    return _cluster(mesh, triangles)


def _collapse(mesh: Mesh, triangles: int) -> Mesh | None:
    import fast_simplification  # noqa: PLC0415  # 20 ms that a child without large scans saves

    try:
        vertices, faces, steps = fast_simplification.simplify(
            mesh.vertices, mesh.faces, target_count=triangles, return_collapses=True
        )
        colours = _carried(mesh, len(vertices), steps)
    except (ValueError, RuntimeError, IndexError):
        return None
    return Mesh(
        np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32), colours
    )


def _carried(mesh: Mesh, count: int, steps: Ints) -> Bytes | None:
    """Each new vertex's colour: the mean of the vertices that were collapsed into it."""
    if mesh.colours is None:
        return None
    import fast_simplification  # noqa: PLC0415

    _, _, became = fast_simplification.replay_simplification(mesh.vertices, mesh.faces, steps)
    return _mean_colours(mesh.colours, became, count)


def _mean_colours(colours: Bytes, became: Ints | Wide, count: int) -> Bytes:
    weight = np.maximum(np.bincount(became, minlength=count), 1)
    sums = [np.bincount(became, colours[:, channel], count) for channel in range(3)]
    return np.rint(np.stack(sums, axis=1) / weight[:, None]).astype(np.uint8)


def _cluster(mesh: Mesh, triangles: int) -> Mesh:
    """Vertices of one grid cell become their mean; cells grow until few enough triangles are left."""
    size = np.ptp(mesh.vertices, axis=0).max()
    cell = float(size) / np.sqrt(triangles)
    for _ in range(_TRIES):
        clustered = _on_grid(mesh, cell)
        if not len(clustered.faces):
            break  # loose triangles far larger than cells vanish all at once
        if len(clustered.faces) <= triangles:
            return clustered
        cell *= 1.05 * float(np.sqrt(len(clustered.faces) / triangles))
    return _largest(mesh, triangles)


def _on_grid(mesh: Mesh, cell: float) -> Mesh:
    became = _cells(mesh.vertices, cell)
    faces = became[mesh.faces].astype(np.int32)
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    count = int(became.max()) + 1
    weight = np.bincount(became, minlength=count)
    sums = [np.bincount(became, mesh.vertices[:, axis], count) for axis in range(3)]
    colours = None if mesh.colours is None else _mean_colours(mesh.colours, became, count)
    return Mesh((np.stack(sums, axis=1) / weight[:, None]).astype(np.float32), faces, colours)


def _cells(vertices: Floats, cell: float) -> Wide:
    """For each vertex the number of its grid cell, counted over the cells that hold any."""
    steps = ((vertices - vertices.min(axis=0)) / cell).astype(np.int64)
    keys = (steps[:, 0] << 42) | (steps[:, 1] << 21) | steps[:, 2]
    became: NDArray[np.int64] = np.unique(keys, return_inverse=True)[1]
    return became


def _largest(mesh: Mesh, triangles: int) -> Mesh:
    area = np.square(face_normals(mesh)).sum(axis=1)
    kept = np.sort(np.argpartition(area, -triangles)[-triangles:])
    return Mesh(mesh.vertices, mesh.faces[kept], mesh.colours)
