"""The ways in, in a real browser: a second device, codes, passwords, a picture for the phone, the way out."""

import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from store.clock import DAY
from tests.clicks import Site, letters_of, open_thread
from tests.conftest import Running, jaw_stl
from tests.fakes import ANNA, KIM, link_of, mail, reply, text_of
from tests.journeys.test_confirm_page import small_controls, violations
from tests.test_viewer_entry import link_of as link_to
from tests.test_viewer_entry import newest_code

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1440, "height": 900}}
WORDS = "gull teapot 4711"
SEEN: Path | None = None  # a folder for screenshots, to be looked at


async def device(browser: Browser, axe: Path, size: dict[str, object] = PHONE) -> BrowserContext:
    context = await browser.new_context(**size)
    await context.add_init_script(path=axe)
    return context


async def look(page: Page, name: str) -> None:
    """What axe, a thumb and a narrow screen say about a page in light and in dark."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        assert await violations(page) == [], f"{name} {scheme}"
        if SEEN:
            await page.screenshot(path=SEEN / f"{name}-{scheme}.png", full_page=True)
    assert await small_controls(page) == [], name


async def press(page: Page) -> None:
    await page.click("button[type=submit]")


async def test_a_second_device_asks_types_the_mailed_code_and_is_in(
    running: Running, chromium: Browser, axe: Path
) -> None:
    await running.postman.send(mail(f"{KIM} C-1042", "x", {"a.stl": jaw_stl("upper", 500)}))
    link = link_of(await running.inbox.letter("share", KIM))
    laptop = await (await device(chromium, axe, DESKTOP)).new_page()
    await laptop.goto(link)
    await press(laptop)
    await laptop.wait_for_selector("text=C-1042")

    phone = await (await device(chromium, axe)).new_page()
    complaints: list[str] = []
    phone.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    await phone.goto(link)
    await press(phone)
    await phone.wait_for_selector("[name=address]")
    await phone.fill("[name=address]", "Kim@Clinic.example")
    await press(phone)
    await phone.wait_for_selector("[name=code]")
    letter = await running.inbox.letter("code", KIM)
    found = re.search(r"^(\d{3} \d{3})\s*$", text_of(letter), re.MULTILINE)
    assert found
    assert letter["Auto-Submitted"] == "auto-generated"
    await phone.reload()  # a telephone forgets the page while somebody reads the letter
    assert await phone.get_attribute("[name=code]", "autocomplete") == "one-time-code"
    assert await phone.get_attribute("[name=code]", "inputmode") == "numeric"
    await phone.fill("[name=code]", found[1])
    await phone.keyboard.press("Enter")
    await phone.wait_for_selector("text=C-1042")
    assert phone.url == link
    assert complaints == []

    answer = await running.inbox.letter("answer", ANNA)
    await running.postman.send(reply(answer, "ACCESS CODE"))
    await running.inbox.letter("transcript", ANNA)
    await laptop.reload()
    assert "C-1042" not in await laptop.inner_text("main")
    await phone.reload()
    assert "C-1042" in await phone.inner_text("body")


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_axe_finds_nothing_wrong_on_the_first_device(
    site: Site, chromium: Browser, axe: Path, size: dict[str, object]
) -> None:
    thread = await open_thread(site.house)
    name = "phone" if size is PHONE else "desktop"
    link = await link_to(site, thread)
    page = await (await device(chromium, axe, size)).new_page()
    await page.goto(link)
    await look(page, f"{name}-entry")
    await page.reload()
    await press(page)
    await page.wait_for_selector("text=C-1042")
    await thread.say(f"PASSWORD: {WORDS}")
    await page.reload()
    await look(page, f"{name}-entry-password")
    await page.reload()
    await page.fill("[name=password]", "wrong words")
    await press(page)
    await page.wait_for_selector("[role=alert]")
    await look(page, f"{name}-entry-wrong")
    await page.goto(link)
    await page.fill("[name=password]", WORDS)
    await press(page)
    await page.wait_for_selector("text=C-1042")


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_axe_finds_nothing_wrong_on_any_page_of_another_device(
    site: Site, chromium: Browser, axe: Path, size: dict[str, object]
) -> None:
    thread = await open_thread(site.house)
    name = "phone" if size is PHONE else "desktop"
    link = await link_to(site, thread)
    await thread.say("ACCESS CODE")
    await thread.say(f"PASSWORD: {WORDS}")
    other = await (await device(chromium, axe, size)).new_page()
    await other.goto(link)
    await press(other)
    await look(other, f"{name}-address")
    await other.reload()
    await other.eval_on_selector("form", "form => { form.noValidate = true }")
    await press(other)
    await other.wait_for_selector("[role=alert]")
    await look(other, f"{name}-address-problem")
    await other.goto(f"{link}/code")
    await other.fill("[name=address]", KIM)
    await press(other)
    await other.wait_for_selector("[name=code]")
    await look(other, f"{name}-code")
    await other.reload()
    await other.fill("[name=code]", "12")
    await other.fill("[name=password]", WORDS)
    await press(other)
    await other.wait_for_selector("[role=alert]")
    await look(other, f"{name}-code-problem")
    await other.goto(f"{link}/code")
    await other.fill("[name=code]", await newest_code(site.house))
    await other.fill("[name=password]", WORDS)
    await press(other)
    await other.wait_for_selector("text=C-1042")

    await post_from(other, link, "handover")
    await other.wait_for_selector(".qr svg")
    await look(other, f"{name}-handover")
    await other.goto(f"{link}/stop")
    await look(other, f"{name}-stop")
    await other.goto(f"{link}/stop")
    await other.check("[value='not me']")
    await press(other)
    await other.wait_for_selector("text=Your link has ended")
    await look(other, f"{name}-stopped")


async def post_from(page: Page, link: str, what: str) -> None:
    """What a button of the review page will do: a form of this origin, without a script's help."""
    await page.goto(f"{link}/stop")  # it holds the key of this session
    await page.eval_on_selector(
        "form", f"form => {{ form.action = '{link}/{what}'; form.noValidate = true }}"
    )
    await press(page)


