"""Rows of what the page asks of a device: its memory, its longest task, its second opening, its bundle.

Memory is the highest resident size (VmHWM) that the kernel saw of the page's own process, which holds also
what the script engine does not count: buffers, the decoder's memory, uploads on their way. Drawing runs
in software here and on a graphics card elsewhere, so it is taken out of the longest task: in a task that
draws, a browser calls the callbacks of requestAnimationFrame and then hands the frame over, so all from
the first such callback on is drawing. The same is taken out of the time until full detail, which the second
opening, with what the browser has kept, must reach in a third of the first one's time on the slow line.
"""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Page

from scanpost import jaws
from tests.bench import rows
from tests.bench.reviewed import VIEWPORT, Reviewed, a_browser, reviewed
from tests.service import descendants_of
from viewer.templates import BUNDLE, STATIC

MOST_MEGABYTES, LONGEST_TASK, LARGEST_BUNDLE = 400, 200, 180
SECOND = 1 / 3
PATIENCE = 180_000  # ms
NOTE_TASKS = """
window.tasks = [];
window.frames = [];
new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries()) tasks.push([startTime, startTime + duration]);
}).observe({ type: "longtask", buffered: true });
const later = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (draw) => later((now) => {
  const begun = performance.now();
  draw(now);
  frames.push([begun, performance.now()]);
});
new MutationObserver(() => {
  if (document.querySelector("canvas.drawn")) window.drawn ??= performance.now();
  if (document.documentElement.dataset.state === "full") window.full ??= performance.now();
}).observe(document, {
  subtree: true, attributes: true, attributeFilter: ["class", "data-state"],
});
window.drawing = ([begin, end]) => {
  const frame = frames.find(([from]) => from >= begin && from < end);
  return frame ? frame[0] : end;
};
"""
# In ms: the longest task since the first picture, and full detail, both apart from drawing.
LONGEST = """
() => Math.max(0, ...tasks.filter(([, end]) => end > drawn).map((task) => drawing(task) - task[0]))
"""
FULL = """
() => full - tasks.filter(([begin]) => begin < full)
  .reduce((sum, task) => sum + Math.max(0, Math.min(task[1], full) - drawing(task)), 0)
"""


def measure() -> list[dict[str, Any]]:
    return asyncio.run(_measure())


def measure_bundle() -> list[dict[str, Any]]:
    """Script and style of the page, as they travel."""
    files = [STATIC / f"{built['file']}.br" for built in BUNDLE["outputs"].values()]
    kilobytes = sum(path.stat().st_size for path in files) / 1000
    return [rows.below("bundle-brotli", kilobytes, LARGEST_BUNDLE, "kB")]


async def _measure() -> list[dict[str, Any]]:
    files = {
        "upper.ply": jaws.ply_bytes(jaws.make_jaw(1_000_000, "upper")),
        "lower.ply": jaws.ply_bytes(jaws.make_jaw(1_000_000, "lower")),
        "pre-op.ply": jaws.ply_bytes(jaws.make_jaw(1_000_000, "lower", seed=2)),
    }
    async with a_browser() as browser, reviewed(browser, files) as case:
        shown = [scan["triangles"] for scan in case.values["versions"][-1]["scans"]]
        assert len(shown) == 3, case.values
        found = await rows.in_turns({"ours": lambda: _opened(case)})
    ours = found["ours"]
    return [
        rows.below("page-memory-3x1m", ours["memory"], MOST_MEGABYTES, "MB"),
        rows.below("page-longest-task-3x1m", ours["task"], LONGEST_TASK, "ms"),
        rows.at_most(
            "second-opening-3x1m", ours["second"], ours["first"], "first opening", "s", SECOND
        ),
    ]


async def _opened(case: Reviewed) -> dict[str, float]:
    """The page in a fresh browser, until all is in full detail, and then once more."""
    async with a_browser() as browser:
        before = _renderers()
        context = await browser.new_context(viewport=VIEWPORT)
        await context.add_init_script(NOTE_TASKS)
        await context.add_cookies(case.cookies)
        page = await _in_full(context, case.link)
        peak = max(_peak(pid) for pid in _renderers() - before)
        task, first = await page.evaluate(LONGEST), await page.evaluate(FULL)
        await page.close()
        page = await _in_full(context, case.link)
        second = await page.evaluate(FULL)
        await context.close()
    return {"memory": peak, "task": task, "first": first / 1000, "second": second / 1000}


async def _in_full(context: BrowserContext, link: str) -> Page:
    page = await context.new_page()
    await page.goto(link, timeout=PATIENCE)
    await page.wait_for_selector("html[data-state=full]", state="attached", timeout=PATIENCE)
    # What follows the last mesh: its frame on the screen.
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 500)))")
    return page


def _renderers() -> set[int]:
    """The page processes of the browsers below this process."""
    return {
        pid for pid in descendants_of(os.getpid()) if b"--type=renderer" in _read(pid, "cmdline")
    }


def _peak(pid: int) -> float:
    found = re.search(rb"VmHWM:\s+(\d+) kB", _read(pid, "status"))
    return int(found[1]) / 1000 if found else 0.0


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
