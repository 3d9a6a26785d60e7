"""Row `answer-45mb`: three scans of 300k triangles by mail: receive, split, read, weld, store.

Ours is the product's own way of a mail (door, spool, split, sealed originals, a child for each scan);
the peer is stock aiosmtpd that keeps bytes, mail-parser on the whole mail, trimesh.load on each
attachment. Pictures and previews are on neither side.
"""

import asyncio
import statistics
import sys
import tempfile
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

from scanpost import jaws
from tests.bench.watch import MemoryWatch, cpu_seconds
from tests.fakes import ANNA, DOMAIN, KIM, Postman

RUNS = 3
TRIANGLES = 308_000  # about 300k once the open edge is cut


def measure() -> list[dict[str, Any]]:
    message = three_scans().as_bytes()
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
    for _ in range(RUNS):
        for side, runs in found.items():  # interleaved, so that a busy moment hits both
            runs.append(asyncio.run(_one(side, message)))
    return [
        _row("answer-45mb", found, 0, "s CPU", 5.0),
        _row("answer-45mb-memory", found, 1, "MB", 5.0),
    ]


def _row(
    name: str, found: dict[str, list[tuple[float, float]]], which: int, unit: str, reach: float
) -> dict[str, Any]:
    ours = statistics.median(run[which] for run in found["ours"])
    theirs = statistics.median(run[which] for run in found["theirs"])
    ratio = theirs / max(ours, 1e-9)
    return {
        "name": name,
        "ours": round(ours, 3),
        "theirs": round(theirs, 3),
        "peer": "aiosmtpd + mail-parser + trimesh",
        "unit": unit,
        "ratio": round(ratio, 2),
        "reach": f">= {reach:g}x",
        "holds": ratio >= reach,
    }


def three_scans() -> EmailMessage:
    """A mail of 62 MB on the wire: three scans of about 300k triangles, 45 MB."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = ANNA, f"share@{DOMAIN}", f"{KIM} C-45 three scans"
    mail["Message-ID"] = "<bench@lab.example>"
    mail.set_content("please\n")
    for number, jaw in enumerate(("upper", "lower", "upper"), 1):
        data = jaws.stl_bytes(jaws.make_jaw(TRIANGLES, jaw, seed=number))
        mail.add_attachment(data, maintype="model", subtype="stl", filename=f"{number}_{jaw}.stl")
    return mail


async def _one(side: str, message: bytes) -> tuple[float, float]:
    """CPU seconds and peak MB over idle of one mail through one fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"tests.bench.answer_{side}",
            folder,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            cwd=Path.cwd(),
        )
        assert process.stdout is not None
        port = int((await process.stdout.readline()).split()[1])
        before = cpu_seconds(process.pid)
        with MemoryWatch(process.pid) as watch:
            await Postman(port).send(message, sender=ANNA)
            assert (await process.stdout.readline()).strip() == b"done"
        used = cpu_seconds(process.pid) - before
        process.terminate()
        await process.wait()
        return used, watch.over_idle / 1e6
