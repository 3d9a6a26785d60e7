"""Header fields as bytes: every line is in one field, folded or not, and none takes long to find."""

import email.parser
import random
import re
from email.policy import compat32
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.auth.fields import fields, values

SEED = 20261122
LINES = [b"From: a@b.example", b"From : x", b"from:", b" folded", b"\tfolded ", b" ", b"", b"no colon",
         b":", b": value", b" From: x", b"A:b:c", b"X-\xff: \xfe", b"Message-ID: <1@x>"]  # fmt: skip
blocks = st.lists(st.sampled_from(LINES) | st.binary(max_size=8), max_size=12).map(b"\r\n".join)


def reference(header: bytes) -> list[tuple[bytes, bytes | None]]:
    """RFC 5322 2.2.3 in one step: a CRLF before a blank is no line end, once a field has begun."""
    found: list[tuple[bytes, bytes | None]] = []
    for line in header.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and found and found[-1][1] is not None:
            found[-1] = found[-1][0], found[-1][1] + line
        else:
            name, colon, value = line.partition(b":")
            found.append((name, value if colon else None))
    return found


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"A: b", [(b"A", b" b")]),
        (b"A: b\r\n c\r\n\td\r\nE:f", [(b"A", b" b c\td"), (b"E", b"f")]),
        (b"A:\r\n b", [(b"A", b" b")]),
        (b" A: b", [(b" A", b" b")]),
        (b"no colon\r\n From: x", [(b"no colon", None), (b" From", b" x")]),
        (b"A : b", [(b"A ", b" b")]),
        (b":", [(b"", b"")]),
        (b"A: b:c", [(b"A", b" b:c")]),
        (b"", [(b"", None)]),
    ],
)
def test_names_and_values_are_what_rfc_5322_says(
    header: bytes, found: list[tuple[bytes, bytes | None]]
) -> None:
    assert list(fields(header)) == found


@settings(max_examples=1000, deadline=None)
@given(header=blocks)
def test_any_header_gives_the_fields_of_the_reference(header: bytes) -> None:
    assert list(fields(header)) == reference(header)


@settings(max_examples=500, deadline=None)
@given(header=blocks)
def test_no_byte_of_a_header_is_lost(header: bytes) -> None:
    found = [name if value is None else name + b":" + value for name, value in fields(header)]
    assert b"".join(found) == header.replace(b"\r\n", b"")


def test_the_standard_library_reads_the_same_fields_in_headers_without_faults() -> None:
    chance = random.Random(SEED)
    parser = email.parser.BytesHeaderParser(policy=compat32)
    for _ in range(1_000):
        names = [f"X-{chance.randrange(5)}" for _ in range(chance.randrange(1, 9))]
        lines = [
            [chance.choice(("a b", "c", "d:e;")) for _ in range(chance.randrange(1, 4))]
            for _ in names
        ]
        written = [
            f"{name}: " + "\r\n\t".join(each) for name, each in zip(names, lines, strict=True)
        ]
        block = "\r\n".join(written).encode() + b"\r\n"
        read = [
            (name.encode(), re.sub("\r\n", "", value).encode())
            for name, value in parser.parsebytes(block).items()
        ]
        ours = [(name, value.lstrip()) for name, value in fields(block) if value is not None]
        assert ours == read


def test_values_are_found_in_any_case_and_in_order() -> None:
    header = b"To: a\r\nCC: b\r\nto : c \r\nX-To: d\r\nTo\r\n : e\r\nBcc: f"
    assert values(header, b"to", b"cc") == [b"a", b"b", b"c"]
    assert values(header, b"reply-to") == []


@pytest.mark.parametrize(
    "hostile",
    [b"a" * 262_144, b"\r\n" * 131_072, b" \r\n" * 87_381, b"A:\r\n" + b" \r\n" * 87_000,
     b"a\r\n" * 87_381, b":" * 262_144, b"A:b\r\n" * 52_428, b" " * 262_144],
)  # fmt: skip
def test_a_hostile_header_of_the_largest_size_is_read_in_no_time(hostile: bytes) -> None:
    begin = process_time()
    list(fields(hostile))
    values(hostile, b"from")
    assert process_time() - begin < 1
