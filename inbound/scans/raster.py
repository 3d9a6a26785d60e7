"""Which triangle each pixel of a picture shows: an orthographic z-buffer in numpy.

The triangles of a dense scan cover a few pixels each, so no time goes into pixels that a triangle only might cover:
each is cut along the rows of the picture, where its first and its last pixel are known at once. The nearer half of
a scan is drawn first, then what it does not hide, and a surface's inside last.

A pixel is looked at once, in its middle. Where an outline runs through it, the triangles around are drawn again,
finer, so that outlines are smooth and all else costs a ninth of what it would.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import Floats, Ints, Wide

FINE = 3  # samples of a pixel on an outline, each way
_LARGE = 5  # pixels; a triangle longer than this shows how its colour changes from corner to corner
_STEP = np.float32(5)  # pixels between the depths of neighbours that make an outline
_BLOCK = 16_384  # triangles drawn at a time: what is in hand stays in the processor's cache
_ROWS = 200_000  # and rows of them
_TIMES = 15  # how often triangles may fill the picture
_HUGE = 40  # pixels; the size of triangles that a tangle is made of
_AT_ONCE = 500_000  # samples drawn at a time, to bound the memory
_TILE = 4  # pixels; how coarsely it is known what the outside hides
_EDGE = np.float32(1e-4)  # share of a corner that rounding may take, lest gaps open along edges
_FLAT = np.float32(1e-9)  # pixels squared; what is smaller is seen edge on
_HALF = np.float32(0.5)  # the middle of a pixel
_LEVEL = np.float32(1e-12)  # a share that changes less from sample to sample does not change
_ENDLESS = np.float32(1e30)
_DEEP = np.float32(2**31 - 256)

Nearest = NDArray[np.uint64]
Flags = NDArray[np.bool_]
Places = NDArray[np.float64]
_Plane = tuple[
    Floats, Floats, Floats
]  # a value at a first sample, and what a step right and down adds


@dataclass(frozen=True, eq=False)
class Hits:
    """What is seen.

    Attributes:
        triangles: (height, width) int32, the triangle nearest to the viewer in the middle of each pixel, -1 for
            none.
        depth: (height, width) float32, how near it is, in pixels; only where there is a triangle.
        outline: (e,) pixels, row by row, through which an outline may run.
        finer: (FINE * FINE, e) int32, the triangles at the samples of these.
        turned: (m,) whether a triangle shows its inside.
        large: (m,) whether a triangle covers many pixels.
    """

    triangles: Ints
    depth: Floats
    outline: Wide
    finer: Ints
    turned: Flags
    large: Flags


@dataclass(frozen=True, eq=False)
class _Screen:
    """Triangles (3, 3, m) as seen, twice the area of each, the longer side of its box, and what turns z into a
    depth of 0 to `_DEEP`.
    """

    corners: Floats
    twice: Floats
    longest: Floats
    low: np.float32
    steps: np.float32


@dataclass(frozen=True, eq=False)
class _Lines:
    """Samples side by side that one triangle covers, (k,) each: its number, the place of the first sample, how
    many they are, the depth of the first, and what a step right adds to it.
    """

    number: Wide
    first: Wide
    count: Wide
    depth: Floats
    slope: Floats


def cover(corners: Floats, width: int, height: int) -> Hits:
    """What a picture of `width` by `height` pixels shows.

    Args:
        corners: (3, 3, m) x to the right, y downwards and z towards the viewer, all in pixels, of the first,
            second and third corner; counter-clockwise where a triangle's outside is seen.
        width: pixels from left to right.
        height: pixels from top to bottom.
    """
    screen = _screen(corners)
    nearest = np.zeros((height, width), np.uint64)
    # y points downwards here, so what is counter-clockwise to the viewer has a negative area
    again = np.zeros(0, np.int64)
    for some in (*_nearer_first(screen, screen.twice < -_FLAT), screen.twice > _FLAT):
        number = np.flatnonzero(some)
        number = number[_may_be_seen(screen, number, nearest)]
        number = _affordable(screen, number, width, height)
        _draw(nearest, screen, number)
        again = np.concatenate([again, number])
    triangles, depth = _read(nearest, screen)
    outline = _outlines(triangles, depth)
    again = again[_touch(screen, again, outline)]
    if len(again) > len(_affordable(screen, again, width * FINE, height * FINE)):
        outline[:] = False  # a tangle has no outlines worth their time
    pixels = np.flatnonzero(outline)
    finer = _finer(screen, again[: len(again) * bool(len(pixels))], outline)
    large = screen.longest > _LARGE
    return Hits(triangles, depth, pixels, finer[_samples(pixels, width)], screen.twice > 0, large)


def shares(corners: Floats, x: Places, y: Places) -> Floats:
    """(3, k) what each corner of the triangles (3, 3, k) has of a place on the screen."""
    columns, rows = corners[0].astype(np.float64), corners[1].astype(np.float64)
    twice = _twice(columns, rows)
    right, down = x - columns[0], y - rows[0]
    second = (right * (rows[2] - rows[0]) - down * (columns[2] - columns[0])) / twice
    third = (down * (columns[1] - columns[0]) - right * (rows[1] - rows[0])) / twice
    # A triangle seen almost edge on may reach into a pixel beside whose middle it lies.
    share = np.clip(np.stack([1 - second - third, second, third]), 0, 1)
    evened: Floats = (share / share.sum(axis=0)).astype(np.float32)
    return evened


def _nearer_first(screen: _Screen, outside: Flags) -> tuple[Flags, Flags]:
    """The nearer half of the triangles, and the others, of which the former hide many."""
    depth = screen.corners[2][0]
    near = depth > depth.mean() if len(depth) else outside
    return outside & near, outside & ~near


def _screen(corners: Floats) -> _Screen:
    low = np.float32(corners[2].min(initial=0))
    deepest = max(float(corners[2].max(initial=0) - low), 1e-6)
    return _Screen(
        corners=corners,
        twice=_twice(corners[0], corners[1]),
        longest=_longest(corners),
        low=low,
        steps=_DEEP / np.float32(deepest),
    )


def _twice(x: NDArray[np.floating], y: NDArray[np.floating]) -> Floats:
    """Twice the area of each triangle."""
    area: Floats = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    return area


def _longest(corners: Floats) -> Floats:
    """The longer side of each triangle's box, in pixels."""
    x, y = corners[0], corners[1]
    wide = np.maximum(np.maximum(x[0], x[1]), x[2]) - np.minimum(np.minimum(x[0], x[1]), x[2])
    high = np.maximum(np.maximum(y[0], y[1]), y[2]) - np.minimum(np.minimum(y[0], y[1]), y[2])
    longest: Floats = np.maximum(wide, high)
    return longest


