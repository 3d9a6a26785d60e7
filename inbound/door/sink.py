"""The sink: what comes between DATA and its end goes to the spool, in constant memory.

It takes off the dots of RFC 5321 4.5.2, ends only at CRLF.CRLF, keeps the header block, and hashes
header and body. Bare CR, bare LF and NUL never end a mail and never get in (RFC 5321 2.3.8): servers
that disagree about them let an attacker smuggle a second mail into the first.
"""

import hashlib
from typing import Protocol

import numpy as np
import structlog

from store.errors import MailRefused

HEADER_LIMIT = 256 * 1024
# RFC 5321 4.5.3.1.6 allows 1,000 letters a line; programs that forget to break base64 send more.
LONGEST_LINE = 1 << 20
log = structlog.get_logger()
_END = b"\r\n.\r\n"
# What may be the beginning of the end mark and must wait for the next bytes.
_HELD_BACK = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")


class Spooling(Protocol):
    def write(self, data: bytes | memoryview) -> None: ...


class DataSink:
    """Feed it what the client sends after 354, in any pieces.

    Args:
        spool: where the mail goes.
        limit: the largest mail in bytes; what is beyond it is read and dropped.
    """

    def __init__(self, spool: Spooling, limit: int) -> None:
        self.spool = spool
        self.limit = limit
        self.size = 0
        self.line = 0  # of the line that is not ended yet
        self.header = b""
        self.header_ended = False
        self.body_hash = hashlib.sha256()
        self.problem: MailRefused | None = None
        # DATA begins as if after a line end, so that a dot in the first column counts (4.5.2).
        self.held = b"\r\n"
        self.skip = 2

    @property
    def header_sha256(self) -> str:
        return hashlib.sha256(self.header).hexdigest()

    @property
    def body_sha256(self) -> str:
        return self.body_hash.hexdigest()

    def feed(self, chunk: bytes) -> bytes | None:
        """Takes bytes from the wire; returns None, or after the end mark what came behind it."""
        data = self.held + chunk
        # Most of a large mail is base64, which holds no dot: one look settles it.
        end = data.find(_END) if b"." in data else -1
        if end >= 0:
            self.held = b""
            self._take(data[: end + 2])
            return data[end + len(_END) :]
        keep = next((len(mark) for mark in _HELD_BACK if data.endswith(mark)), 0)
        self.held = data[len(data) - keep :]
        self._take(data[: len(data) - keep])
        return None

    def _take(self, data: bytes) -> None:
        self._check(data)
        if b"." in data:
            data = data.replace(b"\r\n.", b"\r\n")
        if self.skip and data:
            data, self.skip = data[self.skip :], 0
        self.size += len(data)
        if self.size > self.limit:
            self._refuse(552, "5.3.4", too_large_sentence(self.limit))
        if self.problem is None:
            self._keep(data)

    def _check(self, data: bytes) -> None:
        if not _line_ends_are_whole(data):
            self._refuse(550, "5.6.0", "A bare CR or LF is in this mail; lines must end in CR LF.")
        self._measure_line(data)
        if b"\0" in data:
            self._refuse(550, "5.6.0", "A NUL byte is in this mail; send files base64-encoded.")

    def _measure_line(self, data: bytes) -> None:
        first = data.find(b"\n")
        self.line += len(data) if first < 0 else first
        if self.line > LONGEST_LINE:
            self._refuse(554, "5.6.0", "A line of this mail is longer than 1 MB.")
        if first >= 0:
            self.line = len(data) - data.rfind(b"\n") - 1

    def _refuse(self, code: int, enhanced: str, sentence: str) -> None:
        self.problem = self.problem or MailRefused(code, enhanced, sentence)

    def _keep(self, data: bytes) -> None:
        try:
            self.spool.write(data)
        except OSError as error:
            # Not raised: what is still to come of the mail would be read as commands.
            log.warning("spool cannot be written", error=repr(error))
            self._refuse(452, "4.3.1", "This server cannot store the mail. Try again later.")
            return
        if self.header_ended:
            self.body_hash.update(data)
            return
        seen = max(0, len(self.header) - 3)
        self.header += data
        # Only from where the last look ended: a header that comes byte by byte costs no more.
        end = 0 if self.header.startswith(b"\r\n") else self.header.find(b"\r\n\r\n", seen) + 2
        if end >= 2 or self.header.startswith(b"\r\n"):
            self.header_ended = True
            self.body_hash.update(self.header[end + 2 :])
            self.header = self.header[:end]
        if len(self.header) > HEADER_LIMIT:
            limit = HEADER_LIMIT // 1024
            self._refuse(554, "5.6.0", f"The header of this mail is larger than {limit} KB.")


def _line_ends_are_whole(data: bytes) -> bool:
    """Whether each LF follows a CR and each CR is followed by an LF; a sixth of the cost of counting."""
    letters = np.frombuffer(data, np.uint8)
    if not letters.size:
        return True
    returns, feeds = letters == 13, letters == 10
    if feeds[0] or returns[-1]:
        return False
    return bool(np.array_equal(returns[:-1], feeds[1:]))


def too_large_sentence(limit: int) -> str:
    """What a sender reads whose mail is over the limit, in MB as they know it."""
    return (
        f"This mail is larger than {limit // (1024 * 1024)} MB, the most that is taken here."
        " Send the scans as ZIP, or in several mails."
    )
