"""The page behind the link, in a real browser: what a reviewer does in the first five minutes."""

import asyncio
import functools
import hashlib
import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from playwright.async_api import Browser, BrowserContext, Page, Playwright, Route, async_playwright

from inbound.scans.mesh import Mesh
from scanpost import jaws
from store.clock import HOUR, SetClock
from store.records import access, labs
from store.records.schema import metadata
from tests.browser import ARGUMENTS, CHROMIUM
from tests.conftest import Running, jaw_stl
from tests.fakes import ANNA, KIM, PATIENCE, link_of, mail, reply
from tests.journeys.test_formats import photo, textured

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
SMALL = {"viewport": {"width": 800, "height": 500}}  # quick to draw without a graphics card
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SUBJECT = f"{KIM} C-1042 crown #30"
TRIANGLES = 20_000
# How each view looks at jaws that stand z up, front +y, as scanpost.jaws makes them.
VIEWS = {
    "front": (0, 1, 0),
    "back": (0, -1, 0),
    "left": (-1, 0, 0),
    "right": (1, 0, 0),
    "upper": (0, 0, -1),
    "lower": (0, 0, 1),
}


@functools.cache
def scans(*, turned: bool = False) -> dict[str, bytes]:
    """Two coloured jaws, a crown, and a bite scan that breaks off."""
    place = turn if turned else lambda mesh: mesh
    upper = place(jaws.make_jaw(TRIANGLES, "upper"))
    lower = place(jaws.make_jaw(TRIANGLES, "lower"))
    return {
        "C-1042-UpperJaw.ply": jaws.ply_bytes(upper),
        "C-1042-LowerJaw.ply": jaws.ply_bytes(lower),
        "C-1042-crown-30.stl": jaws.stl_bytes(place(jaws.make_crown(4_000))),
        "bite.stl": jaw_stl("lower")[:30_000],
    }


