"""A hostile file is read in a child process of its own, under limits, without keys.

The child gets plaintext on memory files and writes to memory files, which the parent seals. It is
forked from a warm forkserver (11 ms), ends with its parent, and is not disturbed by the signals that
tell the parent to stop. Where the kernel permits it reaches no network, starts no process, writes no
file and reads none but its own modules (`cage`). An end without a result is the file's fault only if
the child's own limit killed it; whatever else killed it, the work is tried again.
"""

import asyncio
import contextlib
import ctypes
import json
import mmap
import multiprocessing
import os
import resource
import signal
import sys
import traceback
import types
import weakref
from collections.abc import Iterable, Iterator
from multiprocessing import forkserver, reduction
from multiprocessing.context import ForkServerProcess
from typing import Any, BinaryIO, Self

import structlog

from inbound.scans import cage
from store.errors import ChildLost, ScanRefused, Stopping

MEMORY = 3 << 30  # bytes of address space
CPU = 120  # seconds
WALL = 300.0  # seconds
LARGEST_OUTPUT = 1 << 30  # bytes of one memory file
LARGEST_FACTS = 1 << 20  # bytes of what a child says of a file
TRIES = 3
_PR_SET_PDEATHSIG = 1
# Signals by which a fault of the native code under us ends a child: the same file would do it again.
_CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}
log = structlog.get_logger()


class Memory:
    """A file in memory that a child may be handed. Close it, or use it in a `with`."""

    def __init__(self, name: str = "scan") -> None:
        self.fd = os.memfd_create(name, os.MFD_CLOEXEC)
        # An error between here and a `with` must not keep a plaintext for as long as we live.
        self.close = weakref.finalize(self, os.close, self.fd)

    @classmethod
    def of(cls, pieces: Iterable[bytes]) -> "Memory":
        memory = cls()
        for piece in pieces:
            memory.write(piece)
        return memory

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]

    def pieces(self, size: int = 1 << 20) -> Iterator[bytes]:
        at = 0
        while piece := os.pread(self.fd, size, at):
            at += len(piece)
            yield piece

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Children:
    """Runs jobs (inbound/scans/jobs.py).

    Attributes:
        room: to be held around loading a file and running jobs on it: as many plaintexts are in
            memory, and as many children at work, as there are cores.
    """

    def __init__(self, at_once: int | None = None, nursery: str = "inbound.scans.nursery") -> None:
        self.nursery = nursery
        self.context = multiprocessing.get_context("forkserver")
        self.room = asyncio.Semaphore(at_once or os.cpu_count() or 1)
        self.alive: set[ForkServerProcess] = set()
        self.stopping = False
        self.idle = asyncio.Event()
        self.idle.set()

    async def warm(self) -> None:
        """Starts the forkserver and loads what children need: before `ready`, not with the first mail."""
        # More threads than one only cost memory where every child has a core.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self.context.set_forkserver_preload([self.nursery])
        await self.run("nothing", [], 0)

    async def run(
        self, job: str, inputs: list[Memory], outputs: int, **arguments: Any
    ) -> tuple[dict[str, Any], list[Memory]]:
        """Runs a job and returns its facts and what it wrote, to be closed by the caller.

        Raises:
            ScanRefused: the file cannot be used; the sentence begins with its verb.
            ChildLost: the child was killed from outside, three times.
            Stopping: the process is shutting down.
        """
        for _ in range(TRIES):
            written = [Memory("result") for _ in range(outputs + 1)]
            try:
                end = await self._one(job, inputs, written, arguments)
                if end == 0 and written[0].size:
                    return self._facts(written[0]), written[1:]
            except BaseException:
                _close(written)
                raise
            _close(written)
            self._blame(end)
            log.warning("mesh child lost", job=job, end=end)
        raise ChildLost(f"The child process for {job} was killed {TRIES} times.")

    async def stop(self) -> None:
        """Kills the children that run; their work is taken up at the next start."""
        self.stopping = True
        for process in list(self.alive):
            process.kill()
        await self.idle.wait()

    async def _one(
        self, job: str, inputs: list[Memory], written: list[Memory], arguments: dict[str, Any]
    ) -> int:
        if self.stopping:
            raise Stopping("The server is stopping.")
        loop = asyncio.get_running_loop()
        handles = [_Handle(memory.fd) for memory in [*inputs, *written]]
        process = self.context.Process(
            target=_work, args=(job, handles, len(inputs), json.dumps(arguments)), daemon=True
        )
        with _without_main():
            process.start()
        ended = loop.create_future()
        loop.add_reader(process.sentinel, _settle, ended)
        self.alive.add(process)
        self.idle.clear()
        try:
            async with asyncio.timeout(WALL):
                await asyncio.shield(ended)
        except TimeoutError:
            raise ScanRefused(f"takes longer than {WALL:.0f} seconds to read. {_SMALLER}") from None
        finally:
            loop.remove_reader(process.sentinel)
            if not ended.done():
                process.kill()
            process.join()
            self.alive.discard(process)
            if not self.alive:
                self.idle.set()
        end = process.exitcode
        process.close()
        assert end is not None
        return end

    def _facts(self, memory: Memory) -> dict[str, Any]:
        if memory.size > LARGEST_FACTS:
            raise ScanRefused(_UNREADABLE)
        facts: dict[str, Any] = json.loads(b"".join(memory.pieces()))
        memory.close()
        if "failed" in facts:
            log.error("mesh job failed", error=facts["failed"])
            raise ScanRefused(_UNREADABLE)
        if "refused" in facts:
            raise ScanRefused(facts["refused"])
        return facts

    def _blame(self, end: int) -> None:
        if self.stopping:
            raise Stopping("The server is stopping.")
        if end == -signal.SIGXCPU:
            raise ScanRefused(f"takes more than {CPU} seconds of work to read. {_SMALLER}")
        if end == -signal.SIGXFSZ:
            raise ScanRefused(f"is too large to be prepared here. {_SMALLER}")
        if end in _CRASHES:
            raise ScanRefused(_UNREADABLE)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """A child would import the program that started us once more (600 ms): it needs none of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


_SMALLER = "Export it with fewer triangles."
_UNREADABLE = "cannot be read: its content makes the reader fail. Export it again."


class _Handle:
    """A file descriptor that travels to the child with the process's arguments."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self.fd),)


