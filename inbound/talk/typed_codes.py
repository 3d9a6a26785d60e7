"""Codes of an authenticator app, and backup codes, as people type them into a mail."""

import re

from inbound.mail.quotes import DECORATION, is_blank, visible
from inbound.talk.heads import head_of

UNUSABLE_CODE = "unusable"  # no code has this shape: it was one that cannot be read
SIX = re.compile(r"[0-9]{6}")
_BACKUP = re.compile(r"[a-z2-7]{10}")


def code_below(below: list[str]) -> tuple[int, str]:
    """The line after the command if it is "CODE 123456": its place, or -1, and the code."""
    for place, line in enumerate(below):
        if is_blank(line):
            continue
        head = head_of(visible(line))
        words = head.rest.split() if head else []
        if head and head.verb == "CODE" and len(words) < 3:
            return place, usable(words)
        break
    return -1, ""


def usable(words: list[str]) -> str:
    """A code as it counts, of the words that it was typed in; UNUSABLE_CODE where they are none."""
    # Words are as they were typed: digits of other scripts are none. Apps show "123 456".
    typed = "".join(word.strip(DECORATION) for word in words[:3])
    joined = typed.replace("-", "").lower() if typed.isascii() else ""
    if SIX.fullmatch(joined):
        return joined
    told = "-" in typed or any(map(str.isdigit, typed))  # from an ordinary word of ten letters
    return f"{joined[:5]}-{joined[5:]}" if told and _BACKUP.fullmatch(joined) else UNUSABLE_CODE


def reads_as_code(words: list[str]) -> bool:
    """Whether words behind CODE are meant as one, and not as a sentence about codes."""
    return 0 < len(words) < 4 and all("-" in word or any(map(str.isdigit, word)) for word in words)
