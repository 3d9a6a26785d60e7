"""One database, two ways to use it: `write` for a change, `read` for a question.

SQLite: WAL with synchronous=FULL, since a mail that was answered with 250 must survive a power cut,
and BEGIN IMMEDIATE for every change, so that what a change reads first cannot move under it.
secure_delete overwrites the freed pages: a deleted key is gone from the file too.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from store.errors import SettingsError, TryAgain

READING = {"scanpost_reading": True}


class Database:
    def __init__(self, engine: AsyncEngine, path: Path) -> None:
        self.engine = engine
        # Only ever asked for the stamp, by the loop itself: that takes microseconds.
        self.stamping = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    @classmethod
    async def open(cls, path: Path) -> "Database":
        """Opens the SQLite file and brings its tables up to date."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{path}",
            pool_size=8,
            max_overflow=8,
            hide_parameters=True,  # an error's text goes to the log
        )
        tune_sqlite(engine.sync_engine)
        await _bring_up_to_date(engine)
        return cls(engine, path)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end of the block, or leaves no trace."""
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A snapshot that holds nobody up."""
        async with self.engine.connect() as connection:
            yield await connection.execution_options(**READING)

    def stamp(self) -> int:
        """A number that is another one after any commit, by this process or by another.

        What was read under it holds while it is the same.
        """
        [(version,)] = self.stamping.execute("PRAGMA data_version").fetchall()
        return int(version)

    async def truncate_log(self) -> None:
        """Empties the write-ahead log, in which a deleted key would still stand."""
        if self.engine.dialect.name != "sqlite":
            return
        async with self.engine.connect() as connection:
            raw = await connection.execution_options(scanpost_bare=True)
            busy = (await raw.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).scalar()
        if busy:
            raise TryAgain("The write-ahead log is in use and could not be emptied.")

    async def close(self) -> None:
        self.stamping.close()
        await self.engine.dispose()


def tune_sqlite(engine: sa.Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where _begin says, not by guess
        cursor = connection.cursor()
        for pragma in (
            "busy_timeout=30000",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        if options.get("scanpost_bare"):
            return
        reading = options.get("scanpost_reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


async def _bring_up_to_date(engine: AsyncEngine) -> None:
    """Runs the migrations. SQLite changes a table by making it anew, during which nothing may point
    at it; that can be said outside of a transaction only.
    """
    async with engine.connect() as connection:
        raw = await connection.execution_options(scanpost_bare=True)
        await raw.exec_driver_sql("PRAGMA foreign_keys=OFF")
        await raw.exec_driver_sql("BEGIN IMMEDIATE")
        await raw.run_sync(migrate)
        dangling = (await raw.exec_driver_sql("PRAGMA foreign_key_check")).all()
        if dangling:
            raise SettingsError(f"A row of {dangling[0][0]} points at nothing; restore a backup.")
        await raw.exec_driver_sql("COMMIT")
        await raw.exec_driver_sql("PRAGMA foreign_keys=ON")


def migrate(connection: sa.Connection, revision: str = "head") -> None:
    config = Config()
    config.set_main_option("script_location", "store.records:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
