"""What a person wrote, without what their mail program added: the note to the reviewer.

Commands are never found this way (inbound/talk/grammar.py reads the first line itself): a cut that
misses a quote is ugly in a note and dangerous in a command.
"""

import re
from html.parser import HTMLParser

import quotequail

LONGEST = 8_000  # characters; the library's patterns grow faster than the text
_SIGNATURE = re.compile(
    r"(?im)^(?:-- ?|_{5,}|sent from my .{1,40}|von meinem .{1,40} gesendet"
    r"|enviado desde mi .{1,40}|get outlook for .{1,20}|发自我的.{1,20})\s*$"
)
_BLOCKS = {"br", "p", "div", "tr", "li", "blockquote", "h1", "h2", "h3", "hr", "table"}
_UNSHOWN = {"style", "script", "head", "title"}


def note_of(body: str) -> str:
    """The sender's own words: quoted text and signature are cut, blank lines joined."""
    text = body.replace("\r\n", "\n").replace("\r", "\n")[:LONGEST]
    parts = quotequail.unwrap(text)
    if parts is not None:
        text = parts.get("text_top") or ""
    lines = [line for line in text.split("\n") if not line.lstrip().startswith(">")]
    text = "\n".join(lines)
    found = _SIGNATURE.search(text)
    if found:
        text = text[: found.start()]
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def text_of_html(html: str) -> str:
    """The text of an HTML body, a line for each block; a quotation's lines begin with ">"."""
    reader = _TextOfHtml()
    reader.feed(html[: 8 * LONGEST])
    reader.close()
    return reader.text


class _TextOfHtml(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines = [""]
        self.quoted = 0
        self.unshown = 0

    @property
    def text(self) -> str:
        return "\n".join(" ".join(line.split()) for line in self.lines).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.unshown += tag in _UNSHOWN
        quotes = tag == "blockquote" or "gmail_quote" in (dict(attrs).get("class") or "")
        # gmail_quote is a div, whose end cannot be told from others': the quote runs to the end.
        self.quoted += quotes
        if tag in _BLOCKS:
            self.lines.append("> " if self.quoted else "")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSHOWN:
            self.unshown = max(0, self.unshown - 1)
        if tag == "blockquote":
            self.quoted = max(0, self.quoted - 1)
        if tag in _BLOCKS:
            self.lines.append("> " if self.quoted else "")

    def handle_data(self, data: str) -> None:
        if not self.unshown:
            self.lines[-1] += data
