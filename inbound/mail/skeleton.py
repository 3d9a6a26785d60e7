"""A mail without its weight: small enough for any parser, whatever was attached.

The body of every leaf that is no text is replaced by a stub, so that mail-parser can read
headers, texts and addresses of a 150 MB mail. Attached mails become stubs too: it would mix what
somebody else wrote into our text. Texts are decoded here and handed on as UTF-8: mail-parser knows
only the charsets that label themselves rightly. Part references that a sender planted mean nothing
to us: leaves are matched by their order, not by a header.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import mailparser

from inbound.mail import uuencode
from inbound.mail.charsets import readable_text
from inbound.mail.decoding import decoded
from inbound.mail.parts import AS_IT_IS, Part, Windows, readable, without_content_fields
from inbound.mail.text import text_of_html
from inbound.mail.texts import is_said
from inbound.mail.words import decoded_words

LARGEST_TEXT = 256 * 1024
_STUB = b"Content-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n"


@dataclass(frozen=True)
class Contents:
    """What a mail says, apart from its files."""

    subject: str
    headers: dict[str, list[str]]  # lower-case name: values, unfolded
    text: str  # the text/plain parts
    html_text: str  # the text/html parts, as text
    invitation: bool = False  # whether a part asks a calendar for something (RFC 6047)

    @property
    def body(self) -> str:
        return self.text if self.text.strip() else self.html_text

    def header(self, name: str) -> str:
        """The first value of a header field, or nothing."""
        return next(iter(self.headers.get(name, [])), "")


def read_contents(mail: Windows, root: Part) -> Contents:
    parsed = mailparser.parse_from_bytes(skeleton(mail, root))
    headers: dict[str, list[str]] = {}
    for name, value in root.headers.items():
        headers.setdefault(name.lower(), []).append(" ".join(str(value).split()))
    return Contents(
        subject=decoded_words(next(iter(headers.get("subject", [])), "")),
        headers=headers,
        text="\n".join(parsed.text_plain),
        html_text="\n".join(text_of_html(html) for html in parsed.text_html),
        invitation=any(_is_invitation(part) for part in root.leaves()),
    )


def skeleton(mail: Windows, part: Part) -> bytes:
    """The same mail with a stub for each body that is no text, and only the begin of a long text."""
    block = readable(mail.read(part.header_start, part.start))
    if part.children:
        mark = b"--" + str(part.headers.get_boundary()).encode()
        inner = b"".join(mark + b"\r\n" + skeleton(mail, child) for child in part.children)
        return b"%b%b%b--\r\n" % (block, inner, mark)
    if is_said(mail, part):
        head = b"Content-Type: %b; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
        return (
            head % part.type.encode()
            + without_content_fields(block)
            + _text_of(mail, part)
            + b"\r\n"
        )
    # Not its own type: a parser would go into an attached mail and take its text for ours.
    return _STUB + without_content_fields(block) + b"stub\r\n"


def _text_of(mail: Windows, part: Part) -> bytes:
    """The begin of a text as UTF-8, without the files that were written into it (uuencode)."""
    end = part.end
    if part.type == "text/plain" and part.encoding in AS_IT_IS:
        found = uuencode.blocks(mail, part.start, part.end)
        end = found[0].block_start if found else end
    plain = Part(part.header_start, part.start, end, part.headers, part.depth)
    data = b"".join(_begin_of(mail, plain))
    if len(data) > LARGEST_TEXT:  # between lines: half a character would spoil the rest
        data = data[: data.rfind(b"\n", 0, LARGEST_TEXT) + 1 or LARGEST_TEXT]
    return readable_text(data, part.headers.get_content_charset()).encode()


def _begin_of(mail: Windows, part: Part) -> Iterator[bytes]:
    size = 0
    for piece in decoded(mail, part):
        yield piece
        size += len(piece)
        if size > LARGEST_TEXT:
            return


def _is_invitation(part: Part) -> bool:
    return part.type == "text/calendar" and bool(part.headers.get_param("method"))
