"""The SMTP listener: aiosmtpd for the commands, our own DATA (RFC 5321).

aiosmtpd keeps a mail in memory, cuts an active sender off after a total time, cancels the handler
when a client half-closes, and tells a client about our faults; each override here says which of
these it mends. tests/test_door_contract.py fails when an update moves the hooks used.
"""

import asyncio
import contextlib
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import structlog
from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Envelope as AiosmtpdEnvelope
from aiosmtpd.smtp import Session as AiosmtpdSession

from inbound.door.receive import Arriving, Envelope, Receiver
from inbound.door.sink import too_large_sentence
from store.errors import MailRefused
from store.settings import host_and_port

RECIPIENTS = 10  # a dialogue; RFC 5321 4.5.3.1.8 asks for 100, but ours are one service's
ERRORS = 10  # bad commands before a client is sent away
IDLE = 180.0  # seconds without a byte
SLOWEST = 4096  # bytes a second, measured from the second minute of DATA on
PATIENCE = 60.0  # seconds before the slowest rate counts
READ_AT_ONCE = 1 << 18
LONGEST_LINE = 1 << 16  # of a command whose end does not come
CONNECTIONS = 200
CONNECTIONS_A_CLIENT = 20

log = structlog.get_logger()
# One line for each line of a mail, and addresses at INFO: not in our logs.
logging.getLogger("mail.log").setLevel(logging.ERROR)

# RFC 2034: once advertised, replies carry an enhanced code; these are for aiosmtpd's own.
_ENHANCED = {
    "221": "2.0.0", "250": "2.0.0", "252": "2.0.0", "421": "4.3.0", "451": "4.3.0",
    "500": "5.5.2", "501": "5.5.4", "502": "5.5.1", "503": "5.5.1", "530": "5.7.0",
    "552": "5.3.4", "553": "5.1.3", "554": "5.5.0", "555": "5.5.4",
}  # fmt: skip
_HAS_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3} ")


