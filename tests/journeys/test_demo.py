"""`make demo` in small: the case comes back, and the letters page sends replies."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from scanpost import demo
from scanpost.demo import run
from store.errors import ScanpostError


async def test_the_demo_shows_its_letters_and_answers_a_reply(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scanpost", "demo", "--folder", str(tmp_path / "demo"),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(90):
        while "Serving on loopback only" not in said:
            line = await process.stdout.readline()
            assert line, said
            said += line.decode()
    letters = re.search(r"The letters\s+(http\S+)", said)
    link = re.search(r"The answer's link\s+(http\S+)", said)
    assert letters
    assert link
    async with aiohttp.ClientSession() as browser:
        async with browser.get(letters[1]) as response:
            page = await response.text()
        assert page.count("<iframe") == 2
        (answer,) = re.findall(r'action="(/reply/\w+)"', page)
        frame = re.search(r'src="(/letter/\w+)"', page)
        assert frame
        for path in (frame[1], f"{frame[1]}/picture"):
            async with browser.get(letters[1].rstrip("/") + path) as response:
                assert response.status == 200
        async with browser.post(letters[1].rstrip("/") + answer, data={"line": "STATUS"}) as reply:
            assert "Sent" in await reply.text()
        async with asyncio.timeout(30):
            while "You wrote: STATUS" not in await _all_letters(browser, letters[1]):
                await asyncio.sleep(0.1)
        async with browser.get(link[1]) as response:
            assert "Anna Berg" in await response.text()
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0


async def _all_letters(browser: aiohttp.ClientSession, url: str) -> str:
    async with browser.get(url) as response:
        page = await response.text()
    texts = []
    for path in re.findall(r'src="(/letter/\w+)"', page):
        async with browser.get(url.rstrip("/") + path) as response:
            texts.append(await response.text())
    return "".join(texts)


async def test_the_demo_never_empties_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ScanpostError, match="is not empty"):
        await run(tmp_path, once=True)
    assert (tmp_path / "thesis.txt").exists()


def test_the_demos_mail_is_a_two_jaw_case_with_a_crown() -> None:
    mail = demo.designers_mail()
    assert mail.count(b"filename=") == 3
    assert b"kim@clinic.example" in mail
