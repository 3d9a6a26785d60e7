"""Rows `weld-1m` and `ply-500k`: a scan read and welded, and a PLY with colours read, against trimesh.

Ours reads what a child has mapped; the peer is `trimesh.load` as it comes, which welds too. CPU seconds of the first
large scan that a process meets, as in a child; and in another process the peak of its own memory over what it had
before. Imports and the file's mapped pages are apart. Each side runs in processes of its own and measures itself.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.bench.rows import at_least, at_most, interleaved

CURVE = (150_000, 500_000, 1_000_000, 2_000_000, 5_000_000)
_MB = 1 << 20


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        stl, ply = Path(folder) / "scan.stl", Path(folder) / "scan.ply"
        _prepare(stl, 1_000_000)
        _prepare(ply, 500_000)
        welded, coloured = _measured(stl), _measured(ply)
    ours, theirs = welded["ours"], welded["theirs"]
    memory = at_most("weld-1m-memory", ours["mb"], theirs["mb"], "trimesh", "MB", 1 / 3)
    speed = at_least("weld-1m", ours["cpu"], theirs["cpu"], "trimesh", "s CPU", 7)
    ours, theirs = coloured["ours"], coloured["theirs"]
    return [speed, memory, at_least("ply-500k", ours["cpu"], theirs["cpu"], "trimesh", "s CPU", 10)]


def curve() -> None:
    """Prints what scans of many sizes cost: python -m tests.bench.weld curve."""
    with tempfile.TemporaryDirectory() as folder:
        for triangles in CURVE:
            path = Path(folder) / "scan.stl"
            _prepare(path, triangles)
            found = _measured(path)
            ours, theirs = found["ours"], found["theirs"]
            print(
                f"{triangles:9,} triangles  ours {ours['cpu']:6.3f} s {ours['mb']:7.1f} MB  trimesh "
                f"{theirs['cpu']:6.3f} s {theirs['mb']:7.1f} MB  {theirs['cpu'] / ours['cpu']:5.1f}x faster, "
                f"{ours['mb'] / theirs['mb']:.2f} of its memory",
                flush=True,
            )


def _measured(path: Path) -> dict[str, dict[str, float]]:
    return interleaved({side: lambda side=side: _run(side, path) for side in ("ours", "theirs")})


def _prepare(path: Path, triangles: int) -> None:
    from scanpost import jaws  # noqa: PLC0415 -- the peer loads none of ours

    jaw = jaws.make_jaw(triangles, "lower")
    made = jaws.stl_bytes if path.suffix == ".stl" else jaws.ply_bytes
    path.write_bytes(made(jaw))
    _small(path).write_bytes(made(jaws.make_jaw(4_000, "lower")))


def _small(path: Path) -> Path:
    return path.with_stem("small")


def _run(side: str, path: Path) -> dict[str, float]:
    figures = {}
    for figure in ("cpu", "mb"):
        command = [sys.executable, "-m", "tests.bench.weld", side, figure, str(path)]
        output = subprocess.run(command, check=True, capture_output=True).stdout
        figures[figure] = float(output)
    return figures


def _ours(path: Path) -> Callable[[], int]:
    import mmap  # noqa: PLC0415

    from inbound.scans.read import read  # noqa: PLC0415
    from inbound.scans.sniff import Format  # noqa: PLC0415
    from inbound.scans.weld import weld  # noqa: PLC0415

    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    if path.suffix == ".ply":
        return lambda: len(read(data, Format.PLY, {}).mesh.faces)
    return lambda: len(weld(read(data, Format.STL, {}).mesh).faces)


def _theirs(path: Path) -> Callable[[], int]:
    import trimesh  # noqa: PLC0415

    return lambda: len(trimesh.load(path).faces)


class _Peak:
    """The most memory of this process's own (RssAnon) while it is in a `with`, over what it was, in MB."""

    def __init__(self) -> None:
        self.before = self.most = _own_memory()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.ended.wait(0.002):
            self.most = max(self.most, _own_memory())

    @property
    def mb(self) -> float:
        return (self.most - self.before) / _MB


def _own_memory() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _alone(side: str, figure: str, path: Path) -> float:
    make = {"ours": _ours, "theirs": _theirs}[side]
    make(_small(path))()  # whatever is loaded for good
    work = make(path)
    if figure == "mb":
        with _Peak() as peak:
            assert work() > 0
        return peak.mb
    began = time.process_time()
    assert work() > 0
    return time.process_time() - began


if __name__ == "__main__":
    if sys.argv[1] == "curve":
        curve()
    else:
        print(_alone(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
