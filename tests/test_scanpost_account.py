"""Members on the command line: the operator answers for the notice, and helps who has lost their codes."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyotp
import pytest

from scanpost.compose import close_house, open_house
from store import consent
from store.records import audit, codes, labs
from store.settings import Settings
from tests.clicks import BACKUP, SECRET

ANNA = "anna@lab.example"


@pytest.fixture
def scanpost(tmp_path: Path, fresh_data: Path):
    shutil.copytree(fresh_data, tmp_path / "data")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in os.environ.items() if "SCANPOST" not in name}
        return subprocess.run(
            [sys.executable, "-m", "scanpost", *arguments],
            env={**plain, "SCANPOST_DATA_DIR": str(tmp_path / "data")},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return run


def rows(tmp_path: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(tmp_path / "data" / "scanpost.db")) as database:
        return database.execute(question).fetchall()


def set_up_codes(tmp_path: Path) -> None:
    async def work() -> None:
        house = await open_house(Settings(data_dir=tmp_path / "data"))
        now = house.clock.now()
        async with house.database.write() as connection:
            anna = await labs.member_by_address(connection, ANNA)
            assert anna is not None
            code = pyotp.TOTP(SECRET).at(now // 1000)
            given = (house.keys, anna.id, SECRET, code, BACKUP, now)
            assert await codes.enrol(connection, *given)
        await close_house(house)

    asyncio.run(work())


def broken_line(tmp_path: Path) -> int | None:
    async def work() -> int | None:
        house = await open_house(Settings(data_dir=tmp_path / "data"))
        async with house.database.read() as connection:
            found = await audit.first_broken_line(connection)
        await close_house(house)
        return found

    return asyncio.run(work())


def test_who_adds_a_member_reads_the_notice_and_answers_for_it(scanpost, tmp_path: Path) -> None:
    added = scanpost("account", "add", ANNA, "--name", "Anna", "--company", "Acme")
    assert added.returncode == 0, added.stderr
    assert added.stdout.startswith(f"{ANNA} is now a member of Acme.\n")
    for sentence in consent.TEXT:
        assert sentence in added.stdout
    assert f"(text of {consent.VERSION})" in added.stdout
    [row] = rows(tmp_path, "SELECT consent_version, consent_by, consent_at > 0 FROM members")
    assert row == (consent.VERSION, "operator", 1)
    [(action, detail)] = rows(tmp_path, "SELECT action, detail FROM audit")
    assert action == "member added"
    assert consent.VERSION in str(detail)


def test_who_lets_a_disabled_member_in_again_answers_anew(scanpost, tmp_path: Path) -> None:
    scanpost("account", "add", ANNA, "--company", "Acme")
    scanpost("account", "disable", ANNA)
    with closing(sqlite3.connect(tmp_path / "data" / "scanpost.db")) as database:
        database.execute("UPDATE members SET consent_version = '2020-01'")
        database.commit()
    refused = scanpost("account", "add", ANNA, "--company", "Other")
    assert (refused.returncode, consent.TEXT[0] in refused.stdout) == (1, False)
    scanpost("account", "add", ANNA, "--company", "Acme")
    assert rows(tmp_path, "SELECT consent_version, disabled_at FROM members") == [
        (consent.VERSION, None)
    ]


def test_codes_are_reset_once_with_a_line_in_the_trail(scanpost, tmp_path: Path) -> None:
    scanpost("account", "add", ANNA, "--company", "Acme")
    set_up_codes(tmp_path)
    reset = scanpost("account", "reset-codes", ANNA.title())
    assert (reset.returncode, "are forgotten" in reset.stdout) == (0, True), reset.stderr
    found = rows(tmp_path, "SELECT code_secret, code_since, code_step, code_locked_at FROM members")
    assert found == [(None, None, None, None)]
    assert rows(tmp_path, "SELECT * FROM backup_codes") == []
    [(actor, detail)] = rows(
        tmp_path, "SELECT actor, detail FROM audit WHERE action = 'codes reset'"
    )
    assert (actor, ANNA in str(detail)) == ("operator", True)
    assert broken_line(tmp_path) is None
    again = scanpost("account", "reset-codes", ANNA)
    assert (again.returncode, "has no codes to forget" in again.stderr) == (1, True)


def test_codes_of_nobody_are_not_reset(scanpost) -> None:
    refused = scanpost("account", "reset-codes", "eve@evil.example")
    assert (refused.returncode, "is not a member" in refused.stderr) == (1, True)
    assert "Traceback" not in refused.stderr


def test_another_address_is_listed_and_taken_back(scanpost, tmp_path: Path) -> None:
    scanpost("account", "add", ANNA, "--company", "Acme")
    with closing(sqlite3.connect(tmp_path / "data" / "scanpost.db")) as database, database:
        database.execute("INSERT INTO aliases SELECT 'anna@home.example', id, 1 FROM members")
    assert "(also anna@home.example)" in scanpost("account", "list").stdout
    assert "is not a member" in scanpost("account", "disable", "anna@home.example").stderr
    told = scanpost("account", "forget-address", "anna@home.example").stdout
    assert told == f"anna@home.example no longer counts as {ANNA}.\n"
    assert "nobody's other address" in scanpost("account", "forget-address", ANNA).stderr
    assert rows(tmp_path, "SELECT * FROM aliases") == []
    assert broken_line(tmp_path) is None


def test_letters_that_somebody_stopped_are_allowed_again(scanpost, tmp_path: Path) -> None:
    scanpost("account", "add", ANNA, "--company", "Acme")
    kim = "kim@clinic.example"
    with closing(sqlite3.connect(tmp_path / "data" / "scanpost.db")) as database, database:
        database.execute(f"INSERT INTO suppressions SELECT id, '{kim}', 'stop', 1 FROM labs")
    assert "no lab named" in scanpost("account", "allow-letters", "Other", kim).stderr
    told = scanpost("account", "allow-letters", "Acme", kim.upper()).stdout
    assert told == f"Acme may write to {kim.upper()} again.\n"
    assert rows(tmp_path, "SELECT * FROM suppressions") == []
    assert "Nothing stands against" in scanpost("account", "allow-letters", "Acme", kim).stderr