def _read(nearest: Nearest, screen: _Screen) -> tuple[Ints, Floats]:
    triangles = (nearest & np.uint64(0xFFFFFFFF)).astype(np.int32) - np.int32(1)
    depth = (nearest >> np.uint64(32)).astype(np.float32) / screen.steps + screen.low
    return triangles, depth


def _finer(screen: _Screen, number: Wide, outline: Flags) -> Ints:
    """The triangles at all samples of a finer picture, sample by sample; only along outlines do they matter."""
    height, width = outline.shape
    nearest = np.zeros((height * FINE, width * FINE), np.uint64)
    before = np.zeros((height, width + 1), np.int32)
    np.cumsum(outline, axis=1, out=before[:, 1:])
    _draw(nearest, screen, number, before)
    return _read(nearest, screen)[0].reshape(-1)


def _draw(nearest: Nearest, screen: _Screen, number: Wide, before: Ints | None = None) -> None:
    """Draw the triangles `number`; with `before`, finer, and only the lines that meet an outline."""
    fine = 1 if before is None else FINE
    for some in _portions(screen, number, fine, nearest.shape[0]):
        lines = _lines(screen, some, nearest.shape, fine)
        if before is not None:
            lines = _kept(lines, _meets(lines, before))
        ends = np.cumsum(lines.count)
        row = 0
        while row < len(ends):
            done = int(ends[row - 1]) if row else 0
            stop = max(int(np.searchsorted(ends, done + _AT_ONCE)), row + 1)
            _draw_lines(nearest, _kept(lines, slice(row, stop)))
            row = stop


def _portions(screen: _Screen, number: Wide, fine: int, height: int) -> Iterator[Wide]:
    """The triangles a bounded number of rows at a time."""
    rows = np.minimum(screen.longest[number] * np.float32(fine), np.float32(height)) + 1
    ends = np.cumsum(rows, dtype=np.float64)
    start = 0
    while start < len(number):
        done = float(ends[start - 1]) if start else 0.0
        stop = min(start + _BLOCK, int(np.searchsorted(ends, done + _ROWS)))
        stop = max(stop, start + 1)
        yield number[start:stop]
        start = stop


def _affordable(screen: _Screen, number: Wide, width: int, height: int) -> Wide:
    """All triangles; of a tangle that would fill the picture over and over, only every so-many-th of the huge."""
    longest = np.minimum(screen.longest[number], np.float32(max(width, height)))
    times = float(np.square(longest).sum(dtype=np.float64)) / 2 / (width * height) / _TIMES
    if times <= 1:
        return number
    kept = longest <= _HUGE
    kept[np.flatnonzero(~kept)[:: int(np.ceil(times))]] = True
    return number[kept]


