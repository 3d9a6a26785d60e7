"""The dialogue without sockets, and a client that follows its replies to the letter.

The client knows nothing of the server: from the bytes it said and the replies it got, it works out
which of them were commands and which were mail. Where the two disagree, mail could be smuggled.
"""

import asyncio
import contextlib
import random
import re
from typing import Any

from inbound.auth.verdict import Trust
from inbound.door.dialogue import Dialogue, Hooks
from inbound.door.lmtp import LmtpDialogue
from inbound.door.sink import MailSink
from inbound.door.turnstile import Turnstile
from store.errors import MailRefused
from tests.test_door_sink import Kept, reference

LIMIT = 8_192
LONGEST_COMMAND = 500  # bytes; a longer BDAT is not understood, and its chunk not eaten
_LINE = re.compile(rb"[2-5]\d\d[ -][ -~]*\r\n")
_CHUNK = re.compile(rb"([0-9]{1,20})([ \t]+LAST)?", re.IGNORECASE)
_ENDED = (b"421", b"221")


class Wire(asyncio.Transport):
    """The server's end of a connection that is nowhere."""

    def __init__(self, dialogue: Dialogue) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.dialogue = dialogue
        self.said = b""
        self.closed = False
        self.paused = False

    def write(self, data: Any) -> None:
        assert not self.closed, "a reply behind the end"
        self.said += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.dialogue.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Coming:
    """A mail that comes: what the door calls Arriving, in memory."""

    def __init__(self, receiver: "Memory") -> None:
        self.kept = Kept()
        self.sink = MailSink(self.kept, LIMIT)
        self.receiver = receiver
        self.looked_at = False
        receiver.coming.append(self)

    def abort(self) -> None:
        if self in self.receiver.coming:
            self.receiver.coming.remove(self)


class Memory:
    """A receiver that keeps mails in memory, refuses some, and breaks at others."""

    limit = LIMIT
    trust = Trust([], frozenset())

    def __init__(self) -> None:
        self.coming: list[Coming] = []
        self.mails: list[tuple[bytes, list[str]]] = []

    def check_room(self) -> None:
        return

    async def check_recipient(self, address: str, _others: object = ()) -> None:
        await asyncio.sleep(0)
        if address.lower() != "share@scans.example":
            raise MailRefused(550, "5.1.1", f"There is no address {address} here.")

    def open(self, _recipients: object) -> Coming:
        return Coming(self)

    async def look_at_header(self, coming: Coming, _envelope: object) -> None:
        coming.looked_at = True

    async def commit(self, coming: Coming, envelope: Any) -> str:
        await asyncio.sleep(0)
        if coming.sink.problem:
            raise coming.sink.problem
        if b"X-Break" in coming.sink.header:
            raise RuntimeError("broken on purpose")
        if b"X-Refuse" in coming.sink.header:
            raise MailRefused(550, "5.7.1", "Refused on purpose.")
        self.mails.append((coming.kept.data, envelope.recipients))
        return f"{len(self.mails)}"


def check_talk(data: bytes) -> None:
    seed, kind, said = (data + b"\0\0")[0], (data + b"\0\0")[1] % 2, data[2:]
    at_once = asyncio.run(_talk(said, 0, kind))
    in_packets = asyncio.run(_talk(said, seed, kind))
    assert at_once == in_packets, "packets make a difference"
    replies, mails = at_once
    assert _followed(said, list(replies), lmtp=bool(kind)) == [mail for mail, _ in mails]
    for mail, recipients in mails:
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", mail)
        assert len(mail) <= LIMIT
        assert 1 <= len(recipients) <= 10


async def _talk(
    said: bytes, seed: int, kind: int
) -> tuple[list[bytes], list[tuple[bytes, list[str]]]]:
    """The replies to all that a client says, and the mails that were taken."""
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, about: complaints.append(about))
    receiver, dialogues, turnstile = Memory(), set[Dialogue](), Turnstile()
    make = (Dialogue, LmtpDialogue)[kind]
    dialogue = make(Hooks(receiver), dialogues, turnstile, "scans.example")  # type: ignore[arg-type]
    wire = Wire(dialogue)
    dialogue.connection_made(wire)
    await _feed(dialogue, wire, said, seed)
    if not wire.closed:
        dialogue.eof_received()
    await asyncio.wait([dialogue._handler_coroutine])
    await asyncio.sleep(0)
    assert wire.closed, "the dialogue has ended, but not the connection"
    assert not receiver.coming, "a mail was neither committed nor given up"
    assert not dialogues
    assert not turnstile.inside
    assert not complaints, complaints
    return _replies(wire.said), receiver.mails


