"""Who is the author: one reading, or none."""

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.auth.fromheader import author_of
from store.errors import MailRefused


@pytest.mark.parametrize(
    "field",
    [
        b"From: anna@lab.example",
        b"from:anna@lab.example",
        b"FROM:\tanna@lab.example ",
        b"From: Anna Berg <Anna@Lab.Example>",
        b'From: "Berg, Anna" <anna@lab.example>',
        b'From: "anna@lab.example" <anna@lab.example>',
        b"From: Anna\r\n <anna@lab.example>",
        b"From:\r\n\tAnna Berg\r\n <anna@lab.example>",
        b"From: =?utf-8?q?Anna_B=C3=A9rg?= <anna@lab.example>",
        "From: Anna Bérg <anna@lab.example>".encode(),
        b"From: anna@lab.example (Anna Berg)",
        b"Subject: one\r\n From: eve@other.example\r\nFrom: anna@lab.example",
        b"X-From: eve@other.example\r\nFrom: anna@lab.example\r\nReply-To: eve@other.example",
        b"From: anna@lab.example\r\nAuthentication-Results: scans.example; dmarc=pass",
    ],
)
def test_one_clear_author_is_read(field: bytes) -> None:
    assert author_of(field + b"\r\nTo: share@scans.example\r\n") == "anna@lab.example"


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"Sender: anna@lab.example",
        b"From:",
        b"From: ",
        b"From: Anna Berg",
        b"From: anna@lab.example, eve@other.example",
        b"From: anna@lab.example\r\nFrom: anna@lab.example",
        b"From: anna@lab.example\r\nfrom: eve@other.example",
        b"From : anna@lab.example",
        b"From\t: anna@lab.example",
        b" From: anna@lab.example",
        b" x\r\nFrom: anna@lab.example",
        b"From\r\n : x@y.example\r\nFrom: anna@lab.example",
        b"From: eve@other.example\r\nFrom \r\n : anna@lab.example",
        b"From: team: anna@lab.example;",
        b"From: team:;",
        b"From: team: anna@lab.example, eve@other.example;",
        b"From: <anna@lab.example> <eve@other.example>",
        b"From: anna@lab.example <eve@other.example>",
        b"From: anna@lab.example@other.example",
        b'From: "anna@lab.example"@other.example',
        b"From: anna@[192.0.2.1]",
        b"From: \xff\xfe <anna@lab.example>",
        b"From: <",
        b'From: "',
        b"From: (",
        b"From: " + b"(" * 900,
        b"From: " + b"<" * 900,
        b"From: " + b'"' * 901,
        b"From: " + b"a," * 100_000,
        b"From: Anna" + b" " * 5000 + b"<anna@lab.example>",
    ],
)
def test_an_author_who_can_be_read_in_two_ways_or_none_is_refused(field: bytes) -> None:
    begun = process_time()
    with pytest.raises(MailRefused) as refused:
        author_of(field + b"\r\nTo: share@scans.example\r\n")
    assert refused.value.reply.startswith("550 5.7.1 ")
    assert process_time() - begun < 1


@pytest.mark.parametrize("line", [b"a" * 250_000, b" " * 250_000, b"a " * 125_000, b":" * 250_000])
def test_long_lines_cost_no_time(line: bytes) -> None:
    begun = process_time()
    assert author_of(b"X: y\r\n" + line + b"\r\nFrom: a@b.example\r\n") == "a@b.example"
    assert process_time() - begun < 0.2


pieces = st.sampled_from(
    [b"From", b"from", b":", b" ", b"\t", b"\r\n", b"a@b.example", b"c@d.example", b"<", b">", b'"',
     b"(", b")", b",", b";", b"\\", b"[", b"]", b"=?utf-8?q?x?=", b"@", b".", b"\xff", "é".encode()]
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(tail=st.lists(pieces, max_size=12).map(b"".join))
def test_whatever_from_holds_is_an_address_or_a_refusal(tail: bytes) -> None:
    try:
        author = author_of(b"From: " + tail + b"\r\n")
    except MailRefused:
        return
    assert author in ("a@b.example", "c@d.example") or author.count("@") == 1
    assert author.isascii() or "é" in author
    assert not set(author) & set(' \t\r\n<>"(),;:[]\\')
