"""The migrations and the tables that the program asks for are the same."""

from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from store.house import House
from store.records.database import Database, migrate, tune_sqlite
from store.records.schema import metadata


async def test_the_migrations_make_exactly_the_tables_of_the_schema(house: House) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with house.database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_opening_a_database_twice_changes_nothing(house: House) -> None:
    again = await type(house.database).open(house.settings.data_dir / "scanpost.db")
    async with again.read() as connection:
        revision = (await connection.execute(sa.text("SELECT * FROM alembic_version"))).scalar()
    await again.close()
    assert revision == "0005"


async def test_rows_of_an_older_release_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "scanpost.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    tune_sqlite(engine)
    with engine.begin() as connection:
        migrate(connection, "0001")
        connection.exec_driver_sql("INSERT INTO labs VALUES ('l', 'Acme', 1)")
        connection.exec_driver_sql(
            "INSERT INTO members VALUES ('m', 'l', 'a@b.c', '', '', 1, NULL)"
        )
        connection.exec_driver_sql(
            "INSERT INTO mails (id, received_at, state, sender, author, member_id, recipients,"
            " message_id, header_sha256, body_sha256, size, outcome, attempt, failures)"
            " VALUES ('x', 1, 'done', '', 'a@b.c', 'm', '[]', '', '', '', 1, '', 0, 0)"
        )
        connection.exec_driver_sql(
            "INSERT INTO cases (id, public_id, lab_id, owner_id, code, title, note, state, created_at,"
            " expires_at, subject, thread, attempt, failures)"
            " VALUES ('c', 'C', 'l', 'm', '', '', '', 'open', 1, 2, '', '[]', 0, 0)"
        )
        connection.exec_driver_sql(
            "INSERT INTO versions (id, case_id, number, mail_id, created_at, picture, left_out)"
            " VALUES ('v', 'c', 1, 'x', 1, 0, '[]')"
        )
    engine.dispose()
    database = await Database.open(path)
    async with database.read() as connection:
        mails = sa.text("SELECT member_id FROM mails, versions WHERE mail_id = mails.id")
        assert (await connection.execute(mails)).scalar() == "m"
        assert (await connection.execute(sa.text("PRAGMA foreign_keys"))).scalar() == 1
    await database.close()
