"""Rows of the front door: one large mail, a burst of small ones, twenty large ones at four at once.

Ours is the product's listener with its durable commit: sealed spool file, hashes, row. The peers are
stock aiosmtpd that keeps a mail's bytes and stores nothing, and Postfix's smtp-sink that stores.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.rows import at_least, at_most, below, interleaved
from tests.bench.watch import MemoryWatch, cpu_seconds
from tests.fakes import ANNA, DOMAIN
from tests.service import free_port

LARGE, SMALL = 60_000_000, 5_000  # bytes
LINE = b"QUJD" * 19 + b"\r\n"
HEADER = (
    b"From: Anna Berg <%s>\r\nTo: share@%s\r\nSubject: kim@clinic.example C-1 bench\r\n"
    b"Message-ID: <%%d.%%d@lab.example>\r\nDate: Sun, 22 Nov 2026 09:00:00 +0000\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=a.stl\r\n"
    b"Content-Transfer-Encoding: base64\r\n"
    b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/%%b; d=lab.example; s=x; h=from; bh=x; b=x\r\n\r\n"
) % (ANNA.encode(), DOMAIN.encode())


def measure_large() -> list[dict[str, Any]]:
    """Rows `receive-60mb` and `receive-60mb-postfix`, with memory and stalls of the event loop."""
    sides = {side: lambda side=side: _receive(side, [LARGE], 1) for side in SIDES}
    sides["watched"] = lambda: _receive("ours", [LARGE] * 20, 1, watched=True)
    found = interleaved(sides)
    ours, stock, sink = found["ours"], found["stock"], found["smtp-sink"]
    return [
        at_least("receive-60mb", ours["cpu"], stock["cpu"], "aiosmtpd", "s CPU", 4),
        below("receive-60mb-memory", ours["memory"], 10, "MB"),
        below("receive-60mb-loop-p99", found["watched"]["p99"], 20, "ms"),
        below("receive-60mb-loop-max", found["watched"]["worst"], 250, "ms"),
        at_most("receive-60mb-postfix", ours["cpu"], sink["cpu"], "smtp-sink", "s CPU", 1.5),
    ]


def measure_small() -> list[dict[str, Any]]:
    """Row `receive-2000x5kb`: durable at our side, bytes in memory at theirs."""
    sides = {
        side: lambda side=side: _receive(side, [SMALL] * 2000, 20) for side in ("ours", "stock")
    }
    found = interleaved(sides)
    ours, stock = found["ours"], found["stock"]
    print(f"{'':22} {2000 / ours['seconds']:.0f} mails a second, all durable")
    return [at_most("receive-2000x5kb", ours["cpu"], stock["cpu"], "aiosmtpd", "s CPU", 2)]


def measure_many() -> list[dict[str, Any]]:
    """Row `receive-20x60mb-memory`: 20 mails of 60 MB, four at once."""
    found = interleaved({"ours": lambda: _receive("ours", [LARGE] * 20, 4)})
    return [below("receive-20x60mb-memory", found["ours"]["memory"], 20, "MB")]


@dataclass(frozen=True)
class _Side:
    process: subprocess.Popen[bytes]
    port: int


def _receive(
    side: str, sizes: list[int], at_once: int, *, watched: bool = False
) -> dict[str, float]:
    """CPU seconds, peak MB over idle, seconds, and stalls of the loop in ms, of receiving mails."""
    with SIDES[side]() as server:
        _send(server.port, SMALL, 0)  # whatever the first mail allocates for good
        if watched:
            _say(server, "watch")
        before = cpu_seconds(server.process.pid)
        begun = time.perf_counter()
        with (
            MemoryWatch(server.process.pid) as watch,
            ThreadPoolExecutor(at_once) as senders,
        ):
            jobs = [senders.submit(_send, server.port, s, n) for n, s in enumerate(sizes, 1)]
            for job in jobs:
                job.result()
        seconds = time.perf_counter() - begun
        used = cpu_seconds(server.process.pid) - before
        p99, worst = _stalls(server) if watched else (0.0, 0.0)
    return {
        "cpu": used,
        "memory": watch.over_idle / 1e6,
        "seconds": seconds,
        "p99": p99,
        "worst": worst,
    }


def _stalls(server: _Side) -> tuple[float, float]:
    """What our side says of its event loop when it is asked."""
    _say(server, "stalls")
    assert server.process.stdout is not None
    p99, worst = server.process.stdout.readline().split()
    return float(p99), float(worst)


def _say(server: _Side, word: str) -> None:
    assert server.process.stdin is not None
    server.process.stdin.write(f"{word}\n".encode())
    server.process.stdin.flush()


def _send(port: int, size: int, number: int) -> None:
    """One mail of about so many bytes over a connection of its own."""
    canon = b"simple" if number % 2 else b"relaxed"
    with socket.create_connection(("127.0.0.1", port)) as client, client.makefile("rb") as replies:

        def ask(data: bytes) -> None:
            client.sendall(data)
            while (line := replies.readline())[3:4] == b"-":
                pass
            assert line[:1] in (b"2", b"3"), line

        ask(b"")
        ask(b"EHLO lab.example\r\n")
        ask(b"MAIL FROM:<%s>\r\n" % ANNA.encode())
        ask(b"RCPT TO:<share@%s>\r\n" % DOMAIN.encode())
        ask(b"DATA\r\n")
        client.sendall(HEADER % (number, time.monotonic_ns(), canon))
        block = LINE * max(1, min(4096, size // len(LINE)))
        for _ in range(max(1, size // len(block))):
            client.sendall(block)
        ask(b".\r\n")
        client.sendall(b"QUIT\r\n")
        replies.read()


@contextmanager
def _python(module: str) -> Iterator[_Side]:
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", module, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path.cwd(),
        )
        with process:
            assert process.stdout is not None
            port = int(process.stdout.readline().split()[1])
            yield _Side(process, port)
            process.kill()


@contextmanager
def _smtp_sink() -> Iterator[_Side]:
    program = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
    with tempfile.TemporaryDirectory() as folder:
        # As root it wants to become somebody else, who must be able to write here.
        Path(folder).chmod(0o777)
        port = free_port()
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        process = subprocess.Popen(
            [program, *user, "-d", f"{folder}/%M.", f"127.0.0.1:{port}", "100"]
        )
        with process:
            _wait_for(port)
            yield _Side(process, port)
            process.kill()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "smtp-sink does not listen"
        else:
            return


SIDES = {
    "ours": lambda: _python("tests.bench.receive_ours"),
    "stock": lambda: _python("tests.bench.receive_theirs"),
    "smtp-sink": _smtp_sink,
}
