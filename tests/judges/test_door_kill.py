"""The judge of the door: whenever the process dies, the sender's retry ends with exactly one mail.

A child process runs the door and kills itself at a chosen point; the sender tries again afterwards.
"""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from inbound.door.dialogue import Dialogue
from inbound.door.receive import Receiver
from inbound.door.smtp import SmtpDoor
from scanpost.compose import Server, close_house, open_house
from store.house import House
from store.records.schema import mails
from store.settings import Settings
from tests.conftest import add_members
from tests.fakes import DOMAIN
from tests.test_door_bdat import OPENING, bdat
from tests.test_door_smtp import MB, PATIENCE, Client, Listening, door_with

LINE = b"QUJD" * 19 + b"\r\n"
# Larger than what is sealed at once, so that a part of it lies on the disk before its end has come.
MAIL = (
    b"From: anna@lab.example\r\nMessage-ID: <kill@lab.example>\r\nSubject: LIST\r\n\r\nLIST\r\n"
    + LINE * 20_000
)
BLOCK = 4096


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class InData(Dialogue):
    def _keep_alive(self, arriving: Any, touched: float) -> float:
        if arriving.sink.size > MB:
            die()
        return super()._keep_alive(arriving, touched)


class BetweenChunks(Dialogue):
    async def _after_chunk(self, size: int, *, last: bool) -> None:
        await super()._after_chunk(size, last=last)
        die()


class BeforeAnswer(Dialogue):
    async def _answer(self, *_: Any) -> None:
        die()


class AfterAnswer(Dialogue):
    async def _answer(self, *given: Any) -> None:
        await super()._answer(*given)
        die()


class AfterSync(Receiver):
    async def _write_rows(self, _synced: Any) -> Any:
        die()


class BeforeCommit(Receiver):
    async def _write_rows_in(self, connection: Any, synced: Any) -> Any:
        await super()._write_rows_in(connection, synced)
        die()


# Where it dies, and what a killed process has left: unfinished files, whole files, rows.
POINTS: dict[str, tuple[type[Receiver], type[Dialogue], tuple[int, int, int]]] = {
    "in DATA": (Receiver, InData, (1, 0, 0)),
    "between two chunks": (Receiver, BetweenChunks, (1, 0, 0)),
    "between sync and rows": (AfterSync, Dialogue, (0, 1, 0)),
    "before the rows' commit": (BeforeCommit, Dialogue, (0, 1, 0)),
    "between commit and 250": (Receiver, BeforeAnswer, (0, 1, 1)),
    "right after 250": (Receiver, AfterAnswer, (0, 1, 1)),
}
NEVER = "never"


def settings_for(folder: Path, **given: object) -> Settings:
    usual = {"data_dir": folder, "domain": DOMAIN, "trusted_clients": "127.0.0.0/8"}
    return Settings(**{**usual, **given})  # type: ignore[arg-type]


async def run_door(folder: Path, where: str, file_limit: int) -> None:
    """What the child does: opens a door that dies at its point, and says at which port it is."""
    make_receiver, dialogue, _ = POINTS.get(where, (Receiver, Dialogue, None))
    house = await open_house(settings_for(folder))
    door = SmtpDoor(make_receiver(house), "127.0.0.1:0", DOMAIN)
    door.dialogue = dialogue
    await door.open()
    if file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    print(door.port, flush=True)
    await asyncio.Event().wait()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A data folder in which Anna is a member."""
    house = await open_house(settings_for(tmp_path / "data"))
    await add_members(house)
    await close_house(house)
    return tmp_path / "data"


@asynccontextmanager
async def child(
    folder: Path, where: str, file_limit: int = 0
) -> AsyncIterator[tuple[Process, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.judges.test_door_kill", str(folder), where, str(file_limit),
        stdout=PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process, int(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def send(port: int, *parts: bytes) -> list[str]:
    """Says all of this as fast as the server takes it; the replies until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = Client(reader, writer)
    sending = asyncio.create_task(client.say(b"EHLO lab.example\r\n" + b"".join(parts)))
    replies = await client.rest()
    with contextlib.suppress(ConnectionError):
        await sending
    writer.close()
    return [reply[:3] for reply in replies]


def by_data(mail: bytes) -> bytes:
    return OPENING + b"DATA\r\n" + mail + b".\r\nQUIT\r\n"


def by_chunks(mail: bytes) -> bytes:
    return OPENING + bdat(mail[:MB]) + bdat(mail[MB:], last=True) + b"QUIT\r\n"


def left_in(folder: Path) -> tuple[int, int]:
    files = [path.suffix for path in (folder / "spool").iterdir()]
    return files.count(".tmp"), files.count(".sealed")


async def rows_of(house: House) -> list[tuple[str, str]]:
    async with house.database.read() as connection:
        question = sa.select(mails.c.id, mails.c.state).order_by(mails.c.received_at)
        return [(row.id, row.state) for row in await connection.execute(question)]


async def clean(house: House) -> None:
    """What a start of the whole service does with the spool."""
    server = Server(house)
    await server._clean_spool()
    server.receiver.close()


