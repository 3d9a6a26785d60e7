"""What a person wrote, without what their mail program added: the note to the reviewer.

Commands are never found this way (inbound/talk/grammar.py reads the first line itself): a cut that
misses a quote is ugly in a note and dangerous in a command.
"""

import re
from html import unescape

import quotequail

LONGEST = 8_000  # characters; the library's patterns grow faster than the text
_SIGNATURE = re.compile(
    r"(?im)^(?:-- ?|_{5,}|sent from my .{1,40}|von meinem .{1,40} gesendet"
    r"|enviado desde mi .{1,40}|get outlook for .{1,20}|发自我的.{1,20})\s*$"
)
_BLOCKS = {"br", "p", "div", "tr", "li", "blockquote", "h1", "h2", "h3", "hr", "table"}
_TOKEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<[!?][^<>]*+>|<(?P<closing>/?)(?P<tag>[a-zA-Z][\w:-]*+)(?P<attributes>[^<>]*+)>",
    re.DOTALL,
)
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
    # Not html.parser: over a text of unclosed tags it takes seconds, this the time of one pass.
    reader, position, html = _TextOfHtml(), 0, html[: 8 * LONGEST]
    for token in _TOKEN.finditer(html):
        reader.take_text(html[position : token.start()])
        position = token.end()
        if token["tag"]:
            reader.take_tag(token["tag"].lower(), token["attributes"], bool(token["closing"]))
    reader.take_text(html[position:])
    return reader.text


class _TextOfHtml:
    def __init__(self) -> None:
        self.lines = [""]
        self.quoted = 0
        self.unshown = 0

    @property
    def text(self) -> str:
        return "\n".join(" ".join(line.split()) for line in self.lines).strip()

    def take_tag(self, tag: str, attributes: str, closing: bool) -> None:
        if closing:
            self._end(tag)
        else:
            self._begin(tag, attributes)
        if tag in _BLOCKS:
            self.lines.append("> " if self.quoted else "")

    def take_text(self, text: str) -> None:
        if not self.unshown:
            self.lines[-1] += unescape(text)

    def _begin(self, tag: str, attributes: str) -> None:
        if tag == "body":  # the end of <head> may be left out
            self.unshown = 0
        self.unshown += tag in _UNSHOWN
        # gmail_quote is a div, whose end cannot be told from others': the quote runs to the end.
        self.quoted += tag == "blockquote" or "gmail_quote" in attributes

    def _end(self, tag: str) -> None:
        if tag in _UNSHOWN:
            self.unshown = max(0, self.unshown - 1)
        if tag == "blockquote":
            self.quoted = max(0, self.quoted - 1)
