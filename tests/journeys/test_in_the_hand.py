"""The review page on a phone, where a finger lies on what it means and the sheet lies over the picture."""

import re
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, CDPSession, Page

from tests.conftest import Running
from tests.fakes import ANNA, text_of
from tests.reviewing import CANVAS, PHONE, at_rest, enter, fully_drawn, share


@dataclass
class Hand:
    """A phone with the case of two jaws and a crown, and a finger."""

    page: Page
    fingers: CDPSession

    async def middle(self) -> tuple[float, float]:
        box = await self.page.locator(CANVAS).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    async def touch(self, kind: str, *points: tuple[float, float]) -> None:
        where = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        await self.fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

    async def tap(self, x: float, y: float) -> None:
        await self.touch("touchStart", (x, y))
        await self.touch("touchEnd")

    async def pixels_per_mm(self) -> float:
        length = float((await self.page.inner_text(".scale-length")).split()[0])
        return await self.page.evaluate("document.querySelector('.scale-bar').offsetWidth") / length


@pytest.fixture
async def hand(running: Running, chromium: Browser) -> Hand:
    shared = await share(running)
    context = await chromium.new_context(**PHONE)
    page = await enter(context, shared.reviewers)
    await fully_drawn(page)
    return Hand(page, await context.new_cdp_session(page))


async def test_a_tap_reads_a_map_and_the_number_stays(hand: Hand) -> None:
    page = hand.page
    await page.click("[data-view=lower]")
    await page.click("[data-tool=contacts]")
    await page.locator(".legend").wait_for(state="visible")
    x, y = await hand.middle()
    said: set[str] = set()
    for dx in range(-150, 151, 15):
        for dy in (-60, -30, 0, 30):
            await hand.tap(x + dx, y + dy)
            said.add(await page.evaluate("document.querySelector('.legend-reading').textContent"))
    assert any(re.fullmatch(r"[+−][\d.]+ mm to the other jaw", one) for one in said)


async def test_a_section_seen_face_on_follows_the_finger(hand: Hand) -> None:
    page = hand.page
    zoom = await hand.pixels_per_mm()
    assert zoom < 5, "one step of the plane is less than a pixel wide, however it is seen"
    await page.click("[data-tool=section]")

    async def place() -> float:
        return float((await page.inner_text(".card-slider output")).split()[0])

    before, (x, y) = await place(), await hand.middle()
    await hand.touch("touchStart", (x, y))
    await hand.touch("touchMove", (x, y - 10))
    await hand.touch("touchEnd")
    assert abs(await place() - before) == pytest.approx(10 / zoom, abs=0.3)


async def test_go_there_brings_the_picture_back_from_under_the_sheet(hand: Hand) -> None:
    page = hand.page
    await page.fill("#say-text", "here")
    await page.click(".say button[type=submit]")
    go = page.get_by_role("button", name="Go there")
    await go.scroll_into_view_if_needed()
    assert await page.evaluate("scrollY") > 0
    await go.click()
    assert await page.evaluate("scrollY") == 0
    await at_rest(page)


async def test_nothing_is_not_sent_and_words_go_with_the_decision(
    running: Running, hand: Hand
) -> None:
    page = hand.page
    await page.click(".say button[type=submit]")
    assert await page.inner_text(".say-problem") == "Write a few words first."
    await page.fill("#say-text", "open at this margin")
    await page.click("[data-decide=changes]")
    await page.get_by_role("checkbox", name="Margin").check()
    await page.locator("#decide-changes button[type=submit]").click()
    await page.get_by_text("You asked for changes.").wait_for()
    assert await page.input_value("#say-text") == ""
    letter = text_of(await running.inbox.letter("verdict", ANNA))
    assert "open at this margin" in letter
    assert [one["X-Scanpost-Kind"] for one in running.inbox.letters].count("remark") == 0
