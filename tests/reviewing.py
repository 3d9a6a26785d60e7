"""A reviewer with a browser: opens a mailed case in Chromium, looks at pixels, uses mouse, keys and fingers.

The fixtures `playwright` and `chromium` are in conftest.py; tests/slow_line.py puts a slow or broken
line between the browser and the server.
"""

import asyncio
import functools
import io
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from PIL import Image
from playwright.async_api import Browser, BrowserContext, CDPSession, Page

from inbound.scans.mesh import Mesh
from scanpost import jaws
from store.records import access
from tests.conftest import Running, jaw_stl
from tests.fakes import ANNA, KIM, PATIENCE, link_of, mail, reply

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
SMALL = {"viewport": {"width": 800, "height": 500}}  # quick to draw without a graphics card
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SUBJECT = f"{KIM} C-1042 crown #30"
TRIANGLES = 20_000
CANVAS = ".stage [role=application]"
VISIBLE = 24  # of 255: what the eye takes for another colour
# How each view looks at jaws that stand z up, front +y, as scanpost.jaws makes them.
VIEWS = {
    "front": (0, 1, 0),
    "back": (0, -1, 0),
    "left": (-1, 0, 0),
    "right": (1, 0, 0),
    "upper": (0, 0, -1),
    "lower": (0, 0, 1),
}
# Y up, as some scanners export, and then turned by 30 degrees about that axis.
_COS, _SIN = np.cos(np.pi / 6), np.sin(np.pi / 6)
TURN = np.array([[_COS, 0, _SIN], [0, 1, 0], [-_SIN, 0, _COS]]) @ np.array(
    [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
)
# A violation of the policy is an event of the document, whoever is told in the console.
WATCH_POLICY = """
window.violations = [];
addEventListener("securitypolicyviolation", (e) =>
  violations.push(`${e.violatedDirective} ${e.blockedURI}`));
"""


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


def turn(mesh: Mesh) -> Mesh:
    return Mesh((mesh.vertices @ TURN.T).astype(np.float32), mesh.faces, mesh.colours)


# ---------------------------------------------------------------- a case and the way into it


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


async def share(
    running: Running, files: dict[str, bytes] | None = None, subject: str = SUBJECT
) -> Shared:
    await running.postman.send(mail(subject, "Is the margin closed?", files or scans()))
    answer = await running.inbox.letter("answer", ANNA)
    return Shared(running, link_of(answer), link_of(await running.inbox.letter("share", KIM)))


async def enter(context: BrowserContext, link: str, page: Page | None = None) -> Page:
    """Opens a link and presses the button, where this browser has not done so before."""
    page = page or await context.new_page()
    await page.goto(link)
    if not await page.locator("#case").count():
        await page.click("button[type=submit]")
    await page.wait_for_selector(".workplace")
    await page.wait_for_load_state("load")
    return page


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


@dataclass
class Review:
    """A case that lies open in a browser: `async with review(...) as case: case.page`."""

    shared: Shared
    context: BrowserContext
    page: Page
    watch: Watch

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.context.close()

    async def faultless(self) -> None:
        """No error, no request to elsewhere, nothing that the policy had to stop."""
        assert self.watch.complaints == []
        assert await self.page.evaluate("violations") == []


async def review(
    running: Running,
    chromium: Browser,
    device: dict[str, Any] | None = None,
    files: dict[str, bytes] | None = None,
    *,
    shared: Shared | None = None,
    owner: bool = False,
    state: str = "full",
    **context: Any,
) -> Review:
    """Mails a case (unless one is given), opens it on a device of its own, waits until it is drawn."""
    shared = shared or await share(running, files)
    opened = await chromium.new_context(**{**(device or SMALL), **context})
    await opened.add_init_script(WATCH_POLICY)
    watch = Watch(running.url)
    opened.on("page", watch.over)
    page = await enter(opened, shared.owners if owner else shared.reviewers)
    await (fully_drawn(page) if state == "full" else reaches(page, state))
    return Review(shared, opened, page, watch)


FINELY = """(() => {
  const canvas = document.querySelector(".stage canvas:not(.overlay)");
  return canvas.width === 2 * canvas.clientWidth;
})()"""


async def reaches(page: Page, *states: str) -> None:
    """Waits until the page says one of these states: loading, preview, full, failed."""
    wanted = ", ".join(f"html[data-state={state}]" for state in states)
    await page.wait_for_selector(wanted, state="attached", timeout=PATIENCE * 1000)


async def fully_drawn(page: Page) -> None:
    """Waits for full detail, and for the fine picture that follows the rough one where a processor draws."""
    await reaches(page, "full")
    await until(lambda: page.evaluate(FINELY), "a fine picture")


async def values(page: Page) -> dict[str, Any]:
    """What the server wrote into the page for its script: scans, their addresses, the jaw frame."""
    read: dict[str, Any] = json.loads(str(await page.locator("#case").text_content()))
    return read


# ---------------------------------------------------------------- looking


async def picture(page: Page) -> np.ndarray:
    png = await page.locator(CANVAS).screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


async def at_rest(page: Page) -> np.ndarray:
    """The picture once nothing moves any more, and the fine one has followed the rough one."""
    last = await picture(page)

    async def look() -> bool:
        nonlocal last
        before, last = last, await picture(page)
        return bool((before == last).all()) and bool(await page.evaluate(FINELY))

    await until(look, "a picture at rest")
    return last


def differing(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels that look different."""
    return float((np.abs(one - other).max(axis=2) > VISIBLE).mean())


async def drawn_share(page: Page) -> float:
    """The share of the picture that shows something else than the stage's background."""
    empty = await page.evaluate(
        "getComputedStyle(document.querySelector('.stage')).backgroundColor"
    )
    background = [int(number) for number in re.findall(r"\d+", empty)[:3]]
    return float((np.abs(await picture(page) - background).max(axis=2) > VISIBLE).mean())


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
    said = await page.get_attribute(CANVAS, "data-view")
    return np.array([float(number) for number in str(said).split(",")])


def degrees(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


async def jaw_frame(page: Page) -> np.ndarray:
    """Rows: what x (right), y (front) and z (up) of `jaws` are in the scans' own coordinates."""
    frame = (await values(page))["versions"][-1]["frame"]
    up, front = (np.array(frame[name]) for name in ("up", "front"))
    return np.array([-np.cross(up, front), front, up])


async def until_looking(page: Page, towards: np.ndarray, within: float) -> None:
    async def there() -> bool:
        return degrees(await viewpoint(page), towards) <= within

    await until(there, f"looking from {towards}")


async def numbers(page: Page, selector: str) -> list[float]:
    """The numbers in a text of the page, such as [10.0] of "10.00 mm"."""
    text = (await page.locator(selector).first.inner_text()).replace("\N{MINUS SIGN}", "-")
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text.replace(",", ""))]


async def a_moment(page: Page, milliseconds: int) -> None:
    """Time passes in the browser, and it draws what it has to."""
    await page.evaluate(
        "(time) => new Promise((done) => setTimeout(() => requestAnimationFrame(done), time))",
        milliseconds,
    )


# ---------------------------------------------------------------- fingers

Point = tuple[float, float]


class Fingers:
    """Touches as a phone reports them, through the browser's own input."""

    steps = 8

    def __init__(self, page: Page, session: CDPSession, middle: Point) -> None:
        self.page = page
        self.session = session
        self.middle = middle

    @classmethod
    async def on(cls, page: Page, selector: str = CANVAS) -> Self:
        box = await page.locator(selector).bounding_box()
        assert box is not None
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        return cls(page, await page.context.new_cdp_session(page), middle)

    async def drag(self, right: float, down: float) -> None:
        """One finger from the middle."""
        await self._move([((0, 0), (right, down))])

    async def pinch(self, begin: float, end: float) -> None:
        """Two fingers side by side, from so many pixels on both sides of the middle to so many."""
        await self._move([((-begin, 0), (-end, 0)), ((begin, 0), (end, 0))])

    async def pan(self, right: float, down: float) -> None:
        """Two fingers side by side that go the same way."""
        await self._move([((x, 0), (x + right, down)) for x in (-30, 30)])

    async def tap(self, right: float = 0, down: float = 0) -> None:
        await self._send("touchStart", [(right, down)])
        await self._send("touchEnd", [])

    async def _move(self, ways: list[tuple[Point, Point]]) -> None:
        await self._send("touchStart", [begin for begin, _ in ways])
        for step in range(1, self.steps + 1):
            part = step / self.steps
            at = [(a + (c - a) * part, b + (d - b) * part) for (a, b), (c, d) in ways]
            await self._send("touchMove", at)
        await self._send("touchEnd", [])

    async def _send(self, kind: str, points: Iterable[Point]) -> None:
        x, y = self.middle
        where = [
            {"x": x + right, "y": y + down, "id": finger}
            for finger, (right, down) in enumerate(points)
        ]
        await self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})


async def page_at(page: Page) -> list[float]:
    """How far the page itself is scrolled and zoomed: [0, 0, 1] where no hand has moved it."""
    found: list[float] = await page.evaluate("[scrollX, scrollY, visualViewport.scale]")
    return found
