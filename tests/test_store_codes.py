"""The second factor by itself: RFC 6238, one use, backup codes, the lock."""

import asyncio

import pyotp
import pytest
import sqlalchemy as sa

from store.clock import DAY, HOUR, MINUTE, SECOND, SetClock
from store.house import House
from store.model import Member
from store.records import codes, labs
from store.records.codes import BACKUP_CODES, STEP, Spent
from store.records.schema import backup_codes, members, wrong_codes
from tests.clicks import BACKUP, SECRET, code_now, member_of, set_up_codes, wrong_code
from tests.fakes import ANNA, BEN

# RFC 6238 appendix B, SHA-1: the eight digits of the RFC, of which ours are the last six.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # "12345678901234567890"
RFC_VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]


@pytest.fixture
async def anna(house: House) -> Member:
    await set_up_codes(house)
    return await member_of(house)


async def spend(house: House, code: str, at: int | None = None, address: str = ANNA) -> Spent:
    whose = await member_of(house, address)
    now = house.clock.now() if at is None else at
    async with house.database.write() as connection:
        return await codes.spend(connection, house.keys, whose.id, code, now)


async def unlock(house: House) -> None:
    whose = await member_of(house)
    async with house.database.write() as connection:
        await codes.unlock(connection, whose.id)


@pytest.mark.parametrize(("second", "digits"), RFC_VECTORS)
async def test_the_vectors_of_the_rfc_count(house: House, second: int, digits: str) -> None:
    whose = await member_of(house)
    async with house.database.write() as connection:
        given = (house.keys, whose.id, RFC_SECRET, digits[2:], BACKUP, second * SECOND)
        assert await codes.enrol(connection, *given)
    assert (await member_of(house)).has_codes


@pytest.mark.parametrize(("second", "digits"), RFC_VECTORS)
async def test_their_eight_digits_do_not(house: House, second: int, digits: str) -> None:
    whose = await member_of(house)
    async with house.database.write() as connection:
        given = (house.keys, whose.id, RFC_SECRET, digits, BACKUP, second * SECOND)
        assert not await codes.enrol(connection, *given)
    assert not (await member_of(house)).has_codes


@pytest.mark.parametrize("steps", range(-13, 4))
async def test_the_ten_steps_before_now_count_and_one_after_it(
    house: House, clock: SetClock, anna: Member, steps: int
) -> None:
    clock.advance(20 * MINUTE)
    expected = Spent.RIGHT if -10 <= steps <= 1 else Spent.WRONG
    assert await spend(house, code_now(house, steps)) is expected


@pytest.mark.parametrize("minutes", [6, 11, 60])
async def test_a_code_that_is_minutes_old_is_refused(
    house: House, clock: SetClock, anna: Member, minutes: int
) -> None:
    code = code_now(house)
    clock.advance(minutes * MINUTE)
    assert await spend(house, code) is Spent.WRONG


async def test_a_code_counts_once_and_none_before_it_counts_afterwards(
    house: House, clock: SetClock, anna: Member
) -> None:
    clock.advance(MINUTE)
    older, code = code_now(house, -1), code_now(house)
    assert await spend(house, code) is Spent.RIGHT
    assert await spend(house, code) is Spent.WRONG
    assert await spend(house, older) is Spent.WRONG
    clock.advance(STEP)
    assert await spend(house, code_now(house)) is Spent.RIGHT


async def test_each_of_the_two_guards_of_one_use_holds_alone(house: House, anna: Member) -> None:
    """The look at the last step, and the row that only ever moves forward (RFC 6238 5.2)."""
    now = house.clock.now()
    step = now // STEP
    assert codes._step_of(SECRET, code_now(house), now, step - 1) == step
    assert codes._step_of(SECRET, code_now(house), now, step) is None
    async with house.database.write() as connection:
        assert await codes._spend_step(connection, anna.id, step)
        assert not await codes._spend_step(connection, anna.id, step)
        assert not await codes._spend_step(connection, anna.id, step - 1)


