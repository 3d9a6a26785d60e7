"""A case as one scene, and what is seen of it from a side.

What all pictures share (corners, normals, openness, colours) is gathered once into a `Scene`, in the patient's axes:
his left, up, and out of his mouth. A `View` says which jaw is looked at and from where; `look` draws it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inbound.scans import light, raster
from inbound.scans.frame import Frame
from inbound.scans.mesh import Bytes, Floats, Ints, Mesh, Wide
from inbound.scans.roles import Role

PAPER = (0xF3, 0xF1, 0xEC)
_STONE, _DESIGN, _BITE = (0xE3, 0xDA, 0xCB), (0x7F, 0xB3, 0xD5), (0x9A, 0xA5, 0xB1)
_OF_ROLE = {Role.DESIGN: _DESIGN, Role.WAXUP: _DESIGN, Role.BITE: _BITE, Role.SCANBODY: _BITE}
_STRAY = 0.002  # share of a scan's points that may lie far out without making all else small
_ENOUGH = 700_000  # triangles of a case; more are not seen
_EVENED = (
    2  # times openness is evened out among neighbours, each of which was looked at from other sides
)
_TURNED = np.float32(
    0.12
)  # how far the surface around a triangle turns away where its inside is seen
_STEEPEST = np.float32(0.06)  # towards the viewer: what is seen cannot look away from him
_BLOCK = 16_384  # pixels coloured at a time: what is in hand stays in the processor's cache
_LOOKED_AT = 20_000  # points, to tell a scan's place from its strays
Row = TypeVar("Row", np.float32, np.int32)
_TOWARDS_LEFT, _UP, _FORWARD = np.eye(3, dtype=np.float32)


@dataclass(frozen=True)
class Part:
    """A scan of the case and what it is."""

    role: Role
    mesh: Mesh


@dataclass(frozen=True, eq=False)
class Scene:
    """All that is drawn of a case; what belongs to the upper jaw comes first.

    Attributes:
        points: (3, n) float32, mm, in the patient's axes.
        faces: (m, 3) numbers of points.
        corners: (3, 3, m) float32: axis, corner, face.
        at_points: (n, 8) float32: normal, linear colour, openness, and 1.
        at_faces: (m + 1, 8) the means of that over each face; a last row of zeros stands for no face.
        upper: how many points and faces belong to the upper jaw; the others do to the lower.
    """

    points: Floats
    faces: Ints
    corners: Floats
    at_points: Floats
    at_faces: Floats
    upper: tuple[int, int]

    def spans(self, jaw: Role | None) -> tuple[slice, slice]:
        """The points and the faces of UPPER, LOWER, or all."""
        points, faces = self.upper
        all_points, all_faces = self.points.shape[1], len(self.faces)
        if jaw is Role.UPPER:
            return slice(0, points), slice(0, faces)
        if jaw is Role.LOWER:
            return slice(points, all_points), slice(faces, all_faces)
        return slice(0, all_points), slice(0, all_faces)


@dataclass(frozen=True, eq=False)
class View:
    """What is looked at, and the rows right, up, towards the viewer in the patient's axes."""

    jaw: Role | None
    turn: Floats


def scene(parts: Sequence[Part], frame: Frame) -> Scene:
    """The parts that are drawn, held upright.

    Bite scans cover the teeth, and the situation before covers what was prepared; both are drawn only where
    there is nothing else.
    """
    shown = [p for p in parts if p.role not in (Role.BITE, Role.SITU)] or list(parts)
    upper, lower = _jaws(_lightened(shown))
    joined = [*upper, *lower]
    ends = np.cumsum([0, *(len(part.mesh.vertices) for part in joined)])
    middle = _middle(joined)
    held = [_held(part, middle, frame) for part in joined]
    points = np.hstack([np.zeros((3, 0), np.float32), *held])
    faces = np.concatenate(
        [
            np.zeros((0, 3), np.int32),
            *(part.mesh.faces + np.int32(end) for part, end in zip(joined, ends, strict=False)),
        ]
    )
    rows = [_rows(upper, held[: len(upper)]), _rows(lower, held[len(upper) :])]
    at_points = np.concatenate(rows)
    return Scene(
        points=points,
        faces=faces,
        corners=np.stack([axis[faces.T] for axis in points]),
        at_points=at_points,
        at_faces=_means(at_points, faces),
        upper=(int(ends[len(upper)]), sum(len(part.mesh.faces) for part in upper)),
    )


