"""What can be marked on a scan, as numbers that everybody may trust: read from a stranger's browser, checked,
and measured again.

Points are mm in the scans' own coordinates. A mark is plain JSON in rows and pages:
{"kind", "points": [[x, y, z], …], "value": mm, degrees or nothing, "scan": the scan's number or nothing}.
"""

import math
from collections.abc import Sequence
from typing import Any

from store.errors import Refusal
from store.states import MarkKind

MOST_MARKS = 50  # with one remark, or of one person
_POINTS = {MarkKind.DISTANCE: 2, MarkKind.ANGLE: 3, MarkKind.THICKNESS: 2, MarkKind.PIN: 1}
_FARTHEST = 10_000.0  # mm from the origin: no scanner writes more
_NAMES = {
    MarkKind.DISTANCE: "Distance",
    MarkKind.ANGLE: "Angle",
    MarkKind.THICKNESS: "Thickness",
    MarkKind.PIN: "Pin",
}
Point = tuple[float, float, float]


class NoMark(Refusal):
    """What a page has sent as a mark is none."""


def read_mark(said: Any) -> dict[str, Any]:
    """A mark as it may be kept, its value measured by us. Raises NoMark."""
    if not isinstance(said, dict):
        raise NoMark("A mark is missing its place on the scan. Set it again.")
    try:
        kind = MarkKind(said.get("kind", ""))
    except ValueError:
        raise NoMark("This kind of mark is not known here. Reload the page.") from None
    places = said.get("points")
    if not isinstance(places, list) or len(places) != _POINTS[kind]:
        raise NoMark("A mark is missing a point. Set it again.")
    points = [_point(place) for place in places]
    scan = said.get("scan")
    known = isinstance(scan, int) and not isinstance(scan, bool) and 0 < scan < 10_000
    return {
        "kind": kind.value,
        "points": [list(point) for point in points],
        "value": _value(kind, points),
        "scan": scan if known else None,
    }


def read_marks(said: Any) -> list[dict[str, Any]]:
    """Raises NoMark."""
    if not isinstance(said, list) or len(said) > MOST_MARKS:
        raise NoMark("At most {most} marks go with one comment. Remove some.", most=MOST_MARKS)
    return [read_mark(one) for one in said]


def in_words(mark: dict[str, Any], label: str = "") -> str:
    """Such as "Distance 4.20 mm" or "Pin on Upper jaw at 12.3, 4.5, 6.7 mm".

    Args:
        label: of the scan that the mark lies on, if it is known.
    """
    kind = MarkKind(mark["kind"])
    name = f"{_NAMES[kind]} on {label}" if label else _NAMES[kind]
    if kind is MarkKind.PIN:
        x, y, z = mark["points"][0]
        return f"{name} at {x:.1f}, {y:.1f}, {z:.1f} mm"
    unit = "°" if kind is MarkKind.ANGLE else " mm"
    digits = 1 if kind is MarkKind.ANGLE else 2
    return f"{name}: {mark['value']:.{digits}f}{unit}"


def _point(said: Any) -> Point:
    if not isinstance(said, list) or len(said) != 3:
        raise NoMark("A mark has a point that is none. Set it again.")
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in said):
        raise NoMark("A mark has a point that is none. Set it again.")
    if not all(abs(one) <= _FARTHEST for one in said):  # false for what is no number, too
        raise NoMark("A mark lies outside of every scan. Set it again.")
    x, y, z = (float(one) for one in said)
    return round(x, 4), round(y, 4), round(z, 4)


def _value(kind: MarkKind, points: Sequence[Point]) -> float | None:
    if kind is MarkKind.PIN:
        return None
    if kind is MarkKind.ANGLE:
        return round(_angle(*points), 2)
    return round(math.dist(points[0], points[1]), 4)


def _angle(one: Point, corner: Point, other: Point) -> float:
    """Degrees at the corner; 0 where two of the points are one."""
    along = [a - b for a, b in zip(one, corner, strict=True)]
    away = [a - b for a, b in zip(other, corner, strict=True)]
    lengths = math.hypot(*along) * math.hypot(*away)
    if not lengths:
        return 0.0
    cosine = sum(a * b for a, b in zip(along, away, strict=True)) / lengths
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
