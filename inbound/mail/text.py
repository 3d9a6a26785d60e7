"""What a mail's body says: the text of an HTML page, and the note in a text.

The note leaves out what inbound/mail/quotes.py knows as quoted or as a signature. The page is read
as a person sees it: hidden elements are left out, and a quotation's lines begin with ">".
"""

import re
from enum import Enum, auto
from html import unescape

from inbound.mail.quotes import LONGEST_TEXT, Mark, behind_banners, is_quoted_at, mark_at

LONGEST = 8_000  # characters of a note
_MOST_LINES = 2_000  # of a body, for a note
_LONGEST_HTML = 256 * 1024  # Word writes 100 KB of styles before the first word


def note_of(body: str) -> str:
    """The sender's own words: quoted text and signature are cut, blank lines joined.

    Below a quotation there are only those of somebody who wrote nothing above it: programs break
    quoted lines in two, and the second half has no ">".
    """
    lines = body[:LONGEST_TEXT].splitlines()[:_MOST_LINES]
    own: list[str] = []
    index = behind_banners(lines, lambda _line: False)
    while index < len(lines):
        mark, count = mark_at(lines, index) or (None, 1)
        if mark is None:
            own.append(lines[index])
        elif mark is Mark.ATTRIBUTION:
            if any(line.strip() for line in own) or not is_quoted_at(lines, index + count):
                break
        elif mark is not Mark.QUOTED:
            break
        index += count
    return tidy("\n".join(own))


def tidy(text: str) -> str:
    """Blank lines joined, none at either end; at most as long as a note may be."""
    lines = [line.rstrip() for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()[:LONGEST].rstrip()


# ---------------------------------------------------------------- HTML

# As HTML's tokenizer reads (13.2.5): a value in quotes may hold ">"; what never ends is left out.
_TOKEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<[!?][^>]*+>?+|</(?=[^a-zA-Z])[^>]*+>?+"
    r"|<(?P<closing>/?)(?P<tag>[a-zA-Z][^\s/>]*+)"
    r"(?P<attributes>(?:[^=>]++|=\s*+(?:\"[^\"]*+\"?+|'[^']*+'?+)?+)*+)>?+",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"([^\s=/]++)(?:\s*+=\s*+(\"[^\"]*+\"?+|'[^']*+'?+|[^\s]++))?+")
_RAW = {"style", "script", "title", "noembed", "noframes", "iframe"}  # their tags are text
_VOID = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
}  # fmt: skip
_BLOCKS = {
    "address", "article", "blockquote", "body", "br", "center", "dd", "div", "dl", "dt", "fieldset",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "ol", "p",
    "pre", "section", "table", "tr", "ul",
}  # fmt: skip
_TELLING = ("style", "hidden", "class", "id")  # the attributes that say how an element is read
_CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_HIDING = re.compile(
    r"(?:^|;)(?:display:none|visibility:(?:hidden|collapse)|mso-hide:all"
    r"|(?:opacity|font-size):(?:0+(?:\.0*)?|\.0+)(?:%|[a-z]{2,3})?)(?:!important)?(?=;|$)"
)
_OUTLOOK_LINE = "border:none;border-top:solid"  # above the head of the mail that is answered
_QUOTES = ("moz-cite-prefix", "protonmail_quote", "tutanota_quote", "applemailsignature")
# Outlook's heads stand beside what they quote; the boxes of Gmail and Yahoo are closed too early by
# the programs that quote them in turn.
_QUOTES_TO_THE_END = (
    "divrplyfwdmsg", "gmail_quote", "yahoo_quoted", "outlookmessageheader", "appendonsend",
    "mail-editor-reference-message-container",
)  # fmt: skip


class _Kind(Enum):
    HIDDEN = auto()  # No reader sees it.
    QUOTED = auto()  # Somebody else wrote it, or a program.
    QUOTED_TO_THE_END = auto()  # That, and all that comes behind it.
    OWN = auto()


