"""The sink: a mail's bytes, from whatever door, go to the spool in constant memory.

It keeps the header block, hashes header and body, and measures. Bare CR, bare LF and NUL never get
in (RFC 5321 2.3.8): servers that disagree about them let an attacker smuggle a second mail into the
first. A fault of the mail is kept as `problem` and not raised, for what is still to come of the mail
must be read all the same.
"""

import hashlib
from typing import Protocol

import numpy as np
import structlog

from inbound.auth.bodyhash import RELAXED, SIMPLE, RelaxedBody, SimpleBody, hashes_wanted
from store.errors import MailRefused

HEADER_LIMIT = 256 * 1024
# RFC 5321 4.5.3.1.6 allows 1,000 letters a line; programs that forget to break base64 send more.
LONGEST_LINE = 1 << 20
log = structlog.get_logger()


class Spooling(Protocol):
    def write(self, data: bytes | memoryview) -> None: ...


class MailSink:
    """Give it the mail in any pieces, then its end.

    Args:
        spool: where the mail goes.
        limit: the largest mail in bytes; what is beyond it is dropped.
    """

    def __init__(self, spool: Spooling, limit: int) -> None:
        self.spool = spool
        self.limit = limit
        self.size = 0
        self.line = 0  # of the line that is not ended yet
        self.held = b""  # a CR that waits for its LF
        self.head = bytearray()
        self.header_ended = False
        self.body = SimpleBody()
        self.relaxed: RelaxedBody | None = None
        self.wanted: set[str] = set()
        self.dropped = False
        self.problem: MailRefused | None = None

    @property
    def header(self) -> bytes:
        """The header block, as far as it has come, without the empty line behind it."""
        return bytes(self.head)

    @property
    def header_sha256(self) -> str:
        return hashlib.sha256(self.head).hexdigest()

    @property
    def body_sha256(self) -> str:
        return self.body.whole()

    @property
    def body_hashes(self) -> dict[str, bytes]:
        """DKIM's body hash for each canonicalisation that the mail's own signatures name."""
        found = {SIMPLE: self.body.digest()} if SIMPLE in self.wanted else {}
        return {**found, RELAXED: self.relaxed.digest()} if self.relaxed else found

    def drop(self) -> None:
        """The mail can only be refused: it is hashed to its end, so that who wrote it can be said."""
        self.dropped = True

    def take(self, data: bytes) -> None:
        if self.held:
            data, self.held = self.held + data, b""
        if data.endswith(b"\r"):
            data, self.held = data[:-1], b"\r"
        self.size += len(data)
        if self.size > self.limit and self.problem is None:
            if not self.header_ended:  # whose mail it is can be said all the same
                self._keep_header(data)
            self._refuse(552, "5.3.4", too_large_sentence(self.limit))
        if self.problem is None:
            self._check(data)
        if self.problem is None:
            self._keep(data)

    def end(self) -> None:
        """The mail is over."""
        if self.held:
            self._refuse_bare()
        if self.problem is None and not self.header_ended:
            self._end_header(len(self.head))  # RFC 5322 2.1: a mail may be all header

    def _check(self, data: bytes) -> None:
        if not _line_ends_are_whole(data):
            self._refuse_bare()
        self._measure_line(data)
        if b"\0" in data:
            self._refuse(550, "5.6.0", "A NUL byte is in this mail; send files base64-encoded.")

    def _measure_line(self, data: bytes) -> None:
        first = data.find(b"\n")
        self.line += len(data) if first < 0 else first
        if self.line > LONGEST_LINE or _has_long_line(data, first + 1):
            self._refuse(554, "5.6.0", "A line of this mail is longer than 1 MB.")
        if first >= 0:
            self.line = len(data) - data.rfind(b"\n") - 1

    def _refuse_bare(self) -> None:
        self._refuse(550, "5.6.0", "A bare CR or LF is in this mail; lines must end in CR LF.")

    def _refuse(self, code: int, enhanced: str, sentence: str) -> None:
        self.problem = self.problem or MailRefused(code, enhanced, sentence)

    def _keep(self, data: bytes) -> None:
        try:
            if not self.dropped:
                self.spool.write(data)
        except OSError as error:
            # Not raised: what is still to come of the mail would be read as commands.
            log.warning("spool cannot be written", error=repr(error))
            self._refuse(452, "4.3.1", "This server cannot store the mail. Try again later.")
            return
        if self.header_ended:
            self._hash(data)
        else:
            self._keep_header(data)

    def _keep_header(self, data: bytes) -> None:
        seen = max(0, len(self.head) - 3)
        self.head += data
        # Only from where the last look ended: a header that comes byte by byte costs no more.
        end = 0 if self.head.startswith(b"\r\n") else self.head.find(b"\r\n\r\n", seen) + 2
        if end >= 2 or self.head.startswith(b"\r\n"):
            self._end_header(end)
        if len(self.head) > HEADER_LIMIT:
            limit = HEADER_LIMIT // 1024
            self._refuse(554, "5.6.0", f"The header of this mail is larger than {limit} KB.")

    def _end_header(self, end: int) -> None:
        self.header_ended = True
        body = bytes(self.head[end + 2 :])
        del self.head[end:]
        self.wanted = hashes_wanted(self.header)
        self.relaxed = RelaxedBody() if RELAXED in self.wanted else None
        self._hash(body)

    def _hash(self, data: bytes) -> None:
        self.body.update(data)
        if self.relaxed:
            self.relaxed.update(data)


def _line_ends_are_whole(data: bytes) -> bool:
    """Whether each LF follows a CR and each CR is followed by an LF; a sixth of the cost of counting."""
    letters = np.frombuffer(data, np.uint8)
    if not letters.size:
        return True
    returns, feeds = letters == 13, letters == 10
    if feeds[0] or returns[-1]:
        return False
    return bool(np.array_equal(returns[:-1], feeds[1:]))


def _has_long_line(data: bytes, start: int) -> bool:
    """Whether a line from here on is over the limit; one look passes over all lines that fit."""
    while len(data) - start > LONGEST_LINE:
        start = data.rfind(b"\n", start, start + LONGEST_LINE + 1) + 1
        if start == 0:
            return True
    return False


def too_large_sentence(limit: int) -> str:
    """What a sender reads whose mail is over the limit, in MB as they know it."""
    return (
        f"This mail is larger than {limit // (1024 * 1024)} MB, the most that is taken here."
        " Send the scans as ZIP, or in several mails."
    )
