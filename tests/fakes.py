"""The outside of scanpost in small: a mailbox that really speaks SMTP, and a designer who does too."""

import asyncio
import email
import re
import smtplib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.policy import default
from email.utils import make_msgid
from typing import Any

from aiosmtpd.smtp import SMTP

DOMAIN = "scans.example"
ANNA, BEN, KIM = "anna@lab.example", "ben@lab.example", "kim@clinic.example"
STRANGER = "eve@other.example"
PATIENCE = 60.0  # seconds before a test gives up waiting


class Inbox:
    """A receiving SMTP server: every letter that scanpost sends arrives here.

    `answers` maps a recipient to the replies of its next deliveries, such as ["451 4.3.0 later"].
    """

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.arrived = asyncio.Condition()
        self.answers: dict[str, list[str]] = defaultdict(list)
        self.attempts: list[tuple[str, str]] = []  # recipient, Message-ID
        self.server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        make = lambda: SMTP(self, hostname="inbox", loop=loop, data_size_limit=None)  # noqa: E731
        self.server = await loop.create_server(make, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self.server is not None
        self.server.close()
        await self.server.wait_closed()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        letter = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(letter, EmailMessage)
        letter["X-Envelope-From"] = envelope.mail_from or ""
        letter["X-Envelope-To"] = envelope.rcpt_tos[0]
        self.attempts.append((envelope.rcpt_tos[0], str(letter["Message-ID"])))
        waiting = self.answers[envelope.rcpt_tos[0]]
        async with self.arrived:
            if not waiting:
                self.letters.append(letter)
            self.arrived.notify_all()
        return waiting.pop(0) if waiting else "250 2.0.0 kept"

    async def wait_for(self, enough: Callable[[list[EmailMessage]], bool]) -> None:
        """Waits until the letters that have arrived are enough; the caller sets the time limit."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: enough(self.letters))

    async def attempted(self, to: str, times: int, within: float = 0.5) -> bool:
        """Whether a recipient's letters have been brought so many times, waited for a moment."""

        def enough() -> bool:
            return sum(1 for recipient, _ in self.attempts if recipient == to) >= times

        try:
            async with asyncio.timeout(within), self.arrived:
                await self.arrived.wait_for(enough)
        except TimeoutError:
            return False
        return True

    async def letter(self, kind: str, to: str | None = None, count: int = 1) -> EmailMessage:
        """The `count`-th letter of a kind, waited for."""

        def found() -> list[EmailMessage]:
            return [
                letter
                for letter in self.letters
                if letter["X-Scanpost-Kind"] == kind and to in (None, letter["X-Envelope-To"])
            ]

        try:
            async with asyncio.timeout(PATIENCE):
                await self.wait_for(lambda _: len(found()) >= count)
        except TimeoutError:
            kinds = [(one["X-Scanpost-Kind"], one["X-Envelope-To"]) for one in self.letters]
            raise AssertionError(f"no letter {kind!r} to {to}; there are {kinds}") from None
        return found()[count - 1]


def text_of(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def html_of(letter: EmailMessage) -> str:
    body = letter.get_body(("html",))
    assert body is not None
    return str(body.get_content())


def picture_of(letter: EmailMessage) -> bytes | None:
    for part in letter.walk():
        if part.get_content_type() == "image/jpeg":
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            return payload
    return None


def link_of(letter: EmailMessage) -> str:
    found = re.search(r"http\S+/r/[a-z2-7]{26}", text_of(letter))
    assert found, text_of(letter)
    return found[0]


def mail(
    subject: str,
    body: str = "",
    files: dict[str, bytes] | None = None,
    *,
    sender: str = ANNA,
    to: str = f"share@{DOMAIN}",
    headers: dict[str, str] | None = None,
) -> EmailMessage:
    """A mail as a designer's program writes it."""
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Message-ID"] = make_msgid(domain=sender.partition("@")[2])
    message["Date"] = "Sun, 22 Nov 2026 09:00:00 +0000"
    for name, value in (headers or {}).items():
        message[name] = value
    message.set_content(body or "\n")
    for name, data in (files or {}).items():
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return message


def reply(letter: EmailMessage, line: str, sender: str = ANNA) -> EmailMessage:
    """A reply to one of our letters, quoting it, as mail programs do."""
    quoted = "\n".join(f"> {row}" for row in text_of(letter).splitlines())
    message = mail(
        f"Re: {letter['Subject']}",
        f"{line}\n\nOn Sun, 22 Nov 2026, scanpost wrote:\n{quoted}\n",
        sender=sender,
        to=str(letter["Reply-To"]),
    )
    message["In-Reply-To"] = str(letter["Message-ID"])
    return message


def reply_with(
    letter: EmailMessage, note: str, files: dict[str, bytes], sender: str = ANNA
) -> EmailMessage:
    """A reply that brings files."""
    message = mail(
        f"Re: {letter['Subject']}", note, files, sender=sender, to=str(letter["Reply-To"])
    )
    message["In-Reply-To"] = str(letter["Message-ID"])
    return message


@dataclass
class Postman:
    """Sends mails over real SMTP; blocking work runs in a thread."""

    port: int
    sent: list[str] = field(default_factory=list)

    async def send(self, message: EmailMessage | bytes, sender: str | None = None) -> str:
        """Sends a mail; returns the reply to DATA. Raises smtplib's errors on a refusal."""
        return await asyncio.get_running_loop().run_in_executor(None, self._send, message, sender)

    def _send(self, message: EmailMessage | bytes, sender: str | None) -> str:
        if isinstance(message, EmailMessage):
            data, to = message.as_bytes(), [str(message["To"])]
            sender = str(message["From"]) if sender is None else sender
        else:
            data, to, sender = message, [f"share@{DOMAIN}"], sender or ANNA
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            client.ehlo("lab.example")
            client.mail(sender, [f"SIZE={len(data)}"])
            for recipient in to:
                code, answer = client.rcpt(recipient)
                if code >= 400:
                    raise smtplib.SMTPResponseException(code, answer)
            code, answer = client.data(data)
            if code >= 400:
                raise smtplib.SMTPResponseException(code, answer)
            return answer.decode()
