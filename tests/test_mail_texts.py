"""What a mail says: told from files by its lines, and readable whatever its labels say."""

import base64
import quopri
import time

import pytest

from inbound.cases.subject import read_subject
from inbound.mail.parts import Part, split
from inbound.mail.skeleton import read_contents
from inbound.mail.text import note_of, text_of_html
from inbound.mail.texts import is_no_file, is_said
from tests.conftest import jaw_stl
from tests.test_mail_parts import Mail, multipart

ASCII_STL = b"\n".join(
    [
        b"solid jaw",
        *[
            b"facet normal 0 0 1\n outer loop\n  vertex 0 0 %d\n  vertex 1 0 0\n  vertex 0 1 0\n"
            b" endloop\nendfacet" % n
            for n in range(60)
        ],
        b"endsolid jaw\n",
    ]
)
PLY = (
    b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    b"property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
)
OBJ = b"# exported\no jaw\n" + b"".join(b"v %d.5 -1e-3 2\n" % n for n in range(30)) + b"f 1 2 3\n"


def only(data: bytes) -> tuple[Mail, Part]:
    mail = Mail(data)
    (part,) = split(mail).leaves()
    return mail, part


def in_text(body: bytes, encoding: str = "7bit", kind: str = "text/plain") -> bytes:
    encode = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}
    head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + encode.get(encoding, bytes)(body)


# ---------------------------------------------------------------- scans in the place of a text


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("scan", [ASCII_STL, PLY, OBJ], ids=["STL", "PLY", "OBJ"])
def test_a_scan_that_a_script_mails_as_its_text_is_a_file(
    scan: bytes, end: bytes, encoding: str
) -> None:
    assert not is_said(*only(in_text(scan.replace(b"\n", end), encoding)))
    assert not is_said(*only(b"\r\n" + scan))  # no field says what it is


def test_a_binary_scan_under_the_type_of_a_text_is_a_file() -> None:
    assert not is_said(*only(in_text(jaw_stl("upper", 500), "base64")))


@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
@pytest.mark.parametrize(
    "letter",
    [
        b"Solid work on the last one! Please look at the margins.",
        b"solid",
        b"Solid model attached.\r\n\r\nfacets look fine, vertex count 120000.\r\n",
        b"o first point\r\no second point\r\ng  third\r\n",
        b"v 2 3 4 is the new version\r\nv 1 2 3 was the old one\r\n",
        b"plywood\r\n",
        b"f 24 25\r\n",
        b"",
        b"\r\n\r\n",
        "Größe 24\r\n".encode("utf-16"),
        "牙冠边缘".encode("gb18030") * 40,
    ],
)
def test_a_letter_that_begins_like_a_scan_is_a_letter(letter: bytes, encoding: str) -> None:
    assert is_said(*only(in_text(letter, encoding)))


@pytest.mark.parametrize("verb", ["Solid", "solid"])
def test_a_command_below_such_a_word_is_not_lost(verb: str) -> None:
    assert said(in_text(f"{verb} work, thanks!".encode())).startswith(verb)


def said(data: bytes) -> str:
    mail = Mail(data)
    return read_contents(mail, split(mail)).body


# ---------------------------------------------------------------- what programs add


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Type: application/pkcs7-signature; name="smime.p7s"',
        b'Content-Type: application/octet-stream; name="smime.p7s"',
        b'Content-Type: application/pgp-signature; name="signature.asc"',
        b'Content-Type: application/pgp-keys; name="OpenPGP_0x1.asc"',
        b'Content-Type: application/applefile; name="jaw.stl"',
        b"Content-Type: message/delivery-status",
        b"Content-Type: message/global-delivery-status",
        b"Content-Type: message/disposition-notification",
        b"Content-Type: message/feedback-report",
        b"Content-Type: text/rfc822-headers",
        b"Content-Type: text/calendar; method=REPLY",
        b"Content-Type: text/x-amp-html",
        b"Content-Type: text/enriched",
        b'Content-Type: text/plain; name="ATT00001.txt"\r\nContent-Disposition: attachment',
        b'Content-Type: text/html; name="ATT00002.htm"\r\nContent-Disposition: attachment',
    ],
)
def test_what_programs_add_for_each_other_is_no_file(head: bytes) -> None:
    assert is_no_file(*only(head + b"\r\n\r\nx"))


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: text/calendar; name=invite.ics",
        b"Content-Type: text/plain; name=x.stl",
        b"Content-Disposition: attachment",
        b"Content-Type: text/vcard; name=anna.vcf",
        b"Content-Type: application/octet-stream; name=ATT00001.stl",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode",
    ],
)
def test_what_people_attach_is_a_file(head: bytes) -> None:
    assert not is_no_file(*only(head + b"\r\n\r\nx"))


