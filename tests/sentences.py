"""Every sentence that people see on a page, collected from where it stands: templates, Python, the script."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from jinja2.ext import extract_from_ast

from inbound.scans.roles import Role
from store import consent
from store.states import Reason
from viewer import templates

ROOT = Path(__file__).parent.parent
Sentence = str | tuple[str, str]
# What raises or is raised with a sentence for people; its first word is the sentence.
SAYING = {"say", "msgid", "Gone", "NotFound", "NotSaid", "TooLate", "NoMark", "Refused"}


def all_sentences() -> dict[Sentence, str]:
    """Each with one place where it stands."""
    found: dict[Sentence, str] = {}
    for sentence, place in [*of_templates(), *of_python(), *of_script(), *of_tables()]:
        found.setdefault(sentence, place)
    return found


def of_templates() -> Iterator[tuple[Sentence, str]]:
    for path in sorted((ROOT / "templates/page").glob("*.html")):
        tree = templates._ENVIRONMENT.parse(path.read_text())
        for line, _, said in extract_from_ast(tree, gettext_functions=("_", "ngettext")):
            place = f"templates/page/{path.name}:{line}"
            words = [one for one in said if one] if isinstance(said, tuple) else [said]
            assert words, f"{place} translates what is no plain sentence"
            yield (words[0], words[1]) if len(words) > 1 else words[0], place


def of_python() -> Iterator[tuple[Sentence, str]]:
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                sentence = sentence_of(node)
                if isinstance(sentence, ast.Constant):
                    yield sentence.value.strip("\n"), f"{path.relative_to(ROOT)}:{node.lineno}"


def glued_sentences() -> list[str]:
    """Where a sentence with values is made before it can be translated."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(sentence_of(node), ast.JoinedStr | ast.BinOp | ast.IfExp)
    ]


def python_files() -> list[Path]:
    return [*sorted((ROOT / "viewer").glob("*.py")), ROOT / "store/measures.py"]


def sentence_of(call: ast.Call) -> ast.expr | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "HTTPForbidden":
        return next((one.value for one in call.keywords if one.arg == "text"), None)
    return call.args[0] if name in SAYING and call.args else None


def of_script() -> Iterator[tuple[Sentence, str]]:
    for script, sentences in json.loads((templates.STATIC / "words.json").read_text()).items():
        place = "viewer/web/src/" + ("upload-words.ts" if script == "upload.js" else "words.ts")
        for said in sentences:
            yield (said if isinstance(said, str) else (said[0], said[1])), place


def of_tables() -> Iterator[tuple[Sentence, str]]:
    """What stands in rows by its English name, or in a text that is kept with who agreed to it."""
    for role in Role:
        yield role.label, "inbound/scans/roles.py"
    for reason in Reason:
        yield reason.label, "store/model.py"
    for sentence in consent.TEXT:
        yield sentence, "store/consent.py"
    yield ", ", "viewer/languages.py"
