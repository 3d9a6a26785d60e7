"""The review page for who needs it twice as large: by the browser's text size, and by its zoom (WCAG 1.4.4, 1.4.10)."""

import os

import pytest
from playwright.async_api import Browser

from tests.conftest import Running
from tests.reviewing import enter, fully_drawn, share

LONG = bool(os.environ.get("SCANPOST_LONG_RUNS"))
TWICE = {"standard": 32, "fixed": 26}  # pixels; browsers come with 16 and 13
# Words that stick out of their buttons, and what can be pressed but is covered where it stands.
LOST = """() => [...document.querySelectorAll("button, summary, .tool, textarea, .decide a")]
  .filter((one) => one.checkVisibility() && !one.closest("dialog"))
  .map((one) => {
    one.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
    const { left, top, width, height } = one.getBoundingClientRect();
    const met = document.elementFromPoint(left + width / 2, top + height / 2);
    const cut = one.tagName !== "TEXTAREA" && one.scrollWidth > one.clientWidth + 1 && one.clientWidth;
    const covered = !met || !(one.contains(met) || met.contains(one));
    return cut || covered ? `${one.className} ${one.innerText} ${cut ? "cut" : "covered"}` : "";
  })
  .filter(Boolean)"""


SCREENS = [
    pytest.param((360, 740), True, id="phone, text twice as large"),
    pytest.param((640, 400), False, id="desktop, zoomed to 200 %"),
    pytest.param((1280, 800), True, id="desktop, text twice as large"),
    pytest.param((320, 256), False, id="desktop, zoomed to 400 %"),
]


@pytest.mark.parametrize(("screen", "by_text"), SCREENS if LONG else SCREENS[:2])
async def test_everything_can_be_read_and_pressed(
    running: Running, chromium: Browser, screen: tuple[int, int], by_text: bool
) -> None:
    width, height = screen
    shared = await share(running)
    context = await chromium.new_context(viewport={"width": width, "height": height})
    page = await context.new_page()
    if by_text:
        chrome = await context.new_cdp_session(page)
        await chrome.send("Page.enable")
        await chrome.send("Page.setFontSizes", {"fontSizes": TWICE})
    await enter(context, shared.reviewers, page)
    await fully_drawn(page)
    text = await page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
    assert text >= (32 if by_text else 16)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await page.evaluate(LOST) == []
    stage = await page.locator(".stage").bounding_box()
    assert stage["height"] > 0.25 * height, "the picture is still one"
    await context.close()
