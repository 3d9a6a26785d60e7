"""The tools of the review page, on plates and boxes whose measures are known: what a dentist may trust."""

import base64
import io
import json
import re
from email.message import EmailMessage

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Browser, Page, Route

from inbound.scans.mesh import Mesh
from scanpost import jaws
from tests.conftest import Running
from tests.fakes import ANNA, KIM, link_of, mail, text_of
from tests.reviewing import (
    SMALL,
    Watch,
    a_moment,
    at_rest,
    enter,
    fully_drawn,
    picture,
    until,
    until_picture,
)

SUBJECT = f"{KIM} C-1042 crown #30"
SIDE, THICK = 40.0, 2.0  # mm, of a plate


def plate(height: float, *, down: bool = False, cells: int = 60) -> Mesh:
    """An open square of SIDE mm at a height, its face up or down."""
    along = np.linspace(-SIDE / 2, SIDE / 2, cells + 1)
    x, y = np.meshgrid(along, along, indexing="ij")
    vertices = np.stack([x, y, np.full_like(x, height)], axis=-1).reshape(-1, 3)
    at = np.arange(cells * (cells + 1)).reshape(cells, cells + 1)[:, :-1].ravel()
    a, b, c, d = at, at + cells + 1, at + cells + 2, at + 1
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return Mesh(vertices.astype(np.float32), (faces[:, ::-1] if down else faces).astype(np.int32))


def box(bottom: float) -> Mesh:
    """A closed plate, THICK mm thick: its two faces, and walls between their borders."""
    top, under = plate(bottom + THICK), plate(bottom, down=True)
    count = len(top.vertices)
    row = round(count**0.5)
    grid = np.arange(count).reshape(row, row)
    border = np.concatenate([grid[:-1, 0], grid[-1, :-1], grid[:0:-1, -1], grid[0, :0:-1]])
    one, other = border, np.roll(border, -1)
    walls = np.concatenate(
        [np.stack([one + count, other + count, other], 1), np.stack([one + count, other, one], 1)]
    )
    vertices = np.concatenate([top.vertices, under.vertices])
    return Mesh(vertices, np.concatenate([top.faces, under.faces + count, walls]).astype(np.int32))


async def opened(
    running: Running, chromium: Browser, files: dict[str, Mesh], who: str = KIM
) -> Page:
    """The case on a small screen, as the reviewer or as the owner sees it."""
    attached = {name: jaws.stl_bytes(mesh) for name, mesh in files.items()}
    await running.postman.send(mail(SUBJECT, "Is it closed?", attached))
    answer = await running.inbox.letter("answer", ANNA)
    share = await running.inbox.letter("share", KIM)
    context = await chromium.new_context(**{**SMALL, "viewport": {"width": 1200, "height": 700}})
    page = await enter(context, link_of(share if who == KIM else answer))
    await fully_drawn(page)
    return page


async def middle(page: Page) -> tuple[float, float]:
    found = await page.locator(".stage [role=application]").bounding_box()
    return found["x"] + found["width"] / 2, found["y"] + found["height"] / 2


