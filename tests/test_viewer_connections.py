"""How many may be connected to the web server, and how long one may say nothing."""

import asyncio
import os
import resource
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from ipaddress import IPv4Network

import pytest
from aiohttp import web

from store.house import House
from tests.clicks import Site, Thread
from tests.test_viewer_entry import Device, devices
from viewer import connections
from viewer.connections import Connection, Seats, WebListener
from viewer.visit import HOUSE

HALF = b"GET / HTTP/1.1\r\n"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE = 10.0
TOKEN = "a" * 26


class Client:
    """A client that writes by hand."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def status(self) -> int:
        """Of the next answer, whose body is as long as it says."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
            await self.reader.readexactly(length)
        return int(head.split()[1])

    async def is_sent_away(self) -> bool:
        """Waits for the end of the connection; whether it came before a byte of an answer."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True


class Clients:
    def __init__(self, url: str) -> None:
        self.port = int(url.rpartition(":")[2])
        self.all: list[Client] = []

    async def come(self, data: bytes = b"") -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        client.send(data)
        self.all.append(client)
        return client

    def leave(self) -> None:
        for client in self.all:
            client.writer.close()


@pytest.fixture
async def clients(site: Site) -> AsyncIterator[Clients]:
    clients = Clients(site.url)
    yield clients
    clients.leave()


@pytest.fixture
async def device(site: Site, thread: Thread) -> Device:
    [device] = await devices(site, thread, 1)
    return device


def slow_form(device: Device) -> bytes:
    """A request whose head is here, and nothing of whose body."""
    path = device.link.removeprefix(device.site.url)
    return (
        f"POST {path}/open HTTP/1.1\r\nHost: x\r\nOrigin: {device.site.url}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\n"
    ).encode()


async def test_a_head_must_come_soon(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD", 0.05)
    for half in (b"", HALF, HALF + b"Host: x\r\n"):
        assert await (await clients.come(half)).is_sent_away()


async def test_the_next_head_must_come_soon_too(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await clients.come(WHOLE)
    assert await client.status() == 200
    monkeypatch.setattr(connections, "HEAD", 0.05)
    client.send(HALF)
    assert await client.is_sent_away()


async def test_an_answered_client_is_kept_for_a_while(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD", 0.05)
    client, late = await clients.come(WHOLE), await clients.come()
    assert await client.status() == 200
    assert await late.is_sent_away()
    monkeypatch.setattr(connections, "KEPT", 0.05)
    client.send(WHOLE)  # the deadline of a head is over, and this one has begun anew
    assert await client.status() == 200
    assert await client.is_sent_away()


async def test_who_is_being_answered_is_not_sent_away(
    clients: Clients, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD", 0.5)
    slow = await clients.come(slow_form(device))
    assert await (await clients.come(HALF)).is_sent_away()
    slow.send(b"a=b")
    assert await slow.status() < 400


async def test_a_newcomer_gets_the_seat_of_who_has_waited_longest(
    site: Site, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SEATS", 3)
    waiting = [await clients.come(HALF) for _ in range(3)]
    assert await (await clients.come(WHOLE)).status() == 200
    assert await waiting[0].is_sent_away()
    waiting[2].send(b"Host: x\r\n\r\n")
    assert await waiting[2].status() == 200


async def test_nobody_is_sent_away_for_a_newcomer_while_all_are_answered(
    clients: Clients, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    await device.get()
    monkeypatch.setattr(connections, "SEATS", 3)  # the device's own one waits, and has to go
    busy = [await clients.come(slow_form(device)) for _ in range(3)]
    await served(device.site, 3)
    assert await (await clients.come(WHOLE)).is_sent_away()
    for client in busy:
        client.send(b"a=b")
        assert await client.status() < 400
    assert await (await clients.come(WHOLE)).status() == 200


async def served(site: Site, count: int) -> None:
    """Waits until so many requests are being answered."""
    async with asyncio.timeout(PATIENCE):
        while len(site.listener.seats.clients) - len(site.listener.seats.waiting) < count:
            await asyncio.sleep(0)


async def test_half_requests_leave_files_for_the_rest(clients: Clients) -> None:
    """As many as there may be open files; each is one for the client, too, for both are this process."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    may = len(os.listdir("/proc/self/fd")) + 170  # noqa: PTH208 -- one file, not a list of paths
    resource.setrlimit(resource.RLIMIT_NOFILE, (may, limits[1]))
    try:
        for _ in range(90):
            await clients.come(HALF)
        assert await (await clients.come(WHOLE)).status() == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_a_client_of_the_internet_has_a_few_seats_and_a_proxy_all(site: Site) -> None:
    seats = Seats([IPv4Network("9.9.9.0/24")])
    server = site.listener.runner.server
    assert server is not None

    def take(peer: str) -> list[bool]:
        count = connections.SEATS_A_CLIENT + 1
        taken = [Connection(server, seats, {}) for _ in range(count)]
        entered = [seats.enter(one, peer) for one in taken]
        for one in taken:
            seats.serve(one)
        return [*entered, seats.enter(Connection(server, seats, {}), peer)]

    def host(number: int) -> str:
        return f"2a00:1450:4001:82a::{number}"

    # Somebody of the same client goes while somebody waits; nobody else's seat is asked for.
    for peer, may in (("8.8.8.8", False), ("::ffff:8.8.4.4", False), (host(1), False)):
        assert take(peer) == [True] * (connections.SEATS_A_CLIENT + 1) + [may], peer
    assert not seats.enter(Connection(server, seats, {}), host(2))  # one /64 is one host
    for peer in ("127.0.0.1", "10.0.0.2", "::1", "9.9.9.9"):
        assert all(take(peer)), peer


async def test_who_stops_reading_is_sent_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "STALLED", 0.1)
    ended = asyncio.Event()

    async def send(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(40 << 20)})
        await response.prepare(request)
        try:
            for _ in range(40):
                await response.write(bytes(1 << 20))
        except ConnectionError:
            ended.set()
        return response

    app = web.Application(middlewares=[connections.busy])
    app[HOUSE] = house
    app.router.add_get("/", send)
    listener = WebListener(app, "127.0.0.1:0")
    port = await listener.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    assert len(await reader.readexactly(40 << 20)) == 40 << 20  # who reads gets it whole
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    writer.close()
    await listener.close()


@pytest.mark.parametrize(
    "request_",
    [
        f"GET /r/{TOKEN} HTTP/9.9\r\n\r\n",
        f"GET /r/{TOKEN} HTTP/1.1\r\nHost: x\r\nBad header /r/{TOKEN}\r\n\r\n",
        f"GET /r/{TOKEN}{'b' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"POST /c/{TOKEN} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["version", "header", "length", "chunk"],
)
async def test_what_is_no_request_is_neither_quoted_nor_logged(
    clients: Clients, caplog: pytest.LogCaptureFixture, request_: str
) -> None:
    client = await clients.come(request_.encode())
    async with asyncio.timeout(PATIENCE):
        answer = (await client.reader.readuntil(b"\r\n\r\n")).decode()
        client.writer.write_eof()
        body = (await client.reader.read()).decode()
    assert answer.split()[1] in ("400", "404")
    for header in ("Content-Security-Policy: default-src", "X-Content-Type-Options: nosniff"):
        assert header in answer
    assert "Server: scanpost\r\n" in answer
    assert TOKEN not in answer + body + caplog.text
    assert caplog.records == []
