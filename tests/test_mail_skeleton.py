"""A mail without its weight: the texts stay, nothing else reaches the parser."""

import base64
from email.message import EmailMessage
from email.policy import SMTP

from inbound.mail.parts import split
from inbound.mail.skeleton import LARGEST_TEXT, Contents, read_contents, skeleton
from tests.test_mail_parts import Mail, multipart


def contents(data: bytes) -> Contents:
    mail = Mail(data)
    return read_contents(mail, split(mail))


def text(*parts: bytes) -> str:
    return contents(multipart(*parts)).text.strip()


def test_a_mail_of_megabytes_becomes_one_of_bytes() -> None:
    message = EmailMessage(policy=SMTP)
    message["Subject"], message["From"] = "kim@clinic.example C-1", "anna@lab.example"
    message.set_content("hello\n")
    message.add_attachment(bytes(3_000_000), "model", "stl", filename="a.stl")
    mail = Mail(message.as_bytes())
    assert len(skeleton(mail, split(mail))) < 2000
    read = contents(mail)
    assert (read.subject, read.text.strip()) == ("kim@clinic.example C-1", "hello")
    assert read.header("from") == "anna@lab.example"


def test_preamble_and_epilogue_are_nobodys_text() -> None:
    data = multipart(b"\r\nhello").replace(b"\r\n\r\n--b", b"\r\n\r\nREVOKE\r\n--b", 1) + b"REVOKE"
    mail = Mail(data)
    assert b"REVOKE" not in skeleton(mail, split(mail))
    assert contents(data).text.strip() == "hello"


def test_an_attached_mail_is_never_our_text() -> None:
    inner = b"Content-Type: text/plain\r\nSubject: REVOKE\r\n\r\nREVOKE\r\n"
    head = b"Content-Type: message/rfc822\r\n\r\n"
    assert text(b"\r\nhello", head + inner) == "hello"
    assert text(head + inner) == ""
    assert (
        text(b"Content-Type: message/rfc822\r\nContent-Disposition: inline\r\n\r\n" + inner) == ""
    )
    digest = b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n" + inner + b"--d--"
    assert text(b"\r\nhello", digest) == "hello"


def test_attached_texts_are_files_and_not_what_the_sender_says() -> None:
    named = b"Content-Type: text/plain; name=a.txt\r\n\r\nREVOKE"
    attached = b"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nREVOKE"
    page = b"Content-Type: text/html; name=a.html\r\n\r\n<p>REVOKE"
    read = contents(multipart(b"\r\nhello", named, attached, page))
    assert (read.text.strip(), read.html_text) == ("hello", "")


def test_planted_part_references_mean_nothing() -> None:
    planted = b"X-Part-Ref: 1 0 99\r\nContent-Type: text/plain\r\n\r\npart:1"
    assert text(planted) == "part:1"


def test_of_a_long_text_the_begin_is_read() -> None:
    body = b"STATUS\r\n" + b"hello world\r\n" * 200_000
    read = contents(b"Subject: x\r\n\r\n" + body)
    assert read.text.startswith("STATUS")
    assert len(read.text) <= LARGEST_TEXT
    digits = base64.encodebytes("Grüße und mehr\n".encode() * 60_000)
    head = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    lines = contents(head + digits).text.splitlines()
    assert set(lines[:-1]) == {"Grüße und mehr"}


def test_charsets_are_read_and_unknown_ones_do_no_harm() -> None:
    for charset, body in (("utf-8", "Grüße".encode()), ("iso-8859-1", "Grüße".encode("latin-1"))):
        head = f"Content-Type: text/plain; charset={charset}\r\n"
        head += "Content-Transfer-Encoding: 8bit\r\n\r\n"
        assert contents(head.encode() + body).text.strip() == "Grüße"
    assert "STATUS" in contents(b"Content-Type: text/plain; charset=nope\r\n\r\nSTATUS").text


def test_raw_headers_are_read_as_utf_8_or_latin_1() -> None:
    for raw in ("Brücke".encode(), "Brücke".encode("latin-1")):
        assert contents(b"Subject: " + raw + b"\r\n\r\nx").subject == "Brücke"


def test_several_texts_are_one_and_html_is_kept_apart() -> None:
    read = contents(
        multipart(
            b"Content-Type: text/plain\r\n\r\none",
            b"Content-Type: application/x\r\n\r\nfile",
            b"Content-Type: text/plain\r\n\r\ntwo",
            b"Content-Type: text/html\r\n\r\n<p>three",
        )
    )
    assert read.text.split() == ["one", "two"]
    assert read.html_text == "three"
    assert contents(b"Content-Type: text/html\r\n\r\n<p>only").body == "only"


def test_an_invitation_is_noticed() -> None:
    asks = b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR"
    assert contents(multipart(b"\r\nhello", asks)).invitation
    assert not contents(multipart(b"Content-Type: text/calendar; name=a.ics\r\n\r\nx")).invitation