def text_of_html(html: str) -> str:
    """The text of an HTML body, a line for each block; a quotation's lines begin with ">"."""
    # Not html.parser: over a text of unclosed tags it takes seconds, this the time of one pass.
    reader, position, html = _TextOfHtml(), 0, html[:_LONGEST_HTML]
    while token := _TOKEN.search(html, position):
        reader.take_text(html[position : token.start()])
        position = token.end()
        tag = (token["tag"] or "").lower()
        if tag in _RAW and not token["closing"]:
            position = _behind_raw(html, tag, position)
        elif tag:
            reader.take_tag(tag, token["attributes"], bool(token["closing"]))
    reader.take_text(html[position:])
    return reader.text


def _behind_raw(html: str, tag: str, position: int) -> int:
    end = re.compile(rf"</{tag}[^>]*+>?+", re.IGNORECASE).search(html, position)
    return end.end() if end else len(html)


def _kind(tag: str, attributes: str) -> _Kind:
    if tag in ("head", "template"):
        return _Kind.HIDDEN
    usual = _Kind.QUOTED if tag == "blockquote" else _Kind.OWN
    attributes = attributes.lower()
    if not any(name in attributes for name in _TELLING):
        return usual
    found: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(attributes):
        found.setdefault(name, unescape(value.strip("\"'")))
    style = "".join(_CSS_COMMENT.sub("", found.get("style", "")).split())
    named = f"{found.get('class', '')} {found.get('id', '')}"
    clipped = "max-height:0" in style and "overflow:hidden" in style
    if "hidden" in found or "preheader" in named or clipped or _HIDING.search(style):
        return _Kind.HIDDEN
    # "x_" stands before the names in a mail that Outlook has quoted: these are found within.
    if any(name in named for name in _QUOTES_TO_THE_END) or style.startswith(_OUTLOOK_LINE):
        return _Kind.QUOTED_TO_THE_END
    return _Kind.QUOTED if any(name in named for name in _QUOTES) else usual


class _TextOfHtml:
    """Counts the open elements of each tag, so that the end of a hidden one is found among others."""

    def __init__(self) -> None:
        self.lines = [""]
        self.open: dict[str, int] = {}
        self.regions: dict[str, list[tuple[int, _Kind]]] = {}  # of a tag: how many were open, kind
        self.inside = {_Kind.HIDDEN: 0, _Kind.QUOTED: 0}

    @property
    def text(self) -> str:
        return "\n".join(" ".join(line.split()) for line in self.lines).strip()

    def take_tag(self, tag: str, attributes: str, closing: bool) -> None:
        if closing:
            self._end(tag)
        else:
            self._begin(tag, attributes)
        if tag in _BLOCKS:
            self._next_line()
        elif tag in ("td", "th"):
            self.take_text(" ")

    def take_text(self, text: str) -> None:
        if not text or self.inside[_Kind.HIDDEN]:
            return
        text = unescape(text)
        first, *more = text.split("\n") if self.open.get("pre") else [text]
        self.lines[-1] += first
        for line in more:
            self._next_line()
            self.lines[-1] += line

    def _begin(self, tag: str, attributes: str) -> None:
        if tag == "body":  # the end of <head> may be left out
            self._leave("head", 0)
        if tag in _BLOCKS:  # and that of a paragraph
            self._leave("p", 0)
        kind = _kind(tag, attributes)
        if kind is _Kind.QUOTED_TO_THE_END:
            self._enter(_Kind.QUOTED)
        if tag in _VOID:
            return
        before = self.open.get(tag, 0)
        self.open[tag] = before + 1
        if kind in self.inside:
            self.regions.setdefault(tag, []).append((before, kind))
            self._enter(kind)

    def _end(self, tag: str) -> None:
        self._leave(tag, self.open.get(tag, 0) - 1)

    def _enter(self, kind: _Kind) -> None:
        self.inside[kind] += 1
        self._next_line()

    def _leave(self, tag: str, still_open: int) -> None:
        self.open[tag] = max(0, still_open)
        regions = self.regions.get(tag, [])
        while regions and regions[-1][0] >= still_open:
            self.inside[regions.pop()[1]] -= 1
            self._next_line()

    def _next_line(self) -> None:
        self.lines.append("> " if self.inside[_Kind.QUOTED] else "")
