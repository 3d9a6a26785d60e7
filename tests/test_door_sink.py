"""The sink, against a reference that holds the whole mail in memory."""

import hashlib
import itertools
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.auth.bodyhash import RELAXED, SIMPLE
from inbound.door import sink as sink_module
from inbound.door.dots import DataReader
from inbound.door.sink import HEADER_LIMIT, MailSink
from tests.test_auth_bodyhash import relaxed, simple

SEED = 20261122
MAILS = 20_000
LIMIT = 1 << 20
SMUGGLING = [
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\r\n",
]


class Kept:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes | memoryview) -> None:
        self.data += bytes(data)


class Full(Kept):
    def write(self, data: bytes | memoryview) -> None:
        raise OSError(28, "No space left on device", "/var/secret/path")


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def receive(chunks: list[bytes], limit: int = LIMIT) -> tuple[MailSink, bytes, bytes | None]:
    """The sink, what it spooled, and what came behind the end mark."""
    kept = Kept()
    sink = MailSink(kept, limit)
    reader = DataReader(sink)
    for number, chunk in enumerate(chunks):
        rest = reader.feed(chunk)
        if rest is not None:
            return sink, kept.data, rest + b"".join(chunks[number + 1 :])
    return sink, kept.data, None


def reference(wire: bytes) -> tuple[bytes, bytes | None]:
    """RFC 5321 4.5.2 the slow way: the mail, and what is behind it; None if it has no end."""
    framed = b"\r\n" + wire
    end = framed.find(b"\r\n.\r\n")
    body = framed if end < 0 else framed[: end + 2]
    rest = None if end < 0 else framed[end + 5 :]
    return re.sub(rb"\r\n\.", b"\r\n", body)[2:], rest


wires = st.lists(
    st.sampled_from([b"\r\n", b".", b"a", b"bc", b":", b"\r\n.", b"..", b"\r\n\r\n", b" "]),
    max_size=40,
).map(b"".join)
dirty = st.lists(
    st.sampled_from([b"\r", b"\n", b"\0", b".", b"a", b"\r\n", b"\r\n."]), max_size=25
).map(b"".join)
cuts = st.lists(st.integers(0, 90), max_size=30)


@settings(max_examples=600, deadline=None)
@given(wire=wires, cuts=cuts, behind=st.sampled_from([b"", b"QUIT\r\n", b".\r\n", b"\r\n.\r\n"]))
def test_any_chunks_give_the_same_mail_as_the_reference(
    wire: bytes, cuts: list[int], behind: bytes
) -> None:
    whole = wire + b"\r\n.\r\n" + behind
    expected, rest = reference(whole)
    sink, spooled, left = receive(pieces(whole, cuts))
    assert sink.problem is None
    assert (spooled, left) == (expected, rest)
    assert sink.size == len(expected)
    header, body = split_of(expected)
    assert sink.header == header
    assert sink.header_sha256 == hashlib.sha256(header).hexdigest()
    assert sink.body_sha256 == hashlib.sha256(body).hexdigest()


LINES = [
    b"",
    b".",
    b"..",
    b". ",
    b" ",
    b"a",
    b"a  b\t",
    b"QUJD" * 19,
    b"\t.",
    b"MAIL FROM:<x@y.example>",
]
SIGNATURES = {
    b"": set(),
    b"DKIM-Signature: v=1; c=relaxed/relaxed; d=x\r\n": {RELAXED},
    b"DKIM-Signature: v=1; d=x;\r\n c=relaxed/simple\r\n": {SIMPLE},
    b"DKIM-Signature: v=1; d=x\r\nARC-Message-Signature: i=1\r\n": {SIMPLE, RELAXED},
}
FORMS = {SIMPLE: simple, RELAXED: relaxed}


