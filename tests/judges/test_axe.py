"""The judge of access for everyone: axe finds nothing wrong in any state of any page of a case.

A new state of the page is a short function and a line in STATES. `make test` looks at each state once, on a
light desktop or a dark phone in turns; `make judges` at each state in light and dark, from 320 pixels to 4k.
Where SCANPOST_SCREENSHOTS names a folder, it also gets a picture of each state.
"""

import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from scanpost import jaws
from store.clock import DAY, SetClock
from tests.axe import violations
from tests.conftest import Running
from tests.fakes import ANNA, KIM, mail, reply_with, text_of
from tests.reviewing import DESKTOP, PHONE, Shared, enter, fully_drawn, share

LONG = bool(os.environ.get("SCANPOST_LONG_RUNS"))
SCREENSHOTS = os.environ.get("SCANPOST_SCREENSHOTS", "")


@dataclass
class Visit:
    """A case and a device; each state opens a page of its own on it."""

    shared: Shared
    context: BrowserContext
    clock: SetClock

    async def at(self, address: str) -> Page:
        page = await self.context.new_page()
        await page.goto(address)
        return page

    async def drawn(self, link: str = "") -> Page:
        page = await enter(self.context, link or self.shared.reviewers)
        await fully_drawn(page)
        return page


async def entry(visit: Visit) -> Page:
    return await visit.at(visit.shared.reviewers)


async def opened(visit: Visit) -> Page:
    return await visit.drawn()


async def opened_by_the_owner(visit: Visit) -> Page:
    page = await visit.drawn(visit.shared.owners)
    await page.wait_for_selector(".problems")
    return page


async def everything_unfolded(visit: Visit) -> Page:
    page = await visit.drawn()
    for summary in await page.locator("summary:visible").all():
        await summary.click()
    return page


async def a_view_with_its_jaw_aside(visit: Visit) -> Page:
    page = await visit.drawn()
    await page.click("[data-view=lower]")
    await page.wait_for_selector("text=Show all")
    return page


async def all_scans_hidden(visit: Visit) -> Page:
    page = await visit.drawn()
    for toggle in await page.locator(".part-toggle").all():
        await toggle.click()
    await page.wait_for_selector("text=All scans are hidden")
    return page


async def a_scan_seen_through(visit: Visit) -> Page:
    page = await visit.drawn()
    await page.locator(".part input[type=range]").first.fill("30")
    return page


async def the_picture_by_keyboard(visit: Visit) -> Page:
    page = await visit.drawn()
    await page.keyboard.press("Tab")
    await page.locator(".stage [role=application]").focus()
    return page


async def measuring_in_a_section(visit: Visit) -> Page:
    page = await visit.drawn()
    for tool in ("section", "thickness", "angle", "distance"):
        await page.click(f"[data-tool={tool}]")
    box = await page.locator(".stage [role=application]").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.locator("[data-tool=section]").click()
    for aside in (-30, 30):
        await page.mouse.click(x + aside, y + 20)
    await page.locator("[data-tool=section]").click()
    await page.locator(".card-row").nth(1).wait_for()
    return page


async def a_map_with_its_legend(visit: Visit) -> Page:
    page = await visit.drawn()
    await page.click("[data-tool=contacts]")
    await page.locator(".legend").wait_for(state="visible")
    return page


async def words_were_said(visit: Visit) -> Page:
    page = await visit.drawn()
    await page.fill("#say-text", "Is 14 closed?")
    await page.click(".say button[type=submit]")
    await page.locator(".remark").first.wait_for()
    return page


async def about_to_approve(visit: Visit) -> Page:
    return await _in_a_sheet(visit, "[data-decide=approved]", "#decide-approved")


async def about_to_ask_for_changes(visit: Visit) -> Page:
    page = await _in_a_sheet(visit, "[data-decide=changes]", "#decide-changes")
    await page.locator("#decide-changes button[type=submit]").click()
    await page.locator("#decide-changes .sheet-problem", has_text="choose a reason").wait_for()
    return page


async def drawing_an_arrow(visit: Visit) -> Page:
    page = await _in_a_sheet(visit, "[data-tool=snapshot]", "#snapshot")
    await page.locator(".snapshot-paper canvas").focus()
    for key in ("Enter", "ArrowRight", "ArrowRight", "Enter"):
        await page.keyboard.press(key)
    return page


async def on_with_a_phone(visit: Visit) -> Page:
    page = await _in_a_sheet(visit, "[data-do=phone]", "#phone")
    await page.locator(".phone-code svg").wait_for()
    return page


async def refusing_letters(visit: Visit) -> Page:
    return await visit.at(f"{visit.shared.reviewers}/stop")


async def asked_for_an_address(visit: Visit) -> Page:
    return await visit.at(f"{visit.shared.reviewers}/code")


async def _in_a_sheet(visit: Visit, button: str, sheet: str) -> Page:
    page = await visit.drawn()
    await page.click(button)
    await page.locator(sheet).wait_for(state="visible")
    return page


async def asking_for_an_upload(visit: Visit) -> Page:
    running = visit.shared.running
    await running.postman.send(mail("scans", f"UPLOAD {KIM} C-1043"))
    letter = text_of(await running.inbox.letter("upload", ANNA))
    found = re.search(r"http\S+/u/[a-z2-7]{26}", letter)
    assert found
    return await visit.at(found[0])


