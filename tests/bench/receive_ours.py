"""Our side of the receive rows: stores, receiver, listener; nobody works on the mails."""

import asyncio
import functools
import sys
from pathlib import Path

from inbound.door.receive import Receiver
from inbound.door.smtp import SmtpDoor
from scanpost import logs
from scanpost.compose import open_house
from store.records import labs
from store.settings import Settings
from tests.fakes import ANNA, DOMAIN

EVERY = 0.005  # seconds


async def main(folder: Path) -> None:
    logs.configure(as_json=False, quiet=True)
    house = await open_house(
        Settings(data_dir=folder, domain=DOMAIN, trusted_clients="127.0.0.0/8")
    )
    async with house.database.write() as connection:
        lab = await labs.add_lab(connection, "Acme", house.clock.now())
        await labs.add_member(connection, lab.id, ANNA, "Anna", "Acme", house.clock.now())
    door = SmtpDoor(Receiver(house), "127.0.0.1:0", DOMAIN)
    print("port", await door.open(), flush=True)
    asked = functools.partial(asyncio.get_running_loop().run_in_executor, None, sys.stdin.readline)
    await asked()
    stalls: list[float] = []
    watching = asyncio.create_task(watch(stalls))
    await asked()
    watching.cancel()
    stalls.sort()
    print(stalls[int(len(stalls) * 0.99)] * 1000, stalls[-1] * 1000, flush=True)
    await asyncio.Event().wait()


async def watch(stalls: list[float]) -> None:
    """How late the loop is, asked every 5 ms, in seconds."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY
        await asyncio.sleep(EVERY)
        stalls.append(loop.time() - due)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