class Turnstile:
    """Counts the connections that are in, in all and of each client."""

    def __init__(self) -> None:
        self.inside: Counter[str] = Counter()

    def enter(self, peer: str) -> bool:
        if self.inside.total() >= CONNECTIONS or self.inside[peer] >= CONNECTIONS_A_CLIENT:
            return False
        self.inside[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        self.inside[peer] -= 1
        if not self.inside[peer]:
            del self.inside[peer]


class SmtpDoor:
    """Listens until `close`; then finishes the commits that are under way."""

    def __init__(self, receiver: Receiver, listen: str, hostname: str, limit: int) -> None:
        self.receiver = receiver
        self.host, self.port = host_and_port(listen)
        self.hostname = hostname
        self.limit = limit
        self.turnstile = Turnstile()
        self.dialogues: set[Dialogue] = set()
        self.server: asyncio.Server | None = None

    async def open(self) -> int:
        """Begins to listen; returns the port."""
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(self._dialogue, self.host, self.port, backlog=256)
        self.port = self.server.sockets[0].getsockname()[1]
        return self.port

    async def close(self) -> None:
        if self.server is None:
            return
        self.server.close()
        commits = [d.committing for d in self.dialogues if d.committing]
        if commits:
            await asyncio.wait(commits, timeout=30)
        for dialogue in list(self.dialogues):
            dialogue.hang_up()
        await asyncio.sleep(0)  # lets the cancelled dialogues remove their unfinished files

    def _dialogue(self) -> "Dialogue":
        return Dialogue(self)


class _Hooks:
    """What aiosmtpd asks between its own checks and its reply."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd finds hooks by these names
        self,
        _server: SMTP,
        session: AiosmtpdSession,
        _envelope: AiosmtpdEnvelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        more = ["250-PIPELINING", "250-ENHANCEDSTATUSCODES"]
        return [*responses[:-1], *more, responses[-1]]

    async def handle_MAIL(  # noqa: N802
        self,
        _server: SMTP,
        _session: AiosmtpdSession,
        envelope: AiosmtpdEnvelope,
        address: str,
        options: list[str],
    ) -> str:
        try:
            self.receiver.check_room()
        except MailRefused as refusal:
            return refusal.reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender noted"

    async def handle_RCPT(  # noqa: N802
        self,
        server: "Dialogue",
        _session: AiosmtpdSession,
        envelope: AiosmtpdEnvelope,
        address: str,
        _options: list[str],
    ) -> str:
        if len(envelope.rcpt_tos) >= RECIPIENTS:
            return f"452 4.5.3 No more than {RECIPIENTS} recipients in one mail"
        try:
            await self.receiver.check_recipient(address, server.peer)
        except MailRefused as refusal:
            return refusal.reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient noted"


class _Commands(dict[str, Any]):
    """Answers for unknown commands too: aiosmtpd's own count ends in 502, not in 421."""

    def __init__(self, known: dict[str, Any], unknown: Callable[..., Any]) -> None:
        super().__init__(known)
        self.unknown = unknown

    def get(self, command: str, default: Any = None) -> Any:
        return super().get(command, default or self.unknown)


class Dialogue(SMTP):
    """One client's connection."""

    def __init__(self, door: SmtpDoor) -> None:
        super().__init__(
            _Hooks(door.receiver),
            data_size_limit=door.limit,
            enable_SMTPUTF8=True,
            hostname=door.hostname,  # else aiosmtpd asks DNS, blocking, for each connection
            ident="scanpost",
            timeout=IDLE,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
            loop=asyncio.get_running_loop(),
        )
        # aiosmtpd keeps these in the class: each EHLO of anybody would lengthen everybody's.
        # Unknown commands are asked for here too, before they are answered as such.
        self.command_size_limits = defaultdict(lambda: 512, {"MAIL": 1024, "RCPT": 1024})
        self._smtp_methods = _Commands(self._smtp_methods, self._unknown)
        self.door = door
        self.errors = 0
        self.committing: asyncio.Future[str] | None = None
        self.receiving = False
        self.unended = 0  # bytes of a command line whose end has not come
        self.peer = ""

    @property
    def max_command_size_limit(self) -> int:
        return 1024

    async def push(self, status: str) -> None:  # type: ignore[override]
        """Sends a reply, with an enhanced code; ends the dialogue after too many errors."""
        if self.transport is None or self.transport.is_closing():
            # aiosmtpd goes on until the connection is lost, which may wait for a client that reads nothing.
            raise ConnectionResetError
        code, rest = status[:3], status[4:]
        if status[3:4] == " " and code in _ENHANCED and not _HAS_ENHANCED.match(rest):
            helo = rest in (self.hostname, "HELP")  # RFC 2034 3: not in greetings
            status = status if helo else f"{code} {_ENHANCED[code]} {rest}"
        if code[0] == "5":
            self.errors += 1
        if self.errors > ERRORS:
            status = "421 4.7.0 Too many errors, closing"
        await super().push(status.encode("ascii", "replace"))
        if status.startswith("421"):
            self.hang_up()

    async def handle_exception(self, error: Exception) -> str:
        """Aiosmtpd answers a fault of ours with 500 and its text: the sender would give up."""
        if isinstance(error, asyncio.IncompleteReadError):
            self.hang_up()
            return "421 4.4.2 Connection lost"
        log.error("smtp dialogue failed", error=repr(error))
        return "451 4.3.0 This server has a problem of its own. Try again later."

    def hang_up(self) -> None:
        """Ends the dialogue; commands that were pipelined behind are not carried out."""
        if self.transport is not None:
            self._reader._buffer.clear()  # type: ignore[attr-defined]  # noqa: SLF001
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Aiosmtpd waits for the end of a command line for ever and says nothing."""
        if not self.receiving:
            self.unended = 0 if b"\n" in data else self.unended + len(data)
            if self.unended > LONGEST_LINE and self.transport is not None:
                self.transport.write(b"500 5.5.2 Command line too long\r\n")  # type: ignore[attr-defined]
                self.hang_up()
                return
        super().data_received(data)

    def eof_received(self) -> bool | None:
        """A client that has said all it wants still gets its answers.

        Aiosmtpd would cancel the dialogue, with commands unread and a commit perhaps under way. Here
        the reader's end does it: the next read of a command or of DATA finds it.
        """
        return asyncio.StreamReaderProtocol.eof_received(self)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 -- aiosmtpd's names
        size = re.search(r"\sSIZE=(\d{1,20})(?:\s|$)", arg or "", re.IGNORECASE)
        if size and int(size[1]) > self.door.limit:
            await self.push(f"552 5.3.4 {too_large_sentence(self.door.limit)}")
            return
        await super().smtp_MAIL(arg)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        if await self.check_helo_needed():
            return
        assert self.envelope is not None
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Name a recipient first (RCPT TO)")
            return
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
            return
        arriving = self.door.receiver.open()
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._receive(arriving)
            await self._finish(arriving)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 -- said to the client, written to the log
            await self.push(await self.handle_exception(error))
            self.hang_up()  # where the mail ends is not known: its rest must not act as commands
        finally:
            arriving.spool.abort()

    async def _unknown(self, _arg: str | None) -> None:
        await self.push("500 5.5.1 This command is not known here")

    async def _handle_client(self) -> None:
        assert self.session is not None
        self.peer = str((self.session.peer or ("",))[0])
        self.door.dialogues.add(self)
        try:
            if not self.door.turnstile.enter(self.peer):
                await self.push("421 4.7.0 Too many connections. Try again in a minute.")
                return
            try:
                with contextlib.suppress(ConnectionError):
                    await super()._handle_client()
            finally:
                self.door.turnstile.leave(self.peer)
        finally:
            self.door.dialogues.discard(self)

    async def _receive(self, arriving: Arriving) -> None:
        """Feeds the sink until the end mark; commands pipelined behind it stay to be read."""
        reader: Any = self._reader
        # aiosmtpd's limit is one line: the transport would be paused every 2 KB.
        reader._limit = READ_AT_ONCE  # noqa: SLF001 -- watched by the contract test
        self.receiving = True
        started = self.loop.time()
        touched = started
        try:
            while True:
                chunk = await reader.read(READ_AT_ONCE * 2)
                if not chunk:
                    raise ConnectionResetError
                now = self.loop.time()
                if now - touched > 1:
                    self._check_pace(arriving, now - started)
                    touched = now
                rest = arriving.sink.feed(chunk)
                if rest is not None:
                    break
        finally:
            self.receiving = False
            reader._limit = self.line_length_limit  # noqa: SLF001
        if rest:
            reader._buffer[:0] = rest  # noqa: SLF001 -- they came before what is buffered now
        self._reset_timeout()

    def _check_pace(self, arriving: Arriving, seconds: float) -> None:
        """Aiosmtpd's timer is a total for DATA; ours runs while nothing comes, or too little."""
        too_slow = seconds > PATIENCE and arriving.sink.size / seconds < SLOWEST
        # What is over the limit is read to its end for the sake of the 552, but not for ever.
        if too_slow or arriving.sink.size > 2 * self.door.limit:
            raise ConnectionResetError
        self._reset_timeout(IDLE)

    async def _finish(self, arriving: Arriving) -> None:
        assert self.envelope is not None
        sender = (self.envelope.mail_from or "").strip("<>")
        envelope = Envelope(self.peer, sender, list(self.envelope.rcpt_tos))
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        commit = asyncio.ensure_future(self.door.receiver.commit(arriving, envelope))
        self.committing = commit
        try:
            # A client that hangs up must not tear a commit apart.
            mail_id = await asyncio.shield(commit)
        except MailRefused as refusal:
            await self.push(refusal.reply)
            if refusal.enhanced == "5.6.0":  # what follows such a mail may be smuggled commands
                self.hang_up()
            return
        except asyncio.CancelledError:
            await asyncio.wait([commit])
            raise
        finally:
            if commit.done():
                self.committing = None
        await self.push(f"250 2.0.0 Taken as {mail_id}")
