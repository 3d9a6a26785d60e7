"""Rows `first-picture-1m-*`: from the address to the first 3D picture on a slow line.

Every side gets the same line (10 Mbit/s, 40 ms there and back, with whatever opens connections or asks
from a worker), a browser with an empty cache, and the same eye: the first frame on the screen, as the
browser's own screencast has it, in whose middle a twentieth of the pixels are not background. Our page's
poster would pass for a picture of the scan, so it is fetched but not shown. The peers get their scripts
packed by brotli, and their scan in the form they are made for: the raw STL for STLLoader and
Online3DViewer, our own full mesh for model-viewer.
"""

import asyncio
import base64
import io
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import brotli
import numpy as np
from aiohttp import web
from PIL import Image
from playwright.async_api import Browser, BrowserContext, CDPSession

from scanpost import jaws
from tests import npm
from tests.bench import rows
from tests.bench.reviewed import VIEWPORT, Reviewed, a_browser, reviewed
from tests.slow_line import SlowLine

NODE = Path(__file__).parent / "node"
# Name, reach, and what of a scan it gets.
PEERS = {"stlloader": 40.0, "online3dviewer": 40.0, "modelviewer": 10.0}
PATIENCE = 180.0  # seconds
ENOUGH, VISIBLE = 0.05, 24
# A style sheet of a script needs no leave of the page's policy.
WITHOUT_POSTER = """
const sheet = new CSSStyleSheet();
sheet.replaceSync(".poster { visibility: hidden !important }");
document.adoptedStyleSheets = [sheet];
"""
_TYPES = {".html": "text/html", ".js": "text/javascript", ".glb": "model/gltf-binary"}


def measure() -> list[dict[str, Any]]:
    return asyncio.run(_measure())


async def _measure() -> list[dict[str, Any]]:
    stl = jaws.stl_bytes(jaws.make_jaw(1_000_000, "upper"))
    async with (
        a_browser() as browser,
        reviewed(browser, {"upper.stl": stl}) as case,
        _peers(stl, await case.mesh()) as peers,
    ):
        theirs = {name: partial(_theirs, browser, f"{peers.url}/{name}.html") for name in PEERS}
        found = await rows.in_turns({"ours": partial(_ours, browser, case), **theirs})
    ours = found["ours"]
    return [
        rows.at_least(
            f"first-picture-1m-{name}", ours["first"], found[name]["first"], name, "s", reach
        )
        for name, reach in PEERS.items()
    ]


async def _ours(browser: Browser, case: Reviewed) -> dict[str, float]:
    """Our page in a session, with an empty cache."""
    context = await browser.new_context(viewport=VIEWPORT)
    await context.add_init_script(WITHOUT_POSTER)
    await context.add_cookies(case.cookies)
    first = await _first_picture(context, case.link)
    await context.close()
    return {"first": first}


async def _theirs(browser: Browser, url: str) -> dict[str, float]:
    context = await browser.new_context(viewport=VIEWPORT)
    first = await _first_picture(context, url)
    await context.close()
    return {"first": first}


async def _first_picture(context: BrowserContext, url: str) -> float:
    """Seconds from the wish to see an address to the first frame with a picture in its middle."""
    page = await context.new_page()
    screen = _Screen(await context.new_cdp_session(page))
    await screen.begin()
    begun = time.time()
    await page.goto(url, wait_until="commit", timeout=PATIENCE * 1000)
    async with asyncio.timeout(PATIENCE):
        shown = await screen.first_with_a_picture()
    await page.close()
    return shown - begun


class _Screen:
    """The frames of a page as they come onto the screen, each with its time."""

    def __init__(self, session: CDPSession) -> None:
        self.session = session
        self.frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        session.on("Page.screencastFrame", self.frames.put_nowait)

    async def begin(self) -> None:
        small = {"format": "jpeg", "quality": 60, "maxWidth": 640, "maxHeight": 400}
        await self.session.send("Page.startScreencast", small)

    async def first_with_a_picture(self) -> float:
        while True:
            frame = await self.frames.get()
            given = {"sessionId": frame["sessionId"]}
            await self.session.send("Page.screencastFrameAck", given)
            if _has_picture(base64.b64decode(frame["data"])):
                await self.session.send("Page.stopScreencast")
                return float(frame["metadata"]["timestamp"])


def _has_picture(jpeg: bytes) -> bool:
    """Looks at what is the middle of the picture on our page, and on every peer's."""
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    middle = pixels[height // 4 : 3 * height // 4, width // 8 : 5 * width // 8]
    background = np.median(middle.reshape(-1, 3), axis=0)
    return bool((np.abs(middle - background).max(axis=2) > VISIBLE).mean() > ENOUGH)


# ---------------------------------------------------------------- the peers


@asynccontextmanager
async def _peers(stl: bytes, mesh: bytes) -> AsyncIterator[SlowLine]:
    """A plain server of the peers' pages behind a line of its own; `mesh` is packed by brotli."""
    with tempfile.TemporaryDirectory() as folder:
        files = await asyncio.to_thread(_peers_files, Path(folder))

    async def send(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name == "scan.stl":
            return web.Response(body=stl, content_type="model/stl")
        if name not in files and name != "scan.glb":
            return web.Response(status=404)
        packed = mesh if name == "scan.glb" else files[name]
        kind = _TYPES[Path(name).suffix]
        return web.Response(body=packed, content_type=kind, headers={"Content-Encoding": "br"})

    app = web.Application()
    app.router.add_get("/{name}", send)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with SlowLine(runner.addresses[0][1]) as line:
        yield line
    await runner.cleanup()


def _peers_files(folder: Path) -> dict[str, bytes]:
    """Each peer's page and script, packed."""
    esbuild = npm.installed(NODE) / ".bin/esbuild"
    made = {}
    for path in (NODE / "pages").glob("*.js"):
        shape = "iife" if path.stem == "meshopt" else "esm"
        out = folder / path.name
        options = ["--bundle", "--minify", f"--format={shape}", f"--outfile={out}"]
        subprocess.run([str(esbuild), str(path), *options], check=True, capture_output=True)
        made[path.name] = brotli.compress(out.read_bytes())
        html = (
            "<!doctype html><title>peer</title><style>body { margin: 0 }</style>"
            f'<body><script type="module" src="/{path.name}"></script>'
        )
        made[f"{path.stem}.html"] = brotli.compress(html.encode())
    return made
