"""A triangle mesh as every module here hands it on, and the one gate that turns a file's numbers into it.

A refusal's sentence begins in lower case with its verb ("stops after ...", "holds no ..."), so that whoever
knows the file's name can print it before: `lower.stl stops after 5,000 of 118,178 triangles. ...`
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import ScanRefused

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Wide = NDArray[np.int64]

AGAIN = "Export it again and send it in a new mail."
# One unit is one millimetre by custom, so a coordinate of a kilometre is damage, not dentistry.
FARTHEST = 1e6
MOST_POINTS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles over shared points.

    Attributes:
        vertices: (n, 3) float32, millimetres.
        faces: (m, 3) int32, rows of `vertices`, counter-clockwise seen from outside.
        colours: (n, 3) uint8 sRGB, one for each vertex, or None.
        uvs: (n, 2) float32, where each vertex lies on `texture`, from its upper left corner; or None.
        texture: a JPEG, PNG or WebP as bytes, or None.
    """

    vertices: Floats
    faces: Ints
    colours: Bytes | None = None
    uvs: Floats | None = None
    texture: bytes | None = None


def extent(points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The lowest and the highest of each column of (n, 3) points; forty times faster than numpy's axis=0."""
    columns = [points[:, column] for column in range(points.shape[1])]
    return np.array([one.min() for one in columns]), np.array([one.max() for one in columns])


def checked(vertices: Floats, faces: Wide | Ints, colours: Bytes | None = None) -> Mesh:
    """A mesh out of what a file says: (n, 3) points, (m, 3) indices, (n, 3) colours.

    Raises:
        ScanRefused: there is no surface, a point is nowhere, or a face refers to no point.
    """
    _refuse_no_surface(vertices, faces)
    _refuse_foreign_indices(faces, len(vertices))
    _refuse_odd_points(vertices)
    if _in_one_place(vertices[faces[:100]]) and _in_one_place(vertices[faces]):
        raise ScanRefused(f"has no size: all its points are in one place. {AGAIN}")
    return Mesh(vertices, np.ascontiguousarray(faces, dtype=np.int32), colours)


def fans(corners: Wide, lengths: Wide) -> Wide:
    """Polygons cut into triangles around their first corner.

    Args:
        corners: the corners of all polygons, one after another.
        lengths: how many corners each polygon has; fewer than three make no triangle.

    Returns:
        (m, 3) corners, in the order of the polygons.
    """
    if (lengths == 3).all():
        return corners.reshape(-1, 3)
    starts = np.cumsum(lengths) - lengths
    count = np.maximum(lengths - 2, 0)
    first = np.repeat(starts, count)
    step = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    return np.stack([corners[first], corners[first + step + 1], corners[first + step + 2]], axis=1)


def stops_early(found: int, declared: int, what: str) -> ScanRefused:
    """The refusal of a file that ends before all it declares; `what` is "triangles" or "points"."""
    return ScanRefused(f"stops after {found:,} of {declared:,} {what}. {AGAIN}")


@contextmanager
def in_plain_words(name: str) -> Iterator[None]:
    """What a parser trips over becomes a sentence, never the text of a Python exception."""
    try:
        yield
    except (ScanRefused, MemoryError):  # the latter is told by whoever set the limit
        raise
    except Exception as error:
        # Whatever numpy, struct or a codec says of hostile bytes is of no use to the sender.
        raise ScanRefused(f"cannot be read as {name}; it may be damaged. {AGAIN}") from error


def _refuse_no_surface(vertices: Floats, faces: Wide | Ints) -> None:
    if not len(vertices) and not len(faces):
        raise ScanRefused(f"holds no triangles. {AGAIN}")
    if not len(faces):
        raise ScanRefused(
            "holds points and no surface. Export it as a mesh and send it in a new mail."
        )


def _refuse_foreign_indices(faces: Wide | Ints, points: int) -> None:
    lowest, highest = int(faces.min()), int(faces.max())
    if lowest >= 0 and highest < points:
        return
    wrong = lowest if lowest < 0 else highest + 1  # people count points from one
    raise ScanRefused(f"refers to point {wrong:,} and holds {points:,} points. {AGAIN}")


def _refuse_odd_points(vertices: Floats) -> None:
    # One pass over all numbers is ten times faster than one a column, and NaN comes through min and max.
    low, high = float(vertices.min()), float(vertices.max())
    if not np.isfinite([low, high]).all():
        raise ScanRefused(f"has {_without_position(vertices)} without a position. {AGAIN}")
    if max(-low, high) > FARTHEST:
        raise ScanRefused(f"has points more than a kilometre from its origin. {AGAIN}")


def _without_position(vertices: Floats) -> str:
    count = int((~np.isfinite(vertices)).any(axis=1).sum())
    return "1 point" if count == 1 else f"{count:,} points"


def _in_one_place(corners: Floats) -> bool:
    return bool((corners == corners[0, 0]).all())
