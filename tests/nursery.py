"""The forkserver's load for tests: the product's, and jobs that misbehave."""

import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import inbound.scans.nursery  # noqa: F401
from inbound.scans.jobs import JOBS


def sleep_once(_inputs: Any, _outputs: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Sleeps long the first time, and says so the second."""
    mark = Path(arguments["mark"])
    if mark.exists():
        mark.unlink()
        return {"slept": "the second time"}
    mark.touch()
    time.sleep(60)
    return {}


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


for job in (sleep_once, sleep_long, die, eat_memory, fail):
    JOBS[job.__name__] = job
