"""A mail of 45 MB: three scans of 300k triangles, through a server of its own."""

import asyncio
import contextlib
from pathlib import Path

from playwright.async_api import async_playwright

from tests.bench.answer_45mb import three_scans
from tests.browser import ARGUMENTS, CHROMIUM
from tests.fakes import ANNA, KIM, Inbox, Postman, link_of, text_of
from tests.service import Service, free_port

MOST_GROWTH = 60_000_000  # bytes of the main process over its idle size


async def watch(pid: int, sizes: list[int]) -> None:
    """Notes the resident size of a process, again and again."""
    page = 4096
    while True:
        with contextlib.suppress(FileNotFoundError):
            sizes.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page)  # noqa: ASYNC240
        await asyncio.sleep(0.005)


async def test_it_comes_back_as_letters_whose_link_shows_the_jaws_in_little_memory(
    tmp_path: Path,
) -> None:
    inbox = Inbox()
    await inbox.open()
    service = Service(tmp_path / "data", f"smtp://127.0.0.1:{inbox.port}", web_port=free_port())
    await service.command("account", "add", ANNA, "--name", "Anna", "--company", "Acme")
    await service.start()
    sizes: list[int] = []
    watching = asyncio.create_task(watch(service.pid, sizes))
    try:
        message = await asyncio.get_running_loop().run_in_executor(None, three_scans)
        while not sizes:
            await asyncio.sleep(0.01)
        idle = sizes[-1]
        await Postman(service.smtp_port).send(message, sender=ANNA)
        answer = await inbox.letter("answer", ANNA)
        share = await inbox.letter("share", KIM)
        watching.cancel()
        growth = max(sizes) - idle
        print(f"\nmain process: {idle / 1e6:.0f} MB idle, {growth / 1e6:.0f} MB more at most")
        assert growth < MOST_GROWTH
        assert text_of(answer).count("triangles") == 3
        await look(link_of(share), tmp_path / "jaws.png")
    finally:
        watching.cancel()
        service.kill(group=True)
        await service.ended()
        await inbox.close()


async def look(link: str, picture: Path) -> None:
    """Opens the link as a person does and waits until all scans are drawn in full."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(link)
        await page.click("button")
        await page.wait_for_selector("html[data-state=full]", state="attached", timeout=120_000)
        assert await page.locator("[data-part]").count() == 3
        await page.screenshot(path=picture)
        await browser.close()
