"""What a browser has posted about a case: a bounded form, read within its bounds and believed in nothing."""

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from store.errors import Refusal
from viewer.formdata import Field, NotRead, read_form
from viewer.forms import refuse_other_sites
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
    """A form with perhaps one picture. Raises NotSaid, or HTTPForbidden for one of another site."""
    refuse_other_sites(request)
    length = request.content_length
    if length is None or length > LARGEST_FORM:
        raise _too_much(LARGEST_FORM)
    try:
        fields = await read_form(request, LARGEST_FORM, LONGEST)
    except NotRead:  # no browser sends such a form
        raise _unreadable() from None
    if len(fields) > MOST_FIELDS:
        raise _unreadable()
    posted = Posted()
    for one in fields:
        _take(posted, one)
    return posted


def _take(posted: Posted, one: Field) -> None:
    if one.name == "picture":
        if len(one.data) > LARGEST_PICTURE:
            raise _too_much(LARGEST_PICTURE)
        if one.data and not one.data.startswith(_PNG):
            raise NotSaid("The picture is no PNG. Send the comment without it.")
        posted.picture = one.data
        return
    if len(one.data) > LARGEST_FIELD:
        raise _too_much(LARGEST_FIELD)
    posted.fields.setdefault(one.name, []).append(one.text.replace("\r\n", "\n"))


def _too_much(limit: int) -> NotSaid:
    return NotSaid(
        "The page sent more than {limit} kB at once. Send less.", limit=number(limit // 1000)
    )


def _unreadable() -> NotSaid:
    return NotSaid("The page sent something that cannot be read. Reload it.")
