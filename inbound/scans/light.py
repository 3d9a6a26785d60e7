"""How a scan is lit: one light from above left, soft fill, cavities darkened.

What does not depend on the view is found once for each vertex: its normal, and how open it lies, by looking at the
scan from many sides (a vertex well below the nearest surface, seen from there, gets nothing from that side).
Colours are worked out for each pixel of a view, in linear light. Fine grooves and ridges, as the gap at a crown's
margin, are too small for the former; they are found in the view's depths, by comparing each pixel with those
around it.
"""

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import Bytes, Floats, Ints
from inbound.scans.srgb import LIGHT, as_bytes

# Towards the lights; the viewer is at (0, 0, 1).
_KEY, _FILL = (-0.48, 0.62, 0.62), (0.80, -0.10, 0.59)
_KEY_SHARE, _FILL_SHARE, _SKY_SHARE, _GLOSS = 0.82, 0.15, 0.48, 0.06
_SHINE = 5  # doublings: the gloss falls off with the cosine to the power of 32
_SIDES = 48  # from which a scan is looked at
_TURNS = 4  # each vertex is looked at from every fourth side; its neighbours see to the others
_CELL, _CELLS = 1.0, 256  # mm; how finely, and how many of them, each way
_SMALLEST, _LARGEST = 6.0, 150.0  # mm; where a tooth ends and a jaw ends
_LIFT, _SOFT = (
    0.35,
    1.3,
)  # mm below its surroundings where a vertex's view begins to close, and is closed
_DEEPEST = 0.16  # a cavity never gets darker than this share of the sky
_GROOVES = (
    (0.25, 1.5),
    (0.7, 0.9),
    (1.8, 0.45),
)  # mm around a pixel, and what a groove so wide weighs
_GROOVE, _RIDGE = 1.0, 0.22  # how much a groove darkens and a ridge brightens
_INSIDE = np.array([0.33, 0.31, 0.29], np.float32)  # the back of an open scan, linear
_WIDEST = 48  # pixels; a scan of a millimetre has no grooves to speak of
_COARSE = 8  # pixels; what lies farther apart is compared on every second one
_RIM = 0.35  # how much a surface darkens where it turns away, so that bright enamel has an outline on paper
_KNEE, _WHITEST = np.float32(0.62), np.float32(0.87)  # linear; paper has 0.88
_FAR = np.float32(-1e9)


def linear(colours: Bytes) -> Floats:
    """SRGB bytes as linear light, 0 to 1."""
    light: Floats = LIGHT.astype(np.float32)[colours]
    return light


def encoded(light: Floats) -> Bytes:
    """Linear light, 0 to 1, as sRGB bytes."""
    steps = np.rint(np.clip(light, 0, 1) * np.float32(len(_TO_SRGB) - 1)).astype(np.int32)
    colours: Bytes = _TO_SRGB[steps]
    return colours


def vertex_normals(points: Floats, faces: Ints) -> Floats:
    """(3, n) unit normals of (3, n) points, the mean of the faces (m, 3) around each, weighted by area."""
    a, b, c = (points[:, corner] for corner in faces.T)
    one, other = b - a, c - a
    normals = [
        one[1] * other[2] - one[2] * other[1],
        one[2] * other[0] - one[0] * other[2],
        one[0] * other[1] - one[1] * other[0],
    ]
    return unit(np.stack([_around(axis, faces, points.shape[1]) for axis in normals]))


def smooth(values: Floats, faces: Ints) -> Floats:
    """(n,) the mean over the faces around each point."""
    a, b, c = faces.T
    weight = np.bincount(faces.reshape(-1), minlength=len(values)).astype(np.float32)
    around = _around(values[a] + values[b] + values[c], faces, len(values))
    evened: Floats = around / np.maximum(weight * np.float32(3), np.float32(1))
    return evened


