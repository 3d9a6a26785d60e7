"""The macros of SPF policies (RFC 7208 7): how they are written, and what they stand for.

Reading and expanding are two steps: every error of syntax is found before anything is asked, and a
policy's text is never read again together with what a stranger has put into a sender or a HELO.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from store.errors import ScanpostError

LONGEST_NAME = 253  # RFC 7208 7.3: characters of a name, without its last dot
_LONGEST_LABEL = 63
_ONLY_IN_EXPLANATIONS = frozenset("crt")  # RFC 7208 7.2
_MOST_DIGITS = 3  # whoever asks for more parts than this means all of them

_TOKEN = re.compile(
    r"%\{(?P<letter>[slodiphcrtvSLODIPHCRTV])(?P<digits>[0-9]*+)(?P<reverse>[rR]?)"
    r"(?P<delimiters>[-.+,/_=]*+)\}"
    r"|%(?P<sign>[%_-])"
    r"|(?P<literal>[\x20-\x24\x26-\x7e]++)"
)
_SIGNS = {"%": "%", "_": " ", "-": "%20"}


class BadPolicy(ScanpostError):
    """What a domain has published cannot be used as a policy (RFC 7208 2.6.7)."""


@dataclass(frozen=True)
class Macro:
    letter: str  # in lower case
    parts: int  # of the right-hand parts so many are kept; 0: all
    backwards: bool
    delimiters: str
    escaped: bool  # written in upper case: what comes out is escaped for a URL


Spec = tuple[str | Macro, ...]


def read_domain(text: str) -> Spec:
    """A domain-spec (RFC 7208 7.1), which ends in a macro or a label that may stand last.

    Raises:
        BadPolicy: it is written wrongly.
    """
    tokens = _tokens(text)
    if not tokens or not _may_end_in(tokens[-1]["literal"]):
        raise BadPolicy(f"No domain can be read here: {text[:100]!r}.")
    spec = tuple(_piece(token) for token in tokens)
    if _ONLY_IN_EXPLANATIONS & letters(spec):
        raise BadPolicy(f"These macros belong into explanations: {text[:100]!r}.")
    return spec


def read_text(text: str) -> Spec:
    """An explanation, or the value of a modifier that nobody knows (RFC 7208 6.2 and 12).

    Raises:
        BadPolicy: a percent sign is not used as a macro, or a character may not be there.
    """
    return tuple(_piece(token) for token in _tokens(text))


def letters(spec: Spec) -> set[str]:
    return {piece.letter for piece in spec if isinstance(piece, Macro)}


def expand(spec: Spec, values: Mapping[str, str]) -> str:
    """The text that a spec stands for; `values` has an entry for each of its letters."""
    return "".join(
        piece if isinstance(piece, str) else _value(piece, values[piece.letter]) for piece in spec
    )


def as_name(text: str) -> str:
    """An expanded text as a name to ask for: too long ones lose labels from the left (7.3)."""
    name = text.removesuffix(".")
    if len(name) <= LONGEST_NAME:
        return name
    dot = name.find(".", len(name) - LONGEST_NAME - 1)
    return name[dot + 1 :]


def can_be_asked(name: str) -> bool:
    """Whether there can be such a name in the DNS (RFC 7208 4.3 and 4.8, RFC 8616 4)."""
    if not name.isascii() or len(name) > LONGEST_NAME:
        return False
    return all(0 < len(label) <= _LONGEST_LABEL for label in name.split("."))


def _tokens(text: str) -> list[re.Match[str]]:
    found = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise BadPolicy(f"This cannot stand in a policy: {text[at : at + 100]!r}.")
        found.append(token)
        at = token.end()
    return found


def _piece(token: re.Match[str]) -> str | Macro:
    if token["literal"]:
        return token["literal"]
    if token["sign"]:
        return _SIGNS[token["sign"]]
    digits = token["digits"].lstrip("0")
    if token["digits"] and not digits:
        raise BadPolicy("A macro asks for no part at all.")  # RFC 7208 7.3: MUST be nonzero
    return Macro(
        letter=token["letter"].lower(),
        parts=int(digits) if digits and len(digits) <= _MOST_DIGITS else 0,
        backwards=bool(token["reverse"]),
        delimiters="".join(set(token["delimiters"])) or ".",
        escaped=token["letter"].isupper(),
    )


def _may_end_in(literal: str | None) -> bool:
    """Whether a domain-spec may end in this (RFC 7208 7.1, toplabel); None: in a macro."""
    if literal is None:
        return True
    _, dot, label = literal.removesuffix(".").rpartition(".")
    if not dot or not label.replace("-", "").isalnum() or label.isdigit():
        return False
    return not label.startswith("-") and not label.endswith("-")


def _value(macro: Macro, text: str) -> str:
    first = macro.delimiters[0]
    for other in macro.delimiters[1:]:
        text = text.replace(other, first)
    parts = text.split(first)
    if macro.backwards:
        parts.reverse()
    # RFC 7208 7.3: whatever they were split on, parts are joined by dots.
    value = ".".join(parts[-macro.parts :])
    return quote(value, safe="", errors="replace") if macro.escaped else value
