"""aiosmtpd's dialogue with its faults mended; what a mail server says in it is in dialogue.py.

aiosmtpd keeps a mail in memory, cuts an active sender off after a total time, cancels the handler
when a client half-closes, and tells a client about our faults; each override here says which of
these it mends. tests/test_door_contract.py fails when an update moves the hooks used.
"""

import asyncio
import contextlib
import logging
import re
import ssl
from collections import defaultdict
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, ClassVar

import structlog
from aiosmtpd.smtp import SMTP, TLSSetupException

from inbound.door.turnstile import Turnstile

ERRORS = 10  # bad commands before a client is sent away
COMMANDS = 200  # that a client may say between two mails
WITHOUT_MAIL = 600.0  # seconds that a client may stay without bringing a mail
IDLE = 180.0  # seconds without a byte
PROXY_WAIT = 5.0  # seconds for the first line of a listed proxy
FAREWELL = 30.0  # seconds for the last replies to be fetched
READ_AT_ONCE = 1 << 18
LONGEST_LINE = 1 << 16  # of a command whose end does not come

log = structlog.get_logger()
# One line for each line of a mail, addresses at INFO, and whatever a stranger writes for PROXY: not
# in our logs.
for noisy in ("mail.log", "mail.debug"):
    logging.getLogger(noisy).setLevel(logging.ERROR)

Command = Callable[[str | None], Awaitable[None]]
# RFC 2034: once advertised, replies carry an enhanced code; these are for aiosmtpd's own.
_ENHANCED = {
    "221": "2.0.0", "250": "2.0.0", "252": "2.0.0", "421": "4.3.0", "451": "4.3.0",
    "454": "4.7.0", "500": "5.5.2", "501": "5.5.4", "502": "5.5.1", "503": "5.5.1",
    "530": "5.7.0", "552": "5.3.4", "553": "5.1.3", "554": "5.5.0", "555": "5.5.4",
}  # fmt: skip
_PRINTABLE = bytes(code if 32 <= code < 127 else ord("?") for code in range(256))
_HAS_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3} ")


class _Commands(dict[str, Command]):
    """aiosmtpd looks every command up here, known or not: the one place to count them."""

    def __init__(
        self, known: dict[str, Command], choose: Callable[[Command | None], Command]
    ) -> None:
        super().__init__(known)
        self.choose = choose

    def get(self, command: str, _default: Any = None) -> Command:
        return self.choose(super().get(command))


