"""What strangers write to gain what is not theirs: the verdict, results of checks, commands, reports.

The attacker owns attacker.example with keys, SPF and all, and may send from 192.0.2.66; the victim's
domain publishes what a careful one does. Whatever is written, nothing may speak for the victim.
"""

import asyncio
from functools import cache
from pathlib import Path

from inbound.auth.bodyhash import RELAXED, SIMPLE
from inbound.auth.dns import NOTHING, Answer
from inbound.auth.envelope import Envelope, Mode
from inbound.auth.judge import Judge
from inbound.auth.results import believed, read_results
from inbound.auth.verdict import Trust
from inbound.mail.parts import split
from inbound.mail.quotes import visible
from inbound.mail.text import note_of, text_of_html
from inbound.talk.grammar import Said, find_order_below, read_order, read_reply
from inbound.talk.reports import read_bounce, read_complaint
from store.errors import MailRefused, Refusal
from store.states import Strength
from tests.signing import record, rsa_key, sign, streamed

NOW = 1_795_338_000_000
OURS = "scans.example"
VERBS = frozenset({"STATUS", "LIST", "EXTEND", "RESEND", "REVOKE", "DELETE", "ADD", "HELP", "2FA"})
TALK = Path(__file__).parents[1] / "talk"
HEADER = (
    b"From: Eve <eve@attacker.example>\r\nTo: share@scans.example\r\nSubject: STATUS\r\n"
    b"Date: Sun, 22 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@attacker.example>\r\n"
)
BODY = b"STATUS\r\n"


class Zones:
    """A resolver inside the process, with two domains."""

    def __init__(self) -> None:
        self.texts = {
            "attacker.example": (b"v=spf1 ip4:192.0.2.66 -all",),
            "s._domainkey.attacker.example": (record(rsa_key()).encode(),),
            "_dmarc.attacker.example": (b"v=DMARC1; p=none",),
            "lab.example": (b"v=spf1 ip4:198.51.100.1 -all",),
            "_dmarc.lab.example": (b"v=DMARC1; p=reject; adkim=r; aspf=r",),
        }

    async def txt(self, name: str) -> Answer:
        found = self.texts.get(name.lower().rstrip("."))
        return Answer(found, exists=True) if found else NOTHING

    async def a(self, _name: str) -> Answer:
        return Answer(("192.0.2.66",), exists=True)

    async def aaaa(self, _name: str) -> Answer:
        return NOTHING

    async def mx(self, _name: str) -> Answer:
        return NOTHING

    async def ptr(self, _address: str) -> Answer:
        return Answer(("mail.lab.example",), exists=True)


@cache
def judge() -> Judge:
    sealers = frozenset({"trusted.example"})
    return Judge(Zones(), Trust([], frozenset()), OURS, "mx.relay.example", sealers)


def check_verdict(data: bytes) -> None:
    """One byte says the door, then comes the header."""
    mode = (Mode.MX, Mode.RELAY, Mode.IMAP)[(data or b"\0")[0] % 3]
    header, hashes = data[1:], streamed(HEADER + b"\r\n" + BODY)[1]
    hashes = {**dict.fromkeys((SIMPLE, RELAXED), b""), **hashes}
    envelope = Envelope(
        "192.0.2.66", "eve@attacker.example", [f"share@{OURS}"], helo="attacker.example", mode=mode
    )
    try:
        verdict = asyncio.run(judge().judge(header, hashes, envelope, NOW))
    except MailRefused:
        return
    # What a named server has said is believed: only the doors that name one are told so.
    if verdict.strength is not Strength.NONE and mode is Mode.MX:
        domain = verdict.author.rpartition("@")[2]
        assert domain == "attacker.example" or domain.endswith(".attacker.example"), verdict


def verdicts() -> list[bytes]:
    signed = sign(HEADER + b"\r\n" + BODY, "attacker.example", "s", rsa_key()).partition(
        b"\r\n\r\n"
    )[0]
    forged = signed.replace(b"eve@attacker.example", b"anna@lab.example") + b"\r\n"
    results = b"Authentication-Results: scans.example; dmarc=pass header.from=lab.example\r\n"
    relayed = (
        b"Authentication-Results: mx.relay.example; spf=pass smtp.mailfrom=attacker.example\r\n"
    )
    received = b"Received: from x by mx.relay.example; Sun, 22 Nov 2026 09:00:00 +0000\r\n"
    blocks = [
        signed + b"\r\n",
        forged,
        results + forged,
        relayed + received + signed + b"\r\n",
        signed + b"\r\nFrom: anna@lab.example\r\n",
        b"From: anna@lab.example\r\n" + signed + b"\r\n",
        b"Sender: anna@lab.example\r\n" + signed + b"\r\n",
        signed.replace(b"d=attacker.example", b"d=lab.example") + b"\r\n",
    ]
    return [bytes([number]) + block for block in blocks for number in range(3)]


def check_results(data: bytes) -> None:
    read_results(data)
    told = believed(data, "mx.relay.example")
    assert told.forged >= 0


def results() -> list[bytes]:
    said = [
        b"mx.relay.example; spf=pass smtp.mailfrom=lab.example; dmarc=pass header.from=lab.example",
        b'mx.relay.example 1; spf=pass (a (b) "c") smtp.mailfrom="x;dmarc=pass"@lab.example',
        b"mx.relay.example; none",
        b"mx.google.com; dkim=pass header.i=@lab.example header.s=s header.b=a/b+c=",
    ]
    return said + [b"Authentication-Results: " + one + b"\r\nReceived: by x\r\n" for one in said]


def check_said(data: bytes) -> None:
    """A command stands on the first line that is no banner, and reads as the same order again."""
    text = data.decode("utf-8", "replace")
    reading = read_reply(text, VERBS)
    note_of(text)
    text_of_html(text)
    find_order_below(text)
    if reading.said is not Said.COMMAND:
        return
    assert reading.order
    assert read_order(reading.order.line) is not None, reading
    assert any(visible(line).strip() for line in text.splitlines())
    assert not reading.line.startswith(">")


def said() -> list[bytes]:
    shapes = [path.read_bytes() for path in sorted((TALK / "replies").glob("*"))]
    lines = [
        "REVOKE",
        "*Delete* C-1042\nCODE 123456",
        "> REVOKE",
        "[EXTERNAL]\n\nSTATUS",
        "延长7天",
    ]
    return [*shapes, *(line.encode() for line in lines)]


def check_report(data: bytes) -> None:
    held = Mail(data)
    try:
        root = split(held)
        read_bounce(held, root, "")
        read_complaint(held, root)
    except Refusal:
        return


class Mail:
    """Bytes as windows."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> bytes:
        return self.data[start:end]


def reports() -> list[bytes]:
    found = sorted((TALK / "reports").glob("*.eml"))
    return [path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for path in found]
