"""What the viewer remembers between requests for meshes never outlives a change, nor its time."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import sqlalchemy as sa

from store.clock import HOUR, SetClock
from store.house import House
from store.records import access, labs
from tests.conftest import Running, jaw_stl
from tests.fakes import KIM, link_of, mail, reply
from viewer.remembered import REMEMBERED, Remembered
from viewer.visit import HOUSE


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        yield client


async def opened(running: Running, web: aiohttp.ClientSession) -> tuple[str, dict[str, str]]:
    """A mesh's address and the cookie of a session that may have it."""
    await running.postman.send(mail(f"{KIM} C-1042", "x", {"upper.stl": jaw_stl("upper")}))
    link = link_of(await running.inbox.letter("share", KIM))
    await running.all_done()
    origin = {"Origin": running.url}
    async with web.post(f"{link}/open", headers=origin, allow_redirects=False) as answer:
        [(name, morsel)] = answer.cookies.items()
    cookie = {"Cookie": f"{name}={morsel.value}"}
    case = (await (await web.get(link, headers=cookie)).text()).split('id="case">')[1]
    path = case.split('"full": "')[1].split('"')[0]
    return running.url + path, cookie


def remembered_of(running: Running) -> Remembered:
    app = running.server.web.app
    assert app is not None
    assert app[HOUSE] is running.house
    return app[REMEMBERED]


async def test_a_stamp_is_another_one_after_a_commit_and_only_then(house: House) -> None:
    first = house.database.stamp()
    async with house.database.read() as connection:
        await labs.member_by_address(connection, KIM)
    assert house.database.stamp() == first
    async with house.database.write() as connection:
        await labs.add_lab(connection, "Third Lab", 0)
        assert house.database.stamp() == first, "nothing is committed yet"
    assert house.database.stamp() != first
    await house.database.truncate_log()


async def test_the_same_question_is_looked_up_once_and_a_change_ends_that_at_once(
    running: Running, web: aiohttp.ClientSession
) -> None:
    mesh, cookie = await opened(running, web)
    remembered = remembered_of(running)
    bodies = [await (await web.get(mesh, headers=cookie)).read() for _ in range(3)]
    assert len(set(bodies)) == 1
    assert len(remembered.answers) == len(remembered.readers) == 1
    looked_up = 0

    @sa.event.listens_for(running.house.database.engine.sync_engine, "begin")
    def _count(_connection: sa.Connection) -> None:
        nonlocal looked_up
        looked_up += 1

    # Another process of the service looks at other things meanwhile; that changes nothing.
    assert (await web.get(mesh, headers=cookie)).status == 200
    assert looked_up == 0
    assert (await web.get(mesh)).status == 403, "another cookie is another question"

    await running.postman.send(reply(await running.inbox.letter("answer"), "REVOKE"))
    await running.inbox.letter("transcript")
    assert (await web.get(mesh, headers=cookie)).status == 410
    assert not remembered.answers


async def test_an_ended_session_and_an_idle_one_are_refused_though_they_are_remembered(
    running: Running, web: aiohttp.ClientSession, clock: SetClock
) -> None:
    mesh, cookie = await opened(running, web)
    assert (await web.get(mesh, headers=cookie)).status == 200
    clock.advance(9 * HOUR)
    assert (await web.get(mesh, headers=cookie)).status == 403, "idle for too long"
    clock.advance(-9 * HOUR)
    assert (await web.get(mesh, headers=cookie)).status == 200
    [kim] = await _reviewers(running)
    async with running.house.database.write() as connection:
        await access.end_sessions(connection, kim, running.house.clock.now())
    assert (await web.get(mesh, headers=cookie)).status == 403


async def _reviewers(running: Running) -> list[str]:
    async with running.house.database.read() as connection:
        case = await running.only_case()
        return [person.id for person in await access.reviewers_of(connection, case.id)]


async def test_many_readers_of_one_mesh_share_what_is_open_and_get_the_same_bytes(
    running: Running, web: aiohttp.ClientSession
) -> None:
    mesh, cookie = await opened(running, web)

    async def body() -> bytes:
        async with web.get(mesh, headers=cookie) as answer:
            assert answer.status == 200
            return await answer.read()

    bodies = await asyncio.gather(*(body() for _ in range(40)))
    assert len(set(bodies)) == 1
    assert len(remembered_of(running).readers) == 1


async def test_what_is_held_is_let_go_with_the_reader_even_while_somebody_reads(
    running: Running, web: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewer.remembered.MOST_OPEN", 1)
    mesh, cookie = await opened(running, web)
    assert (await web.get(mesh, headers=cookie)).status == 200
    remembered = remembered_of(running)
    [full] = remembered.readers.values()
    assert full.is_at_hand
    preview = mesh.replace("full.glb", "preview.glb")
    assert (await web.get(preview, headers=cookie)).status == 200
    assert not full.is_at_hand, "only so many are held at one moment"
    [other] = remembered.readers.values()
    remembered._forget()
    assert not other.is_at_hand
    assert not remembered.readers