# ---------------------------------------------------------------- charsets, from bytes to the note


GERMAN = "Grüße aus Köln: „Ränder“ – bitte prüfen… 30 €"
CHINESE = "张医生您好，请看朱镕基同志的牙冠边缘"
RUSSIAN = "Здравствуйте, посмотрите, пожалуйста, край коронки на скане"
WRITTEN = {
    "smart quotes as Latin-1": (GERMAN, "cp1252", "iso-8859-1"),
    "smart quotes as ASCII": (GERMAN, "cp1252", "us-ascii"),
    "what it says": (GERMAN, "cp1252", "windows-1252"),
    "UTF-8": (GERMAN, "utf-8", "UTF-8"),
    "UTF-8 in quotes": (GERMAN, "utf-8", '"utf-8"'),
    "UTF-8 as Latin-1": (GERMAN, "utf-8", "iso-8859-1"),
    "UTF-8 as ASCII": (GERMAN, "utf-8", "us-ascii"),
    "UTF-8 without a label": (GERMAN, "utf-8", ""),
    "western without a label": ("Grüße aus Köln, schöne Woche", "cp1252", ""),
    "western of unknown label": ("Grüße aus Köln, schöne Woche", "cp1252", "unknown-8bit"),
    "western as UTF-8": ("Grüße aus Köln, schöne Woche", "cp1252", "utf-8"),
    "GB 18030 as GB 2312": (CHINESE, "gb18030", "gb2312"),
    "GB 18030 as GBK": (CHINESE, "gb18030", "GBK"),
    "UTF-8 as GB 2312": (CHINESE, "utf-8", "gb2312"),
    "KOI8-R": (RUSSIAN, "koi8-r", "koi8-r"),
    "a number of Windows": (RUSSIAN, "cp1251", "windows-1251"),
    "Korean": ("치과 스캔을 확인해 주세요 똠", "cp949", "ks_c_5601-1987"),
    "Japanese": ("歯科スキャンを確認してください", "iso2022_jp", "iso-2022-jp"),
    "UTF-16": (GERMAN, "utf-16", "utf-16"),
}


@pytest.mark.parametrize(
    ("case", "encoding"),
    [
        (case, encoding)
        for case in WRITTEN
        for encoding in ("8bit", "quoted-printable", "base64")
        if (case, encoding) != ("UTF-16", "8bit")  # RFC 2781 3.1: never sent as lines
    ],
)
def test_a_note_is_read_whatever_its_label_and_encoding(case: str, encoding: str) -> None:
    text, codec, label = WRITTEN[case]
    kind = f"text/plain; charset={label}" if label else "text/plain"
    for data in (
        in_text(text.encode(codec), encoding, kind),
        multipart(in_text(text.encode(codec), encoding, kind)),
    ):
        assert note_of(said(data)) == text


@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
def test_a_page_is_read_the_same_way(encoding: str) -> None:
    page = f"<html><body><p>{GERMAN}</p></body></html>".encode("cp1252")
    data = in_text(page, encoding, "text/html; charset=iso-8859-1")
    assert said(data) == GERMAN


def test_parts_in_different_charsets_are_one_note() -> None:
    data = multipart(
        in_text("Grüße".encode("cp1252"), "8bit", "text/plain; charset=iso-8859-1"),
        in_text("Größe".encode(), "base64", "text/plain; charset=utf-8"),
        in_text(CHINESE.encode("gb18030"), "8bit", "text/plain; charset=gb2312"),
    )
    assert said(data).split() == ["Grüße", "Größe", CHINESE]


def test_flowed_text_is_read_with_its_line_ends() -> None:
    body = b"Die lange Zeile geht \r\nweiter.\r\n \r\n From the lab\r\n"
    note = note_of(said(in_text(body, "7bit", "text/plain; charset=utf-8; format=flowed")))
    assert [line.strip() for line in note.splitlines()] == [
        "Die lange Zeile geht",
        "weiter.",
        "",
        "From the lab",
    ]


@pytest.mark.parametrize(
    "label", ["idna", "undefined", "unicode_escape", "hex", "x" * 500, "utf-8''x", "*", "a\0b"]
)
def test_what_names_no_charset_does_no_harm(label: str) -> None:
    for kind in (f"text/plain; charset={label}", f"text/plain; charset*={label}''x"):
        assert "STATUS" in said(in_text(b"STATUS\r\n\xe4", "8bit", kind))


