"""The commit behind 250 where its answer is lost, and where two processes meet at the spool."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from store.blobs.spool import Spool
from store.house import House
from store.records.database import Database
from tests.test_door_smtp import MAIL
from tests.test_talk_conversation import take_in

LOST = OperationalError("COMMIT", {}, Exception("the connection was lost"))


@asynccontextmanager
async def committed_and_lost(database: Database) -> AsyncIterator[Any]:
    async with database.engine.begin() as connection:
        yield connection
    raise LOST


async def test_a_commit_whose_answer_is_lost_is_looked_for_and_keeps_its_mail(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", committed_and_lost)
        mail_id = await take_in(house, MAIL)
    with house.spool.open(mail_id) as spooled:
        assert spooled.read(0, len(spooled)) == MAIL


async def test_a_commit_that_did_not_happen_leaves_no_file(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_database: Database) -> object:
        raise LOST

    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", broken)
        with pytest.raises(OperationalError):
            await take_in(house, MAIL)
    assert house.spool.mail_ids() == set()


async def test_a_file_is_kept_where_nobody_can_say_what_became_of_its_row(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_database: Database) -> object:
        raise LOST

    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", broken)
        patch.setattr(Database, "read", broken)
        with pytest.raises(OperationalError):
            await take_in(house, MAIL)
    assert len(house.spool.mail_ids()) == 1  # the next start looks


async def test_a_starting_server_tidies_up_only_when_no_command_takes_in_a_mail(
    house: House,
) -> None:
    command = Spool(house.spool.root, house.keys)
    with command.beside_others(), command.beside_others():  # two commands do not mind each other
        tidying = asyncio.create_task(house.threads.run(house.spool.alone))
        await house.threads.run(lambda: None)
        assert not tidying.done()
    (await tidying).__exit__(None, None, None)
