"""Watching a process tree from outside: its CPU seconds, and its memory over idle.

Memory is the sum of PSS over the tree, in which a page that several processes share counts once, and
all memory files (memfd), whether a process has them mapped or not.
"""

import os
import threading
from pathlib import Path
from typing import Self

from tests.service import descendants_of

TICK = os.sysconf("SC_CLK_TCK")
EVERY = 0.01  # seconds between two looks at the memory


def cpu_seconds(pid: int) -> float:
    """CPU of a process, its living descendants, and all that these have waited for."""
    return sum(_cpu(each) for each in [pid, *descendants_of(pid)])


class MemoryWatch:
    """Keeps the highest memory of a tree while it is in a `with`, in bytes over what it was before."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.idle = memory_bytes(pid)
        self.peak = self.idle

    @property
    def over_idle(self) -> int:
        return self.peak - self.idle

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.stopped.wait(EVERY):
            self.peak = max(self.peak, memory_bytes(self.pid))


def memory_bytes(pid: int) -> int:
    found = [_pss(each) for each in [pid, *descendants_of(pid)]]
    mapped_files = sum(shared for _, shared in found)
    return sum(private for private, _ in found) + max(mapped_files, _all_memory_files())


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICK


def _pss(pid: int) -> tuple[int, int]:
    """PSS without and of memory files, in bytes."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (OSError, ProcessLookupError):
        return 0, 0
    values = {line.split(":")[0]: line.split() for line in text.splitlines()[1:]}
    whole, shared = int(values["Pss"][1]), int(values["Pss_Shmem"][1])
    return (whole - shared) * 1024, shared * 1024


def _all_memory_files() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Shmem:"):
            return int(line.split()[1]) * 1024
    return 0
