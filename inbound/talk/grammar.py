"""The grammar of commands: the first line that is not blank must be one, or there is none.

Nothing is ever guessed out of a longer text: quotes, signatures and disclaimers are full of verbs.
"""

import re
import unicodedata

from inbound.commands.shape import Order
from inbound.commands.table import COMMANDS

_LONGEST = 1_000  # characters of a command; the patterns below take long over long lines
_SIGNATURE = "--"
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_DECORATION = "*_`~\"'“”„‘’«»‹›·•–—-.,;:!?()[]"
_ADDRESS = re.compile(r"<?([^\s<>@,;]+@[^\s<>@,;]+\.[^\s<>@,;]+)>?")
# Outlook's plain text of a linked address: kim@clinic.example<mailto:kim@clinic.example>
_MAILTO = re.compile(r"<mailto:[^<>]*>", re.IGNORECASE)
_DAYS = re.compile(r"([+-]?\d{1,6})\s*(?:d|days?|tage?|días?|dias?|天)?", re.IGNORECASE)
_MARKS = re.compile(r"#?[\w][\w./#-]*\d[\w./-]*|#\w+|\d+", re.UNICODE)


def first_line(text: str) -> str:
    """The first line that is not blank, in plain letters: what decorates it is taken off."""
    for line in text.splitlines():
        if line.rstrip() == _SIGNATURE:
            break
        plain = _UNSEEN.sub("", unicodedata.normalize("NFKC", line))
        plain = " ".join(_MAILTO.sub("", plain).split())
        if plain.strip(_DECORATION):
            return plain
    return ""


def read_order(line: str) -> Order | None:
    """The command that a plain line (`first_line`) is, or None."""
    words = line.split()
    if not words or line.startswith(">") or len(line) > _LONGEST:
        return None
    verb = words[0].strip(_DECORATION).upper()
    command = COMMANDS.get(verb)
    # A verb without arguments stands alone: "List of changes below" is a comment.
    if command is None or (len(words) > 1 and not command.arguments):
        return None
    return _with_arguments(verb, words[1:])


def find_order_below(text: str) -> bool:
    """Whether a command stands on a line of its own further down: said back, never obeyed."""
    lines = [line.strip() for line in text.splitlines()[:400]]
    orders = [read_order(first_line(line)) for line in lines[1:] if not line.startswith(">")]
    # Our own letters, quoted without ">", explain each command in more words.
    return any(order is not None and not order.unknown for order in orders)


def _with_arguments(verb: str, words: list[str]) -> Order:
    cases, unknown = [], []
    days: int | None = None
    rest = " ".join(words)
    recipients = [match[1].lower().strip(_DECORATION) for match in _ADDRESS.finditer(rest)]
    for word in _ADDRESS.sub(" ", rest).split():
        plain = word if word.startswith(("#", "-", "+")) else word.strip(_DECORATION)
        number = _DAYS.fullmatch(plain.strip("*_.,;:!"))
        if verb == "EXTEND" and number and days is None:
            days = int(number[1])
        elif (
            plain.lower() in ("d", "day", "days", "tag", "tage", "días", "dias")
            and days is not None
        ):
            continue
        elif _MARKS.fullmatch(plain) or _looks_like_public_id(plain):
            cases.append(plain)
        elif plain:
            unknown.append(plain)
    line = " ".join([verb, *words])
    return Order(verb, line, recipients, days, cases, unknown)


def _looks_like_public_id(word: str) -> bool:
    return re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{6,10}", word) is not None