async def test_the_code_that_proved_the_app_is_spent_by_that(house: House) -> None:
    whose = await member_of(house)
    async with house.database.write() as connection:
        given = (house.keys, whose.id, SECRET, code_now(house), BACKUP, house.clock.now())
        assert await codes.enrol(connection, *given)
    assert await spend(house, code_now(house)) is Spent.WRONG


async def test_one_code_in_many_transactions_at_once_counts_exactly_once(
    house: House, anna: Member
) -> None:
    code = code_now(house)
    found = await asyncio.gather(*(spend(house, code) for _ in range(4)))
    assert sorted(found) == [Spent.RIGHT, *[Spent.WRONG] * 3]


async def test_one_backup_code_in_two_transactions_at_once_counts_exactly_once(
    house: House, anna: Member
) -> None:
    found = await asyncio.gather(spend(house, BACKUP[0]), spend(house, BACKUP[0]))
    assert sorted(found) == [Spent.RIGHT, Spent.WRONG]


@pytest.mark.parametrize(
    "change",
    [
        lambda code: "".join(chr(ord(digit) + 0xFEE0) for digit in code),  # full-width
        lambda code: "".join(chr(ord(digit) - 48 + 0x660) for digit in code),  # Arabic
        lambda code: "".join(chr(ord(digit) - 48 + 0x1D7CE) for digit in code),  # mathematical
        lambda code: f"{code}\n",
        lambda code: f" {code}",
        lambda code: f"{code}0",
        lambda code: code[:5],
        lambda code: "",
        lambda code: f"{code}\x00",
    ],
)
async def test_what_only_looks_like_the_code_is_refused(house: House, anna: Member, change) -> None:
    assert await spend(house, change(code_now(house))) is Spent.WRONG
    assert await spend(house, code_now(house)) is Spent.RIGHT  # the right one was not spent by it


async def test_the_code_of_somebody_else_is_refused(house: House, anna: Member) -> None:
    assert await spend(house, code_now(house), address=BEN) is Spent.WRONG
    assert await spend(house, BACKUP[0], address=BEN) is Spent.WRONG
    assert await spend(house, BACKUP[0]) is Spent.RIGHT


async def test_two_members_with_one_app_do_not_spend_each_others_codes(
    house: House, anna: Member
) -> None:
    await set_up_codes(house, BEN)
    assert await spend(house, code_now(house)) is Spent.RIGHT
    assert await spend(house, code_now(house), address=BEN) is Spent.RIGHT
    assert await spend(house, BACKUP[1]) is Spent.RIGHT
    assert await spend(house, BACKUP[1], address=BEN) is Spent.RIGHT


def test_new_backup_codes_are_ten_different_ones_of_fifty_bits() -> None:
    made = codes.new_backup_codes()
    assert len(set(made)) == len(made) == BACKUP_CODES == 10
    assert {len(one) for one in made} == {11}
    assert set("".join(made)) <= set("abcdefghijklmnopqrstuvwxyz234567-")
    assert made != codes.new_backup_codes()


def test_a_new_secret_has_160_bits_as_apps_read_them() -> None:
    one, other = codes.new_secret(), codes.new_secret()
    assert one != other
    assert len(pyotp.TOTP(one).byte_secret()) == 20


@pytest.mark.parametrize("shape", [str, str.upper, lambda one: one.replace("-", ""), str.title])
async def test_each_backup_code_counts_once_however_it_is_written(
    house: House, clock: SetClock, anna: Member, shape
) -> None:
    for number, one in enumerate(BACKUP):
        assert await spend(house, shape(one)) is Spent.RIGHT
        clock.advance(DAY)  # wrong ones are counted
        assert await spend(house, one) is Spent.WRONG
        async with house.database.read() as connection:
            assert await codes.backup_codes_left(connection, anna.id) == 9 - number


