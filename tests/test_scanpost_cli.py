"""The command line, as an operator uses it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def scanpost(tmp_path: Path):
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in os.environ.items() if "SCANPOST" not in name}
        given = {**plain, "SCANPOST_DATA_DIR": str(tmp_path / "data"), **environment}
        return subprocess.run(
            [sys.executable, "-m", "scanpost", *arguments],
            env=given, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return run


def test_help_names_every_command_with_a_sentence(scanpost) -> None:
    said = scanpost("--help").stdout
    for line in ("serve    Run the service.", "account  Members of labs", "demo", "lab"):
        assert line in said


def test_a_member_is_added_listed_and_disabled(scanpost) -> None:
    added = scanpost("account", "add", "Anna@Lab.example", "--name", "Anna", "--company", "Acme")
    assert added.stdout.startswith("anna@lab.example is now a member of Acme.\n")
    assert scanpost("account", "list").stdout == "Acme: anna@lab.example  Anna\n"
    assert scanpost("lab", "list").stdout == "Acme: 1 member\n"
    assert "can no longer send" in scanpost("account", "disable", "anna@lab.example").stdout
    assert "(disabled)" in scanpost("account", "list").stdout


def test_two_members_of_one_company_share_a_lab(scanpost) -> None:
    for name in ("anna", "ben"):
        scanpost("account", "add", f"{name}@lab.example", "--company", "Acme")
    assert scanpost("lab", "list").stdout == "Acme: 2 members\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("account", "add", "anna"), "anna is not an e-mail address."),
        (("account", "add", "a@b.example"), "Say which lab"),
        (("account", "add", "a@b.example", "--lab", "None"), "There is no lab named None"),
        (("account", "disable", "a@b.example"), "a@b.example is not a member."),
    ],
)
def test_mistakes_are_answered_with_a_sentence(scanpost, arguments, sentence: str) -> None:
    result = scanpost(*arguments)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_setting_is_named(scanpost) -> None:
    result = scanpost("serve", SCANPOST_TRUSTED_CLIENTS="0.0.0.0/0")
    assert result.returncode == 1
    assert "SCANPOST_TRUSTED_CLIENTS" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_lost_master_key_is_not_replaced(scanpost, tmp_path: Path) -> None:
    scanpost("lab", "add", "Acme")
    (tmp_path / "data" / "master.key").unlink()
    result = scanpost("lab", "list")
    assert result.returncode == 1
    assert "is missing" in result.stderr
    assert not (tmp_path / "data" / "master.key").exists()


def test_a_mail_is_taken_in_from_a_file(scanpost, tmp_path: Path) -> None:
    scanpost("account", "add", "anna@lab.example", "--company", "Acme")
    file = tmp_path / "a.eml"
    file.write_text("From: anna@lab.example\nSubject: LIST\nMessage-ID: <1@x>\n\nLIST\n")
    assert scanpost("receive", str(file)).stdout.startswith("Taken as ")
    assert len(list((tmp_path / "data" / "spool").glob("*.sealed"))) == 1
    again = scanpost("receive", str(file))  # the same mail once more is the same mail
    assert again.returncode == 0
    assert len(list((tmp_path / "data" / "spool").glob("*.sealed"))) == 1
    file.write_text("From: eve@evil.example\n\nLIST\n")
    refused = scanpost("receive", str(file))
    assert refused.returncode == 1
    assert "a.eml was not taken: eve@evil.example is not a member" in refused.stderr
    wrong = scanpost("receive", str(file), "--to", "share@elsewhere.example")
    assert "is not at this server" in wrong.stderr
