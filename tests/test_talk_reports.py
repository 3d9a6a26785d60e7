"""What machines report of our letters: each fixture with what it means, and nothing by accident.

The fixtures are written by us in the shape that mail systems write: no real mail, no real address.
"""

import random
from contextlib import suppress
from pathlib import Path
from time import process_time

import pytest

from inbound.mail.parts import split
from inbound.mail.skeleton import Contents, read_contents
from inbound.talk.away import away_until
from inbound.talk.classify import Kind, classify
from inbound.talk.reports import (
    LARGEST,
    LONGEST_REASON,
    Bounce,
    Complaint,
    Fate,
    read_bounce,
    read_complaint,
)
from store.errors import Refusal
from store.statuses import action_of, fate_of, precise, reply_in, status_in
from tests.fakes import ANNA, DOMAIN, KIM
from tests.test_mail_parts import Mail

FOLDER = Path(__file__).parent / "talk" / "reports"
NAMES = sorted(path.stem for path in FOLDER.glob("*.eml"))
SEED, MUTATIONS = 20261123, 3_000
OURS = f"bounce+k7m2abcdefghijklmnopqrstuv@{DOMAIN}"

# Fate, recipient, status, and how the reason begins.
BOUNCES: dict[str, tuple[Fate, str, str, str]] = {
    "01-postfix-user-unknown": (Fate.PERMANENT, KIM, "5.1.1", f"550 5.1.1 <{KIM}>: Recipient"),
    "02-postfix-no-such-host": (Fate.PERMANENT, KIM, "5.4.4", "Host or domain name not found."),
    "03-postfix-delayed": (Fate.DELAYED, KIM, "4.4.1", "connect to mx.clinic.example"),
    "04-postfix-given-up": (Fate.TROUBLE, KIM, "4.4.1", "connect to mx.clinic.example"),
    "05-postfix-delivered": (Fate.DELIVERED, KIM, "2.0.0", "250 2.0.0 Ok: queued as 4XyZ"),
    "06-postfix-greylisted": (Fate.DELAYED, KIM, "4.2.0", "450 4.2.0 "),
    "07-postfix-expanded-alias": (Fate.DELIVERED, KIM, "2.0.0", "delivery via alias"),
    "08-one-of-two-failed": (Fate.PERMANENT, KIM, "5.1.1", "550 5.1.1 user unknown"),
    "10-exim-vague-status": (Fate.PERMANENT, KIM, "5.0.0", "550 No such user here"),
    "11-exim-plain-text": (Fate.PERMANENT, KIM, "", "550 No such user here"),
    "12-exim-plain-full": (Fate.FULL, KIM, "5.2.2", "552 5.2.2 The mailbox is over quota try"),
    "13-exim-warning-plain": (Fate.DELAYED, KIM, "", KIM),
    "20-office365-recipient-not-found": (Fate.PERMANENT, KIM, "5.1.10", "550 5.1.10 RESOLVER.ADR"),
    "21-exchange-mailbox-full": (Fate.FULL, KIM, "5.2.2", "554 5.2.2 mailbox full; STOREDRV"),
    "22-office365-blocked": (Fate.POLICY, KIM, "5.7.606", "550 5.7.606 Access denied"),
    "23-exchange-base64-status": (Fate.PERMANENT, KIM, "5.1.1", "550 5.1.1 User unknown"),
    "24-quoted-printable-status": (Fate.PERMANENT, KIM, "5.1.1", "550 5.1.1 The mailbox of this"),
    "25-office365-expired": (Fate.TROUBLE, KIM, "4.4.7", "550 4.4.7 QUEUE.Expired"),
    "26-office365-no-such-domain": (Fate.PERMANENT, KIM, "5.4.310", "550 5.4.310 DNS domain"),
    "27-outlook-com-unavailable": (Fate.PERMANENT, KIM, "5.5.0", "550 5.5.0 Requested action"),
    "30-gmail-no-such-user": (
        Fate.PERMANENT, KIM, "5.1.1",
        "550 5.1.1 The email account that you tried to reach does not exist. Please try double-",
    ),
    "31-gmail-reputation": (Fate.POLICY, KIM, "5.7.1", "550 5.7.1 [192.0.2.9] Our system has"),
    "32-gmail-over-quota-delayed": (Fate.FULL, KIM, "4.2.2", "452 4.2.2 The recipient's inbox"),
    "33-gmail-receives-too-quickly": (Fate.TROUBLE, KIM, "5.2.1", "550 5.2.1 The user you are"),
    "34-yahoo-no-account": (Fate.PERMANENT, KIM, "5.0.0", "554 delivery error: dd This user"),
    "40-qmail-no-mailbox": (Fate.PERMANENT, KIM, "5.1.1", "Sorry, no mailbox here by that name."),
    "41-qmail-policy": (Fate.POLICY, KIM, "5.7.1", "Remote host said: 554 5.7.1 Service"),
    "42-qmail-without-a-code": (Fate.TROUBLE, KIM, "", f"<{KIM}>: This address no longer accepts"),
    "45-sendmail-user-unknown": (Fate.PERMANENT, KIM, "5.1.1", f"550 5.1.1 <{KIM}>... User"),
    "46-sendmail-comments-and-folds": (Fate.PERMANENT, KIM, "5.1.1", "550 5.1.1 User unknown"),
    "47-sendmail-vague-5-1-0": (Fate.PERMANENT, KIM, "5.1.0", "550 #5.1.0 Address rejected."),
    "50-ses-bounce": (Fate.PERMANENT, KIM, "5.1.1", f"550 5.1.1 <{KIM}>: Recipient address"),
    "51-ses-suppressed-policy": (Fate.POLICY, KIM, "5.0.0", "550 Message rejected because of poor"),
    "52-spam-with-5-1-1": (Fate.POLICY, KIM, "5.1.1", "550 5.1.1 Message rejected as spam"),
    "53-mailbox-called-spam": (Fate.PERMANENT, "spam.desk@clinic.example", "5.1.1", "550 5.1.1 <"),
    "54-too-large": (Fate.TROUBLE, KIM, "5.3.4", "552 5.3.4 Message size exceeds fixed limit"),
    "55-null-mx": (Fate.PERMANENT, KIM, "5.1.10", "556 5.1.10 Recipient address has null MX"),
    "60-global-dsn": (Fate.PERMANENT, "jürgen@zahnärzte.example", "5.1.1", "550 5.1.1 Empfänger"),
    "61-global-delayed": (Fate.DELAYED, "张伟@诊所.example", "4.4.1", "The mail system does not"),
    "62-unknown-address-type": (Fate.PERMANENT, KIM, "5.1.1", "The address does not exist."),
    "63-no-report-type-and-no-angle": (Fate.PERMANENT, KIM, "5.1.1", "The address does not exist."),
    "64-report-within-a-footer": (Fate.PERMANENT, KIM, "5.1.1", "550 5.1.1 user unknown"),
    "67-returned-letter-cut-off": (Fate.PERMANENT, KIM, "5.1.1", "550 5.1.1 user unknown"),
}  # fmt: skip
# A mail system's, but not about exactly one recipient.
UNREAD = {
    "09-both-failed",
    "43-qmail-two-addresses",
    "44-chinese-returned-mail",
    "65-no-recipient-groups",
    "66-forgotten-empty-lines",
    "68-report-with-two-reports",
}
COMPLAINTS: dict[str, Complaint | None] = {
    "70-arf-abuse": Complaint("abuse", KIM, OURS),
    "71-arf-redacted": Complaint("abuse", "", OURS),
    "72-arf-headers-only": Complaint("fraud", KIM, OURS),
    "73-arf-not-spam": Complaint("not-spam", "", OURS),
    "74-arf-two-recipients": Complaint("abuse", "", OURS),
    "75-arf-base64": Complaint("abuse", KIM, OURS),
    "76-arf-without-a-kind": None,
}
AWAY = {
    "A1-away-en-exchange": "I am out of the office and will be back on 30 November 2026.",
    "A2-away-en-without-headers": "I am away from the office until Monday, November 30. For anything"
    " urgent, ask desk@clinic.example.",
    "A3-away-de-exchange": "Ich bin bis einschließlich 30. November nicht im Büro und danach wieder"
    " für Sie da.",
    "A4-away-de-without-headers": "Ich bin im Urlaub und ab dem 01.12.2026 wieder erreichbar.",
    "A5-away-es-exchange": "Estoy fuera de la oficina hasta el 30 de noviembre.",
    "A6-away-es-without-headers": "Estaré ausente y vuelvo el lunes 30 de noviembre.",
    "A7-away-zh-headers": "我正在休假，11月30日返回。",
    "A8-away-zh-without-headers": "您好，我外出开会，至11月30日无法及时回复邮件。",
    "A9-away-fr-exchange": "Je suis absente du bureau jusqu'au 30 novembre.",
    "B1-away-fr-without-headers": "Bonjour, je suis en congés, de retour le 30 novembre.",
    "B2-away-null-sender": "Back on 30 November.",
    "B3-away-gmail-vacation": "We return on 2 January.",
    "B4-away-suppress-only": "The practice is closed this week. See you soon.",
    "B5-away-precedence-junk": "Danke, wir melden uns nach den Ferien.",
    "B6-away-sieve": "I am on annual leave. Anna answers urgent mail.",
    "B7-ticket-received": "",
    "B8-mailbox-nearly-full": "",
}


