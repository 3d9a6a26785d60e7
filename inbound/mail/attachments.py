"""The files in a mail: what each is by its content, and its bytes, decoded in constant memory."""

import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

import pybase64

from inbound.mail.names import distinct, safe_name
from inbound.mail.parts import WINDOW, Part, Windows
from inbound.mail.words import decoded_words
from inbound.scans.sniff import Format, sniff

HEAD = 4096
LOGO = 100 * 1024  # an inline picture below this belongs to a signature
_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True)
class Attachment:
    part: Part
    name: str  # safe and distinct within the mail
    format: Format


def attachments(mail: Windows, root: Part) -> list[Attachment]:
    """Every file of a mail in its order; texts that people read and signature logos are none."""
    files = [part for part in root.leaves() if not _is_text(part) and not _is_logo(part)]
    names = [safe_name(_name_of(part.headers), f"file {n}") for n, part in enumerate(files, 1)]
    return [
        Attachment(part, name, _format_of(mail, part))
        for part, name in zip(files, distinct(names), strict=True)
    ]


def decoded(mail: Windows, part: Part) -> Iterator[bytes]:
    """The bytes of a part, in pieces of about a megabyte."""
    if part.encoding == "base64":
        return _base64(mail, part)
    if part.encoding == "quoted-printable":
        return _quoted_printable(mail, part)
    return _windows(mail, part.start, part.end)  # 7bit, 8bit, binary: RFC 2045 6.2


def _is_text(part: Part) -> bool:
    if part.headers.get_content_maintype() == "multipart":
        return True
    plain = part.type in ("text/plain", "text/html", "text/calendar")
    return plain and not part.headers.get_filename() and _disposition(part) != "attachment"


def _is_logo(part: Part) -> bool:
    picture = part.headers.get_content_maintype() == "image"
    inline = _disposition(part) == "inline" or part.headers.get("content-id")
    return picture and bool(inline) and part.size < LOGO


def _disposition(part: Part) -> str:
    return part.headers.get_content_disposition() or ""


def _name_of(headers: Message) -> str:
    """The file name: RFC 2231 and 2183 by the parser, RFC 2047 inside quotes as Outlook writes it."""
    return decoded_words(headers.get_filename() or "")


def _format_of(mail: Windows, part: Part) -> Format:
    """By the first bytes and the likely size; sniffed once more with the true size when stored."""
    head = next(decoded(mail, part), b"")[:HEAD]
    likely = part.size * 3 // 4 if part.encoding == "base64" else part.size
    return sniff(head, max(len(head), likely))


def _windows(mail: Windows, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        stop = min(end, (start // WINDOW + 1) * WINDOW)
        yield mail.read(start, stop)
        start = stop


def _base64(mail: Windows, part: Part) -> Iterator[bytes]:
    carried = b""
    for lines in _whole_lines(mail, part):
        digits = carried + lines.translate(None, b"\r\n")
        try:
            piece = pybase64.b64decode(digits[: len(digits) & ~3], validate=True)
        except binascii.Error:
            digits = carried + _digits_among(lines)
            piece = _decode(digits[: len(digits) & ~3])
        yield piece
        carried = digits[len(digits) & ~3 :]
    yield _decode(carried)


def _whole_lines(mail: Windows, part: Part) -> Iterator[bytes]:
    carried = b""
    for window in _windows(mail, part.start, part.end):
        text = carried + window
        cut = text.rfind(b"\n") + 1 or len(text)
        yield text[:cut]
        carried = text[cut:]
    yield carried


def _digits_among(lines: bytes) -> bytes:
    """The base64 digits; a line that a gateway wrote in between ("scanned by …") is left out."""
    stripped = (line.strip() for line in lines.splitlines())
    return b"".join(line for line in stripped if _BASE64_LINE.fullmatch(line))


def _decode(digits: bytes) -> bytes:
    try:
        return pybase64.b64decode(digits, validate=True)
    except binascii.Error:
        return b"".join(_decode_run(run) for run in digits.split(b"="))


def _decode_run(run: bytes) -> bytes:
    """Digits whose padding is missing, or stands in their middle; a lone last digit says nothing."""
    whole = run[: len(run) - (len(run) % 4 == 1)]
    return pybase64.b64decode(whole + b"=" * (-len(whole) % 4))


def _quoted_printable(mail: Windows, part: Part) -> Iterator[bytes]:
    carried = b""
    for window in _windows(mail, part.start, part.end):
        text = carried + window
        cut = text.rfind(b"\n") + 1 or _outside_of_escape(text)
        carried = text[cut:]
        yield quopri.decodestring(text[:cut])
    yield quopri.decodestring(carried)


def _outside_of_escape(text: bytes) -> int:
    """Where a text without line ends may be cut: anywhere but within "=4A". Memory stays bounded."""
    at = text.rfind(b"=", max(0, len(text) - 2))
    return at if at >= 0 else len(text)
