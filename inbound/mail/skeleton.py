"""A mail without its weight: small enough for any parser, whatever was attached.

The body of every leaf that is no text is replaced by a stub, so that mail-parser can read the texts
of a 150 MB mail. Attached mails become stubs too: it would mix what somebody else wrote into our
text. Texts are decoded here and handed on as UTF-8: mail-parser knows only the charsets that label
themselves rightly.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.message import Message

import mailparser

from inbound.mail import uuencode
from inbound.mail.charsets import readable_text
from inbound.mail.decoding import decoded
from inbound.mail.elsewhere import places_named
from inbound.mail.parts import AS_IT_IS, Held, Part, Windows
from inbound.mail.text import text_of_html
from inbound.mail.texts import SAID, is_said
from inbound.mail.words import decoded_words, parameter

LARGEST_TEXT = 256 * 1024
_PARTS = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n"
_TEXT = b"Content-Type: %b; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
_STUB = b"Content-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n\r\nstub"


@dataclass(frozen=True)
class Contents:
    """What a mail says, apart from its files."""

    subject: str
    headers: dict[str, list[str]]  # lower-case name: values, unfolded
    text: str  # the text/plain parts
    html_text: str  # the text/html parts, as text
    has_html: bool = False  # whether there is HTML at all, with text in it or without
    invitation: bool = False  # whether a part asks a calendar for something (RFC 6047)
    places: tuple[str, ...] = ()  # where files wait that its links lead to

    @property
    def body(self) -> str:
        return self.text if self.text.strip() else self.html_text

    def header(self, name: str) -> str:
        """The first value of a header field, or nothing."""
        return next(iter(self.headers.get(name, [])), "")


def read_contents(mail: Windows, root: Part) -> Contents:
    parsed = mailparser.parse_from_bytes(skeleton(mail, root))
    return replace(
        contents_of(root.headers),
        text="\n".join(parsed.text_plain),
        html_text="\n".join(text_of_html(html) for html in parsed.text_html),
        has_html=bool(parsed.text_html),
        invitation=any(_is_invitation(part) for part in root.leaves()),
        places=places_named([*parsed.text_plain, *parsed.text_html]),
    )


def contents_of(header: Message) -> Contents:
    """What the header says; nothing else."""
    headers: dict[str, list[str]] = {}
    for name, value in header.items():
        headers.setdefault(name.lower(), []).append(" ".join(str(value).split()))
    subject = decoded_words(next(iter(headers.get("subject", [])), ""))
    return Contents(subject, headers, text="", html_text="")


def skeleton(mail: Windows, root: Part) -> bytes:
    """The parts of a mail, with a stub for each that is no text and only the begin of long texts.

    No header goes with them: what a parser cannot make out of one, it writes into our log.
    """
    return _Skeleton(mail).of(root)


class _Skeleton:
    def __init__(self, mail: Windows) -> None:
        self.mail = mail
        self.room = dict.fromkeys(SAID, LARGEST_TEXT)  # for all texts of a type together

    def of(self, part: Part) -> bytes:
        if part.children:
            inner = [self.of(child) for child in part.children]
            # Not the mail's own boundary: an encoded text may hold that.
            mark = hashlib.sha256(b"".join(inner)).hexdigest().encode()
            lines = b"".join(b"--%b\r\n%b\r\n" % (mark, child) for child in inner)
            return _PARTS % mark + lines + b"--%b--\r\n" % mark
        if is_said(self.mail, part) and self.room[part.type]:
            return _TEXT % part.type.encode() + self._text_of(part)
        # Not its own type: a parser would go into an attached mail and take its text for ours.
        return _STUB

    def _text_of(self, part: Part) -> bytes:
        """The begin of a text as UTF-8, without the files that were written into it (uuencode)."""
        room = self.room[part.type]
        if part.type == "text/plain" and part.encoding in AS_IT_IS:
            data = b"".join(_between_files(self.mail, part, room + 1))
        else:
            held = Held(b"".join(_begin_of(self.mail, part, room + 1)))
            whole = Part(0, 0, len(held), part.headers, part.depth)
            data = b"".join(_between_files(held, whole, room + 1))
        if len(data) > room:  # between lines: half a character would spoil the rest
            data = data[: data.rfind(b"\n", 0, room) + 1 or room]
        self.room[part.type] -= len(data)
        return readable_text(data, parameter(part.headers, "charset")).encode()


def _between_files(mail: Windows, part: Part, room: int) -> Iterator[bytes]:
    start = part.start
    files = uuencode.blocks(mail, part.start, part.end)
    for stop, after in [*((file.block_start, file.block_end) for file in files), (part.end, 0)]:
        text = mail.read(start, min(stop, start + room))
        yield text
        start, room = after, room - len(text)


def _begin_of(mail: Windows, part: Part, room: int) -> Iterator[bytes]:
    for piece in decoded(mail, part):
        yield piece
        room -= len(piece)
        if room <= 0:
            return


def _is_invitation(part: Part) -> bool:
    return part.type == "text/calendar" and bool(part.headers.get_param("method"))
