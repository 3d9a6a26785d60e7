"""Group commit: a burst shares its syncs and its transaction, and each mail keeps its own fate."""

import asyncio
import errno
import os
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from inbound.door import batches, turnstile
from inbound.door.batches import LARGEST, Batches
from store.blobs import spool
from store.blobs.spool import SpoolWriting
from store.house import House
from store.records import mails as mail_records
from store.records.schema import mails
from store.states import MailState
from tests.fakes import ANNA
from tests.test_door_smtp import MAIL, PATIENCE, Client, FakedTime, Listening, door_with

SEED = 20261122
FULL = OSError(errno.ENOSPC, "No space left on device", "/var/secret")
NO_ID = MAIL.replace(b"Message-ID: <1@lab.example>\r\n", b"")


def numbered(number: int) -> bytes:
    return MAIL.replace(b"<1@", b"<%d@" % number)


# ---------------------------------------------------------------- batches alone


class Work:
    """Doubles numbers, and complains of negative ones; held, each batch waits to be let through."""

    def __init__(self, *, held: bool = False) -> None:
        self.seen: list[list[int]] = []
        self.permits = asyncio.Semaphore(0 if held else 1_000)

    async def __call__(self, items: list[int]) -> Sequence[int | Exception]:
        self.seen.append(items)
        await self.permits.acquire()
        return [ValueError(str(item)) if item < 0 else 2 * item for item in items]

    def let_through(self) -> None:
        self.permits.release()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_lone_item_does_not_linger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LINGER", 3600)
    work = Work()
    made: Batches[int, int] = Batches(work, lambda: 1)
    async with asyncio.timeout(PATIENCE):
        assert await made.add(1) == 2
        assert await made.add(2) == 4
    assert work.seen == [[1], [2]]
    assert made.working is None


async def test_an_item_lingers_for_those_who_are_about_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "LINGER", 100)
    time, work = FakedTime(), Work()
    made: Batches[int, int] = Batches(work, lambda: 3)
    first = asyncio.create_task(made.add(1))
    await turns()
    second = asyncio.create_task(made.add(2))
    await turns()
    assert work.seen == []
    time.pass_by(101)
    assert await asyncio.gather(first, second) == [2, 4]
    assert work.seen == [[1, 2]]


async def test_what_comes_during_a_batch_is_the_next_one() -> None:
    work = Work(held=True)
    made: Batches[int, int] = Batches(work, lambda: 0)
    waiting = [asyncio.create_task(made.add(1))]
    await turns()
    waiting += [asyncio.create_task(made.add(number)) for number in range(2, 9)]
    await turns()
    work.let_through()
    work.let_through()
    assert await asyncio.gather(*waiting) == [2 * number for number in range(1, 9)]
    assert work.seen == [[1], list(range(2, 9))]


async def test_a_batch_has_an_upper_size() -> None:
    work = Work()
    made: Batches[int, int] = Batches(work, lambda: 0)
    found = await asyncio.gather(*(made.add(number) for number in range(2 * LARGEST + 3)))
    assert found == [2 * number for number in range(2 * LARGEST + 3)]
    assert [len(batch) for batch in work.seen] == [LARGEST, LARGEST, 3]


async def test_one_failure_is_told_to_that_one_only() -> None:
    made: Batches[int, int] = Batches(Work(), lambda: 0)
    found = await asyncio.gather(*map(made.add, (1, -2, 3)), return_exceptions=True)
    assert [str(one) for one in found] == ["2", "-2", "6"]
    assert isinstance(found[1], ValueError)


async def test_work_that_breaks_is_told_to_all_and_the_next_batch_works() -> None:
    async def once(items: list[int]) -> Sequence[int | Exception]:
        if not done:
            done.append(items)
            raise RuntimeError("broken")
        return items

    done: list[list[int]] = []
    made: Batches[int, int] = Batches(once, lambda: 0)
    found = await asyncio.gather(*map(made.add, (1, 2)), return_exceptions=True)
    assert [str(one) for one in found] == ["broken", "broken"]
    assert await made.add(3) == 3