def test_what_was_hidden_in_a_text_is_not_shown() -> None:
    data = in_text(b"STATUS\0\x07\x1b[2J\r\nmore", "base64", "text/plain; charset=utf-8")
    assert said(data).splitlines() == ["STATUS[2J", "more"]


def test_half_characters_can_be_stored() -> None:
    assert said(in_text(b"+2AA-", "7bit", "text/plain; charset=utf-7")).encode()


# ---------------------------------------------------------------- subjects


def words(text: str, codec: str, label: str, encoding: str) -> bytes:
    octets = text.encode(codec)
    if encoding == "b":
        return b"=?%b?B?%b?=" % (label.encode(), base64.b64encode(octets))
    escaped = b"".join(b"=%02X" % octet for octet in octets)
    return b"=?%b?q?%b?=" % (label.encode(), escaped)


@pytest.mark.parametrize("encoding", ["b", "q"])
@pytest.mark.parametrize("case", WRITTEN)
def test_a_subject_is_read_whatever_its_label(case: str, encoding: str) -> None:
    text, codec, label = WRITTEN[case]
    label = label.strip('"') or "x-unknown"
    assert subject(words(text, codec, label, encoding)) == text


def subject(written: bytes) -> str:
    mail = Mail(b"Subject: " + written + b"\r\n\r\nhi")
    return read_contents(mail, split(mail)).subject


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Krone „A2“ – 30 €".encode(), "Krone „A2“ – 30 €"),
        ("Krone “A2” – 30 €".encode("cp1252"), "Krone “A2” – 30 €"),
        ("Für =?utf-8?q?Dr=2E_M=C3=BCller?= C-1".encode(), "Für Dr. Müller C-1"),
        (b"=?utf-8*de?q?M=C3=BCller?= C-1", "Müller C-1"),
        (b"=?utf-8?b?TcO8?=\r\n =?utf-8?b?bGxlcg==?= C-1", "Müller C-1"),
        (b"=?utf-8?b?TcM=?= =?UTF-8?b?vGxsZXI=?= C-1", "Müller C-1"),  # cut within the "ü"
        (b"=?utf-8?q?M=C3=BC?= =?iso-8859-1?q?ller?=", "Müller"),
        (b"=?utf-8?b?TcO8bGxlcg?= C-1", "Müller C-1"),
        (b"=?utf-8?q?a=0D=0ABcc:_x=00y?=", "a Bcc: xy"),
        (b"a\x07b\x1bc", "abc"),
        (b"=?idna?q?x?= =?hex?q?78?= C-1", "=?idna?q?x?= =?hex?q?78?= C-1"),
        (b"C:\\users\\anna \\u0041 C-1", "C:\\users\\anna \\u0041 C-1"),
        (b"=?utf-7?q?+2AA-?= C-1", "\ufffd C-1"),
        (b"=?utf-8?q??= C-1", "C-1"),
    ],
)
def test_words_in_a_subject_are_read(written: bytes, read: str) -> None:
    assert subject(written) == read


def test_the_case_and_the_reviewer_are_found_in_an_encoded_subject() -> None:
    written = words("Dr. Müller <kim@clinic.example> C-1042 Brücke", "utf-8", "utf-8", "b")
    found = read_subject(subject(written))
    assert [(one.name, one.address) for one in found.reviewers] == [
        ("Dr. Müller", "kim@clinic.example")
    ]
    assert (found.code, found.title) == ("C-1042", "Brücke")


def test_a_scan_is_a_file_whatever_exchange_has_called_it() -> None:
    scan = b"solid x\r\nfacet normal 0 0 1\r\nendfacet\r\nendsolid x\r\n"
    named = b"Content-Type: text/plain; name=ATT00001.txt\r\n\r\n"
    for body, is_file in ((scan, True), (b"Sent from my phone\r\n", False)):
        part = split(Mail(named + body))
        assert is_no_file(Mail(named + body), part) is not is_file


@pytest.mark.parametrize(
    "html", ["<" + "a" * 250_000, "<!" + "<a " * 80_000, "<a " * 80_000, "<!--" * 60_000]
)
def test_html_that_never_closes_a_tag_costs_one_pass(html: str) -> None:
    before = time.process_time()
    text_of_html(html)
    assert time.process_time() - before < 0.5


def test_blank_lines_behind_solid_cost_one_pass() -> None:
    data = b"\r\nsolid" + b"\r\n" * 2_040 + b"x"
    before = time.process_time()
    for _ in range(100):
        assert is_said(Mail(data), split(Mail(data)))
    assert time.process_time() - before < 1
