"""The IMAP door: a mailbox at any provider is emptied into the spool (docs/imap.md).

A mail is moved to Processed only after its commit, and its row knows the place it was fetched from;
so a crash between the two costs nothing but the move. What is refused goes to Refused, in silence:
there is no dialogue in which to say why, and an answer to a stranger would be backscatter. Only a
member whose own mail cannot be taken gets a letter.

The connection blocks and lives in a thread of its own; rows and commits happen on the loop.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from email.utils import getaddresses
from typing import Any, TypeVar

import structlog

from inbound.auth.envelope import Envelope, Mode
from inbound.auth.fields import values
from inbound.door.explain import explain
from inbound.door.mailbox import BROKEN, LOST, Account, Mailbox, Vanished
from inbound.door.receive import Arriving, Receiver
from inbound.door.sink import too_large_sentence
from store.errors import MailRefused
from store.records import mails

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # seconds before the next attempt to connect
CLOSING = 30.0  # seconds
SET_ASIDE, LONGEST_ASIDE = 30.0, 6 * 3600.0  # seconds for a mail that cannot be taken
CHANCES = 3  # that a connection may break over one mail
RECIPIENTS = 10
PEER = "imap"
PROCESSED, REFUSED = "Processed", "Refused"
# Too large, or not a mail (RFC 3463 3.4, 3.7); who may write, and to whom, is answered by silence.
_FAULTS = ("5.3.", "5.6.")
_MOST_BYTES = 16 * 1024  # of the addresses that are looked through
_AT_ONCE = 500  # places asked for in one question
# Whom a mail was for: what the provider wrote when it delivered, then what the sender wrote.
_TO = (b"delivered-to", b"x-original-to", b"envelope-to", b"to", b"cc")
log = structlog.get_logger()
T = TypeVar("T")


class Aside:
    """Mails that cannot be taken just now and must not hold up the others: tried again ever later."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.until: dict[str, float] = {}

    def waits(self, source: str) -> bool:
        return self.until.get(source, 0) > time.monotonic()

    def put(self, source: str) -> None:
        self.failures[source] += 1
        pause = min(SET_ASIDE * 2 ** self.failures[source], LONGEST_ASIDE)
        self.until[source] = time.monotonic() + pause

    def note_broken(self, source: str) -> None:
        """The connection broke over this mail: by chance, unless it does so again and again."""
        self.failures[source] += 1
        if self.failures[source] >= CHANCES:
            self.put(source)


