"""Rows `serve-mesh` and `readers-200`: the viewer's server under readers of a full mesh.

Ours is the whole server with a session: it looks up link and session, opens the sealed object and unseals
it on its way. The peer is aiohttp's FileResponse, which hands a plain file of the same bytes to the
kernel. The clients are another process; so are both servers.
"""

import asyncio
import json
import re
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from scanpost import jaws
from tests.bench import rows
from tests.bench.reviewed import Reviewed, a_browser, reviewed

TRIANGLES = 1_000_000
AT_ONCE, SECONDS = 4, 4.0
READERS = 200
MOST_GROWTH = 60  # MB over what one reader leaves behind
EVERY = 0.02  # seconds between two looks at the memory


def measure() -> list[dict[str, Any]]:
    return asyncio.run(_throughput())


def measure_readers() -> list[dict[str, Any]]:
    return asyncio.run(_readers())


@asynccontextmanager
async def _case() -> AsyncIterator[Reviewed]:
    files = {"upper.ply": jaws.ply_bytes(jaws.make_jaw(TRIANGLES, "upper"))}
    async with a_browser() as browser, reviewed(browser, files) as case:
        yield case


async def _throughput() -> list[dict[str, Any]]:
    async with _case() as case, _plain(await case.mesh()) as plain:
        path = case.values["versions"][-1]["scans"][0]["full"]
        port = case.service.web_port
        sides = {
            "ours": partial(_read, "throughput", port, path, case.cookie, AT_ONCE, SECONDS),
            "theirs": partial(_read, "throughput", plain, "/mesh.glb", "", AT_ONCE, SECONDS),
        }
        found = await rows.in_turns(sides)
    ours, theirs = found["ours"]["MB/s"], found["theirs"]["MB/s"]
    return [rows.rate_at_least("serve-mesh", ours, theirs, "aiohttp FileResponse", "MB/s", 0.7)]


async def _readers() -> list[dict[str, Any]]:
    async with _case() as case:
        path = case.values["versions"][-1]["scans"][0]["full"]
        ask = partial(_read, "slowly", case.service.web_port, path, case.cookie)
        await ask(1, 0.0)
        idle = _resident(case.service.pid)
        watching = asyncio.create_task(_highest(case.service.pid))
        found = await ask(READERS, SECONDS)
        watching.cancel()
        growth = await watching - idle
    assert found["readers"] == READERS
    print(
        f"{'':22} {idle:.0f} MB idle, all {READERS} were reading at once: {found['together']:.0f}"
    )
    return [rows.below(f"readers-{READERS}", growth, MOST_GROWTH, "MB")]


async def _read(
    how: str, port: int, path: str, cookie: str, readers: int, seconds: float
) -> dict[str, float]:
    """What tests.bench.serving_client says of so many readers at once."""
    given = json.dumps([how, port, path, cookie, readers, seconds])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.serving_client", given, stdout=PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, float] = json.loads(output)
    return found


async def _highest(pid: int) -> float:
    """The highest resident MB of a process until it is told to stop."""
    highest = 0.0
    try:
        while True:
            highest = max(highest, _resident(pid))
            await asyncio.sleep(EVERY)
    except asyncio.CancelledError:
        return highest


def _resident(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1000


@asynccontextmanager
async def _plain(mesh: bytes) -> AsyncIterator[int]:
    """aiohttp in a process of its own with the same bytes in a plain file; its port."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "mesh.glb").write_bytes(mesh)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _FILE_RESPONSE, folder, stdout=PIPE
        )
        assert process.stdout is not None
        yield int(await process.stdout.readline())
        process.kill()
        await process.wait()


_FILE_RESPONSE = """
import asyncio, sys
from aiohttp import web

async def send(request):
    return web.FileResponse(sys.argv[1] + "/mesh.glb")

async def main():
    app = web.Application()
    app.router.add_get("/mesh.glb", send)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
