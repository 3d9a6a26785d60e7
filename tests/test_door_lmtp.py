"""LMTP (RFC 2033): a mail server in front of us gets one answer for each recipient."""

import asyncio
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from inbound.door.lmtp import LmtpDoor
from inbound.door.receive import Receiver
from inbound.door.smtp import SmtpDoor
from store.house import House
from store.records.schema import mails
from tests.fakes import ANNA, DOMAIN
from tests.test_door_bdat import bdat
from tests.test_door_sink import SMUGGLING
from tests.test_door_smtp import MAIL, MB, PATIENCE, SHARE, Client, Listening

MANY = [SHARE, f"SHARE@{DOMAIN}", f"Share@{DOMAIN}"]
MAIL_FROM = f"MAIL FROM:<{ANNA}>\r\n".encode()


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A short path: a Unix socket's may have 107 letters only."""
    folder = Path(tempfile.mkdtemp(prefix="scanpost-"))
    yield folder / "lmtp.sock"
    shutil.rmtree(folder)


@asynccontextmanager
async def lmtp_at(house: House, listen: str, **given: object) -> AsyncIterator[Listening]:
    house.settings = house.settings.model_copy(update=given)
    receiver = Receiver(house)
    door = LmtpDoor(receiver, listen, DOMAIN)
    await door.open()
    listening = Listening(house, door)
    try:
        yield listening
    finally:
        await door.close()
        await listening.until(lambda: not door.dialogues)
        receiver.close()


@pytest.fixture(params=["tcp", "unix"])
async def listening(
    request: pytest.FixtureRequest, house: House, socket_path: Path
) -> AsyncIterator[Listening]:
    listen = "127.0.0.1:0" if request.param == "tcp" else f"unix:{socket_path}"
    async with lmtp_at(house, listen, trusted_clients="127.0.0.0/8, unix:") as listening:
        yield listening


@asynccontextmanager
async def client_of(listening: Listening, *, greet: bool = True) -> AsyncIterator[Client]:
    door = listening.door
    if door.path:
        reader, writer = await asyncio.open_unix_connection(door.path)
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    client = Client(reader, writer)
    assert (await client.reply()) == f"220 {DOMAIN} scanpost LMTP"
    if greet:
        assert (await client.ask("LHLO relay.example")).startswith("250")
    try:
        yield client
    finally:
        writer.close()


async def open_mail(client: Client, recipients: list[str]) -> None:
    assert (await client.ask(MAIL_FROM)).startswith("250")
    for recipient in recipients:
        assert (await client.ask(f"RCPT TO:<{recipient}>")).startswith("250")


# ---------------------------------------------------------------- greeting


async def test_lhlo_offers_what_smtp_offers(listening: Listening) -> None:
    async with client_of(listening, greet=False) as client:
        offered = set((await client.ask("LHLO relay.example")).splitlines())
    assert {
        f"250-{DOMAIN}",
        "250-PIPELINING",
        "250-CHUNKING",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-ENHANCEDSTATUSCODES",
        f"250-SIZE {200 * MB}",
    } <= offered


async def test_the_greetings_of_smtp_are_refused(listening: Listening) -> None:
    async with client_of(listening, greet=False) as client:
        for greeting in ("EHLO relay.example", "HELO relay.example"):
            assert (await client.ask(greeting)) == "500 5.5.1 This is LMTP: say LHLO"
        assert (await client.ask(MAIL_FROM)).startswith("503")
        assert (await client.ask("LHLO")).startswith("501")
        assert (await client.ask("LHLO relay.example")).startswith("250")


def test_smtp_does_not_know_lhlo() -> None:
    assert "smtp_LHLO" in LmtpDoor.dialogue.names
    assert "smtp_LHLO" not in SmtpDoor.dialogue.names


# ---------------------------------------------------------------- one answer for each recipient


@pytest.mark.parametrize("recipients", [MANY[:1], MANY, [SHARE, SHARE]])
async def test_data_is_answered_once_for_each_recipient(
    listening: Listening, recipients: list[str]
) -> None:
    async with client_of(listening) as client:
        await open_mail(client, recipients)
        assert (await client.ask("DATA")).startswith("354")
        await client.say(MAIL + b".\r\n")
        replies = [await client.reply() for _ in recipients]
        assert (await client.ask("NOOP")).startswith("250 2.0.0 OK")
    assert set(replies) == {replies[0]}
    assert listening.stored(replies[0]) == MAIL
    assert await listening._column(mails.c.recipients) == [recipients]


