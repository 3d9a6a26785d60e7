"""The files in a mail: what each is by its content, and its bytes, decoded in constant memory.

A file lies in a part of its own, in a text (uuencode), or in one of these in an attached mail. What
is packed once more (ZIP, winmail.dat) is one file here; a child process looks into it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from inbound.mail import opaque, uuencode
from inbound.mail.decoding import decoded
from inbound.mail.names import distinct, safe_name
from inbound.mail.parts import AS_IT_IS, ATTACHED_MAIL, MOST_PARTS, WINDOW, Part, Windows, split
from inbound.mail.texts import UUENCODED, is_no_file, is_said
from inbound.scans.sniff import HEAD, Format, sniff
from store.errors import Refusal

LOGO = 100 * 1024  # an inline picture below this belongs to a signature
MOST_FILES = 200
MOST_UNFOLDED = 50  # each is an open file
DEEPEST_UNFOLDED = 3  # each level may take as much disk as the mail itself
_BEGIN = re.compile(rb"begin(?:-base64)? [0-7]{3,4} ")
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
    found = list(_Finder(unfold, root.count).files(mail, root))
    if len(found) > MOST_FILES:
        raise Refusal(f"This mail has more than {MOST_FILES} files. Send the scans as ZIP.")
    named = [safe_name(file.name, _nameless(file, number)) for number, file in enumerate(found, 1)]
    return [
        Attachment(file.mail, file.part, name, _format_of(file), file.block)
        for file, name in zip(found, distinct(named), strict=True)
    ]


class _Finder:
    """Goes through a mail and the mails in it, and counts what they cost together."""

    def __init__(self, unfold: Unfold | None, parts: int) -> None:
        self.unfold = unfold
        self.parts = parts
        self.unfolded = 0

    def files(self, mail: Windows, root: Part, depth: int = 0) -> Iterator[Attachment]:
        for part in root.leaves():
            if part.mail:
                inside = list(self.files(mail, part.mail, depth))
                yield from inside or [_named(mail, part, Format.MAIL)]
            elif self.unfold and depth < DEEPEST_UNFOLDED and (inner := _folded(mail, part)):
                yield from self._unfolded(mail, part, self.unfold, inner, depth)
            elif part.type in ATTACHED_MAIL:  # its end is missing, or it lies too deep
                yield _named(mail, part, Format.MAIL)
            elif part.encoding in UUENCODED or is_said(mail, part):
                yield from _written_into(mail, part)
                yield from self._written_into_encoded(mail, part)
            elif not is_no_file(mail, part) and not _is_logo(part):
                yield _named(mail, part)

    def _unfolded(
        self, mail: Windows, part: Part, unfold: Unfold, inner: Iterator[bytes], depth: int
    ) -> Iterator[Attachment]:
        """The files of an attached mail that is encoded, or signed as a whole."""
        self.unfolded += 1
        if self.unfolded > MOST_UNFOLDED or self.parts > MOST_PARTS:
            raise Refusal("Too many mails are attached to this mail. Attach the scans themselves.")
        try:
            held = unfold(inner)
            root = split(held)
        except Refusal:  # damaged, incomplete or encrypted
            yield _named(mail, part, Format.OTHER if opaque.is_mail(part) else Format.MAIL)
            return
        self.parts += root.count
        yield from list(self.files(held, root, depth + 1)) or [_named(mail, part, Format.MAIL)]

    def _written_into_encoded(self, mail: Windows, part: Part) -> Iterator[Attachment]:
        """Files within a text that a gateway has encoded once more."""
        if part.encoding in AS_IT_IS | UUENCODED or part.type != "text/plain" or not self.unfold:
            return
        if not any(_BEGIN.search(piece) for piece in decoded(mail, part)):
            return
        self.unfolded += 1
        if self.unfolded > MOST_UNFOLDED:
            raise Refusal("Too many mails are attached to this mail. Attach the scans themselves.")
        held = self.unfold(decoded(mail, part))
        for block in uuencode.blocks(held, 0, len(held)):
            yield Attachment(held, part, block.name, Format.OTHER, block)


def _nameless(file: Attachment, number: int) -> str:
    return "attached mail" if file.format is Format.MAIL else f"file {number}"


def _named(mail: Windows, part: Part, kind: Format = Format.OTHER) -> Attachment:
    return Attachment(mail, part, part.name, kind)


def _folded(mail: Windows, part: Part) -> Iterator[bytes] | None:
    """The bytes of an attached mail that cannot be read where it lies.

    Some programs encode it, against RFC 2046 5.2.1; others forget to say what it is.
    """
    if part.type in ATTACHED_MAIL and part.encoding in AS_IT_IS:
        return None  # that was tried
    if part.type in ATTACHED_MAIL or part.name.lower().endswith(".eml"):
        return decoded(mail, part)
    return opaque.signed_content(decoded(mail, part)) if opaque.is_mail(part) else None


def _written_into(mail: Windows, part: Part) -> Iterator[Attachment]:
    """Files within a text, as programs wrote them before MIME."""
    if part.encoding not in AS_IT_IS | UUENCODED:
        return
    blocks = uuencode.blocks(mail, part.start, part.end)
    for block in blocks:
        yield Attachment(mail, part, block.name, Format.OTHER, block)
    begin = mail.read(part.start, min(part.end, part.start + WINDOW))
    if uuencode.has_yenc(begin):
        yield Attachment(mail, part, uuencode.yenc_name(begin), Format.YENC)
    elif part.encoding in UUENCODED and not blocks:
        yield _named(mail, part)  # damaged: not dropped without a word


def _is_logo(part: Part) -> bool:
    picture = part.headers.get_content_maintype() == "image"
    inline = part.disposition == "inline" or part.headers.get("content-id")
    return picture and bool(inline) and part.size < LOGO


def _format_of(file: Attachment) -> Format:
    """By the first bytes and the likely size; sniffed once more with the true size when stored."""
    if file.format in _TOLD_BY_THEIR_PLACE:
        return file.format
    block, part = file.block, file.part
    # A damaged file is what it would have been: who takes it says what is wrong with it.
    head = (uuencode.head(file.mail, block) if block else next(file.pieces(), b""))[:HEAD]
    stored = block.end - block.start if block else part.size
    encoded = block is not None or part.encoding == "base64"
    return sniff(head, max(len(head), stored * 3 // 4 if encoded else stored))
