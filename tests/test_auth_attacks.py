"""Each known way to write as somebody else, told of espoofer and its paper, in mails of our own.

Anna is the victim. The attacker has a domain with a key and a server, both in order, knows a mail that
Anna has signed for somebody else, and may say whatever he likes in envelope and header.
"""

import base64
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from time import process_time

import pytest

from inbound.auth.envelope import Mode
from store.errors import MailRefused
from store.house import House
from store.states import Strength
from tests.fakedns import FakeDns
from tests.fakes import ANNA
from tests.signing import NOW, ed25519_key, publish, seal, sign
from tests.test_auth_judge import (
    ATTACKER,
    DATE,
    ELSEWHERE,
    LAB,
    LAB_IP,
    RELAY,
    SHARE,
    TOLD,
    Court,
    Zone,
    people,
    signed,
    stamped,
    written,
)
from tests.test_door_smtp import Listening, door_with

MALLORY = "mallory@attack.example"
GROUND = "attack.example"


@dataclass
class Attack:
    mail: bytes
    sender: str = f"<{MALLORY}>"
    helo: str = GROUND
    peer: str = ELSEWHERE


def own(mail: bytes, domain: str = GROUND, selector: str = "s1", **given: object) -> bytes:
    """Signed with the attacker's own key, under whatever name."""
    return sign(mail, domain, selector, ed25519_key(ATTACKER), **given)  # type: ignore[arg-type]


def encoded(text: str) -> str:
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


def headed(*lines: str, sender: str = MALLORY) -> bytes:
    """A mail whose header begins with these lines and has no From of its own."""
    rest = (
        f"To: {SHARE}\r\nSubject: LIST\r\nDate: {DATE}\r\nMessage-ID: <x@{GROUND}>\r\n\r\nLIST\r\n"
    )
    return ("\r\n".join(lines) + "\r\n" + rest).encode()


def froms(*lines: str) -> bytes:
    return own(headed(*lines), headers=("From", "From", "To", "Subject", "Date"))