@pytest.mark.parametrize("when", ["waiting", "working"])
async def test_one_who_is_cancelled_does_not_disturb_the_others(when: str) -> None:
    work = Work(held=True)
    made: Batches[int, int] = Batches(work, lambda: 0)
    first = asyncio.create_task(made.add(1))
    await turns()
    later = [asyncio.create_task(made.add(number)) for number in (2, -3, 4)]
    await turns()
    if when == "working":
        work.let_through()
        await first
        await turns()
    later[0].cancel()
    later[1].cancel()
    await turns()
    for _ in range(3):
        work.let_through()
    found = await asyncio.gather(first, *later, return_exceptions=True)
    assert found[0] == 2
    assert [type(one) for one in found[1:3]] == [asyncio.CancelledError] * 2
    assert found[3] == 8
    assert await made.add(5) == 10


async def test_results_find_their_items_under_any_interleaving() -> None:
    chance = random.Random(SEED)

    async def slowly(items: list[int]) -> Sequence[int | Exception]:
        await turns(chance.randrange(4))
        return [ValueError(str(item)) if item % 7 == 0 else -item for item in items]

    async def one(number: int) -> None:
        await turns(chance.randrange(30))
        task = asyncio.create_task(made.add(number))
        if number % 5 == 0:
            await turns(chance.randrange(3))
            task.cancel()
        (found,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(found, asyncio.CancelledError):
            assert number % 5 == 0
        else:
            assert (found == -number) if number % 7 else (str(found) == str(number))

    made: Batches[int, int] = Batches(slowly, lambda: 0)
    await asyncio.gather(*(one(number) for number in range(1, 2_000)))
    assert made.waiting == []
    assert made.working is None


# ---------------------------------------------------------------- through the door


@pytest.fixture
async def listening(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listening]:
    monkeypatch.setattr(turnstile, "CONNECTIONS_A_CLIENT", 100)
    async with door_with(house) as listening:
        yield listening


class Gate:
    """Holds the first batch at its sync until a number of mails wait for the next one."""

    def __init__(self, listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listening = listening
        self.begun, self.opened = threading.Event(), threading.Event()
        self.commit_all = listening.house.spool.commit_all
        monkeypatch.setattr(listening.house.spool, "commit_all", self._held)

    def _held(self, writings: Sequence[SpoolWriting]) -> list[OSError | None]:
        self.begun.set()
        self.opened.wait(PATIENCE)
        return self.commit_all(writings)

    async def deliver_together(self, messages: list[bytes]) -> list[str]:
        """The replies to mails that are committed in one batch, behind a first one."""
        queue = self.listening.door.hooks.receiver.batches
        first = asyncio.create_task(deliver(self.listening, numbered(0)))
        await self.listening.until(self.begun.is_set)
        others = []
        for number, message in enumerate(messages, 1):
            others.append(asyncio.create_task(deliver(self.listening, message)))
            await self.listening.until(lambda number=number: len(queue.waiting) == number)
        self.opened.set()
        assert (await first).startswith("250")
        return list(await asyncio.gather(*others))


async def deliver(listening: Listening, message: bytes) -> str:
    async with listening.client() as client:
        return await client.deliver(message.removesuffix(b"\r\n"))


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[tuple[object, ...]]:
    """The calls of a function, which goes on doing its work."""
    work: Callable[..., Any] = getattr(owner, name)
    calls: list[tuple[object, ...]] = []

    def call(*given: object) -> Any:
        calls.append(given)
        return work(*given)

    monkeypatch.setattr(owner, name, call)
    return calls


async def test_a_burst_shares_one_sync_of_the_folder_and_one_transaction(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(listening, monkeypatch)
    files = counted(monkeypatch, os, "fdatasync")
    folders = counted(monkeypatch, spool, "sync_folder")
    transactions = counted(monkeypatch, listening.house.database, "write")
    replies = await gate.deliver_together([numbered(number) for number in range(1, 31)])
    assert all(reply.startswith("250") for reply in replies)
    assert [listening.stored(reply) for reply in replies] == [
        numbered(number) for number in range(1, 31)
    ]
    assert await listening.states() == ["received"] * 31
    assert (len(files), len(folders), len(transactions)) == (31, 2, 2)


async def test_a_lone_mail_is_committed_without_lingering(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LINGER", 3600)
    assert (await deliver(listening, MAIL)).startswith("250")


async def test_a_mail_that_is_given_up_is_not_waited_for(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LINGER", 3600)
    async with listening.client() as client:
        await client.say(b"MAIL FROM:<anna@lab.example>\r\nRCPT TO:<share@scans.example>\r\n")
        await client.say(b"BDAT 5\r\nhello")
        assert [(await client.reply())[:3] for _ in range(3)] == ["250"] * 3
        await client.ask("RSET")
        assert (await deliver(listening, MAIL)).startswith("250")


@pytest.mark.parametrize("where", ["fdatasync", "write", "rename"])
async def test_one_file_that_cannot_be_made_durable_is_a_452_for_its_mail_only(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    commit_entry = SpoolWriting.commit_entry

    def fails(self: SpoolWriting) -> OSError | None:
        if b"<3@" not in bytes(self.sealed.buffer):
            return commit_entry(self)
        if where == "write":
            return FULL
        with monkeypatch.context() as patch:
            if where == "fdatasync":
                patch.setattr(os, "fdatasync", full)
            else:
                patch.setattr("pathlib.Path.rename", full)
            return commit_entry(self)

    def full(*_: object) -> None:
        raise FULL

    gate = Gate(listening, monkeypatch)
    monkeypatch.setattr(SpoolWriting, "commit_entry", fails)
    replies = await gate.deliver_together([numbered(number) for number in range(1, 6)])
    assert [reply[:9] for reply in replies if not reply.startswith("250")] == ["452 4.3.1"]
    assert replies[2].startswith("452 4.3.1")
    assert "secret" not in replies[2]
    assert await listening.states() == ["received"] * 5
    assert len(listening.spooled()) == 5
    monkeypatch.setattr(SpoolWriting, "commit_entry", commit_entry)
    assert (await deliver(listening, numbered(3))).startswith("250")
    assert await listening.states() == ["received"] * 6


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("by", ["DATA", "BDAT 5 LAST\r\nhello"])
async def test_a_disk_that_is_full_at_the_first_byte_leaves_no_file(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    def full(*_: object) -> None:
        raise FULL

    async with listening.client() as client:
        await client.say(b"MAIL FROM:<anna@lab.example>\r\nRCPT TO:<share@scans.example>\r\n")
        assert [(await client.reply())[:3] for _ in range(2)] == ["250"] * 2
        descriptors = open_descriptors()
        monkeypatch.setattr("store.blobs.folder.FolderWriting.write", full)
        assert (await client.ask(by)).startswith("45")
        assert listening.spooled() == []
        assert open_descriptors() <= descriptors


async def test_a_folder_that_cannot_be_synced_is_a_452_for_all_and_leaves_nothing(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "/var/secret")

    with monkeypatch.context() as patch:
        patch.setattr(spool, "sync_folder", broken)
        replies = await asyncio.gather(*(deliver(listening, numbered(n)) for n in range(5)))
    assert {reply[:9] for reply in replies} == {"452 4.3.1"}
    await listening.nothing_is_left()
    assert (await deliver(listening, numbered(1))).startswith("250")


async def test_one_row_that_cannot_be_written_is_a_451_for_its_mail_only(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept_all = mail_records.accept_all

    async def fails(connection: Any, arrivals: Any) -> dict[str, MailState]:
        states = await accept_all(connection, arrivals)
        if any(arrival.message_id == "<3@lab.example>" for arrival in arrivals):
            raise RuntimeError("/var/secret")
        return states

    gate = Gate(listening, monkeypatch)
    monkeypatch.setattr(mail_records, "accept_all", fails)
    replies = await gate.deliver_together([numbered(number) for number in range(1, 6)])
    assert [reply[:3] for reply in replies] == ["250", "250", "451", "250", "250"]
    assert await listening.states() == ["received"] * 5
    assert len(listening.spooled()) == 5


async def test_a_stranger_in_a_batch_is_refused_alone(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(listening, monkeypatch)
    strange = numbered(2).replace(ANNA.encode(), b"bob@gmail.example")
    replies = await gate.deliver_together([numbered(1), strange, numbered(3)])
    assert [reply[:9] for reply in replies] == ["250 2.0.0", "550 5.7.1", "250 2.0.0"]
    assert len(listening.spooled()) == 3
    assert (await listening.audited()).count("mail refused") == 1


async def test_the_same_mail_twice_in_one_batch_is_one_mail_and_one_duplicate(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(listening, monkeypatch)
    again = b"Received: from relay\r\n" + numbered(1)
    replies = await gate.deliver_together([numbered(1), again, numbered(2)])
    assert all(reply.startswith("250") for reply in replies)
    first, second, third = (reply.rpartition(" ")[2] for reply in replies)
    async with listening.house.database.read() as connection:
        found = await connection.execute(sa.select(mails.c.id, mails.c.state, mails.c.duplicate_of))
        rows = {mail_id: tuple(rest) for mail_id, *rest in found}
    assert rows[first] == rows[third] == ("received", None)
    assert rows[second] == ("duplicate", first)
    assert len(listening.spooled()) == 3


async def test_mails_without_a_message_id_are_never_the_same(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(listening, monkeypatch)
    replies = await gate.deliver_together([NO_ID, NO_ID, NO_ID])
    assert all(reply.startswith("250") for reply in replies)
    assert (await deliver(listening, NO_ID)).startswith("250")
    assert await listening.states() == ["received"] * 5
    assert len(listening.spooled()) == 5


async def test_a_client_that_leaves_while_its_mail_waits_for_a_batch_has_sent_it(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(listening, monkeypatch)
    queue = listening.door.hooks.receiver.batches

    async def leave(client: Client) -> None:
        await client.say(b"MAIL FROM:<anna@lab.example>\r\nRCPT TO:<share@scans.example>\r\n")
        await client.say(b"DATA\r\n" + numbered(7) + b".\r\n")
        await listening.until(lambda: len(queue.waiting) == 1)
        client.writer.transport.abort()

    first = asyncio.create_task(deliver(listening, numbered(0)))
    await listening.until(gate.begun.is_set)
    async with listening.client() as client:
        await leave(client)
    gate.opened.set()
    assert (await first).startswith("250")
    await listening.until(lambda: not listening.door.dialogues)
    assert await listening.states() == ["received", "received"]
    assert len(listening.spooled()) == 2


@asynccontextmanager
async def hurrying(listening: Listening, count: int) -> AsyncIterator[list[Client]]:
    async with asyncio.timeout(PATIENCE):
        opened = [listening.client() for _ in range(count)]
        clients = [await one.__aenter__() for one in opened]
        yield clients
        for one in opened:
            await one.__aexit__(None, None, None)


async def test_every_reply_is_about_its_own_mail_when_many_come_at_once(
    listening: Listening,
) -> None:
    """Good mails, strangers' and repeated ones from forty clients, in random packets."""
    chance = random.Random(SEED)
    good: dict[str, bytes] = {}

    async def send(client: Client, number: int) -> None:
        for round_ in range(5):
            mail = numbered(100 * number + round_) + os.urandom(chance.randrange(50)).hex().encode()
            kind = chance.choice(("good", "good", "strange", "bare"))
            if kind == "strange":
                mail = mail.replace(b"From: anna@", b"From: bob@")
            await turns(chance.randrange(20))
            reply = await client.deliver(mail)
            assert reply[:3] == ("550" if kind == "strange" else "250")
            if kind != "strange":
                good[reply.rpartition(" ")[2]] = mail + b"\r\n"

    async with hurrying(listening, 40) as clients:
        await asyncio.gather(*(send(client, number) for number, client in enumerate(clients)))
    assert sorted(await listening._column(mails.c.id)) == sorted(good)
    for mail_id, mail in good.items():
        assert listening.stored(mail_id) == mail
    assert len(listening.spooled()) == len(good)
