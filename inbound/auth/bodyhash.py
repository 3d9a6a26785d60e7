"""DKIM's hash of a mail's body (RFC 6376 3.4.3 and 3.4.4), while the mail is still coming.

Both forms leave out the empty lines at a body's end, so line ends are counted and held back until
something follows them. What is fed has whole line ends: no piece ends between CR and LF, and no CR or
LF stands alone. The sink sees to that. Only SHA-256 is left for signers (RFC 8301).
"""

import hashlib
import re
from typing import Protocol

from inbound.auth.fields import values

SIMPLE, RELAXED = "simple", "relaxed"
_LONG_RUN = b" " * 16
_BLANKS = bytes.maketrans(b"\t", b" ")  # replace() would look for each of a million tabs
_CANONICALISATION = re.compile(rb"(?:^|;)\s*c\s*=\s*([a-z]+)(?:\s*/\s*([a-z]+))?\s*(?:;|$)")
_AT_ONCE = 1 << 15
_MOST_SIGNATURES = 20  # whoever brings more is not helped by the ones behind


class BodyHash(Protocol):
    def update(self, data: bytes) -> None: ...

    def digest(self) -> bytes: ...


class SimpleBody:
    """RFC 6376 3.4.3; `whole` is the plain SHA-256 of all that came, for no more work."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.line_ends = 0

    def update(self, data: bytes) -> None:
        text = data.rstrip(b"\r\n")
        if text:
            _write_line_ends(self.hash, self.line_ends)
            self.line_ends = 0
            self.hash.update(text)
        self.line_ends += (len(data) - len(text)) // 2

    def digest(self) -> bytes:
        """The hash of the body with exactly one line end at its end; an empty body is one too."""
        hashed = self.hash.copy()
        hashed.update(b"\r\n")
        return hashed.digest()

    def whole(self) -> str:
        hashed = self.hash.copy()
        _write_line_ends(hashed, self.line_ends)
        return hashed.hexdigest()


class RelaxedBody:
    """RFC 6376 3.4.4: runs of blanks are one blank, none stands before a line end."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.line_ends = 0
        self.blank = b""  # a run of blanks that may yet turn out to stand before a line end
        self.empty = True

    def update(self, data: bytes) -> None:
        # Most of a large mail is base64, which has no blanks: two looks settle it.
        if self.blank or b" " in data or b"\t" in data:
            data = self._without_blanks(self.blank + data)
        text = data.rstrip(b"\r\n")
        if text:
            _write_line_ends(self.hash, self.line_ends)
            self.line_ends = 0
            self.hash.update(text)
            self.empty = False
        self.line_ends += (len(data) - len(text)) // 2

    def digest(self) -> bytes:
        hashed = self.hash.copy()
        if not self.empty:
            hashed.update(b"\r\n")
        return hashed.digest()

    def _without_blanks(self, data: bytes) -> bytes:
        # Halving runs again and again is linear, and an eighth of what a pattern takes over dense tabs.
        data = data.translate(_BLANKS).replace(_LONG_RUN, b" ")
        while b"  " in data:
            data = data.replace(b"  ", b" ")
        data = data.replace(b" \r\n", b"\r\n")
        self.blank = b" " if data.endswith(b" ") else b""
        return data[:-1] if self.blank else data


def hashes_wanted(header: bytes) -> set[str]:
    """The body canonicalisations that the signatures of a mail name (RFC 6376 3.5, RFC 8617 4.1.2)."""
    wanted = set()
    for name, unnamed in ((b"dkim-signature", SIMPLE), (b"arc-message-signature", RELAXED)):
        for signature in values(header, name)[:_MOST_SIGNATURES]:
            found = _CANONICALISATION.search(signature)
            # "c=relaxed" alone says that of the header only
            wanted.add((found[2] or b"simple").decode() if found else unnamed)
    return wanted & {SIMPLE, RELAXED}


def _write_line_ends(hashed: "hashlib._Hash", count: int) -> None:
    while count > 0:
        hashed.update(b"\r\n" * min(count, _AT_ONCE))
        count -= _AT_ONCE
