"""What a browser has posted about a case: a bounded form, read piece by piece and believed in nothing."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

from store.errors import Refusal
from viewer.languages import number

LONGEST_TEXT = 4_000  # characters
MOST_FIELDS, LARGEST_FIELD = 40, 64 * 1024
LARGEST_PICTURE = 6_000_000  # bytes
LARGEST_FORM = LARGEST_PICTURE + 1_000_000
LONGEST = 120.0  # seconds until all of it must be here
_PNG = b"\x89PNG\r\n\x1a\n"


class NotSaid(Refusal):
    """Something posted cannot be taken; nothing was kept of it."""


@dataclass
class Posted:
    """Attributes:
    fields: what each field said, in order; some may be said several times.
    picture: a PNG of what was seen, or nothing.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    picture: bytes = b""

    def one(self, name: str) -> str:
        return self.fields.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        return self.fields.get(name, [])

    def text(self) -> str:
        """What a person has written: without marks that turn writing round, and not endless. Raises NotSaid."""
        kept = "".join(
            letter for letter in self.one("text") if letter.isprintable() or letter in "\n\t"
        )
        said = kept.strip()
        if len(said) > LONGEST_TEXT:
            raise NotSaid(
                "That is {count} letters; {most} fit into one comment. Send it in two.",
                count=number(len(said)),
                most=number(LONGEST_TEXT),
            )
        return said

    def json(self, name: str) -> Any:
        """What a script has put into a field; None if it is not there. Raises NotSaid."""
        said = self.one(name)
        if not said:
            return None
        try:
            return json.loads(said)
        except (ValueError, RecursionError):
            raise NotSaid("The page sent something that cannot be read. Reload it.") from None


async def read_posted(request: web.Request) -> Posted:
    """A form with perhaps one picture. Raises NotSaid."""
    length = request.content_length
    packed = request.headers.get("Content-Encoding", "identity") != "identity"
    if length is None or length > LARGEST_FORM or packed:
        raise NotSaid(
            "The page sent more than {limit} kB at once. Send less.",
            limit=number(LARGEST_FORM // 1000),
        )
    try:
        async with asyncio.timeout(LONGEST):
            return await _read(request)
    except (ValueError, LookupError, TimeoutError):  # no browser sends such a form
        raise NotSaid("The page sent something that cannot be read. Reload it.") from None


async def _read(request: web.Request) -> Posted:
    posted = Posted()
    if request.content_type == "application/x-www-form-urlencoded":
        for name, value in (await request.post()).items():
            posted.fields.setdefault(name, []).append(str(value))
        return posted
    parts = 0
    async for part in await request.multipart():
        parts += 1
        if parts > MOST_FIELDS or not isinstance(part, BodyPartReader):
            raise NotSaid("The page sent something that cannot be read. Reload it.")
        await _take(posted, part)
    return posted


async def _take(posted: Posted, part: BodyPartReader) -> None:
    if part.name == "picture":
        posted.picture = await _bytes(part, LARGEST_PICTURE)
        if posted.picture and not posted.picture.startswith(_PNG):
            raise NotSaid("The picture is no PNG. Send the comment without it.")
        return
    text = (await _bytes(part, LARGEST_FIELD)).decode("utf-8", "replace")
    posted.fields.setdefault(part.name or "", []).append(text.replace("\r\n", "\n"))


async def _bytes(part: BodyPartReader, limit: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk():
        data += chunk
        if len(data) > limit:
            raise NotSaid(
                "The page sent more than {limit} kB at once. Send less.",
                limit=number(limit // 1000),
            )
    return bytes(data)
