"""What a relay's answers mean for a letter."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from outbound.flow import pause_after
from outbound.posting import Posting
from outbound.relay import relay_of
from store.clock import HOUR, MINUTE
from store.errors import LetterRefused, RelayBusy, SettingsError
from store.threads import Threads
from tests.fakes import KIM, Inbox
from tests.service import free_port

LETTER = Posting("abc", "", KIM, b"Subject: x\r\n\r\nhello\r\n")


@pytest.fixture
def threads():
    made = Threads(2)
    yield made
    made.stop()


class Answers:
    """A relay that gives the answer of the test to one command."""

    def __init__(self, **answers: str) -> None:
        for command, answer in answers.items():
            setattr(self, f"handle_{command}", self._saying(answer))

    def _saying(self, answer: str) -> Any:
        async def handle(*_: object) -> str:
            return answer

        return handle


async def send(threads: Threads, handler: object, posting: Posting = LETTER, **more: Any) -> str:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="relay", loop=loop, **more), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    try:
        return await relay_of(f"smtp://127.0.0.1:{port}", threads).send(posting)
    finally:
        server.close()
        await server.wait_closed()


async def test_a_letter_goes_to_the_relay_as_it_is(threads: Threads) -> None:
    inbox = Inbox()
    await inbox.open()
    answer = await relay_of(f"smtp://127.0.0.1:{inbox.port}", threads).send(LETTER)
    assert "kept" in answer
    assert inbox.letters[0]["Subject"] == "x"
    assert inbox.letters[0]["X-Envelope-From"] in ("", "<>")
    await inbox.close()


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_only_an_answer_to_the_letter_is_final(threads: Threads, command: str) -> None:
    with pytest.raises(LetterRefused, match="550"):
        await send(threads, Answers(**{command: "550 5.1.1 no such user"}))
    with pytest.raises(RelayBusy, match="451"):
        await send(threads, Answers(**{command: "451 4.3.0 later"}))


async def test_a_relay_that_refuses_us_is_asked_again(threads: Threads) -> None:
    with pytest.raises(RelayBusy):
        await send(threads, Answers(MAIL="550 5.7.1 not you"))
    with pytest.raises(RelayBusy, match="does not serve us"):
        await relay_of(f"smtp://127.0.0.1:{free_port()}", threads).send(LETTER)


async def test_a_password_never_goes_out_in_the_clear(threads: Threads) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Answers(), hostname="relay", loop=loop), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(RelayBusy):
        await relay_of(f"smtp://user:word@127.0.0.1:{port}", threads).send(LETTER)
    server.close()
    await server.wait_closed()


async def test_a_folder_keeps_one_file_a_letter(threads: Threads, tmp_path: Path) -> None:
    relay = relay_of(f"folder://{tmp_path}/letters", threads)
    for _ in range(2):
        await relay.send(LETTER)
    (file,) = (tmp_path / "letters").iterdir()
    assert file.name == "abc.eml"
    assert f"Delivered-To: {KIM}".encode() in file.read_bytes()


@pytest.mark.parametrize("url", ["", "http://x", "smtp://", "folder://", "smtp://host:port"])
def test_what_is_no_relay_is_said(threads: Threads, url: str) -> None:
    with pytest.raises(SettingsError, match="SCANPOST_RELAY_URL"):
        relay_of(url, threads)


def test_pauses_grow_to_an_hour() -> None:
    assert [pause_after(tries) // MINUTE for tries in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_after(999) == HOUR