def read(
    data: bytes, sender: str | None = None
) -> tuple[Kind, Bounce | None, Complaint | None, Contents]:
    """All that can be read out of a mail; its envelope sender is what its first field says."""
    mail = Mail(data)
    root = split(mail)
    contents = read_contents(mail, root)
    if sender is None:
        sender = contents.header("return-path").strip("<>")
    kind = classify(contents, sender, DOMAIN)
    return kind, read_bounce(mail, root, sender), read_complaint(mail, root), contents


def fixture(name: str) -> bytes:
    return (FOLDER / f"{name}.eml").read_bytes()


def kind_named(name: str) -> Kind:
    kinds = {"7": Kind.COMPLAINT, "8": Kind.RECEIPT, "H": Kind.HUMAN}
    away = dict.fromkeys("AB", Kind.AUTO_REPLY)
    return (kinds | away).get(name[0], Kind.BOUNCE)


def test_every_fixture_is_expected_something_of_and_has_the_line_ends_of_rfc_5322() -> None:
    people_and_receipts = {name for name in NAMES if name[0] in "8H"}
    assert {*BOUNCES, *UNREAD, *COMPLAINTS, *AWAY} | people_and_receipts == set(NAMES)
    assert len(NAMES) >= 80
    for name in NAMES:
        data = fixture(name)
        assert data.count(b"\r\n") == data.count(b"\n"), name


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_is_of_its_kind_and_of_no_other(name: str) -> None:
    kind, bounce, complaint, _ = read(fixture(name))
    assert kind is kind_named(name)
    assert bool(bounce) == (name in BOUNCES)
    assert complaint == COMPLAINTS.get(name)


