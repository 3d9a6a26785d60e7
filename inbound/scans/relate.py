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

_UPPER, _LOWER = (Role.UPPER,), (Role.LOWER,)
_PREPARED, _OPPOSITE = (Role.PREP, Role.UPPER, Role.LOWER), (Role.ANTAGONIST,)
_MADE = (Role.DESIGN, Role.WAXUP)
MEETING = frozenset({*_PREPARED, *_OPPOSITE, *_MADE})  # roles that may face another
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
    jaws = _pairs(parts, _UPPER, _LOWER) or _pairs(parts, _PREPARED, _OPPOSITE)
    pairs = jaws[:1]
    if not jaws:
        return []
    for number, (role, mesh) in enumerate(parts):
        if role in _MADE:
            own, other = sorted(jaws[0], key=lambda jaw: _distance(mesh, parts[jaw][1]))
            assert own != other
            pairs.append((number, other))
    return pairs


def _pairs(
    parts: Sequence[tuple[Role, Mesh]], ones: tuple[Role, ...], others: tuple[Role, ...]
) -> list[tuple[int, int]]:
    numbered = list(enumerate(role for role, _ in parts))
    first = [number for wanted in ones for number, role in numbered if role is wanted]
    second = [number for number, role in numbered if role in others]
    return list(product(first, second))


def _nearer(before: Floats | None, found: Floats) -> Floats:
    return found if before is None else np.fmin(before, found)


def _distance(part: Mesh, jaw: Mesh) -> float:
    """Mm from a part to a jaw's nearest vertices, in the mean."""
    own = part.vertices[:: max(1, len(part.vertices) // _SOME)].astype(np.float64)
    near = jaw.vertices[:: max(1, len(jaw.vertices) // (10 * _SOME))].astype(np.float64)
    return float(np.sqrt(((own[:, None] - near[None]) ** 2).sum(axis=2).min(axis=1)).mean())
