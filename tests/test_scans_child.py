"""The child that reads a hostile file: limits, deaths, retries, and nothing left behind."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inbound.scans import child
from inbound.scans.child import Children, Memory
from inbound.scans.jobs import unwired
from store.errors import ChildLost, ScanRefused, Stopping
from tests.conftest import jaw_stl
from tests.service import descendants_of

ARGUMENTS = {"format": "STL", "beside": [], "preview": 50_000, "mm_per_unit": 1.0}


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    made = Children(nursery="tests.nursery")
    await made.warm()
    yield made
    await made.stop()
    child.stop_forkserver()


async def test_a_scan_goes_in_and_its_files_come_out(children: Children) -> None:
    with Memory.of([jaw_stl()]) as original:
        facts, results = await children.run("prepare_scan", [original], 4, **ARGUMENTS)
    preview, medium, full, copy = results
    assert facts["report"]["triangles"] > 1000
    assert unwired(next(preview.pieces())).startswith(b"glTF")
    assert full.size >= preview.size
    assert medium.size == 0
    assert copy.size == len(jaw_stl())
    for memory in results:
        memory.close()


async def test_a_refusal_comes_back_as_its_sentence(children: Children) -> None:
    with Memory.of([jaw_stl()[:5000]]) as original, pytest.raises(ScanRefused, match="stops after"):
        await children.run("prepare_scan", [original], 4, **ARGUMENTS)


async def test_a_child_killed_from_outside_is_tried_again(children: Children) -> None:
    with Memory.of([b"sleep"]) as told:
        working = asyncio.create_task(children.run("sleep_while_told", [told], 0))
        async with asyncio.timeout(10):
            while not children.alive:
                await asyncio.sleep(0.01)
        os.pwrite(told.fd, b"awake", 0)
        for process in children.alive:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        facts, _ = await working
    assert facts == {"slept": "the second time"}


async def test_a_child_reaches_no_network_no_file_and_no_program(children: Children) -> None:
    facts, _ = await children.run("reach_out", [], 0)
    assert facts == dict.fromkeys(("network", "file", "program"), "PermissionError")


async def test_a_child_that_is_always_killed_is_no_fault_of_the_file(children: Children) -> None:
    with pytest.raises(ChildLost):
        await children.run("die", [], 0, signal=int(signal.SIGKILL))


async def test_a_crash_is_the_files_fault_at_once(children: Children) -> None:
    with pytest.raises(ScanRefused, match="makes the reader fail"):
        await children.run("die", [], 0, signal=int(signal.SIGSEGV))


async def test_memory_and_time_have_limits(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ScanRefused, match="more memory"):
        await children.run("eat_memory", [], 0)
    monkeypatch.setattr(child, "WALL", 0.3)
    with pytest.raises(ScanRefused, match="takes longer"):
        await children.run("sleep_long", [], 0)


async def test_cpu_time_has_a_limit(children: Children) -> None:
    with pytest.raises(ScanRefused, match="seconds of work"):
        await children.run("die", [], 0, signal=int(signal.SIGXCPU))


async def test_a_fault_of_ours_refuses_the_one_file(children: Children) -> None:
    with pytest.raises(ScanRefused, match="makes the reader fail"):
        await children.run("fail", [], 0)


async def test_stopping_kills_the_children_and_blames_nobody(children: Children) -> None:
    working = asyncio.create_task(children.run("sleep_long", [], 0))
    while not children.alive:
        await asyncio.sleep(0.01)
    await children.stop()
    with pytest.raises(Stopping):
        await working
    assert not [pid for pid in descendants_of(os.getpid()) if _sleeps(pid)]


async def test_there_is_room_for_as_many_files_as_cores(children: Children) -> None:
    inside, most = 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with children.room:
            inside += 1
            most = max(most, inside)
            await children.run("nothing", [], 0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(3 * (os.cpu_count() or 1))))
    assert most == (os.cpu_count() or 1)


async def test_descriptors_do_not_leak(children: Children) -> None:
    await children.run("nothing", [], 0)
    before = _open_files()
    for _ in range(5):
        _, results = await children.run("nothing", [], 2)
        for memory in results:
            memory.close()
    assert _open_files() <= before + 1


def test_a_forgotten_memory_file_closes_itself() -> None:
    gc.collect()
    before = _open_files()
    for _ in range(5):
        Memory.of([b"plaintext"])
    gc.collect()
    assert _open_files() == before


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _sleeps(pid: int) -> bool:
    try:
        return "sleep_long" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
