"""Docs cannot drift: what they list is what the program has. SCANPOST_WRITE_DOCS=1 writes them anew."""

import json
import os
import re
from pathlib import Path

import pytest

from inbound.commands.authority import Way, way_of
from inbound.commands.shape import Command, Weight
from inbound.commands.table import COMMANDS
from inbound.talk.words import VERBS
from scanpost.__main__ import SUBCOMMANDS
from store.model import LONGEST_EXTENSION
from store.settings import PREFIX, Settings
from store.states import Strength

ROOT = Path(__file__).parent.parent
WRITE = bool(os.environ.get("SCANPOST_WRITE_DOCS"))


def settings_page() -> str:
    rows = ["| setting | default | what it is |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "") else f"`{field.default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(
        [
            "# Settings",
            "",
            f"From the environment (`{PREFIX}<NAME>`), or from one TOML file without the prefix and in"
            f" lower case: `./scanpost.toml`, or what `{PREFIX}CONFIG` names. The environment wins. The"
            f" value of any setting may also come from a file: `{PREFIX}RELAY_URL_FILE=/run/secrets/relay`.",
            "",
            *rows,
            "",
        ]
    )


def commands_page() -> str:
    rows = [
        f"| `{f'{command.verb} {command.arguments}'.strip()}` | {_who(command)} | {command.weight}"
        f" | {command.help} | {', '.join(VERBS.get(command.verb, ()))} |"
        for command in COMMANDS.values()
    ]
    weights = [
        f"| {weight} | {_way(weight, Strength.SENT)} | {_way(weight, Strength.SIGNED)} |"
        for weight in Weight
    ]
    return "\n".join(
        [
            "# What you can reply",
            "",
            "Reply to any letter of a case with one of these on the first line. Small letters, bold, a"
            " full stop or your phone's signature do not matter; what stands below the first line does"
            " not count, but for `CODE 123456` and the words of APPROVE, CHANGES and COMMENT. In a new mail to `share@…`, name the case:"
            " `STATUS C-1042`.",
            "",
            "| you write | who may | weight | what happens | also |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            "Every answer says what was understood, what was done, how things stand now, and how to undo"
            " it. A line that is nearly a command is asked back and goes to nobody. Anything else is a"
            " comment: a reviewer's goes to the owner, a member's to the reviewers.",
            "",
            "How sure we must be who writes depends on the weight ([senders.md](senders.md) says what SENT"
            " and SIGNED are):",
            "",
            "| weight | SENT | SIGNED, or from a trusted client |",
            "| --- | --- | --- |",
            *weights,
            "",
        ]
    )


def _who(command: Command) -> str:
    return ", ".join(sorted(command.roles))


def _way(weight: Weight, strength: Strength) -> str:
    plain = way_of(weight, strength, has_codes=False)
    with_codes = way_of(weight, strength, has_codes=True)
    words = {Way.NOW: "at once", Way.CLICK: "after a click", Way.CODE: "with a code"}
    if with_codes is plain:
        return words[plain]
    return f"{words[plain]}; {words[with_codes]} once 2FA is ON"


@pytest.mark.parametrize(
    ("name", "page"), [("settings", settings_page), ("commands", commands_page)]
)
def test_generated_pages_are_current(name: str, page) -> None:
    path = ROOT / "docs" / f"{name}.md"
    if WRITE:
        path.write_text(page())
    assert path.read_text() == page(), f"run SCANPOST_WRITE_DOCS=1 pytest {Path(__file__).name}"


def test_the_readmes_table_is_the_last_measurement_that_was_committed() -> None:
    """The table is written from build/bench.json; it names each row and says whether it holds."""
    readme, bench = ROOT / "README.md", ROOT / "build" / "bench.json"
    if WRITE and bench.exists():
        rows = [
            f"| `{row['name']}` | {row['ours']:.2f} {row['unit']} | {row['theirs']:.2f} {row['unit']}"
            f" ({row['peer']}) | {row['ratio']:.1f}x | {row['reach']} |"
            for row in json.loads(bench.read_text())
        ]
        head = ["| row | ours | peer | ratio | reach |", "| --- | --- | --- | --- | --- |"]
        table = "<!-- bench -->\n" + "\n".join([*head, *rows]) + "\n<!-- /bench -->"
        text = re.sub(
            r"<!-- bench -->.*<!-- /bench -->", lambda _: table, readme.read_text(), flags=re.DOTALL
        )
        readme.write_text(text)
    text = readme.read_text()
    for row in ("answer-45mb", "answer-45mb-memory"):
        assert f"| `{row}` |" in text


def test_the_readme_names_the_two_commands_and_every_subcommand() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "CHANGELOG.md").read_text()
    assert "make demo" in text
    assert "make test" in text
    for name in SUBCOMMANDS:
        assert name in text


def test_links_between_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_help_texts_say_the_true_limit() -> None:
    assert f"up to {LONGEST_EXTENSION // 86_400_000}" in COMMANDS["EXTEND"].help


def test_every_letter_has_text_and_html() -> None:
    folder = ROOT / "templates" / "mail"
    kinds = {path.stem for path in folder.glob("*.txt")} - {"pieces"}
    assert kinds == {path.stem for path in folder.glob("*.html")} - {"pieces", "layout"}