async def test_recipients_that_were_refused_get_no_answer_after_data(
    listening: Listening,
) -> None:
    async with client_of(listening) as client:
        await open_mail(client, MANY[:2])
        assert (await client.ask(f"RCPT TO:<nobody@{DOMAIN}>")).startswith("550 5.1.1")
        assert (await client.ask("DATA")).startswith("354")
        await client.say(MAIL + b".\r\n")
        assert [(await client.reply())[:3] for _ in range(2)] == ["250", "250"]
        assert (await client.ask("QUIT")).startswith("221")


async def test_only_the_last_chunk_is_answered_for_each_recipient(listening: Listening) -> None:
    async with client_of(listening) as client:
        await open_mail(client, MANY)
        assert "bytes taken" in await client.ask(bdat(MAIL[:40]))
        await client.say(bdat(MAIL[40:], last=True))
        replies = [await client.reply() for _ in MANY]
        assert (await client.ask("NOOP")).startswith("250 2.0.0 OK")
    assert set(replies) == {replies[0]}
    assert listening.stored(replies[0]) == MAIL


async def test_a_recipient_who_is_named_between_two_chunks_is_answered_too(
    listening: Listening,
) -> None:
    async with client_of(listening) as client:
        await open_mail(client, MANY[:1])
        assert "bytes taken" in await client.ask(bdat(MAIL[:40]))
        assert (await client.ask(f"RCPT TO:<{MANY[1]}>")).startswith("250")
        await client.say(bdat(MAIL[40:], last=True))
        assert [(await client.reply())[:15] for _ in range(2)] == ["250 2.0.0 Taken"] * 2
        assert (await client.ask("NOOP")).startswith("250 2.0.0 OK")


@pytest.mark.parametrize("by", ["DATA", "BDAT"])
async def test_a_refused_mail_is_refused_for_each_recipient(listening: Listening, by: str) -> None:
    strange = MAIL.replace(b"anna@lab", b"bob@gmail")
    async with client_of(listening) as client:
        await open_mail(client, MANY)
        if by == "DATA":
            assert (await client.ask("DATA")).startswith("354")
            await client.say(strange + b".\r\n")
        else:
            await client.say(bdat(strange, last=True))
        assert [(await client.reply())[:9] for _ in MANY] == ["550 5.7.1"] * 3
        assert (await client.ask("NOOP")).startswith("250 2.0.0 OK")
    await listening.nothing_is_left()


async def test_a_refused_chunk_before_the_last_is_refused_once(
    house: House, socket_path: Path
) -> None:
    """More replies than one would be taken for those to the commands behind it."""
    given = {"trusted_clients": "unix:", "max_mail_mb": 1}
    async with (
        lmtp_at(house, f"unix:{socket_path}", **given) as listening,
        client_of(listening) as client,
    ):
        await open_mail(client, MANY)
        assert (await client.ask(bdat(MAIL + (b"a" * 78 + b"\r\n") * 14_000))).startswith("552")
        assert (await client.ask("NOOP")).startswith("250 2.0.0 OK")
        assert (await client.ask(bdat(MAIL, last=True))).startswith("503")
        await open_mail(client, MANY)
        await client.say(bdat(MAIL, last=True))
        assert [(await client.reply())[:3] for _ in MANY] == ["250"] * 3


