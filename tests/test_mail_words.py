"""Encoded words: what people wrote in a subject or a file name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbound.mail.words import decoded_words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            "=?utf-8?q?j=C3=B6rg=40clinic=2Eexample?=\r\n C-1042 crown",
            "jörg@clinic.example C-1042 crown",
        ),
        ("kim@clinic.example\r\n\tC-1042", "kim@clinic.example C-1042"),
        ("=?utf-8?b?w7xiZXI=?= =?utf-8?b?w7xiZXI=?= C-1", "überüber C-1"),
        ("=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
        ("Re: =?iso-8859-1?q?J=F6rg?= <k@a.example>", "Re: Jörg <k@a.example>"),
        ("=?bogus?q?x?= y", "=?bogus?q?x?= y"),
        ("", ""),
    ],
)
def test_words_are_decoded_and_blanks_kept(value: str, text: str) -> None:
    assert decoded_words(value) == text


@given(st.text())
def test_any_value_is_read_to_one_line(value: str) -> None:
    assert "\n" not in decoded_words(value)
