"""Which scans of a case face each other, and how they meet: what a dentist asks of two scans.

The jaws face each other; a design faces the jaw that it does not stand on. Each scan gets one map, its
vertices' distances to the nearest of what it faces, for the viewer to colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from inbound.scans.contacts import contacts
from inbound.scans.mesh import Floats, Mesh
from inbound.scans.roles import Role

_WORKED_ON = (Role.PREP, Role.DIE, Role.MODEL)
_FACE = (
    ((Role.UPPER,), (Role.LOWER,)),
    ((*_WORKED_ON, Role.UPPER, Role.LOWER), (Role.ANTAGONIST,)),
    (_WORKED_ON, (Role.UPPER, Role.LOWER)),
)
_MADE = (Role.DESIGN, Role.WAXUP)
MEETING = frozenset({Role.UPPER, Role.LOWER, Role.ANTAGONIST, *_WORKED_ON, *_MADE})
_SAME_PLACE = 0.8  # mm between two scans, in the mean, below which they show the same jaw
_SOME = 300  # vertices that tell which jaw a design stands on


@dataclass(frozen=True)
class Meeting:
    """How two scans meet; the numbers are mm and mm2, as `contacts.Contacts` gives them."""

    one: int
    other: int
    tightest_mm: float | None
    tightest: tuple[float, float, float] | None
    contact_mm2: float
    overlap_mm: float
    gap_mm: float | None


def relate(parts: Sequence[tuple[Role, Mesh]]) -> tuple[list[Meeting], list[Floats | None]]:
    """All meetings of a case by the places of its scans, and a map for each scan that faces another.

    A map has a distance in mm for each vertex, negative behind the other surface, NaN beyond 2 mm.
    """
    meetings = []
    maps: list[Floats | None] = [None] * len(parts)
    for one, other in facing(parts):
        found = contacts(parts[one][1], parts[other][1])
        maps[one] = _nearer(maps[one], found.one)
        maps[other] = _nearer(maps[other], found.other)
        meetings.append(
            Meeting(
                one,
                other,
                found.tightest_mm,
                found.tightest,
                found.contact_mm2,
                found.overlap_mm,
                found.gap_mm,
            )
        )
    return meetings, maps


def facing(parts: Sequence[tuple[Role, Mesh]]) -> list[tuple[int, int]]:
    """Pairs of places in `parts`: jaws first, then what was made for them."""
    made = [number for number, (role, _) in enumerate(parts) if role in _MADE]
    jaws = _jaws(parts)
    if jaws is None:
        return [(number, other) for number in made for other in _of(parts, (Role.ANTAGONIST,))[:1]]
    return [jaws, *((number, _opposite(parts, number, jaws)) for number in made)]


def _jaws(parts: Sequence[tuple[Role, Mesh]]) -> tuple[int, int] | None:
    """The two that bite on each other; a preparation is none of the jaw that it was made in."""
    for ones, others in _FACE:
        for one, other in product(_of(parts, ones), _of(parts, others)):
            if _distance(parts[one][1], parts[other][1]) > _SAME_PLACE:
                return one, other
    return None


def _of(parts: Sequence[tuple[Role, Mesh]], wanted: tuple[Role, ...]) -> list[int]:
    return [n for role in wanted for n, (own, _) in enumerate(parts) if own is role]


def _opposite(parts: Sequence[tuple[Role, Mesh]], number: int, jaws: tuple[int, int]) -> int:
    """The jaw that something does not stand on."""
    return max(jaws, key=lambda jaw: _distance(parts[number][1], parts[jaw][1]))


def _nearer(before: Floats | None, found: Floats) -> Floats:
    return found if before is None else np.fmin(before, found)


def _distance(part: Mesh, jaw: Mesh) -> float:
    """Mm from a part to a jaw's nearest vertices, in the mean."""
    own = part.vertices[:: max(1, len(part.vertices) // _SOME)].astype(np.float64)
    near = jaw.vertices[:: max(1, len(jaw.vertices) // (10 * _SOME))].astype(np.float64)
    return float(np.sqrt(((own[:, None] - near[None]) ** 2).sum(axis=2).min(axis=1)).mean())
