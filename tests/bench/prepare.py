"""Rows `prepare-300k` and `bytes-1m`: a scan from its file to all that the browser gets, and how much that is.

Ours is the job that a child runs (read, stripped copy, weld, report, jaw frame, three levels, packed for
the wire), pictures apart; the peer is trimesh.load and its GLB export. Each side runs in a process of its
own and measures itself, imports apart.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scanpost import jaws
from tests.bench.rows import at_least, at_most, interleaved

_OURS = """
import sys, time
from inbound.scans.prepare import prepare
from inbound.scans.jobs import wired
from inbound.scans.sniff import Format
import fast_simplification, brotli, meshopt
data = open(sys.argv[1], "rb").read()
begin = time.process_time()
made = prepare(memoryview(data), Format(sys.argv[2]))
sizes = [len(wired(level)) for level in (made.preview, made.medium, made.full)]
print(time.process_time() - begin, *sizes)
"""
_THEIRS = """
import sys, time, trimesh
begin = time.process_time()
trimesh.load(sys.argv[1]).export(file_type="glb")
print(time.process_time() - begin)
"""
CURVE = (150_000, 300_000, 1_000_000, 2_500_000, 5_000_000)


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        arch = Path(folder) / "arch.stl"
        arch.write_bytes(jaws.stl_bytes(jaws.make_jaw(308_000, "upper")))
        found = interleaved(
            {"ours": lambda: _run(_OURS, arch), "theirs": lambda: _run(_THEIRS, arch)}
        )
    cpu = {side: measured["cpu"] for side, measured in found.items()}
    return [at_most("prepare-300k", cpu["ours"], cpu["theirs"], "trimesh + GLB", "s CPU", 2)]


def measure_bytes() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        large = jaws.make_jaw(1_000_000, "upper")
        plain, coloured = Path(folder) / "arch.stl", Path(folder) / "arch.ply"
        plain.write_bytes(jaws.stl_bytes(large))
        coloured.write_bytes(jaws.ply_bytes(large))
        stl, ply = _run(_OURS, plain), _run(_OURS, coloured, "PLY")
        whole = plain.stat().st_size / 1e6
    return [
        at_least("bytes-1m", stl["full"], whole, "the STL", "MB", 25),
        at_least("bytes-1m-coloured", ply["full"], whole, "the STL", "MB", 15),
        at_most("bytes-1m-preview", ply["preview"], 0.2, "limit", "MB", 1),
    ]


def curve() -> list[str]:
    """Seconds and megabytes from 150k to 5M triangles: python -m tests.bench.prepare."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for triangles in CURVE:
            arch = Path(folder) / "arch.stl"
            arch.write_bytes(jaws.stl_bytes(jaws.make_jaw(triangles, "upper")))
            found = _run(_OURS, arch)
            lines.append(
                f"{triangles:9,} triangles {found['cpu']:6.2f} s CPU"
                f" {found['cpu'] / triangles * 1e6:5.2f} µs each, {found['full']:5.2f} MB"
            )
    return lines


def _run(code: str, file: Path, kind: str = "STL") -> dict[str, float]:
    command = [sys.executable, "-c", code, str(file), kind]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    cpu, *sizes = (float(word) for word in said)
    names = ("preview", "medium", "full")
    return {"cpu": cpu, **{name: size / 1e6 for name, size in zip(names, sizes, strict=False)}}


if __name__ == "__main__":
    print("\n".join(curve()))
