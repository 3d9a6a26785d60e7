"""Names that are shown: safe, and each once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbound.mail.names import LONGEST, distinct, safe_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.stl", "a.stl"),
        ("..\\..\\x.stl", "x.stl"),
        ("../../x.stl", "x.stl"),
        ("C:\\scans\\x.stl", "x.stl"),
        ("up\u202elts.exe", "uplts.exe"),
        ("a\r\nBcc: x", "aBcc: x"),
        ("a\0.stl", "a.stl"),
        ("  a.stl. ", "a.stl"),
        ("Bru\u0308cke.stl", "Brücke.stl"),
        ("..", "?"),
        ("", "?"),
        ("/", "?"),
        ("\u200b\ufeff", "?"),
    ],
)
def test_a_name_is_its_last_component_without_what_cannot_be_seen(name: str, shown: str) -> None:
    assert safe_name(name, "?") == shown


def test_a_long_name_keeps_its_ending() -> None:
    assert safe_name("a" * 500 + ".stl", "?") == "a" * (LONGEST - 4) + ".stl"
    assert len(safe_name("a." + "b" * 500, "?")) == LONGEST


@given(st.text(max_size=300))
def test_no_name_is_a_path_or_empty(name: str) -> None:
    shown = safe_name(name, "?")
    assert 0 < len(shown) <= LONGEST
    assert not set("/\\\0\r\n\u202e") & set(shown)
    assert shown not in (".", "..")


@given(st.lists(st.sampled_from(["a.stl", "A.STL", "a (2).stl", "b", "a (3).stl", "B (2)"])))
def test_names_are_distinct_whatever_their_case_and_stay_in_order(names: list[str]) -> None:
    found = distinct(names)
    assert len({name.lower() for name in found}) == len(names)
    if names:
        assert found[0] == names[0]
