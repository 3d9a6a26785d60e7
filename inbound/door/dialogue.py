"""What is said between a client and us: ESMTP (RFC 5321) with SIZE, 8BITMIME, SMTPUTF8, PIPELINING,
STARTTLS (RFC 3207) and CHUNKING (RFC 3030). BINARYMIME is never offered: no relay behind us could
take it.
"""

import asyncio
import re
import ssl
from ipaddress import IPv4Network, IPv6Network

import structlog
from aiosmtpd.proxy_protocol import AF, V2_CMD, ProxyData
from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Envelope as AiosmtpdEnvelope
from aiosmtpd.smtp import Session as AiosmtpdSession

from inbound.auth.envelope import Envelope, Mode
from inbound.door.dots import DataReader
from inbound.door.guarded import IDLE, READ_AT_ONCE, Guarded
from inbound.door.receive import Arriving, Receiver
from inbound.door.sink import too_large_sentence
from inbound.door.turnstile import Turnstile
from store.errors import MailRefused

log = structlog.get_logger()
NO_TEXT = "553 5.1.3 This address is neither ASCII nor UTF-8"
RECIPIENTS = 10  # a dialogue; RFC 5321 4.5.3.1.8 asks for 100, but ours are one service's
SLOWEST = 4096  # bytes a second, measured from the second minute of a mail on
PATIENCE = 60.0  # seconds before the slowest rate counts
SMALL_CHUNK = 4096  # a BDAT below this counts as a command, not as a mail that comes
_SIZE = re.compile(r"\sSIZE=(\S*)", re.IGNORECASE)
_CHUNK = re.compile(r"([0-9]{1,20})([ \t]+LAST)?", re.ASCII | re.IGNORECASE)


def _is_text(address: str) -> bool:
    """Whether an address is UTF-8; aiosmtpd lets bytes through that are none."""
    return not any("\ud800" <= letter <= "\udfff" for letter in address)


