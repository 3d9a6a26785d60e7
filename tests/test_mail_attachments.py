"""The files in a mail: the right bytes, whatever stood between, and names that can be shown."""

import base64
import binascii
import quopri

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.mail.attachments import LOGO, MOST_FILES, Attachment, attachments
from inbound.mail.decoding import decoded
from inbound.mail.names import LONGEST
from inbound.mail.parts import WINDOW, split
from inbound.scans.sniff import Format
from store.errors import Refusal
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


@pytest.mark.parametrize("junk", [b"*", b" -", b"!!!", b"a b", b"\xff", b"=*", b"-- \r\n*"])
@pytest.mark.parametrize("size", [99, 100, 101])
def test_a_few_signs_behind_the_digits_are_left_out(junk: bytes, size: int) -> None:
    body = lines(base64.b64encode(JAW[:size]), 76)
    assert bytes_of(body + b"\r\n" + junk) == JAW[:size]
    assert bytes_of(body + b"\r\n" + junk + b"\r\n") == JAW[:size]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"AAAA", b"A", b"=", b"*", b" ", b"\r\n", b"\n", b"\xff"]), max_size=20
    )
)
def test_whatever_is_called_base64_is_decoded_as_far_as_it_is(body: list[bytes]) -> None:
    assert set(bytes_of(b"".join(body))) <= {0}


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
        (b"Content-Disposition: attachment; filename*=utf-8''b.stl; filename=a.stl", "a.stl"),
        (
            b"Content-Type: model/stl; name=n.stl\r\nContent-Disposition: inline; filename=f.stl",
            "f.stl",
        ),
        (
            b'Content-Type: model/stl; name=n.stl\r\nContent-Disposition: inline; filename=""',
            "n.stl",
        ),
        (b"Content-Disposition: attachment; filename=a.stl; filename=b.stl", "a.stl"),
        (b"Content-Type: a/b; name=a.stl\r\nContent-Type: a/b; name=b.stl", "a.stl"),
        (b"Content-Disposition: attachment; filename*=gb2312''%C9%CF%E9F.stl", "上镕.stl"),
        (
            b"Content-Disposition: attachment; filename*=iso-8859-1''M%FCller%92s.stl",
            "Müller’s.stl",
        ),
        (b"Content-Disposition: attachment; filename*=us-ascii'de'Br%C3%BCcke.stl", "Brücke.stl"),
        (
            b"Content-Disposition: attachment; filename*0*=utf-8'de'Ober%20;\r\n"
            b' filename*1="kiefer "; filename*2*=Br%C3%BCcke.stl',
            "Ober kiefer Brücke.stl",
        ),
        (b"Content-Disposition: attachment; filename*2=l; filename*0=a; filename*1=.st", "a.stl"),
        (b'Content-Type: a/b; name="=?gb2312?B?yc/pRi5zdGw=?="', "上镕.stl"),
        (b'Content-Type: a/b; name="=?iso-8859-1?Q?M=FCller=92s=2Estl?="', "Müller’s.stl"),
        (b"Content-Type: a/b; name==?utf-8?Q?Br=C3=BCcke.stl?=", "Brücke.stl"),
        (
            b'Content-Type: a/b; name="=?utf-8?Q?Oberkiefer_?=\r\n =?utf-8?Q?Br=C3=BCcke.stl?="',
            "Oberkiefer Brücke.stl",
        ),
        (b'Content-Type: a/b; name="Br=?utf-8?Q?=C3=BC?=cke.stl"', "Brücke.stl"),
        ('Content-Type: a/b; name="Müller’s.stl"'.encode("cp1252"), "Müller’s.stl"),
        (b"Content-Disposition: attachment; filename*=utf-8''..%5C..%5Cx.stl", "x.stl"),
        (b"Content-Disposition: attachment; filename*=utf-8''up%E2%80%AElts.exe", "uplts.exe"),
        (b"Content-Disposition: attachment; filename*=utf-8''a%00%0D%0Ab.stl", "a b.stl"),
        (b'Content-Type: a/b; name="=?utf-8?Q?=2E=2E/=2E=2E/x=2Estl?="', "x.stl"),
        (b"Content-Disposition: attachment; filename*=idna''a%41.stl", "aA.stl"),
        (b"Content-Disposition: attachment; filename*=undefined''a%41.stl", "aA.stl"),
        (b"Content-Disposition: attachment; filename*=unicode_escape''a%5Cud800.stl", "ud800.stl"),
        (b"Content-Disposition: attachment; filename*=utf-7''%2B2AA-.stl", "\ufffd.stl"),
        (b"Content-Disposition: attachment; filename*=''a%41.stl", "aA.stl"),
        (b"Content-Disposition: attachment; filename*=a%41.stl", "aA.stl"),
        (b"Content-Disposition: attachment; filename=" + b"x" * 300 + b".stl", "x" * 116 + ".stl"),
        (b"Content-Disposition: attachment; filename*=utf-8''" + b"%C3%BC" * 300, "ü" * LONGEST),
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