async def test_backup_codes_and_the_secret_are_nowhere_in_the_database(
    house: House, anna: Member
) -> None:
    raw = (house.settings.data_dir / "scanpost.db").read_bytes()
    wal = house.settings.data_dir / "scanpost.db-wal"
    raw += wal.read_bytes() if wal.exists() else b""
    assert raw.count(anna.id.encode()) > 10  # the rows are there
    for secret in (SECRET, *BACKUP, *(one.replace("-", "") for one in BACKUP)):
        assert secret.encode() not in raw
        assert house.keys.fingerprint("code", secret).encode() not in raw  # bound to the member
    async with house.database.read() as connection:
        sealed = (await connection.execute(sa.select(members.c.code_secret))).scalars().first()
    assert house.keys.unseal(sealed, anna.id) == SECRET.encode()


async def test_codes_anew_end_the_old_ones(house: House, clock: SetClock, anna: Member) -> None:
    clock.advance(HOUR)
    other = "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK"
    code = pyotp.TOTP(other).at(house.clock.now() // 1000)
    async with house.database.write() as connection:
        given = (house.keys, anna.id, other, code, ["ccccc-ddddd"], house.clock.now())
        assert await codes.enrol(connection, *given)
        assert await codes.backup_codes_left(connection, anna.id) == 1
    clock.advance(HOUR)
    assert await spend(house, code_now(house)) is Spent.WRONG
    assert await spend(house, BACKUP[0]) is Spent.WRONG
    assert await spend(house, "CCCCCDDDDD") is Spent.RIGHT


async def test_forgotten_codes_are_asked_for_no_more_and_count_no_more(
    house: House, anna: Member
) -> None:
    async with house.database.write() as connection:
        await codes.forget(connection, anna.id)
    assert not (await member_of(house)).has_codes
    assert await spend(house, code_now(house)) is Spent.WRONG
    assert await spend(house, BACKUP[0]) is Spent.WRONG


async def test_five_wrong_ones_in_an_hour_lock_and_then_no_right_one_counts(
    house: House, clock: SetClock, anna: Member
) -> None:
    found = [await spend(house, wrong_code(house)) for _ in range(5)]
    assert found == [*[Spent.WRONG] * 4, Spent.LOCKED]
    assert await spend(house, code_now(house)) is Spent.LOCKED
    assert await spend(house, BACKUP[0]) is Spent.LOCKED
    clock.advance(2 * DAY)
    assert await spend(house, code_now(house)) is Spent.LOCKED  # time alone does not unlock
    await unlock(house)
    assert await spend(house, code_now(house)) is Spent.RIGHT
    assert await spend(house, BACKUP[0]) is Spent.RIGHT  # the lock did not spend it


async def test_four_wrong_ones_an_hour_lock_nobody_until_ten_in_a_day(
    house: House, clock: SetClock, anna: Member
) -> None:
    found = []
    for _ in range(10):
        found.append(await spend(house, wrong_code(house)))
        clock.advance(16 * MINUTE)
    assert found == [*[Spent.WRONG] * 9, Spent.LOCKED]


async def test_wrong_ones_of_yesterday_do_not_count(
    house: House, clock: SetClock, anna: Member
) -> None:
    for _ in range(30):
        assert await spend(house, wrong_code(house)) is Spent.WRONG
        clock.advance(DAY // 9 + SECOND)


async def test_wrong_ones_lock_their_own_member_only(house: House, anna: Member) -> None:
    await set_up_codes(house, BEN)
    for _ in range(5):
        await spend(house, wrong_code(house))
    assert await spend(house, code_now(house), address=BEN) is Spent.RIGHT


async def test_an_unlocked_member_has_a_fresh_count(house: House, anna: Member) -> None:
    for _ in range(5):
        await spend(house, wrong_code(house))
    await unlock(house)
    assert [await spend(house, wrong_code(house)) for _ in range(4)] == [Spent.WRONG] * 4
    async with house.database.read() as connection:
        question = sa.select(sa.func.count()).select_from(wrong_codes)
        assert (await connection.execute(question)).scalar_one() == 4


async def test_a_member_without_codes_has_none_that_count(house: House) -> None:
    assert await spend(house, code_now(house)) is Spent.WRONG
    async with house.database.read() as connection:
        assert (await connection.execute(sa.select(backup_codes))).first() is None
        assert await labs.member_by_address(connection, ANNA)
