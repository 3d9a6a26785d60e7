"""Group commit: what arrives while one batch is being made durable is the next batch.

A lone mail waits for nobody; a burst shares its disk syncs and its transaction, for which each of its
mails waits a few milliseconds for the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
LARGEST = 64
LINGER = 0.008  # seconds that a batch waits for those who are about to come


class Batches(Generic[T, R]):
    """
    Args:
        work: takes items and returns a result or an exception for each, in their order.
        coming: how many may still come soon, those included who wait already.
    """

    def __init__(
        self,
        work: Callable[[list[T]], Awaitable[Sequence[R | Exception]]],
        coming: Callable[[], int],
    ) -> None:
        self.work = work
        self.coming = coming
        self.waiting: list[tuple[T, asyncio.Future[R]]] = []
        self.working: asyncio.Task[None] | None = None

    async def add(self, item: T) -> R:
        """Takes part in the next batch; returns this item's result, or raises its exception."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self.waiting.append((item, done))
        if self.working is None:
            self.working = asyncio.create_task(self._run())
        return await done

    async def _run(self) -> None:
        try:
            while self.waiting:
                if self.coming() > len(self.waiting):
                    await asyncio.sleep(LINGER)
                batch, self.waiting = self.waiting[:LARGEST], self.waiting[LARGEST:]
                await self._work_on(batch)
        finally:
            self.working = None

    async def _work_on(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results: Sequence[R | Exception] = await self.work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 -- it is told to each of those who wait
            results = [error] * len(batch)
        for (_, done), result in zip(batch, results, strict=True):
            if done.done():  # whoever asked was cancelled
                continue
            if isinstance(result, Exception):
                done.set_exception(result)
            else:
                done.set_result(result)
