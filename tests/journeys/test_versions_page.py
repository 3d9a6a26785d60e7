"""Two versions on one page: the switch between them, the map of what has changed, and an old tab."""

import os
import re

import numpy as np
import pytest
from playwright.async_api import Browser, Page

from tests.conftest import Running
from tests.fakes import ANNA, KIM, link_of, reply_with, text_of
from tests.journeys.test_versions import FIRST, crown, shared
from tests.reviewing import (
    SMALL,
    Shared,
    Watch,
    at_rest,
    differing,
    enter,
    fully_drawn,
    picture,
    until,
    until_picture,
)

LONG = bool(os.environ.get("SCANPOST_LONG_RUNS"))
BUMP = 0.21  # mm


async def two_versions(running: Running) -> Shared:
    answer = await shared(running)
    await running.postman.send(reply_with(answer, "Higher now.", {"crown30.stl": crown(BUMP)}))
    letter = await running.inbox.letter("version", KIM)
    return Shared(running, link_of(answer), link_of(letter))


async def opened(running: Running, chromium: Browser, case: Shared) -> Page:
    context = await chromium.new_context(**SMALL)
    page = await enter(context, case.reviewers)
    Watch(running.url).over(page)
    await fully_drawn(page)
    return page


async def test_the_versions_change_places_under_the_same_camera(
    running: Running, chromium: Browser
) -> None:
    page = await opened(running, chromium, await two_versions(running))
    assert await page.inner_text(".version-number") == "2"
    assert await page.locator(".part-name:visible").all_inner_texts() == [
        "Upper jaw",
        "Lower jaw",
        "Design",
    ]
    await page.click("[data-view=lower]")
    newest = await at_rest(page)
    await half_a_measurement(page)
    before = await page.get_attribute(".stage [role=application]", "data-view")

    await page.click("button[data-version='1']")
    await page.get_by_text("This is version 1, not the newest.").wait_for()
    assert await page.inner_text(".version-number") == "1"
    assert await page.locator(".part:visible").count() == 3
    assert await page.get_attribute("button[data-version='1']", "aria-pressed") == "true"
    assert await page.get_attribute(".stage [role=application]", "data-view") == before

    await page.wait_for_load_state("networkidle")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    for version in ("2", "1", "2"):
        await page.click(f"button[data-version='{version}']")
    await until_picture(page, lambda now: differing(newest, now) < 0.002, "version 2 again")
    assert not requests, "what was seen is there still"


async def half_a_measurement(page: Page) -> None:
    """One point on this version, and one on the version before, are no distance."""
    box = await page.locator(".stage [role=application]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.click("[data-tool=distance]")
    await page.mouse.click(x - 60, y)
    await page.click("button[data-version='1']")
    assert await page.get_attribute("[data-tool=distance]", "aria-pressed") == "false"
    await page.mouse.click(x + 60, y)
    assert await page.locator(".mark").count() == 0
    await page.click("button[data-version='2']")


async def test_changes_are_coloured_and_read_in_millimetres(
    running: Running, chromium: Browser
) -> None:
    page = await opened(running, chromium, await two_versions(running))
    for other in ("Upper jaw", "Lower jaw"):
        row = page.locator(".part:visible", has_text=other)
        await row.locator(".part-toggle").click()
    await page.click("[data-view=lower]")
    for other in ("Upper jaw", "Lower jaw"):
        toggle = page.locator(".part:visible", has_text=other).locator(".part-toggle")
        if await toggle.get_attribute("aria-pressed") == "true":
            await toggle.click()
    await page.click("[data-tool=change]")
    await page.locator(".legend").wait_for(state="visible")
    assert "Changed since the version before" in await page.inner_text(".legend")
    at, value = await highest(page, (0.5, 0.5), reach=0.35, steps=15)
    _, value = await highest(page, at, reach=0.05, steps=11)
    assert value == pytest.approx(BUMP, abs=0.03), "the bump is found where it is"


async def highest(
    page: Page, around: tuple[float, float], reach: float, steps: int
) -> tuple[tuple[float, float], float]:
    """Where, in shares of the picture, the pointer reads the largest change, and what it reads."""
    box = await page.locator(".stage [role=application]").bounding_box()
    found = (around, 0.0)
    for x in np.linspace(around[0] - reach, around[0] + reach, steps):
        for y in np.linspace(around[1] - reach, around[1] + reach, steps):
            await page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
            said = await page.evaluate("document.querySelector('.legend-reading')?.textContent")
            number = re.match(r"\+([\d.]+) mm changed", said or "")
            if number and float(number[1]) > found[1]:
                found = ((x, y), float(number[1]))
    return found


async def test_an_old_tab_approves_nothing_and_says_what_is_there(
    running: Running, chromium: Browser
) -> None:
    answer = await shared(running)
    case = Shared(running, link_of(answer), link_of(await running.inbox.letter("share", KIM)))
    page = await opened(running, chromium, case)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(BUMP)}))
    await running.inbox.letter("version", KIM)
    await page.get_by_role("button", name="Approve").first.click()
    sheet = page.locator("#decide-approved")
    await sheet.get_by_role("button", name="Approve").click()
    await sheet.locator(".sheet-problem", has_text="version 2 is here since").wait_for()
    assert await page.locator(".decide-state").inner_text() == ""
    await page.keyboard.press("Escape")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await page.get_by_role("button", name="Show it").click()
    await fully_drawn(page)
    assert await page.inner_text(".version-number") == "2"
    await page.get_by_role("button", name="Approve").first.click()
    await page.locator("#decide-approved").get_by_role("button", name="Approve").click()
    letter = text_of(await running.inbox.letter("verdict", ANNA))
    assert f"{KIM} approved version 2 of C-1042 crown #30." in letter


async def test_twenty_switches_leave_the_memory_where_it_was(
    running: Running, chromium: Browser
) -> None:
    page = await opened(running, chromium, await two_versions(running))
    devtools = await page.context.new_cdp_session(page)

    async def held() -> dict[str, float]:
        await devtools.send("HeapProfiler.collectGarbage")
        counted = await devtools.send("Memory.getDOMCounters")
        heap = await devtools.send("Runtime.getHeapUsage")
        return {
            "nodes": counted["nodes"],
            "listeners": counted["jsEventListeners"],
            "heap": heap["usedSize"] + heap.get("backingStorageSize", 0),
        }

    async def switch(times: int) -> None:
        for _ in range(times):
            for version in ("1", "2"):
                await page.click(f"button[data-version='{version}']")
                await fully_drawn(page)

    await switch(2)
    first = await held()
    await switch(20 if LONG else 8)
    last = await held()
    assert last["nodes"] <= first["nodes"] + 20
    assert last["listeners"] <= first["listeners"] + 5
    assert last["heap"] < first["heap"] * 1.1 + 1e6


async def test_the_page_is_isolated_from_all_others(running: Running, chromium: Browser) -> None:
    answer = await shared(running, {"upper.stl": FIRST["UpperJaw.stl"]})
    case = Shared(running, link_of(answer), link_of(await running.inbox.letter("share", KIM)))
    page = await opened(running, chromium, case)
    assert await page.evaluate("crossOriginIsolated") is True
    assert await picture(page) is not None
    await until(lambda: page.evaluate("document.fonts.status === 'loaded'"), "settled")