async def pixels_per_mm(page: Page) -> float:
    """Told by the picture itself: how many pixels wide the plate is."""
    seen = await picture(page)
    background = seen[2, 2]
    row = (np.abs(seen - background).max(axis=2) > 12)[seen.shape[0] // 2]
    return float(np.count_nonzero(row)) / SIDE


async def measured(page: Page, unit: str = "mm") -> float:
    """The last thing in the list of what was measured."""
    await page.locator(".mark-show").last.wait_for()
    words = await page.locator(".mark-show").last.inner_text()
    return float(re.search(r"([\d.]+)\s?" + unit, words)[1])


async def test_ten_millimetres_read_ten_and_are_there_after_a_reload(
    running: Running, chromium: Browser
) -> None:
    page = await opened(running, chromium, {"C-1042-LowerJaw.stl": plate(0)})
    await page.click("[data-view=lower]")
    await at_rest(page)
    x, y = await middle(page)
    zoom = await pixels_per_mm(page)
    assert zoom > 8

    await page.click("[data-tool=distance]")
    assert await page.get_attribute("[data-tool=distance]", "aria-pressed") == "true"
    assert await page.inner_text(".card-hint") == "Tap the first point."
    await page.mouse.click(x - 5 * zoom, y)
    assert await page.inner_text(".card-hint") == "Tap the second point."
    async with page.expect_response("**/marks"):
        await page.mouse.click(x + 5 * zoom, y)
    # The plate's edge is told by whole pixels: that is the limit here.
    assert await measured(page) == pytest.approx(10, abs=0.1)
    true = await distance_of(page)

    await page.locator(".stage [role=application]").focus()
    await page.keyboard.press("Escape")
    assert await page.locator(".card-row").count() == 0
    assert await page.get_attribute("[data-tool=distance]", "aria-pressed") == "false"
    await page.click("[data-tool=angle]")
    async with page.expect_response("**/marks"):
        for dx, dy in ((-8, 0), (0, 0), (0, -8)):
            await page.mouse.click(x + dx * zoom, y + dy * zoom)
    assert await measured(page, "°") == pytest.approx(90, abs=0.3)

    await page.reload()
    await fully_drawn(page)
    rows = await page.locator(".mark-show").all_inner_texts()
    assert len(rows) == 2
    assert rows[0] == f"Distance {true:.2f} mm"
    async with page.expect_response("**/remove"):
        await page.locator(".mark-remove").first.click()
    await page.reload()
    await fully_drawn(page)
    assert await page.locator(".mark-show").count() == 1


async def distance_of(page: Page) -> float:
    """What the server has kept, measured from the points themselves."""
    html = await (await page.request.get(page.url)).text()
    kept = json.loads(re.search(r'id="case">(.*?)</script>', html)[1])["marks"]
    one, other = (np.array(point) for point in kept[0]["points"])
    assert abs(one[2]) < 0.003
    assert abs(other[2]) < 0.003
    assert kept[0]["value"] == pytest.approx(float(np.linalg.norm(one - other)), abs=0.0002)
    return float(kept[0]["value"])


async def test_a_shell_of_two_millimetres_measures_two_through_and_in_section(
    running: Running, chromium: Browser
) -> None:
    page = await opened(running, chromium, {"C-1042-LowerJaw.stl": box(0)})
    await page.click("[data-view=lower]")
    await at_rest(page)
    x, y = await middle(page)
    zoom = await pixels_per_mm(page)
    await page.click("[data-tool=thickness]")
    await page.mouse.click(x + 3, y + 3)
    assert await measured(page) == pytest.approx(THICK, abs=0.005)

    await page.click("[data-tool=section]")
    assert await page.locator(".card-row").count() == 2, (
        "a section stays while something is measured"
    )
    assert await page.get_by_role("button", name="Level").get_attribute("aria-pressed") == "true"
    await page.get_by_role("button", name="Across").click()
    await page.get_by_role("button", name="Face it").click()
    await until(lambda: looks_along(page, (1, 0, 0)), "the cut is faced")
    await page.click("[data-tool=distance]")
    # A finger beside the lines means the lines: both taps are off by several pixels.
    await page.mouse.click(x, y - zoom * THICK / 2 - 6)
    await page.mouse.click(x, y + zoom * THICK / 2 + 7)
    assert await measured(page) == pytest.approx(THICK, abs=0.02)

    slider = page.get_by_label("Place of the section")
    before = await page.locator(".card-slider output").inner_text()
    await slider.focus()
    await page.keyboard.press("PageUp")
    assert await page.locator(".card-slider output").inner_text() != before
    for left in (["section"], []):
        await page.keyboard.press("Escape")
        pressed = await page.locator("[data-tool][aria-pressed=true]").all()
        assert [await one.get_attribute("data-tool") for one in pressed] == left


async def looks_along(page: Page, towards: tuple[float, float, float]) -> bool:
    said = await page.get_attribute(".stage [role=application]", "data-view")
    view = np.array([float(number) for number in str(said).split(",")])
    return bool(abs(view @ np.array(towards)) > 0.999)


async def test_a_gap_and_an_overlap_show_their_colours_and_numbers(
    running: Running, chromium: Browser
) -> None:
    """The upper plate hangs 0.30 mm over one half of the lower one, and 0.05 mm in the other; its sides
    rise, as those of a jaw do.
    """
    lower, upper = plate(0), plate(0.30, down=True)
    x, y = upper.vertices[:, 0], upper.vertices[:, 1]
    upper.vertices[:, 2] = np.where(x > 0, -0.05, 0.30) + np.where(np.abs(y) > 8, 12, 0)
    files = {"C-1042-UpperJaw.stl": upper, "C-1042-LowerJaw.stl": lower}
    page = await opened(running, chromium, files)
    await page.click("[data-view=lower]")
    plain = await at_rest(page)
    await page.click("[data-tool=contacts]")
    await page.locator(".legend").wait_for(state="visible")
    numbers = await page.locator(".legend-numbers span").all_inner_texts()
    assert numbers == ["−0.20", "−0.05", "0", "+0.10", "+0.30", "+1.00"]

    def blue_beside_orange(seen: np.ndarray) -> bool:
        height, width = seen.shape[:2]
        halves = (seen[height // 2, width // 2 - 60], seen[height // 2, width // 2 + 60])
        gap, overlap = sorted(halves, key=lambda colour: colour[0])
        return bool(hue_like(gap, (49, 130, 189)) and hue_like(overlap, (236, 112, 20)))

    await until_picture(page, blue_beside_orange, "0.30 mm is blue, 0.05 mm overlap orange")
    x, y = await middle(page)
    said = []
    for dx in (-60, 60):
        await page.mouse.move(x + dx, y)
        said.append(await page.evaluate("document.querySelector('.legend-reading')?.textContent"))
    assert sorted(said) == ["+0.30 mm to the other jaw", "−0.05 mm to the other jaw"]

    await page.click("[data-tool=snapshot]")
    sent = await on_paper(page)
    pixel = sent.shape[1] / await page.evaluate("document.querySelector('.stage').clientWidth")
    bar = sent[round(46 * pixel), round(33 * pixel) : round(295 * pixel)]
    assert hue_like(bar[0], (127, 39, 4)), "the picture that is sent says what its colours mean"
    assert hue_like(bar[-1], (8, 48, 107))
    await page.keyboard.press("Escape")
    await page.locator("#snapshot").wait_for(state="hidden")
    await page.keyboard.press("Escape")
    await page.mouse.move(5, 5)
    await until_picture(
        page, lambda now: bool((np.abs(now - plain).max(axis=2) > 24).mean() < 0.01), "as before"
    )


async def on_paper(page: Page) -> np.ndarray:
    """What would be sent: pixels (h, w, 3) of 0 to 255."""
    drawn = await page.evaluate("document.querySelector('.snapshot-paper canvas').toDataURL()")
    seen = Image.open(io.BytesIO(base64.b64decode(drawn.partition(",")[2])))
    return np.asarray(seen.convert("RGB")).astype(int)


def hue_like(seen: np.ndarray, wanted: tuple[int, int, int]) -> bool:
    """Light makes a colour paler or darker, never another one."""
    one, other = seen - seen.min(), np.array(wanted) - min(wanted)
    return bool(one @ other / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-9) > 0.97)


async def test_a_pin_stays_and_the_owner_gets_the_words_the_place_and_the_picture(
    running: Running, chromium: Browser
) -> None:
    page = await opened(running, chromium, {"C-1042-LowerJaw.stl": plate(0)})
    watch = Watch(running.url)
    watch.over(page)
    await page.click("[data-view=lower]")
    await at_rest(page)
    x, y = await middle(page)
    await page.click("[data-tool=pin]")
    await page.mouse.click(x, y)
    assert await page.evaluate("document.activeElement.id") == "say-text"
    await page.keyboard.type("open here")
    await page.click("[data-tool=snapshot]")
    paper = await page.locator(".snapshot-paper canvas").bounding_box()
    await page.mouse.move(paper["x"] + 40, paper["y"] + 40)
    await page.mouse.down()
    await page.mouse.move(paper["x"] + 160, paper["y"] + 90)
    await page.mouse.up()
    seen = await on_paper(page)
    await page.get_by_role("button", name="Use it").click()
    await page.click(".say button[type=submit]")
    await page.locator(".remark-text", has_text="open here").wait_for()

    letter = await running.inbox.letter("remark", ANNA)
    said = text_of(letter)
    assert f"{KIM} wrote about C-1042 crown #30, version 1:" in said
    assert "open here" in said
    assert re.search(r"Pin on Lower jaw at -?0\.\d, -?0\.\d, -?0\.0 mm", said)
    assert "C-1042" in letter["Subject"]
    sent = Image.open(io.BytesIO(png_of(letter))).convert("RGB")
    assert (seen == np.asarray(sent)).all(), "what was sent is what was seen"

    await page.reload()
    await fully_drawn(page)
    assert await page.locator(".remark-text").inner_text() == "open here"
    await page.get_by_role("button", name="Show pin 1").click()
    response = await page.request.get(
        running.url + await page.locator(".remark-foot a").get_attribute("href")
    )
    assert (await response.body()).startswith(b"\x89PNG")
    assert watch.complaints == []


async def test_go_there_shows_what_was_seen_with_its_section_and_without_what_was_hidden(
    running: Running, chromium: Browser
) -> None:
    files = {"C-1042-UpperJaw.stl": box(10), "C-1042-LowerJaw.stl": box(0)}
    page = await opened(running, chromium, files)
    toggles, section = page.locator(".part-toggle"), page.locator("[data-tool=section]")
    await toggles.last.click()
    await section.click()
    await page.locator(".card-slider input").fill("250")
    seen = await at_rest(page)
    await page.fill("#say-text", "in the middle")
    await page.click(".say button[type=submit]")
    await page.locator(".remark-text", has_text="in the middle").wait_for()
    await page.click("[data-view=lower]")
    await section.click()
    await toggles.last.click()
    await page.get_by_role("button", name="Go there").click()
    assert await section.get_attribute("aria-pressed") == "true"
    assert await toggles.last.get_attribute("aria-pressed") == "false"
    assert await page.locator(".card-slider input").input_value() == "250"
    await until_picture(
        page, lambda now: bool((np.abs(now - seen).max(axis=2) > 24).mean() < 0.01), "as it was"
    )


def png_of(letter: EmailMessage) -> bytes:
    [picture] = [part for part in letter.walk() if part.get_content_type() == "image/png"]
    return picture.get_content()


async def test_what_was_lost_on_its_way_is_sent_anew_and_never_taken_for_something_else(
    running: Running, chromium: Browser
) -> None:
    page = await opened(running, chromium, {"C-1042-LowerJaw.stl": plate(0)})

    async def lose_the_answer(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await page.route("**/remarks", lose_the_answer, times=1)
    await page.fill("#say-text", "looks fine")
    await page.click(".say button[type=submit]")
    await page.locator(".say-problem", has_text="Not sent").wait_for()
    await page.get_by_role("button", name="Approve").first.click()
    assert await page.input_value("#approve-text") == "looks fine", "what was written is meant too"
    await page.fill("#approve-text", "")
    await page.locator("#decide-approved").get_by_role("button", name="Approve").click()
    await page.get_by_text("You approved this version.").wait_for()
    assert f"{KIM} approved version 1" in text_of(await running.inbox.letter("verdict", ANNA))
    async with page.expect_response("**/remarks"):
        await page.click(".say button[type=submit]")
    await until(lambda: page.evaluate("!document.querySelector('#say-text').value"), "sent")
    await running.all_done()
    kinds = [one["X-Scanpost-Kind"] for one in running.inbox.letters]
    assert (kinds.count("remark"), kinds.count("verdict")) == (1, 1), "each occasion is one letter"


async def test_keys_alone_measure_read_a_map_and_draw_an_arrow(
    running: Running, chromium: Browser
) -> None:
    page = await opened(running, chromium, {"C-1042-LowerJaw.stl": plate(0)})
    await page.locator("[data-view=lower]").press("Enter")
    await page.locator("[data-tool=distance]").press("Enter")
    canvas = page.locator(".stage [role=application]")
    await canvas.focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Shift+ArrowRight")
    await a_moment(page, 400)  # the picture moves for 150 ms
    await page.keyboard.press("Enter")
    assert await measured(page) > 0.5
    await page.locator("[data-tool=snapshot]").press("Enter")
    paper = page.locator(".snapshot-paper canvas")
    before = await paper.evaluate("canvas => canvas.toDataURL()")
    await paper.focus()
    for key in ("Enter", "ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        await page.keyboard.press(key)
    assert await paper.evaluate("canvas => canvas.toDataURL()") != before
    await page.get_by_role("button", name="Use it").press("Enter")
    await page.get_by_text("Your drawing goes with it.").first.wait_for()


async def test_the_picture_for_a_phone_is_a_code_that_can_be_scanned(
    running: Running, chromium: Browser
) -> None:
    page = await opened(running, chromium, {"C-1042-LowerJaw.stl": plate(0)})
    await page.click("[data-do=phone]")
    code = page.locator(".phone-code svg")
    await code.wait_for()
    seen = np.asarray(Image.open(io.BytesIO(await code.screenshot())).convert("L"))
    assert 0.2 < (seen < 60).mean() < 0.6, "dark squares on white"


async def test_a_verdict_binds_is_said_once_and_offline_not_at_all(
    running: Running, chromium: Browser
) -> None:
    page = await opened(running, chromium, {"C-1042-LowerJaw.stl": plate(0)})
    await page.get_by_role("button", name="Ask for changes").click()
    sheet = page.locator("#decide-changes")
    await sheet.get_by_role("button", name="Ask for changes").click()
    await sheet.locator(".sheet-problem").wait_for()
    assert "choose a reason" in await sheet.locator(".sheet-problem").inner_text()
    await sheet.get_by_label("Margin").check()
    await sheet.get_by_label("In your words").fill("short by 0.3 mm at 14")
    await page.context.set_offline(True)
    await sheet.get_by_role("button", name="Ask for changes").click()
    await sheet.get_by_text("Not sent: there is no connection.").wait_for()
    assert await page.locator(".decide-state").inner_text() == ""
    await page.context.set_offline(False)
    await sheet.get_by_role("button", name="Ask for changes").click()
    await page.get_by_text("You asked for changes. The lab has been told.").wait_for()
    letter = text_of(await running.inbox.letter("verdict", ANNA))
    assert f"{KIM} asked for changes to version 1 of C-1042 crown #30." in letter
    assert "short by 0.3 mm at 14" in letter
    assert "- Margin" in letter

    for _ in range(2):
        await page.get_by_role("button", name="Approve").first.click()
        await page.locator("#decide-approved").get_by_role("button", name="Approve").click()
        await page.get_by_text("You approved this version.").wait_for()
        await page.locator("#decide-approved").wait_for(state="hidden")
    await running.inbox.letter("verdict", ANNA, count=2)
    await running.all_done()
    verdicts = [one for one in running.inbox.letters if one["X-Scanpost-Kind"] == "verdict"]
    assert len(verdicts) == 2, "approved twice is approved once"
    assert await page.locator(".remark[data-kind=approved]").count() == 1
