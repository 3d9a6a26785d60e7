"""The first line is a command or it is none."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbound.commands.table import COMMANDS
from inbound.talk.grammar import find_order_below, first_line, read_order

KIM = "kim@clinic.example"


def verb(text: str) -> str | None:
    order = read_order(first_line(text))
    return order.verb if order else None


@pytest.mark.parametrize(
    "line",
    [
        "REVOKE",
        "revoke",
        "Revoke.",
        "*REVOKE*",
        "_Revoke_",
        "`REVOKE`",
        '"REVOKE"',
        "“Revoke”",
        "„Revoke“",
        "«REVOKE»",
        "‘revoke’",
        "ＲＥＶＯＫＥ",
        "ｒｅｖｏｋｅ．",
        "\u200bREVOKE\u200b",
        "\u00a0REVOKE\u00a0",
        "\ufeffREVOKE",
        "RE\u00adVOKE",
        "\u202aREVOKE\u202c",
        "  REVOKE  ",
        "\n\n \n\u200b\nREVOKE",
        "***\nREVOKE",
        "REVOKE!\n\nSent from my iPhone",
        "REVOKE\n-- \nAnna DELETE Berg",
        "REVOKE\r\n\r\nOn Sunday scanpost wrote:\r\n> EXTEND 7\r\n",
    ],
)
def test_decoration_does_not_change_a_command(line: str) -> None:
    assert verb(line) == "REVOKE"


@pytest.mark.parametrize(
    "text",
    [
        "> REVOKE",
        "＞ REVOKE",
        ">REVOKE",
        "Please REVOKE",
        "REVOKED",
        "R E V O K E",
        "Hi,\nREVOKE",
        "Thanks!\n> REVOKE",
        "On Sunday scanpost wrote:\n> x\n\nREVOKE",
        "Re: [#7F3KQ2] REVOKE",
        "List of changes below",
        "Help me please",
        "RЕVOKE",  # a Cyrillic letter
        "DELETE",
        "-- \nREVOKE",
        "",
        " \n\t\n",
        "This mail is confidential. If it is not for you, delete it.",
    ],
)
def test_what_is_no_command_is_never_guessed(text: str) -> None:
    assert verb(text) is None


@pytest.mark.parametrize(
    ("line", "recipients", "days", "cases", "unknown"),
    [
        ("EXTEND", [], None, [], []),
        ("EXTEND 7", [], 7, [], []),
        ("EXTEND 7 days", [], 7, [], []),
        ("EXTEND 7d.", [], 7, [], []),
        ("EXTEND ７", [], 7, [], []),
        ("EXTEND 14 Tage", [], 14, [], []),
        ("EXTEND -1", [], -1, [], []),
        ("EXTEND 0 days", [], 0, [], []),
        ("EXTEND 9999", [], 9999, [], []),
        ("EXTEND C-1042 7", [], 7, ["C-1042"], []),
        ("EXTEND 7 #7F3KQ2", [], 7, ["#7F3KQ2"], []),
        ("EXTEND a week", [], None, [], ["a", "week"]),
        ("REVOKE 4712", [], None, ["4712"], []),
        ("REVOKE C-1042.", [], None, ["C-1042"], []),
        (f"REVOKE {KIM}", [KIM], None, [], []),
        (f"REVOKE <{KIM.upper()}>.", [KIM], None, [], []),
        (f"REVOKE {KIM}, lee@other.example", [KIM, "lee@other.example"], None, [], []),
        (f"RESEND {KIM}<mailto:{KIM}>", [KIM], None, [], []),
        (f"RESEND {KIM} <mailto:{KIM}> C-1042", [KIM], None, ["C-1042"], []),
        ("REVOKE kim", [], None, [], ["kim"]),
        ("STATUS of C-1042 please", [], None, ["C-1042"], ["of", "please"]),
    ],
)
def test_arguments_are_told_by_what_they_look_like(
    line: str, recipients: list[str], days: int | None, cases: list[str], unknown: list[str]
) -> None:
    order = read_order(first_line(line))
    assert order is not None
    assert (order.recipients, order.days, order.cases, order.unknown) == (
        recipients,
        days,
        cases,
        unknown,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_verb_of_the_table_is_read_and_has_a_help_text(name: str) -> None:
    assert verb(name.lower()) == name
    assert COMMANDS[name].help.endswith(".")


def test_a_command_further_down_is_found_to_be_said_back_but_not_in_a_quotation() -> None:
    assert find_order_below("Hello\n\nREVOKE\n")
    assert not find_order_below("Hello\n> REVOKE\n  > REVOKE\nPlease revoke\n")


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    order = read_order(first_line(text))
    find_order_below(text)
    assert order is None or order.verb in COMMANDS


@pytest.mark.parametrize(
    "text",
    ["REVOKE " + "a@" * 50_000, "REVOKE " + "1" * 100_000, "REVOKE " + "a-" * 50_000, "<" * 100_000,
     "REVOKE " + "<mailto:" * 12_000, "\n" * 100_000 + "REVOKE", "REVOKE " + "a." * 50_000 + "@"],
)  # fmt: skip
def test_lines_made_to_be_slow_are_not(text: str) -> None:
    begun = perf_counter()
    read_order(first_line(text))
    find_order_below(text)
    assert perf_counter() - begun < 1
