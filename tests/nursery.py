"""The forkserver's load for tests: the product's, and jobs that misbehave."""

import os
import resource
import signal
import socket
import time
from pathlib import Path
from typing import Any

import inbound.scans.nursery  # noqa: F401
from inbound.scans.jobs import JOBS


def sleep_while_told(inputs: Any, _outputs: Any, _arguments: dict[str, Any]) -> dict[str, Any]:
    """Sleeps long where its input says so; whoever kills it may change that for the next one."""
    if bytes(inputs[0]) == b"awake":
        return {"slept": "the second time"}
    time.sleep(60)
    return {}


def reach_out(_inputs: Any, _outputs: Any, _arguments: dict[str, Any]) -> dict[str, Any]:
    """What a child that a file has taken over would try."""
    found = {}
    for what, attempt in (
        ("network", lambda: socket.create_connection(("127.0.0.1", 25), 1)),
        ("file", lambda: Path("/tmp/scanpost-was-here").write_text("x")),
        ("program", lambda: os.execv("/bin/true", ["true"])),
    ):
        try:
            attempt()
            found[what] = "done"
        except OSError as error:
            found[what] = type(error).__name__
    return found


def sleep_long(_inputs: Any, _outputs: Any, _arguments: dict[str, Any]) -> dict[str, Any]:
    time.sleep(60)
    return {}


def die(_inputs: Any, _outputs: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), arguments["signal"])
    time.sleep(60)
    return {}


def eat_memory(_inputs: Any, _outputs: Any, _arguments: dict[str, Any]) -> dict[str, Any]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return {"size": len(bytearray(limit))}


def fail(_inputs: Any, _outputs: Any, _arguments: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("a bug of ours")


for job in (sleep_while_told, reach_out, sleep_long, die, eat_memory, fail):
    JOBS[job.__name__] = job
