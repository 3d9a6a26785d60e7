"""The files in a mail: the right bytes, whatever stood between, and names that can be shown."""

import base64
import quopri

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.mail.attachments import LOGO, Attachment, attachments
from inbound.mail.decoding import decoded
from inbound.mail.parts import WINDOW, split
from inbound.scans.sniff import Format
from tests.conftest import jaw_stl
from tests.test_mail_parts import Mail, multipart

JAW = jaw_stl("upper", 500)


def files(*parts: bytes) -> list[Attachment]:
    mail = Mail(multipart(*parts))
    return attachments(mail, split(mail))


def names(*headers: bytes) -> list[str]:
    return [file.name for file in files(*(header + b"\r\n\r\n" + JAW for header in headers))]


def bytes_of(body: bytes, encoding: str = "base64") -> bytes:
    """The decoded body of an attachment that crosses windows at whatever place it happens to."""
    part = f"Content-Type: model/stl\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    mail = Mail(multipart(part + body))
    return b"".join(decoded(mail, split(mail).leaves()[0]))


def lines(digits: bytes, length: int, end: bytes = b"\r\n") -> bytes:
    return end.join(digits[at : at + length] for at in range(0, len(digits), length))


# ---------------------------------------------------------------- base64


@pytest.mark.parametrize("length", [1, 3, 5, 60, 75, 76, 77, 998, 10_000_000])
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b" \r\n", b"\t\n"])
def test_base64_of_any_line_length_is_decoded(length: int, end: bytes) -> None:
    assert bytes_of(lines(base64.b64encode(JAW), length, end)) == JAW


@pytest.mark.parametrize("shift", [*range(-5, 6), 100, 1000])
@pytest.mark.parametrize("length", [76, 73, 10_000_000])
def test_base64_that_crosses_windows_is_decoded(shift: int, length: int) -> None:
    data = (bytes(range(251)) * 12_000)[: WINDOW * 2 + shift]
    assert bytes_of(lines(base64.b64encode(data), length)) == data


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize("size", [100, 101, 102])
def test_missing_padding_is_forgiven(missing: int, size: int) -> None:
    digits = base64.b64encode(JAW[:size])
    digits = digits[: len(digits) - missing] if digits.endswith(b"=" * missing) else digits
    assert bytes_of(digits) == JAW[:size]


@pytest.mark.parametrize(
    "junk",
    [
        b"--- Scanned by Mailguard, no virus found ---",
        b"Scanned by Symantec AntiVirus",
        b"This message was checked.",
        b"_______",
        b"https://antivirus.example/",
        b"",
        b"   ",
    ],
)
@pytest.mark.parametrize("place", [0, 3, 60])
def test_a_line_that_a_scanner_wrote_in_between_is_left_out(junk: bytes, place: int) -> None:
    rows = lines(base64.b64encode(JAW), 76).split(b"\r\n")
    rows.insert(place, junk)
    assert bytes_of(b"\r\n".join(rows)) == JAW


def test_a_footer_behind_the_padding_is_left_out() -> None:
    body = lines(base64.b64encode(JAW[:100]), 76) + b"\r\n\r\n-- \r\nA list footer, with words.\r\n"
    assert bytes_of(body) == JAW[:100]


def test_two_runs_of_base64_are_joined() -> None:
    body = base64.b64encode(b"a") + b"\r\n" + base64.b64encode(b"bcd") + b"\r\n"
    assert bytes_of(body) == b"abcd"


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400), length=st.integers(1, 90))
def test_base64_gives_what_the_standard_library_gives(data: bytes, length: int) -> None:
    assert bytes_of(lines(base64.b64encode(data), length)) == data


# ---------------------------------------------------------------- the other encodings


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_quoted_printable_gives_what_the_standard_library_gives(data: bytes) -> None:
    written = quopri.encodestring(data)
    assert bytes_of(written, "quoted-printable") == quopri.decodestring(written)


