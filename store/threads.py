"""Our own threads for disk, sealing and object stores.

The event loop's default executor is not ours: the engine puts its own pool there and takes it
away when it stops, while a commit may still be under way.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    def __init__(self, count: int = 8) -> None:
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="scanpost-io")

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs blocking work and waits for it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, lambda: work(*args, **kwargs))

    def stop(self) -> None:
        self.pool.shutdown(wait=True)
