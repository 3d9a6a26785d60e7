"""A mail without its weight: small enough for any parser, whatever was attached.

The body of every leaf that is no text is replaced by a stub, so that mail-parser can read
headers, texts and addresses of a 150 MB mail. Attached mails become stubs too: it would mix what
somebody else wrote into our text. Part references that a sender planted mean nothing to us: leaves
are matched by their order, not by a header.
"""

import re
from dataclasses import dataclass

import mailparser

from inbound.mail.parts import Part, Windows, readable
from inbound.mail.text import text_of_html
from inbound.mail.words import decoded_words

LARGEST_TEXT = 256 * 1024
_CONTENT = re.compile(rb"(?im)^content-[a-z-]+[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*")
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
    if _is_our_text(part):
        return block + _begin_of(mail, part) + b"\r\n"
    # Not its own type: a parser would go into an attached mail and take its text for ours.
    return _STUB + _CONTENT.sub(b"", block) + b"stub\r\n"


def _is_our_text(part: Part) -> bool:
    text = part.type in ("text/plain", "text/html") and not part.headers.get_filename()
    return text and part.headers.get_content_disposition() != "attachment"


def _begin_of(mail: Windows, part: Part) -> bytes:
    body = mail.read(part.start, min(part.end, part.start + LARGEST_TEXT))
    # Between lines: half a character or half a group of digits would spoil the rest.
    return body if len(body) == part.size else body[: body.rfind(b"\n") + 1 or len(body)]


def _is_invitation(part: Part) -> bool:
    return part.type == "text/calendar" and bool(part.headers.get_param("method"))
