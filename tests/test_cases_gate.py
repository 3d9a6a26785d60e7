"""What the owner hears of doubts before a reviewer loses time, and how the scans meet in words."""

from typing import Any

import pytest

from inbound.cases.gate import findings, meetings_in_words
from inbound.cases.units import doubtful, unit_said
from inbound.scans.roles import Role
from store.model import Scan
from store.states import ScanState


def scan(number: int, role: Role, **report: Any) -> Scan:
    facts = {"size_mm": [60.0, 50.0, 20.0], "corner_mm": [0.0, 0.0, 0.0], "unit": "", **report}
    return Scan(
        id=f"s{number}", version_id="v", number=number, state=ScanState.READY, format="STL",
        original_name=f"{role}.stl", path=f"{role}.stl", original_size=1, original_sha256="", role=role.value,
        label=role.label, problem="", report=facts, arch=None, copy_suffix="stl", copy_size=1,
        copy_sha256="", preview_size=1, medium_size=0, full_size=1, map_size=0, unit="",
        home_version="", home_number=0, change=None, change_size=0,
    )  # fmt: skip


def meeting(**facts: Any) -> dict[str, Any]:
    usual = {"one": 1, "other": 2, "tightest_mm": -0.03, "tightest": [0, 0, 0]}
    return {**usual, "contact_mm2": 14.2, "overlap_mm": 0.03, "gap_mm": 0.0, **facts}


UPPER, LOWER = scan(1, Role.UPPER), scan(2, Role.LOWER)
HOLE = [[10.0, 10.0, 10.0, 3.1]]


def test_two_jaws_in_their_bite_leave_nothing_to_say() -> None:
    assert findings([UPPER, LOWER], [meeting()]) == []
    assert meetings_in_words([UPPER, LOWER], [meeting()]) == [
        "Upper jaw and lower jaw touch on 14.2 mm²; at the tightest place they overlap by 0.03 mm."
    ]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"tightest_mm": 0.0, "overlap_mm": 0.0}, "Upper jaw and lower jaw touch on 14.2 mm²."),
        ({"tightest_mm": 0.31, "contact_mm2": 0.0},
         "Upper jaw and lower jaw do not touch: 0.31 mm at the closest place."),
    ],
)  # fmt: skip
def test_how_they_meet_in_words(facts: dict[str, Any], said: str) -> None:
    assert meetings_in_words([UPPER, LOWER], [meeting(**facts)]) == [said]


def test_jaws_that_nobody_could_measure_are_not_spoken_of() -> None:
    far = meeting(tightest_mm=None, tightest=None, gap_mm=None, contact_mm2=0.0)
    assert meetings_in_words([UPPER, LOWER], [far]) == []
    assert "were not brought into their bite" in findings([UPPER, LOWER], [far])[0]


@pytest.mark.parametrize(
    ("facts", "said"),
    [({"gap_mm": 1.8}, "The bite is open: the jaws are 1.8 mm apart"),
     ({"overlap_mm": 1.2}, "The jaws go 1.2 mm into one another")],
)  # fmt: skip
def test_a_bite_that_cannot_be_is_said(facts: dict[str, Any], said: str) -> None:
    (found,) = findings([UPPER, LOWER], [meeting(**facts)])
    assert found.startswith(said)


def test_a_crown_above_its_antagonist_is_no_open_bite() -> None:
    design = scan(3, Role.DESIGN, size_mm=[9.0, 9.0, 8.0])
    above = meeting(one=3, gap_mm=0.6, tightest_mm=0.6, contact_mm2=0.0)
    assert findings([UPPER, LOWER, design], [meeting(), above]) == []


def test_a_design_without_an_antagonist_is_said_and_a_lone_jaw_is_not() -> None:
    design = scan(3, Role.DESIGN)
    assert "No antagonist came" in findings([LOWER, design], [])[0]
    assert findings([LOWER], []) == []


def test_a_hole_counts_where_the_work_ends() -> None:
    prep = scan(2, Role.PREP, hole_places=HOLE)
    (found,) = findings([UPPER, prep], [meeting()])
    assert (
        found
        == "prep.stl has a hole (3.1 mm around) where the work may end: check that the margin is complete."
    )
    holed = scan(2, Role.LOWER, hole_places=[*HOLE, [50.0, 40.0, 5.0, 9.0]])
    assert findings([UPPER, holed], [meeting()]) == []
    design = scan(3, Role.DESIGN, corner_mm=[5.0, 5.0, 5.0], size_mm=[4.0, 4.0, 4.0])
    (found,) = findings([UPPER, holed, design], [meeting()])
    assert "a hole (3.1 mm around)" in found


def test_what_was_not_measured_is_not_said_to_be_missing() -> None:
    design = scan(3, Role.DESIGN)
    assert findings([UPPER, LOWER, design], None) == []


def test_a_hole_that_a_probe_would_not_find_is_not_spoken_of() -> None:
    prep = scan(2, Role.PREP, hole_places=[[1.0, 1.0, 1.0, 0.2]])
    assert findings([UPPER, prep], [meeting()]) == []


@pytest.mark.parametrize(
    ("role", "size", "unit"),
    [
        (Role.UPPER, [62.0, 50.0, 20.0], "mm"), (Role.UPPER, [2.6, 2.0, 0.8], "inch"),
        (Role.LOWER, [6.2, 5.0, 2.0], "cm"), (Role.UPPER, [0.062, 0.05, 0.02], "m"),
        (Role.DESIGN, [9.0, 8.0, 8.0], "mm"), (Role.DESIGN, [0.36, 0.3, 0.3], "m"),
        (Role.SCAN, [8.0, 8.0, 9.0], "mm"), (Role.SCAN, [2.6, 2.0, 0.8], "inch"),
        (Role.DIE, [7.0, 7.0, 12.0], "mm"), (Role.DESIGN, [3.0, 3.0, 3.5], "mm"),
    ],
)  # fmt: skip
def test_only_what_cannot_be_in_millimetres_is_doubted(role, size, unit) -> None:
    assert list(doubtful([scan(1, role, size_mm=size)])) == ([] if unit == "mm" else [unit])


def test_a_declared_unit_is_never_doubted() -> None:
    assert doubtful([scan(1, Role.UPPER, size_mm=[2.6, 2.0, 0.8], unit="mm")]) == {}


@pytest.mark.parametrize(
    ("line", "unit"),
    [("INCH", "inch"), ("inches.", "inch"), ("Zoll", "inch"), ("mm", "mm"), ("“MM”", "mm"),
     ("Milímetros", "mm"), ("英寸", "inch"), ("cm", "cm"), ("inch or mm?", ""), ("2.6", ""), ("", "")],
)  # fmt: skip
def test_the_answer_names_one_unit(line: str, unit: str) -> None:
    assert unit_said(line) == unit
