"""Our side of `answer-45mb`: the product's own steps, the work of a child cut down to read and weld."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from inbound.cases.opening import case_id_of
from inbound.cases.sealing import plain, seal_result
from inbound.cases.take import take_files
from inbound.door.receive import Arriving, Envelope, Receiver
from inbound.door.smtp import SmtpDoor
from inbound.flow import read_mail
from inbound.scans.child import Children
from scanpost import logs
from scanpost.compose import open_house
from store.house import House, object_name
from store.records import cases, labs
from store.settings import Settings
from store.tokens import derived_id
from tests.fakes import ANNA, DOMAIN


class Bench(Receiver):
    """The receiver of the product, that works on the mail at once instead of by the engine."""

    def __init__(self, house: House, children: Children) -> None:
        super().__init__(house)
        self.children = children
        self.work: set[asyncio.Task[None]] = set()

    async def commit(self, arriving: Arriving, envelope: Envelope) -> str:
        mail_id = await super().commit(arriving, envelope)
        self.work.add(asyncio.create_task(_work(self.house, self.children, mail_id)))
        return mail_id


async def _work(house: House, children: Children, mail_id: str) -> None:
    assert await read_mail(house, children, mail_id)
    await take_files(house, children, mail_id)
    case_id = case_id_of(mail_id)
    version_id = derived_id("version", mail_id)
    async with house.database.read() as connection:
        key = await house.case_key(connection, case_id)
        scans = await cases.scans_of(connection, version_id)

    async def weld(scan: Any) -> None:
        name = object_name(case_id, version_id, scan.number, "original")
        with await house.threads.run(plain, house, key, name) as original:
            _, (mesh,) = await children.run("weld_scan", [original], 1)
        with mesh:
            place = object_name(case_id, version_id, scan.number, "mesh")
            await house.threads.run(seal_result, house, key, place, mesh)

    for scan in scans:
        await weld(scan)
    print("done", flush=True)


async def main(folder: Path) -> None:
    logs.configure(as_json=False, quiet=True)
    settings = Settings(data_dir=folder, domain=DOMAIN, trusted_clients="127.0.0.0/8")
    house = await open_house(settings)
    async with house.database.write() as connection:
        lab = await labs.add_lab(connection, "Acme", house.clock.now())
        await labs.add_member(connection, lab.id, ANNA, "Anna", "Acme", house.clock.now())
    children = Children(nursery="tests.bench.nursery")
    await children.warm()
    door = SmtpDoor(Bench(house, children), "127.0.0.1:0", DOMAIN)
    print("port", await door.open(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
