"""One letter instead of many: what was to be said, each in its first words."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Letter
from store.records import outbox

MOST, LONGEST = 50, 1_000  # letters in a digest, characters of each


async def fill_digest(connection: AsyncConnection, digest: Letter) -> None:
    """Gathers what has been joined until now."""
    joined = await outbox.joined(connection, digest.recipient)
    context = {
        "items": [_item(letter) for letter in joined[:MOST]],
        "more": max(0, len(joined) - MOST),
        "letters": [letter.id for letter in joined],
    }
    await outbox.note_context(connection, digest.id, context)


def _item(letter: Letter) -> dict[str, str]:
    context = letter.context or {}
    return {"subject": letter.subject, "text": _words_of(context)[:LONGEST]}


def _words_of(context: dict[str, Any]) -> str:
    said = [context.get("heading", ""), *context.get("sentences", []), *context.get("done", [])]
    return " ".join(part for part in [*said, context.get("text", "")] if part)
