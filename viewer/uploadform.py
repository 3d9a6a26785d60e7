"""The upload page for browsers without a script: one form brings words and files, read as they come.

What came completely stays, whatever is wrong with the rest: the page shows it, and only the rest is
chosen again.
"""

import asyncio

from aiohttp import BodyPartReader, web

from store.records import uploads
from store.tokens import new_id
from store.uploads import MOST_FILES
from viewer.languages import msgid, number, say, say_error
from viewer.pieces import (
    LONGEST_FORM,
    PLACES,
    NoRoom,
    TooLong,
    check_room,
    comes_packed,
    drop_pieces,
    take_file,
)
from viewer.templates import page
from viewer.uploads import (
    TAKEN,
    Opened,
    Refused,
    check_limits,
    opened,
    still_open,
    take_click,
    upload_page,
)
from viewer.uploadwords import LONGEST_NOTE, on_one_line, words_of
from viewer.visit import HOUSE, require_same_origin

_FIELDS = frozenset({"reviewers", "subject", "note"})
_ROOM = 1 << 20  # bytes of a form besides its files
_MOST_PARTS = MOST_FILES + 10
_UNREADABLE = msgid("The form did not arrive as it was sent. Send it once more.")


async def take_form(request: web.Request) -> web.Response:
    """POST /u/<token>: a person pressed Share in a browser without a script."""
    require_same_origin(request)
    found = await opened(request)
    typed: dict[str, str] = {}
    try:
        _check_form(request)
        with request.app[PLACES].place(found.upload):
            async with asyncio.timeout(LONGEST_FORM):
                await _read(request, found, typed)
        sentence = await take_click(request, found, words_of(typed))
    except Refused as refusal:
        return await _again(request, found, typed, say_error(refusal), refusal.status)
    except NoRoom as full:
        return await _again(request, found, typed, say_error(full), 507)
    except (ValueError, LookupError, AssertionError):  # no browser writes such a form
        return await _again(request, found, typed, say(_UNREADABLE), 400)
    except TimeoutError:
        return await _again(request, found, typed, say("The connection was too slow."), 408)
    return page("ended", heading=say(TAKEN), sentence=sentence)


async def _again(
    request: web.Request, found: Opened, typed: dict[str, str], problem: str, status: int
) -> web.Response:
    words = words_of(typed) if typed else None
    return await upload_page(request, found, words, problem, status)


def _check_form(request: web.Request) -> None:
    """Raises Refused for what is too large before a byte of it is read."""
    settings = request.app[HOUSE].settings
    if request.content_type != "multipart/form-data":
        raise Refused(_UNREADABLE, 415)
    if request.content_length is None or comes_packed(request):
        raise Refused(_UNREADABLE, 411)
    if request.content_length > settings.max_mail_bytes + _ROOM:
        limit = number(settings.max_mail_mb)
        raise Refused("All files together may have {limit} MB.", 413, limit=limit)
    check_room(request.app[HOUSE], request.content_length)


async def _read(request: web.Request, found: Opened, typed: dict[str, str]) -> None:
    parts = 0
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        parts += 1
        if parts > _MOST_PARTS or not isinstance(part, BodyPartReader):
            raise Refused(
                "A form may bring {most} files. Pack the others as ZIP.", 413, most=MOST_FILES
            )
        if part.filename:
            await _take_file(request, found, part, part.filename)
        elif part.filename is None and part.name in _FIELDS:
            typed[part.name] = await _text(part)
        else:
            await part.release()  # a field without a file in it


async def _take_file(request: web.Request, found: Opened, part: BodyPartReader, name: str) -> None:
    """Seals a file and notes it; what came before it and was whole is kept if it is too much."""
    house, upload_id = request.app[HOUSE], found.upload.id
    async with house.database.read() as connection:
        key = await house.upload_key(connection, upload_id)
        files = await uploads.files_of(connection, upload_id)
    check_limits(house, files, 0)
    most = house.settings.max_mail_bytes - sum(file.size for file in files)
    try:
        pieces = await take_file(house, key, upload_id, part.read_chunk, most)
    except TooLong:
        check_limits(house, files, most + 1)
        raise
    size = sum(piece["size"] for piece in pieces)
    try:
        async with house.database.write() as connection:
            await still_open(house, connection, found)
            check_limits(house, await uploads.files_of(connection, upload_id), size)
            plain = on_one_line(name)
            await uploads.add_file(connection, upload_id, new_id(), plain, size, pieces)
    except BaseException:
        await drop_pieces(house, upload_id, pieces)
        raise


async def _text(part: BodyPartReader) -> str:
    """What was typed into a field."""
    typed = bytearray()
    while chunk := await part.read_chunk():
        typed += chunk
        if len(typed) > 8 * LONGEST_NOTE:
            raise Refused("The note is too long.", 413)
    return typed.decode(errors="replace")
