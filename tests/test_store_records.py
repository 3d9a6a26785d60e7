"""Records: the trail, tokens and people, labs, work that is due."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from store.clock import SetClock, day_in_words, in_words
from store.errors import Gone, Refusal
from store.house import House
from store.model import LetterDraft
from store.records import access, audit, cases, labs, outbox, work
from store.records.schema import audit as audit_table
from store.states import CaseState, PersonKind
from store.tokens import Purpose, derive, fingerprint, has_shape, new_id, public_id
from tests.fakes import ANNA, DOMAIN, KIM


async def make_case(house: House, code: str = "C-1", state: CaseState = CaseState.OPEN) -> str:
    """A bare case of Anna's with Kim as its reviewer."""
    now = house.clock.now()
    key, wrapped = house.keys.new()
    async with house.database.write() as connection:
        anna = await labs.member_by_address(connection, ANNA)
        assert anna is not None
        case = await cases.create(
            connection,
            cases.NewCase(
                new_id(), anna.lab_id, anna.id, code, "crown", "", state, now, now + 1000, None,
                "subject", [],
            ),
            wrapped,
        )  # fmt: skip
        await access.add_person(connection, case.id, PersonKind.OWNER, ANNA, "Anna", key, now)
        await access.add_person(connection, case.id, PersonKind.REVIEWER, KIM, "", key, now)
    return case.id


async def test_the_trail_is_a_chain_that_shows_a_changed_line(house: House) -> None:
    async with house.database.write() as connection:
        for number in range(3):
            await audit.record(connection, number, "anna", "deed", case_id="c", number=number)
    async with house.database.read() as connection:
        lines = await audit.lines_of_case(connection, "c")
        assert await audit.first_broken_line(connection) is None
    assert lines[1].previous == lines[0].hash
    async with house.database.write() as connection:
        await connection.execute(sa.text("DROP TRIGGER audit_no_update"))
        change = sa.update(audit_table).where(audit_table.c.number == lines[1].number)
        await connection.execute(change.values(actor="eve"))
    async with house.database.read() as connection:
        assert await audit.first_broken_line(connection) == lines[1].number


@pytest.mark.parametrize("deed", [sa.update(audit_table).values(actor="x"), sa.delete(audit_table)])
async def test_the_trail_is_append_only(house: House, deed: sa.Executable) -> None:
    async with house.database.write() as connection:
        await audit.record(connection, 1, "anna", "deed")
    with pytest.raises(IntegrityError, match="append-only"):
        async with house.database.write() as connection:
            await connection.execute(deed)


async def test_a_cut_off_end_of_the_trail_is_found(house: House) -> None:
    async with house.database.write() as connection:
        await audit.record(connection, 1, "anna", "first")
        await audit.record(connection, 2, "anna", "last")
        await connection.execute(sa.text("DROP TRIGGER audit_no_delete"))
        last = sa.select(sa.func.max(audit_table.c.number)).scalar_subquery()
        await connection.execute(sa.delete(audit_table).where(audit_table.c.number == last))
    async with house.database.read() as connection:
        assert await audit.first_broken_line(connection) is not None


async def test_a_failed_change_leaves_no_line_in_the_trail(house: House) -> None:
    async with house.database.read() as connection:
        before = await audit.lines_of_case(connection, "c")

    async def fails() -> None:
        async with house.database.write() as connection:
            await audit.record(connection, 1, "anna", "deed", case_id="c")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    async with house.database.read() as connection:
        assert await audit.lines_of_case(connection, "c") == before


def test_tokens_follow_from_key_person_purpose_and_generation() -> None:
    key = bytes(32)
    token = derive(key, Purpose.LINK, "kim", 0)
    assert token == derive(key, Purpose.LINK, "kim", 0)
    assert has_shape(token)
    others = {
        derive(key, Purpose.REPLY, "kim", 0),
        derive(key, Purpose.LINK, "lee", 0),
        derive(key, Purpose.LINK, "kim", 1),
        derive(bytes(31) + b"1", Purpose.LINK, "kim", 0),
    }
    assert len(others | {token}) == 5
    assert not has_shape(token.upper())
    assert not has_shape(token[:25])


def test_public_ids_leave_out_letters_that_look_alike() -> None:
    ids = {public_id(str(number)) for number in range(2000)}
    assert len(ids) > 1990
    assert not set("".join(ids)) & set("ILOU")


async def test_the_database_holds_no_usable_token(house: House) -> None:
    case_id = await make_case(house)
    async with house.database.read() as connection:
        key = await house.case_key(connection, case_id)
        (kim,) = await access.reviewers_of(connection, case_id)
    token = access.token_of(key, kim, Purpose.LINK)
    await house.database.truncate_log()
    stored = (house.settings.data_dir / "scanpost.db").read_bytes()
    assert token.encode() not in stored
    assert fingerprint(token).encode() in stored


