"""DKIM's body hashes, against dkimpy and against RFC 6376 written down the slow way."""

import hashlib
import itertools
import random
import re
from collections.abc import Callable
from time import process_time

import pytest
from dkim.canonicalization import CanonicalizationPolicy, InvalidCanonicalizationPolicyError
from dkim.canonicalization import Relaxed as DkimpyRelaxed
from dkim.canonicalization import Simple as DkimpySimple
from dkim.util import InvalidTagValueList, parse_tag_value
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.auth.bodyhash import RELAXED, SIMPLE, RelaxedBody, SimpleBody, hashes_wanted

SEED = 20261122
BODIES = 20_000
MB = 1 << 20
BodyHashing = type[SimpleBody] | type[RelaxedBody]
TOKENS = [
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"  \t ",
    b" \r\n",
    b"a",
    b"bc ",
    b".",
    b"\xc3\xa9",
    b"\0",
]


def simple(body: bytes) -> bytes:
    """RFC 6376 3.4.3: no empty lines at the end, and one line end; no body is one line end too."""
    lines = body.split(b"\r\n")
    while lines and not lines[-1]:
        lines.pop()
    return b"\r\n".join(lines) + b"\r\n"


def relaxed(body: bytes) -> bytes:
    """RFC 6376 3.4.4: blanks first, then empty lines; an empty body stays empty."""
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    """The body cut at these places, but never between CR and LF: the sink sees to that."""
    places = {min(cut, len(body)) for cut in cuts} | {0, len(body)}
    whole = sorted(place for place in places if body[place - 1 : place + 1] != b"\r\n")
    return [body[a:b] for a, b in itertools.pairwise(whole)]


def check(body: bytes, cuts: list[int]) -> None:
    ours, other = SimpleBody(), RelaxedBody()
    for piece in pieces(body, cuts):
        ours.update(piece)
        other.update(piece)
    assert ours.whole() == hashlib.sha256(body).hexdigest()
    assert ours.digest() == hashlib.sha256(simple(body)).digest()
    assert other.digest() == hashlib.sha256(relaxed(body)).digest()
    assert simple(body) == DkimpySimple.canonicalize_body(body)
    # dkimpy keeps one blank where a body ends in blanks without a line end. RFC 6376 3.4.4 says that
    # blanks at the end of a line are ignored before a missing line end is added; DATA cannot bring
    # such a body, BDAT can.
    if not body.endswith((b" ", b"\t")):
        assert relaxed(body) == DkimpyRelaxed.canonicalize_body(body)


def test_twenty_thousand_random_bodies_in_random_pieces_hash_as_the_references_do() -> None:
    chance = random.Random(SEED)
    for _ in range(BODIES):
        body = b"".join(chance.choices(TOKENS, k=chance.randrange(24)))
        check(body, [chance.randrange(len(body) + 1) for _ in range(chance.randrange(6))])


@settings(max_examples=500, deadline=None)
@given(
    body=st.lists(st.sampled_from(TOKENS) | st.binary(max_size=6), max_size=20).map(b"".join),
    cuts=st.lists(st.integers(0, 80), max_size=20),
)
def test_any_bytes_with_whole_line_ends_hash_as_the_references_do(
    body: bytes, cuts: list[int]
) -> None:
    check(re.sub(rb"\r(?!\n)|(?<!\r)\n", b"", body), cuts)


@pytest.mark.parametrize("body", [b"", b"\r\n", b" ", b" \r\n\t\r\n", b"a", b"a \r\n \r\n", b" a"])
def test_small_bodies_hash_alike_in_single_bytes(body: bytes) -> None:
    check(body, list(range(len(body))))


def test_where_dkimpy_keeps_a_blank_at_the_end_the_rfc_counts() -> None:
    body = RelaxedBody()
    body.update(b"a\r\nb \t")
    assert body.digest() == hashlib.sha256(b"a\r\nb\r\n").digest()
    assert DkimpyRelaxed.canonicalize_body(b"a\r\nb \t") == b"a\r\nb \r\n"


def test_asking_for_a_hash_does_not_end_a_body() -> None:
    for made, form in ((SimpleBody(), simple), (RelaxedBody(), relaxed)):
        made.update(b"a \r\n")
        made.digest()
        made.update(b"\r\nb\r\n")
        assert made.digest() == hashlib.sha256(form(b"a \r\n\r\nb\r\n")).digest()


# ---------------------------------------------------------------- hostile bodies


