"""The head of a line: the verb that it begins with, if it does, and what stands behind it."""

import re
from dataclasses import dataclass

from inbound.mail.quotes import DECORATION, plain
from inbound.talk.words import chinese_verb, verb_of

LONGEST = 4_000  # characters of a command: thirty addresses with their names
LONGEST_SHOWN = 1_000  # of a line that is kept and shown
_BEHIND_WORD = re.compile(r"[*_`~\"'“”’»)\],;.!?。，、！？：:]*")


@dataclass(frozen=True)
class Head:
    """A line that begins with a verb."""

    verb: str
    behind: str  # punctuation that touches the verb
    rest: str  # the line behind it, as it was typed
    apart: bool  # whether a blank or punctuation stands between the two


def head_of(line: str) -> Head | None:
    """The verb that a visible line begins with: a whole word, or before a colon, or Chinese."""
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
