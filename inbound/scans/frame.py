"""Which way a jaw lies, told from its shape: up, front, and a careful guess at upper or lower.

A jaw is a U. Seen on its biting side, the U has one mirror line; the front is where its two arms meet. The biting
side of an open scan is where its surface looks to, all triangles together; a closed model has a flat base instead,
and bites on the other side. Neither depends on how the scan lies in its file.

A single jaw's shape hardly tells upper from lower. Its position can: scanners export jaws with the patient's up
along the file's z (some along y), so a jaw that bites towards +z is probably a lower one. That is custom and no
rule, hence the modest confidence; below `SURE` nothing is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inbound.scans.check import face_normals
from inbound.scans.mesh import Floats, Mesh
from inbound.scans.roles import Role

Vector = tuple[float, float, float]
Array = NDArray[np.float64]

SURE = 0.5  # confidence below which a guess is kept to ourselves
_SAMPLES = 6_000  # triangles that are looked at; a jaw's shape is plain long before
_CELLS = 28  # of the grid on which a jaw is compared with its mirror picture
_TURN, _HILL = 2, 4  # degrees between tried mirror lines; how many on each side are averaged
_OPEN = 0.12  # share of a surface that looks one way before it counts as open on the other side
_ARCH_MM = (30.0, 110.0)  # the widest side of what may be a jaw


@dataclass(frozen=True)
class Arch:
    """What one scan's shape says of itself.

    Attributes:
        biting: unit vector out of the biting side.
        front: unit vector out of the mouth.
        centre: mean of the surface, mm.
        confidence: 0 (no jaw to speak of) to 1.
    """

    biting: Vector
    front: Vector
    centre: Vector
    confidence: float


@dataclass(frozen=True)
class Frame:
    """How to hold a case upright.

    Attributes:
        up: unit vector from the lower jaw to the upper one.
        front: unit vector out of the mouth, at a right angle to `up`.
        confidence: 0 (the file's own z and y are taken for it) to 1.
    """

    up: Vector
    front: Vector
    confidence: float


UPRIGHT = Frame((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), 0.0)


def arch(mesh: Mesh) -> Arch:
    """The shape of one scan; small enough to send between processes."""
    points, normals = _sample(mesh)
    area = np.linalg.norm(normals, axis=1)
    centre = np.average(points, axis=0, weights=area)
    axis, sure_axis = _biting_axis(points - centre, normals, area)
    front, sure_front = _front(points - centre, area, axis)
    return Arch(
        biting=_vector(axis),
        front=_vector(front),
        centre=_vector(centre),
        confidence=round(_jaw_sized(points) * min(sure_axis, sure_front), 3),
    )


def jaw_frame(scan: Mesh | Arch, role: Role | None = None) -> Frame:
    """The frame of a scan on its own; an upper jaw bites downwards, anything else is taken to bite upwards."""
    return case_frame([(role or Role.SCAN, scan)])


def guess_role(scan: Mesh | Arch) -> tuple[Role | None, float]:
    """UPPER, LOWER or None, and how sure that is, from where the biting side points in the file."""
    shape = arch(scan) if isinstance(scan, Mesh) else scan
    upright = max(abs(shape.biting[2]), 0.8 * abs(shape.biting[1]))
    confidence = round(shape.confidence * max(0.0, (upright - 0.7) / 0.3), 3)
    if confidence < SURE:
        return None, confidence
    along = shape.biting[2] if abs(shape.biting[2]) >= abs(shape.biting[1]) else shape.biting[1]
    return (Role.LOWER if along > 0 else Role.UPPER), confidence


def case_frame(parts: Sequence[tuple[Role, Mesh | Arch]]) -> Frame:
    """One frame for scans that share coordinates; jaws decide, and without any the clearest scan does."""
    shapes = [(role, arch(scan) if isinstance(scan, Mesh) else scan) for role, scan in parts]
    jaws: list[tuple[Role, Arch]] = [
        (role, shape) for role, shape in shapes if role in (Role.UPPER, Role.LOWER)
    ]
    known = jaws or sorted(shapes, key=lambda part: part[1].confidence)[-1:]
    if not known or max(shape.confidence for _, shape in known) < SURE / 2:
        return UPRIGHT
    up = _unit(sum((_up(role, shape) for role, shape in known), np.zeros(3)))
    up = _towards_upper(up, known)
    front = sum((shape.confidence * np.array(shape.front) for _, shape in known), np.zeros(3))
    front = _unit(front - up * (front @ up))
    return Frame(_vector(up), _vector(front), max(shape.confidence for _, shape in known))


def _up(role: Role, shape: Arch) -> Array:
    return shape.confidence * np.array(shape.biting) * (-1 if role is Role.UPPER else 1)


def _towards_upper(up: Array, jaws: list[tuple[Role, Arch]]) -> Array:
    """Where both jaws are there and apart, their places are surer than their normals."""
    upper = [np.array(shape.centre) for role, shape in jaws if role is Role.UPPER]
    lower = [np.array(shape.centre) for role, shape in jaws if role is Role.LOWER]
    if not upper or not lower:
        return up
    apart = float((np.mean(upper, axis=0) - np.mean(lower, axis=0)) @ up)
    return -up if apart < -2 else up


def _sample(mesh: Mesh) -> tuple[Array, Array]:
    """Centres and area normals of evenly chosen triangles."""
    step = max(1, len(mesh.faces) // _SAMPLES)
    chosen = Mesh(mesh.vertices, mesh.faces[::step])
    points = mesh.vertices[chosen.faces].mean(axis=1, dtype=np.float64)
    return points, face_normals(chosen).astype(np.float64) + 1e-12


def _jaw_sized(points: Array) -> float:
    widest = float(np.ptp(points, axis=0).max())
    return 1.0 if _ARCH_MM[0] <= widest <= _ARCH_MM[1] else 0.3


def _biting_axis(points: Array, normals: Array, area: Array) -> tuple[Array, float]:
    """The unit vector out of the biting side, and how sure it is."""
    flattest = _principal(points, area)[0]
    looks = normals.sum(axis=0) / area.sum()
    share = float(np.linalg.norm(looks))
    if share > _OPEN:
        agreed = abs(float(_unit(looks) @ flattest))
        axis = _unit(looks) if agreed < 0.8 else flattest * np.sign(looks @ flattest)
        return axis, min(1.0, 0.6 + share)
    return _away_from_base(flattest, normals, area)


def _away_from_base(axis: Array, normals: Array, area: Array) -> tuple[Array, float]:
    """A closed model: of its two sides the flatter one is the base, which looks straight out along the axis."""
    along = (normals @ axis) / area
    above, below = along > 0.94, along < -0.94
    more, less = sorted([float(area[above].sum()), float(area[below].sum())], reverse=True)
    base = below if area[below].sum() >= area[above].sum() else above
    # Bases are sawn straight; the flattest axis of teeth and gum is not quite at a right angle to them.
    return -_unit(normals[base].sum(axis=0)), 0.9 * (more - less) / max(more, 1e-9)


def _front(points: Array, area: Array, up: Array) -> tuple[Array, float]:
    """The unit vector along the mirror line to where the arms of the U meet, and how sure it is."""
    across, along = _plane(up)
    flat = np.stack([points @ across, points @ along], axis=1)
    angles = np.radians(np.arange(0, 180, _TURN))
    scores = np.array([_mirrored(flat, area, angle) for angle in angles])
    # Half jaws and gaps make the score ragged; the middle of its hill is steadier than its highest point.
    smooth = sum(np.roll(scores, shift) for shift in range(-_HILL, _HILL + 1)) / (2 * _HILL + 1)
    best = int(np.argmax(smooth))
    line = np.array([np.cos(angles[best]), np.sin(angles[best])])
    narrowing = _narrowing(flat, area, line)
    front = (across * line[0] + along * line[1]) * (1 if narrowing >= 0 else -1)
    return front, min(1.0, 0.2 + float(scores[best])) * min(1.0, 4 * abs(narrowing))


def _mirrored(flat: Array, area: Array, angle: float) -> float:
    """How like its mirror picture the scan is, 0 to 1, mirrored on the line at `angle` through its centre."""
    line = np.array([np.cos(angle), np.sin(angle)])
    along, aside = flat @ line, flat @ np.array([-line[1], line[0]])
    reach = float(np.abs(flat).max()) * 1.5 + 1e-9
    rows = ((along / reach + 1) / 2 * _CELLS).astype(np.int64)
    columns = ((aside / reach + 1) / 2 * _CELLS).astype(np.int64)
    grid = np.bincount(rows * _CELLS + columns, area, _CELLS * _CELLS).reshape(_CELLS, _CELLS)
    # The whole blurs a little, so that one cell's difference in an arm's place is not a miss.
    grid = (
        grid
        + np.roll(grid, 1, 1)
        + np.roll(grid, -1, 1)
        + np.roll(grid, 1, 0)
        + np.roll(grid, -1, 0)
    )
    return float(np.minimum(grid, grid[:, ::-1]).sum() / grid.sum())


def _narrowing(flat: Array, area: Array, line: Array) -> float:
    """Correlation of place along the line with closeness to it: positive when the U closes forwards."""
    along = flat @ line
    aside = np.abs(flat @ np.array([-line[1], line[0]]))
    along = along - np.average(along, weights=area)
    aside = aside - np.average(aside, weights=area)
    spread = np.sqrt((area * along**2).sum() * (area * aside**2).sum())
    return -float((area * along * aside).sum() / max(float(spread), 1e-12))


def _principal(points: Array, area: Array) -> Array:
    """Rows: the unit axes of the surface's spread, the flattest first."""
    spread = (points * area[:, None]).T @ points
    axes: Array = np.linalg.eigh(spread)[1].T
    return axes


def _plane(up: Array) -> tuple[Array, Array]:
    """Two unit vectors at right angles to `up` and to each other."""
    aside = np.eye(3)[int(np.argmin(np.abs(up)))]
    across = _unit(np.cross(aside, up))
    return across, np.cross(up, across)


def _unit(vector: Array) -> Array:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-12 else np.array([0.0, 0.0, 1.0])


def _vector(values: Array | Floats) -> Vector:
    x, y, z = (round(float(value), 6) for value in values)
    return x, y, z
