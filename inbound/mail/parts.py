"""Where each part of a mail lies, found in windows, without decoding one (RFC 2045, RFC 2046).

Bounded before any library sees the mail: parts, depth and the size of each header block. An
attached mail (message/rfc822) is one leaf, for what somebody else wrote is not what this sender says;
its own parts hang behind it, for the files in it are sent too.
"""

import email.parser
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from functools import cached_property
from typing import Protocol

from inbound.mail.words import file_name
from store.errors import Refusal

MOST_PARTS = 500
DEEPEST = 12
HEADER_LIMIT = 256 * 1024
ALL_HEADERS = 1024 * 1024
MOST_FIELDS = 2_000  # of one part; a parser takes a second over 50,000
MOST_FALSE = 10_000  # lines that begin like a boundary and are none
WINDOW = 1 << 18  # a quarter of a sealed chunk
_CONTENT = re.compile(rb"(?im)^content-[a-z-]+[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*")
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_BOUNDARY = 200  # RFC 2046 5.1.1 says 70
_DELIMITER_END = re.compile(rb"(--)?[ \t]{0,200}(?:\r\n|\n|\Z)")
_ODD_BOUNDARY = (
    "The parts of this mail cannot be told apart. Send it once more, or the scans as ZIP."
)
_LONGEST_PARAMETERS, _MOST_PARAMETERS = 8_000, 100  # of a field that describes a part
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_ROOM = 512  # bytes: a whole delimiter line, blanks behind it included
_TOKEN = re.compile(r"[\s\"]*([\w-]*)")
_PARSER = email.parser.HeaderParser(policy=email.policy.compat32)

AS_IT_IS = frozenset({"7bit", "8bit", "binary"})  # RFC 2045 6.2: encodings that change nothing
ATTACHED_MAIL = frozenset({"message/rfc822", "message/global"})  # RFC 6532 3.7 for the latter


class Malformed(Refusal):
    """It cannot be taken apart; an attached mail like that is one file, and refuses nothing else."""


class Incomplete(Malformed):
    """The mail's end is missing."""


class Held:
    """Bytes in memory, read like a spooled mail."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> bytes:
        return self.data[start:end]


class Windows(Protocol):
    """Bytes that are read in ranges: a spooled mail."""

    def __len__(self) -> int: ...

    def read(self, start: int, end: int) -> bytes: ...


@dataclass
class Part:
    """One node of the MIME tree; `start` and `end` bound its body, in bytes from the mail's begin."""

    header_start: int
    start: int
    end: int
    headers: Message
    depth: int
    children: list["Part"] = field(default_factory=list)
    mail: "Part | None" = None  # the root of an attached mail

    @property
    def type(self) -> str:
        return self.headers.get_content_type()

    @property
    def encoding(self) -> str:
        """RFC 2045 6.1, without the quotes, signs and comments that some programs write around it."""
        written = str(self.headers.get("content-transfer-encoding", ""))
        token = _TOKEN.match(written)
        return (token and token[1].lower()) or "7bit"

    @cached_property
    def name(self) -> str:
        """Of the file, as written; `safe_name` makes it safe to show."""
        return file_name(self.headers)

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def disposition(self) -> str:
        return self.headers.get_content_disposition() or ""

    def walk(self) -> Iterator["Part"]:
        """This part and those below it; not those of attached mails."""
        yield self
        for child in self.children:
            yield from child.walk()

    def leaves(self) -> list["Part"]:
        return [part for part in self.walk() if not part.children]

    @property
    def count(self) -> int:
        """How many parts there are, those of attached mails included."""
        below = [*self.children, self.mail] if self.mail else self.children
        return 1 + sum(part.count for part in below)


def split(mail: Windows) -> Part:
    """The MIME tree of a mail.

    Raises:
        Refusal: the mail is over a limit, or its end is missing.
    """
    return _Splitter(mail).part(0, len(mail), 0, "text/plain")


