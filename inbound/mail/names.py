"""File names as senders wrote them, made safe to show and distinct; never used as a path."""

import re
import unicodedata

LONGEST = 120
# Controls, and the marks that turn the direction of writing: "up<U+202E>lts.exe" shows as "upexe.stl".
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def safe_name(name: str, fallback: str) -> str:
    """The last component of a name, in NFC, without invisible characters, at most 120 letters."""
    plain = _UNSEEN.sub("", unicodedata.normalize("NFC", name))
    plain = re.split(r"[\\/]", plain)[-1].strip(" .")
    if not plain:
        return fallback
    if len(plain) <= LONGEST:
        return plain
    stem, dot, suffix = plain.rpartition(".")
    return f"{stem[: LONGEST - len(suffix) - 1]}{dot}{suffix}"[:LONGEST]


def distinct(names: list[str]) -> list[str]:
    """The same names, with " (2)" and so on where one came before."""
    taken: set[str] = set()
    found = []
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        if not dot:
            stem, suffix = name, ""
        candidate, count = name, 2
        while candidate.lower() in taken:
            candidate = f"{stem} ({count}){dot}{suffix}"
            count += 1
        taken.add(candidate.lower())
        found.append(candidate)
    return found
