"""The engine and the sweep: durable work, retries, and what is given up."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from scanpost import logs
from store.clock import MINUTE, SetClock
from store.engine import Engine, Standing, Step
from store.errors import SettingsError, Stopping
from store.house import House
from store.model import LetterDraft
from store.records import outbox, work
from store.states import LetterState
from store.sweep import Sweep
from tests.fakes import ANNA, DOMAIN

PATIENCE = 20.0


class Flow:
    """A flow that records its steps, and fails or hangs when it is told to."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.steps: list[str] = []
        self.fails = 0
        self.hangs = False
        self.stops = False
        self.reached = asyncio.Event()

    async def run(self, step: Step, row_id: str) -> None:
        await step(self.first, row_id)
        await step(self.second, row_id)

    async def first(self, row_id: str) -> str:
        self.steps.append(f"first {row_id}")
        return row_id

    async def second(self, row_id: str) -> None:
        self.steps.append(f"second {row_id}")
        self.reached.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.stops:
            raise Stopping("The server is stopping.")
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the relay's address is anna@lab.example")
        async with self.house.database.write() as connection:
            await outbox.settle(connection, row_id, LetterState.SENT, "ok", 1)


@pytest.fixture
async def flow(house: House) -> Flow:
    return Flow(house)


@pytest.fixture
async def engine(house: House, flow: Flow) -> AsyncIterator[Engine]:
    made = await start(house, flow)
    yield made
    await made.stop()


async def start(house: House, flow: Flow) -> Engine:
    made = Engine(house.settings.data_dir)
    for kind in ("mail", "letter", "case"):
        made.add_flow(kind, flow.run, 2)
    made.take_lock()
    await made.start()
    return made


async def write_letter(house: House) -> str:
    async with house.database.write() as connection:
        draft = LetterDraft("notice", ANNA, "subject", {})
        await outbox.write(connection, draft, DOMAIN, house.clock.now())
        (row,) = await work.due(connection, house.clock.now())
        return row.id


async def until(engine: Engine, flow_id: str, standing: Standing) -> None:
    _, row_id, _ = flow_id.split("-")
    async with asyncio.timeout(PATIENCE):
        while await engine.standing("letter", row_id, flow_id) is not standing:
            await asyncio.sleep(0.02)


async def test_a_due_row_is_worked_on_once_however_often_the_sweep_looks(
    house: House, engine: Engine, flow: Flow, clock: SetClock
) -> None:
    row = await write_letter(house)
    sweep = Sweep(house, engine)
    for _ in range(3):
        await sweep.once(clock.now())
    await until(engine, f"letter-{row}-0", Standing.ENDED)
    assert flow.steps == [f"first {row}", f"second {row}"]
    assert await sweep.once(clock.now()) == 0


async def test_a_failing_flow_is_tried_three_times_and_the_operator_told(
    house: House, engine: Engine, flow: Flow, clock: SetClock
) -> None:
    row = await write_letter(house)
    flow.fails = 99
    sweep = Sweep(house, engine)
    for attempt in range(3):
        await sweep.once(clock.now())
        await until(engine, f"letter-{row}-{attempt}", Standing.FAILED)
        await sweep.once(clock.now())
        clock.advance(5 * MINUTE)
    async with house.database.read() as connection:
        assert (await outbox.letter(connection, row)).state is LetterState.DEAD
        (told,) = await work.due(connection, clock.now())
        assert (await outbox.letter(connection, told.id)).kind == "operator"
    assert len(flow.steps) == 6


async def test_a_flow_that_failed_once_succeeds_at_the_next_attempt(
    house: House, engine: Engine, flow: Flow, clock: SetClock
) -> None:
    row = await write_letter(house)
    flow.fails = 1
    sweep = Sweep(house, engine)
    await sweep.once(clock.now())
    await until(engine, f"letter-{row}-0", Standing.FAILED)
    await sweep.once(clock.now())
    assert await sweep.once(clock.now()) == 0, "it waits a moment before it tries again"
    clock.advance(MINUTE)
    await sweep.once(clock.now())
    await until(engine, f"letter-{row}-1", Standing.ENDED)


async def test_a_stopped_flow_goes_on_at_the_next_start_without_its_finished_steps(
    house: House, flow: Flow, clock: SetClock
) -> None:
    first = await start(house, flow)
    row = await write_letter(house)
    flow.hangs = True
    await Sweep(house, first).once(clock.now())
    async with asyncio.timeout(PATIENCE):
        await flow.reached.wait()
    await first.stop()
    flow.hangs = False
    second = await start(house, flow)
    await until(second, f"letter-{row}-0", Standing.ENDED)
    await second.stop()
    assert flow.steps == [f"first {row}", f"second {row}", f"second {row}"]


async def test_a_step_that_a_stop_cut_short_is_no_failure(
    house: House, flow: Flow, clock: SetClock
) -> None:
    first = await start(house, flow)
    row = await write_letter(house)
    flow.stops = True
    await Sweep(house, first).once(clock.now())
    async with asyncio.timeout(PATIENCE):
        await flow.reached.wait()
    await first.stop()
    flow.stops = False
    second = await start(house, flow)
    await until(second, f"letter-{row}-0", Standing.ENDED)
    await second.stop()
    assert flow.steps == [f"first {row}", f"second {row}", f"second {row}"]


async def test_two_processes_never_work_on_one_data_folder(house: House, engine: Engine) -> None:
    other = Engine(house.settings.data_dir)
    with pytest.raises(SettingsError, match="Another scanpost works on"):
        other.take_lock()


async def test_what_a_flow_raised_is_logged_without_addresses(
    house: House, engine: Engine, flow: Flow, clock: SetClock, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(as_json=False)  # once more, onto the stderr that is captured here
    row = await write_letter(house)
    flow.fails = 1
    await Sweep(house, engine).once(clock.now())
    await until(engine, f"letter-{row}-0", Standing.FAILED)
    said = capsys.readouterr().err
    assert row in said
    assert "RuntimeError" in said
    assert "anna@lab.example" not in said
    logs.configure(as_json=False, quiet=True)


async def test_ended_flows_are_forgotten_after_thirty_days(engine: Engine) -> None:
    assert await engine.forget_old() == 0


async def test_a_flow_of_an_older_version_is_superseded(
    house: House, flow: Flow, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.engine.VERSION", "flow-0")
    first = await start(house, flow)
    row = await write_letter(house)
    flow.hangs = True
    await Sweep(house, first).once(clock.now())
    async with asyncio.timeout(PATIENCE):
        await flow.reached.wait()
    await first.stop()
    monkeypatch.undo()
    flow.hangs = False
    second = await start(house, flow)
    assert await second.standing("letter", row, f"letter-{row}-0") is Standing.OUTDATED
    sweep = Sweep(house, second)
    await sweep.once(clock.now())
    await sweep.once(clock.now())
    await until(second, f"letter-{row}-1", Standing.ENDED)
    await second.stop()


async def test_a_sweep_that_is_poked_and_cancelled_at_once_ends(
    house: House, engine: Engine
) -> None:
    for _ in range(200):
        sweeping = asyncio.create_task(Sweep(house, engine).run())
        for _ in range(random.randrange(40)):
            await asyncio.sleep(0)
        house.poke()
        sweeping.cancel()
        done, _ = await asyncio.wait([sweeping], timeout=5)
        assert done, "the cancellation was lost"
