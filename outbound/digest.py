"""One letter instead of many: what was to be said, each in its first words, the same thing once."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Letter
from store.records import outbox

_OURS = frozenset({"operator", "alarm"})
MOST, LONGEST = 50, 1_000  # things that a digest says, characters of each


async def fill_digest(connection: AsyncConnection, digest: Letter) -> bool:
    """Gathers what has been joined until now; False if that is nothing any more."""
    joined = await outbox.joined(connection, digest.recipient)
    # Strangers can write to the operator as often as they like; our own alarms come before them.
    joined.sort(key=lambda letter: letter.kind not in _OURS)
    # A robot makes us say one thing a hundred times; what people wrote must not get lost behind it.
    said: dict[tuple[str, ...], list[str]] = {}
    for letter in joined:
        said.setdefault((letter.subject, *_lines_of(letter)), []).append(letter.id)
    shown = list(said.items())[:MOST]
    items = [
        {"subject": subject, "lines": lines, "times": len(ids)} for (subject, *lines), ids in shown
    ]
    context = {
        "items": items,
        "more": len(said) - len(shown),  # for the next one
        "letters": [one for _, ids in shown for one in ids],
    }
    await outbox.note_context(connection, digest.id, context)
    return bool(items)


def _lines_of(letter: Letter) -> list[str]:
    """What a letter says, by what its template is filled with; the begin of it."""
    context = letter.context or {}
    lines = [f"You wrote: {context['understood']}"] if context.get("understood") else []
    lines += [context.get("heading", ""), *context.get("sentences", []), *context.get("done", [])]
    lines += _of_kind(letter.kind, context)
    lines += [context.get("text", ""), context.get("undo", "")]
    case = context.get("case")
    if case:
        lines.append(" ".join(part for part in (_called(case), case.get("state")) if part))
    return _begin([line.strip() for line in lines if line.strip()])


def _of_kind(kind: str, context: dict[str, Any]) -> list[str]:
    """What the templates of these kinds say themselves."""
    if kind == "passed_on":
        return [f"To {context['addressed']}, it says from {context['author']}:"]
    if kind == "operator":
        return [f"The work on {context['kind']} {context['row']} was given up."]
    return []


def _called(case: dict[str, Any]) -> str:
    return f"{case['name']} (#{case['public_id']})"


def _begin(lines: list[str]) -> list[str]:
    found, room = [], LONGEST
    for line in lines:
        if room <= 0:
            break
        found.append(line if len(line) <= room else f"{line[: room - 1]}…")
        room -= len(line)
    return found