ODD = "\x00'\"()<>@,;:\\ %*\x7f\xa0"
ENVELOPES = {
    "a subdomain that does not exist": Attack(written(), "<x@no.such.lab.example>"),
    "no sender and the victim's name as HELO": Attack(written(), "<>", "lab.example"),
    "half a comment": Attack(written(), f"<({ANNA}>"),
    "a comment within the domain": Attack(written(), f"<x@lab.example(a.{GROUND}>"),
    "a quote within the local part": Attack(written(), f"<x@lab.example'@any.{GROUND}>"),
    "a route": Attack(written(), f"<@lab.example,@any.example:{MALLORY}>"),
    "the victim in quotes": Attack(written(), f'<"{ANNA}"@{GROUND}>'),
    "the victim as local part": Attack(written(), f"<{ANNA}@{GROUND}>"),
    "the victim behind the attacker": Attack(written(), f"<{MALLORY}@lab.example>"),
    "the victim with a dot": Attack(written(), f"<{ANNA}.>"),
    "the victim in capitals": Attack(written(), f"<{ANNA.upper()}>"),
    "the victim's domain below the attacker's": Attack(written(), f"<x@lab.example.{GROUND}>"),
    "a domain that ends like the victim's": Attack(written(), "<x@xlab.example>"),
    "the victim's domain as an address": Attack(written(), "<x@[127.0.0.2]>"),
    "a sender of many letters": Attack(written(), f"<{'x' * 300}@lab.example>"),
}
KEYS = {
    "the attacker's own domain": own(written()),
    "a domain below the attacker's": own(written(), f"lab.example.{GROUND}"),
    "NUL behind the selector": own(written(), "lab.example", f"s1._domainkey.{GROUND}.\0.x"),
    "NUL in the domain": own(written(), f"lab.example\0.{GROUND}"),
    "a quote in the domain": own(written(), f"lab.example'a.{GROUND}"),
    "a double quote in the domain": own(written(), f'lab.example"=(.{GROUND}'),
    "a parenthesis in the domain": own(written(), f"lab.example(.{GROUND}"),
    "a line end in the domain": own(written(), f"{GROUND}\r\n .lab.example"),
    "a blank in the domain": own(written(), f"{GROUND} lab.example"),
    "a dot in front of the domain": own(written(), ".lab.example"),
    "a dot behind the domain": own(written(), "lab.example."),
    "two dots in the domain": own(written(), "lab..example"),
    "a top-level domain": own(written(), "example"),
    "the domain twice": own(written(), tags={"d": f"{GROUND}; d=lab.example"}),
    "the domain in capitals": own(written(), "LAB.EXAMPLE"),
    "a look-alike of the domain": own(written(), "ｌab.example"),
    "a selector of 300 letters": own(written(), "lab.example", "s" * 300),
    "a selector that climbs": own(written(), "lab.example", f"s1._domainkey.{GROUND}.."),
    "the victim as identity": own(written(), tags={"i": ANNA}),
    "no From signed": signed(written(), headers=("To", "Subject", "Date")),
    "a mail for somebody else": signed(written(To="other@elsewhere.example")),
    "a mail for somebody else, with our To on top": (
        f"To: {SHARE}\r\n".encode() + signed(written(without=("To",)), headers=("From", "Subject"))
    ),
    "only the beginning signed": signed(written("LIST"), length=0),
    "expired": signed(written(), tags={"x": str(NOW - 1), "t": str(NOW - 2)}),
    "of tomorrow": signed(written(), tags={"t": str(NOW + 86_400)}),
    "another body": signed(written()).replace(b"\r\nLIST\r\n", b"\r\nREVOKE\r\n"),
    "another subject": signed(written()).replace(b"Subject: LIST", b"Subject: REVOKE"),
    "a chain sealed by the attacker": seal(
        written(), GROUND, "s1", ed25519_key(ATTACKER), results=TOLD
    ),
    "results in our name": stamped(written(), "dmarc=pass header.from=lab.example", "scans.example"),
    "results of a relay": stamped(written(), f"spf=pass smtp.mailfrom={ANNA}"),
    "a From that is the rest of the signature": froms(f" From: {MALLORY}", f"From: {ANNA}"),
    "comments within the address": froms(f"From: anna(x)@(y)lab.example({MALLORY})"),
    "every header that others believe": headed(
        f"From: {ANNA}", f"Return-Path: <{ANNA}>", "Received-SPF: pass", "X-Spam-Status: No",
        f"X-Authenticated-User: {ANNA}", "X-Google-DKIM-Signature: v=1",
        "ARC-Authentication-Results: i=1; x; dmarc=pass header.from=lab.example",
    ),
}  # fmt: skip
READINGS = {
    "two From": froms(f"From: {MALLORY}", f"From: {ANNA}"),
    "two From, the victim first": froms(f"From: {ANNA}", f"From: {MALLORY}"),
    "a blank before the first": headed(f" From: {MALLORY}", f"From: {ANNA}"),
    "a blank behind the name": froms(f"From: {MALLORY}", f"From : {ANNA}"),
    "a tab behind the name": froms(f"From\t: {ANNA}", f"From: {MALLORY}"),
    "a name on two lines": froms(f"From\r\n : {MALLORY}", f"From: {ANNA}"),
    "From and Sender": froms(f"From\r\n : {MALLORY}", f"Sender: {ANNA}"),
    "From and Resent-From": froms(f"From\r\n : {MALLORY}", f"Resent-From: {ANNA}"),
    "From in another field": froms(f"X: y\r\n From: {ANNA}", f"From: {MALLORY}", f"From: {ANNA}"),
    "two addresses": froms(f"From: <{MALLORY}>, <{ANNA}>"),
    "two addresses, the victim first": froms(f"From: <{ANNA}>, <{MALLORY}>", f"Sender: {MALLORY}"),
    "an address in code": froms(f"From: {encoded(f'<{ANNA}>')}, <{MALLORY}>"),
    "only an address in code": froms(f"From: {encoded(f'<{ANNA}>')}"),
    "a route": froms(f"From: <@{GROUND},@any.example:{ANNA}>"),
    "a quoted comma": froms(rf"From: <{ANNA}>\,<{MALLORY}>"),
    "a bare and an angled one": froms(f"From: {ANNA},<{MALLORY}>"),
    "an address behind the angle": froms(f"From: <{MALLORY}>{ANNA}"),
    "an address before the angle": froms(f"From: {ANNA}<{MALLORY}>"),
    "two angles": froms(f"From: <<{MALLORY}>{ANNA}>"),
    "a group": froms(f"From: x:{ANNA},{MALLORY};"),
    "a group of one": froms(f"From: x:{ANNA};"),
    "an open quote": froms(f'From: "{ANNA} <{MALLORY}>'),
    "a quoted local part": froms(f'From: <"{ANNA}> x"@{GROUND}>'),
    "NUL in the address": froms(f"From: {ANNA}\0@{GROUND}"),
    "a Kelvin sign": froms("From: \u212aim@clinic.example"),
    "no From": froms(f"Sender: {ANNA}", f"Reply-To: {ANNA}"),
}
SHOWN = {  # who is shown is not who has written; the attacker is himself and nobody else
    "the victim as a name": froms(f'From: "{ANNA}" <{MALLORY}>'),
    "the victim as a name in code": froms(f"From: {encoded(ANNA)} <{MALLORY}>"),
    "the victim as a comment": froms(f"From: {MALLORY} ({ANNA})"),
    "the victim to be answered": froms(f"From: {MALLORY}", f"Reply-To: {ANNA}", f"Sender: {ANNA}"),
    "the victim in other fields": froms(
        f"From: {MALLORY}", f"X-From: {ANNA}", f"Resent-From: {ANNA}", f"Apparently-From: {ANNA}"
    ),
}


