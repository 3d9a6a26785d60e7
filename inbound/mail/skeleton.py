"""A mail without its weight: small enough for any parser, whatever was attached.

The body of every leaf that is not a small text is replaced by a stub, so that mail-parser can read
headers, texts and addresses of a 150 MB mail. Attached mails become stubs too: it would mix what
somebody else wrote into our text. Part references that a sender planted mean nothing to us: leaves
are matched by their order, not by a header.
"""

import re
from dataclasses import dataclass

import mailparser

from inbound.mail.parts import Part, Windows
from inbound.mail.text import text_of_html

LARGEST_TEXT = 256 * 1024
_ENCODING = re.compile(rb"(?im)^content-transfer-encoding:.*(?:\r?\n[ \t].*)*\r?\n")


@dataclass(frozen=True)
class Contents:
    """What a mail says, apart from its files."""

    subject: str
    headers: dict[str, list[str]]  # lower-case name: values, unfolded
    text: str  # the text/plain parts
    html_text: str  # the text/html parts, as text

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
        subject=" ".join(str(parsed.subject or "").split()),
        headers=headers,
        text="\n".join(parsed.text_plain),
        html_text="\n".join(text_of_html(html) for html in parsed.text_html),
    )


def skeleton(mail: Windows, root: Part) -> bytes:
    """The same mail with a stub for each body that is large, or no text."""
    pieces, position = [], 0
    for part in root.leaves():
        if _is_small_text(part):
            continue
        pieces.append(mail.read(position, part.header_start))
        block = mail.read(part.header_start, part.start)
        pieces.append(_ENCODING.sub(b"", block))
        pieces.append(b"stub")
        position = part.end
    pieces.append(mail.read(position, len(mail)))
    return b"".join(pieces)


def _is_small_text(part: Part) -> bool:
    text = part.type in ("text/plain", "text/html")
    return text and part.size <= LARGEST_TEXT and not part.headers.get_filename()
