"""The migrations and the tables that the program asks for are the same."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from store.house import House
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
    assert revision == "0002"