@pytest.fixture
def court() -> Court:
    dns = Zone()
    people(dns)
    for domain in (f"lab.example.{GROUND}", f"any.{GROUND}", f"a.{GROUND}"):
        publish(dns, domain, "s1", ed25519_key(ATTACKER))
        dns.add(domain, "TXT", f"v=spf1 ip4:{ELSEWHERE} -all")
    return Court(dns)


@pytest.mark.parametrize("how", ENVELOPES)
async def test_no_envelope_makes_a_mail_the_victims(court: Court, how: str) -> None:
    attack = ENVELOPES[how]
    sender = attack.sender.strip("<>")
    verdict = await court.judge(attack.mail, sender=sender, helo=attack.helo)
    assert (verdict.author, verdict.strength) == (ANNA, Strength.NONE)
    assert not verdict.temporary


@pytest.mark.parametrize("how", KEYS)
async def test_no_signature_makes_a_mail_the_victims(court: Court, how: str) -> None:
    try:
        verdict = await court.judge(KEYS[how], sender=MALLORY, helo=GROUND)
    except MailRefused:
        return
    assert (verdict.author, verdict.strength) == (ANNA, Strength.NONE)
    assert not verdict.temporary
    assert not [name for name in court.dns.questions if set(name) & set(ODD)]


@pytest.mark.parametrize("how", READINGS)
async def test_a_from_of_two_readings_is_refused(court: Court, how: str) -> None:
    with pytest.raises(MailRefused) as refusal:
        await court.judge(READINGS[how], sender=MALLORY, helo=GROUND)
    assert refusal.value.reply.startswith(("550 5.7.1 The sender", "550 5.6.0 This mail"))


@pytest.mark.parametrize("how", SHOWN)
async def test_who_is_only_shown_has_not_written(court: Court, how: str) -> None:
    verdict = await court.judge(SHOWN[how], sender=MALLORY, helo=GROUND)
    assert (verdict.author, verdict.strength) == (MALLORY, Strength.SIGNED)


@pytest.mark.parametrize(
    "lines",
    [
        ("From: mallory@lab.example", f"From: {ANNA}"),
        (f"From: mallory@lab.example, {ANNA}",),
        (f"From: {ANNA}, mallory@lab.example", "Sender: mallory@lab.example"),
        (f"From: <mallory@lab.example>{ANNA}",),
        (f"From: mallory@lab.example <{ANNA}>",),
    ],
)
async def test_a_colleague_at_the_victims_own_provider_gains_nothing_by_a_second_author(
    court: Court, lines: tuple[str, ...]
) -> None:
    """The provider signs what its user has written, and its own server sends it."""
    mail = sign(headed(*lines), "lab.example", "s1", ed25519_key(LAB))
    with pytest.raises(MailRefused):
        await court.judge(mail, peer=LAB_IP, sender="mallory@lab.example")


@pytest.mark.parametrize(
    "other",
    [
        "anna+x@lab.example", "an.na@lab.example", "anna.@lab.example", "аnna@lab.example",
        "anna@läb.example", "anna@xn--lb-via.example", "anna@1ab.example", "anna@lab.examp1e",
        "anna@ｌab.example", "anna@lab.example.attack.example", "anna@lab\u00ad.example",
        "anna\u200b@lab.example", "anna@lab。example", "“anna”@lab.example",
    ],
)  # fmt: skip
async def test_whoever_writes_from_another_form_is_somebody_else(court: Court, other: str) -> None:
    court.dns.add("lab.example", "TXT", "ignored")
    mail = signed(written(From=other))
    try:
        verdict = await court.judge(mail, peer=LAB_IP)
    except MailRefused:
        return
    assert verdict.author == other.lower() != ANNA
    if not other.endswith("@lab.example"):
        assert verdict.strength is Strength.NONE


@pytest.mark.parametrize("same", ["ANNA@LAB.EXAMPLE", "Anna@Lab.Example", "anna@LAB.example"])
async def test_capitals_do_not_matter(court: Court, same: str) -> None:
    verdict = await court.judge(signed(written(From=same)))
    assert (verdict.author, verdict.strength) == (ANNA, Strength.SIGNED)


# ---------------------------------------------------------------- at the real door


@pytest.fixture
async def door(house: House, dns: FakeDns) -> AsyncIterator[Listening]:
    people(dns)
    async with door_with(house, trusted_clients="") as listening:
        yield listening


