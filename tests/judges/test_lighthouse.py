"""The judge of good form: Lighthouse, on the entry page and on a case that lies open, phone and desktop."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests import npm
from tests.browser import ARGUMENTS, CHROMIUM
from tests.conftest import Running
from tests.fakes import PATIENCE
from tests.reviewing import Shared, enter, scans, share
from tests.tls import TlsFront

LONG = bool(os.environ.get("SCANPOST_LONG_RUNS"))
MOST_SHIFT = 0.05
TRIES = 3  # where it says itself that its recording went wrong
FORMS = {"phone": [], "desktop": ["--preset=desktop"]}
PAGES = ("entry", "review")
# Two seconds of nothing after the load would end a run before a slow machine has drawn.
WAIT = ["--max-wait-for-load=45000"]


@dataclass
class Lighthouse:
    modules: Path
    front: TlsFront
    folder: Path

    async def judge(self, url: str, form: str, cookies: str = "") -> dict[str, Any]:
        trusting = f"--ignore-certificate-errors-spki-list={self.front.certificate.spki}"
        flags = " ".join([*ARGUMENTS, "--headless=new", trusting])
        profile = self.folder / "profile"
        command = [
            npm.new_node(self.modules), str(self.modules / "lighthouse/cli/index.js"), url,
            "--output=json", "--quiet", "--no-enable-error-reporting",
            "--only-categories=accessibility,best-practices",
            "--only-audits=cumulative-layout-shift,layout-shifts,network-requests",
            f"--chrome-flags={flags} --user-data-dir={profile}",
            *FORMS[form], *WAIT,
        ]  # fmt: skip
        if cookies:
            command.append(f"--extra-headers={json.dumps({'Cookie': cookies})}")
        for _ in range(TRIES):
            output, complaints = await self._run(command)
            if "Please run Lighthouse again" not in complaints:
                break
        found: dict[str, Any] = json.loads(output or "{}")
        assert found, complaints
        return found

    async def _run(self, command: list[str]) -> tuple[str, str]:
        environment = {**os.environ, "CHROME_PATH": CHROMIUM, "HOME": str(self.folder)}
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(2 * PATIENCE):
            output, complaints = await process.communicate()
        return output.decode(), complaints.decode()


@pytest.fixture
def lighthouse(judges: Path, front: TlsFront, tmp_path: Path) -> Lighthouse:
    return Lighthouse(judges, front, tmp_path)


async def page_of(shared: Shared, chromium: Browser, name: str) -> tuple[str, str]:
    """A page's address, and the cookies with which it shows itself so."""
    if name == "entry":
        return shared.reviewers, ""
    context = await chromium.new_context(ignore_https_errors=True)
    await enter(context, shared.reviewers)
    cookies = "; ".join(f"{one['name']}={one['value']}" for one in await context.cookies())
    await context.close()
    return shared.reviewers, cookies


@pytest.mark.parametrize("form", FORMS if LONG else ["phone"])
@pytest.mark.parametrize("name", PAGES if LONG else ["review"])
async def test_lighthouse_finds_nothing_to_better(
    running: Running, chromium: Browser, lighthouse: Lighthouse, name: str, form: str
) -> None:
    shared = await share(running, scans())
    url, cookies = await page_of(shared, chromium, name)
    report = await lighthouse.judge(url, form, cookies)

    faults = {
        audit["title"]: audit.get("details", {}).get("items")
        for audit in report["audits"].values()
        if audit["score"] is not None and audit["score"] < 1 and _weighs(report, audit["id"])
    }
    scores = {kind: found["score"] for kind, found in report["categories"].items()}
    shift = report["audits"]["cumulative-layout-shift"]["numericValue"]
    print(f"{name}, {form}: {scores}, layout shift {shift:.4f}")
    assert scores == {"accessibility": 1, "best-practices": 1}, faults
    assert shift < MOST_SHIFT, report["audits"]["layout-shifts"]["details"]["items"]
    asked = [one["url"] for one in report["audits"]["network-requests"]["details"]["items"]]
    assert any(".glb" in address for address in asked) == (name == "review"), asked


def _weighs(report: dict[str, Any], audit: str) -> bool:
    """Whether an audit counts for a category's score."""
    return any(
        one["id"] == audit and one["weight"] > 0
        for category in report["categories"].values()
        for one in category["auditRefs"]
    )
