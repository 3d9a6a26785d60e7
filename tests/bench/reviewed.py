"""A case that lies ready in a server process of its own, and browsers that open it, for the rows of the page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from playwright.async_api import Browser, async_playwright

from tests.browser import ARGUMENTS, CHROMIUM
from tests.fakes import ANNA, KIM, Inbox, Postman, link_of, mail
from tests.reviewing import enter, values
from tests.service import Service, free_port
from tests.slow_line import SlowLine

VIEWPORT = {"width": 1280, "height": 800}


@dataclass(frozen=True)
class Reviewed:
    """What a bench needs of a case: the process that serves it, the reviewer's link and session."""

    service: Service
    line: SlowLine
    link: str  # over the slow line
    cookies: list[Any]
    values: dict[str, Any]  # what the page knows of the case

    @property
    def cookie(self) -> str:
        return "; ".join(f"{one['name']}={one['value']}" for one in self.cookies)

    def direct(self, path: str) -> str:
        """An address of the server itself, past the slow line."""
        return f"http://127.0.0.1:{self.service.web_port}{path}"

    async def mesh(self, detail: str = "full") -> bytes:
        """A scan's mesh as it travels: packed by brotli."""
        headers = {"Cookie": self.cookie, "Accept-Encoding": "br"}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as client,
            client.get(
                self.direct(self.values["versions"][-1]["scans"][0][detail]), headers=headers
            ) as answer,
        ):
            assert answer.status == 200
            assert answer.headers["Content-Encoding"] == "br"
            return await answer.read()


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@asynccontextmanager
async def reviewed(browser: Browser, files: dict[str, bytes]) -> AsyncIterator[Reviewed]:
    """Mails a case to a fresh server and opens a session as a person does, by the button."""
    inbox = Inbox()
    await inbox.open()
    with TemporaryDirectory() as folder, SlowLine(free_port()) as line:
        relay = f"smtp://127.0.0.1:{inbox.port}"
        service = Service(Path(folder) / "data", relay, web_port=line.upstream)
        service.environment["SCANPOST_BASE_URL"] = line.url
        await service.command("account", "add", ANNA, "--name", "Anna", "--company", "Acme")
        await service.start()
        try:
            message = mail(f"{KIM} C-1 bench", "Is the margin closed?", files)
            await Postman(service.smtp_port).send(message, sender=ANNA)
            link = link_of(await inbox.letter("share", KIM))
            context = await browser.new_context(viewport=VIEWPORT)
            page = await enter(context, link)
            cookies, known = await context.cookies(), await values(page)
            await context.close()
            yield Reviewed(service, line, link, cookies, known)
        finally:
            service.kill(group=True)
            await service.ended()
            await inbox.close()