class _Splitter:
    def __init__(self, mail: Windows) -> None:
        self.mail = mail
        self.parts = 0
        self.header_bytes = 0
        self.false = 0

    def part(self, start: int, end: int, depth: int, default_type: str) -> Part:
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise Refusal(f"This mail has more than {MOST_PARTS} parts. Send the scans as ZIP.")
        if depth > DEEPEST:
            raise Refusal(f"The parts of this mail are nested more than {DEEPEST} deep.")
        headers, body = self._headers(start, end, default_type)
        found = Part(start, body, end, headers, depth)
        if headers.get_content_maintype() == "multipart":
            found.children = self._children(found, _boundary(headers), depth)
        if found.type in ATTACHED_MAIL and found.encoding in AS_IT_IS and depth < DEEPEST:
            found.mail = self._attached_mail(found)
        return found

    def _attached_mail(self, part: Part) -> Part | None:
        """RFC 2046 5.2.1; one that is cut off, as in many a delivery report, stays one leaf."""
        try:
            return self.part(part.start, part.end, part.depth + 1, "text/plain")
        except Malformed:
            return None

    def _headers(self, start: int, end: int, default_type: str) -> tuple[Message, int]:
        block = self.mail.read(start, min(end, start + HEADER_LIMIT))
        if block.startswith((b"\r\n", b"\n")):
            body = start + (2 if block.startswith(b"\r\n") else 1)
            block = b""
        else:
            found = _HEADER_END.search(block)
            if found is None and len(block) == HEADER_LIMIT:
                raise Refusal(f"A header in this mail is larger than {HEADER_LIMIT // 1024} KB.")
            body = start + (found.end() if found else len(block))
            block = block[: found.start()] + b"\r\n" if found else block
        self.header_bytes += len(block)
        if self.header_bytes > ALL_HEADERS or block.count(b"\n") > MOST_FIELDS:
            raise Refusal("The header of this mail, or of its parts, is too long.")
        headers = read_header(block)
        headers.set_default_type(default_type)
        _refuse_hostile(headers)
        return headers, body

    def _children(self, parent: Part, boundary: str, depth: int) -> list[Part]:
        delimiter = b"--" + boundary.encode()
        digest = parent.type == "multipart/digest"  # RFC 2046 5.1.5
        children: list[Part] = []
        begin: int | None = None
        for line_start, line_end, closes in self._delimiters(delimiter, parent.start, parent.end):
            if begin is not None and line_start > begin:
                stop = self._before_line_end(line_start, begin)
                default_type = "message/rfc822" if digest else "text/plain"
                children.append(self.part(begin, stop, depth + 1, default_type))
            if closes:
                return children
            begin = line_end
        raise Incomplete(
            "This mail is incomplete: its end is missing. Nothing was shared. Send it once more."
        )

    def _delimiters(
        self, delimiter: bytes, start: int, end: int
    ) -> Iterator[tuple[int, int, bool]]:
        """Each delimiter line: where it starts, where the next line starts, whether it closes."""
        mark, before = b"\n" + delimiter, b"\n"
        while start < end:
            stop = min(end, (start // WINDOW + 1) * WINDOW)
            # What begins in this window may end in the next one.
            text = before + self.mail.read(start, min(end, stop + _ROOM))
            # Base64 has no "-": one fast look settles it for most of a large mail.
            at = text.find(mark) if b"-" in text else -1
            while 0 <= at < stop - start:
                if tail := _DELIMITER_END.match(text, at + len(mark)):
                    yield start + at, start - 1 + tail.end(), tail[1] is not None
                else:
                    self._count_false()
                at = text.find(mark, at + 1)
            before = text[stop - start : stop - start + 1]
            start = stop

    def _count_false(self) -> None:
        self.false += 1
        if self.false > MOST_FALSE:
            raise Refusal("The parts of this mail cannot be told apart.")

    def _before_line_end(self, at: int, lowest: int) -> int:
        """The line end before a delimiter belongs to the delimiter (RFC 2046 5.1.1)."""
        before = self.mail.read(max(lowest, at - 2), at)
        if before.endswith(b"\r\n"):
            return at - 2
        return at - 1 if before.endswith(b"\n") else at


def read_header(block: bytes) -> Message:
    """The fields of a header block, whatever stands between them."""
    return _PARSER.parsestr(readable(_fields_of(block)).decode())


def _boundary(headers: Message) -> str:
    try:
        boundary = headers.get_boundary()
    except (ValueError, TypeError):  # RFC 2231 in a charset that is none, or numbered wrongly
        boundary = None
    if not boundary or not boundary.isascii() or len(boundary) > _LONGEST_BOUNDARY:
        raise Malformed(_ODD_BOUNDARY)
    return boundary


def _refuse_hostile(headers: Message) -> None:
    """The library reads parameters in a time that grows with the square of their number."""
    for name in ("content-type", "content-disposition"):
        for value in headers.get_all(name, []):
            if len(value) > _LONGEST_PARAMETERS or value.count(";") > _MOST_PARAMETERS:
                raise Refusal("The header of this mail, or of its parts, is too long.")


def _fields_of(block: bytes) -> bytes:
    """The lines of a header that are fields (RFC 5322 2.2), and those that go on with one.

    Python's parser takes any other line for the header's end, mail programs pass over it: what they
    show would be lost. Blanks before a colon are forgiven by them too.
    """
    lines, kept = [], False
    for line in block.split(b"\n"):
        field = _FIELD.match(line)
        if field:
            line = field[1] + line[field.end() - 1 :]  # noqa: PLW2901 -- the same line, mended
        kept = bool(field) or (kept and line.startswith((b" ", b"\t")))
        if kept:
            lines.append(line)
    return b"\n".join(lines) + b"\n" if lines else b""


def without_content_fields(block: bytes) -> bytes:
    """A header block that says nothing about its body any more."""
    return _CONTENT.sub(b"", block)


def readable(block: bytes) -> bytes:
    """A header block as UTF-8: what is none was written by a program that knew only windows-1252."""
    block = block.replace(b"\0", b"")  # the door lets none in, a signature around the mail may
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode("cp1252", "replace").encode()
    return block
