"""The pages behind mailed links in a real browser: what a click permits, codes, and signing up."""

import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
import segno
from playwright.async_api import Browser, BrowserContext, Page

from store import consent
from store.house import House
from store.records import codes, labs
from store.states import CaseState, Strength
from tests.axe import violations
from tests.clicks import (
    Site,
    Thread,
    deliver,
    letters_of,
    open_thread,
    publish_domain,
    run_confirmation,
    set_up_codes,
)
from tests.conftest import Running, jaw_stl
from tests.fakedns import FakeDns
from tests.fakes import ANNA, KIM, html_of, mail, reply, text_of

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
NEW = "nora@new.example"
SEEN: Path | None = None  # a folder for screenshots, to be looked at


async def small_controls(page: Page) -> list[str]:
    """What a thumb could miss, and whether the page must be pushed sideways."""
    return list(
        await page.evaluate(
            """() => {
              const found = [];
              for (const one of document.querySelectorAll(
                "button, input:not([type=hidden]), label.tick",
              )) {
                const box = (one.closest("label.tick") ?? one).getBoundingClientRect();
                if (box.height < 44) found.push(`${one.outerHTML} is ${box.height} high`);
              }
              const wide = document.documentElement.scrollWidth - innerWidth;
              if (wide > 0) found.push(`the page is ${wide} too wide`);
              return found;
            }"""
        )
    )


