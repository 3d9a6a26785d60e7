"""The files in a mail: what each is by its content, and its bytes, decoded in constant memory.

A file lies in a part of its own, in a text (uuencode), or in one of these in an attached mail. What
is packed once more (ZIP, winmail.dat) is one file here; a child process looks into it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.message import Message

from inbound.mail import uuencode
from inbound.mail.decoding import decoded
from inbound.mail.names import distinct, safe_name
from inbound.mail.parts import AS_IT_IS, ATTACHED_MAIL, DEEPEST, WINDOW, Part, Windows, split
from inbound.mail.texts import is_no_file, is_said
from inbound.mail.words import decoded_words
from inbound.scans.sniff import HEAD, Format, sniff
from store.errors import Refusal

LOGO = 100 * 1024  # an inline picture below this belongs to a signature
MOST_FILES = 200
_UUENCODED = frozenset({"x-uuencode", "uuencode", "x-uue"})
_TOLD_BY_THEIR_PLACE = frozenset({Format.MAIL, Format.YENC})
Unfold = Callable[[Iterable[bytes]], Windows]


@dataclass(frozen=True)
class Attachment:
    """
    Attributes:
        mail: what its part lies in; an attached mail may have been unpacked apart.
        name: safe and distinct within the mail.
    """

    mail: Windows
    part: Part
    name: str
    format: Format
    block: uuencode.Block | None = None

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, piece by piece."""
        if self.block:
            return uuencode.decoded(self.mail, self.block)
        return decoded(self.mail, self.part)


def attachments(mail: Windows, root: Part, unfold: Unfold | None = None) -> list[Attachment]:
    """Every file of a mail in its order; texts that people read and signature logos are none.

    Args:
        unfold: keeps the bytes of an attached mail that was encoded, so that it can be read in
            windows too; without it such a mail is one file.

    Raises:
        Refusal: there are too many.
    """
    found = list(_files(mail, root, unfold, 0))
    if len(found) > MOST_FILES:
        raise Refusal(f"This mail has more than {MOST_FILES} files. Send the scans as ZIP.")
    named = [safe_name(file.name, _nameless(file, number)) for number, file in enumerate(found, 1)]
    return [
        Attachment(file.mail, file.part, name, _format_of(file), file.block)
        for file, name in zip(found, distinct(named), strict=True)
    ]


def _files(mail: Windows, root: Part, unfold: Unfold | None, depth: int) -> Iterator[Attachment]:
    for part in root.leaves():
        if part.mail:
            inside = list(_files(mail, part.mail, unfold, depth + 1))
            yield from inside or [_named(mail, part, Format.MAIL)]
        elif unfold and depth < DEEPEST and _is_encoded_mail(part):
            yield from _unfolded(mail, part, unfold, depth)
        elif part.encoding in _UUENCODED or is_said(mail, part):
            yield from _written_into(mail, part)
        elif not is_no_file(mail, part) and not _is_logo(part):
            yield _named(mail, part)


def _nameless(file: Attachment, number: int) -> str:
    return "attached mail" if file.format is Format.MAIL else f"file {number}"


def _named(mail: Windows, part: Part, kind: Format = Format.OTHER) -> Attachment:
    return Attachment(mail, part, _name_of(part.headers), kind)


def _written_into(mail: Windows, part: Part) -> Iterator[Attachment]:
    """Files within a text, as programs wrote them before MIME."""
    if part.encoding not in AS_IT_IS | _UUENCODED:
        return
    for block in uuencode.blocks(mail, part.start, part.end):
        yield Attachment(mail, part, block.name, Format.OTHER, block)
    if uuencode.has_yenc(mail.read(part.start, min(part.end, part.start + WINDOW))):
        yield _named(mail, part, Format.YENC)


def _unfolded(mail: Windows, part: Part, unfold: Unfold, depth: int) -> Iterator[Attachment]:
    """The files of an attached mail that somebody has encoded, against RFC 2046 5.2.1."""
    try:
        inner = unfold(decoded(mail, part))
        inside = list(_files(inner, split(inner), unfold, depth + 1))
    except Refusal:
        inside = []
    yield from inside or [_named(mail, part, Format.MAIL)]


def _is_encoded_mail(part: Part) -> bool:
    if part.encoding in AS_IT_IS:
        return False
    return part.type in ATTACHED_MAIL or _name_of(part.headers).lower().endswith(".eml")


def _is_logo(part: Part) -> bool:
    picture = part.headers.get_content_maintype() == "image"
    inline = part.disposition == "inline" or part.headers.get("content-id")
    return picture and bool(inline) and part.size < LOGO


def _name_of(headers: Message) -> str:
    """The file name: RFC 2231 and 2183 by the parser, RFC 2047 inside quotes as Outlook writes it."""
    return decoded_words(headers.get_filename() or "")


def _format_of(file: Attachment) -> Format:
    """By the first bytes and the likely size; sniffed once more with the true size when stored."""
    if file.format in _TOLD_BY_THEIR_PLACE:
        return file.format
    try:
        head = next(file.pieces(), b"")[:HEAD]
    except Refusal:  # damaged at once; who takes the file says so
        return Format.OTHER
    part = file.part
    stored = file.block.end - file.block.start if file.block else part.size
    encoded = file.block is not None or part.encoding == "base64"
    return sniff(head, max(len(head), stored * 3 // 4 if encoded else stored))