@pytest.mark.parametrize("name", BOUNCES)
def test_a_bounce_says_what_became_of_one_letter(name: str) -> None:
    fate, recipient, status, reason = BOUNCES[name]
    bounce = read(fixture(name))[1]
    assert bounce is not None
    assert (bounce.fate, bounce.recipient, bounce.status) == (fate, recipient, status)
    assert bounce.reason.startswith(reason)


@pytest.mark.parametrize("name", AWAY)
def test_an_absence_is_told_in_one_line(name: str) -> None:
    assert away_until(read(fixture(name))[3]) == AWAY[name]


# ---------------------------------------------------------------- what codes mean


@pytest.mark.parametrize(
    ("status", "diagnostic", "fate"),
    [
        ("5.1.1", "", Fate.PERMANENT),
        ("5.1.2", "", Fate.PERMANENT),
        ("5.1.3", "", Fate.PERMANENT),
        ("5.1.6", "", Fate.PERMANENT),
        ("5.1.10", "", Fate.PERMANENT),
        ("5.2.1", "550 5.2.1 The account is disabled", Fate.PERMANENT),
        ("5.2.1", "550 5.2.1 too many messages, try again later", Fate.TROUBLE),
        ("5.2.2", "", Fate.FULL),
        ("5.0.0", "552 Quota exceeded", Fate.FULL),
        ("5.2.1", "552 5.2.1 mailbox is full", Fate.FULL),
        ("4.2.2", "gave up", Fate.FULL),
        ("5.7.1", "550 5.7.1 no such user", Fate.POLICY),
        ("5.7.26", "", Fate.POLICY),
        ("4.7.0", "421 4.7.0 gave up", Fate.POLICY),
        ("5.0.0", "550 SPF check failed", Fate.POLICY),
        ("5.1.1", "550 5.1.1 sender verify failed", Fate.POLICY),
        ("5.0.0", "554 no such user, or blocked by policy", Fate.POLICY),
        ("5.0.0", "550 5.7.1 rejected", Fate.POLICY),
        ("5.0.0", "550 5.1.1 rejected", Fate.PERMANENT),
        ("5.5.0", "550 user unknown", Fate.PERMANENT),
        ("5.5.0", "550 bad command", Fate.TROUBLE),
        ("5.0.0", "550 Requested action not taken: mailbox unavailable", Fate.TROUBLE),
        ("5.0.0", "450 user unknown", Fate.TROUBLE),
        ("", "user unknown", Fate.TROUBLE),
        ("", "550 user unknown", Fate.PERMANENT),
        ("", "", Fate.TROUBLE),
        ("5.1.0", "550 address rejected", Fate.PERMANENT),
        ("5.1.0", "553 sorry", Fate.PERMANENT),
        ("5.1.0", "554 sorry", Fate.TROUBLE),
        ("5.1.0", "550 5.1.0 sender rejected", Fate.POLICY),
        ("5.1.7", "", Fate.TROUBLE),  # the sender's address: ours
        ("5.1.8", "", Fate.TROUBLE),
        ("5.4.4", "unable to route", Fate.TROUBLE),
        ("5.4.4", "Host not found", Fate.PERMANENT),
        ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied", Fate.TROUBLE),
        ("4.1.1", "450 4.1.1 user unknown", Fate.TROUBLE),
        ("5.3.4", "", Fate.TROUBLE),
    ],
)
def test_a_letter_that_was_given_up_has_a_cause(status: str, diagnostic: str, fate: Fate) -> None:
    found = precise(status, diagnostic)
    assert fate_of(action_of("failed", found, diagnostic), found, diagnostic) is fate