async def test_a_phone_scans_the_picture_and_is_in(
    site: Site, chromium: Browser, axe: Path
) -> None:
    thread = await open_thread(site.house)
    link = await link_to(site, thread)
    laptop = await (await device(chromium, axe, DESKTOP)).new_page()
    await laptop.goto(link)
    await press(laptop)
    await laptop.wait_for_selector("text=C-1042")
    shown = await laptop.evaluate(
        """async place => {
          const headers = {Accept: "application/json"};
          const answer = await fetch(place, {method: "POST", headers});
          return [answer.status, await answer.text()];
        }""",
        f"{link}/handover",
    )
    assert shown[0] == 200
    picture = json.loads(shown[1])
    await laptop.evaluate("svg => { document.body.innerHTML = svg }", picture["svg"])
    assert await laptop.locator("svg path").count() >= 1
    phone = await (await device(chromium, axe)).new_page()
    await phone.goto(picture["link"])
    assert "C-1042" not in await phone.inner_text("main")
    await press(phone)
    await phone.wait_for_selector("text=C-1042")
    assert phone.url == link  # the secret is gone from the address


async def test_a_click_of_a_script_opens_nothing_and_a_hand_does(
    site: Site, chromium: Browser
) -> None:
    thread = await open_thread(site.house)
    link = await link_to(site, thread)
    context = await chromium.new_context()
    page = await context.new_page()
    await page.add_init_script(
        """addEventListener("load", () => {
          if (!sessionStorage.clicked) document.querySelector("button").click();
          sessionStorage.clicked = "once";
        })"""
    )
    async with page.expect_response(lambda one: one.request.method == "POST") as caught:
        await page.goto(link)
    answered = await caught.value
    told = await answered.request.all_headers()
    assert "sec-ch-ua" in told
    assert "sec-fetch-user" not in told
    assert answered.status == 200
    assert await context.cookies() == []
    assert (await thread.reviewers())[KIM].bound_at is None
    await page.wait_for_load_state()
    async with page.expect_response(lambda one: one.request.method == "POST") as caught:
        await press(page)
    answered = await caught.value
    assert (await answered.request.all_headers())["sec-fetch-user"] == "?1"
    assert answered.status == 303
    assert len(await context.cookies()) == 1


async def test_the_forms_bring_no_referrer_and_still_count(site: Site, chromium: Browser) -> None:
    thread = await open_thread(site.house)
    link = await link_to(site, thread)
    page = await (await chromium.new_context(**PHONE)).new_page()
    await page.goto(link)
    async with page.expect_response(lambda one: one.request.method == "POST") as caught:
        await press(page)
    told = await (await caught.value).request.all_headers()
    assert "referer" not in told
    assert told["origin"] == "null"
    await page.wait_for_selector("text=C-1042")
    site.house.clock.advance(7 * DAY)  # type: ignore[attr-defined]
    assert [one.kind for one in await letters_of(site.house)] == []
