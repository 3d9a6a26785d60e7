"""The judge of the first promise: after 250 nothing is lost and nothing doubled, whatever dies when.

`make test` runs a few rounds of each; `make judges` runs them at full length.
"""

import asyncio
import contextlib
import os
import random
import signal
import smtplib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from scanpost import jaws
from store.records import audit
from store.records.database import Database
from tests.fakes import ANNA, KIM, Inbox, Postman, mail
from tests.service import Service, is_alive

LONG = bool(os.environ.get("SCANPOST_LONG_RUNS"))
KILLS = 20 if LONG else 2
FINISH = 240.0  # seconds for the last run to finish what the others left
SEED = 20261122
UNFINISHED = (
    "SELECT (SELECT count(*) FROM mails WHERE state = 'received')"
    " + (SELECT count(*) FROM letters WHERE state = 'due')"
)


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    opened = Inbox()
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def service(tmp_path: Path, inbox: Inbox) -> AsyncIterator[Service]:
    made = Service(tmp_path / "data", f"smtp://127.0.0.1:{inbox.port}")
    await made.command("account", "add", ANNA, "--name", "Anna", "--company", "Acme")
    yield made
    if made.process and made.process.returncode is None:
        made.kill(group=True)
        await made.ended()


class Sender:
    """Sends each mail until it was taken with 250, as a mail server does."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.waiting: list[EmailMessage] = []
        self.taken: list[str] = []

    def write(self, number: int) -> None:
        files = {
            "upper.stl": jaws.stl_bytes(jaws.make_jaw(30_000, "upper", seed=number + 1)),
            "lower.stl": jaws.stl_bytes(jaws.make_jaw(30_000, "lower", seed=number + 1)),
        }
        self.waiting.append(mail(f"{KIM} K-{number}", "please look", files))

    async def try_all(self) -> None:
        for message in list(self.waiting):
            with contextlib.suppress(OSError, smtplib.SMTPException):
                await Postman(self.service.smtp_port).send(message)
                self.waiting.remove(message)
                self.taken.append(str(message["Subject"]))


async def finish(service: Service, sender: Sender, inbox: Inbox) -> None:
    """A last run without disturbance: everything that was taken must come to its end."""
    await service.start()
    await sender.try_all()
    wanted = {f"Re: {subject}" for subject in sender.taken}
    async with asyncio.timeout(FINISH):
        await inbox.wait_for(
            lambda _: wanted <= answered(inbox) and len(shared(inbox)) == len(wanted)
        )
        while service.rows(UNFINISHED) != [(0,)]:
            await asyncio.sleep(0.05)  # the last letter's row follows its delivery
    service.kill(signal.SIGTERM)
    assert await service.ended() == 0


def answered(inbox: Inbox) -> set[str]:
    return {str(one["Subject"]) for one in inbox.letters if one["X-Scanpost-Kind"] == "answer"}


def shared(inbox: Inbox) -> set[str]:
    letters = (one for one in inbox.letters if one["X-Scanpost-Kind"] == "share")
    return {str(one["X-Scanpost-Case"]) for one in letters}


async def check(service: Service, sender: Sender, inbox: Inbox) -> None:
    """Nothing lost, nothing doubled, nothing left over, and the trail unbroken."""
    assert not sender.waiting
    cases = service.rows("SELECT code, state FROM cases")
    codes = Counter(code for code, _ in cases)
    assert codes == Counter(subject.split()[1] for subject in sender.taken)
    assert {state for _, state in cases} == {"open"}
    ids = defaultdict(set)
    for letter in inbox.letters:
        ids[letter["X-Scanpost-Kind"], letter["X-Scanpost-Case"]].add(letter["Message-ID"])
    assert len(ids) == 2 * len(cases)
    assert {len(found) for found in ids.values()} == {1}, "a letter came under two Message-IDs"
    states = service.rows("SELECT DISTINCT state FROM letters")
    assert states == [("sent",)]
    assert not list((service.folder / "spool").iterdir())
    assert service.rows("PRAGMA integrity_check") == [("ok",)]
    database = await Database.open(service.folder / "scanpost.db")
    async with database.read() as connection:
        assert await audit.first_broken_line(connection) is None
    await database.close()


async def test_kill_9_at_random_moments_loses_and_doubles_nothing(
    service: Service, inbox: Inbox
) -> None:
    chance = random.Random(SEED)
    sender = Sender(service)
    for round_ in range(KILLS):
        await service.start()
        sender.write(round_)
        sending = asyncio.create_task(sender.try_all())
        await asyncio.sleep(chance.uniform(0.02, 2.5))
        service.kill(signal.SIGKILL, group=round_ % 3 == 2)
        await sending
        await service.ended()
    await finish(service, sender, inbox)
    await check(service, sender, inbox)
    repeated = len(inbox.letters) - 2 * len(sender.taken)
    print(f"\n{KILLS} kills, {len(sender.taken)} mails, {repeated} letters sent twice under one id")


@pytest.mark.skipif(not LONG, reason="half a minute; tests/test_scans_child.py has it in small")
async def test_killed_mesh_children_are_tried_again(service: Service, inbox: Inbox) -> None:
    chance = random.Random(SEED + 1)
    sender = Sender(service)
    await service.start()
    killed = 0
    for number in range(KILLS):
        sender.write(number)
    sending = asyncio.create_task(sender.try_all())
    while killed < KILLS and not (sending.done() and len(shared(inbox)) >= KILLS):
        children = [pid for pid in service.descendants() if "forkserver" in _name(pid)]
        mesh = [pid for pid in children if _parent(pid) in children]
        if mesh:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(mesh), signal.SIGKILL)
                killed += 1
            await asyncio.sleep(chance.uniform(0.1, 0.4))
        await asyncio.sleep(0.005)
    await sending
    service.kill(signal.SIGTERM)
    assert await service.ended() == 0
    await finish(service, sender, inbox)
    await check(service, sender, inbox)
    assert killed, "no child was ever caught at work"


@pytest.mark.parametrize("group", [False, True] if LONG else [True])
async def test_sigterm_stops_cleanly_and_the_next_start_goes_on(
    service: Service, inbox: Inbox, *, group: bool
) -> None:
    chance = random.Random(SEED + 2)
    sender = Sender(service)
    for round_ in range(max(2, KILLS // 4)):
        await service.start()
        sender.write(round_)
        sending = asyncio.create_task(sender.try_all())
        await asyncio.sleep(chance.uniform(0.1, 1.5))
        below = service.descendants()
        service.kill(signal.SIGTERM, group=group)
        assert await service.ended() == 0, "".join(service.log[-20:])
        await sending
        async with asyncio.timeout(2):  # the resource tracker ends when it sees us gone
            while any(is_alive(pid) for pid in below):
                await asyncio.sleep(0.01)
    await finish(service, sender, inbox)
    await check(service, sender, inbox)


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0