class ImapDoor:
    """Empties a mailbox until `close`; whatever happens to the connection, it is made again."""

    kind = "imap"

    def __init__(self, receiver: Receiver, url: str) -> None:
        self.receiver = receiver
        self.account = Account.of(url)
        self.stopping = threading.Event()
        self.ended = asyncio.Event()
        self.mailbox: Mailbox | None = None
        self.aside = Aside()
        self.pause = FIRST_PAUSE
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def address(self) -> str:
        return f"{self.account.host}:{self.account.port}"

    async def open(self) -> int:
        self.loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name="scanpost-imap", daemon=True).start()
        return self.account.port

    async def close(self) -> None:
        self.stopping.set()
        if self.loop is None:
            return
        if self.mailbox:
            self.mailbox.interrupt()
        try:
            async with asyncio.timeout(CLOSING):
                await self.ended.wait()
        except TimeoutError:
            log.warning("mailbox does not let go", host=self.account.host)

    def _run(self) -> None:
        self.pause = FIRST_PAUSE
        while not self.stopping.is_set():
            mailbox = Mailbox(self.account)
            self.mailbox = mailbox  # from now on `close` can interrupt it
            try:
                with mailbox:
                    log.info("mailbox open", folder=self.account.folder, host=self.account.host)
                    self._serve(mailbox)
            except LOST as error:
                if not self.stopping.is_set():
                    log.warning("mailbox lost", host=self.account.host, error=_brief(error))
            except Exception:
                log.exception("mailbox given up for now", host=self.account.host)
            self.mailbox = None
            self.stopping.wait(self.pause)
            self.pause = min(2 * self.pause, LONGEST_PAUSE)
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.ended.set)

    def _serve(self, mailbox: Mailbox) -> None:
        while not self.stopping.is_set():
            # What came meanwhile was announced in the middle of other commands: IDLE would not say it.
            if not self._take_all(mailbox):
                self.pause = FIRST_PAUSE  # not before: a login a second would lock the account
                mailbox.wait(self.stopping)

    def _take_all(self, mailbox: Mailbox) -> int:
        """Takes what is there; returns of how many mails that can be said."""
        done = 0
        uids = mailbox.look()
        for first in range(0, len(uids), _AT_ONCE):
            some = uids[first : first + _AT_ONCE]
            known = self._on_loop(self._known([mailbox.source(uid) for uid in some]))
            for uid in some:
                if self.stopping.is_set():
                    return done
                if not self.aside.waits(mailbox.source(uid)):
                    done += self._take_one(mailbox, uid, known)
        return done

    def _take_one(self, mailbox: Mailbox, uid: int, known: set[str]) -> bool:
        """Takes and moves one mail, or sets it aside; False if it must wait. Others do not suffer for it."""
        source = mailbox.source(uid)
        try:
            folder = PROCESSED if source in known else self._take(mailbox, uid)
            if folder:
                mailbox.move([uid], folder)
        except BROKEN:
            self.aside.note_broken(source)
            raise
        except Exception as error:
            self.aside.put(source)
            log.exception("mail set aside for now", uid=uid, error=_brief(error))
            return True
        return folder is not None

    def _has_room(self) -> bool:
        """A full disk is no fault of this mail: all of them are looked at again with the next look."""
        try:
            self.receiver.check_room()
        except MailRefused as refusal:
            log.warning("no room for mail", reply=refusal.reply[:9])
            return False
        return True

    def _take(self, mailbox: Mailbox, uid: int) -> str | None:
        """Takes one mail; returns the folder it belongs into now, None where it stays or is gone."""
        size = mailbox.size(uid)
        if size is None or not self._has_room():
            return None
        arriving = None
        try:
            arriving = self.receiver.open([])
            self._fetch(mailbox, uid, size, arriving)
            self._on_loop(self._commit(arriving, mailbox.source(uid)))
        except MailRefused as refusal:
            log.info("mail refused", uid=uid, validity=mailbox.validity, reply=refusal.reply[:9])
            if refusal.code < 500:
                self.aside.put(mailbox.source(uid))  # looked at again, ever later
                return None
            if arriving and refusal.enhanced.startswith(_FAULTS):
                self._on_loop(self._explain(arriving, mailbox.source(uid), refusal))
            return REFUSED
        except Vanished:
            return None
        finally:
            if arriving:
                arriving.abort()
        return PROCESSED

    def _fetch(self, mailbox: Mailbox, uid: int, size: int, arriving: Arriving) -> None:
        for window in mailbox.windows(uid, size):
            arriving.sink.take(window)
            if size > self.receiver.limit:  # its header is enough to tell whom it is from
                raise MailRefused(552, "5.3.4", too_large_sentence(self.receiver.limit))
            if arriving.sink.problem:
                return
        arriving.sink.end()

    async def _known(self, sources: list[str]) -> set[str]:
        async with self.receiver.house.database.read() as connection:
            return await mails.known_sources(connection, sources)

    async def _commit(self, arriving: Arriving, source: str) -> str:
        header = arriving.sink.header
        recipients = await self._recipients(header)
        envelope = Envelope(PEER, _sender(header), recipients, source, mode=Mode.IMAP)
        return await self.receiver.commit(arriving, envelope)

    async def _explain(self, arriving: Arriving, source: str, refusal: MailRefused) -> None:
        house, trust = self.receiver.house, self.receiver.trust
        await explain(house, trust, arriving.sink.header, PEER, source, refusal)

    async def _recipients(self, header: bytes) -> list[str]:
        """Those of our addresses that the mail names. Raises MailRefused when it names none."""
        found: list[str] = []
        refusal = MailRefused(550, "5.1.1", "This mail names no address of this server.")
        for address in _named(header, self.receiver.house.settings.domain):
            try:
                await self.receiver.check_recipient(address, found)
            except MailRefused as error:
                refusal = error
                continue
            found.append(address)
        if not found:
            raise refusal
        return found

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Has the loop do something, and waits for it in this thread."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


def _named(header: bytes, domain: str) -> list[str]:
    """Addresses at our domain, distinct and in order, no more than a dialogue would take."""
    distinct = dict.fromkeys(address.lower() for address in _addresses(values(header, *_TO)))
    return [address for address in distinct if address.endswith(f"@{domain}")][:RECIPIENTS]


def _sender(header: bytes) -> str:
    """The envelope's sender, which the provider has written down (RFC 5321 4.4); empty for <>."""
    found = values(header, b"return-path") or values(header, b"from")
    return next(iter(_addresses(found[:1])), "")


def _addresses(fields: list[bytes]) -> list[str]:
    """The addresses in some fields; none where the library's parser breaks down over them."""
    try:
        named = getaddresses([b", ".join(fields)[:_MOST_BYTES].decode("latin-1")])
    except (RecursionError, ValueError, IndexError):
        return []
    return [address for _, address in named if address]


def _brief(error: BaseException) -> str:
    """An error without what a server may have said about the login."""
    return type(error).__name__