def test_twenty_thousand_random_mails_in_random_packets_are_kept_and_hashed_exactly() -> None:
    """What the client means is written down first, then doubled dots, then packets; never parsed."""
    chance = random.Random(SEED)
    for _ in range(MAILS):
        signature = chance.choice(list(SIGNATURES))
        header = b"From: anna@lab.example\r\n" + signature
        lines = chance.choices(LINES, k=chance.randrange(12))
        body = b"".join(line + b"\r\n" for line in lines)
        separated = bool(body) or chance.random() < 0.9
        mail = header + b"\r\n" * separated + body
        wire = re.sub(rb"(?m)^\.", b"..", mail) + b".\r\nQUIT\r\n"
        cuts = [chance.randrange(len(wire)) for _ in range(chance.choice((0, 2, 30)))]
        sink, spooled, left = receive(pieces(wire, cuts))
        assert (spooled, left, sink.problem) == (mail, b"QUIT\r\n", None)
        assert (sink.size, sink.header) == (len(mail), header)
        assert sink.header_sha256 == hashlib.sha256(header).hexdigest()
        assert sink.body_sha256 == hashlib.sha256(body).hexdigest()
        assert sink.body_hashes == {
            name: hashlib.sha256(FORMS[name](body)).digest() for name in SIGNATURES[signature]
        }


@pytest.mark.parametrize("signature", list(SIGNATURES))
def test_a_signed_mail_that_is_all_header_has_the_hashes_of_an_empty_body(
    signature: bytes,
) -> None:
    sink, _, _ = receive([b"From: anna@lab.example\r\n" + signature + b".\r\n"])
    assert sink.body_hashes == {
        name: hashlib.sha256(FORMS[name](b"")).digest() for name in SIGNATURES[signature]
    }


def split_of(mail: bytes) -> tuple[bytes, bytes]:
    if mail.startswith(b"\r\n"):
        return b"", mail[2:]
    header, found, body = mail.partition(b"\r\n\r\n")
    return (header + b"\r\n", body) if found else (mail, b"")


@settings(max_examples=600, deadline=None)
@given(wire=dirty, cuts=cuts)
def test_whatever_is_dirty_ends_only_at_the_true_mark_and_is_refused(
    wire: bytes, cuts: list[int]
) -> None:
    whole = wire + b"x\r\n.\r\nMAIL"
    mail, rest = reference(whole)
    sink, _, left = receive(pieces(whole, cuts))
    assert left == rest
    clean = mail.replace(b"\r\n", b"")
    assert (sink.problem is not None) == bool({0, 10, 13} & set(clean))


@pytest.mark.parametrize("form", SMUGGLING)
@pytest.mark.parametrize("step", range(1, 12))
def test_smuggling_forms_never_end_a_mail_and_refuse_it(form: bytes, step: int) -> None:
    hidden = b"MAIL FROM:<x@y.example>\r\nRCPT TO:<z@y.example>\r\nDATA\r\nhi\r\n.\r\n"
    wire = b"Subject: a\r\n\r\nhello" + form + hidden
    sink, _, left = receive([wire[at : at + step] for at in range(0, len(wire), step)])
    assert left == b""
    assert sink.problem is not None
    assert sink.problem.reply.startswith("550 5.6.0 ")


def test_a_mail_that_has_not_ended_is_not_ended_by_its_last_bytes() -> None:
    for tail in (b"", b"\r", b"\r\n", b"\r\n.", b"\r\n.\r"):
        assert receive([b"a" + tail])[2] is None


def test_an_empty_mail_ends_at_once() -> None:
    sink, spooled, left = receive([b".\r\nQUIT\r\n"])
    assert (spooled, left, sink.size, sink.problem) == (b"", b"QUIT\r\n", 0, None)


