"""The judge of the headers: the MDN HTTP Observatory, on each kind of page of a case, behind TLS."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Playwright

from tests import npm
from tests.browser import ARGUMENTS, CHROMIUM
from tests.conftest import Running, jaw_stl
from tests.fakes import PATIENCE
from tests.judges.conftest import NODE
from tests.reviewing import enter, share
from tests.tls import Certificate, TlsFront

LEAST = 130
FILES = {"upper.stl": jaw_stl("upper")}


@pytest.fixture
async def chromium(playwright: Playwright, certificate: Certificate) -> AsyncIterator[Browser]:
    """A browser that trusts our certificate, and no other it does not know."""
    trusting = f"--ignore-certificate-errors-spki-list={certificate.spki}"
    browser = await playwright.chromium.launch(
        executable_path=CHROMIUM, args=[*ARGUMENTS, trusting]
    )
    yield browser
    await browser.close()


@dataclass
class Observatory:
    node: str
    front: TlsFront

    async def judge(self, url: str, context: BrowserContext | None = None) -> dict[str, Any]:
        """The page at a URL, as who has the cookies of a browser's context sees it."""
        cookies = await context.cookies() if context else []
        pairs = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in cookies)
        asked = {
            "httpPort": self.front.http_port,
            "httpsPort": self.front.https_port,
            "path": url.removeprefix(self.front.url),
            "headers": ["Accept: text/html", *([f"Cookie: {pairs}"] if pairs else [])],
            "cookies": [_as_set(cookie) for cookie in cookies],
        }
        process = await asyncio.create_subprocess_exec(
            self.node, str(NODE / "observatory.mjs"), json.dumps(asked),
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(self.front.certificate.authority)},
            stdout=PIPE,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
        assert process.returncode == 0
        found: dict[str, Any] = json.loads(output)
        return found


@pytest.fixture
def observatory(judges: Path, front: TlsFront) -> Observatory:
    return Observatory(npm.new_node(judges), front)


def _as_set(cookie: Any) -> str:
    """A cookie as the server's header had it."""
    flags = [
        name for name, on in (("Secure", cookie["secure"]), ("HttpOnly", cookie["httpOnly"])) if on
    ]
    parts = [f"{cookie['name']}={cookie['value']}", "Path=/", f"SameSite={cookie['sameSite']}"]
    return "; ".join([*parts, *flags])


async def test_every_page_of_a_case_passes_every_test_of_the_observatory(
    running: Running, chromium: Browser, front: TlsFront, observatory: Observatory
) -> None:
    shared = await share(running, FILES)
    assert shared.reviewers.startswith("https://localhost:")
    entry = await observatory.judge(shared.reviewers)
    context = await chromium.new_context()
    await enter(context, shared.reviewers)
    [cookie] = await context.cookies()
    assert cookie["name"].startswith("__Host-")
    review = await observatory.judge(shared.reviewers, context)
    front_page = await observatory.judge(f"{front.url}/")
    await shared.revoke()
    ended = await observatory.judge(shared.reviewers)

    pages = {"entry": entry, "review": review, "front": front_page, "ended": ended}
    statuses = {name: judged["status"] for name, judged in pages.items()}
    assert statuses == {"entry": 200, "review": 200, "front": 200, "ended": 410}
    for name, judged in pages.items():
        failed = [test for test in judged["tests"] if not test["pass"]]
        assert not failed, (name, failed)
        assert judged["score"] >= LEAST, (name, judged)
        print(f"{name}: {judged['grade']}, {judged['score']}, {len(judged['tests'])} tests passed")
    # The session's cookie was judged, and not merely unseen.
    [cookies] = [test for test in review["tests"] if test["name"] == "cookies"]
    assert cookies["result"] == "cookies-secure-with-httponly-sessions-and-samesite"
    await context.close()


async def test_the_judge_says_no_to_a_page_without_the_headers(
    running: Running, front: TlsFront, observatory: Observatory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewer.headers._ALWAYS", {})
    judged = await observatory.judge(f"{front.url}/")
    failed = {test["name"] for test in judged["tests"] if not test["pass"]}
    assert {"content-security-policy", "x-frame-options", "x-content-type-options"} <= failed
    assert judged["score"] < LEAST
