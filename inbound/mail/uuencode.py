"""Files that stand in a mail's text between `begin` and `end` (POSIX uuencode), in constant memory.

One pass finds them; whole lines are then decoded by the run, the others one by one as gateways leave
them: blanks cut, a checksum behind, "`" for a blank. No checksum guards a file, so that one line which
is not what it says refuses all of it. yEnc, which hardly is text, is only recognised.
"""

import binascii
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pybase64

from inbound.mail.names import safe_name
from inbound.mail.parts import WINDOW, Windows, readable
from store.errors import Refusal

MOST_BLOCKS = 100
MOST_FALSE = 10_000  # lines that look like a file's first or last and are none
LONGEST_LINE = 1_000
SHORTEST_LINES = 16  # bytes on average; shorter ones only cost time
SLACK = 64 * 1024  # bytes that a file may grow where a gateway cut its blanks
_AGAIN = "Send it once more as an ordinary attachment."
_HEAD = 8 * 1024  # bytes of lines, which hold what `sniff` wants to see
_ROOM = 1024  # bytes: a whole `begin` line and the line behind it
_MARK = re.compile(
    rb"\n(?=begin(?P<base64>-base64)? [0-7]{3,4} (?P<name>[^\r\n]{1,500})\r?\n(?P<first>[^\r\n]{0,200})"
    rb"|(?P<last>(?:end|={4})[ \t]{0,100}\r?(?:\n|\Z)))"
)
_FULL_LINES = re.compile(rb"(?:M[ -`]{60}\r?\n)++")
_UU_LINE = re.compile(rb"[ -`]{1,100}")
_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]{2,}={0,2}[ \t]*|={4}[ \t]*")
_AS_BASE64 = bytes.maketrans(
    bytes(range(0x20, 0x61)),
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/A",
)
_YENC_NAME = re.compile(rb"^=ybegin [^\r\n]{0,200}?\bname=([^\r\n]{1,500})", re.MULTILINE)
_YENC = re.compile(rb"^=ybegin (?=[^\r\n]{0,200}\bline=\d)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A file in a text; positions are bytes from the mail's begin.

    Attributes:
        name: as written, for `safe_name`.
        start, end: its encoded lines, without `begin` and `end`.
        whole: whether its `end` is there; without it the file is not decoded.
        block_start, block_end: all of it, to be cut out of what a person wrote.
    """

    name: str
    start: int
    end: int
    base64: bool
    whole: bool
    block_start: int
    block_end: int


def blocks(mail: Windows, start: int, end: int) -> list[Block]:
    """The files in a text that is not encoded itself.

    Raises:
        Refusal: there are too many.
    """
    found: list[Block] = []
    opened: _Mark | None = None
    false = 0
    for mark in _marks(mail, start, end):
        if opened and mark.closes(opened):
            found.append(_block(opened, mark.at, mark.end, whole=True))
            opened = None
        elif mark.opens():
            if opened:
                found.append(_block(opened, mark.at, mark.at, whole=False))
            opened = mark
        else:
            false += 1
        if len(found) + bool(opened) > MOST_BLOCKS or false > MOST_FALSE:
            raise Refusal(
                f"The text of this mail holds more than {MOST_BLOCKS} files. Send the scans as ZIP."
            )
    if opened:
        found.append(_block(opened, end, end, whole=False))
    return found


def decoded(mail: Windows, block: Block) -> Iterator[bytes]:
    """The bytes of a file, piece by piece.

    Raises:
        Refusal: its end is missing, or (once that piece is reached) a line of it is damaged.
    """
    if not block.whole:
        raise Refusal(f"{_shown(block)} stops before its end. {_AGAIN}")
    return (_base64 if block.base64 else _uuencoded)(mail, block)


def head(mail: Windows, block: Block) -> bytes:
    """The first bytes of a file, up to the first damage, to tell what it is or would have been."""
    text = mail.read(block.start, min(block.end, block.start + _HEAD))
    lines = text[: text.rfind(b"\n") + 1].splitlines()
    if not block.base64:
        pieces = [_line(line, ticked=False) for line in lines]
        return b"".join(filter(None, pieces[: (*pieces, None).index(None)]))
    digits = b"".join(map(bytes.strip, itertools.takewhile(_BASE64_LINE.fullmatch, lines)))
    try:
        return pybase64.b64decode(digits[: len(digits) & ~3])
    except binascii.Error:
        return b""


def has_yenc(text: bytes) -> bool:
    """Whether a text holds a file in yEnc, as news readers send them; none is taken."""
    return _YENC.search(text) is not None


def yenc_name(text: bytes) -> str:
    """The name of the first file in yEnc, as written."""
    found = _YENC_NAME.search(text)
    return readable(found[1]).decode().strip() if found else ""


@dataclass(frozen=True)
class _Mark:
    """A line that may begin a file or end one: where it lies, and where the next line begins."""

    at: int
    end: int
    match: re.Match[bytes]

    def opens(self) -> bool:
        """Whether the line behind is encoded, so that "begin 644 of the teeth" in a letter is none."""
        first = self.match["first"]
        if first is None:
            return False
        if self.match["base64"]:
            return _BASE64_LINE.fullmatch(first) is not None
        if not _UU_LINE.fullmatch(first) or first.isspace():
            return False
        # A full line may have lost blanks at its end, and all of a scan's first line may be blanks.
        as_long = len(first.rstrip()) <= _digits(first) + 2 and len(first) > _digits(first)
        return as_long or first.startswith(b"M")

    def closes(self, opened: "_Mark") -> bool:
        last = self.match["last"]
        return last is not None and last.startswith(b"=") == bool(opened.match["base64"])


def _marks(mail: Windows, start: int, end: int) -> Iterator[_Mark]:
    before = b"\n"
    while start < end:
        stop = min(end, (start // WINDOW + 1) * WINDOW)
        # What begins in this window may end in the next one.
        text = before + mail.read(start, min(end, stop + _ROOM))
        for match in _MARK.finditer(text):
            if match.start() >= stop - start:
                break
            after = match.end("last") if match["last"] else match.start("first")
            yield _Mark(start + match.start(), start - 1 + after, match)
        before = text[stop - start : stop - start + 1]
        start = stop


def _block(opened: _Mark, end: int, block_end: int, *, whole: bool) -> Block:
    name = readable(opened.match["name"]).decode().strip()
    base64 = opened.match["base64"] is not None
    return Block(name, opened.end, end, base64, whole, opened.at, block_end)


def _shown(block: Block) -> str:
    return safe_name(block.name, "A file in the text")


def _damaged(block: Block) -> Refusal:
    return Refusal(f"{_shown(block)} is damaged: a line of it cannot be read. {_AGAIN}")


def _whole_lines(mail: Windows, block: Block) -> Iterator[bytes]:
    start, carried = block.start, b""
    while start < block.end:
        stop = min(block.end, (start // WINDOW + 1) * WINDOW)
        text = carried + mail.read(start, stop)
        cut = text.rfind(b"\n") + 1
        if len(text) - cut > LONGEST_LINE:
            raise _damaged(block)
        yield text[:cut]
        start, carried = stop, text[cut:]
    yield carried


def _base64(mail: Windows, block: Block) -> Iterator[bytes]:
    digits = b""
    for lines in _whole_lines(mail, block):
        digits += b"".join(line.rstrip() for line in lines.splitlines())
        cut = len(digits) & ~3
        try:
            yield pybase64.b64decode(digits[:cut], validate=True)
        except binascii.Error as error:
            raise _damaged(block) from error
        digits = digits[cut:]
    if digits:
        raise _damaged(block)


def _uuencoded(mail: Windows, block: Block) -> Iterator[bytes]:
    ticked, written = False, 0
    for lines in _whole_lines(mail, block):
        # Who writes "`" for a blank writes no blanks, and a gateway had none to cut.
        ticked = ticked or lines.count(b"`") > lines.count(b"\n`")  # the last line may be one
        if lines.count(b"\n") > len(lines) // SHORTEST_LINES + 1_000:
            raise _damaged(block)
        piece = _lines(lines, ticked)
        written += len(piece or b"")
        if piece is None or written > block.end - block.start + SLACK:
            raise _damaged(block)
        yield piece


def _lines(lines: bytes, ticked: bool) -> bytes | None:
    """The bytes of whole lines, or None if one is damaged."""
    found, at = [], 0
    while at < len(lines):
        if run := _FULL_LINES.match(lines, at):
            found.append(_full_lines(run[0]))
            at = run.end()
            continue
        next_line = lines.find(b"\n", at) + 1 or len(lines)
        piece = _line(lines[at:next_line].rstrip(b"\r\n"), ticked)
        if piece is None:
            return None
        found.append(piece)
        at = next_line
    return b"".join(found)


def _full_lines(lines: bytes) -> bytes:
    """Lines of 45 bytes: base64 in another alphabet, with an "M" (as base64 "t") before each."""
    digits = (b"\n" + lines).translate(_AS_BASE64, b"\r").replace(b"\nt", b"")
    return pybase64.b64decode(digits[:-1], validate=True)


def _line(line: bytes, ticked: bool) -> bytes | None:
    if not line.strip(b" `\t"):
        return b""  # a line of no bytes, as stands before `end`, or what is left of one
    if not _UU_LINE.fullmatch(line):
        return None
    digits = _digits(line)
    # One letter behind may be a checksum of the line; a last line may lack what fills its quartet,
    # or hold there whatever lay in its writer's memory.
    needed = (_count(line) * 4 + 2) // 3
    written = len(line.rstrip())
    if not (needed if ticked else 0) < written <= digits + 2:
        return None
    return binascii.a2b_uu(line[: 1 + needed].ljust(1 + digits))


def _count(line: bytes) -> int:
    """The bytes that a line says it holds, in its first letter."""
    return (line[0] - 32) & 63


def _digits(line: bytes) -> int:
    return -(-_count(line) // 3) * 4