# ---------------------------------------------------------------- attached mails


ATTACHED = b"Content-Type: message/rfc822; name=order.eml\r\n\r\n"
SCAN = b"Content-Type: model/stl; name=a.stl\r\nContent-Transfer-Encoding: base64\r\n\r\n"


def scan(data: bytes = JAW) -> bytes:
    return SCAN + base64.encodebytes(data)


def inside(*parts: bytes, mark: bytes) -> bytes:
    return ATTACHED + multipart(*parts, boundary=mark, end=b"--%b--\r\n" % mark)


def test_files_in_attached_mails_are_files_of_the_mail_with_names_of_their_own() -> None:
    nameless = SCAN.replace(b"; name=a.stl", b"") + base64.encodebytes(JAW)
    deep = inside(scan(b"solid b\nfacet\n"), nameless, mark=b"y")
    found = files(b"\r\nhello", scan(), inside(b"\r\nREVOKE", scan(), deep, mark=b"z"), scan())
    assert [file.name for file in found] == [
        "a.stl",
        "a (2).stl",
        "a (3).stl",
        "file 4",
        "a (4).stl",
    ]
    assert {file.format for file in found} == {Format.STL}
    assert [b"".join(file.pieces())[:7] for file in found[:3]] == [JAW[:7], JAW[:7], b"solid b"]


def test_an_attached_mail_without_files_is_named_once_at_the_level_that_is_seen() -> None:
    found = files(ATTACHED + ATTACHED + b"Subject: lunch\r\n\r\nAt noon?")
    assert [(file.name, file.format) for file in found] == [("order.eml", Format.MAIL)]


def test_signatures_and_texts_in_attached_mails_are_quiet() -> None:
    logo = b"Content-Type: image/png; name=logo.png\r\nContent-ID: <a@b>\r\n\r\n\x89PNG\r\n\x1a\n"
    signature = b"Content-Type: application/pkcs7-signature; name=smime.p7s\r\n\r\nx"
    found = files(inside(b"\r\nREVOKE", logo, signature, scan(), mark=b"z"))
    assert [file.name for file in found] == ["a.stl"]


def test_an_attached_mail_that_is_cut_off_is_one_file_and_gives_no_half_scan() -> None:
    whole = inside(scan(), mark=b"z")
    for cut in (whole.removesuffix(b"--z--\r\n"), whole[:-300]):
        (file,) = files(cut)
        assert (file.name, file.format) == ("order.eml", Format.MAIL)


def test_the_file_that_an_attached_mail_is_stands_behind_its_header() -> None:
    data = ATTACHED + b"Subject: x\r\n" + scan()
    (file,) = files(data)
    assert (file.name, b"".join(file.pieces())) == ("a.stl", JAW)