def views(case: Scene) -> dict[str, View]:
    """Six sides: front, left, right, back, and the biting sides of the upper and the lower jaw.

    Where there is one jaw only, the other's place shows it from above and behind, where the tongue lies: its
    underside says nothing.
    """
    left, up, front = _TOWARDS_LEFT, _UP, _FORWARD
    biting = {"upper": _rows_of(left, front, -up), "lower": _rows_of(left, -front, up)}
    jaws: dict[str, Role | None] = {"upper": Role.UPPER, "lower": Role.LOWER}
    for name, other in (("upper", "lower"), ("lower", "upper")):
        if not len(case.faces[case.spans(jaws[name])[1]]):
            away = biting[other][2] * np.float32(0.6) - front * np.float32(0.8)
            biting[name] = _rows_of(-left, np.cross(away, -left), away)
            jaws[name] = None
    return {
        "front": View(None, _rows_of(left, up, front)),
        "left": View(None, _rows_of(-front, up, left)),
        "right": View(None, _rows_of(front, up, -left)),
        "back": View(None, _rows_of(-left, up, -front)),
        "upper": View(jaws["upper"], biting["upper"]),
        "lower": View(jaws["lower"], biting["lower"]),
    }


def from_above(degrees: float) -> View:
    """All, from the front and a little above."""
    high, near = np.float32(np.sin(np.radians(degrees))), np.float32(np.cos(np.radians(degrees)))
    towards = _FORWARD * near + _UP * high
    return View(None, _rows_of(_TOWARDS_LEFT, _UP * near - _FORWARD * high, towards))