async def look(page: Page, name: str) -> None:
    """What axe, a thumb and a narrow screen say about a page in light and in dark."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        assert await violations(page) == [], f"{name} {scheme}"
        if SEEN:
            await page.screenshot(path=SEEN / f"{name}-{scheme}.png", full_page=True)
    assert await small_controls(page) == [], name


async def context_of(browser: Browser, axe: Path, size: dict[str, object]) -> BrowserContext:
    context = await browser.new_context(**size)
    await context.add_init_script(path=axe)
    return context


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_axe_finds_nothing_wrong_on_any_page(
    house: House, site: Site, chromium: Browser, axe: Path, dns: FakeDns, size: dict[str, object]
) -> None:
    publish_domain(dns, "lab.example")
    name = "phone" if size is PHONE else "desktop"
    context = await context_of(chromium, axe, size)
    page = await context.new_page()
    thread = await open_thread(house)
    many = [
        f"doctor.with.a.rather.long.name.{n}@clinic-of-the-long-street.example" for n in range(5)
    ]
    asked = {
        "delete": (await thread.say("DELETE"))[0],
        "extend": (await thread.say("EXTEND 3", Strength.SENT))[0],
        "add": (await thread.say(f"ADD {', '.join(many)}"))[0],
        "enrol-first": (await thread.say("2FA ON"))[0],
    }
    house.settings = house.settings.model_copy(update={"signup": "open"})
    await deliver(house, mail(f"{KIM} C-9", "x", {"a.stl": jaw_stl("upper", 500)}, sender=NEW))
    asked["signup"] = (await letters_of(house))[-1]
    for what, letter in asked.items():
        await page.goto(site.link_of(letter))
        await look(page, f"{name}-{what}")
    await page.fill("[name=name]", "Nora Ny")
    await page.eval_on_selector("form", "form => { form.noValidate = true }")
    await page.click("button[type=submit]")
    await page.wait_for_selector("[role=alert]")
    assert await page.input_value("[name=name]") == "Nora Ny"
    await look(page, f"{name}-signup-problem")

    await page.goto(site.link_of(asked["enrol-first"]))
    await page.click("button[type=submit]")
    await page.wait_for_selector(".qr svg")
    await look(page, f"{name}-enrol")
    await page.fill("[name=code]", "123456")
    await page.click("button[type=submit]")
    await page.wait_for_selector("[role=alert]")
    await look(page, f"{name}-enrol-problem")
    await page.fill("[name=code]", code_of(await secret_on(page), house.clock.now()))
    await page.click("button[type=submit]")
    await page.wait_for_selector(".codes")
    await look(page, f"{name}-backup")

    await page.goto(site.link_of(asked["delete"]))  # codes are on now: the page asks for one
    await look(page, f"{name}-delete-code")
    await page.goto(site.link_of(asked["extend"]))
    await page.click("button[type=submit]")
    await page.wait_for_selector("text=Confirmed")
    await look(page, f"{name}-confirmed")
    await page.goto(site.link_of(asked["extend"]))
    await look(page, f"{name}-used")


async def secret_on(page: Page) -> str:
    return (await page.inner_text("p code")).replace(" ", "")


def code_of(secret: str, now: int) -> str:
    return pyotp.TOTP(secret).at(now // 1000)


async def test_a_member_sets_codes_up_uses_one_and_ends_it(
    running: Running, chromium: Browser
) -> None:
    await running.postman.send(mail(f"{KIM} C-1042", "x", {"a.stl": jaw_stl("upper", 500)}))
    answer = await running.inbox.letter("answer", ANNA)
    await running.postman.send(reply(answer, "2FA ON"))
    letter = await running.inbox.letter("confirm", ANNA)
    link = next(word for word in text_of(letter).split() if "/c/" in word)

    page = await (await chromium.new_context(**PHONE)).new_page()
    complaints: list[str] = []
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    await page.goto(link)
    assert await page.locator(".qr").count() == 0
    await page.click("button[type=submit]")
    drawn = await page.locator(".qr svg path").last.get_attribute("d")
    secret = await secret_on(page)
    expected = (
        f"otpauth://totp/scanpost%20scans.example:{ANNA.replace('@', '%40')}"
        f"?secret={secret}&issuer=scanpost%20scans.example"
    )
    assert parse_qs(urlsplit(expected).query)["secret"] == [secret]
    uri = pyotp.TOTP(secret).provisioning_uri(name=ANNA, issuer_name="scanpost scans.example")
    assert unquote(uri).startswith(unquote(expected))
    ours = segno.make(uri, error="m").svg_inline(scale=5, border=3, light="#fff", omitsize=True)
    assert drawn
    assert f'd="{drawn}"' in ours
    assert await dark_modules(page) == modules_of(uri)

    await page.fill("[name=code]", code_of(secret, running.house.clock.now()))
    async with page.expect_response(lambda one: one.request.method == "POST") as caught:
        await page.click("button[type=submit]")
    await page.wait_for_selector(".codes")
    answered = await caught.value
    assert (
        await answered.header_value("cache-control") == "no-store"
    )  # shown once, not gone back to
    backup = await page.locator(".codes code").all_inner_texts()
    assert len(set(backup)) == 10
    assert complaints == []
    await page.goto(link)
    assert await page.inner_text("h1") == "This link has ended"
    told = await running.inbox.letter("notice", ANNA)
    assert "Codes are on" in text_of(told)
    await running.postman.send(reply(answer, f"2FA OFF\nCODE {backup[0]}"))
    off = await running.inbox.letter("transcript", ANNA)
    assert "Codes are off" in text_of(off)
    await running.all_done()
    for one in running.inbox.letters:
        assert secret not in text_of(one) + html_of(one)
        assert not any(code in text_of(one) + html_of(one) for code in backup)
    async with running.house.database.read() as connection:
        anna = await labs.member_by_address(connection, ANNA)
        assert anna is not None
        assert not anna.has_codes
        assert await codes.backup_codes_left(connection, anna.id) == 0


def modules_of(uri: str) -> list[list[int]]:
    return [list(row) for row in segno.make(uri, error="m").matrix]


async def dark_modules(page: Page) -> list[list[int]]:
    """The picture as a camera sees it: the middle of each module, dark or light."""
    import io  # noqa: PLC0415

    import numpy as np  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    png = await page.locator(".qr svg").screenshot()
    seen = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    box = str(await page.locator(".qr svg").get_attribute("viewBox"))
    width = int(re.findall(r"\d+", box)[2])
    scale = 5  # as segno was told; 3 modules are the border
    count = width // scale
    middle = (np.arange(3, count - 3) + 0.5) / count
    place = (middle * seen.shape[0]).astype(int)
    return (seen[np.ix_(place, place)] < 128).astype(int).tolist()


async def test_delete_is_permitted_with_box_and_button_and_by_keyboard_alone(
    house: House, site: Site, chromium: Browser
) -> None:
    thread = await open_thread(house)
    [letter] = await thread.say("DELETE")
    page = await (await chromium.new_context(**DESKTOP)).new_page()
    await page.goto(site.link_of(letter))
    await page.click("button[type=submit]")  # the browser itself asks for the box
    assert page.url == site.link_of(letter)
    assert await page.inner_text("h1") == "DELETE"
    await page.keyboard.press("Space")  # it has put the focus there
    await page.keyboard.press("Enter")
    await page.wait_for_selector("text=Confirmed")
    await run_confirmation(house, (letter.context or {})["confirmation"])
    assert await ended(thread)


async def ended(thread: Thread) -> bool:
    return (await thread.now()).state is CaseState.DELETED


async def test_a_stranger_agrees_on_the_page(house: House, site: Site, chromium: Browser) -> None:
    house.settings = house.settings.model_copy(update={"signup": "open"})
    await deliver(house, mail(f"{KIM} C-9", "x", {"a.stl": jaw_stl("upper", 500)}, sender=NEW))
    [letter] = await letters_of(house)
    page = await (await chromium.new_context(**PHONE)).new_page()
    await page.goto(site.link_of(letter))
    shown = await page.inner_text("main")
    assert all(sentence in shown for sentence in consent.TEXT)
    assert NEW in shown
    await page.fill("[name=name]", "Nora Ny")
    await page.fill("[name=company]", "New Smile")
    await page.check("[name=agree]")
    await page.click("button[type=submit]")
    await page.wait_for_selector("text=Confirmed")
    await run_confirmation(house, (letter.context or {})["confirmation"])
    async with house.database.read() as connection:
        nora = await labs.member_by_address(connection, NEW)
    assert nora is not None
    assert (nora.name, nora.company) == ("Nora Ny", "New Smile")


async def test_a_click_with_a_code_of_the_app(
    house: House, site: Site, chromium: Browser, dns: FakeDns
) -> None:
    publish_domain(dns, "lab.example")
    await set_up_codes(house)
    thread = await open_thread(house)
    [letter] = await thread.say("DELETE", Strength.SENT)
    page = await (await chromium.new_context(**PHONE)).new_page()
    await page.goto(site.link_of(letter))
    await page.check("[name=sure]")
    await page.fill("[name=code]", "484848")
    await page.click("button[type=submit]")
    await page.wait_for_selector("[role=alert]")
    assert await page.input_value("[name=code]") == ""
    await page.check("[name=sure]")
    from tests.clicks import code_now  # noqa: PLC0415

    await page.fill("[name=code]", code_now(house))
    await page.click("button[type=submit]")
    await page.wait_for_selector("text=Confirmed")
    await run_confirmation(house, (letter.context or {})["confirmation"])
    assert await ended(thread)