@pytest.mark.parametrize(
    ("action", "status", "diagnostic", "fate"),
    [
        ("delayed", "4.4.1", "", Fate.DELAYED),
        ("delayed", "5.1.1", "user unknown", Fate.DELAYED),
        ("Delayed (still trying)", "", "", Fate.DELAYED),
        ("delayed", "4.2.2", "", Fate.FULL),
        ("", "4.4.1", "", Fate.DELAYED),
        ("", "", "451 later", Fate.DELAYED),
        ("", "5.1.1", "", Fate.PERMANENT),
        ("", "2.0.0", "", Fate.DELIVERED),
        ("delivered", "5.1.1", "", Fate.DELIVERED),
        ("relayed", "", "", Fate.DELIVERED),
        ("expanded", "", "", Fate.DELIVERED),
        ("failure", "5.1.1", "", Fate.PERMANENT),
        ("error", "5.1.1", "", Fate.PERMANENT),
    ],
)
def test_what_was_done_counts_before_the_code(
    action: str, status: str, diagnostic: str, fate: Fate
) -> None:
    assert fate_of(action_of(action, status, diagnostic), status, diagnostic) is fate


@pytest.mark.parametrize(
    ("text", "status", "reply"),
    [
        ("550 5.1.1 gone", "5.1.1", "550"),
        ("550-5.1.1 gone", "5.1.1", "550"),
        ("(#5.1.1)", "5.1.1", ""),
        ("from 5.1.1.9 and 10.5.1.1", "", ""),
        ("[198.51.100.550] said nothing", "", ""),
        ("421", "", "421"),
        ("1550 5.1.1000", "", ""),
        ("3.1.1 354 go on", "", ""),
    ],
)
def test_codes_are_found_in_a_text(text: str, status: str, reply: str) -> None:
    assert (status_in(text), reply_in(text)) == (status, reply)


