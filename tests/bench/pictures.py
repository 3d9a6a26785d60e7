"""Rows `picture-2x300k` and `picture-all`: the CPU of a case's pictures against one picture by f3d.

Each side is a whole fresh process that reads the same two STL files of 300k triangles. f3d draws one view of 1200 by
675 pixels in its default (and cheapest) way, without ambient occlusion or antialiasing; ours draws the letter's
three views, and for `picture-all` the poster and six views beside it, which may cost as much again.
f3d is not among our packages (250 MB, and GL libraries): SCANPOST_F3D_PYTHON names a python that has it.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from scanpost import jaws
from tests.bench import rows

TRIANGLES = 308_000  # about 300k once the open edge is cut
F3D_PYTHON = "SCANPOST_F3D_PYTHON"
_THEIRS = str(Path(__file__).with_name("pictures_theirs.py"))


def measure() -> list[dict[str, Any]]:
    python = os.environ.get(F3D_PYTHON, "")
    if not _has_f3d(python):
        print(f"picture-2x300k, picture-all: left out, {F3D_PYTHON} names no python with f3d")
        return []
    with tempfile.TemporaryDirectory() as folder:
        scans = [_scan(Path(folder), jaw) for jaw in ("upper", "lower")]
        ours = [sys.executable, "-m", "tests.bench.pictures_ours"]
        found = rows.interleaved(
            {
                "letter": partial(_cpu, [*ours, "letter", *scans]),
                "all": partial(_cpu, [*ours, "all", *scans]),
                "theirs": partial(_cpu, [python, _THEIRS, f"{folder}/theirs.png", *scans]),
            }
        )
    cpu = {side: figures["cpu"] for side, figures in found.items()}
    return [
        rows.at_most("picture-2x300k", cpu["letter"], cpu["theirs"], "f3d", "s CPU", 1.0),
        rows.at_most("picture-all", cpu["all"], cpu["theirs"], "f3d", "s CPU", 2.0),
    ]


def _has_f3d(python: str) -> bool:
    if not python:
        return False
    tried = subprocess.run([python, "-c", "import f3d"], check=False, capture_output=True)
    return tried.returncode == 0


def _scan(folder: Path, jaw: str) -> str:
    path = folder / f"{jaw}.stl"
    path.write_bytes(jaws.stl_bytes(jaws.make_jaw(TRIANGLES, jaw)))
    return str(path)


def _cpu(command: list[str]) -> dict[str, float]:
    """CPU seconds of one process from its start to its end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return {"cpu": usage.ru_utime + usage.ru_stime}