@pytest.mark.parametrize("shift", range(-4, 5))
@pytest.mark.parametrize("broken", [True, False])
def test_quoted_printable_that_crosses_windows_is_decoded(shift: int, broken: bool) -> None:
    word = b"=4A=\r\n" if broken else b"=4A"
    count = (WINDOW + WINDOW // 2) // len(word)
    body = b"x" * (4 + shift) + word * count
    assert bytes_of(body, "quoted-printable") == b"x" * (4 + shift) + b"J" * count


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary", "8BIT", "x-unknown"])
def test_a_file_that_is_not_encoded_is_taken_as_it_is(encoding: str) -> None:
    assert bytes_of(JAW, encoding) == JAW
    part = f"Content-Transfer-Encoding: {encoding}\r\nContent-Type: model/stl; name=a.stl\r\n\r\n"
    assert [file.format for file in files(part.encode() + JAW)] == [Format.STL]


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"Content-Disposition: attachment; filename=plain.stl", "plain.stl"),
        (b'Content-Disposition: attachment; filename="two words.stl"', "two words.stl"),
        (b"Content-Type: model/stl; name=typed.stl", "typed.stl"),
        (b"Content-Disposition: attachment; filename*=utf-8''Br%C3%BCcke.stl", "Brücke.stl"),
        (
            b"Content-Disposition: attachment;\r\n filename*0*=utf-8''Br%C3%BC;\r\n filename*1=cke.stl",
            "Brücke.stl",
        ),
        (b"Content-Disposition: attachment; filename*=nope''a%41.stl", "aA.stl"),
        (b'Content-Type: model/stl; name="=?utf-8?B?QnLDvGNrZS5zdGw=?="', "Brücke.stl"),
        (b'Content-Type: model/stl; name="=?iso-8859-1?Q?Br=FCcke=2Estl?="', "Brücke.stl"),
        (b'Content-Type: model/stl; name="=?utf-8?b?a?="', "=?utf-8?b?a?="),
        (b'Content-Type: model/stl; name="=?nope?q?a?="', "=?nope?q?a?="),
        ('Content-Type: model/stl; name="Brücke.stl"'.encode(), "Brücke.stl"),
        ('Content-Type: model/stl; name="Brücke.stl"'.encode("latin-1"), "Brücke.stl"),
        (b'Content-Disposition: attachment; filename="..\\\\..\\\\x.stl"', "x.stl"),
        (b'Content-Disposition: attachment; filename="../../etc/passwd"', "passwd"),
        ('Content-Type: a/b; name="up\u202elts.exe"'.encode(), "uplts.exe"),
        (b'Content-Disposition: attachment; filename="a\tb.stl"', "a b.stl"),
        (b"Content-Type: model/stl", "file 1"),
        (b'Content-Disposition: attachment; filename="///"', "file 1"),
        (b"Content-Disposition: attachment; filename=a.stl; filename*=utf-8''b.stl", "a.stl"),
    ],
)
def test_names_are_read_in_every_way_that_programs_write_them(written: bytes, shown: str) -> None:
    assert names(written) == [shown]


def test_the_same_name_twice_is_told_apart_and_the_nameless_are_numbered() -> None:
    same = b"Content-Disposition: attachment; filename=Scan.stl"
    other = b"Content-Disposition: attachment; filename=scan.STL"
    nameless = b"Content-Type: model/stl"
    assert names(same, nameless, other, same) == [
        "Scan.stl",
        "file 2",
        "scan (2).STL",
        "Scan (3).stl",
    ]


# ---------------------------------------------------------------- what is a file and what is not


def test_what_people_read_is_no_file_and_everything_else_is() -> None:
    found = files(
        b"Content-Type: text/plain\r\n\r\nhello",
        b"Content-Type: text/html\r\n\r\n<p>hello",
        b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR",
        b"Content-Type: text/plain; name=cube.obj\r\n\r\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
        b"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nREVOKE",
        b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nREVOKE",
        b"Content-Type: application/pdf; name=a.pdf\r\n\r\n%PDF-1.4",
    )
    assert [(file.name, file.format) for file in found] == [
        ("cube.obj", Format.OBJ),
        ("file 2", Format.OTHER),
        ("attached mail", Format.MAIL),
        ("a.pdf", Format.PDF),
    ]


def test_signature_logos_are_ignored_and_photographs_are_not() -> None:
    png = b"\x89PNG\r\n\x1a\n"
    found = files(
        b"Content-Type: image/png; name=logo.png\r\nContent-ID: <a@b>\r\n\r\n" + png,
        b"Content-Type: image/png; name=in.png\r\nContent-Disposition: inline\r\n\r\n" + png,
        b"Content-Type: image/png; name=big.png\r\nContent-ID: <a@b>\r\n\r\n" + png + b"x" * LOGO,
        b"Content-Type: image/png; name=shade.png\r\nContent-Disposition: attachment\r\n\r\n" + png,
    )
    assert [file.name for file in found] == ["big.png", "shade.png"]


def test_an_inline_scan_is_a_file_as_apple_mail_writes_it() -> None:
    head = b"Content-Type: model/stl; name=a.stl\r\nContent-Disposition: inline; filename=a.stl\r\n"
    assert [file.format for file in files(head + b"\r\n" + JAW)] == [Format.STL]


def test_the_format_is_told_by_the_bytes_and_never_by_name_or_type() -> None:
    scan = base64.encodebytes(JAW)
    head = b"Content-Transfer-Encoding: base64\r\n"
    found = files(
        head + b"Content-Type: image/jpeg; name=photo.jpg\r\n\r\n" + scan,
        head
        + b"Content-Type: model/stl; name=scan.stl\r\n\r\n"
        + base64.encodebytes(b"PK\x03\x04" * 30),
    )
    assert [file.format for file in found] == [Format.STL, Format.ZIP]


def test_a_mail_that_is_nothing_but_a_scan_holds_it() -> None:
    head = b"Subject: x\r\nContent-Type: application/octet-stream; name=a.stl\r\n"
    data = head + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(JAW)
    mail = Mail(data)
    (file,) = attachments(mail, split(mail))
    assert (file.name, file.format) == ("a.stl", Format.STL)
    assert b"".join(decoded(mail, file.part)) == JAW
