"""The PROXY protocol, versions 1 and 2: behind a listed proxy it is the real client that is judged."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from inbound.door import guarded, turnstile
from inbound.door.receive import Receiver
from inbound.door.smtp import SmtpDoor
from store.house import House
from tests.fakes import DOMAIN
from tests.test_door_smtp import MAIL, Client, FakedTime, Listening

PROXY, UNLISTED = "127.0.0.1", "127.0.0.2"
FRIEND, STRANGER = "192.0.2.7", "198.51.100.9"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXIED = 0x20, 0x21
GARBAGE = [
    b"EHLO lab.example\r\n",
    b"PROXY\r\n",
    b"PROXY TCP4 192.0.2.7\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 1 99999\r\n",
    b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2 more\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\nEHLO x\r\n",
    b"PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n",
    b"PROXY  TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
    b"PROXYTCP4 192.0.2.7 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 " + b"1" * 5_000 + b"\r\n",
    b"\x16\x03\x01\x02\0\x01",
    SIGNATURE + b"\x31\x11\0\x0c" + b"\0" * 12,
    SIGNATURE + b"\x21\x11\0\x02ab",
    SIGNATURE + b"\x2f\x11\0\0",
    SIGNATURE[:-1] + b"X\x21\x11\0\x0c" + b"\0" * 12,
]


def v1(client: str, family: str = "TCP4") -> bytes:
    server = "192.0.2.1" if family == "TCP4" else "2001:db8::1"
    return f"PROXY {family} {client} {server} 56324 25\r\n".encode()


def v2(client: str, command: int = PROXIED, more: bytes = b"") -> bytes:
    address = ip_address(client)
    server = ip_address("192.0.2.1" if address.version == 4 else "2001:db8::1")
    block = address.packed + server.packed + struct.pack("!HH", 56324, 25) + more
    family = 0x11 if address.version == 4 else 0x21
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


@asynccontextmanager
async def door_behind_proxy(house: House, trusted: str) -> AsyncIterator[Listening]:
    """A door with one listed proxy; whatever the loop has to complain of fails the test."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
    house.settings = house.settings.model_copy(update={"trusted_clients": trusted})
    receiver = Receiver(house)
    proxies = [ip_network(PROXY), ip_network("2001:db8:f::/48")]
    door = SmtpDoor(receiver, "127.0.0.1:0", DOMAIN, proxies=proxies)
    await door.open()
    listening = Listening(house, door)
    yield listening
    await door.close()
    await listening.until(lambda: not door.dialogues)
    receiver.close()
    assert not door.turnstile.inside
    assert complaints == []


@pytest.fixture
async def listening(house: House) -> AsyncIterator[Listening]:
    async with door_behind_proxy(house, "192.0.2.0/24, 2001:db8:a::/48") as listening:
        yield listening


@asynccontextmanager
async def proxied(
    listening: Listening, header: bytes, source: str = PROXY
) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", listening.door.port, local_addr=(source, 0)
    )
    writer.write(header)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "header",
    [
        v1(FRIEND),
        v1("2001:db8:a::7", "TCP6"),
        v1("::ffff:192.0.2.7", "TCP6"),
        v2(FRIEND),
        v2("2001:db8:a::7"),
        v2(FRIEND, more=b"\x04\0\x03abc"),
    ],
)
async def test_the_client_that_a_proxy_names_is_trusted_when_it_is_listed(
    listening: Listening, header: bytes
) -> None:
    async with proxied(listening, header) as client:
        assert (await client.reply()).startswith("220")
        await client.ask("EHLO lab.example")
        reply = await client.deliver(MAIL)
    assert listening.stored(reply) == MAIL + b"\r\n"


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (v1(STRANGER), STRANGER),
        (v1("2001:db8:b::7", "TCP6"), "2001:db8:b::7"),
        (v2(STRANGER), STRANGER),
        (v2("2001:db8:b::7"), "2001:db8:b::7"),
    ],
)
async def test_the_client_that_a_proxy_names_is_refused_when_it_is_a_stranger(
    house: House, header: bytes, named: str
) -> None:
    async with (
        door_behind_proxy(house, "127.0.0.0/8") as listening,
        proxied(listening, header + b"EHLO lab.example\r\n") as client,
    ):
        assert (await client.reply()).startswith("220")
        assert (await client.reply()).startswith("250")
        reply = await client.deliver(MAIL)
        assert reply.startswith("550 5.7.1 Nothing proves")
        assert f"from {named})" in reply


