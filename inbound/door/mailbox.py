"""One IMAP connection to a mailbox (RFC 3501), as the door needs it. Everything here blocks.

A mail is fetched in windows, never whole: imapclient would hold it several times over. It also sets
imaplib's debug level so that every byte is formatted for a log that nobody reads; that is turned off
(a tenth of the CPU, a third of the memory). tests/test_door_contract.py watches both.
"""

import contextlib
import imaplib
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientError

from store.errors import SettingsError

WINDOW = 4 << 20
TIMEOUT = SocketTimeout(connect=20, read=60)  # seconds
# RFC 2177 says 29 minutes, but providers and address translation cut idle connections earlier.
IDLE_RENEWED = 300.0  # seconds
_SOONEST = 0.9  # seconds of waiting for news that do not come
POLL = 30.0  # seconds between two looks where IDLE is missing
LOST = (IMAPClientError, imaplib.IMAP4.error, OSError, EOFError)  # what a lost connection raises
# Of these, the ones after which the connection is of no use; the others are a "no" to one command.
BROKEN = (imaplib.IMAP4.abort, OSError, EOFError)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Vanished(Exception):
    """The mail is not there any more, which is no error in IMAP."""


@dataclass(frozen=True)
class Account:
    """Where a mailbox is, and who opens it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    folder: str
    tls: bool  # from the first byte; else STARTTLS, except on this machine itself

    @classmethod
    def of(cls, url: str) -> "Account":
        """Reads imaps://user:password@host[:port][/folder].

        Raises:
            SettingsError: something is missing; the password is never in its sentence.
        """
        try:
            parts = urlsplit(url)
            port, complete = parts.port, parts.hostname and parts.username
        except ValueError:
            complete = None
        if not complete or parts.scheme not in ("imap", "imaps"):
            raise SettingsError(
                "SCANPOST_IMAP_URL cannot be used: write imaps://user:password@host/folder, with"
                " %40 for @ in the user's name."
            )
        assert parts.hostname is not None
        assert parts.username is not None
        tls = parts.scheme == "imaps"
        return cls(
            host=parts.hostname,
            port=port or (993 if tls else 143),
            user=unquote(parts.username),
            password=unquote(parts.password or ""),
            folder=unquote(parts.path.strip("/")) or "INBOX",
            tls=tls,
        )

    @property
    def place(self) -> str:
        """What names the folder in rows and logs."""
        return f"imap:{self.user}@{self.host}/{self.folder}"


class Mailbox:
    """An open connection with the folder selected. Use it in a `with`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.client: Any = None
        self.prefix = ""
        self.validity = 0

    def __enter__(self) -> Self:
        self.client = _connect(self.account)
        try:
            self.client.login(self.account.user, self.account.password)
            self.prefix = self._prefix()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(*LOST):
            self.client.logout()
        self._close()

    def interrupt(self) -> None:
        """Ends whatever waits for the server; from another thread."""
        try:
            self.client.socket().shutdown(socket.SHUT_RDWR)
        except (AttributeError, OSError):  # it has not begun, or has ended already
            return

    def look(self) -> list[int]:
        """The UIDs of all mails in the folder, the oldest first."""
        # Selected anew each time: a mailbox that was recreated has another UIDVALIDITY (RFC 3501 2.3.1.1).
        selected = self.client.select_folder(self.account.folder)
        self.validity = int(selected[b"UIDVALIDITY"])
        self._more_came()  # what SELECT has counted is what we look at now
        return sorted(self.client.search(["UNDELETED"]))

    def source(self, uid: int) -> str:
        """What names this mail for ever: UIDs are never used twice under one UIDVALIDITY."""
        return f"{self.account.place}/{self.validity}/{uid}"

    def size(self, uid: int) -> int | None:
        """Bytes, as the server counts; None when the mail has vanished, which is no error in IMAP."""
        found = self.client.fetch([uid], ["RFC822.SIZE"]).get(uid)
        return int(found[b"RFC822.SIZE"]) if found else None

    def windows(self, uid: int, size: int) -> Iterator[bytes]:
        """The mail's bytes in windows.

        Args:
            size: as the server has counted it. Some miscount, so only a mail that breaks off at a
                window's edge is not believed to be whole.

        Raises:
            Vanished: somebody has moved or deleted it meanwhile.
        """
        offset = 0
        while True:
            found = self.client.fetch([uid], [f"BODY.PEEK[]<{offset}.{WINDOW}>"]).get(uid)
            if found is None:
                raise Vanished
            window = found.get(b"BODY[]<%d>" % offset) or b""
            if window:
                yield window
            offset += len(window)
            if len(window) < WINDOW:
                break
        if offset < size and offset % WINDOW == 0:
            raise ConnectionResetError(f"{offset} of {size} bytes came")

    def move(self, uids: Sequence[int], name: str) -> None:
        """Moves mails into a folder beside, made if need be."""
        folder = self.prefix + name
        if not self.client.folder_exists(folder):
            self._create(folder)
        if self.client.has_capability("MOVE"):
            self.client.move(uids, folder)
            return
        self.client.copy(uids, folder)
        self.client.add_flags(uids, [b"\\Deleted"])
        if self.client.has_capability("UIDPLUS"):
            # A bare EXPUNGE would remove what somebody else has marked.
            self.client.expunge(uids)

    def _create(self, folder: str) -> None:
        """Makes a folder; that another program was quicker is no fault."""
        try:
            self.client.create_folder(folder)
        except IMAPClientError:
            if not self.client.folder_exists(folder):
                raise

    def wait(self, stopping: Event) -> None:
        """Returns when there may be something new: the server says so, or it is time to look."""
        if self._more_came():
            return
        if not self.client.has_capability("IDLE"):
            stopping.wait(POLL)
            return
        self.client.idle()
        if self._more_lies_ready():
            self.client.idle_done()
            return
        deadline = time.monotonic() + IDLE_RENEWED
        while not stopping.is_set() and time.monotonic() < deadline:
            asked = time.monotonic()
            if self.client.idle_check(timeout=1):
                break
            # imapclient says "nothing new" at once, and for ever, where the connection has ended.
            if time.monotonic() - asked < _SOONEST:
                raise ConnectionResetError
        self.client.idle_done()

    def _more_came(self) -> bool:
        """Whether the server has counted anew since we asked: it may do so at the end of any command,
        such as the SEARCH that did not see the new mail yet (RFC 9051 5.2), and IDLE would not say
        it once more.
        """
        _, counted = self.client._imap.response("EXISTS")  # noqa: SLF001 -- watched by the contract test
        return bool(counted != [None])

    def _more_lies_ready(self) -> bool:
        """Whether news came in one piece with the answer to IDLE: imapclient would wait at the socket
        while they lie in the reader behind it.
        """
        connection = self.client.socket()
        connection.setblocking(False)
        try:
            return bool(self.client._imap.file.peek(1))  # noqa: SLF001 -- watched by the contract test
        except ssl.SSLWantReadError:
            return False
        finally:
            connection.settimeout(TIMEOUT.read)

    def _close(self) -> None:
        """Whatever state the connection is in: imaplib leaves its socket open where it was cut off."""
        for close in (self.client.shutdown, self.client.socket().close):
            with contextlib.suppress(*LOST):
                close()

    def _prefix(self) -> str:
        """What the names of one's own folders begin with at this server, such as "INBOX."."""
        if not self.client.has_capability("NAMESPACE"):
            return ""
        personal = self.client.namespace().personal
        return str(personal[0][0]) if personal else ""


def _connect(account: Account) -> Any:
    context = ssl.create_default_context()
    client = IMAPClient(
        account.host,
        port=account.port,
        ssl=account.tls,
        ssl_context=context if account.tls else None,
        timeout=TIMEOUT,
    )
    client._imap.debug = 0  # noqa: SLF001 -- watched by the contract test
    if not account.tls and account.host not in _LOOPBACK:
        client.starttls(context)
    return client