# ---------------------------------------------------------------- forged and hostile reports


def report(status: bytes, kind: bytes = b"delivery-status") -> bytes:
    return (
        b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.clinic.example\r\nSubject: Undelivered\r\n"
        b"Content-Type: multipart/report; report-type=%b; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: message/%b\r\n\r\n%b\r\n--b--\r\n"
    ) % (kind, kind, status)


def plain(text: bytes) -> bytes:
    header = b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nSubject: failure notice\r\n\r\n"
    return header + text


FAILED = b"Final-Recipient: rfc822; kim@clinic.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"


def test_the_same_group_twice_is_one_recipient() -> None:
    bounce = read(report(b"\r\n".join([b"Reporting-MTA: dns; mx\r\n", FAILED, FAILED])))[1]
    assert bounce == Bounce(Fate.PERMANENT, KIM, "5.1.1", "The address does not exist.")


@pytest.mark.parametrize(
    ("field", "recipient"),
    [
        (b"rfc822; Kim@Clinic.Example", KIM),
        (b"rfc822;<kim@clinic.example>", KIM),
        (b"kim@clinic.example", KIM),
        (b"RFC822 ; kim@clinic.example (Kim (the dentist))", KIM),
        (b"rfc822; kim", ""),
        (b"x400; /G=Kim/S=Lee/", ""),
        (b"rfc822; a@b, c@d", ""),
        (b"rfc822; kim@clinic.example\x1b[31m", ""),
        (b"utf-8; \\x{202E}kim@clinic.example", ""),
        (b"utf-8; \\x{D800}kim@clinic.example", "\\x{d800}kim@clinic.example"),
        (b"rfc822; " + b"a" * 400 + b"@clinic.example", ""),
        (b"", ""),
    ],
)
def test_a_recipient_is_one_plain_address_or_unknown(field: bytes, recipient: str) -> None:
    bounce = read(report(b"Final-Recipient: " + field + b"\r\nAction: failed\r\nStatus: 5.1.1"))[1]
    assert bounce is not None
    assert bounce.recipient == recipient


def test_the_original_recipient_is_asked_where_the_final_one_is_no_address() -> None:
    told = b"Original-Recipient: rfc822;kim@clinic.example\r\nFinal-Recipient: local; box7\r\n"
    bounce = read(report(told + b"Action: failed\r\nStatus: 5.1.1"))[1]
    assert bounce is not None
    assert bounce.recipient == KIM


def test_a_reason_is_one_clean_line_of_three_hundred_characters() -> None:
    said = b"smtp; 550 5.1.1 a\x1b\x00\r\n \xe2\x80\xaeb\r\n\t" + b"gone " * 400
    bounce = read(report(FAILED + b"Diagnostic-Code: " + said))[1]
    assert bounce is not None
    assert len(bounce.reason) <= LONGEST_REASON
    assert bounce.reason.startswith("550 5.1.1 a b gone gone")
    assert bounce.reason.isprintable()


def test_a_person_who_writes_as_a_plain_bounce_does_has_said_nothing() -> None:
    text = b"Hi. This is the\r\n\r\n<kim@clinic.example>:\r\n550 5.1.1 user unknown\r\n"
    kind, bounce, _, _ = read(plain(text))
    assert (kind, bounce is not None) == (Kind.BOUNCE, True)
    by_anna = plain(text).replace(b"MAILER-DAEMON@mx.example", b"anna@lab.example")
    by_anna = by_anna.replace(b"<>", b"<anna@lab.example>")
    assert read(by_anna)[:2] == (Kind.HUMAN, None)


