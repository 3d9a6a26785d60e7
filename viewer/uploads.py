"""The upload page: files come piece by piece, each at its durable offset, and "Share" makes a mail of them.

A piece is acknowledged when it is sealed and its row is committed, so that a browser goes on after a
lost connection, a reload, or a kill of this server. "Share" only marks the row: its flow writes the
mail (inbound/cases/uploads.py). Without a script one form brings it all (viewer/uploadform.py).
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from store.errors import Gone, NotFound, Refusal
from store.house import House
from store.model import Case, Member
from store.records import audit, cases, labs, uploads
from store.records.uploads import Words
from store.uploads import (
    LARGEST_PIECE,
    MOST_FILES,
    SMALLEST_PIECE,
    Upload,
    UploadFile,
)
from viewer.languages import msgid, number, say, say_error
from viewer.pieces import (
    LONGEST_PIECE,
    PLACES,
    NoRoom,
    TooLong,
    check_room,
    comes_packed,
    drop_pieces,
    take_piece,
)
from viewer.templates import page, words_json
from viewer.uploadwords import LONGEST_REVIEWERS, on_one_line, words_of
from viewer.visit import HOUSE, require_same_origin

TAKEN = msgid("Taken")
ON_ITS_WAY = msgid("A letter with the link is on its way.")
_CASE_ON_ITS_WAY = msgid("A letter that says what became of it is on its way.")


@dataclass(frozen=True)
class Opened:
    """A live upload page."""

    token: str
    upload: Upload
    member: Member
    case: Case | None

    @property
    def path(self) -> str:
        return f"/u/{self.token}"


class Refused(Refusal):
    """What was sent is not taken; the page goes on.

    Attributes:
        status: of the answer.
        received: where the next piece begins, if the script is to know it.
    """

    def __init__(
        self, sentence: str, status: int, *, received: int | None = None, **values: object
    ) -> None:
        super().__init__(sentence, **values)
        self.status = status
        self.received = received


# ---------------------------------------------------------------- the page


async def show_upload(request: web.Request) -> web.Response:
    """GET /u/<token>. Changes nothing for a robot."""
    return await upload_page(request, await opened(request))


async def upload_page(
    request: web.Request,
    found: Opened,
    words: Words | None = None,
    problem: str = "",
    status: int = 200,
) -> web.Response:
    """The page, with what was typed on it and what is wrong with that."""
    house, upload = request.app[HOUSE], found.upload
    async with house.database.read() as connection:
        files = await uploads.files_of(connection, upload.id)
    return page(
        "upload",
        status,
        base=found.path,
        sender=found.member.name or found.member.address,
        case_name=found.case.name if found.case else "",
        words=words or Words(upload.reviewers, upload.subject, upload.note),
        files=files,
        limit=house.settings.max_mail_bytes,
        limit_mb=house.settings.max_mail_mb,
        most=MOST_FILES,
        smallest=SMALLEST_PIECE,
        largest=LARGEST_PIECE,
        problem=problem,
        words_json=words_json("upload.js"),
    )


async def opened(request: web.Request) -> Opened:
    """The upload behind a request, asked at every one.

    Raises:
        NotFound: the link was never issued.
        Gone: it takes nothing any more; why is not said.
    """
    house, token = request.app[HOUSE], request.match_info["token"]
    async with house.database.read() as connection:
        upload = await uploads.by_token(connection, token)
        if upload is None:
            raise NotFound("There is nothing at this address. Look whether the link is complete.")
        return await _live(house, connection, token, upload)


async def still_open(house: House, connection: AsyncConnection, found: Opened) -> Opened:
    """The first question of each transaction that changes something: the page may have ended since the
    request began. Raises Gone.
    """
    return await _live(
        house, connection, found.token, await uploads.find(connection, found.upload.id)
    )


async def _live(
    house: House, connection: AsyncConnection, token: str, upload: Upload | None
) -> Opened:
    now = house.clock.now()
    if upload is None or not upload.is_open(now):
        raise _gone(house)
    member = await labs.member(connection, upload.member_id)
    case = await cases.case(connection, upload.case_id) if upload.case_id else None
    if member.disabled_at is not None or (case is not None and not case.is_open(now)):
        raise _gone(house)
    return Opened(token, upload, member, case)


def _gone(house: House) -> Gone:
    return Gone(
        "This upload page has taken its files, or its time is over. What was shared is answered by a"
        " letter. For a new page write UPLOAD in a mail to {address}.",
        address=house.settings.addressing.share(),
    )


# ---------------------------------------------------------------- files


async def list_files(request: web.Request) -> web.Response:
    """GET /u/<token>/files: what is here, with the SHA-256 of each piece."""
    found = await opened(request)
    async with request.app[HOUSE].database.read() as connection:
        files = await uploads.files_of(connection, found.upload.id)
    return _json({"files": [_shown(file) for file in files]})


async def show_file(request: web.Request) -> web.Response:
    """GET /u/<token>/files/<number>: how much of it is durable."""
    _, file = await _file(request)
    answer = _json(_shown(file))
    answer.headers["Upload-Offset"] = str(file.received)
    return answer


async def add_file(request: web.Request) -> web.Response:
    """POST /u/<token>/files: a file of this name and size is to come."""
    require_same_origin(request)
    found, house = await opened(request), request.app[HOUSE]
    asked = await _asked(request)
    name, size, mark = asked.get("name"), asked.get("size"), asked.get("mark")
    whole = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    marked = isinstance(mark, str) and mark.isascii() and mark.isprintable() and len(mark) <= 100
    if not isinstance(name, str) or not isinstance(mark, str) or not whole or not marked:
        raise Refused("A file has a name, a size and a mark.", 400)
    assert isinstance(size, int)
    upload_id = found.upload.id
    async with house.database.write() as connection:
        await still_open(house, connection, found)
        if not await uploads.is_known(connection, upload_id, mark):
            check_limits(house, await uploads.files_of(connection, upload_id), size)
        file = await uploads.add_file(connection, upload_id, mark, on_one_line(name), size)
        # Last: of a file that was added before, nothing more is to come.
        check_room(house, file.size - file.received)
    return _json(_shown(file), 201)


async def take_bytes(request: web.Request) -> web.Response:
    """PATCH /u/<token>/files/<number>: the next piece, at the offset that is durable."""
    require_same_origin(request)
    found, file = await _file(request)
    house, upload_id = request.app[HOUSE], found.upload.id
    _check_piece(request, file)
    async with house.database.read() as connection:
        key = await house.upload_key(connection, upload_id)
    read, length = request.content.read, request.content_length or 0
    with request.app[PLACES].place(found.upload):
        try:
            async with asyncio.timeout(LONGEST_PIECE):
                piece = await take_piece(house, key, upload_id, read, length)
        except TooLong:
            raise _not_as_it_is() from None
        except TimeoutError:
            raise Refused("The connection is too slow. What is here is kept.", 408) from None
    if piece is None:
        return _json(_shown(file))
    if not await _note(house, found, file, piece):
        await drop_pieces(house, upload_id, [piece])
        _, file = await _file(request)  # raises Gone where that is the reason
        raise Refused("These bytes are here already.", 409, received=file.received)
    return _json({"received": file.received + piece["size"]})


async def remove_file(request: web.Request) -> web.Response:
    """POST /u/<token>/files/<number>/remove, by the script or by a button of the form."""
    require_same_origin(request)
    found, file = await _file(request)
    house = request.app[HOUSE]
    async with house.database.write() as connection:
        await still_open(house, connection, found)
        await uploads.drop_file(connection, file)
    await drop_pieces(house, found.upload.id, file.pieces)
    return web.Response(status=303, headers={"Location": found.path})


def check_limits(house: House, files: list[UploadFile], size: int) -> None:
    """The limits of a mail. Raises Refused."""
    limit = house.settings.max_mail_bytes
    if len(files) >= MOST_FILES:
        raise Refused(
            "There are {most} files already. Pack the others as ZIP.", 413, most=MOST_FILES
        )
    if size + sum(file.size for file in files) > limit:
        raise Refused(
            "All files together may have {limit} MB. Pack the scans as ZIP, or ask for another upload"
            " page.",
            413,
            limit=number(house.settings.max_mail_mb),
        )


def _check_piece(request: web.Request, file: UploadFile) -> None:
    """Raises Refused for a piece that cannot be the next one, before a byte of it is read."""
    length = request.content_length
    if length is None or comes_packed(request):
        raise _not_as_it_is()
    offset = request.headers.get("Upload-Offset", "")
    if not offset.isascii() or not offset.isdigit() or len(offset) > 15:
        raise Refused("A piece says where it begins.", 400)
    if int(offset) != file.received:
        raise Refused("The next piece begins elsewhere.", 409, received=file.received)
    rest = file.size - file.received
    if length > min(LARGEST_PIECE, rest) or length < min(SMALLEST_PIECE, rest):
        raise Refused(
            "A piece has {least} to {most} bytes, the last one what is left.",
            413,
            received=file.received,
            least=SMALLEST_PIECE,
            most=LARGEST_PIECE,
        )


def _not_as_it_is() -> Refused:
    return Refused("A piece says how long it is, and comes as it is.", 411)


async def _note(house: House, found: Opened, file: UploadFile, piece: dict[str, Any]) -> bool:
    """Notes a piece, unless another one came before it or the page has taken its files meanwhile."""
    async with house.database.write() as connection:
        upload = await uploads.find(connection, found.upload.id)
        if upload is None or not upload.is_open(house.clock.now()):
            return False
        return await uploads.add_piece(connection, file, piece)


async def _file(request: web.Request) -> tuple[Opened, UploadFile]:
    found, number = await opened(request), int(request.match_info["number"])
    async with request.app[HOUSE].database.read() as connection:
        file = await uploads.file_of(connection, found.upload.id, number)
    if file is None:
        raise Refused("There is no such file any more. Choose it again.", 404)
    return found, file


def _shown(file: UploadFile) -> dict[str, Any]:
    pieces = [{"size": one["size"], "sha256": one["sha256"]} for one in file.pieces]
    return {
        "number": file.number,
        "name": file.name,
        "size": file.size,
        "received": file.received,
        "pieces": pieces,
    }


# ---------------------------------------------------------------- Share


async def share(request: web.Request) -> web.Response:
    """POST /u/<token>/share: a person pressed Share, and the script sends what was typed."""
    require_same_origin(request)
    found = await opened(request)
    asked = await _asked(request)
    typed = {name: value for name, value in asked.items() if isinstance(value, str)}
    sentence = await take_click(request, found, words_of(typed))
    return _json({"heading": say(TAKEN), "sentence": sentence})


async def take_click(request: web.Request, found: Opened, words: Words) -> str:
    """Marks an upload as shared, once; what there is to say to the person.

    Raises:
        Refused: something is missing.
        Gone: it was shared before, or its time is over.
    """
    house, upload = request.app[HOUSE], found.upload
    now = house.clock.now()
    async with house.database.write() as connection:
        await still_open(house, connection, found)  # of two tabs one was quicker
        files = await uploads.files_of(connection, upload.id)
        _check_whole(found, files, words)
        if not await uploads.share(connection, upload.id, words, now):
            raise _gone(house)
        await audit.record(
            connection,
            now,
            found.member.address,
            "upload shared",
            lab_id=found.member.lab_id,
            case_id=upload.case_id,
            files=len(files),
        )
    house.poke()
    return say(_CASE_ON_ITS_WAY) if found.case else say(ON_ITS_WAY)


def _check_whole(found: Opened, files: list[UploadFile], words: Words) -> None:
    """Raises Refused for the first thing that is missing."""
    if not files:
        raise Refused("Choose the scans first.", 409)
    for file in files:
        if not file.is_whole:
            raise Refused(
                "{file} is not here completely. Choose it again, or remove it.", 409, file=file.name
            )
    if found.case is None and "@" not in words.reviewers:
        raise Refused("Write the reviewer's e-mail address.", 409)
    if len(words.reviewers) > LONGEST_REVIEWERS:
        raise Refused("There are too many reviewers. Name the others later, with ADD.", 409)


# ---------------------------------------------------------------- for the script


async def _asked(request: web.Request) -> dict[str, Any]:
    """The JSON of a request. Raises Refused: no form of another site can be sent as that type."""
    if request.content_type != "application/json" or comes_packed(request):
        raise Refused("This is asked in JSON.", 415)
    try:
        asked = await request.json()
    except (ValueError, LookupError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Refused("This is asked in JSON.", 400)
    return asked


@web.middleware
async def say_refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    """Refusals of what a script asked are sentences in JSON; the page shows them."""
    try:
        answer: web.StreamResponse = await handler(request)
    except Refused as refusal:
        where = {} if refusal.received is None else {"received": refusal.received}
        return _json({"sentence": say_error(refusal), **where}, refusal.status)
    except NoRoom as full:
        return _json({"sentence": say_error(full)}, 507)
    return answer


def _json(values: dict[str, Any], status: int = 200) -> web.Response:
    return web.json_response(values, status=status, headers={"Cache-Control": "no-store"})