def openness(points: Floats, normals: Floats) -> Floats:
    """(n,) the share of the sky above each point that the other points leave open, 0 to 1.

    Args:
        points: (3, n) mm.
        normals: (3, n).
    """
    count = points.shape[1]
    cell = _CELL * _unusual(points)
    open_sky, whole = np.zeros(count, np.float32), np.full(count, 1e-6, np.float32)
    for first in range(min(_TURNS, count)):
        some = slice(first, None, _TURNS)
        own, looks = np.ascontiguousarray(points[:, some]), np.ascontiguousarray(normals[:, some])
        for side in _sphere(_SIDES)[first::_TURNS]:
            facing = np.maximum(along(side, looks), 0)
            whole[some] += facing
            open_sky[some] += facing * _seen_from(own, facing, side, cell)
    shown: Floats = np.where(whole > 1e-3, open_sky / whole, np.float32(1))
    return shown


def grooves(depth: Floats, seen: NDArray[np.bool_], scale: float) -> Floats:
    """(h, w) how deep each pixel lies between those around it: about 1 in a sharp groove, -1 on a sharp ridge.

    Args:
        depth: (h, w) towards the viewer, in pixels.
        seen: (h, w) where there is a surface.
        scale: pixels a millimetre.
    """
    depth = np.where(seen, depth, _FAR)
    found = np.zeros(depth.shape, np.float32)
    for around, weight in _GROOVES:
        reach = min(max(1, round(around * scale)), _WIDEST)
        if reach < _COARSE:
            found += np.float32(weight / reach) * _hollow(depth, reach)
        else:
            half = _hollow(np.ascontiguousarray(depth[::2, ::2]) * np.float32(0.5), reach // 2)
            half *= np.float32(weight / (reach // 2))
            height, width = depth.shape
            found += np.repeat(np.repeat(half, 2, axis=0), 2, axis=1)[:height, :width]
    grooved: Floats = np.tanh(found, out=found) * seen
    return grooved


def lit(albedo: Floats, normals: Floats, sky: Floats, groove: Floats) -> Floats:
    """(3, k) linear colour of each pixel.

    Args:
        albedo: (3, k) linear colour of the surface.
        normals: (3, k) as the viewer sees them: x right, y up, z towards him.
        sky: (k,) of `openness`.
        groove: (k,) of `grooves`.
    """
    key = np.maximum(along(_direction(_KEY), normals), 0) * (
        np.float32(0.3) + np.float32(0.7) * sky
    )
    fill = np.maximum(along(_direction(_FILL), normals), 0)
    dome = np.float32(0.72) + np.float32(0.28) * normals[1]
    cavity = np.float32(_DEEPEST) + np.float32(1 - _DEEPEST) * sky * np.sqrt(sky)
    light = np.float32(_KEY_SHARE) * key
    light += (np.float32(_FILL_SHARE) * fill + np.float32(_SKY_SHARE) * dome) * cavity
    away = 1 - normals[2]
    light *= 1 - np.float32(_RIM) * away * away
    light *= np.exp(-np.float32(_GROOVE) * np.maximum(groove, 0))
    light *= 1 + np.float32(_RIDGE) * np.maximum(-groove, 0)
    halfway = _direction(_direction(_KEY) + _direction((0, 0, 1)))
    shine = np.maximum(along(halfway, normals), 0)
    for _ in range(_SHINE):
        shine *= shine
    return _shouldered(albedo * light + np.float32(_GLOSS) * shine * sky)


def inside() -> Floats:
    """(3,) linear colour of the back of an open scan: plain, darker than any outside."""
    return _INSIDE


def along(direction: Floats, vectors: Floats) -> Floats:
    """(n,) how far each of (3, n) vectors reaches along a direction.

    Three products by hand: matrices this narrow are what the linear algebra library is slowest at.
    """
    reach: Floats = vectors[0] * direction[0]
    reach += vectors[1] * direction[1]
    reach += vectors[2] * direction[2]
    return reach


def unit(vectors: Floats) -> Floats:
    """(3, n) the same directions, of length 1."""
    squares = vectors[0] ** 2 + vectors[1] ** 2 + vectors[2] ** 2
    shortened: Floats = vectors / np.sqrt(np.maximum(squares, np.float32(1e-30)))
    return shortened


def _around(values: Floats, faces: Ints, count: int) -> Floats:
    """(count,) for each point the sum of `values` (m,) over its faces."""
    sums = np.zeros(count)
    for corner in faces.T:
        sums += np.bincount(corner, values, count)
    return sums.astype(np.float32)


def _shouldered(light: Floats) -> Floats:
    """Bright enamel keeps its shape: what would be whiter than paper is pressed below it."""
    over = np.maximum(light - _KNEE, 0)
    pressed: Floats = np.minimum(light, _KNEE) + over / (1 + over / (_WHITEST - _KNEE))
    return pressed


def _hollow(depth: Floats, reach: int) -> Floats:
    """How far, on average, a pixel lies below the middle of two opposite ones at `reach` pixels."""
    limit = np.float32(1.5 * reach)  # a tooth in front of another casts no endless shadow
    height, width = depth.shape
    wide = np.full((height + 2 * reach, width + 2 * reach), _FAR, np.float32)
    wide[reach:-reach, reach:-reach] = depth
    found = np.zeros(depth.shape, np.float32)
    slanted = max(1, round(reach * 0.7))
    for down, right in ((0, reach), (reach, 0), (slanted, slanted), (slanted, -slanted)):
        for sign in (1, -1):
            top, left = reach + sign * down, reach + sign * right
            step = wide[top : top + height, left : left + width] - depth
            step *= step > _FAR / 2  # paper is no depth
            np.maximum(step, -limit / 3, out=step)
            found += np.minimum(step, limit, out=step)
    found *= np.float32(1 / 8)
    return found


def _seen_from(points: Floats, facing: Floats, side: Floats, cell: float) -> Floats:
    """(n,) 1 where nothing lies well above a point (3, n), looking along -`side`, down to 0."""
    across, upward = _axes(side)
    cells = _cells(along(across, points), cell) * np.int32(_CELLS)
    cells += _cells(along(upward, points), cell)
    height = along(side, points)
    highest = np.full(_CELLS * _CELLS, -np.inf, np.float32)
    np.maximum.at(highest, cells, height)
    # A slanted surface rises by so much within a cell, and does not hide itself.
    steep = np.sqrt(np.maximum(1 - facing * facing, 0)) / np.maximum(facing, np.float32(0.15))
    above = (highest[cells] - height) / np.float32(cell) - np.float32(0.6) * steep
    seen: Floats = np.clip((_SOFT - above) * np.float32(1 / (_SOFT - _LIFT)), 0, 1)
    return seen


def _cells(place: Floats, cell: float) -> Ints:
    """The cell of each point along one axis; strays come to lie at its ends."""
    steps = place * np.float32(1 / cell) + np.float32(_CELLS / 2)
    cells: Ints = np.minimum(np.maximum(steps, 0), _CELLS - 1).astype(np.int32)
    return cells


def _unusual(points: Floats) -> float:
    """How many times larger or smaller than any jaw or tooth a scan is; 1 for jaws and teeth."""
    some = np.sort(points[:, :: max(1, points.shape[1] // 10_000)], axis=1)
    stray = some.shape[1] // 100
    size = float((some[:, -1 - stray] - some[:, stray]).max())
    return max(size / _LARGEST, 1.0) * min(max(size, 1e-6) / _SMALLEST, 1.0)


def _sphere(count: int) -> Floats:
    """(count, 3) unit vectors, evenly around (a Fibonacci spiral)."""
    number = np.arange(count) + 0.5
    z = 1 - 2 * number / count
    turn = np.pi * (1 + 5**0.5) * number
    ring = np.sqrt(1 - z**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1).astype(np.float32)


def _axes(side: Floats) -> tuple[Floats, Floats]:
    other = np.eye(3, dtype=np.float32)[int(np.argmin(np.abs(side)))]
    across = _direction(np.cross(other, side))
    return across, np.cross(side, across).astype(np.float32)


def _direction(vector: tuple[float, ...] | Floats) -> Floats:
    wide = np.asarray(vector, np.float32)
    direction: Floats = wide / np.float32(np.linalg.norm(wide))
    return direction


_TO_SRGB = as_bytes(np.linspace(0, 1, 4097))
