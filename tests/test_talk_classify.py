"""What kind of mail it is: only a person's is acted on."""

import pytest

from inbound.mail.parts import read_header, split
from inbound.mail.skeleton import contents_of, read_contents
from inbound.talk.classify import Kind, classify
from tests.fakes import ANNA, DOMAIN
from tests.test_mail_parts import Mail, multipart


def kind_of(header: str, sender: str = ANNA) -> Kind:
    contents = contents_of(read_header(f"From: {ANNA}\r\n{header}".encode()))
    return classify(contents, sender, DOMAIN)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("Subject: x", Kind.HUMAN),
        ("Auto-Submitted: no", Kind.HUMAN),
        ("X-Auto-Response-Suppress: All", Kind.HUMAN),
        ("Importance: high\r\nX-Mailer: Outlook", Kind.HUMAN),
        ("Auto-Submitted: auto-replied", Kind.AUTO_REPLY),
        ("Auto-Submitted: AUTO-GENERATED (vacation)", Kind.AUTO_REPLY),
        ("Auto-submitted:\r\n auto-replied", Kind.AUTO_REPLY),
        ("X-Autoreply: yes", Kind.AUTO_REPLY),
        ("X-Autorespond: away", Kind.AUTO_REPLY),
        ("Precedence: auto_reply", Kind.AUTO_REPLY),
        ("List-Id: <news.example>", Kind.LIST),
        ("List-Unsubscribe: <mailto:x@y.example>", Kind.LIST),
        ("Precedence: bulk", Kind.LIST),
        ("Precedence: list", Kind.LIST),
        ("Content-Type: multipart/report; report-type=delivery-status", Kind.REPORT),
        ("Content-Type: Multipart/Report; report-type=feedback-report", Kind.REPORT),
        ("Content-Type: text/calendar; method=REQUEST", Kind.CALENDAR),
        (f"Message-ID: <{'a' * 26}@{DOMAIN}>", Kind.OWN),
        (f"Message-ID: <4f1c0a9e-77aa@{DOMAIN}>", Kind.HUMAN),
        (f"Message-ID: <{'a' * 26}@lab.example>", Kind.HUMAN),
        ("X-Scanpost-Kind: answer", Kind.HUMAN),
    ],
)
def test_robots_are_told_by_what_they_write(header: str, kind: Kind) -> None:
    assert kind_of(header) is kind


def test_the_null_sender_is_a_robot_and_our_own_letters_are_ours() -> None:
    assert kind_of("Subject: x", sender="") is Kind.AUTO_REPLY
    assert kind_of("X-Scanpost-Kind: answer", sender=f"bounce+x@{DOMAIN}") is Kind.OWN


def test_an_invitation_is_one_wherever_it_stands_in_the_mail() -> None:
    page = b"Content-Type: text/html\r\n\r\n<p>Anna invites you"
    asks = b"Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n\r\nBEGIN:VCALENDAR"
    mail = Mail(multipart(b"\r\nAnna invites you", page, asks))
    assert classify(read_contents(mail, split(mail)), ANNA, DOMAIN) is Kind.CALENDAR


def test_an_attached_robots_mail_does_not_make_its_sender_a_robot() -> None:
    inner = b"Content-Type: message/rfc822\r\n\r\nAuto-Submitted: auto-replied\r\n\r\naway"
    mail = Mail(multipart(b"\r\nSTATUS", inner))
    assert classify(read_contents(mail, split(mail)), ANNA, DOMAIN) is Kind.HUMAN