async def test_a_destroyed_key_is_gone_from_the_file_too(house: House) -> None:
    case_id = await make_case(house)
    path = house.settings.data_dir / "scanpost.db"
    async with house.database.read() as connection:
        wrapped = await cases.wrapped_key(connection, case_id)
    await house.database.truncate_log()
    assert wrapped in path.read_bytes()
    async with house.database.write() as connection:
        await cases.destroy_key(connection, case_id)
    await house.database.truncate_log()
    left = path.read_bytes() + path.with_name("scanpost.db-wal").read_bytes()
    assert wrapped not in left
    async with house.database.read() as connection:
        with pytest.raises(Gone):
            await house.case_key(connection, case_id)


async def test_a_token_is_live_until_it_is_revoked_or_its_case_ends(
    house: House, clock: SetClock
) -> None:
    case_id = await make_case(house)
    async with house.database.write() as connection:
        key = await house.case_key(connection, case_id)
        (kim,) = await access.reviewers_of(connection, case_id)
        token = access.token_of(key, kim, Purpose.LINK)
        holder = await access.holder(connection, token, Purpose.LINK)
        assert holder is not None
        assert holder.may_look(clock.now())
        assert not holder.may_look(clock.now() + 1000)
        assert await access.holder(connection, token, Purpose.REPLY) is None
        await access.revoke(connection, kim.id, clock.now())
        holder = await access.holder(connection, token, Purpose.LINK)
        assert holder is not None
        assert not holder.may_look(clock.now())
        (kim,) = await access.reviewers_of(connection, case_id)
        renewed = await access.renew(connection, kim, key)
        second = access.token_of(key, renewed, Purpose.LINK)
        old = await access.holder(connection, token, Purpose.LINK)
        new = await access.holder(connection, second, Purpose.LINK)
    assert old is not None
    assert not old.may_look(clock.now())
    assert new is not None
    assert new.may_look(clock.now())


async def test_a_lab_finds_its_cases_by_number_and_nobody_elses(house: House) -> None:
    case_id = await make_case(house, "C-77")
    async with house.database.read() as connection:
        case = await cases.case(connection, case_id)
        anna = await labs.member_by_address(connection, ANNA)
        assert anna is not None
        for name in ("C-77", "c-77", f"#{case.public_id}", case.public_id.lower()):
            assert await cases.find_by_name(connection, anna.lab_id, name) == [case]
        assert await cases.find_by_name(connection, "other lab", "C-77") == []


async def test_members_are_known_by_their_address_whatever_its_case(house: House) -> None:
    async with house.database.write() as connection:
        assert await labs.member_by_address(connection, ANNA.upper()) is not None
        assert await labs.member_by_address(connection, "anna+x@lab.example") is None
        with pytest.raises(Refusal, match="is a member already"):
            await labs.add_member(connection, "lab", ANNA, "", "", 1)
        await labs.disable_member(connection, ANNA, 5)
        member = await labs.member_by_address(connection, ANNA)
        assert member is not None
        assert member.disabled_at == 5
        again = await labs.add_member(connection, member.lab_id, ANNA, "Anna", "Acme", 6)
        assert again.disabled_at is None
        with pytest.raises(Refusal, match="is not a member"):
            await labs.disable_member(connection, "nobody@lab.example", 7)


async def test_due_rows_are_found_and_a_rescheduled_one_counts_up(house: House) -> None:
    draft = LetterDraft("notice", ANNA, "subject", {})
    async with house.database.write() as connection:
        await outbox.write(connection, draft, DOMAIN, 100)
        assert await work.due(connection, 99) == []
        (row,) = await work.due(connection, 100)
        assert row.flow_id == f"letter-{row.id}-0"
        await work.reschedule(connection, "letter", row.id, 200, failures=1)
        assert await work.due(connection, 199) == []
        (again,) = await work.due(connection, 200)
        assert (again.attempt, again.failures) == (1, 1)
        await work.bury(connection, "letter", row.id)
        assert await work.due(connection, 10**15) == []


async def test_a_letter_for_one_occasion_is_written_once(house: House) -> None:
    draft = LetterDraft("notice", ANNA, "subject", {})
    async with house.database.write() as connection:
        first = await outbox.write(connection, draft, DOMAIN, 1, once="receipt x")
        second = await outbox.write(connection, draft, DOMAIN, 2, once="receipt x")
        assert first == second
        assert len(await work.due(connection, 10)) == 1


def test_moments_read_as_people_write_them() -> None:
    assert in_words(1_795_946_400_000) == "29 November 2026, 10:00 UTC"
    assert day_in_words(1_795_946_400_000) == "29 November"
