"""Rows that wait for a click: written once, taken once, over in time, and their secrets forgotten."""

import asyncio

import pytest
import sqlalchemy as sa

from store.clock import MINUTE, SetClock
from store.house import House
from store.model import CONFIRM_LIFETIME, Confirmation
from store.records import confirmations, work
from store.records.schema import confirmations as rows
from store.states import ConfirmationKind, ConfirmationState
from store.tokens import MasterPurpose, derived_id
from tests.fakes import ANNA
from tests.test_store_records import make_case

ONE = derived_id("confirmation", "one")


def token(house: House, confirmation_id: str = ONE) -> str:
    return house.keys.token(MasterPurpose.CONFIRM, confirmation_id)


async def create(house: House, context: dict[str, object] | None = None, **given: str) -> None:
    async with house.database.write() as connection:
        await confirmations.create(
            connection, ONE, token(house), ConfirmationKind.COMMAND, ANNA, context or {"a": 1},
            house.clock.now(), CONFIRM_LIFETIME, **given,
        )  # fmt: skip


async def find(house: House) -> Confirmation:
    async with house.database.read() as connection:
        found = await confirmations.find(connection, ONE)
    assert found is not None
    return found


async def confirm(house: House, **context: object) -> bool:
    async with house.database.write() as connection:
        return await confirmations.confirm(connection, ONE, context, house.clock.now())


async def due(house: House) -> list[str]:
    async with house.database.read() as connection:
        return [row.id for row in await work.due(connection, house.clock.now())]


async def test_a_step_that_runs_twice_writes_one_and_keeps_the_first(house: House) -> None:
    await create(house, {"secret": "first"})
    await create(house, {"secret": "second"})
    assert (await find(house)).context == {"secret": "first"}


async def test_a_token_is_found_and_stands_nowhere_in_the_database(house: House) -> None:
    await create(house)
    async with house.database.read() as connection:
        found = await confirmations.by_token(connection, token(house))
        stored = (await connection.execute(sa.select(rows.c.token))).scalar_one()
    assert found == await find(house)
    assert stored != token(house)


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda one: one[:-1],
        lambda one: one + "a",
        lambda one: f"{one}\n",
        lambda one: one[:-1] + ("a" if one[-1] != "a" else "b"),
        lambda one: "",
        lambda one: "%",
        lambda one: ONE,
    ],
)
async def test_no_other_token_is_found(house: House, change) -> None:
    await create(house)
    async with house.database.read() as connection:
        assert await confirmations.by_token(connection, change(token(house))) is None


def test_the_token_of_a_bounce_is_not_the_token_of_a_click(house: House) -> None:
    assert house.keys.token(MasterPurpose.BOUNCE, ONE) != token(house)


async def test_the_click_is_taken_once(house: House) -> None:
    await create(house)
    assert await confirm(house, b=2)
    assert not await confirm(house, b=3)
    found = await find(house)
    assert (found.state, found.context) == (ConfirmationState.CONFIRMED, {"b": 2})
    assert await due(house) == [ONE]


async def test_of_many_clicks_at_once_one_is_taken(house: House) -> None:
    await create(house)
    assert sorted(await asyncio.gather(*(confirm(house) for _ in range(5)))) == [False] * 4 + [True]


@pytest.mark.parametrize(("after", "taken"), [(29 * MINUTE, True), (30 * MINUTE, False)])
async def test_a_click_counts_for_thirty_minutes(
    house: House, clock: SetClock, after: int, taken: bool
) -> None:
    await create(house)
    clock.advance(after)
    assert (await find(house)).is_waiting(clock.now()) is taken
    assert await confirm(house) is taken


async def test_it_is_due_when_its_time_is_over(house: House, clock: SetClock) -> None:
    await create(house)
    clock.advance(CONFIRM_LIFETIME - 1)
    assert await due(house) == []
    clock.advance(1)
    assert await due(house) == [ONE]


@pytest.mark.parametrize("state", [ConfirmationState.DONE, ConfirmationState.OVER])
async def test_what_was_asked_and_typed_is_forgotten_at_the_end(
    house: House, state: ConfirmationState
) -> None:
    await create(house, {"secret": "aa"})
    async with house.database.write() as connection:
        await confirmations.settle(connection, ONE, state)
    found = await find(house)
    assert (found.state, found.context) == (state, {})
    assert not await confirm(house)
    assert await due(house) == []


async def test_the_end_of_a_case_ends_what_waits_about_it_and_nothing_else(house: House) -> None:
    case_id, other = await make_case(house, "C-1"), await make_case(house, "C-2")
    await create(house, case_id=case_id)
    async with house.database.write() as connection:
        await confirmations.end_of_case(connection, other)
    assert (await find(house)).state is ConfirmationState.WAITING
    async with house.database.write() as connection:
        await confirmations.end_of_case(connection, case_id)
    found = await find(house)
    assert (found.state, found.context) == (ConfirmationState.OVER, {})
    assert not await confirm(house)


async def test_the_end_of_a_case_leaves_a_click_that_was_taken(house: House) -> None:
    case_id = await make_case(house, "C-1")
    await create(house, case_id=case_id)
    await confirm(house, b=2)
    async with house.database.write() as connection:
        await confirmations.end_of_case(connection, case_id)
    assert (await find(house)).state is ConfirmationState.CONFIRMED
