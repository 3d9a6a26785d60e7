"""Meshes, pictures and downloads: unsealed piece by piece on their way to the browser.

A running download asks again, a megabyte at a time, whether its link still lives: REVOKE ends it.
"""

import asyncio
from typing import cast
from urllib.parse import quote
from weakref import WeakValueDictionary

import brotli
from aiohttp import web

from store.blobs.sealed import CHUNK, SealedReader
from store.errors import Gone, NotFound, TryAgain
from store.house import MAPS, House, object_name, open_object, remark_object, scan_object
from store.model import Scan, Version
from store.records import access, audit, cases, remarks
from store.states import ScanState
from viewer.page import download_name
from viewer.remarks import may_read
from viewer.remembered import REMEMBERED
from viewer.static_files import accepts
from viewer.visit import HOUSE, Visit, visit_in_session

# Their addresses hold the version: they never change, and stay in this browser alone.
# No longer than a link lives: nothing is asked again while a browser keeps one.
FOR_GOOD = "private, max-age=604800, immutable"
_WEBP = {"Content-Type": "image/webp", "Cache-Control": FOR_GOOD}
ASK_AGAIN_AFTER = 1_000  # ms
MOST_UNPACKED = 256 << 20  # bytes of meshes that are sent unpacked, at one moment
LONGEST_PIECE = 60.0  # seconds for who reads a megabyte


async def send_poster(request: web.Request) -> web.StreamResponse:
    return await _send_picture(request, "poster")


async def send_view(request: web.Request) -> web.StreamResponse:
    """One of the six pictures for who cannot turn the scans."""
    return await _send_picture(request, f"view-{request.match_info['side']}")


async def send_preview(request: web.Request) -> web.StreamResponse:
    return await _send_mesh(request, "preview")


async def send_medium(request: web.Request) -> web.StreamResponse:
    return await _send_mesh(request, "medium")


async def send_full(request: web.Request) -> web.StreamResponse:
    return await _send_mesh(request, "full")


async def send_contacts(request: web.Request) -> web.StreamResponse:
    """Distances to the other jaw, a number a vertex of the full mesh (inbound/scans/maps.py)."""
    return await _send_mesh(request, "map")


async def send_change(request: web.Request) -> web.StreamResponse:
    """Distances to what the scan was in the version before, likewise."""
    return await _send_mesh(request, "change")


async def send_photo(request: web.Request) -> web.StreamResponse:
    visit = await visit_in_session(request)
    scan = await _scan(request, visit)
    if scan.is_surface or not scan.preview_size:
        raise NotFound("There is no such photo in this case.")
    return await _send(request, visit, scan_object(visit.holder.case.id, scan, "preview"), _WEBP)


async def send_remark_picture(request: web.Request) -> web.StreamResponse:
    """What somebody saw when they said it; checked by a child before anybody gets it."""
    visit = await visit_in_session(request)
    case = visit.holder.case
    async with request.app[HOUSE].database.read() as connection:
        remark = await remarks.find(connection, request.match_info["id"])
        owner = await access.owner_of(connection, case.id)
    if not remark or remark.case_id != case.id or not may_read(visit, remark, owner.id):
        raise NotFound("There is no such picture in this case.")
    headers = {"Content-Type": "image/png", "Cache-Control": FOR_GOOD}
    return await _send(request, visit, remark_object(case.id, remark.id, "checked"), headers)


async def send_download(request: web.Request) -> web.StreamResponse:
    """The lab gets its original byte for byte under its own name, a reviewer the stripped copy."""
    visit = await visit_in_session(request)
    case = visit.holder.case
    if not _may_download(visit):
        raise NotFound("The lab shows these scans here and gives no files away. Ask it for them.")
    scan = await _scan(request, visit)
    name = scan.original_name if visit.is_owner else download_name(case, scan)
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": content_disposition(name),
        "Cache-Control": "no-store",
    }
    if request.method != "HEAD":
        await _record_download(request, visit, scan)
    what = "original" if visit.is_owner else "copy"
    return await _send(request, visit, scan_object(case.id, scan, what), headers)


