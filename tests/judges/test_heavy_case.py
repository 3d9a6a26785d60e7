"""The largest case there may be, 8 scans and 5 million triangles, drawn in full and turned, without a crash."""

import os

import numpy as np
from playwright.async_api import Browser, CDPSession

from scanpost import jaws
from tests.conftest import Running
from tests.reviewing import (
    DESKTOP,
    a_moment,
    differing,
    drawn_share,
    picture,
    review,
    until_picture,
)

LONG = bool(os.environ.get("SCANPOST_LONG_RUNS"))
SCANS = 8
TRIANGLES = 5_000_000 // SCANS if LONG else 15_000
MOST_HELD = 420e6 if LONG else 80e6  # bytes that the page's script may hold
NAMES = ("UpperJaw", "LowerJaw", "bite", "crown", "pre-op", "waxup", "situ", "scanbody")


def files() -> dict[str, bytes]:
    found = {}
    for number, name in enumerate(NAMES):
        mesh = jaws.make_jaw(TRIANGLES, "lower" if number % 2 else "upper", seed=1 + number // 2)
        mesh.vertices[:, 2] += 12 * (number // 2)
        found[f"C-1042-{name}.ply"] = jaws.ply_bytes(mesh)
    return found


async def test_eight_scans_and_five_million_triangles_are_shown_and_turned(
    running: Running, chromium: Browser
) -> None:
    async with await review(running, chromium, DESKTOP, files()) as case:
        page = case.page
        assert await page.locator(".part:visible").count() == SCANS
        assert await drawn_share(page) > 0.1
        crashed: list[str] = []
        page.on("crash", lambda _: crashed.append("crash"))
        still = await until_picture(page, lambda _: True, "drawn")
        for view in ("left", "lower", "front"):
            await page.click(f"[data-view={view}]")
        await a_moment(page, 1500)  # the picture comes to rest, in full detail
        assert differing(still, await picture(page)) < 0.02, "front as before"
        devtools = await page.context.new_cdp_session(page)
        assert await held(devtools) < MOST_HELD
        first = page.locator(".part-toggle").first
        await first.click()
        await until_picture(page, lambda now: differing(still, now) > 0.003, "one is hidden")
        await page.click("[data-tool=section]")
        await page.locator(".card-row").wait_for()
        await a_moment(page, 500)
        assert not crashed
        await case.faultless()


async def held(devtools: CDPSession) -> float:
    """What script and buffers hold after all that can go is gone."""
    await devtools.send("HeapProfiler.collectGarbage")
    heap = await devtools.send("Runtime.getHeapUsage")
    return float(np.sum([heap["usedSize"], heap.get("backingStorageSize", 0)]))
