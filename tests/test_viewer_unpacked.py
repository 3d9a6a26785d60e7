"""Meshes that are sent unpacked: however many ask at one moment, memory has an end."""

import asyncio
import socket

import brotli
import pytest
from yarl import URL

from store.blobs.sealed import CHUNK
from store.house import SealedObject, scan_object
from store.records import cases
from store.states import ScanState
from tests.clicks import Site, Thread
from tests.fakes import PATIENCE
from tests.test_viewer_entry import Device, devices
from viewer import files

SIZE = 16 << 20  # of a mesh: more than sockets hold
LEVELS = {"preview": "preview.glb", "medium": "medium.glb", "full": "full.glb",
          "map": "contacts.map", "change": "change.map"}  # fmt: skip


@pytest.fixture
async def kim(site: Site, thread: Thread) -> Device:
    """Somebody in a session, whose scan has five large objects."""
    house, packed = site.house, brotli.compress(bytes(SIZE), quality=1)
    async with house.database.write() as connection:
        version = await cases.latest_version(connection, thread.case.id)
        assert version is not None
        [scan] = await cases.scans_of(connection, version.id)
        sizes = {f"{what}_size": len(packed) for what in LEVELS}
        await cases.set_scan(connection, scan.id, ScanState.READY, **sizes)
        key = await house.case_key(connection, thread.case.id)
    for what in LEVELS:
        sealed = SealedObject(house.blobs, key, scan_object(thread.case.id, scan, what))
        sealed.write(packed)
        sealed.commit()
    [device] = await devices(site, thread, 1)
    await device.open()
    return device


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[files._Unpacked]:
    """All that was unpacked, or was begun to be."""
    found: list[files._Unpacked] = []

    class Noted(files._Unpacked):
        def __init__(self, *given) -> None:
            found.append(self)
            super().__init__(*given)

    monkeypatch.setattr(files, "_Unpacked", Noted)
    return found


class SlowReader:
    """Asks for a range, reads how it was answered, and no more."""

    async def ask(self, device: Device, file: str, asked: str) -> int:
        connection, url = socket.socket(), URL(device.link)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (url.host, url.port))
        reader, self.writer = await asyncio.open_connection(sock=connection, limit=4096)
        cookie = "; ".join(f"{name}={value}" for name, value in device.jar.items())
        head = f"GET {url.path}/v/1/scan/1/{file} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n"
        self.writer.write(f"{head}Range: bytes={asked}\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            return int((await reader.readuntil(b"\r\n")).split()[1])

    def leave(self) -> None:
        self.writer.transport.abort()


async def test_as_many_as_have_room_are_held_and_the_others_told_to_wait(
    site: Site, kim: Device, monkeypatch: pytest.MonkeyPatch, unpacked: list[files._Unpacked]
) -> None:
    monkeypatch.setattr(files, "MOST_UNPACKED", SIZE * 5 // 2)
    readers = [SlowReader() for _ in LEVELS]
    asked = [
        one.ask(kim, file, f"1-{SIZE}") for one, file in zip(readers, LEVELS.values(), strict=True)
    ]
    assert sorted(await asyncio.gather(*asked)) == [206, 206, 503, 503, 503]
    held = [mesh.size for mesh in site.app[files.UNPACKED].meshes.values()]
    assert held == [SIZE, SIZE]
    assert sum(len(one.data) for one in unpacked) == 2 * SIZE, "nothing is kept of the others"
    unpacked.clear()
    for reader in readers:
        reader.leave()
    async with asyncio.timeout(PATIENCE):
        while site.app[files.UNPACKED].meshes:
            await asyncio.sleep(0)
    last = SlowReader()
    assert await last.ask(kim, "full.glb", "0-0") == 206
    last.leave()


async def test_who_asks_for_the_same_at_one_moment_shares_it(
    site: Site, kim: Device, unpacked: list[files._Unpacked]
) -> None:
    readers = [SlowReader() for _ in range(20)]
    asked = [one.ask(kim, "full.glb", "0-0") for one in readers]
    assert set(await asyncio.gather(*asked)) == {206}
    assert len(unpacked) == 1
    for reader in readers:
        reader.leave()


async def test_a_mesh_that_never_has_room_is_not_put_off(
    kim: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_UNPACKED", SIZE - 1)
    assert (await kim.ask("GET", "/v/1/scan/1/full.glb", Range="bytes=0-0")).status == 404
    monkeypatch.setattr(files, "MOST_UNPACKED", SIZE)
    answer = await kim.ask("GET", "/v/1/scan/1/full.glb", Range=f"bytes=-{CHUNK}")
    assert (answer.status, answer.text) == (206, "\0" * CHUNK)
