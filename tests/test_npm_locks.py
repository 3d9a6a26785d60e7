"""The lockfiles of what tests and benches install: exact, whole, and bound to no registry."""

import json
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.parametrize("folder", ["judges/node", "bench/node"])
def test_a_lockfile_names_no_registry_and_pins_every_package(folder: str) -> None:
    text = (TESTS / folder / "package-lock.json").read_text()
    assert '"resolved"' not in text
    for name, package in json.loads(text)["packages"].items():
        assert not name or package["integrity"].startswith("sha512-"), name
    wanted = json.loads((TESTS / folder / "package.json").read_text())
    for kind in ("dependencies", "devDependencies", "optionalDependencies"):
        assert all(version[0].isdigit() for version in wanted.get(kind, {}).values())