async def test_none_of_it_comes_in_by_smtp(door: Listening) -> None:
    plain = {**KEYS, **READINGS}
    attacks = [*ENVELOPES.values(), *(Attack(mail) for mail in plain.values())]
    for attack in attacks:
        async with door.client(greet=False, source=attack.peer) as client:
            await client.ask(f"EHLO {attack.helo}")
            for line in (f"MAIL FROM:{attack.sender}", f"RCPT TO:<{SHARE}>", "DATA"):
                reply = await client.ask(line)
                if reply[0] == "5":
                    break
            else:
                dots = attack.mail.replace(b"\r\n.", b"\r\n..")
                reply = await client.ask(dots + b".\r\n")
        assert reply[:3] in ("550", "553", "501", "552"), (attack, reply)
    await door.nothing_is_left()


# ---------------------------------------------------------------- at random

PIECES = [
    *'<>()"\\,;:@.=?% \t\0\x7f', "\r\n ", "\r\n", "From:", "From: ", "\r\nFrom: ", "\r\nfrom : ",
    ANNA, f"<{ANNA}>", MALLORY, "lab.example", GROUND, "=?utf-8?q?anna?=", "é", "\u212a", "\udcff",
    "scans.example", RELAY, "\r\nAuthentication-Results: ", "; spf=pass smtp.mailfrom=", "; dmarc=pass",
    " header.from=lab.example", "\r\nReceived: from x by mx.scans.example with ESMTP; now", "; d=", "; s=",
    "; h=from:to:subject:date", "; l=0", "; i=@lab.example", "; t=y", "; bh=", "; b=", "xn--", "::",
    f"\r\nTo: {SHARE}", f"\r\nCc: {SHARE}", "\r\nDKIM-Signature: v=1; d=lab.example", "i=1", "cv=none",
]  # fmt: skip
GROUNDS = [
    written(),
    written(From=f"{MALLORY}"),
    own(written()),
    own(written(From=f"{MALLORY}")),
    signed(written(To="other@elsewhere.example")),
    signed(signed(written(To=f'"{SHARE}" <other@elsewhere.example>')), GROUND, ATTACKER),
    stamped(written(), f"spf=pass smtp.mailfrom={ANNA}"),
    stamped(written(), "dmarc=pass header.from=lab.example", "scans.example"),
    seal(written(), GROUND, "s1", ed25519_key(ATTACKER), results=TOLD),
    signed(written(), length=0),
]


def mutated(chance: random.Random, mail: bytes) -> bytes:
    """Some of its header's bytes changed, cut, said twice or written over with what has a meaning."""
    header, _, body = mail.partition(b"\r\n\r\n")
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(header) + 1)
        end = min(len(header), at + chance.choice((0, 0, 1, 3, 20)))
        piece = chance.choice(PIECES).encode("utf-8", "surrogateescape")
        match chance.randrange(5):
            case 0:
                lines = header.split(b"\r\n")
                header = b"\r\n".join([*lines, chance.choice(lines)])
            case 1:
                lines = header.split(b"\r\n")
                chance.shuffle(lines)
                header = b"\r\n".join(lines)
            case 2:
                found = header.lower().find(b"from:") + 5
                header = header[:found] + piece + header[found:]
            case _:
                header = header[:at] + piece + header[end:]
    return header + b"\r\n\r\n" + body


def told(chance: random.Random) -> str:
    return "".join(chance.choice(PIECES) for _ in range(chance.randrange(5)))


def tries(chance: random.Random, count: int) -> Iterator[tuple[bytes, Mode]]:
    for _ in range(count):
        mail = mutated(chance, chance.choice(GROUNDS))
        mode = chance.choice(list(Mode))
        # A relay of ours writes its own results on top of whatever comes.
        yield (mail if mode is Mode.MX else stamped(mail, "spf=fail smtp.mailfrom=x@y.z")), mode


async def test_nothing_that_chance_writes_is_ever_the_victims(court: Court) -> None:
    chance = random.Random(4)
    court.authserv_id, court.sealers = RELAY, frozenset({"lists.example"})
    begun, refused = process_time(), 0
    seen = set()
    for mail, mode in tries(chance, 8000):
        sender, helo = told(chance) or MALLORY, told(chance)
        to = (SHARE, *([f"share+{'a' * 26}@scans.example"] * chance.randrange(2)))
        try:
            verdict = await court.judge(mail, sender=sender, helo=helo, mode=mode, to=to)
        except MailRefused:
            refused += 1
            continue
        seen.add((verdict.author == MALLORY, verdict.strength))
        victim = verdict.author.rpartition("@")[2].endswith("lab.example")
        assert not victim or verdict.strength is Strength.NONE, (mail, sender, helo, mode, verdict)
    assert process_time() - begun < 8
    assert 500 < refused < 7500  # both ways are gone often
    assert {(True, Strength.SIGNED), (True, Strength.SENT), (True, Strength.NONE)} <= seen