def test_a_mail_of_the_limit_is_taken_and_one_byte_more_is_refused_in_mb() -> None:
    limit = 2 * 1024 * 1024
    line = b"a" * 998 + b"\r\n"
    lines = line * ((limit - 4) // len(line))
    fits = b"\r\n" + lines + b"a" * (limit - 4 - len(lines))
    assert receive([fits + b"\r\n.\r\n"], limit)[0].problem is None
    sink, spooled, left = receive([fits, b"a\r\n", b"b" * 100_000, b"\r\n.\r\nNOOP\r\n"], limit)
    assert sink.problem is not None
    assert sink.problem.reply.startswith("552 5.3.4 This mail is larger than 2 MB")
    assert len(spooled) <= limit
    assert left == b"NOOP\r\n"


def test_a_header_over_its_limit_is_refused_and_no_more_of_it_is_kept() -> None:
    line = b"X: " + b"a" * 70 + b"\r\n"
    chunks = [line * 50] * 200
    sink, spooled, left = receive([*chunks, b".\r\n"])
    assert sink.problem is not None
    assert sink.problem.reply.startswith("554 5.6.0 The header of this mail is larger than 256 KB")
    assert max(len(sink.header), len(spooled)) < HEADER_LIMIT + len(chunks[0]) + 1
    assert left == b""


@pytest.mark.parametrize("begin", [b"Subject: a\n\r\n", b"X: " + b"a" * 300_000 + b"\r\n"])
def test_a_refused_header_does_not_grow_when_the_mail_goes_on_beyond_the_limit(
    begin: bytes,
) -> None:
    sink, spooled, _ = receive([begin, *[b"X-More: " + b"b" * 90 + b"\r\n"] * 30_000])
    assert sink.size > 2 * LIMIT
    assert sink.problem is not None
    assert sink.problem.code in (550, 554)
    assert len(sink.head) <= len(begin)
    assert len(spooled) <= len(begin)


def test_a_mail_over_the_limit_from_the_first_piece_still_tells_its_header() -> None:
    """What IMAP brings comes in large windows; whoever wrote it gets an explanation."""
    sink = MailSink(Kept(), 100)
    sink.take(b"From: anna@lab.example\r\n\r\n" + b"c" * 200)
    assert sink.problem is not None
    assert sink.problem.code == 552
    assert sink.header == b"From: anna@lab.example\r\n"


def test_a_full_disk_is_a_refusal_that_names_no_path_and_the_mail_is_read_to_its_end() -> None:
    sink = MailSink(Full(), LIMIT)
    reader = DataReader(sink)
    assert reader.feed(b"Subject: a\r\n\r\nhello\r\n") is None
    assert reader.feed(b"MAIL FROM:<x@y>\r\n.\r\nQUIT\r\n") == b"QUIT\r\n"
    assert sink.problem is not None
    assert sink.problem.code == 452
    assert "/var" not in sink.problem.reply


def test_dots_are_taken_off_once() -> None:
    assert receive([b"..\r\n...a\r\n.b\r\n.\r\n"])[1] == b".\r\n..a\r\nb\r\n"


def test_a_line_of_ten_megabytes_is_refused_and_broken_ones_are_not() -> None:
    spool = Kept()
    sink = MailSink(spool, 64 << 20)
    sink.take(b"Subject: x\r\n\r\n")
    for _ in range(40):
        sink.take(b"A" * 262_144)
    assert sink.problem is not None
    assert sink.problem.code == 554
    assert len(spool.data) < 2 << 20
    good = MailSink(Kept(), 64 << 20)
    good.take(b"Subject: x\r\n\r\n" + (b"A" * 900_000 + b"\r\n") * 3)
    assert good.problem is None


def test_a_long_line_is_found_however_the_mail_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """IMAP brings windows of 4 MB, in the middle of which a whole long line may lie."""
    monkeypatch.setattr(sink_module, "LONGEST_LINE", 6)
    chance = random.Random(SEED)
    for _ in range(5_000):
        lines = [b"a" * chance.randrange(8) + b"\r\n" for _ in range(chance.randrange(1, 9))]
        mail = b"\r\n" + b"".join(lines)
        sink = MailSink(Kept(), LIMIT)
        for piece in pieces(
            mail, [chance.randrange(len(mail)) for _ in range(chance.randrange(5))]
        ):
            sink.take(piece)
        assert (sink.problem is not None) == any(len(line) - 1 > 6 for line in lines), lines
