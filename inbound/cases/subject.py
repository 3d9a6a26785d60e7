"""What the subject of a case mail says: every address is a reviewer, the rest names the case.

kim@clinic.example C-1042 crown #30        Kim <kim@clinic.example>, lee@lab.example C-1043
C-1044 veneer 8-9 kim@clinic.example       Fwd: kim@clinic.example JS-30
"""

import re
from dataclasses import dataclass, field

from inbound.mail.names import safe_name

MOST_REVIEWERS = 30
LONGEST_TITLE = 120
# Whatever holds an @ is taken whole: a piece of an address would be somebody else's.
_MAILBOX = re.compile(
    r"(?:\"(?P<quoted>[^\"<>@]{1,80})\"\s*)?<\s*(?P<angled>[^<>\s]*@[^<>\s]*)\s*>"
    r"|(?P<bare>[^\s,;<>\"()\[\]]*@[^\s,;<>\"()\[\]]*)"
)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"  # RFC 5322 3.2.3
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123 2.1
_USABLE = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}")
_NAME_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[.'’-])*")
_PARTICLES = {"van", "von", "de", "da", "der", "den", "del", "la", "le", "el"}
_PREFIX = re.compile(
    r"^(?:\s*(?:re|fwd?|aw|wg|tr|rv|sv|antw|回复|转发)\s*[:：])+\s*", re.IGNORECASE
)
# A case number has a digit and stands before the words: C-1042, JS-30, 2026-0412.
_CODE = re.compile(r"[#\w][\w./#-]*\d[\w./#-]*|[\w-]*\d[\w./-]*")


@dataclass(frozen=True)
class Reviewer:
    address: str
    name: str = ""


@dataclass(frozen=True)
class Subject:
    reviewers: list[Reviewer]
    code: str
    title: str
    unusable: list[str] = field(default_factory=list)  # what was meant as an address and is none


def read_subject(subject: str, domain: str = "") -> Subject:
    """What a subject says; addresses at our own `domain` are nobody's who could review."""
    named = take_addresses(_PREFIX.sub("", subject))
    ours = f"@{domain}"
    reviewers = [one for one in named.reviewers if not one.address.endswith(ours) or not domain]
    code, title = _code_and_title(named.rest)
    return Subject(reviewers, code, title, named.unusable)


@dataclass(frozen=True)
class Named:
    """Who is named in a text, what looks like an address and cannot be used, and all the rest."""

    reviewers: list[Reviewer]
    unusable: list[str]
    rest: str


def take_addresses(text: str) -> Named:
    """The addresses in a text with the names before them, each once."""
    found: dict[str, Reviewer] = {}
    unusable: list[str] = []
    rest, position = [], 0
    for match in _MAILBOX.finditer(text[:4000]):
        before, position = text[position : match.start()], match.end()
        name = match["quoted"] or ""
        if match["angled"] and not name:
            before, name = _name_before(before)
        rest.append(before)
        address = (match["angled"] or match["bare"]).strip("'.:").removeprefix("mailto:").lower()
        if _USABLE.fullmatch(address) and len(found) < MOST_REVIEWERS:
            found.setdefault(address, Reviewer(address, safe_name(name, "")))
        else:
            unusable.append(safe_name(address, "@"))
    return Named(list(found.values()), unusable, " ".join([*rest, text[position:]]))


def _name_before(text: str) -> tuple[str, str]:
    """Splits "C-1042 crown Kim Lee " into the case's words and the name that stands before a "<".

    A name is the last words that begin with a capital; between commas it may be all lower-case.
    """
    start = max(text.rfind(","), text.rfind(";"), text.rfind(">")) + 1
    words = text[start:].split()
    count = 0
    for word in reversed(words):
        if count == 4 or not _NAME_WORD.fullmatch(word):
            break
        if not word[0].isupper() and word not in _PARTICLES:
            break
        count += 1
    alone = 0 < len(words) <= 3 and all(_NAME_WORD.fullmatch(word) for word in words)
    if not count and alone:
        count = len(words)
    kept = words[: len(words) - count]
    return f"{text[:start]} {' '.join(kept)}", " ".join(words[len(words) - count :])


def _code_and_title(rest: str) -> tuple[str, str]:
    words = [word for word in re.sub(r"[<>,;\x00-\x1f]+", " ", rest).split() if word != "-"]
    plain = safe_name(" ".join(words).replace("/", "⁄").replace("\\", "⁄"), "").replace("⁄", "/")
    words = plain.split()
    if words and _CODE.fullmatch(words[0]):
        return words[0][:40], " ".join(words[1:])[:LONGEST_TITLE]
    return "", " ".join(words)[:LONGEST_TITLE]
