"""What was allowed when a request began, and is not any more when its body is here: REVOKE, PASSWORD and
DELETE hold against it, and it changes nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import sqlalchemy as sa
from aiohttp import web
from yarl import URL

from store import ending
from store.clock import HOUR, MINUTE, SetClock
from store.house import case_prefix
from store.records import access
from tests import clicks
from tests.clicks import Site, Thread
from tests.fakes import ANNA, PATIENCE
from tests.test_viewer_entry import (
    WORDS,
    Device,
    devices,
    every_row,
    kim_of,
    newest_code,
    set_password,
)
from tests.test_viewer_remarks import png

DISTANCE = {"kind": "distance", "points": [[0, 0, 0], [0, 0, 2]]}


@pytest.fixture
def requests() -> list[web.Request]:
    return []


@pytest.fixture
async def site(
    house, requests: list[web.Request], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    """The same site, and the requests that it works at."""

    @web.middleware
    async def note(request: web.Request, handler: Callable) -> web.StreamResponse:
        requests.append(request)
        return await handler(request)

    make_app = clicks.make_app

    def noting(house) -> web.Application:
        app = make_app(house)
        app.middlewares.append(note)
        return app

    monkeypatch.setattr(clicks, "make_app", noting)
    async with clicks.open_site(house) as opened:
        yield opened


class LateBody:
    """A POST whose head and first bytes are here, and whose server waits for the rest."""

    def __init__(self, device: Device, below: str, fields: dict[str, str], picture: bytes = b""):
        parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
        if picture:
            parts.append(b'name="picture"; filename="seen.png"\r\n\r\n' + picture)
        start = b"--XX\r\nContent-Disposition: form-data; "
        self.body = b"".join(start + part + b"\r\n" for part in parts) + b"--XX--\r\n"
        cookie = "; ".join(f"{name}={value}" for name, value in device.jar.items())
        self.url = URL(device.link + below)
        self.head = (
            f"POST {self.url.path} HTTP/1.1\r\nHost: x\r\nOrigin: {device.site.url}\r\n"
            f"Cookie: {cookie}\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
            f"Content-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        ).encode()

    async def begin(self, requests: list[web.Request]) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.url.host, self.url.port)
        requests.clear()
        self.writer.write(self.head + self.body[:40])
        await until(lambda: bool(requests and requests[0].content._waiter))

    async def send(self) -> int:
        """All of it at once."""
        self.reader, self.writer = await asyncio.open_connection(self.url.host, self.url.port)
        self.writer.write(self.head + self.body[:40])
        return await self.finish()

    async def finish(self) -> int:
        self.writer.write(self.body[40:])
        async with asyncio.timeout(PATIENCE):
            answer = await self.reader.read()
        self.writer.close()
        return int(answer.split()[1])


@pytest.fixture
def begun(house) -> list[str]:
    """The transactions that write, from the moment when they wait for their turn."""
    found: list[str] = []

    @sa.event.listens_for(house.database.engine.sync_engine, "before_cursor_execute")
    def _note(_connection, _cursor, statement: str, *_: object) -> None:
        found.extend([statement] * (statement == "BEGIN IMMEDIATE"))

    return found


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0)


async def revoke(thread: Thread) -> None:
    async with thread.house.database.write() as connection:
        await access.revoke(connection, (await kim_of(thread)).id, thread.house.clock.now())


async def ask_a_password(thread: Thread) -> None:
    await set_password(thread)
    async with thread.house.database.write() as connection:
        await access.lull_reviewers(connection, thread.case.id, thread.house.clock.now())


async def delete(thread: Thread) -> None:
    async with thread.house.database.write() as connection:
        await ending.delete(connection, await thread.now(), ANNA, thread.house.clock.now())
    await ending.destroy(thread.house, thread.case.id)


ORDERS = [(revoke, 410), (ask_a_password, 403), (delete, 410)]
SAID: list[tuple[str, dict[str, str], bytes]] = [
    ("/remarks", {"kind": "approved", "version": "1", "text": "late words"}, b""),
    ("/remarks", {"kind": "comment", "version": "1", "text": "late words"}, png()),
    ("/marks", {"version": "1", "mark": json.dumps(DISTANCE)}, b""),
]


@pytest.mark.parametrize(("order", "refused"), ORDERS)
@pytest.mark.parametrize(("below", "fields", "picture"), SAID)
async def test_nothing_that_comes_in_behind_an_order_counts(
    site: Site,
    thread: Thread,
    requests: list[web.Request],
    order: Callable[[Thread], Awaitable[None]],
    refused: int,
    below: str,
    fields: dict[str, str],
    picture: bytes,
) -> None:
    [kim] = await devices(site, thread, 1)
    await kim.open()
    late = LateBody(kim, below, fields, picture)
    await late.begin(requests)
    await order(thread)
    before = await every_row(site.house)
    assert await late.finish() == refused
    assert await every_row(site.house) == before
    assert site.house.blobs.names(f"{case_prefix(thread.case.id)}remarks/") == []


@pytest.mark.parametrize("order", [revoke, delete])
@pytest.mark.parametrize("below", ["/ask", "/code", "/open", "/stop", "/handover"])
async def test_nobody_knocks_or_refuses_at_a_link_that_ended_meanwhile(
    site: Site,
    thread: Thread,
    requests: list[web.Request],
    order: Callable[[Thread], Awaitable[None]],
    below: str,
) -> None:
    await set_password(thread)
    first, second = await devices(site, thread)
    if below != "/open":
        await first.open(password=WORDS)
    code = "123456"
    if below == "/code":
        await second.press("/code?again=1", "/ask", address="kim@clinic.example")
        code = await newest_code(site.house)
    kim = first if below == "/handover" else second
    fields = {"address": "kim@clinic.example", "code": code, "password": "wrong"}
    late = LateBody(kim, below, {**fields, "reason": "not me", "from": ""})
    await late.begin(requests)
    await order(thread)
    before = await every_row(site.house)
    assert await late.finish() == 410
    assert await every_row(site.house) == before


async def test_a_picture_that_was_sealed_before_an_order_does_not_stay(
    site: Site, thread: Thread, begun: list[str]
) -> None:
    [kim] = await devices(site, thread, 1)
    await kim.open()
    late = LateBody(kim, "/remarks", SAID[1][1], png())
    place = f"{case_prefix(thread.case.id)}remarks/"
    begun.clear()
    async with site.house.database.write() as connection:
        person_id = (await kim_of(thread)).id
        await access.revoke(connection, person_id, site.house.clock.now())
        said = asyncio.create_task(late.send())
        await until(lambda: len(begun) == 2)  # it was judged, and its picture is sealed
        assert len(site.house.blobs.names(place)) == 1
    assert await said == 410
    assert site.house.blobs.names(place) == []


async def test_a_password_is_not_outrun_by_a_request_that_had_read_its_session(
    site: Site, thread: Thread, clock: SetClock, begun: list[str]
) -> None:
    [kim] = await devices(site, thread, 1)
    await kim.open()
    clock.advance(6 * MINUTE)
    begun.clear()
    async with site.house.database.write() as connection:
        await access.lull_reviewers(connection, thread.case.id, clock.now())
        looking = asyncio.create_task(kim.get())
        await until(
            lambda: len(begun) == 2
        )  # its session is read, and it waits to note a sign of life
    assert (await looking).status == 200
    assert not await kim.is_in()


async def test_what_an_ended_session_does_is_no_sign_of_life(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    [kim] = await devices(site, thread, 1)
    await kim.open()
    person_id = (await kim_of(thread)).id
    async with site.house.database.write() as connection:
        [session_id] = (await connection.execute(sa.text("SELECT id FROM sessions"))).scalars()
        await access.end_sessions(connection, person_id, clock.now())
        before = await access.find_session(connection, session_id)
        await access.touch_session(connection, session_id, clock.now() + HOUR)
        assert await access.find_session(connection, session_id) == before