class Guarded(SMTP):
    """One client's connection, within limits.

    Args:
        proxies: networks whose clients begin with a PROXY line that names the real client.
    """

    most_errors = ERRORS
    names: ClassVar[list[str]] = []

    def __init_subclass__(cls) -> None:
        members = {name for base in cls.__mro__ for name in vars(base)}
        cls.names = sorted(name for name in members if name.startswith("smtp_"))

    def __dir__(self) -> list[str]:
        """Aiosmtpd looks through all members of each new connection for its commands."""
        return self.names

    def __init__(
        self,
        hooks: object,
        turnstile: Turnstile,
        hostname: str,
        limit: int,
        tls: ssl.SSLContext | None,
        proxies: list[IPv4Network | IPv6Network],
        ident: str,
    ) -> None:
        super().__init__(
            hooks,
            data_size_limit=limit,
            enable_SMTPUTF8=True,
            hostname=hostname,  # else aiosmtpd asks DNS, blocking, for each connection
            ident=ident,
            timeout=IDLE,
            tls_context=tls,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
            loop=asyncio.get_running_loop(),
        )
        # aiosmtpd keeps these in the class: each EHLO of anybody would lengthen everybody's.
        self.command_size_limits = defaultdict(lambda: 512, {"MAIL": 1024, "RCPT": 1024})
        self._smtp_methods = _Commands(self._smtp_methods, self._choose)
        self.turnstile = turnstile
        self.proxies = proxies
        self.peer = ""
        self.inside = False
        self.errors = 0
        self.commands = 0  # since the last mail
        self.since = self.loop.time()  # the last mail, or the beginning
        self.receiving = False
        self.unended = 0  # bytes of a command line whose end has not come

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
        if self.errors > self.most_errors:
            status = "421 4.7.0 Too many errors, closing"
        # What a client wrote may stand in it; RFC 5321 4.2 allows no control characters.
        await super().push(status.encode("ascii", "replace").translate(_PRINTABLE))
        if status.startswith("421"):
            self.hang_up()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Aiosmtpd lets the library's parser stumble over half an address: "<a@", "a@"."""
        try:
            address, rest = super()._getaddr(arg)
        except Exception:  # noqa: BLE001 -- it stumbles in many ways
            return None, None
        return address, rest

    async def handle_exception(self, error: Exception) -> str:
        """Aiosmtpd answers a fault of ours with 500 and its text: the sender would give up."""
        if isinstance(error, asyncio.IncompleteReadError):
            self.hang_up()
            return "421 4.4.2 Connection lost"
        if isinstance(error, TLSSetupException):
            log.info("no TLS with this client", error=repr(error.__cause__))
            return "454 4.7.0 No TLS"  # which aiosmtpd does not send: it hangs up
        log.error("smtp dialogue failed", error=repr(error))
        return "451 4.3.0 This server has a problem of its own. Try again later."

    def hang_up(self) -> None:
        """Ends the dialogue; commands that were pipelined behind are not carried out."""
        if self.transport is not None:
            self._reader._buffer.clear()  # type: ignore[attr-defined]  # noqa: SLF001
            self.transport.close()
            self._reset_timeout(FAREWELL)

    def _timeout_cb(self) -> None:
        """Aiosmtpd closes, which waits for ever for a client that does not fetch its replies."""
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Aiosmtpd waits for the end of a command line for ever and says nothing."""
        if not self.receiving:
            # What comes behind commands that are not read yet may be a mail with long lines.
            unread = self._reader._buffer  # type: ignore[attr-defined]  # noqa: SLF001
            self.unended = 0 if b"\n" in data or b"\n" in unread else self.unended + len(data)
            if self.unended > LONGEST_LINE and self.transport is not None:
                self.transport.write(b"500 5.5.2 Command line too long\r\n")  # type: ignore[attr-defined]
                self.hang_up()
                return
        super().data_received(data)

    def eof_received(self) -> bool | None:
        """A client that has said all it wants still gets its answers.

        Aiosmtpd would cancel the dialogue, with commands unread and a commit perhaps under way. Here
        the reader's end does it: the next read of a command or of DATA finds it. Not so within TLS,
        which knows no half-closed connection.
        """
        still_open = asyncio.StreamReaderProtocol.eof_received(self)
        return False if self._tls_protocol else still_open

    async def smtp_STARTTLS(self, arg: str | None) -> None:  # noqa: N802 -- aiosmtpd's names
        """Aiosmtpd would begin TLS within TLS, and wait for ever where a handshake was cut off."""
        if self._tls_protocol:
            await self.push("503 5.5.1 TLS is in use already")
            return
        await super().smtp_STARTTLS(arg)
        assert self.session is not None
        if self._tls_protocol and self.session.ssl is None:
            raise TLSSetupException

    def a_mail_came(self) -> None:
        """Counts begin anew: whoever brings mail may stay."""
        self.commands = 0
        self.since = self.loop.time()

    async def read(self, most: int) -> bytes:
        """What has come of a mail, at most so many bytes, as soon as there is any."""
        chunk = await self._reader.read(most)
        if not chunk:
            raise ConnectionResetError
        return chunk

    @contextlib.contextmanager
    def large_reads(self) -> Any:
        """While a mail comes: aiosmtpd's limit is one line, so the transport would pause every 2 KB."""
        reader: Any = self._reader
        reader._limit = READ_AT_ONCE  # noqa: SLF001 -- watched by the contract test
        self.receiving = True
        try:
            yield
        finally:
            self.receiving = False
            reader._limit = self.line_length_limit  # noqa: SLF001

    def give_back(self, rest: bytes) -> None:
        """Bytes that were read and belong to the commands behind a mail."""
        if rest:
            self._reader._buffer[:0] = rest  # type: ignore[attr-defined]  # noqa: SLF001

    async def handle_proxy_line(self, address: str) -> bool:
        """A listed proxy has named its client; an empty address is the proxy itself, looking."""
        self.peer = address or self.peer
        return await self._enter()

    async def _handle_client(self) -> None:
        assert self.session is not None
        # The peer at a Unix socket has no address, but perhaps a path.
        peer = self.session.peer
        self.peer = str(peer[0]) if isinstance(peer, tuple) else "unix:"
        self._proxy_timeout = PROXY_WAIT if self._is_proxy(self.peer) else None
        try:
            # Behind a proxy it is the client's own address that counts, once it is known.
            if self._proxy_timeout is None and not await self._enter():
                return
            # A load balancer that only looks whether we listen ends within the PROXY line.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await super()._handle_client()
        finally:
            self.hang_up()
            if self.inside:
                self.turnstile.leave(self.peer)

    async def _enter(self) -> bool:
        self.inside = self.turnstile.enter(self.peer)
        if not self.inside:
            await self.push("421 4.7.0 Too many connections. Try again in a minute.")
        return self.inside

    def _is_proxy(self, peer: str) -> bool:
        if not self.proxies or peer == "unix:":
            return False
        return any(ip_address(peer.partition("%")[0]) in network for network in self.proxies)

    def _choose(self, known: Command | None) -> Command:
        """What answers a command; aiosmtpd's own count of unknown ones ends in 502, not in 421."""
        self.commands += 1
        if self.commands > COMMANDS or self.loop.time() - self.since > WITHOUT_MAIL:
            return self._too_much_talk
        return known or self._unknown

    async def _unknown(self, _arg: str | None) -> None:
        await self.push("500 5.5.1 This command is not known here")

    async def _too_much_talk(self, _arg: str | None) -> None:
        await self.push("421 4.7.0 You have talked for long and brought no mail, closing")