def _draw_lines(nearest: Nearest, lines: _Lines) -> None:
    """Depth and, below it, the triangle (from 1) share one number, so that the nearest is the largest."""
    step = _counted(lines.count)
    depth = np.repeat(lines.depth, lines.count)
    depth += np.repeat(lines.slope, lines.count) * step.astype(np.float32)
    keys = np.clip(depth, 0, _DEEP).astype(np.uint64) << np.uint64(32)
    keys |= np.repeat((lines.number + 1).astype(np.uint64), lines.count)
    np.maximum.at(nearest.reshape(-1), np.repeat(lines.first, lines.count) + step, keys)


def _lines(screen: _Screen, number: Wide, size: tuple[int, int], fine: int) -> _Lines:
    """The triangles `number`, cut along the rows of a picture of `size` samples, `fine` of them a pixel."""
    scale = np.float32(fine)
    x, y = (np.take(screen.corners[axis], number, axis=1) * scale for axis in (0, 1))
    left, wide = _span(x, size[1])
    top, high = _span(y, size[0])
    kept = np.flatnonzero((wide > 0) & (high > 0))
    x, y = np.take(x, kept, axis=1), np.take(y, kept, axis=1)
    left, top, wide, high, number = left[kept], top[kept], wide[kept], high[kept], number[kept]
    z = (np.take(screen.corners[2], number, axis=1) - screen.low) * screen.steps
    inverse = 1 / (screen.twice[number] * scale * scale)
    right, down = left + _HALF - x[0], top + _HALF - y[0]
    second = _plane((y[2] - y[0]) * inverse, (x[0] - x[2]) * inverse, right, down)
    third = _plane((y[0] - y[1]) * inverse, (x[1] - x[0]) * inverse, right, down)
    one, other = z[1] - z[0], z[2] - z[0]
    depth = (
        z[0] + second[0] * one + third[0] * other,
        second[1] * one + third[1] * other,
        second[2] * one + third[2] * other,
    )
    row = np.repeat(np.arange(len(number)), high)
    line = _counted(high)
    start, stop = _within((second, third), row, line.astype(np.float32), wide)
    seen = np.flatnonzero(stop >= start)
    start, row, line = start[seen], row[seen], line[seen]
    slope = depth[1][row]
    near = depth[0][row] + line.astype(np.float32) * depth[2][row] + start * slope
    first = (top * size[1] + left)[row] + line * size[1] + start.astype(np.int64)
    count = (stop[seen] - start).astype(np.int64) + 1
    return _Lines(number[row], first, count, near, slope)


def _within(
    shares: tuple[_Plane, _Plane], row: Wide, line: Floats, wide: Wide
) -> tuple[Floats, Floats]:
    """The first and the last step along each line of triangle `row` at which no corner's share is negative."""
    start, stop = np.zeros(len(row), np.float32), (wide - 1).astype(np.float32)[row]
    (b, b_across, b_down), (c, c_across, c_down) = shares
    first = 1 - b - c, -b_across - c_across, -b_down - c_down
    for share, across, down in (first, *shares):
        steps = -1 / np.where(np.abs(across) < _LEVEL, _LEVEL, across)
        crossing = ((share + _EDGE) * steps)[row] + line * (down * steps)[row]
        # Where the share rises along the line, it begins there; where it falls, it ends there.
        begins = np.where(across > -_LEVEL, np.float32(0), -_ENDLESS)[row]
        np.maximum(start, crossing + begins, out=start)
        np.minimum(stop, crossing + (begins + _ENDLESS), out=stop)
    return np.ceil(start), np.floor(stop)


def _span(x: Floats, size: int) -> tuple[Wide, Wide]:
    """The first sample whose middle lies within each triangle, along one axis, and their number."""
    low = np.minimum(np.minimum(x[0], x[1]), x[2])
    high = np.maximum(np.maximum(x[0], x[1]), x[2])
    first = np.clip(np.ceil(low - _HALF), 0, size).astype(np.int64)
    last = np.clip(np.floor(high - _HALF), -1, size - 1).astype(np.int64)
    return first, last - first + 1


def _plane(across: Floats, downwards: Floats, right: Floats, down: Floats) -> _Plane:
    return right * across + down * downwards, across, downwards