def extent(case: Scene, view: View) -> tuple[Floats, Floats]:
    """The lower left and the upper right corner of what is seen, mm; strays far out are left aside."""
    points = case.points[:, case.spans(view.jaw)[0]]
    if not points.size:
        return np.zeros(2, np.float32), np.zeros(2, np.float32)
    flat = np.stack([light.along(axis, points) for axis in view.turn[:2]])
    low, high = flat.min(axis=1), flat.max(axis=1)
    some = np.sort(flat[:, :: max(1, flat.shape[1] // _LOOKED_AT)], axis=1)
    stray = int(some.shape[1] * _STRAY)
    inner_low, inner_high = some[:, stray], some[:, -1 - stray]
    margin = np.float32(0.15) * (inner_high - inner_low) + np.float32(0.5)
    return np.where(low < inner_low - margin, inner_low - margin / 3, low), np.where(
        high > inner_high + margin, inner_high + margin / 3, high
    )


def look(case: Scene, view: View, scale: float, middle: Floats, into: Bytes) -> None:
    """Draw a view.

    Args:
        case: what there is.
        view: what is seen of it.
        scale: pixels a millimetre.
        middle: mm on the view, what comes into the middle of the picture.
        into: (h, w, 3) a picture, or a window of one, of nothing but paper.
    """
    height, width = into.shape[:2]
    span = case.spans(view.jaw)[1]
    corners = _on_screen(case.corners[:, :, span], view.turn, scale)
    corners[0] += np.float32(width / 2 - middle[0] * scale)
    corners[1] += np.float32(height / 2 + middle[1] * scale)
    hits = raster.cover(corners, width, height)
    groove = light.grooves(hits.depth, hits.triangles >= 0, scale).reshape(-1)
    triangles = hits.triangles.reshape(-1)
    plain = hits.triangles >= 0
    plain.reshape(-1)[hits.outline] = False
    pixels = np.flatnonzero(plain)
    seen = _Seen(case, view, span, corners, hits)
    for start in range(0, len(pixels), _BLOCK):
        some = pixels[start : start + _BLOCK]
        found = seen.at(triangles[some], some)
        into[some // width, some % width] = _coloured(found, groove[some], view)
    mixed = seen.mixed()
    some = np.flatnonzero(mixed[:, 7])
    pixels = hits.outline[some]
    into[pixels // width, pixels % width] = _coloured(mixed[some], groove[pixels], view)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a view's triangles are like where they are seen."""

    case: Scene
    view: View
    span: slice
    corners: Floats
    hits: raster.Hits

    def at(self, triangles: Ints, pixels: Wide) -> Floats:
        """(k, 8) normal, colour, openness and 1 of the triangles seen at the pixels."""
        first = np.int32(self.span.start)
        rows: Floats = self.case.at_faces[triangles + first]
        large = np.flatnonzero(self.hits.large[triangles])
        if len(large):
            rows[large] = self._between_corners(triangles[large], pixels[large])
        back = np.flatnonzero(self.hits.turned[triangles])
        # On a steep wall, noise turns single triangles away; an inside turns away as a whole.
        facing = rows[back, :3] @ self.view.turn[2]
        back = back[facing < -_TURNED * np.linalg.norm(rows[back, :3], axis=1)]
        rows[back, :3] *= -1
        rows[back, 3:6] = light.inside()
        return rows

    def mixed(self) -> Floats:
        """(e, 8) the same for the pixels of outlines, over their samples, times the share that is covered."""
        mixed = np.zeros((len(self.hits.outline), 8), np.float32)
        for finer in self.hits.finer:
            here = np.flatnonzero(finer >= 0)
            mixed[here] += self.at(finer[here], self.hits.outline[here])
        share: Floats = mixed * np.float32(1 / len(self.hits.finer))
        return share

    def _between_corners(self, triangles: Ints, pixels: Wide) -> Floats:
        y, x = np.divmod(pixels, self.hits.triangles.shape[1])
        weights = raster.shares(self.corners[:, :, triangles], x + 0.5, y + 0.5)
        corners = self.case.faces[triangles + np.int32(self.span.start)]
        rows = np.zeros((len(triangles), 8), np.float32)
        for corner, weight in zip(corners.T, weights, strict=True):
            rows += self.case.at_points[corner] * weight[:, None]
        return rows


def _coloured(found: Floats, groove: Floats, view: View) -> Bytes:
    """(k, 3) sRGB of pixels that are covered at least in part."""
    columns = np.ascontiguousarray(found.T)
    covered = columns[7]
    mean = columns[:7] / covered
    normals = light.unit(mean[:3])
    normals = np.stack([light.along(axis, normals) for axis in view.turn])
    np.maximum(normals[2], _STEEPEST, out=normals[2])
    colour = light.lit(mean[3:6], normals, mean[6], groove)
    paper = light.linear(np.array(PAPER, np.uint8))[:, None]
    return np.ascontiguousarray(light.encoded(paper + (colour - paper) * covered).T)


def _on_screen(corners: Floats, turn: Floats, scale: float) -> Floats:
    """(3, 3, m) x to the right, y downwards, z towards the viewer, in pixels."""
    screen = np.empty(corners.shape, np.float32)
    for row, sign in enumerate((1, -1, 1)):
        first, *others = np.flatnonzero(turn[row])  # most views look along an axis
        np.multiply(corners[first], np.float32(sign * scale * turn[row, first]), out=screen[row])
        for axis in others:
            screen[row] += corners[axis] * np.float32(sign * scale * turn[row, axis])
    return screen


def _lightened(parts: list[Part]) -> list[Part]:
    """The same parts; of many large ones, no more triangles than their pictures can show in good time."""
    share = _ENOUGH / max(sum(len(part.mesh.faces) for part in parts), 1)
    if share >= 1:
        return parts
    large = _ENOUGH // len(parts)
    return [
        Part(part.role, _clustered(part.mesh, share)) if len(part.mesh.faces) > large else part
        for part in parts
    ]


def _clustered(mesh: Mesh, share: float) -> Mesh:
    """About a share of the triangles: the points in one cell of a grid become their mean."""
    some = mesh.vertices[_some(mesh.faces, _LOOKED_AT)]
    edge = float(np.linalg.norm(some[:, 0] - some[:, 1], axis=1).mean())
    cell = max(edge * float(np.sqrt(1.3 / share)), float(np.ptp(mesh.vertices)) / 2**20)
    steps = ((mesh.vertices - mesh.vertices.min(axis=0)) / np.float32(cell)).astype(np.int64)
    keys = (steps[:, 0] << 42) | (steps[:, 1] << 21) | steps[:, 2]
    _, first, became = np.unique(keys, return_index=True, return_inverse=True)
    faces = became[mesh.faces].astype(np.int32)
    a, b, c = faces.T
    kept = faces[(a != b) & (b != c) & (c != a)]
    count = np.bincount(became)
    means = [np.bincount(became, axis) / count for axis in mesh.vertices.T]
    colours = None if mesh.colours is None else mesh.colours[first]
    return Mesh(np.stack(means, axis=1).astype(np.float32), kept, colours)


def _jaws(parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """What belongs to the upper jaw and what to the lower one; a single jaw has all."""
    upper = [part for part in parts if part.role is Role.UPPER]
    lower = [part for part in parts if part.role is Role.LOWER]
    against = [part for part in parts if part.role is Role.ANTAGONIST]
    if upper and not lower:
        lower = against
    elif lower and not upper:
        upper = against
    if not upper or not lower:
        return (parts, []) if upper else ([], parts)
    known = [id(part) for part in (*upper, *lower)]
    others = [part for part in parts if id(part) not in known]
    near_upper = [part for part in others if _distance(part, upper) < _distance(part, lower)]
    near_lower = [part for part in others if part not in near_upper]
    return [*upper, *near_upper], [*lower, *near_lower]


def _distance(part: Part, jaw: list[Part]) -> float:
    """Mm from a part to the nearest surface of a jaw, in the mean."""
    near = np.concatenate([_some(other.mesh.vertices, 6_000) for other in jaw])
    own = _some(part.mesh.vertices, 100)
    return float(np.linalg.norm(own[:, None] - near[None], axis=2).min(axis=1).mean())


def _some(rows: NDArray[Row], count: int) -> NDArray[Row]:
    return rows[:: max(1, len(rows) // count)]


def _middle(parts: list[Part]) -> NDArray[np.float64]:
    """Where most of the case lies; far from the origin, single precision would be spent on the distance."""
    if not parts:
        return np.zeros(3)
    some = [_some(part.mesh.vertices, _LOOKED_AT // 4) for part in parts]
    middle: NDArray[np.float64] = np.median(np.concatenate(some).astype(np.float64), axis=0)
    return middle


def _held(part: Part, middle: NDArray[np.float64], frame: Frame) -> Floats:
    """(3, n) the points of a part in the patient's axes, around the case's middle."""
    up, front = np.array(frame.up), np.array(frame.front)
    points = np.ascontiguousarray(part.mesh.vertices.T) - middle.astype(np.float32)[:, None]
    axes = np.stack([np.cross(up, front), up, front]).astype(np.float32)
    return np.stack([light.along(axis, points) for axis in axes])


def _rows(jaw: list[Part], points: list[Floats]) -> Floats:
    """(n, 8) normal, linear colour, openness and 1, of each point of a jaw."""
    if not jaw:
        return np.zeros((0, 8), np.float32)
    faces = [part.mesh.faces for part in jaw]
    normals = np.hstack([light.vertex_normals(p, f) for p, f in zip(points, faces, strict=True)])
    albedo = np.concatenate([_albedo(part) for part in jaw])
    # A jaw is looked at without its opposite, which would put its chewing surfaces in the dark.
    sky = light.openness(np.hstack(points), normals)
    ends = np.cumsum([p.shape[1] for p in points])[:-1]
    for _ in range(_EVENED):
        pieces = zip(np.split(sky, ends), faces, strict=True)
        sky = np.concatenate([light.smooth(piece, around) for piece, around in pieces])
    return np.column_stack([normals.T, albedo, sky, np.ones(len(sky), np.float32)])


def _albedo(part: Part) -> Floats:
    if part.mesh.colours is not None:
        return light.linear(part.mesh.colours)
    plain = np.array([_OF_ROLE.get(part.role, _STONE)], np.uint8)
    return np.repeat(light.linear(plain), len(part.mesh.vertices), axis=0)


def _means(rows: Floats, faces: Ints) -> Floats:
    means = np.zeros((len(faces) + 1, rows.shape[1]), np.float32)
    for corner in range(3):
        means[:-1] += rows[faces[:, corner]]
    means[:-1] *= np.float32(1 / 3)
    return means


def _rows_of(right: Floats, up: Floats, towards: Floats) -> Floats:
    return np.stack([right, up, towards]).astype(np.float32)
