"""A slow line between a browser and a server: a proxy in a thread, with a rate and a way there and back.

Unlike the browser's own emulation it holds for whatever asks (page, worker, preload) and for every viewer alike,
and it can be cut in the middle of a file.
"""

import asyncio
import contextlib
import time
from asyncio import StreamReader, StreamWriter
from collections import deque
from threading import Thread
from typing import Self

PIECE = 4096
CREDIT = 0.01  # seconds


class SlowLine:
    """
    Args:
        upstream: the server's port on loopback.
        megabits: how many a second come to the browser, over all connections together.
        round_trip: seconds there and back.
    """

    def __init__(self, upstream: int, megabits: float = 10, round_trip: float = 0.040) -> None:
        self.upstream = upstream
        self.bytes_a_second = megabits * 1e6 / 8
        self.one_way = round_trip / 2
        self.port = 0
        self.received = 0  # bytes that have gone to the browser
        self.is_cut = False
        self.free_at = 0.0
        self.loop = asyncio.new_event_loop()
        self.writers: set[StreamWriter] = set()
        self.thread = Thread(target=self._run, daemon=True)
        self.server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self.loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def set_rate(self, megabits: float) -> None:
        self.bytes_a_second = megabits * 1e6 / 8

    def cut(self) -> None:
        """Breaks every connection, and lets no new one come through until `mend`."""
        self.is_cut = True
        self.loop.call_soon_threadsafe(self._break)

    def mend(self) -> None:
        self.is_cut = False

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _open(self) -> None:
        self.server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self.server is not None
        self.server.close()
        self._break()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.gather(*others, return_exceptions=True)

    def _break(self) -> None:
        for writer in self.writers:
            writer.transport.abort()

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        await asyncio.sleep(2 * self.one_way)  # what opening a connection costs
        answers, questions = await asyncio.open_connection("127.0.0.1", self.upstream)
        both = {writer, questions}
        self.writers |= both
        await asyncio.gather(
            self._carry(reader, questions, slowly=False), self._carry(answers, writer, slowly=True)
        )
        self.writers -= both

    async def _carry(self, reader: StreamReader, writer: StreamWriter, *, slowly: bool) -> None:
        """Each piece arrives a way's time after it was sent, the next may be sent meanwhile."""
        under_way: deque[tuple[float, bytes]] = deque()
        something = asyncio.Event()

        async def deliver() -> None:
            while True:
                await something.wait()
                while under_way:
                    due, piece = under_way.popleft()
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    if not piece:
                        return
                    writer.write(piece)
                    await writer.drain()
                    self.received += len(piece) if slowly else 0
                something.clear()

        delivering = asyncio.create_task(deliver())
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(PIECE):
                if slowly:
                    await self._take_turn(len(piece))
                under_way.append((time.monotonic() + self.one_way, piece))
                something.set()
        under_way.append((0.0, b""))
        something.set()
        with contextlib.suppress(ConnectionError):
            await delivering
        writer.close()

    async def _take_turn(self, size: int) -> None:
        """Waits until the line has room: all connections share it."""
        now = time.monotonic()
        # Sleeps last a little too long; what that lost is made up for, no more.
        self.free_at = max(self.free_at, now - CREDIT) + size / self.bytes_a_second
        await asyncio.sleep(max(0.0, self.free_at - now))