def _meets(lines: _Lines, before: Ints) -> Wide:
    """The finer lines that run through a pixel of an outline; `before` counts those left of each pixel."""
    width = before.shape[1] - 1
    row, left = np.divmod(lines.first, width * FINE)
    right = left + lines.count - 1
    start = row // FINE * (width + 1)
    counted = before.reshape(-1)
    met: Wide = np.flatnonzero(counted[start + right // FINE + 1] > counted[start + left // FINE])
    return met


def _kept(lines: _Lines, rows: Wide | slice) -> _Lines:
    return _Lines(
        lines.number[rows],
        lines.first[rows],
        lines.count[rows],
        lines.depth[rows],
        lines.slope[rows],
    )


def _counted(lengths: Wide) -> Wide:
    """0, 1, ... up to each length, one after another."""
    starts = np.cumsum(lengths) - lengths
    counted: Wide = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
    return counted


def _may_be_seen(screen: _Screen, number: Wide, nearest: Nearest) -> Flags:
    """Which triangles are large, or nearer than the farthest that is drawn in the tiles around them."""
    far = _farthest_around(nearest)
    x, y, z = (np.take(corners, number, axis=1) for corners in screen.corners)
    column = np.clip(x[0] / _TILE, 0, far.shape[1] - 1).astype(np.int64)
    row = np.clip(y[0] / _TILE, 0, far.shape[0] - 1).astype(np.int64)
    near = (np.maximum(np.maximum(z[0], z[1]), z[2]) - screen.low) * screen.steps
    wide = screen.longest[number] > _TILE
    seen: Flags = wide | (near >= far[row, column])
    return seen


def _farthest_around(nearest: Nearest) -> Floats:
    """For each tile the depth of the farthest pixel in it and its neighbours; 0 where one is empty."""
    rows, columns = (-(-side // _TILE) for side in nearest.shape)
    padded = np.zeros(((rows + 2) * _TILE, (columns + 2) * _TILE), np.uint32)
    inner = padded[_TILE : _TILE + nearest.shape[0], _TILE : _TILE + nearest.shape[1]]
    inner[:] = nearest >> np.uint64(32)
    lines = padded.reshape(rows + 2, _TILE, -1).min(axis=1)
    tiles = np.ascontiguousarray(lines.reshape(rows + 2, columns + 2, _TILE).transpose(2, 0, 1))
    tiles = tiles.min(axis=0)
    tiles = np.minimum(np.minimum(tiles[:-2], tiles[1:-1]), tiles[2:])
    tiles = np.minimum(np.minimum(tiles[:, :-2], tiles[:, 1:-1]), tiles[:, 2:])
    around: Floats = tiles.astype(np.float32)
    return around


def _outlines(triangles: Ints, depth: Floats) -> Flags:
    """(h, w) the pixels on both sides of a step in depth; paper is infinitely deep."""
    depth = np.where(triangles >= 0, depth, np.float32(-1e9))
    outline = np.zeros(depth.shape, bool)
    across = np.abs(depth[:, 1:] - depth[:, :-1]) > _STEP
    outline[:, 1:] |= across
    outline[:, :-1] |= across
    down = np.abs(depth[1:] - depth[:-1]) > _STEP
    outline[1:] |= down
    outline[:-1] |= down
    return outline


def _touch(screen: _Screen, number: Wide, outline: Flags) -> Flags:
    """Which triangles have a pixel of an outline in their box."""
    height, width = outline.shape
    before = np.zeros(
        (height + 1, width + 1), np.int32
    )  # marked pixels above and to the left of each
    np.cumsum(np.cumsum(outline, axis=0, dtype=np.int32), axis=1, out=before[1:, 1:])
    counted = before.reshape(-1)
    touched = np.zeros(len(number), bool)
    for start in range(0, len(number), _BLOCK):
        some = number[start : start + _BLOCK]
        left, right = _box(np.take(screen.corners[0], some, axis=1), width)
        top, bottom = (
            line * (width + 1) for line in _box(np.take(screen.corners[1], some, axis=1), height)
        )
        inside = counted[bottom + right] - counted[top + right]
        inside -= counted[bottom + left] - counted[top + left]
        touched[start : start + _BLOCK] = inside > 0
    return touched


def _box(x: Floats, size: int) -> tuple[Wide, Wide]:
    """The first pixel each triangle may cover a part of, along one axis, and the one after the last."""
    low = np.minimum(np.minimum(x[0], x[1]), x[2])
    high = np.maximum(np.maximum(x[0], x[1]), x[2])
    first = np.clip(low, 0, size - 1).astype(np.int64)
    return first, np.maximum(np.clip(high + 1, 0, size).astype(np.int64), first)


def _samples(pixels: Wide, width: int) -> Wide:
    """(FINE * FINE, e) where the samples of each pixel lie in the finer picture."""
    row, column = np.divmod(pixels, width)
    first = row * (FINE * FINE * width) + column * FINE
    steps = [down * FINE * width + right for down in range(FINE) for right in range(FINE)]
    samples: Wide = first[None] + np.array(steps)[:, None]
    return samples
