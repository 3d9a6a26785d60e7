"""The body of a form: read whole within bounds, and taken apart by nothing but searching for its boundary.

A library's reader goes through whatever stands before the first boundary line by line, without letting
anybody else do anything; it also takes charsets and encodings that no browser sends. Ours are UTF-8.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web

from store.errors import Refusal
from viewer.languages import Handler, msgid

MOST_FIELDS = 100
_LONGEST_HEAD = 4_096  # bytes of the header lines of one field
_NOT_READ = msgid("The form did not arrive as it was sent. Send it once more.")
_TOO_SLOW = msgid("The connection was too slow.")
# RFC 2046 5.1.1; unquoted only what is a token.
_BOUNDARY = re.compile(
    r""";\s*boundary=(?:"([0-9A-Za-z'()+_,./:=? -]{1,70})"|([0-9A-Za-z'()+_./:=?-]{1,70}))\s*(?:;|$)""",
    re.IGNORECASE,
)
_DISPOSITION = re.compile(
    rb"^content-disposition:[ \t]*form-data[ \t]*(;.*)$", re.IGNORECASE | re.MULTILINE
)
_NAME = re.compile(rb';[ \t]*name=(?:"([^"\r\n]*)"|([^\s;"]+))', re.IGNORECASE)
_FILENAME = re.compile(rb";[ \t]*filename\*?=", re.IGNORECASE)


class NotRead(Refusal):
    """A body is no form of ours; `status` says what is wrong with it."""

    def __init__(self, status: int = 400, sentence: str = _NOT_READ) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Field:
    name: str
    data: bytes
    is_file: bool = False

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


@web.middleware
async def refuse_packed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """No page of ours sends a packed body, and 26 bytes of one may mean ten million. Raises NotRead."""
    packings = request.headers.getall("Content-Encoding", [])
    if any(packing.strip().lower() != "identity" for packing in packings):
        raise NotRead(415)
    return await handler(request)


async def read_form(request: web.Request, largest: int, seconds: float) -> list[Field]:
    """The fields of a form, in order; none if it is something else. Raises NotRead.

    Args:
        largest: bytes of the whole body.
        seconds: until all of it must be here.
    """
    if request.content_type not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return []
    if (request.charset or "utf-8").lower() != "utf-8":
        raise NotRead(415)
    body = await _body(request, largest, seconds)
    if request.content_type == "multipart/form-data":
        return list(_parts(body, _boundary(request)))
    try:
        pairs = parse_qsl(
            body.decode().strip(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise NotRead from None
    return [Field(name, value.encode()) for name, value in pairs]


async def _body(request: web.Request, largest: int, seconds: float) -> bytearray:
    if request.content_length is None:
        raise NotRead(411)
    if request.content_length > largest:
        raise NotRead(413)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.content.iter_any():
                body += chunk
    except TimeoutError:
        raise NotRead(408, _TOO_SLOW) from None
    return body


def _boundary(request: web.Request) -> bytes:
    found = _BOUNDARY.search(request.headers["Content-Type"])
    if found is None:
        raise NotRead
    return (found[1] or found[2]).encode()


def _parts(body: bytearray, boundary: bytes) -> Iterator[Field]:
    """RFC 7578. Each look costs no more than the bytes that it passes, and there are few looks."""
    mark = b"\r\n--" + boundary
    end = -2 if body.startswith(mark[2:]) else body.find(mark)
    for _ in range(MOST_FIELDS + 1):
        start = end + len(mark)
        if end == -1 or body.startswith(b"--", start):
            break
        end = body.find(mark, start)
        head_end = body.find(b"\r\n\r\n", start, start + _LONGEST_HEAD)
        if not start <= head_end < end or body[start : start + 1] not in b"\r \t":
            raise NotRead
        yield _part(bytes(body[start:head_end]), bytes(body[head_end + 4 : end]))
    else:
        raise NotRead
    if end == -1:
        raise NotRead


def _part(head: bytes, data: bytes) -> Field:
    said = _DISPOSITION.search(head)
    name = _NAME.search(said[1]) if said else None
    if said is None or name is None:
        raise NotRead
    called = (name[1] if name[1] is not None else name[2]).decode("utf-8", "replace")
    return Field(called, data, _FILENAME.search(said[1]) is not None)