def blanks(size: int) -> list[bytes]:
    return [b" " * 65_536] * (size // 65_536)


def blanks_in_small_pieces(size: int) -> list[bytes]:
    return [b" \t" * 32] * (size // 64)


def empty_lines(size: int) -> list[bytes]:
    return [b"\r\n" * 32_768] * (size // 65_536)


def empty_lines_before_text(size: int) -> list[bytes]:
    return [*empty_lines(size), b"a"]


def lines_of_blanks(size: int) -> list[bytes]:
    return [(b" " * 997 + b"\r\n") * 64] * (size // 63_936)


def lines_of_blanks_and_a_letter(size: int) -> list[bytes]:
    return [(b" " * 996 + b"a\r\n") * 64] * (size // 63_936)


def one_line_alternating(size: int) -> list[bytes]:
    return [b"a \tb  " * 10_000] * (size // 60_000)


def seconds_for(body: BodyHashing, parts: list[bytes]) -> float:
    def once() -> float:
        made = body()
        begin = process_time()
        for part in parts:
            made.update(part)
        made.digest()
        return process_time() - begin

    return min(once() for _ in range(3))


@pytest.mark.parametrize("body", [SimpleBody, RelaxedBody])
@pytest.mark.parametrize(
    "hostile",
    [
        blanks,
        blanks_in_small_pieces,
        empty_lines,
        empty_lines_before_text,
        lines_of_blanks,
        lines_of_blanks_and_a_letter,
        one_line_alternating,
    ],
)
def test_hostile_bodies_take_time_in_proportion_to_their_size(
    hostile: Callable[[int], list[bytes]], body: BodyHashing
) -> None:
    small, large = seconds_for(body, hostile(MB)), seconds_for(body, hostile(8 * MB))
    # Eight times the bytes; quadratic work would take sixty-four times as long.
    assert large < 24 * small + 0.02
    assert large < 2


def test_a_million_empty_lines_hash_like_none() -> None:
    for made, empty in ((SimpleBody(), b"\r\n"), (RelaxedBody(), b"")):
        for part in empty_lines(2 * MB):
            made.update(part)
        assert made.digest() == hashlib.sha256(empty).digest()


# ---------------------------------------------------------------- which are wanted


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        (b"DKIM-Signature: v=1; c=relaxed/relaxed; d=x", {RELAXED}),
        (b"DKIM-Signature: v=1; c=simple/relaxed; d=x", {RELAXED}),
        (b"DKIM-Signature: v=1; c=relaxed/simple; d=x", {SIMPLE}),
        (b"DKIM-Signature: v=1; c=relaxed; d=x", {SIMPLE}),
        (b"DKIM-Signature: v=1; c=simple; d=x", {SIMPLE}),
        (b"DKIM-Signature: v=1; d=x", {SIMPLE}),
        (b"DKIM-Signature: c=relaxed/relaxed", {RELAXED}),
        (b"DKIM-Signature: v=1; c=relaxed/relaxed;", {RELAXED}),
        (b"DKIM-Signature: v=1;\r\n\tc=relaxed/relaxed;\r\n\td=x", {RELAXED}),
        (b"DKIM-Signature: v=1; c =\r\n relaxed/relaxed ; d=x", {RELAXED}),
        (b"DKIM-Signature: v=1; c=relaxed\r\n /relaxed; d=x", {RELAXED}),
        (b"dkim-signature:v=1;c=relaxed/relaxed;d=x", {RELAXED}),
        (b"DKIM-SIGNATURE : v=1; c=relaxed/relaxed", {RELAXED}),
        # RFC 6376 3.2: names of tags tell upper case from lower case, so this has no c=.
        (b"DKIM-Signature: v=1; C=relaxed/relaxed; d=x", {SIMPLE}),
        # No canonicalisation that there is: such a signature counts for nothing, whatever is hashed.
        (b"DKIM-Signature: v=1; c=Relaxed/Relaxed; d=x", {SIMPLE}),
        (b"DKIM-Signature: v=1; c=nofws/nofws; d=x", set()),
        (b"DKIM-Signature: v=1; c=relaxed/relaxed/relaxed; d=x", {SIMPLE}),
        (b"DKIM-Signature: v=1; bc=relaxed/relaxed; d=x", {SIMPLE}),
        (b"DKIM-Signature: v=1; h=c=relaxed/relaxed; d=x", {SIMPLE}),
        (b"DKIM-Signature:", {SIMPLE}),
        (b"DKIM-Signature: ;;;\0", {SIMPLE}),
        (b"ARC-Message-Signature: i=1; c=relaxed/relaxed; d=x", {RELAXED}),
        (b"ARC-Seal: i=1; c=relaxed/relaxed", set()),
        (b"X-DKIM-Signature: v=1; c=relaxed/relaxed", set()),
        (b"DKIM-Signature", set()),
        (b"", set()),
        (b"Subject: x\r\n DKIM-Signature: v=1", set()),
        (
            b"DKIM-Signature: v=1; c=simple/simple\r\nARC-Message-Signature: i=1; c=simple/relaxed",
            {SIMPLE, RELAXED},
        ),
    ],
)
def test_the_hashes_that_signatures_name_are_wanted(field: bytes, wanted: set[str]) -> None:
    assert hashes_wanted(b"From: a@b.example\r\n" + field + b"\r\nTo: c@d.example\r\n") == wanted


def test_only_the_first_twenty_signatures_are_asked() -> None:
    header = b"DKIM-Signature: c=simple/simple\r\n" * 20 + b"DKIM-Signature: c=simple/relaxed\r\n"
    assert hashes_wanted(header) == {SIMPLE}


@settings(max_examples=500, deadline=None)
@given(
    tags=st.lists(
        st.sampled_from([b"v=1", b"c=relaxed/relaxed", b"c=simple", b"c=relaxed", b" c = simple/relaxed",
                         b"\r\n\tc=relaxed/simple ", b"", b" ", b"C=relaxed", b"h=c:d", b"d=x", b"b=c=="]),
        max_size=6,
    )
)  # fmt: skip
def test_what_dkimpy_would_hash_is_wanted(tags: list[bytes]) -> None:
    field = b";".join(tags)
    try:
        named = parse_tag_value(field).get(b"c", b"simple/simple")
        policy = CanonicalizationPolicy.from_c_value(named)
    except (InvalidTagValueList, InvalidCanonicalizationPolicyError):
        return
    assert policy.body_algorithm.name.decode() in hashes_wanted(
        b"DKIM-Signature: " + field + b"\r\n"
    )


@pytest.mark.parametrize(
    "hostile",
    [b";" * 250_000, b"; " * 125_000, b"c=" + b"a" * 250_000, b";c=a " * 50_000, b";c" + b" " * 250_000,
     b";c=a" + b" " * 250_000 + b"x", b"\r\n ;c=a/" * 25_000],
)  # fmt: skip
def test_a_hostile_signature_field_is_read_in_no_time(hostile: bytes) -> None:
    begin = process_time()
    hashes_wanted(b"DKIM-Signature: " + hostile + b"\r\n")
    assert process_time() - begin < 1