def content_disposition(name: str) -> str:
    """RFC 6266: an ASCII name for old programs, the true one in UTF-8 (RFC 8187) for the others."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def _send_picture(request: web.Request, what: str) -> web.StreamResponse:
    visit = await visit_in_session(request)
    version = await _version(request, visit)
    return await _send(request, visit, object_name(version.case_id, version.id, 0, what), _WEBP)


async def _send_mesh(request: web.Request, what: str) -> web.StreamResponse:
    """A mesh, or the numbers of its vertices: both are sealed as they travel."""
    visit, scan = await _asked(request)
    size = {"medium": scan.medium_size, "map": scan.map_size, "change": scan.change_size}
    if not scan.is_surface or not size.get(what, scan.full_size):
        raise NotFound("There is no such scan in this case.")
    headers = {
        "Content-Type": "application/octet-stream" if what in MAPS else "model/gltf-binary",
        "Cache-Control": FOR_GOOD,
        "Vary": "Accept-Encoding",
    }
    name = scan_object(visit.holder.case.id, scan, what)
    # What a broken connection left is asked for by ranges of the plain file.
    if accepts(request, "br") and "Range" not in request.headers:
        headers["Content-Encoding"] = "br"
        return await _send(request, visit, name, headers)
    return await _send(request, visit, name, headers, unpacked=True)


async def _version(request: web.Request, visit: Visit) -> Version:
    """The version that an address names, if people see it. Raises NotFound."""
    number = int(request.match_info["version"])
    async with request.app[HOUSE].database.read() as connection:
        shared = await cases.shared_versions(connection, visit.holder.case.id)
    for version in shared:
        if version.number == number:
            return version
    raise NotFound("There is no such version of this case.")


async def _asked(request: web.Request) -> tuple[Visit, Scan]:
    """Who asks, in a session, for which scan."""
    remembered = request.app[REMEMBERED]
    known = remembered.answer(request)
    if known:
        return known
    stamp = remembered.stamp
    visit = await visit_in_session(request)
    scan = await _scan(request, visit)
    remembered.remember(request, stamp, visit, scan)
    return visit, scan


async def _scan(request: web.Request, visit: Visit) -> Scan:
    number = int(request.match_info["number"])
    version = await _version(request, visit)
    async with request.app[HOUSE].database.read() as connection:
        scans = await cases.scans_of(connection, version.id)
    for scan in scans:
        if scan.number == number and scan.state is ScanState.READY:
            return scan
    raise NotFound("There is no such scan in this case.")


class _Unpacked:
    """A mesh without the packing in which it is sealed: for who cannot take that, or wants a range."""

    def __init__(self, reader: SealedReader, room: int) -> None:
        """Raises TryAgain or NotFound where it takes more bytes than there is room for."""
        unpacking, self.data = brotli.Decompressor(), bytearray()
        for start in range(0, reader.size, CHUNK):
            packed = reader.read(start, min(start + CHUNK, reader.size))
            while packed or not (unpacking.is_finished() or unpacking.can_accept_more_data()):
                self.data += unpacking.process(packed, output_buffer_limit=CHUNK)
                packed = b""
                if len(self.data) > room:
                    self.data = bytearray()  # what is raised keeps this frame for a while
                    raise _no_room(room)
        self.size = len(self.data)
        self.is_at_hand = True

    def read(self, start: int, stop: int) -> bytes:
        return bytes(memoryview(self.data)[start:stop])


def _no_room(room: int) -> TryAgain | NotFound:
    if room < MOST_UNPACKED:
        return TryAgain("Too many scans are read at once in this way.")
    return NotFound("This scan is too large to be sent in this way.")


class Unpacked:
    """The meshes that lie unpacked just now. All who read one share it, and there is an end to them.

    One is unpacked after the other: else each of many would find the room that is there for one.
    """

    def __init__(self) -> None:
        self.meshes: WeakValueDictionary[str, _Unpacked] = WeakValueDictionary()
        self.coming: dict[str, asyncio.Task[_Unpacked]] = {}
        self.turn = asyncio.Lock()

    async def open(self, house: House, name: str, sealed: SealedReader) -> _Unpacked:
        """Raises TryAgain where too many are read at once."""
        known = self.meshes.get(name)
        if known:
            return known
        task = self.coming.get(name)
        if task is None:
            task = self.coming[name] = asyncio.create_task(self._unpack(house, name, sealed))
            task.add_done_callback(lambda _: self.coming.pop(name))
        return await asyncio.shield(task)  # one who goes away does not take it from the others

    async def _unpack(self, house: House, name: str, sealed: SealedReader) -> _Unpacked:
        async with self.turn:
            held = sum(one.size for one in self.meshes.values())
            opened = await house.object_threads.run(_Unpacked, sealed, max(0, MOST_UNPACKED - held))
        self.meshes[name] = opened
        return opened


UNPACKED = web.AppKey("unpacked", Unpacked)
Reader = SealedReader | _Unpacked


async def _send(
    request: web.Request,
    visit: Visit,
    name: str,
    headers: dict[str, str],
    *,
    unpacked: bool = False,
) -> web.StreamResponse:
    reader: Reader = await _open(request, visit, name)
    if unpacked and isinstance(reader, SealedReader):
        reader = await request.app[UNPACKED].open(request.app[HOUSE], name, reader)
    start, end = _range_of(request, reader.size)
    partial = (start, end) != (0, reader.size)
    response = web.StreamResponse(status=206 if partial else 200, headers=headers)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers.setdefault("Cache-Control", "private, no-store")
    if partial:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{reader.size}"
    response.content_length = end - start
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    try:
        await _stream(request, response, reader, start, end)
    except (Gone, NotFound, web.HTTPForbidden, TimeoutError):
        _break_off(request)
    except Exception:
        _break_off(request)
        raise
    finally:
        del reader  # the traceback of a broken connection outlives it, and must not keep a mesh
    return response


def _break_off(request: web.Request) -> None:
    """Makes the browser see a broken transfer: any other answer would end up inside the file."""
    if request.transport is not None:
        request.transport.abort()


async def _open(request: web.Request, visit: Visit, name: str) -> SealedReader:
    house = request.app[HOUSE]
    remembered = request.app[REMEMBERED]
    known = remembered.reader(house, name)
    if known:
        return known
    stamp = remembered.stamp
    async with house.database.read() as connection:
        key = await house.case_key(connection, visit.holder.case.id)
    reader = await house.object_threads.run(open_object, house.blobs, key, name)
    await remembered.remember_reader(house, stamp, name, reader)
    return reader


def _range_of(request: web.Request, size: int) -> tuple[int, int]:
    """RFC 9110 14.2: one range is served, several or none mean the whole. Raises 416."""
    asked = request.headers.get("Range", "")
    if not asked.startswith("bytes=") or "," in asked:
        return 0, size
    try:
        wanted = request.http_range
    except ValueError:
        return 0, size
    first = cast("int | None", wanted.start) or 0
    from_end = asked.startswith("bytes=-")  # "bytes=-0" is the last 0 bytes: none
    start = max(0, size + first) if from_end else first
    end = min(size, wanted.stop if wanted.stop is not None else size)
    if start >= end:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start, end


async def _stream(
    request: web.Request,
    response: web.StreamResponse,
    reader: Reader,
    start: int,
    end: int,
) -> None:
    house = request.app[HOUSE]
    asked_at = house.clock.now()
    try:
        while start < end:
            stop = min(end, (start // CHUNK + 1) * CHUNK)
            async with asyncio.timeout(LONGEST_PIECE):
                await response.write(await _piece(house, reader, start, stop))
            start = stop
            if start < end and house.clock.now() - asked_at >= ASK_AGAIN_AFTER:
                await _refuse_when_dead(request)
                asked_at = house.clock.now()
    finally:
        del reader  # see _send


async def _piece(house: House, reader: Reader, start: int, stop: int) -> bytes:
    """At most a chunk. To unseal one takes less time than to hand it to a thread and back."""
    if reader.is_at_hand:
        return reader.read(start, stop)
    return await house.object_threads.run(reader.read, start, stop)


async def _refuse_when_dead(request: web.Request) -> None:
    """Raises Gone, NotFound or HTTPForbidden: what was allowed a moment ago is not any more."""
    visit = await visit_in_session(request)
    if request.path.endswith("/download") and not _may_download(visit):
        raise NotFound("The lab gives no files away any more.")


def _may_download(visit: Visit) -> bool:
    return visit.is_owner or visit.holder.case.downloads


async def _record_download(request: web.Request, visit: Visit, scan: Scan) -> None:
    """A line for each request: whoever asks for a part could ask for every part."""
    house, person = request.app[HOUSE], visit.holder.person
    async with house.database.write() as connection:
        await audit.record(
            connection,
            house.clock.now(),
            person.address,
            "downloaded",
            lab_id=visit.holder.case.lab_id,
            case_id=person.case_id,
            scan=scan.number,
            original=visit.is_owner,
        )