def _received(duplicate: Any) -> int:
    fd: int = duplicate.detach()
    return fd


def _settle(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)


def _close(memories: list[Memory]) -> None:
    for memory in memories:
        memory.close()


def stop_forkserver() -> None:
    """Ends the forkserver now instead of with this process."""
    with contextlib.suppress(OSError, AttributeError, ChildProcessError):
        forkserver._forkserver._stop()  # type: ignore[attr-defined]  # noqa: SLF001


# ---------------------------------------------------------------- in the child


def _work(job: str, fds: list[int], inputs: int, arguments: str) -> None:
    _limit()
    from inbound.scans.jobs import JOBS  # noqa: PLC0415 -- loaded before the fork

    report, results = fds[inputs], fds[inputs + 1 :]
    try:
        data = [_mapped(fd) for fd in fds[:inputs]]
        facts = JOBS[job](data, [_file(fd) for fd in results], json.loads(arguments))
    except ScanRefused as refusal:
        facts = {"refused": str(refusal)}
    except MemoryError:
        facts = {"refused": f"needs more memory than a scan may take. {_SMALLER}"}
    except Exception as error:  # noqa: BLE001 -- a fault of ours; its neighbours are still to be shared
        where = traceback.extract_tb(error.__traceback__)[-1]
        facts = {"failed": f"{type(error).__name__} at {where.name}:{where.lineno}"}
    os.write(report, json.dumps(facts).encode())
    os._exit(0)  # nothing to clean up: the parent holds the files


def _limit() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The hard limit ends a child without a word: the soft one comes first and tells why.
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU + 5))
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, LARGEST_OUTPUT),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
    ):
        resource.setrlimit(kind, (limit, limit))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
    cage.shut()


def _mapped(fd: int) -> memoryview:
    if not os.fstat(fd).st_size:
        return memoryview(b"")
    mapped = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
    os.close(fd)  # a mapping keeps one of its own
    return memoryview(mapped)


def _file(fd: int) -> BinaryIO:
    return open(fd, "wb", buffering=0)