@pytest.mark.parametrize("where", POINTS)
async def test_a_door_killed_at_any_point_ends_with_one_mail_after_a_retry(
    folder: Path, where: str
) -> None:
    chunked = where == "between two chunks"
    said = by_chunks(MAIL) if chunked else by_data(MAIL)
    async with child(folder, where) as (process, port):
        replies = await send(port, said)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == -signal.SIGKILL
    greeted = ["220", "250", "250", "250"]
    assert replies[:4] == greeted
    assert replies[4:] == {
        "between two chunks": ["250"],
        "right after 250": ["354", "250"],
    }.get(where, ["354"])
    unfinished, whole, row_count = POINTS[where][2]
    assert left_in(folder) == (unfinished, whole)

    house = await open_house(settings_for(folder))
    try:
        assert [state for _, state in await rows_of(house)] == ["received"] * row_count
        await clean(house)
        assert left_in(folder) == (0, row_count)
        async with door_with(house) as listening:
            replies = await send(listening.door.port, said)
        assert replies[-2:] == ["250", "221"]
        received = [mail_id for mail_id, state in await rows_of(house) if state == "received"]
        assert len(received) == 1
        assert len(await rows_of(house)) == 1 + row_count
        assert left_in(folder) == (0, 1)
        with house.spool.open(received[0]) as spooled:
            assert b"".join(spooled.pieces()) == MAIL
    finally:
        await close_house(house)


async def test_a_door_that_may_write_no_larger_file_says_452_and_goes_on(folder: Path) -> None:
    """The file size limit of the process, where no small disk can be mounted."""
    async with child(folder, NEVER, file_limit=MB) as (_, port):
        replies = await send(port, by_data(MAIL))
        assert replies == ["220", *["250"] * 3, "354", "452", "221"]
        assert left_in(folder) == (0, 0)
        replies = await send(port, by_chunks(MAIL))
        assert replies == ["220", *["250"] * 4, "452", "221"]
        assert left_in(folder) == (0, 0)
        small = MAIL[: MB // 2].rpartition(b"\r\n")[0] + b"\r\n"
        assert (await send(port, by_data(small)))[-2:] == ["250", "221"]
    assert left_in(folder) == (0, 1)


# ---------------------------------------------------------------- a small disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "scanpost-test", str(place)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
async def listening(disk: Path) -> AsyncIterator[Listening]:
    house = await open_house(settings_for(disk / "data", max_mail_mb=4))
    await add_members(house)
    async with door_with(house) as listening:
        yield listening
    await close_house(house)


@contextlib.contextmanager
def filled(disk: Path, but: int = 0) -> Iterator[None]:
    """The disk is full, but for so many bytes."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * BLOCK - but
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free)
    try:
        yield
    finally:
        ballast.unlink()


async def begin(client: Client) -> None:
    await client.say(OPENING)
    assert [(await client.reply())[:3] for _ in range(2)] == ["250", "250"]


async def in_the_middle(client: Client, listening: Listening, disk: Path) -> str:
    assert (await client.ask("DATA")).startswith("354")
    await client.say(MAIL[:MB])
    (arriving,) = listening.door.hooks.receiver.arriving
    await listening.until(lambda: arriving.sink.size > MB // 2)
    with filled(disk):
        return await client.ask(MAIL[MB:] + b".\r\n")


async def at_the_end(client: Client, listening: Listening, disk: Path) -> str:
    """Room for what is written before the end, but not for the last seal."""
    assert (await client.ask("DATA")).startswith("354")
    await client.say(MAIL)
    (arriving,) = listening.door.hooks.receiver.arriving
    await listening.until(lambda: arriving.sink.size > len(MAIL) - 3)
    with filled(disk):
        return await client.ask(b".\r\n")


async def in_the_database(client: Client, listening: Listening, disk: Path) -> str:
    """Room for the mail's file, but not for its row."""
    assert (await client.ask("DATA")).startswith("354")
    await client.say(MAIL)
    (arriving,) = listening.door.hooks.receiver.arriving
    await listening.until(lambda: arriving.sink.size > len(MAIL) - 3)
    left = len(MAIL) % MB + BLOCK
    with filled(disk, but=left - left % BLOCK + BLOCK):
        return await client.ask(b".\r\n")


async def before_data(client: Client, _listening: Listening, disk: Path) -> str:
    with filled(disk, but=6 * MB):
        return await client.ask("DATA")


async def before_a_chunk(client: Client, _listening: Listening, disk: Path) -> str:
    with filled(disk):
        return await client.ask(bdat(MAIL, last=True))


@pytest.mark.parametrize(
    "fill", [in_the_middle, at_the_end, in_the_database, before_data, before_a_chunk]
)
async def test_a_full_disk_puts_the_sender_off_leaves_nothing_and_works_again(
    listening: Listening, disk: Path, fill: Callable[[Client, Listening, Path], Any]
) -> None:
    async with listening.client() as client:
        await begin(client)
        reply = await fill(client, listening, disk)
        assert reply.startswith("451" if fill is in_the_database else "452 4.3.1")
        assert str(disk) not in reply
        assert await listening.states() == []
        assert listening.spooled() == []
        assert (await client.ask("RSET")).startswith("250")
        await begin(client)
        reply = await client.ask(bdat(MAIL, last=True))
        assert listening.stored(reply) == MAIL
    assert await listening.states() == ["received"]


if __name__ == "__main__":
    asyncio.run(run_door(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
