"""The head of a line: the verb that it begins with, if it does, and what stands behind it."""

import re
from dataclasses import dataclass, replace

from inbound.mail.quotes import DECORATION, plain
from inbound.talk.words import chinese_verb, verb_of

LONGEST = 4_000  # characters of a command: thirty addresses with their names
LONGEST_SHOWN = 1_000  # of a line that is kept and shown
_MARKED = frozenset({"APPROVE", "CHANGES", "STOP"})  # what reviewers have buttons for
_CASE = re.compile(r"(?P<case>#[0-9A-HJKMNP-TV-Z]{6,10})(?!\w)", re.IGNORECASE)
_NUMBER = r"(?P<number>[0-9]{1,3})(?![\w/]|\.[0-9])"
_WORD = "(?:version|versión|版本) ?"
_VERSION = {
    "APPROVE": re.compile(
        rf"(?:(?:v\.? ?|{_WORD})|(?=[0-9]{{1,3}} ?[:：])){_NUMBER}", re.IGNORECASE
    ),
    # "CHANGES version 1 was better" is a wish, and names nothing.
    "CHANGES": re.compile(
        rf"(?:v\.? ?|{_WORD}(?=[0-9]{{1,3}} ?(?:[:：,;.]|$))){_NUMBER}", re.IGNORECASE
    ),
}
_BEHIND_WORD = re.compile(r"[*_`~\"'“”’»)\],;.!?。，、！？：:]*")


@dataclass(frozen=True)
class Head:
    """A line that begins with a verb."""

    verb: str
    behind: str  # punctuation that touches the verb
    rest: str  # the line behind it, as it was typed
    apart: bool  # whether a blank or punctuation stands between the two
    cases: tuple[str, ...] = ()  # "#7F3KQ2", as buttons write it
    version: int | None = None  # "v2", behind a verdict


def head_of(line: str) -> Head | None:
    """The verb that a visible line begins with: a whole word, or before a colon, or Chinese."""
    head = _head_of(line)
    return _without_marks(head) if head and head.verb in _MARKED else head


def _without_marks(head: Head) -> Head:
    """A verb without what stands behind it of case and version: "APPROVE v2: fine", "STOP #7F3KQ2".

    A bare number is a version only behind APPROVE and before a colon; else it is a tooth.
    """
    rest, cases, version = head.rest, list(head.cases), head.version
    numbers = _VERSION.get(head.verb, _CASE)
    while found := _CASE.match(rest) or (version is None and numbers.match(rest)):
        cases += [found["case"].upper()] if found.re is _CASE else []
        version = int(found["number"]) if found.re is not _CASE else version
        rest = rest[found.end() :].lstrip()
    behind = _BEHIND_WORD.match(rest)
    assert behind is not None
    rest = rest[behind.end() :].strip()
    if rest == head.rest or (head.behind and rest):
        return head
    punctuation = head.behind or plain(behind[0])
    return replace(head, behind=punctuation, rest=rest, cases=tuple(cases), version=version)


def _head_of(line: str) -> Head | None:
    begun = line[:LONGEST_SHOWN].lstrip(DECORATION + " ") + line[LONGEST_SHOWN:]
    word, _, rest = begun.partition(" ")
    if line.startswith((">", "＞")) or len(word) > LONGEST:
        return None
    letters = plain(word)
    bare = letters.rstrip(DECORATION)
    if verb := verb_of(bare):
        return Head(verb, letters[len(bare) :], rest, apart=True)
    before, colon, after = word.replace("：", ":").partition(":")
    if colon and (verb := verb_of(plain(before).rstrip(DECORATION))):
        return Head(verb, ":", f"{after} {rest}".strip(), apart=True)
    if chinese := chinese_verb(begun[:8]):
        verb, written = chinese
        rest = begun[len(written) :]
        behind = _BEHIND_WORD.match(rest)
        assert behind is not None
        return Head(verb, plain(behind[0]), rest[behind.end() :].strip(), apart=bool(behind[0]))
    return None
