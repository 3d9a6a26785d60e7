"""What is missing or doubtful in a case, said to its owner before a reviewer loses time over it; and how
its scans meet, in numbers.
"""

from collections.abc import Sequence
from typing import Any

from inbound.scans.roles import Role
from store.model import Scan

_MADE = frozenset({Role.DESIGN, Role.WAXUP})
_WORKED_ON = _MADE | {Role.PREP, Role.DIE}
_NEAR_MM = 2.0  # around a design: a hole there is a hole at its margin
_SEEN_MM = 1.0  # around; a smaller hole hides nothing
_OPEN_MM = 0.2  # the thickest marking paper falls through
_DEEP_MM = 0.5  # jaws do not go into one another


def findings(scans: Sequence[Scan], meetings: Sequence[dict[str, Any]] | None) -> list[str]:
    """A sentence for each doubt.

    Args:
        scans: those that can be looked at.
        meetings: how they meet; None if that was not measured.
    """
    if meetings is None:
        return [line for scan in scans for line in _holes(scan, scans)]
    return [
        *_antagonist(scans, meetings),
        *(line for meeting in meetings for line in _bite(scans, meeting)),
        *(line for scan in scans for line in _holes(scan, scans)),
    ]


def burned_in(files: Sequence[Scan]) -> list[str]:
    """X-rays that say of themselves that something is written into their pictures."""
    return [
        f"{file.original_name} says that words are drawn into its pictures. If a name is among them,"
        " DELETE the case: nobody can take it out here."
        for file in files
        if (file.report or {}).get("burned_in")
    ]


def meetings_in_words(scans: Sequence[Scan], meetings: Sequence[dict[str, Any]]) -> list[str]:
    """How the scans meet: "Upper jaw and lower jaw touch on 14.2 mm²."."""
    labels = {scan.number: scan.label for scan in scans}
    return [_meeting(labels, one) for one in meetings if one["tightest_mm"] is not None]


def _meeting(labels: dict[int, str], meeting: dict[str, Any]) -> str:
    one, other = labels[meeting["one"]], labels[meeting["other"]].lower()
    tightest = meeting["tightest_mm"]
    if meeting["contact_mm2"] <= 0:
        return f"{one} and {other} do not touch: {tightest:.2f} mm at the closest place."
    if tightest < -0.005:
        return (
            f"{one} and {other} touch on {meeting['contact_mm2']:.1f} mm²; at the tightest place they"
            f" overlap by {-tightest:.2f} mm."
        )
    return f"{one} and {other} touch on {meeting['contact_mm2']:.1f} mm²."


def _antagonist(scans: Sequence[Scan], meetings: Sequence[dict[str, Any]]) -> list[str]:
    if meetings or not any(scan.role in _WORKED_ON for scan in scans):
        return []
    return ["No antagonist came with these scans, so nobody can judge how the work will bite."]


def _bite(scans: Sequence[Scan], meeting: dict[str, Any]) -> list[str]:
    roles = {scan.number: scan.role for scan in scans}
    if roles[meeting["one"]] in _MADE:
        return []
    gap, overlap = meeting["gap_mm"], meeting["overlap_mm"]
    if gap is None:
        return ["The jaws lie far apart: they were not brought into their bite."]
    if gap > _OPEN_MM:
        return [f"The bite is open: the jaws are {gap:.1f} mm apart at the closest place."]
    if overlap > _DEEP_MM:
        return [f"The jaws go {overlap:.1f} mm into one another: look at the bite."]
    return []


def _holes(scan: Scan, scans: Sequence[Scan]) -> list[str]:
    """Holes where the work ends: of a preparation any, of a jaw those beside a design."""
    report = scan.report or {}
    if scan.role in _MADE:
        return []
    designs = [one for one in scans if one.role in _MADE]
    near = [
        around
        for *place, around in report.get("hole_places", [])
        if around >= _SEEN_MM
        if scan.role in (Role.PREP, Role.DIE) or any(_is_beside(place, one) for one in designs)
    ]
    if not near:
        return []
    size = f"{max(near):.1f} mm around"
    count = f"a hole ({size})" if len(near) == 1 else f"{len(near)} holes (the largest {size})"
    return [
        f"{scan.original_name} has {count} where the work may end: check that the margin is complete."
    ]


def _is_beside(place: list[float], design: Scan) -> bool:
    report = design.report or {}
    corner, size = report.get("corner_mm"), report.get("size_mm")
    if not corner or not size:
        return False
    return all(
        low - _NEAR_MM <= at <= low + side + _NEAR_MM
        for at, low, side in zip(place, corner, size, strict=True)
    )
