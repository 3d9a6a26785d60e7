"""How a scan is lit: one light from above left, soft fill, cavities darkened.

Light is worked out for each vertex, in linear colour; a preview's triangles are a few samples wide, so more would
not be seen. What a vertex sees of the sky is found by looking at the scene from many sides: a vertex that lies
well below the nearest surface, seen from there, gets nothing from that side.
"""

import numpy as np
from numpy.typing import NDArray

from inbound.scans.check import face_normals
from inbound.scans.mesh import Bytes, Floats, Ints, Mesh

_KEY, _FILL = (
    (-0.45, 0.62, 0.64),
    (0.75, -0.05, 0.66),
)  # towards the lights; the viewer is at (0, 0, 1)
_KEY_SHARE, _FILL_SHARE, _SKY_SHARE, _GLOSS = 0.74, 0.16, 0.38, 0.10
_SHINE = 36
_SIDES = 40  # from which a scene is looked at
_CELL = 0.9  # mm; how finely
_LIFT = 0.8  # mm a vertex may lie below its surroundings and still be in the open
_DEEPEST = 0.22  # a cavity never gets darker than this share of the sky
_RELIEF = 0.35  # how much a crease darkens and a ridge brightens
_BACK = np.array([0.30, 0.27, 0.25], np.float32)  # the inside of an open scan, linear


def linear(colours: Bytes) -> Floats:
    """SRGB bytes as linear light, 0 to 1."""
    share = np.arange(256, dtype=np.float32) / 255
    table = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    light: Floats = table.astype(np.float32)[colours]
    return light


def encoded(light: Floats) -> Bytes:
    """Linear light as sRGB bytes."""
    light = np.clip(light, 0, 1)
    share = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    rounded: Bytes = np.rint(share * 255).astype(np.uint8)
    return rounded


def vertex_normals(mesh: Mesh) -> Floats:
    """(n, 3) unit normals, the mean of the faces around each vertex weighted by area."""
    return _unit(_sum_at_corners(mesh, face_normals(mesh)))


def relief(mesh: Mesh, normals: Floats) -> Floats:
    """(n,) about -1 in a sharp crease, 0 on the flat, 1 on a sharp ridge."""
    around = np.bincount(mesh.faces.ravel(), minlength=len(mesh.vertices)).astype(np.float32)
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    offset = _sum_at_corners(mesh, middle) / np.maximum(around, 1)[:, None] - mesh.vertices
    height = -np.einsum("ij,ij->i", offset, normals)
    rough = height[mesh.faces].mean(axis=1)
    smooth = _sum_at_corners(mesh, rough[:, None])[:, 0] / np.maximum(around, 1)
    typical = 2.2 * float(np.sqrt(np.square(smooth).mean())) + 1e-9
    bounded: Floats = np.tanh(smooth / np.float32(typical))
    return bounded


def openness(points: Floats, normals: Floats) -> Floats:
    """(n,) the share of the sky above each point that the scene's other points leave open, 0 to 1."""
    open_sky = np.zeros(len(points), np.float32)
    whole = np.full(len(points), 1e-6, np.float32)
    for side in _sphere(_SIDES):
        facing = np.maximum(normals @ side, 0)
        whole += facing
        open_sky += facing * _seen_from(points, side)
    return open_sky / whole


def lit(albedo: Floats, normals: Floats, sky: Floats, crease: Floats) -> Floats:
    """(n, 3) linear colour of each vertex; normals as the viewer sees them (x right, y up, z towards him)."""
    key = np.maximum(normals @ _direction(_KEY), 0) * (0.35 + 0.65 * sky)
    fill = np.maximum(normals @ _direction(_FILL), 0)
    dome = 0.75 + 0.25 * normals[:, 1]
    cavity = _DEEPEST + (1 - _DEEPEST) * sky**1.3
    light = _KEY_SHARE * key + (_FILL_SHARE * fill + _SKY_SHARE * dome) * cavity
    light *= 1 + _RELIEF * crease
    halfway = _direction(_direction(_KEY) + _direction((0, 0, 1)))
    gloss = _GLOSS * np.maximum(normals @ halfway, 0) ** _SHINE * sky
    seen: Floats = albedo * light[:, None] + gloss[:, None].astype(np.float32)
    return seen


def inside(normals: Floats) -> Floats:
    """(n, 3) linear colour of the back of each vertex: plain, darker than any outside."""
    back: Floats = _BACK * (np.float32(0.35) + np.float32(0.65) * np.abs(normals[:, 2:]))
    return back.astype(np.float32)


def _seen_from(points: Floats, side: Floats) -> NDArray[np.bool_]:
    """Which points have nothing well above them, looking along -`side`."""
    across, upward = _plane(side)
    cells = _cells(points @ across, points @ upward)
    height = points @ side
    highest = np.full(int(cells.max()) + 1, -np.inf, np.float32)
    np.maximum.at(highest, cells, height)
    seen: NDArray[np.bool_] = height > highest[cells] - np.float32(_LIFT)
    return seen


def _cells(x: Floats, y: Floats) -> Ints:
    columns = ((x - x.min()) / _CELL).astype(np.int32)
    rows = ((y - y.min()) / _CELL).astype(np.int32)
    cells: Ints = rows * np.int32(int(columns.max()) + 1) + columns
    return cells


def _sphere(count: int) -> Floats:
    """(count, 3) unit vectors, evenly around (a Fibonacci spiral)."""
    number = np.arange(count) + 0.5
    z = 1 - 2 * number / count
    turn = np.pi * (1 + 5**0.5) * number
    ring = np.sqrt(1 - z**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1).astype(np.float32)


def _plane(side: Floats) -> tuple[Floats, Floats]:
    other = np.eye(3, dtype=np.float32)[int(np.argmin(np.abs(side)))]
    across = _direction(np.cross(other, side))
    return across, np.cross(side, across).astype(np.float32)


def _sum_at_corners(mesh: Mesh, values: Floats) -> Floats:
    """(n, k) for each vertex the sum of `values` (m, k) over its faces."""
    corners = mesh.faces.T.ravel()
    count = len(mesh.vertices)
    columns = [np.bincount(corners, np.tile(column, 3), count) for column in values.T]
    return np.stack(columns, axis=1).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.maximum(length, np.float32(1e-20))
    return unit


def _direction(vector: tuple[float, ...] | Floats) -> Floats:
    wide = np.asarray(vector, np.float32)
    unit: Floats = wide / np.float32(np.linalg.norm(wide))
    return unit
