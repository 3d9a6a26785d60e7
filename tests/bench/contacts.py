"""Row `contacts-250k`: where two arches of 250,000 vertices each meet, both sides, on one core.

A process of its own makes the arches and loads scipy before the clock starts. Its distances are compared with an
exact search over all triangles for a sample of vertices, and versions with each other beside it.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import Any

from tests.bench.rows import RUNS, below

TRIANGLES = 500_000
SAMPLE = 40  # vertices that are measured over all triangles, too


def measure() -> list[dict[str, Any]]:
    runs = [_run() for _ in range(RUNS)]
    found = {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
    return [
        below("contacts-250k", found["contacts"], 1.5, "s CPU"),
        below("contacts-250k-error", found["error"], 1, "um"),
        below("contacts-250k-memory", found["memory"], 400, "MB"),
        below("deviation-250k", found["deviation"], 1.5, "s CPU"),
    ]


def _run() -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.contacts"]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    found: dict[str, float] = json.loads(output)
    return found


def _measured() -> dict[str, float]:
    import scipy.sparse  # noqa: PLC0415
    import scipy.spatial  # noqa: F401, PLC0415

    from inbound.scans.contacts import contacts, deviation  # noqa: PLC0415
    from scanpost.jaws import make_jaw  # noqa: PLC0415

    upper, lower = (make_jaw(TRIANGLES, jaw) for jaw in ("upper", "lower"))
    Path("/proc/self/clear_refs").write_text("5")  # the highest memory, from here on
    start = process_time()
    found = contacts(upper, lower)
    seconds, memory = process_time() - start, _peak()
    start = process_time()
    deviation(upper, upper)
    same = process_time() - start
    return {
        "contacts": seconds,
        "memory": memory / 1e6,
        "deviation": same,
        "error": _error(upper, lower, found.one),
    }


def _error(one: Any, other: Any, values: Any) -> float:
    """The largest difference from an exact search, um."""
    import numpy as np  # noqa: PLC0415

    near = np.flatnonzero(np.isfinite(values))
    rows = near[:: max(1, len(near) // SAMPLE)]
    corners = other.vertices[other.faces].astype(np.float64).transpose(1, 0, 2)
    true = [_exact(one.vertices[row].astype(np.float64), corners) for row in rows]
    return float(np.abs(np.abs(values[rows]) - true).max()) * 1000


def _exact(point: Any, corners: Any) -> float:
    import numpy as np  # noqa: PLC0415

    a, b, c = corners
    normal = np.cross(b - a, c - a)
    unit = normal / np.maximum(np.linalg.norm(normal, axis=1), 1e-30)[:, None]
    height = ((point - a) * unit).sum(axis=1)
    inside, apart = np.ones(len(a), bool), np.full(len(a), np.inf)
    for start, end in ((a, b), (b, c), (c, a)):
        along, way = end - start, point - start
        inside &= (np.cross(along, way) * unit).sum(axis=1) > 0
        square = np.maximum((along * along).sum(axis=1), 1e-30)
        share = ((way * along).sum(axis=1) / square).clip(0, 1)
        apart = np.minimum(apart, np.linalg.norm(way - share[:, None] * along, axis=1))
    return float(np.where(inside, np.abs(height), apart).min())


def _peak() -> int:
    """The highest memory of this process in bytes: arches and libraries, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    print(json.dumps(_measured()))
