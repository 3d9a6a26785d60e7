"""`scanpost serve` as a process of its own, to be started, watched and killed."""

import asyncio
import os
import re
import signal
import socket
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from tests.fakes import DOMAIN

START = 30.0  # seconds until "ready"


class Service:
    """A server process in a process group of its own."""

    def __init__(self, folder: Path, relay: str, web_port: int = 0) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if "SCANPOST" not in name},
            "SCANPOST_DATA_DIR": str(folder),
            "SCANPOST_DOMAIN": DOMAIN,
            "SCANPOST_SMTP_LISTEN": "127.0.0.1:0",
            "SCANPOST_WEB_LISTEN": f"127.0.0.1:{web_port}",
            "SCANPOST_BASE_URL": f"http://127.0.0.1:{web_port}",
            "SCANPOST_TRUSTED_CLIENTS": "127.0.0.0/8",
            "SCANPOST_RELAY_URL": relay,
            "PYTHONWARNINGS": "default",
        }
        self.process: Process | None = None
        self.smtp_port = 0
        self.web_port = 0
        self.log: list[str] = []
        self.reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def command(self, *arguments: str) -> str:
        """Runs a scanpost command on the same data folder."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "scanpost", *arguments, env=self.environment, stdout=PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, arguments
        return output.decode()

    async def start(self) -> None:
        """Starts the server and waits until it says that it is ready."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "scanpost",
            "serve",
            env=self.environment,
            stderr=PIPE,
            start_new_session=True,
        )
        ready = asyncio.Event()
        self.reading = asyncio.create_task(self._read(self.process, ready))
        async with asyncio.timeout(START):
            await ready.wait()

    def kill(self, number: int = signal.SIGKILL, *, group: bool = False) -> None:
        if group:
            os.killpg(self.pid, number)
        else:
            os.kill(self.pid, number)

    async def ended(self) -> int:
        """Waits for the end; returns the exit code."""
        assert self.process is not None
        assert self.reading is not None
        async with asyncio.timeout(START):
            code = await self.process.wait()
            await self.reading
        return code

    def descendants(self) -> list[int]:
        """The process ids below the server: forkserver, resource tracker, mesh children."""
        return descendants_of(self.pid)

    def rows(self, question: str) -> list[tuple[object, ...]]:
        """Asks the database of the stopped or running server, reading only."""
        connection = sqlite3.connect(f"file:{self.folder}/scanpost.db?mode=ro", uri=True)
        try:
            return connection.execute(question).fetchall()
        finally:
            connection.close()

    async def _read(self, process: Process, ready: asyncio.Event) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            text = line.decode()
            self.log.append(text)
            ports = re.search(r"ready .*smtp=\S+:(\d+).*web=\S+:(\d+)", text)
            if ports:
                self.smtp_port, self.web_port = int(ports[1]), int(ports[2])
                ready.set()


def free_port() -> int:
    """A port that was free a moment ago, for a server whose links must name it beforehand."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def descendants_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            child = int(path.parent.name)
            found += [child, *descendants_of(child)]
    return found


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
