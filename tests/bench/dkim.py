"""Row `dkim-60mb`: what DKIM of a 60 MB mail costs once its last line has come.

Ours has hashed the body while it came, and asks a DNS inside the process; the peer is dkimpy on the
whole mail. The second row is what that hashing costs, for the relaxed form, which both sides need.
Each side runs in a process of its own and measures itself.
"""

import asyncio
import base64
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.rows import at_least, interleaved
from tests.fakes import ANNA, DOMAIN, KIM

MAILS = {"small": 10_000, "large": 60_000_000}
PIECE = 65_536  # as a socket gives them
_DOMAIN, _SELECTOR = "lab.example", "bench"
_MS = 1000


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder))
        sides = {side: lambda side=side: _run(side, folder) for side in ("ours", "theirs")}
        found = interleaved(sides)
    ours, theirs = found["ours"], found["theirs"]["cpu"]
    return [
        at_least("dkim-60mb", ours["cpu"], theirs, "dkimpy", "ms CPU", 100),
        at_least("dkim-60mb-streaming", ours["streaming"], theirs, "dkimpy", "ms CPU", 10),
    ]


def _prepare(folder: Path) -> None:
    from tests.signing import record, rsa_key, sign  # noqa: PLC0415 -- the peer loads none of ours

    for name, size in MAILS.items():
        mail = sign(_mail(size), _DOMAIN, _SELECTOR, rsa_key(), tags={"t": str(int(time.time()))})
        (folder / f"{name}.eml").write_bytes(mail)
    (folder / "record").write_text(record(rsa_key()))


def _mail(size: int) -> bytes:
    line = base64.b64encode(bytes(range(57))) + b"\r\n"
    header = (
        f"From: {ANNA}\r\nTo: share@{DOMAIN}\r\nSubject: {KIM} C-60\r\n"
        "Date: Mon, 21 Sep 2026 10:00:00 +0000\r\nMessage-ID: <dkim@lab.example>\r\n"
        "Content-Type: model/stl\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    return header.encode() + line * (size // len(line))


def _run(side: str, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.dkim", side, folder]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    found: dict[str, float] = json.loads(output)
    return found


async def _ours(folder: Path, name: str) -> dict[str, float]:
    from inbound.auth.bodyhash import RelaxedBody  # noqa: PLC0415
    from inbound.auth.dkim import DkimResult, verify_dkim  # noqa: PLC0415
    from tests.signing import Records  # noqa: PLC0415

    dns = Records()
    dns.add(f"{_SELECTOR}._domainkey.{_DOMAIN}", "TXT", (folder / "record").read_text())
    header, _, body = (folder / f"{name}.eml").read_bytes().partition(b"\r\n\r\n")
    pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
    # As the sink does, which lets no piece end between CR and LF.
    ends = [piece.endswith(b"\r") for piece in pieces]
    pieces = [
        (b"\r" if number and ends[number - 1] else b"") + piece.removesuffix(b"\r")
        for number, piece in enumerate(pieces)
    ]
    begin = time.process_time()
    hashed = RelaxedBody()
    for piece in pieces:
        hashed.update(piece)
    hashes = {"relaxed": hashed.digest()}
    ended = time.process_time()
    [found] = await verify_dkim(header + b"\r\n", hashes, dns, int(time.time()))
    done = time.process_time()
    assert found.result is DkimResult.PASS, found
    return {"cpu": (done - ended) * _MS, "streaming": (ended - begin) * _MS}


async def _theirs(folder: Path, name: str) -> dict[str, float]:
    import dkim  # noqa: PLC0415

    text = (folder / "record").read_bytes()
    mail = (folder / f"{name}.eml").read_bytes()
    begin = time.process_time()
    assert dkim.verify(mail, dnsfunc=lambda _name, timeout=5: text)
    return {"cpu": (time.process_time() - begin) * _MS}


async def _measured(side: str, folder: Path) -> dict[str, float]:
    work = {"ours": _ours, "theirs": _theirs}[side]
    await work(folder, "small")  # whatever is loaded for good
    return await work(folder, "large")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measured(sys.argv[1], Path(sys.argv[2])))))
