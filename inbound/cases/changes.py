"""What is new in a version: which scan takes the place of which, and how it differs, in words."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from inbound.scans.contacts import CHANGED
from store.model import Scan
from store.states import ScanState

UNIT_NAMES = {"mm": "millimetres", "cm": "centimetres", "inch": "inches", "m": "metres"}
_NEW_MM2 = 0.05  # less than this of a surface without a counterpart is the edge of a triangle
_SHORTER_MM = 0.05  # a side of the box, from which on something is missing


def pairs(own: Sequence[Scan], before: Sequence[Scan]) -> list[tuple[Scan, Scan]]:
    """Each new surface with the one whose place it takes: of one role by its name, else in their order."""
    found = []
    for role, new in _by_role(own).items():
        old = _by_role(before).get(role, [])
        named = [(one, other) for one in new for other in old if _alike(one, other)]
        named = [pair for at, pair in enumerate(named) if not _taken(pair, named[:at])]
        rest_new = [one for one in new if not any(one is pair[0] for pair in named)]
        rest_old = [one for one in old if not any(one is pair[1] for pair in named)]
        found += [*named, *zip(rest_new, rest_old, strict=False)]
    return sorted(found, key=lambda pair: pair[0].number)


def carried_on(own: Sequence[Scan], before: Sequence[Scan]) -> list[Scan]:
    """What a version goes on to show of the one before it: all whose role its mail did not bring anew."""
    brought = {scan.role for scan in own if scan.state is ScanState.READY}
    usable = [scan for scan in before if scan.state is ScanState.READY]
    return [scan for scan in usable if scan.role not in brought]


def gone(scans: Sequence[Scan], before: Sequence[Scan]) -> list[Scan]:
    """What the version before showed, and this one neither shows nor shows in another form."""
    own = [scan for scan in scans if not scan.is_carried]
    followed = {old.id for _, old in pairs(own, before)}
    roles = {scan.role for scan in scans if scan.is_carried}
    surfaces = [scan for scan in before if scan.is_surface]
    return [scan for scan in surfaces if scan.id not in followed and scan.role not in roles]


def shows_the_same(scans: Sequence[Scan], before: Sequence[Scan]) -> bool:
    """Whether two versions are made of the very same files."""
    one, other = (
        sorted((scan.role, scan.original_sha256) for scan in some if scan.state is ScanState.READY)
        for some in (scans, before)
    )
    return one == other


def told_without_looking(new: Scan, old: Scan) -> dict[str, Any] | None:
    """The change of a file that was mailed once more."""
    same = new.original_sha256 == old.original_sha256 and new.unit == old.unit
    nothing = {"largest_mm": 0.0, "largest": None, "changed_mm2": 0.0, "new_mm2": 0.0}
    return {"comparable": True, "moved": False, "part": False, **nothing} if same else None


def is_part_of(new: Scan, old: Scan, change: dict[str, Any]) -> bool:
    """Whether a scan shows less than the one before: what is missing has no place in a map of changes."""
    if not change["comparable"] or change["moved"]:
        return False
    sides = zip((new.report or {})["size_mm"], (old.report or {})["size_mm"], strict=True)
    return any(one < other - _SHORTER_MM for one, other in sides)


def changes_in_words(scans: Sequence[Scan]) -> list[str]:
    """How each new scan differs: "Design: changed by up to 0.21 mm against version 1."."""
    return [
        _change(label, scan.change)
        for scan, label in zip(scans, labels_of(scans), strict=True)
        if scan.change and not scan.is_carried
    ]


def taken_as_before(scans: list[Scan]) -> list[str]:
    """What the owner is told of the units of a next version, about which nobody asked again."""
    return [
        f"{scan.original_name} is taken as {UNIT_NAMES[scan.unit]}, as you said before."
        for scan in scans
        if scan.unit and not scan.is_carried
    ]


def labels_of(scans: Sequence[Scan]) -> list[str]:
    """What people call each scan; of several alike with their number among them."""
    same: dict[str, int] = defaultdict(int)
    found = []
    for scan in scans:
        same[scan.label] += 1
        found.append((scan.label, same[scan.label]))
    return [f"{label} {place}" if same[label] > 1 else label for label, place in found]


def _change(label: str, change: dict[str, Any]) -> str:
    version = f"version {change['version']}"
    if not change["comparable"]:
        return f"{label} cannot be compared with {version}: it shows another place."
    moved = " It lies in another place." if change["moved"] else ""
    by, new = abs(change["largest_mm"]), change["new_mm2"]
    if by >= CHANGED and new >= _NEW_MM2:
        found = (
            f"{label}: changed by up to {by:.2f} mm against {version}, and {new:.1f} mm² are new."
        )
    elif by >= CHANGED:
        found = f"{label}: changed by up to {by:.2f} mm against {version}."
    elif new >= _NEW_MM2:
        found = f"{label}: {new:.1f} mm² are new against {version}, the rest is the same."
    elif change["part"]:
        found = f"{label} shows a part of version {change['version']}, without a change."
    else:
        found = f"{label} is the same as in {version}."
    return found + moved


def _by_role(scans: Sequence[Scan]) -> dict[str, list[Scan]]:
    found: dict[str, list[Scan]] = defaultdict(list)
    for scan in scans:
        if scan.is_surface:
            found[scan.role].append(scan)
    return found


def _alike(one: Scan, other: Scan) -> bool:
    return one.original_name.casefold() == other.original_name.casefold()


def _taken(pair: tuple[Scan, Scan], earlier: Sequence[tuple[Scan, Scan]]) -> bool:
    return any(pair[0] is one or pair[1] is other for one, other in earlier)