def test_too_many_files_are_refused_wherever_they_lie() -> None:
    empty = b"Content-Type: model/stl\r\n\r\n"
    many = [inside(*[empty] * 30, mark=b"m%d" % n) for n in range(MOST_FILES // 30)]
    assert len(files(*many)) == 180
    with pytest.raises(Refusal, match="more than 200 files"):
        files(*many, inside(*[empty] * 30, mark=b"z"))


def test_a_mac_file_in_two_halves_is_one_file_with_its_own_name() -> None:
    half = b"Content-Type: application/applefile; name=a.stl\r\n\r\n\0\5\x16\7"
    double = multipart(half, scan(), boundary=b"z", end=b"--z--").replace(b"mixed", b"appledouble")
    assert [(file.name, file.format) for file in files(double)] == [("a.stl", Format.STL)]


# ---------------------------------------------------------------- in the place of a text


def uuencoded(data: bytes, name: str = "jaw.stl") -> bytes:
    rows = [binascii.b2a_uu(data[at : at + 45])[:-1] for at in range(0, len(data), 45)]
    return b"\r\n".join([b"begin 644 " + name.encode(), *rows, b" ", b"end", b""])


def base64_between(data: bytes, name: str = "jaw.stl") -> bytes:
    digits = lines(base64.b64encode(data), 76)
    return b"begin-base64 644 %b\r\n%b\r\n====\r\n" % (name.encode(), digits)


def test_files_in_a_text_stand_among_the_others_in_their_order() -> None:
    text = b"\r\nhello\r\n%b\r\nand\r\n%b" % (uuencoded(JAW), base64_between(JAW, "a.stl"))
    found = files(scan(), text, scan())
    assert [file.name for file in found] == ["a.stl", "jaw.stl", "a (2).stl", "a (3).stl"]
    assert all(b"".join(file.pieces()) == JAW for file in found)
    assert {file.format for file in found} == {Format.STL}


def test_a_file_in_the_text_of_an_attached_mail_is_found() -> None:
    (file,) = files(ATTACHED + b"Subject: x\r\n\r\nhello\r\n" + uuencoded(JAW))
    assert (file.name, b"".join(file.pieces())) == ("jaw.stl", JAW)


@pytest.mark.parametrize("encoding", ["x-uuencode", "uuencode", "X-UUE", "uue"])
@pytest.mark.parametrize("kind", ["application/octet-stream; name=b.stl", "text/plain"])
def test_a_part_in_uuencode_is_decoded(encoding: str, kind: str) -> None:
    head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    (file,) = files(head + uuencoded(JAW))
    assert (file.name, file.format) == ("jaw.stl", Format.STL)
    assert b"".join(file.pieces()) == JAW


def test_a_part_in_uuencode_that_is_none_is_not_dropped_without_a_word() -> None:
    head = b"Content-Type: model/stl; name=b.stl\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n"
    (file,) = files(head + b"M38T,\r\n")
    assert (file.name, file.format) == ("b.stl", Format.OTHER)


@pytest.mark.parametrize("written", [uuencoded(JAW), base64_between(JAW)])
def test_a_damaged_file_in_a_text_is_the_scan_that_it_would_have_been(written: bytes) -> None:
    """So that its sender hears that it is damaged, and not that it is no scan."""
    cut = written[: len(written) // 2]
    middle = written[:3_000] + b"\r\n*** checked ***\r\n" + written[3_000:]
    for text in (cut, middle):
        (file,) = files(b"\r\nhello\r\n" + text)
        assert (file.name, file.format) == ("jaw.stl", Format.STL)
        with pytest.raises(Refusal, match="Send it once more as an ordinary attachment"):
            b"".join(file.pieces())


@pytest.mark.parametrize("size", range(1, 10))
@pytest.mark.parametrize("filler", [b"`", b" ", b"!", b"_", b"5"])
def test_what_fills_the_last_quartet_of_uuencode_says_nothing(size: int, filler: bytes) -> None:
    data = JAW[:45] + JAW[:size]
    needed = (size * 4 + 2) // 3
    rows = uuencoded(data).split(b"\r\n")
    rows[2] = rows[2][: 1 + needed].ljust(1 + -(-size // 3) * 4, filler)
    (file,) = files(b"\r\nhello\r\n" + b"\r\n".join(rows))
    assert b"".join(file.pieces()) == data


def test_yenc_is_named_and_not_taken() -> None:
    letter = b"Content-Type: text/plain\r\n\r\nhello\r\n=ybegin line=128 size=9 name=a b.stl\r\n)_*+,\r\n"
    (file,) = files(letter)
    assert (file.name, file.format) == ("a b.stl", Format.YENC)


ASCII_JAW = b"solid Br\xc3\xbccke\r\n facet normal 0 0 1\r\n  outer loop\r\n" * 3 + b"endsolid\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n",
        b"Content-Type: model/stl\r\nContent-Transfer-Encoding: binary\r\n",
        b"Content-Type: text/plain; name=x.stl\r\n",
        b"Content-Disposition: attachment\r\n",
    ],
)
def test_a_scan_of_words_is_a_file_named_or_not(head: bytes) -> None:
    (file,) = files(head + b"\r\n" + ASCII_JAW)
    assert (file.format, b"".join(file.pieces())) == (Format.STL, ASCII_JAW)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: text/plain; name=x.stl\r\n",
        b"Content-Type: text/plain\r\n",
        b"Content-Type: text/html; name=x.stl\r\n",
        b"Content-Type: image/jpeg; name=x.jpg\r\n",
        b"Content-Type: application/octet-stream\r\n",
        b"Content-Type: model/stl\r\n",
        b"Content-Type: multipart; name=x.stl\r\n",
        b"Content-Type: nonsense\r\n",
        b"",
    ],
)
def test_a_scan_in_base64_is_a_file_whatever_its_type(head: bytes) -> None:
    (file,) = files(head + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(JAW))
    assert (file.format, b"".join(file.pieces())) == (Format.STL, JAW)