# Y up, as some scanners export, and then turned by 30 degrees about that axis.
_COS, _SIN = np.cos(np.pi / 6), np.sin(np.pi / 6)
TURN = np.array([[_COS, 0, _SIN], [0, 1, 0], [-_SIN, 0, _COS]]) @ np.array(
    [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
)


def turn(mesh: Mesh) -> Mesh:
    return Mesh((mesh.vertices @ TURN.T).astype(np.float32), mesh.faces, mesh.colours)


@pytest.fixture
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as driver:
        yield driver


@pytest.fixture
async def chromium(playwright: Playwright) -> AsyncIterator[Browser]:
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    await browser.close()


@dataclass
class Watch:
    """What a page did that it should not."""

    origin: str
    complaints: list[str] = field(default_factory=list)

    def over(self, page: Page) -> None:
        page.on("console", lambda said: said.type == "error" and self.note(said.text))
        page.on("pageerror", lambda error: self.note(str(error)))
        page.on("request", lambda request: self._same_origin(request.url))

    def note(self, complaint: str) -> None:
        self.complaints.append(complaint)

    def _same_origin(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.note(f"asked {url}")


# A violation of the policy is an event of the document, whoever is told in the console.
WATCH_POLICY = """
window.violations = [];
addEventListener("securitypolicyviolation", (e) =>
  violations.push(`${e.violatedDirective} ${e.blockedURI}`));
"""


@dataclass
class Shared:
    """A case that was mailed, and the links to it."""

    running: Running
    owners: str
    reviewers: str

    async def views(self) -> int:
        async with self.running.house.database.read() as connection:
            [kim] = await access.reviewers_of(connection, (await self.running.only_case()).id)
        return kim.views

    async def revoke(self) -> None:
        await self.running.postman.send(reply(await self.running.inbox.letter("answer"), "REVOKE"))
        await self.running.inbox.letter("transcript")


async def share(running: Running, files: dict[str, bytes] | None = None) -> Shared:
    await running.postman.send(mail(SUBJECT, "Is the margin closed?", files or scans()))
    answer = await running.inbox.letter("answer", ANNA)
    return Shared(running, link_of(answer), link_of(await running.inbox.letter("share", KIM)))


async def enter(context: BrowserContext, link: str) -> Page:
    """Opens a link and presses the button."""
    page = await context.new_page()
    await page.goto(link)
    await page.click("button[type=submit]")
    await page.wait_for_selector(".workplace")
    await page.wait_for_load_state("load")
    return page


async def fully_drawn(page: Page) -> None:
    await page.wait_for_selector("html[data-state=full]", state="attached")


async def picture(page: Page) -> np.ndarray:
    png = await page.locator(".stage [role=application]").screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def differing(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels that look different."""
    return float((np.abs(one - other).max(axis=2) > 24).mean())


async def until(met: Callable[[], Awaitable[bool]], what: str) -> None:
    """Looks again and again; each look is a question to the browser, so nothing spins."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await met():
                pass
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None


async def until_picture(page: Page, met: Callable[[np.ndarray], bool], what: str) -> np.ndarray:
    last = await picture(page)

    async def look() -> bool:
        nonlocal last
        last = await picture(page)
        return met(last)

    await until(look, what)
    return last


async def viewpoint(page: Page) -> np.ndarray:
    said = await page.get_attribute(".stage [role=application]", "data-view")
    return np.array([float(number) for number in str(said).split(",")])


def degrees(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


async def until_looking(page: Page, towards: np.ndarray, within: float) -> None:
    async def there() -> bool:
        return degrees(await viewpoint(page), towards) <= within

    await until(there, f"looking from {towards}")


async def test_the_mailed_link_leads_over_one_button_to_the_scans(
    running: Running, chromium: Browser
) -> None:
    shared = await share(running)
    watch = Watch(running.url)
    context = await chromium.new_context(**DESKTOP)
    await context.add_init_script(WATCH_POLICY)
    page = await context.new_page()
    watch.over(page)

    await page.goto(shared.reviewers)
    assert "Anna Berg shares 3D scans with you" in await page.inner_text("h1")
    entry = await page.content()
    for secret in ("C-1042", "crown", "margin", "Upper", "scan/1", KIM):
        assert secret not in entry
    assert await page.locator("button").count() == 1
    assert not await page.locator("script").count()

    await page.click("button[type=submit]")
    await fully_drawn(page)
    assert page.url == shared.reviewers
    assert await page.inner_text("h1") == "C-1042 crown #30"
    assert await page.locator(".part-name").all_inner_texts() == [
        "Upper jaw",
        "Lower jaw",
        "Design",
    ]
    assert await page.locator(".line-note").inner_text() == "Full detail"
    assert await page.locator(".poster").is_hidden()
    empty = await page.evaluate(
        "getComputedStyle(document.querySelector('.stage')).backgroundColor"
    )
    background = [int(number) for number in re.findall(r"\d+", empty)[:3]]
    drawn = (np.abs(await picture(page) - background).max(axis=2) > 24).mean()
    assert drawn > 0.15

    # The damaged scan is the lab's business: the reviewer reads nothing of it.
    assert "bite" not in (await page.content()).lower()
    owner = await enter(context, shared.owners)
    watch.over(owner)
    await fully_drawn(owner)
    problem = await owner.inner_text(".problems li")
    assert problem.startswith("bite.stl stops after 598 of")
    assert await owner.locator(".part").count() == 3

    for one in (page, owner):
        assert await one.evaluate("violations") == []
    assert watch.complaints == []
    await context.close()


async def test_a_view_counts_once_and_only_when_a_person_has_seen_a_scan(
    running: Running, chromium: Browser
) -> None:
    shared = await share(running)
    robot = await chromium.new_context()
    page = await robot.new_page()
    await page.goto(shared.reviewers, wait_until="networkidle")
    assert await shared.views() == 0

    context = await chromium.new_context(**DESKTOP)
    page = await context.new_page()
    asked, let_go = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        asked.set()
        await let_go.wait()
        await route.continue_()

    await page.route("**/preview.glb*", hold)
    await page.goto(shared.reviewers)
    await page.click("button[type=submit]")
    await asyncio.wait_for(asked.wait(), PATIENCE)
    await page.wait_for_selector("html[data-state=loading]", state="attached")
    assert await page.locator(".poster").is_visible()
    assert await shared.views() == 0
    async with page.expect_response("**/seen") as seen:
        let_go.set()
        await page.wait_for_selector("html[data-state=full]", state="attached")
        assert await shared.views() == 0, "drawn, but nobody has moved a hand yet"
        await page.mouse.move(300, 300)
    assert (await seen.value).status == 204
    assert await shared.views() == 1

    async with page.expect_response("**/seen"):
        await page.reload()
        await page.mouse.move(310, 300)
    assert await shared.views() == 1
    owner = await context.new_page()
    await owner.goto(shared.owners)
    async with owner.expect_response("**/seen") as seen:
        await owner.click("button[type=submit]")
        await owner.mouse.move(300, 300)
    assert (await seen.value).status == 204
    assert await shared.views() == 1
    await robot.close()
    await context.close()


async def test_scans_hide_show_and_fade(running: Running, chromium: Browser) -> None:
    shared = await share(running)
    context = await chromium.new_context(**SMALL)
    page = await enter(context, shared.reviewers)
    await fully_drawn(page)
    first = await picture(page)
    row = page.locator(".part").first
    toggle, state = row.locator(".part-toggle"), row.locator(".part-state")
    assert (await toggle.get_attribute("aria-pressed"), await state.inner_text()) == (
        "true",
        "shown",
    )

    await toggle.click()
    assert await toggle.get_attribute("aria-pressed") == "false"
    assert await state.inner_text() == "hidden"
    await until_picture(page, lambda now: differing(first, now) > 0.05, "upper jaw gone")
    await toggle.click()
    assert await toggle.get_attribute("aria-pressed") == "true"
    assert await state.inner_text() == "shown"
    await until_picture(page, lambda now: differing(first, now) < 0.001, "upper jaw back")

    slider = row.locator("input[type=range]")
    await slider.fill("30")
    assert await row.locator("output").inner_text() == "30 %"
    faded = await until_picture(page, lambda now: differing(first, now) > 0.05, "upper jaw faded")
    await slider.fill("100")
    await until_picture(page, lambda now: differing(first, now) < 0.001, "upper jaw solid")
    await toggle.click()
    await until_picture(page, lambda now: differing(faded, now) > 0.02, "hidden is less than faded")

    for other in (1, 2):
        await page.locator(".part-toggle").nth(other).click()
    assert await page.inner_text(".line-note") == "All scans are hidden."
    await page.click("text=Show all")
    await until_picture(page, lambda now: differing(first, now) < 0.001, "all are back")
    assert await page.locator(".part-toggle[aria-pressed=true]").count() == 3
    await context.close()


@pytest.mark.parametrize("turned", [False, True], ids=["z-up", "y-up-turned-by-30-degrees"])
async def test_standard_views_follow_the_jaws_however_the_scanner_placed_them(
    running: Running, chromium: Browser, turned: bool
) -> None:
    shared = await share(running, scans(turned=turned))
    context = await chromium.new_context(**SMALL)
    page = await enter(context, shared.reviewers)
    await fully_drawn(page)
    case = json.loads(await page.locator("#case").text_content())
    up, front = (np.array(case["versions"][-1]["frame"][name]) for name in ("up", "front"))
    frame = np.array([-np.cross(up, front), front, up])  # what x, y, z are of unturned jaws
    real = TURN if turned else np.eye(3)
    assert degrees(up, real @ [0, 0, 1]) < 5
    assert degrees(front, real @ [0, 1, 0]) < 5

    for name, direction in reversed(VIEWS.items()):
        await page.click(f"[data-view={name}]")
        await until_looking(page, np.array(direction) @ frame, within=0.5)
        pressed = await page.locator("[data-view][aria-pressed=true]").all_inner_texts()
        assert [text.lower() for text in pressed] == [name]

    await context.close()


async def test_the_keyboard_alone_reaches_everything_and_does_what_the_tools_do(
    running: Running, chromium: Browser
) -> None:
    shared = await share(running)
    context = await chromium.new_context(**SMALL)
    page = await enter(context, shared.reviewers)
    await fully_drawn(page)
    case = json.loads(await page.locator("#case").text_content())
    up, front = (np.array(case["versions"][-1]["frame"][name]) for name in ("up", "front"))
    frame = np.array([-np.cross(up, front), front, up])
    await page.locator(".stage [role=application]").focus()
    for number, direction in enumerate(VIEWS.values(), 1):
        await page.keyboard.press(str(number))
        await until_looking(page, np.array(direction) @ frame, within=0.5)
    assert await page.inner_text(".line-note") == "Upper jaw hidden in the lower view."
    await page.keyboard.press("1")
    await until_looking(page, frame[1], within=0.5)
    assert await page.locator(".part-toggle[aria-pressed=true]").count() == 3

    fitted = await picture(page)
    await page.keyboard.press("ArrowRight")
    await until_picture(page, lambda now: differing(fitted, now) > 0.02, "turned by an arrow")
    assert degrees(await viewpoint(page), frame[1]) > 2
    for key in ("1", "+", "+", "Shift+ArrowLeft"):
        await page.keyboard.press(key)
    await until_looking(page, frame[1], within=0.5)
    await until_picture(page, lambda now: differing(fitted, now) > 0.02, "zoomed and moved")
    await page.keyboard.press("f")
    await until_picture(page, lambda now: differing(fitted, now) < 0.005, "fitted again")
    await page.reload()  # so that Tab begins at the top
    await fully_drawn(page)
    await tab_through(page)
    await context.close()


async def test_fingers_turn_the_picture_and_leave_the_page_where_it_is(
    running: Running, chromium: Browser
) -> None:
    shared = await share(running)
    context = await chromium.new_context(**PHONE)
    page = await enter(context, shared.reviewers)
    await fully_drawn(page)
    fingers = await context.new_cdp_session(page)

    async def touch(kind: str, *points: tuple[float, float]) -> None:
        where = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        await fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

    async def page_at() -> list[float]:
        return await page.evaluate("[scrollX, scrollY, visualViewport.scale]")

    box = await page.locator(".stage [role=application]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = await viewpoint(page)
    await touch("touchStart", (x, y))
    for step in range(1, 9):
        await touch("touchMove", (x + step * 4, y - step * 15))
    await touch("touchEnd")
    await until_picture(page, lambda _: True, "drawn")
    there = await viewpoint(page)
    assert degrees(before, there) > 20
    assert await page_at() == [0, 0, 1]

    scale = await page.inner_text(".scale-length"), await bar_width(page)
    await touch("touchStart", (x - 30, y), (x + 30, y))
    for step in range(1, 9):
        await touch("touchMove", (x - 30 - step * 8, y), (x + 30 + step * 8, y))
    await touch("touchEnd")
    before = await until_picture(page, lambda _: True, "drawn")
    assert (await page.inner_text(".scale-length"), await bar_width(page)) != scale
    assert await page_at() == [0, 0, 1]
    # Released, it stands still.
    assert (await viewpoint(page) == there).all()
    assert differing(before, await picture(page)) == 0

    # The sheet pulls up over the picture.
    await page.locator(".part-file summary").last.scroll_into_view_if_needed()
    assert (await page_at())[1] > 0
    for summary in await page.locator(".part-file summary").all():
        await summary.click()
    for width in (390, 360, 320):
        await page.set_viewport_size({"width": width, "height": 740})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await page.set_viewport_size({"width": 360, "height": 740})
    rows = await page.locator(".tool:visible").evaluate_all("all => all.map(t => t.offsetTop)")
    assert len(set(rows)) == 1, "all tools stand in one row"
    await context.close()


async def bar_width(page: Page) -> float:
    return await page.evaluate("document.querySelector('.scale-bar').offsetWidth")


async def test_without_a_script_and_without_3d_there_are_the_picture_the_facts_and_the_files(
    running: Running, chromium: Browser, playwright: Playwright
) -> None:
    shared = await share(running)
    scriptless = await chromium.new_context(**DESKTOP, java_script_enabled=False)
    await useful_without_3d(await enter(scriptless, shared.reviewers))
    await scriptless.close()

    arguments = [*ARGUMENTS, "--disable-3d-apis"]
    flat = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    context = await flat.new_context(**DESKTOP)
    page = await enter(context, shared.reviewers)
    await page.wait_for_selector("html[data-state=failed]", state="attached")
    assert "cannot draw in 3D" in await page.inner_text(".line-note")
    await useful_without_3d(page)
    await flat.close()
    assert await shared.views() == 0


async def useful_without_3d(page: Page) -> None:
    poster = page.locator("img.poster")
    await until(lambda: poster.evaluate("img => img.naturalWidth === 1200"), "the poster")
    assert await poster.is_visible()
    stills = page.locator(".stills img")
    assert await stills.count() == 6
    await stills.last.scroll_into_view_if_needed()
    await until(lambda: stills.last.evaluate("img => img.naturalWidth === 800"), "the six sides")
    await page.evaluate("scrollTo({ top: 0 })")
    assert await poster.get_attribute("alt") == "Picture of Upper jaw, Lower jaw, Design"
    box = await poster.bounding_box()
    assert box["width"] > 600
    assert await page.inner_text(".note p") == "Is the margin closed?"
    assert await page.locator(".part").count() == 3
    for useless in (".tools", ".part-toggle", ".part-opacity"):
        assert not await page.locator(useless).first.is_visible()
    part = page.locator(".part").last
    await part.locator("summary").click()
    async with page.expect_download() as started:
        await part.locator("a").click()
    download = await started.value
    assert download.suggested_filename == "C-1042_design_3.stl"
    assert sha256_of(await download.path()) == await part.locator("code").inner_text()


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_a_texture_is_seen_as_its_image_says(running: Running, chromium: Browser) -> None:
    shared = await share(running, {**textured(), "IMG_0042.jpg": photo()})
    watch = Watch(running.url)
    context = await chromium.new_context(**DESKTOP)
    await context.add_init_script(WATCH_POLICY)
    page = await enter(context, shared.reviewers)
    watch.over(page)
    await fully_drawn(page)
    await page.click("[data-view=upper]")

    def red_beside_blue(seen: np.ndarray) -> bool:
        red = (seen[..., 0] > 90) & (seen[..., 2] < 70)
        blue = (seen[..., 2] > 90) & (seen[..., 0] < 70)
        if not red.any() or not blue.any():
            return False
        return bool(min(red.mean(), blue.mean()) > 0.01)

    seen = await until_picture(page, red_beside_blue, "half of the jaw is red, half of it blue")
    columns = np.arange(seen.shape[1])
    red = columns[((seen[..., 0] > 90) & (seen[..., 2] < 70)).any(axis=0)]
    blue = columns[((seen[..., 2] > 90) & (seen[..., 0] < 70)).any(axis=0)]
    assert abs(np.median(red) - np.median(blue)) > 0.1 * len(columns)
    # The photo beside it is shown upright, below the scans.
    shown = page.locator(".others img")
    assert await shown.count() == 1
    await shown.scroll_into_view_if_needed()
    await until(lambda: shown.evaluate("img => img.naturalHeight > img.naturalWidth"), "the photo")
    assert watch.complaints == []
    assert await page.evaluate("violations") == []


async def test_a_small_device_gets_a_lighter_level_and_all_of_it_on_demand(
    running: Running, chromium: Browser
) -> None:
    large = jaws.make_jaw(350_000, "upper")
    shared = await share(running, {"upper.stl": jaws.stl_bytes(large)})
    context = await chromium.new_context(**PHONE)
    await context.add_init_script(
        "Object.defineProperty(navigator, 'deviceMemory', { get: () => 4 });"
    )
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(shared.reviewers)
    await page.click("button[type=submit]")
    button = page.locator(".line-action")
    await button.wait_for(state="visible")
    assert "A lighter picture is shown" in await page.inner_text(".line")
    assert any("medium.glb" in url for url in asked)
    assert not any("full.glb" in url for url in asked)
    await button.click()
    await fully_drawn(page)
    assert any("full.glb" in url for url in asked)


async def test_an_idle_session_and_revoke_are_told_on_the_open_page_and_end_its_downloads(
    running: Running, chromium: Browser, clock: SetClock
) -> None:
    shared = await share(running)
    context = await chromium.new_context(**DESKTOP)
    page = await context.new_page()
    let_go = asyncio.Event()
    answers: list[int] = []

    async def hold(route: Route) -> None:
        await let_go.wait()
        await route.continue_()

    page.on("response", lambda one: "full.glb" in one.url and answers.append(one.status))
    await page.route("**/full.glb*", hold)
    await page.goto(shared.reviewers)
    await page.click("button[type=submit]")
    await page.wait_for_selector("html[data-state=preview]", state="attached")
    clock.advance(8 * HOUR)
    let_go.set()
    await page.locator(".line-note", has_text="not used the link for a while").wait_for()
    assert answers == [403], "without a session nothing is asked for again"
    let_go.clear()
    answers.clear()
    await page.click("text=Open it again")
    await page.click("button[type=submit]")
    await page.wait_for_selector("html[data-state=preview]", state="attached")

    await shared.revoke()
    let_go.set()
    ended = page.locator(".line-note", has_text="The link has ended.")
    await ended.wait_for()
    assert answers == [410], "what has ended is not asked for again"
    assert await page.locator(".stage [role=application]").is_visible(), "what is seen stays"

    await page.locator(".part summary").first.click()
    async with page.expect_navigation() as answer:
        await page.locator(".part a").first.click()
    assert (await answer.value).status == 410
    assert await page.inner_text("h1") == "This link has ended"
    assert "Ask Anna Berg for a new one" in await page.inner_text("main")
    await context.close()


async def test_hostile_words_are_shown_as_words(running: Running, chromium: Browser) -> None:
    script = "</script><script>window.hacked=1</script>"
    image = '<img src=x onerror="window.hacked=1">'
    note = f"{script}\n<!--<script>\n{image} {{{{7*7}}}} & so on"
    sender = "mallory@lab.example"
    async with running.house.database.write() as connection:
        anna = await labs.member_by_address(connection, ANNA)
        now = running.house.clock.now()
        await labs.add_member(
            connection, anna.lab_id, sender, f"Mal {image}", f"Evil {script}", now
        )
    files = {"upper.stl": jaw_stl("upper"), f"lower {image}.stl": jaw_stl("lower")}
    await running.postman.send(mail(f"{KIM} C-7 {script}", note, files, sender=sender))
    link = link_of(await running.inbox.letter("share", KIM))
    owners = link_of(await running.inbox.letter("answer", sender))
    # The mail's way in cleans subjects and names; the page does not lean on it.
    async with running.house.database.write() as connection:
        tables = metadata.tables
        await connection.execute(sa.update(tables["cases"]).values(title=script))
        await connection.execute(sa.update(tables["scans"]).values(label=f"Jaw {script}{image}"))
        hostile = {"original_name": f'"{image}.stl', "problem": script}
        await connection.execute(sa.update(tables["scans"]).values(**hostile))
    context = await chromium.new_context(**DESKTOP)
    await context.add_init_script(WATCH_POLICY)
    watch = Watch(running.url)
    for address in (link, owners):
        page = await context.new_page()
        watch.over(page)
        await page.goto(address)
        assert await page.inner_text("h1") == f"Mal {image} shares 3D scans with you"
        assert await page.inner_text(".from") == f"Evil {script}"
        await page.click("button[type=submit]")
        await fully_drawn(page)
        assert await page.inner_text("h1") == f"C-7 {script}"
        assert image in await page.inner_text(".note p")
        assert "{{7*7}}" in await page.inner_text(".note p")
        assert await page.locator(".part-name").first.inner_text() == f"Jaw {script}{image}"
        assert await page.evaluate("window.hacked") is None
        assert await page.evaluate("violations") == []
        assert await page.locator("img").count() == 8, (
            "the poster, six sides and the sheet of paper"
        )
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= DESKTOP["viewport"]["width"]
    assert watch.complaints == []
    await context.close()


REACHABLE = """
() => [...document.querySelectorAll("a[href], button, input, textarea, summary, [tabindex='0']")]
  .filter((e) => e.type !== "hidden" && e.checkVisibility({visibilityProperty: true}))
  .map((e, number) => { e.dataset.stop = number; return number; })
"""
FOCUSED = """
() => {
  const {activeElement: e} = document;
  if (e === document.body) return null;
  const {outlineStyle, outlineWidth} = getComputedStyle(e);
  const {width, height} = e.getBoundingClientRect();
  const seen = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && width > 0 && height > 0;
  return {stop: Number(e.dataset.stop), seen, what: e.outerHTML.slice(0, 80)};
}
"""


async def tab_through(page: Page) -> None:
    """Every control is reached, shows that it has the focus, and lets it go."""
    await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    expected = await page.evaluate(REACHABLE)
    tools = await page.locator(".tool:visible").count()
    assert tools == 18
    languages = await page.locator(".languages a").count()
    assert languages == 4
    assert len(expected) == tools + 1 + 3 * 4 + 2 + 2 + languages, (
        "the picture, three scans, comment, decision, languages"
    )
    reached = set()
    for _ in expected:
        await page.keyboard.press("Tab")
        focused = await page.evaluate(FOCUSED)
        assert focused, f"left the page after {len(reached)} of {len(expected)} controls"
        assert focused["seen"], focused
        reached.add(focused["stop"])
    assert reached == set(expected)
    await page.keyboard.press("Tab")
    assert await page.evaluate(FOCUSED) is None, "nothing holds the focus for good"


@pytest.fixture(scope="module")
def axe(node_modules: Path) -> Path:
    return node_modules / "axe-core/axe.min.js"


async def violations(page: Page) -> list[str]:
    found = await page.evaluate("axe.run()")
    assert len(found["passes"]) > 5
    return [
        f"{one['id']}: {node['html']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_wrong_in_any_state(
    running: Running, chromium: Browser, axe: Path, scheme: str
) -> None:
    shared = await share(running)
    size = DESKTOP if scheme == "light" else PHONE
    context = await chromium.new_context(**size, color_scheme=scheme)
    await context.add_init_script(path=axe)
    page = await context.new_page()
    await page.goto(shared.reviewers)
    assert await violations(page) == []
    paper = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(251, 250, 247)", "dark": "rgb(14, 20, 24)"}[scheme]

    await page.click("button[type=submit]")
    await fully_drawn(page)
    assert await violations(page) == []
    await page.click("[data-view=lower]")
    await page.wait_for_selector("text=Show all")
    for summary in await page.locator("summary").all():
        await summary.click()
    assert await violations(page) == []

    owner = await enter(context, shared.owners)
    await owner.wait_for_selector(".problems")
    await fully_drawn(owner)
    assert await violations(owner) == []

    await shared.revoke()
    await page.goto(shared.reviewers)
    assert await page.inner_text("h1") == "This link has ended"
    assert await violations(page) == []
    await context.close()