@pytest.mark.parametrize(
    ("header", "judged"),
    [
        (b"PROXY UNKNOWN\r\n", ""),
        (b"PROXY UNKNOWN 192.0.2.7 192.0.2.1 1 2\r\n", ""),
        (SIGNATURE + b"\x21\0\0\0", ""),
        (SIGNATURE + b"\x20\0\0\0", f"from {PROXY})"),
        (v2(FRIEND, LOCAL), f"from {PROXY})"),
    ],
    ids=["v1", "v1 with addresses", "v2 unspecified", "LOCAL", "LOCAL with addresses"],
)
async def test_a_client_whom_the_proxy_does_not_name_is_nobody_and_a_looking_proxy_is_itself(
    listening: Listening, header: bytes, judged: str
) -> None:
    async with proxied(listening, header) as client:
        assert (await client.reply()).startswith("220")
        await client.ask("EHLO proxy.example")
        reply = await client.deliver(MAIL)
    assert reply.startswith("550 5.7.1 Nothing proves")
    assert judged in reply
    assert FRIEND not in reply


async def test_each_client_behind_a_proxy_has_its_own_limit(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "CONNECTIONS_A_CLIENT", 2)
    async with proxied(listening, v1(FRIEND)) as first, proxied(listening, v2(FRIEND)) as second:
        for client in (first, second):
            assert (await client.reply()).startswith("220")
        async with proxied(listening, v1(FRIEND)) as third:
            assert (await third.reply()).startswith("421 4.7.0 Too many connections")
            assert await third.rest() == []
        async with proxied(listening, v1("192.0.2.8")) as other:
            assert (await other.reply()).startswith("220")
        await first.ask("QUIT")
        await listening.until(lambda: listening.door.turnstile.inside[FRIEND] == 1)
        async with proxied(listening, v1(FRIEND)) as fourth:
            assert (await fourth.reply()).startswith("220")


async def test_proxies_that_wait_for_their_line_are_not_counted_as_clients(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "CONNECTIONS_A_CLIENT", 1)
    async with (
        proxied(listening, b"PROXY"),
        proxied(listening, b""),
        proxied(listening, v1(FRIEND)) as client,
    ):
        assert (await client.reply()).startswith("220")


@pytest.mark.parametrize("said", [b"", b"PRO", b"PROXY TCP4 192.0.2.7", SIGNATURE, v2(FRIEND)[:-1]])
async def test_a_proxy_that_does_not_finish_its_line_is_closed_within_the_wait(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(guarded, "PROXY_WAIT", 3.0)
    async with proxied(listening, said) as client:
        await listening.until(lambda: bool(listening.door.dialogues))
        time = FakedTime()
        time.pass_by(3.1)
        assert await client.rest() == []
    await listening.nothing_is_left()


@pytest.mark.parametrize("said", [b"", b"PRO", b"PROXY TCP4", SIGNATURE + b"\x21"])
async def test_a_load_balancer_that_only_looks_whether_we_listen_is_let_go_at_once(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(guarded, "PROXY_WAIT", 3600.0)
    async with proxied(listening, said) as client:
        client.writer.write_eof()
        assert await client.rest() == []
    await listening.nothing_is_left()


async def test_garbage_from_a_proxy_is_closed_without_a_word(listening: Listening) -> None:
    for garbage in GARBAGE:
        async with proxied(listening, garbage + b"EHLO lab.example\r\n" * 5) as client:
            client.writer.write_eof()
            assert await client.rest() == [], garbage
    await listening.nothing_is_left()


async def test_the_line_of_a_client_that_is_no_proxy_is_a_bad_command(
    listening: Listening,
) -> None:
    async with proxied(listening, v1(FRIEND), source=UNLISTED) as client:
        assert (await client.reply()).startswith("220")
        assert (await client.reply()).startswith("500 5.5.1")
        await client.ask("EHLO lab.example")
        assert f"from {UNLISTED})" in await client.deliver(MAIL)


async def test_version_2_from_a_client_that_is_no_proxy_ends_the_dialogue(
    listening: Listening,
) -> None:
    """Its signature was made to hold "QUIT" for servers that do not expect it."""
    async with proxied(listening, v2(FRIEND), source=UNLISTED) as client:
        codes = [reply[:3] for reply in await client.rest()]
    assert (codes[0], codes[-1]) == ("220", "221")
    assert set(codes[1:-1]) == {"500"}


async def test_a_second_line_within_the_dialogue_changes_nobody(listening: Listening) -> None:
    async with proxied(listening, v1(STRANGER) + v1(FRIEND)) as client:
        assert (await client.reply()).startswith("220")
        assert (await client.reply()).startswith("500")
        await client.ask("EHLO lab.example")
        assert f"from {STRANGER})" in await client.deliver(MAIL)


async def test_a_proxy_line_that_comes_in_single_bytes_is_understood(listening: Listening) -> None:
    for header in (v1(FRIEND), v2(FRIEND)):
        async with proxied(listening, b"") as client:
            client.writer.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )
            for byte in header:
                await client.say(bytes([byte]))
            assert (await client.reply()).startswith("220")
