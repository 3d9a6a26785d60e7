"""What the commands of the operator share: the stores, opened for one piece of work."""

import asyncio
from collections.abc import Awaitable, Callable

from scanpost import logs
from scanpost.compose import close_house, open_house
from store import settings
from store.house import House


def in_house(work: Callable[[House], Awaitable[None]]) -> None:
    """Runs work on the stores; never starts the engine, whose work belongs to `serve`."""
    asyncio.run(_run(work))


async def _run(work: Callable[[House], Awaitable[None]]) -> None:
    logs.configure(as_json=False, quiet=True)  # a command speaks for itself
    house = await open_house(settings.load())
    try:
        await work(house)
    finally:
        await close_house(house)