class Hooks:
    """What aiosmtpd asks between its own checks and its reply; one for all dialogues of a door."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    async def handle_PROXY(  # noqa: N802 -- aiosmtpd finds hooks by these names
        self,
        server: Guarded,
        _session: AiosmtpdSession,
        _envelope: AiosmtpdEnvelope,
        data: ProxyData,
    ) -> bool:
        # PROXY protocol 2.2: a proxy that looks for itself is not whoever it names.
        if data.command == V2_CMD.LOCAL:
            return await server.handle_proxy_line("")
        known = data.family in (AF.INET, AF.INET6) and data.src_addr
        return await server.handle_proxy_line(str(data.src_addr) if known else "unknown")

    async def handle_EHLO(  # noqa: N802
        self,
        _server: SMTP,
        session: AiosmtpdSession,
        _envelope: AiosmtpdEnvelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        more = ["250-PIPELINING", "250-CHUNKING", "250-ENHANCEDSTATUSCODES"]
        # Within TLS aiosmtpd offers AUTH, with no way to do it.
        said = [line for line in responses[:-1] if not line.startswith("250-AUTH")]
        return [*said, *more, responses[-1]]

    async def handle_MAIL(  # noqa: N802
        self,
        _server: SMTP,
        _session: AiosmtpdSession,
        envelope: AiosmtpdEnvelope,
        address: str,
        options: list[str],
    ) -> str:
        if not _is_text(address):
            return NO_TEXT
        try:
            self.receiver.check_room()
        except MailRefused as refusal:
            return refusal.reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender noted"

    async def handle_RCPT(  # noqa: N802
        self,
        _server: Guarded,
        _session: AiosmtpdSession,
        envelope: AiosmtpdEnvelope,
        address: str,
        _options: list[str],
    ) -> str:
        if len(envelope.rcpt_tos) >= RECIPIENTS:
            return f"452 4.5.3 No more than {RECIPIENTS} recipients in one mail"
        if not _is_text(address):
            return NO_TEXT
        try:
            await self.receiver.check_recipient(address, envelope.rcpt_tos)
        except MailRefused as refusal:
            return refusal.reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient noted"


class Dialogue(Guarded):
    """One client's connection, as a mail server answers it."""

    ident = "scanpost"

    def __init__(
        self,
        hooks: Hooks,
        dialogues: set["Dialogue"],
        turnstile: Turnstile,
        hostname: str,
        tls: ssl.SSLContext | None = None,
        proxies: list[IPv4Network | IPv6Network] | None = None,
        mode: Mode = Mode.MX,
    ) -> None:
        self.receiver = hooks.receiver
        self.mode = mode
        self.limit = self.receiver.limit
        super().__init__(hooks, turnstile, hostname, self.limit, tls, proxies or [], self.ident)
        self.dialogues = dialogues
        self.committing: asyncio.Future[str] | None = None
        self.chunked: Arriving | None = None  # a mail that comes by BDAT and is not whole yet
        self.began = 0.0  # when the mail that comes now began
        self.answering: list[str] = []  # its recipients

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 -- aiosmtpd's names
        size = _SIZE.search(arg or "")
        if size and not (size[1].isascii() and size[1].isdigit()):
            await self.push("501 5.5.4 SIZE is a number of bytes")
            return
        if size and int(size[1]) > self.limit:
            await self.push(f"552 5.3.4 {too_large_sentence(self.limit)}")
            return
        await super().smtp_MAIL(arg)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        if await self.check_helo_needed():
            return
        assert self.envelope is not None
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Name a recipient first (RCPT TO)")
            return
        if self.chunked:  # RFC 3030 2: the two must not be mixed
            await self.push("503 5.5.1 This mail comes by BDAT; go on with it, or RSET")
            return
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
            return
        try:
            arriving = self._begin()
        except MailRefused as refusal:
            await self.push(refusal.reply)
            return
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._receive_data(arriving)
            await self._finish(arriving)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 -- said to the client, written to the log
            await self._fail(error)
        finally:
            arriving.abort()

    async def smtp_BDAT(self, arg: str | None) -> None:  # noqa: N802
        """RFC 3030 2: so many bytes follow at once, and are read even where they are refused."""
        found = _CHUNK.fullmatch(arg or "")
        if found is None:
            await self.push("501 5.5.4 Say BDAT <size>, or BDAT <size> LAST")
            self.hang_up()  # where the chunk ends is not known: it must not be read as commands
            return
        if int(found[1]) > 2 * self.limit:
            await self.push(f"552 5.3.4 {too_large_sentence(self.limit)}")
            self.hang_up()  # its end is too far away to be read to
            return
        size, last = int(found[1]), found[2] is not None
        if size >= SMALL_CHUNK or last:
            self.commands -= 1
        try:
            unwanted = self._open_chunked()
            await self._receive_chunk(size)
            if unwanted:
                await self.push(unwanted)
            else:
                await self._after_chunk(size, last=last)
        except ConnectionError:
            self._drop_chunks()
            raise
        except Exception as error:  # noqa: BLE001 -- said to the client, written to the log
            self._drop_chunks()
            await self._fail(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._drop_chunks()
        super().connection_lost(error)

    def _set_rset_state(self) -> None:
        """RSET, EHLO and STARTTLS forget a mail that was not whole."""
        self._drop_chunks()
        super()._set_rset_state()  # type: ignore[no-untyped-call]

    def _begin(self) -> Arriving:
        """Raises MailRefused: those who came since MAIL may have taken the room on the disk."""
        self.receiver.check_room()
        assert self.envelope is not None
        self.began = self.loop.time()
        self.answering = list(self.envelope.rcpt_tos)
        return self.receiver.open(self.answering)

    def _open_chunked(self) -> str | None:
        """Begins a mail with its first chunk; returns the reply when the chunk is not wanted."""
        assert self.envelope is not None
        if not self.envelope.rcpt_tos:
            return "503 5.5.1 Name a recipient first (RCPT TO)"
        if self.chunked is None:
            try:
                self.chunked = self._begin()
            except MailRefused as refusal:
                self._set_rset_state()  # the chunks behind are not wanted either
                return refusal.reply
        return None

    async def _handle_client(self) -> None:
        self.dialogues.add(self)
        try:
            await super()._handle_client()
        finally:
            self.dialogues.discard(self)

    async def _receive_data(self, arriving: Arriving) -> None:
        """Feeds the sink until the end mark; commands pipelined behind it stay to be read."""
        reader = DataReader(arriving.sink)
        with self.large_reads():
            touched = self.began
            while (rest := reader.feed(await self.read(READ_AT_ONCE * 2))) is None:
                touched = self._keep_alive(arriving, touched)
                if not arriving.looked_at:
                    await self.receiver.look_at_header(arriving, self._envelope())
        self.give_back(rest)
        self._reset_timeout()

    async def _receive_chunk(self, size: int) -> None:
        arriving = self.chunked
        with self.large_reads():
            touched = self.began  # of the mail: small chunks must not hide that it comes too slowly
            while size:
                chunk = await self.read(min(size, READ_AT_ONCE * 2))
                size -= len(chunk)
                if arriving:
                    arriving.sink.take(chunk)
                    touched = self._keep_alive(arriving, touched)
                    if not arriving.looked_at:
                        await self.receiver.look_at_header(arriving, self._envelope())
        self._reset_timeout()

    async def _after_chunk(self, size: int, *, last: bool) -> None:
        arriving = self.chunked
        assert arriving is not None
        if last:
            self.chunked = None
            try:
                arriving.sink.end()
                await self._finish(arriving)
            finally:
                arriving.abort()
        elif arriving.sink.problem:
            self._set_rset_state()
            # One reply, in LMTP too: only a whole mail is answered for each recipient.
            await self.push(arriving.sink.problem.reply)
            self._hang_up_after(arriving.sink.problem)
        else:
            if size >= SMALL_CHUNK:
                self.since = self.loop.time()  # for how long, the slowest rate says
            await self.push(f"250 2.0.0 {size} bytes taken")

    def _drop_chunks(self) -> None:
        # Asked for before __init__ is through, by aiosmtpd's own.
        chunked: Arriving | None = getattr(self, "chunked", None)
        if chunked is not None:
            chunked.abort()
            self.chunked = None

    def _keep_alive(self, arriving: Arriving, touched: float) -> float:
        """Aiosmtpd's timer is a total for DATA; ours runs while nothing comes, or too little."""
        now = self.loop.time()
        if now - touched <= 1:
            return touched
        seconds = now - self.began
        too_slow = seconds > PATIENCE and arriving.sink.size / seconds < SLOWEST
        # What is over the limit is read to its end for the sake of the 552, but not for ever.
        if too_slow or arriving.sink.size > 2 * self.limit:
            raise ConnectionResetError
        self._reset_timeout(IDLE)
        return now

    async def _finish(self, arriving: Arriving) -> None:
        envelope = self._envelope()
        self.answering = envelope.recipients  # some may have been named between two chunks
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        self.a_mail_came()
        commit = asyncio.ensure_future(self.receiver.commit(arriving, envelope))
        self.committing = commit
        try:
            # A client that hangs up must not tear a commit apart.
            mail_id = await asyncio.shield(commit)
        except MailRefused as refusal:
            await self._answer(self._reply_to(refusal))
            self._hang_up_after(refusal)
            return
        except asyncio.CancelledError:
            await asyncio.wait([commit])
            raise
        except Exception as error:  # noqa: BLE001 -- said to the client, written to the log
            await self._answer(await self.handle_exception(error))
            return
        finally:
            if commit.done():
                self.committing = None
        await self._answer(f"250 2.0.0 Taken as {mail_id}")

    def _envelope(self) -> Envelope:
        assert self.envelope is not None
        assert self.session is not None
        return Envelope(
            peer=self.peer,
            sender=(self.envelope.mail_from or "").strip("<>"),
            recipients=list(self.envelope.rcpt_tos),
            helo=self.session.host_name or "",
            mode=self.mode,
        )

    def _reply_to(self, refusal: MailRefused) -> str:
        """What is said of a refused mail.

        A mail server in front of us makes a refusal into a bounce, to whoever the envelope names.
        Where nothing proves that they sent the mail, silence is the only answer that hits nobody.
        """
        may_bounce = refusal.answerable or self.receiver.trust.covers(self.peer)
        if self.mode is Mode.MX or refusal.code < 500 or may_bounce:
            return refusal.reply
        log.info("mail filed away", reply=refusal.reply[:9])
        return "250 2.0.0 Filed away"

    async def _answer(self, reply: str) -> None:
        """The reply to a whole mail."""
        await self.push(reply)

    def _hang_up_after(self, refusal: MailRefused) -> None:
        if refusal.enhanced == "5.6.0":  # what follows such a mail may be smuggled commands
            self.hang_up()

    async def _fail(self, error: Exception) -> None:
        await self._answer(await self.handle_exception(error))
        self.hang_up()  # where the mail ends is not known: its rest must not act as commands