HOSTILE = {
    "ten thousand groups": report(b"\r\n".join([FAILED] * 10_000)),
    "ten thousand recipients": report(
        b"\r\n".join(FAILED.replace(b"kim", b"k%d" % number) for number in range(10_000))
    ),
    "a line of a megabyte": report(FAILED + b"Diagnostic-Code: smtp; " + b"5" * (1 << 20)),
    "a name of a megabyte": report(b"a" * (1 << 20)),
    "folded a million times": report(FAILED + b"Diagnostic-Code: smtp;" + b"\r\n a" * 300_000),
    "a million empty lines": report(b"\r\n" * (1 << 20)),
    "digits and dots": report(FAILED + b"Diagnostic-Code: " + b"5.1" * 20_000),
    "colons": report(b":" * 60_000),
    "random bytes": report(FAILED + random.Random(SEED).randbytes(60_000)),
    "odd letters": report(FAILED + "é退".encode("gb18030") * 15_000),
    "escapes": report(b"Final-Recipient: utf-8; " + b"\\x{41}" * 9_000),
    "comments": report(b"Final-Recipient: rfc822; " + b"(" * 30_000 + b")" * 30_000),
    "many feedback fields": report(b"Feedback-Type: abuse\r\n" * 3_000, b"feedback-report"),
    "many complainers": report(
        b"Feedback-Type: abuse\r\n" + b"Original-Rcpt-To: a@b\r\n" * 2_500, b"feedback-report"
    ),
    "commas": plain(b"undeliverable," * 70_000),
    "commas on one line": plain(b"undeliverable" + b"," * (1 << 20)),
    "at signs": plain(b"undelivered\r\n" + b" a@b" * 200_000),
    "angles": plain(b"Hi. This is the\r\n\r\n" + b"<" * 1_000_000),
    "copies": plain(b"undelivered @" + b"copy of " * 100_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_report_is_read_in_no_time(name: str) -> None:
    begin = process_time()
    with suppress(Refusal):
        _, bounce, complaint, _ = read(HOSTILE[name])
        assert complaint is None or complaint.recipient in ("", "a@b")
        assert bounce is None or bounce.fate is not Fate.DELIVERED
        assert bounce is None or len(bounce.reason) <= LONGEST_REASON
    assert process_time() - begin < 1.5


def test_a_report_that_is_too_long_names_nobody() -> None:
    padding = b"X-Padding: " + b"a" * 70 + b"\r\n"
    few, many = FAILED + padding * 100, FAILED + padding * (LARGEST // len(padding) + 1)
    assert read(report(few))[1] is not None
    assert read(report(many))[1] is None


def test_reports_within_reports_name_nobody() -> None:
    inner = report(FAILED)
    for _ in range(20):
        inner = report(b"a: b\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner)
    with suppress(Refusal):
        assert read(inner)[1] is None


def mutated(chance: random.Random, data: bytes) -> bytes:
    """A mail with some bytes changed, lines doubled or dropped, or its end gone."""
    lines = data.split(b"\r\n")
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                lines.insert(at, lines[chance.randrange(len(lines))])
            case 1:
                del lines[at : at + 1]
                lines = lines or [b""]
            case 2:
                lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
            case 3:
                lines[at] += chance.randbytes(chance.randrange(12))
            case 4:
                lines[at] = lines[at].replace(b":", chance.choice([b"", b"::", b" :", b";", b"\0"]))
            case _:
                lines[at] *= chance.randrange(1, 40)
    return b"\r\n".join(lines)[: chance.choice([None, None, chance.randrange(1, 4_000)])]


def test_three_thousand_damaged_reports_are_read_or_refused_and_people_stay_people() -> None:
    chance = random.Random(SEED)
    whole = {name: fixture(name) for name in NAMES}
    for _ in range(MUTATIONS):
        name = chance.choice(NAMES)
        with suppress(Refusal):
            sender = ANNA if name.startswith("H") else None
            kind, bounce, complaint, contents = read(mutated(chance, whole[name]), sender)
            assert bounce is None or bounce.reason.isprintable()
            assert complaint is None or complaint.kind.isprintable()
            assert len(away_until(contents)) <= 200
            # However a person's mail is damaged, it kills no address.
            assert not (name.startswith("H") and bounce)
            assert bounce is None or kind in (Kind.BOUNCE, Kind.OWN)