async def decided(visit: Visit) -> Page:
    page = await about_to_ask_for_changes(visit)
    await page.get_by_role("checkbox", name="Margin").check()
    await page.locator("#decide-changes button[type=submit]").click()
    await page.get_by_text("You asked for changes.").wait_for()
    return page


async def a_second_version(visit: Visit) -> Page:
    running = visit.shared.running
    if not [one for one in running.inbox.letters if one["X-Scanpost-Kind"] == "version"]:
        answer = await running.inbox.letter("answer", ANNA)
        crown = jaws.stl_bytes(jaws.make_crown(5_000))
        await running.postman.send(reply_with(answer, "Higher", {"C-1042-crown-30.stl": crown}))
        await running.inbox.letter("version", KIM)
    page = await visit.drawn()
    await page.locator("button[data-version='1']").wait_for()
    return page


async def an_older_version(visit: Visit) -> Page:
    page = await a_second_version(visit)
    await page.click("button[data-version='1']")
    await page.get_by_text("This is version 1, not the newest.").wait_for()
    return page


async def full_detail_did_not_come(visit: Visit) -> Page:
    await visit.context.route("**/full.glb*", lambda route: route.fulfill(status=500))
    page = await enter(visit.context, visit.shared.reviewers)
    await page.locator(".line-action", has_text="Try again").wait_for()
    await visit.context.unroute_all()
    return page


async def nothing_to_turn(visit: Visit) -> Page:
    await visit.context.route("**/*.glb*", lambda route: route.fulfill(status=500))
    page = await enter(visit.context, visit.shared.reviewers)
    await page.wait_for_selector("html[data-state=failed]", state="attached")
    await visit.context.unroute_all()
    return page


async def front(visit: Visit) -> Page:
    return await visit.at(visit.shared.running.url)


async def nothing_here(visit: Visit) -> Page:
    return await visit.at(f"{visit.shared.running.url}/r/{'a' * 26}")


async def not_this_way(visit: Visit) -> Page:
    await visit.context.clear_cookies()
    return await visit.at(f"{visit.shared.reviewers}/v/1/poster.webp")


async def revoked(visit: Visit) -> Page:
    await visit.shared.revoke()
    page = await visit.at(visit.shared.reviewers)
    await page.wait_for_selector("text=This link has ended")
    return page


async def expired(visit: Visit) -> Page:
    visit.clock.advance(30 * DAY)
    page = await visit.at(visit.shared.owners)
    await page.wait_for_selector("text=This link has ended")
    return page


# In this order: what ends the case comes last.
STATES: dict[str, Callable[[Visit], Awaitable[Page]]] = {
    state.__name__.replace("_", "-"): state
    for state in (
        front,
        nothing_here,
        entry,
        opened,
        opened_by_the_owner,
        everything_unfolded,
        a_view_with_its_jaw_aside,
        all_scans_hidden,
        a_scan_seen_through,
        the_picture_by_keyboard,
        measuring_in_a_section,
        a_map_with_its_legend,
        words_were_said,
        about_to_approve,
        about_to_ask_for_changes,
        drawing_an_arrow,
        on_with_a_phone,
        refusing_letters,
        asked_for_an_address,
        asking_for_an_upload,
        decided,
        a_second_version,
        an_older_version,
        full_detail_did_not_come,
        nothing_to_turn,
        not_this_way,
        revoked,
        expired,
    )
}
STRANGERS = (entry, asked_for_an_address)  # states of a device that was never in
DEVICES: dict[str, dict[str, Any]] = {
    "light-desktop": {**DESKTOP, "color_scheme": "light"},
    "dark-phone": {**PHONE, "color_scheme": "dark"},
    "dark-desktop": {**DESKTOP, "color_scheme": "dark"},
    "light-phone": {**PHONE, "color_scheme": "light"},
    "narrow": {**PHONE, "viewport": {"width": 320, "height": 640}, "reduced_motion": "reduce"},
    "lying-phone": {**PHONE, "viewport": {"width": 844, "height": 390}},
    "4k": {"viewport": {"width": 3840, "height": 2160}},
    "forced-colours": {**DESKTOP, "forced_colors": "active"},
}
SHORT = ("light-desktop", "dark-phone")


@pytest.mark.parametrize("device", DEVICES if LONG else SHORT)
async def test_axe_finds_nothing_wrong_in_any_state(
    running: Running, chromium: Browser, axe: Path, clock: SetClock, device: str
) -> None:
    shared = await share(running)
    wrong: dict[str, list[str]] = {}
    cookies: dict[str, Any] = {}  # a link belongs to the device that opened it first
    for number, (name, state) in enumerate(STATES.items()):
        if not LONG and number % 2 != SHORT.index(device):
            continue
        context = await chromium.new_context(**DEVICES[device])
        await context.add_init_script(path=axe)
        await context.add_cookies([] if state in STRANGERS else list(cookies.values()))
        page = await state(Visit(shared, context, clock))
        wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        found = await violations(page) + [f"{wide} pixels too wide"] * (wide > 0)
        if found:
            wrong[name] = found
        if SCREENSHOTS:
            await page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{device}.png")
        cookies |= {str(one["name"]): one for one in await context.cookies()}
        await context.close()
    assert not wrong
