"""ARC against the public validation suite, where it is at hand; ours are in test_auth_arc.py."""

from pathlib import Path

import pytest
import yaml

from inbound.auth.arc import ArcResult, verify_arc
from tests.signing import NOW, Records, streamed

SUITE = Path(__file__).parents[2] / "shared/data/suites/arc-validation-tests.yml"
CASES = 171
# A chain that one of its hops gave up has no status of its own in the suite: to us it is broken.
GIVEN_UP = ""

if not SUITE.exists():
    pytest.skip(
        "the public ARC validation suite is not beside this repository", allow_module_level=True
    )


def cases() -> list:
    return [
        pytest.param(name, test, chapter["txt-records"], id=name)
        for chapter in yaml.safe_load_all(SUITE.read_text())
        for name, test in chapter["tests"].items()
    ]


def test_the_public_suite_is_run_in_full() -> None:
    assert len(cases()) == CASES


@pytest.mark.parametrize(("name", "test", "texts"), cases())
async def test_public_suite(name: str, test: dict, texts: dict) -> None:
    dns = Records()
    for key_name, text in texts.items():
        dns.add(key_name.lower(), "TXT", text.strip())
    mail = test["message"].replace("\r\n", "\n").replace("\n", "\r\n").encode()
    found = await verify_arc(*streamed(mail), dns, NOW)
    said = test["cv"] or "None"
    expected = ArcResult.FAIL if test["cv"] == GIVEN_UP else ArcResult(said.lower())
    assert found.result is expected, found.why
    assert bool(found.results) == (expected is ArcResult.PASS)
