"""What was typed on an upload page, without what could turn a line of a mail into another."""

from store.records.uploads import Words

LONGEST_REVIEWERS, LONGEST_SUBJECT, LONGEST_NOTE, LONGEST_NAME = 2_000, 160, 8_000, 200


def words_of(typed: dict[str, str]) -> Words:
    lines = typed.get("note", "").replace("\r\n", "\n").split("\n")
    return Words(
        # One more than may be: too many is told, never cut off, for half an address is somebody else's.
        on_one_line(typed.get("reviewers", ""), LONGEST_REVIEWERS + 1),
        on_one_line(typed.get("subject", ""), LONGEST_SUBJECT),
        "\n".join(_printable(line).rstrip() for line in lines).strip()[:LONGEST_NOTE],
    )


def on_one_line(text: str, longest: int = LONGEST_NAME) -> str:
    return " ".join(_printable(text).split())[:longest]


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
