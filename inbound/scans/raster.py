"""Which triangle each sample of a picture shows: an orthographic z-buffer in numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import Floats, Ints, Wide

_CANDIDATES = 2_000_000  # samples tested at a time, to bound the memory


@dataclass(frozen=True)
class Hits:
    """What is seen.

    Attributes:
        samples: (k,) places in the picture, row by row.
        triangles: (k,) the triangle nearest to the viewer there.
        weights: (k, 3) float32, shares of its corners.
        turned: (k,) whether its back is seen.
    """

    samples: Wide
    triangles: Wide
    weights: Floats
    turned: NDArray[np.bool_]


@dataclass(frozen=True)
class _Triangles:
    """Triangles on the screen: `x` and `y` of their first corner, what a step right and a step down
    add to the shares of the second and the third corner, and all three depths (m, 3).
    """

    x: Floats
    y: Floats
    second: tuple[Floats, Floats]
    third: tuple[Floats, Floats]
    depth: Floats

    def shares(
        self, triangle: Wide, column: Ints | Wide, row: Ints | Wide
    ) -> tuple[Floats, Floats, Floats]:
        """What each corner has of the middle of a sample; all are 0 or more inside the triangle."""
        right = column.astype(np.float32) - self.x[triangle]
        down = row.astype(np.float32) - self.y[triangle]
        b: Floats = right * self.second[0][triangle] + down * self.second[1][triangle]
        c: Floats = right * self.third[0][triangle] + down * self.third[1][triangle]
        return 1 - b - c, b, c


@dataclass(frozen=True)
class _Boxes:
    """The samples that each triangle may cover: (m,) left, top, width, and their number."""

    left: Ints
    top: Ints
    width: Ints
    count: Wide


def cover(screen: Floats, faces: Ints, width: int, height: int) -> Hits:
    """What a picture of `width` by `height` samples shows.

    Args:
        screen: (n, 3) x to the right, y downwards, z towards the viewer, all in samples.
        faces: (m, 3), counter-clockwise where their front is seen.
        width: samples from left to right.
        height: samples from top to bottom.
    """
    x, y, z = (np.ascontiguousarray(screen[:, axis])[faces] for axis in range(3))
    twice = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    boxes = _boxes(x, y, twice, (width, height))
    triangles = _triangles(x, y, z, twice)
    nearest = _nearest(triangles, boxes, width, height)
    samples = np.flatnonzero(nearest)
    seen = (nearest[samples] & np.uint64(0xFFFFFFFF)).astype(np.int64) - 1
    weights = np.stack(triangles.shares(seen, samples % width, samples // width), axis=1)
    # y points downwards here, so what is counter-clockwise to the viewer has a negative area
    return Hits(samples, seen, weights, twice[seen] > 0)


def _triangles(x: Floats, y: Floats, z: Floats, twice: Floats) -> _Triangles:
    scale = (1 / np.where(twice == 0, 1, twice)).astype(np.float32)
    middle = np.float32(0.5)  # of a sample
    return _Triangles(
        x=x[:, 0] - middle,
        y=y[:, 0] - middle,
        second=((y[:, 2] - y[:, 0]) * scale, (x[:, 0] - x[:, 2]) * scale),
        third=((y[:, 0] - y[:, 1]) * scale, (x[:, 1] - x[:, 0]) * scale),
        depth=_steps(z),
    )


def _boxes(x: Floats, y: Floats, twice: Floats, size: tuple[int, int]) -> _Boxes:
    left = np.maximum(np.ceil(x.min(axis=1) - 0.5), 0).astype(np.int32)
    right = np.minimum(np.floor(x.max(axis=1) - 0.5), size[0] - 1).astype(np.int32)
    top = np.maximum(np.ceil(y.min(axis=1) - 0.5), 0).astype(np.int32)
    bottom = np.minimum(np.floor(y.max(axis=1) - 0.5), size[1] - 1).astype(np.int32)
    wide, high = np.maximum(right - left + 1, 0), np.maximum(bottom - top + 1, 0)
    count = wide.astype(np.int64) * high
    count[twice == 0] = 0  # seen edge on
    return _Boxes(left, top, wide, count)


def _steps(z: Floats) -> Floats:
    """Depth as 0 to 2**31, so that depth and triangle share one 64-bit number and the nearest is the largest."""
    low = z.min(initial=0)
    steps: Floats = (z - low) * np.float32((2**31 - 128) / max(float(z.max(initial=1) - low), 1e-9))
    return steps


def _nearest(triangles: _Triangles, boxes: _Boxes, width: int, height: int) -> NDArray[np.uint64]:
    """For each sample the depth and, below it, the number (from 1) of its nearest triangle; 0 for none."""
    nearest = np.zeros(width * height, np.uint64)
    drawn = np.flatnonzero(boxes.count)
    ends = np.cumsum(boxes.count[drawn])
    start = 0
    while start < len(drawn):
        done = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, done + _CANDIDATES)), start + 1)
        row, column, triangle = _candidates(boxes, drawn[start:stop])
        _draw(nearest.reshape(height, width), triangles, triangle, (row, column))
        start = stop
    return nearest


def _candidates(boxes: _Boxes, drawn: Wide) -> tuple[Ints, Ints, Wide]:
    """Row, column and triangle of each sample in each box."""
    count = boxes.count[drawn]
    triangle = np.repeat(drawn, count)
    place = np.arange(len(triangle), dtype=np.int32)
    place -= np.repeat((np.cumsum(count) - count).astype(np.int32), count)
    wide = boxes.width[triangle]
    row = place // wide
    column = boxes.left[triangle] + (place - row * wide)
    return row + boxes.top[triangle], column, triangle


def _draw(
    nearest: NDArray[np.uint64], triangles: _Triangles, triangle: Wide, place: tuple[Ints, Ints]
) -> None:
    row, column = place
    a, b, c = triangles.shares(triangle, column, row)
    inside = np.flatnonzero((a >= 0) & (b >= 0) & (c >= 0))
    depth = triangles.depth[triangle[inside]]
    near = a[inside] * depth[:, 0] + b[inside] * depth[:, 1] + c[inside] * depth[:, 2]
    keys = np.maximum(near, 0).astype(np.uint64) << np.uint64(32)
    keys |= (triangle[inside] + 1).astype(np.uint64)
    samples = row[inside].astype(np.int64) * nearest.shape[1] + column[inside]
    np.maximum.at(nearest.reshape(-1), samples, keys)