async def test_a_fault_of_ours_is_told_for_each_recipient_and_a_retry_is_taken(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("/var/secret")

    async with client_of(listening) as client:
        with monkeypatch.context() as patch:
            patch.setattr("store.records.mails.accept_all", broken)
            await open_mail(client, MANY)
            assert (await client.ask("DATA")).startswith("354")
            await client.say(MAIL + b".\r\n")
            replies = [await client.reply() for _ in MANY]
        assert [reply[:9] for reply in replies] == ["451 4.3.0"] * 3
        assert not any("secret" in reply for reply in replies)
        assert listening.spooled() == []
        await open_mail(client, MANY)
        await client.say(bdat(MAIL, last=True))
        assert [(await client.reply())[:3] for _ in MANY] == ["250"] * 3


async def test_a_smuggled_mail_is_refused_with_the_first(listening: Listening) -> None:
    hidden = MAIL_FROM + f"RCPT TO:<{SHARE}>\r\nDATA\r\n".encode() + MAIL + b".\r\n"
    for form in SMUGGLING:
        async with client_of(listening) as client:
            await open_mail(client, MANY[:2])
            assert (await client.ask("DATA")).startswith("354")
            await client.say(MAIL + form + hidden + hidden)
            assert [reply[:9] for reply in await client.rest()] == ["550 5.6.0"] * 2, form
    await listening.nothing_is_left()


async def test_no_answer_comes_before_the_mail_is_durable(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    commit_all = listening.house.spool.commit_all

    def slowly(writings: Any) -> Any:
        begun.set()
        go_on.wait(PATIENCE)
        return commit_all(writings)

    monkeypatch.setattr(listening.house.spool, "commit_all", slowly)
    async with client_of(listening) as client:
        await open_mail(client, MANY)
        await client.say(bdat(MAIL, last=True))
        first = asyncio.create_task(client.reply())
        await listening.until(begun.is_set)
        assert not first.done()
        assert await listening.states() == []
        go_on.set()
        assert (await first).startswith("250")
        assert await listening.states() == ["received"]


async def test_a_relay_may_bring_many_bad_recipients_through_one_connection(
    listening: Listening,
) -> None:
    async with client_of(listening) as client:
        for _ in range(60):
            assert (await client.ask(MAIL_FROM)).startswith("250")
            assert (await client.ask(f"RCPT TO:<nobody@{DOMAIN}>")).startswith("550")
            assert (await client.ask("RSET")).startswith("250")


# ---------------------------------------------------------------- who may come in


async def test_the_unix_socket_is_trusted_only_when_it_is_listed(
    house: House, socket_path: Path
) -> None:
    listen = f"unix:{socket_path}"
    async with (
        lmtp_at(house, listen, trusted_clients="127.0.0.0/8") as listening,
        client_of(listening) as client,
    ):
        await client.ask(MAIL_FROM)
        await client.ask(f"RCPT TO:<{SHARE}>")
        await client.ask("DATA")
        # A refusal would become a bounce to whoever the envelope names.
        assert await client.ask(MAIL.decode() + "\r\n.") == "250 2.0.0 Filed away"
    await listening.nothing_is_left()


async def test_to_list_the_unix_socket_does_not_let_in_the_network(house: House) -> None:
    async with (
        lmtp_at(house, "127.0.0.1:0", trusted_clients="unix:") as listening,
        client_of(listening) as client,
    ):
        await client.ask(MAIL_FROM)
        await client.ask(f"RCPT TO:<{SHARE}>")
        await client.ask("DATA")
        assert await client.ask(MAIL.decode() + "\r\n.") == "250 2.0.0 Filed away"
    await listening.nothing_is_left()


@pytest.mark.parametrize("name", ["client.sock", ""], ids=["path", "abstract"])
async def test_a_client_whose_own_socket_has_a_name_is_no_other_client(
    house: House, socket_path: Path, name: str
) -> None:
    own = str(socket_path.with_name(name)) if name else f"\0scanpost-test-{socket_path}"
    plain = socket.socket(socket.AF_UNIX)
    async with lmtp_at(house, f"unix:{socket_path}", trusted_clients="unix:"):
        plain.bind(own)
        plain.connect(str(socket_path))
        reader, writer = await asyncio.open_unix_connection(sock=plain)
        client = Client(reader, writer)
        assert (await client.reply()).startswith("220")
        await client.ask("LHLO relay.example")
        await open_mail(client, MANY[:1])
        writer.close()


# ---------------------------------------------------------------- the socket's file


def mode_of(path: Path) -> int | None:
    return path.stat().st_mode if path.exists() else None


async def test_the_socket_lets_in_owner_and_group_and_is_removed_at_the_end(
    house: House, socket_path: Path
) -> None:
    async with lmtp_at(house, f"unix:{socket_path}") as listening:
        assert mode_of(socket_path) == stat.S_IFSOCK | 0o660
        assert listening.door.address == f"unix:{socket_path}"
    assert mode_of(socket_path) is None


async def test_a_socket_that_a_killed_process_left_is_replaced(
    house: House, socket_path: Path
) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(socket_path))
    left.close()
    given = {"trusted_clients": "unix:"}
    async with (
        lmtp_at(house, f"unix:{socket_path}", **given) as listening,
        client_of(listening) as client,
    ):
        await open_mail(client, MANY)


def a_file(path: Path) -> None:
    path.write_text("precious")


@pytest.mark.parametrize("make", [a_file, Path.mkdir])
async def test_what_is_no_socket_is_never_replaced(
    house: House, socket_path: Path, make: Callable[[Path], None]
) -> None:
    make(socket_path)
    before = mode_of(socket_path)
    with pytest.raises(OSError, match="in use"):
        async with lmtp_at(house, f"unix:{socket_path}"):
            pass
    assert mode_of(socket_path) == before
