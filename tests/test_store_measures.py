"""Marks from a stranger's browser: believed in nothing but their places, and measured by us."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.measures import MOST_MARKS, NoMark, in_words, read_mark, read_marks
from store.states import MarkKind

ORIGIN = [0, 0, 0]
HOSTILE = [
    None,
    [],
    "distance",
    {},
    {"kind": "distance"},
    {"kind": "volume", "points": [ORIGIN]},
    {"kind": ["distance"], "points": [ORIGIN, ORIGIN]},
    {"kind": "distance", "points": [ORIGIN]},
    {"kind": "distance", "points": [ORIGIN, ORIGIN, ORIGIN]},
    {"kind": "distance", "points": {"0": ORIGIN, "1": ORIGIN}},
    {"kind": "pin", "points": [[0, 0]]},
    {"kind": "pin", "points": [[0, 0, "1"]]},
    {"kind": "pin", "points": [[0, 0, True]]},
    {"kind": "pin", "points": [[0, 0, math.nan]]},
    {"kind": "pin", "points": [[0, 0, math.inf]]},
    {"kind": "pin", "points": [[0, 0, 10_001]]},
    {"kind": "pin", "points": [[0, 0, 10**400]]},
]


@pytest.mark.parametrize("said", HOSTILE, ids=lambda said: str(said)[:60])
def test_what_is_no_mark_is_refused_with_a_sentence(said: object) -> None:
    with pytest.raises(NoMark) as refusal:
        read_mark(said)
    assert str(refusal.value).endswith(".")


def test_the_value_is_measured_here_and_not_believed() -> None:
    said = {"kind": "distance", "points": [ORIGIN, [3, 4, 0]], "value": 0.1, "scan": 2, "note": "x"}
    mark = read_mark(said)
    assert mark == {
        "kind": "distance",
        "points": [[0.0, 0.0, 0.0], [3.0, 4.0, 0.0]],
        "value": 5.0,
        "scan": 2,
    }
    assert in_words(mark) == "Distance: 5.00 mm"
    assert in_words(mark, "Upper jaw") == "Distance on Upper jaw: 5.00 mm"


@pytest.mark.parametrize(("other", "degrees"), [([1, 0, 0], 0), ([0, 2, 0], 90), ([-3, 0, 0], 180)])
def test_an_angle_is_that_at_its_middle_point(other: list[float], degrees: float) -> None:
    mark = read_mark({"kind": "angle", "points": [[1, 0, 0], ORIGIN, other]})
    assert mark["value"] == degrees
    assert in_words(mark) == f"Angle: {degrees:.1f}°"


def test_points_in_one_place_make_no_angle_and_no_error() -> None:
    assert read_mark({"kind": "angle", "points": [ORIGIN] * 3})["value"] == 0


def test_a_pin_says_where_it_stands() -> None:
    mark = read_mark({"kind": "pin", "points": [[12.34, -5, 0.06]], "scan": True})
    assert mark["value"] is None
    assert mark["scan"] is None
    assert in_words(mark, "Lower jaw") == "Pin on Lower jaw at 12.3, -5.0, 0.1 mm"


def test_there_is_an_end_to_marks() -> None:
    pin = {"kind": "pin", "points": [ORIGIN]}
    assert len(read_marks([pin] * MOST_MARKS)) == MOST_MARKS
    with pytest.raises(NoMark, match="At most 50"):
        read_marks([pin] * (MOST_MARKS + 1))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
    | st.fixed_dictionaries(
        {
            "kind": st.sampled_from([*MarkKind, "x"]),
            "points": st.lists(st.lists(st.floats(), min_size=3, max_size=3)),
        }
    )
)
def test_anything_at_all_is_a_mark_or_a_sentence(said: object) -> None:
    try:
        mark = read_mark(said)
    except NoMark:
        return
    assert mark["value"] is None or math.isfinite(mark["value"])
    assert in_words(mark)