async def _feed(dialogue: Dialogue, wire: Wire, said: bytes, seed: int) -> None:
    chance = random.Random(seed)
    while said and not wire.closed:
        if wire.paused:
            await asyncio.sleep(0)
            continue
        size = chance.choice((1, 1, 2, 3, 7, 40, 700)) if seed else len(said)
        dialogue.data_received(said[:size])
        said = said[size:]
        if seed and chance.random() < 0.3:
            await asyncio.sleep(0)


def _replies(said: bytes) -> list[bytes]:
    """Each reply as one; every line must be one that RFC 5321 4.2 knows."""
    replies, lines = [], b""
    while said:
        line = _LINE.match(said)
        assert line, said[:100]
        assert len(line[0]) <= 1_000  # RFC 5321 4.5.3.1.5 says 512; HELP lists all there is
        lines += line[0]
        said = said[line.end() :]
        if line[0][3:4] == b" ":
            replies.append(lines)
            lines = b""
    assert not lines
    return replies


def _followed(said: bytes, replies: list[bytes], *, lmtp: bool) -> list[bytes]:
    """The mails that were taken, as the client must understand the replies."""
    client = Client(said, replies, lmtp=lmtp)
    assert client.reply().startswith(b"220 ")
    with contextlib.suppress(EOFError):
        while True:
            client.take_command()
    assert not client.replies, client.replies
    return client.taken


class Client:
    """Goes through what was said and what was answered, side by side; EOFError where either ends."""

    def __init__(self, said: bytes, replies: list[bytes], *, lmtp: bool) -> None:
        self.said = said
        self.replies = replies
        self.lmtp = lmtp
        self.may_break = b"X-Break" in said
        self.recipients = 0
        self.chunks = b""
        self.taken: list[bytes] = []

    def reply(self) -> bytes:
        assert self.replies, self.said
        reply = self.replies.pop(0)
        assert self.may_break or not reply.startswith(b"451"), reply
        if reply.startswith(_ENDED):
            raise EOFError
        return reply

    def take_command(self) -> None:
        line, end, self.said = self.said.partition(b"\n")
        if not end:
            raise EOFError
        command, _, argument = line.rstrip(b"\r").partition(b" ")
        command = command.upper()
        reply = self.reply() if command != b"BDAT" or len(line) > LONGEST_COMMAND else None
        if reply is None:
            self._take_chunk(argument.strip())
            return
        if command == b"DATA" and reply.startswith(b"354"):
            self._take_data()
        elif command == b"RCPT" and reply.startswith(b"250"):
            self.recipients += 1
        elif command in (b"RSET", b"EHLO", b"HELO", b"LHLO") and reply.startswith(b"250"):
            self._forget()

    def _take_data(self) -> None:
        mail, rest = reference(self.said)
        if rest is None:
            raise EOFError
        self.said = rest
        self._take_mail(mail, self.reply())

    def _take_chunk(self, argument: bytes) -> None:
        found = _CHUNK.fullmatch(argument)
        size = int(found[1]) if found else 0
        if size > 2 * LIMIT or found is None:
            assert self.reply()[:3] == (b"552" if found else b"501")
            raise EOFError
        if size > len(self.said):
            if self.replies:  # it has been sent away at this command
                self.reply()
            raise EOFError
        chunk, self.said = self.said[:size], self.said[size:]
        reply = self.reply()
        if reply.startswith(b"503"):
            return
        if found[2]:
            self._take_mail(self.chunks + chunk, reply)
        elif reply.startswith(b"250"):
            self.chunks += chunk
        else:
            self._forget()
            _stop_after(reply)

    def _take_mail(self, mail: bytes, reply: bytes) -> None:
        for _ in range(self.recipients - 1 if self.lmtp else 0):
            assert self.reply() == reply
        if reply.startswith(b"250"):
            self.taken.append(mail)
        self._forget()
        _stop_after(reply)

    def _forget(self) -> None:
        self.recipients, self.chunks = 0, b""


def _stop_after(reply: bytes) -> None:
    if reply[4:9] == b"5.6.0":  # the server hangs up
        raise EOFError
