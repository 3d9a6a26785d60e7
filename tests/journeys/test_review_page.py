"""The page behind the link, in a real browser: what a reviewer does in the first five minutes."""

import asyncio
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from playwright.async_api import Browser, Page, Playwright, Route

from scanpost import jaws
from store.clock import HOUR, SetClock
from store.records import labs
from store.records.schema import metadata
from tests.browser import ARGUMENTS, CHROMIUM
from tests.conftest import Running, jaw_stl
from tests.fakes import ANNA, KIM, PATIENCE, link_of, mail
from tests.journeys.test_formats import photo, textured
from tests.reviewing import (
    DESKTOP,
    PHONE,
    SMALL,
    TURN,
    VIEWS,
    WATCH_POLICY,
    Watch,
    at_rest,
    degrees,
    differing,
    enter,
    fully_drawn,
    picture,
    reaches,
    scans,
    share,
    until,
    until_looking,
    until_picture,
    viewpoint,
)


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


WATCH_WIDTHS = """
window.widths = [];
new MutationObserver(() => {
  const canvas = document.querySelector(".stage canvas.drawn:not(.overlay)");
  if (canvas) window.widths.push(canvas.width / canvas.clientWidth);
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["class", "width"] });
"""
A_CARD = """
const asked = WebGL2RenderingContext.prototype.getParameter;
WebGL2RenderingContext.prototype.getParameter = function (name) {
  return name === 0x9246 ? "ANGLE (NVIDIA, GeForce RTX 3060)" : asked.call(this, name);
};
"""
SMOOTH = """(() => {
  const canvas = document.querySelector(".stage canvas.drawn:not(.overlay)");
  return canvas.getContext("webgl2").getContextAttributes().antialias;
})()"""


async def test_a_processor_draws_roughly_first_and_finely_at_rest_a_card_smoothly_at_once(
    running: Running, chromium: Browser
) -> None:
    shared = await share(running)
    context = await chromium.new_context(**SMALL)
    await context.add_init_script(WATCH_WIDTHS)
    page = await enter(context, shared.reviewers)
    await fully_drawn(page)
    widths = await page.evaluate("window.widths")
    assert (widths[0], widths[-1]) == (1, 2)
    assert not await page.evaluate(SMOOTH)
    await page.keyboard.press("3")
    await until(lambda: page.evaluate("window.widths.at(-2) === 1"), "rough while it turns")
    await until(lambda: page.evaluate("window.widths.at(-1) === 2"), "fine again")

    await context.add_init_script(A_CARD)
    await page.reload()
    await reaches(page, "full")
    assert set(await page.evaluate("window.widths")) == {1}
    assert await page.evaluate(SMOOTH)
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

    fitted = await at_rest(page)
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
    await at_rest(page)
    there = await viewpoint(page)
    assert degrees(before, there) > 20
    assert await page_at() == [0, 0, 1]

    scale = await page.inner_text(".scale-length"), await bar_width(page)
    await touch("touchStart", (x - 30, y), (x + 30, y))
    for step in range(1, 9):
        await touch("touchMove", (x - 30 - step * 8, y), (x + 30 + step * 8, y))
    await touch("touchEnd")
    before = await at_rest(page)
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
    cookies = await scriptless.cookies()
    await scriptless.close()

    arguments = [*ARGUMENTS, "--disable-3d-apis"]
    flat = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    context = await flat.new_context(**DESKTOP)
    await context.add_cookies(cookies)  # the same device: a link belongs to its first one
    page = await context.new_page()
    await page.goto(shared.reviewers)
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
        names = await page.locator(".part-name").all_inner_texts()
        assert names == [f"Jaw {script}{image} {number}" for number in range(1, len(names) + 1)]
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
    assert tools == 19
    languages = await page.locator(".languages a").count()
    assert languages == 4
    assert len(expected) == tools + 1 + 3 * 4 + 2 + 2 + languages + 2, (
        "the picture, three scans, comment, decision, languages, ways out"
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
