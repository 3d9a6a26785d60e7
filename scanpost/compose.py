"""The composition root: the only place that knows concrete classes.

Starts in the order in which parts need each other, and stops so that nothing is half done: the doors
first, then the flows, which the next start takes up again, then the children, then the databases.
"""

import asyncio
import functools
import signal
from pathlib import Path
from typing import Protocol

import structlog

from inbound.auth.envelope import Mode
from inbound.cases.course import case_flow
from inbound.cases.remarks import remark_flow
from inbound.cases.uploads import upload_flow
from inbound.door.imap import ImapDoor
from inbound.door.lmtp import LmtpDoor
from inbound.door.receive import Receiver
from inbound.door.smtp import SmtpDoor
from inbound.door.tls import Certificate
from inbound.flow import mail_flow
from inbound.scans.child import Children, stop_forkserver
from inbound.talk.confirmed import confirmation_flow
from outbound.flow import letter_flow
from outbound.relay import relay_of
from scanpost import logs
from store.blobs import Blobs
from store.blobs.folder import FolderBlobs
from store.blobs.keys import Keys
from store.blobs.spool import Spool
from store.clock import Clock, MovedClock, SystemClock
from store.engine import Engine, end_gently
from store.errors import SettingsError
from store.house import House
from store.records import mails
from store.records.database import Database
from store.settings import Settings, unknown_names
from store.sweep import Sweep, waiting_for_stores
from store.threads import Threads
from viewer.app import make_app
from viewer.connections import WebListener

# Heavy work waits for a child's place (Children.room), so that a REVOKE never waits behind a mesh.
MAILS_AT_ONCE = 16
DATABASE = "scanpost.db"
LETTERS_AT_ONCE = 8
CASES_AT_ONCE = 2
CLICKS_AT_ONCE = 4
REMARKS_AT_ONCE = 4
UPLOADS_AT_ONCE = 2
SWEEP_ENDS = 3.0  # seconds
log = structlog.get_logger()


async def open_house(settings: Settings) -> House:
    """The stores of this process; the command line needs no more than these."""
    clock: Clock = SystemClock()
    if settings.test_clock_file:
        clock = MovedClock(settings.test_clock_file)
    folder = settings.data_dir
    keys = _keys(settings.master_key_file or folder / "master.key", folder / DATABASE)
    blobs = _blobs(settings)  # Before the database: what cannot be used leaves nothing open.
    return House(
        settings=settings,
        clock=clock,
        database=await Database.open(folder / DATABASE),
        spool=Spool(folder / "spool", keys),
        blobs=blobs,
        keys=keys,
        threads=Threads(),
        object_threads=Threads(16),
    )


def _keys(path: Path, database: Path) -> Keys:
    """The master key, made at the very first start only: a new one would lose every case there is."""
    if database.exists() and not path.exists():
        raise SettingsError(
            f"The master key {path} is missing, and {database} needs it. Put it back."
        )
    return Keys.load(path)


def _blobs(settings: Settings) -> Blobs:
    if not settings.blobs_url:
        return FolderBlobs(settings.data_dir / "objects")
    from store.blobs.s3 import S3Blobs  # noqa: PLC0415 -- 40 MB of boto3, which a folder saves

    return S3Blobs.open(settings.blobs_url, settings.s3_access_key, settings.s3_secret_key)


async def close_house(house: House) -> None:
    # First: a thread may be waiting for an outage of the object store to pass.
    house.blobs.close()
    house.object_threads.stop()
    house.threads.stop()
    await house.database.close()


class Door(Protocol):
    """A way for mail to come in."""

    kind: str

    @property
    def address(self) -> str: ...

    async def open(self) -> int: ...

    async def close(self) -> None: ...


def _certificate(settings: Settings) -> Certificate | None:
    if settings.smtp_certificate is None or settings.smtp_key is None:
        return None
    return Certificate(settings.smtp_certificate, settings.smtp_key)


class Server:
    """Everything that `scanpost serve` runs, in one process on one loop."""

    def __init__(self, house: House) -> None:
        self.house = house
        settings = house.settings
        self.children = Children()
        self.engine = Engine(settings.data_dir)
        self.sweep = Sweep(house, self.engine)
        self.receiver = Receiver(house)
        self.smtp = SmtpDoor(
            self.receiver,
            settings.smtp_listen,
            settings.domain,
            _certificate(settings),
            settings.proxy_networks,
            Mode(settings.sender_mode),
        )
        self.doors: list[Door] = [self.smtp]
        if settings.lmtp_listen:
            self.doors.append(LmtpDoor(self.receiver, settings.lmtp_listen, settings.domain))
        if settings.imap_url:
            self.doors.append(ImapDoor(self.receiver, settings.imap_url))
        self.web = WebListener(make_app(house), settings.web_listen, settings.proxy_networks)
        self.sweeping: asyncio.Task[None] | None = None
        self._add_flows()

    @property
    def web_port(self) -> int:
        return self.web.port

    async def start(self) -> None:
        self.engine.take_lock()
        await self.house.object_threads.run(self.house.blobs.check)
        await self._clean_spool()
        await self.children.warm()
        await self.engine.start()
        for door in self.doors:
            await door.open()
        await self.web.open()
        self.sweeping = asyncio.create_task(self.sweep.run())
        listening = {door.kind: door.address for door in self.doors}
        log.info("ready", **listening, web=f"{self.web.host}:{self.web.port}")

    async def stop(self) -> None:
        log.info("stopping")
        for door in self.doors:
            try:
                await door.close()
            except Exception:  # the rest must stop all the same
                log.exception("door does not close", door=door.kind)
        await self.web.close()
        if self.sweeping:
            self.sweep.stopping = True
            self.house.poke()
            await end_gently({self.sweeping}, SWEEP_ENDS)
        self.children.stopping = True
        await self.engine.stop()
        await self.children.stop()
        stop_forkserver()
        self.receiver.close()
        log.info("stopped")

    def _add_flows(self) -> None:
        house = self.house
        mail = functools.partial(mail_flow, house, self.children)
        letter = functools.partial(
            letter_flow, house, relay_of(house.settings.relay, house.threads)
        )
        case = functools.partial(case_flow, house)
        confirmation = functools.partial(confirmation_flow, house)
        remark = functools.partial(remark_flow, house, self.children)
        upload = functools.partial(upload_flow, house)
        for kind, flow, at_once in (
            ("mail", mail, MAILS_AT_ONCE),
            ("letter", letter, LETTERS_AT_ONCE),
            ("case", case, CASES_AT_ONCE),
            ("confirmation", confirmation, CLICKS_AT_ONCE),
            ("remark", remark, REMARKS_AT_ONCE),
            ("upload", upload, UPLOADS_AT_ONCE),
        ):
            self.engine.add_flow(kind, waiting_for_stores(house, kind, flow), at_once)

    async def _clean_spool(self) -> None:
        """Removes what a killed process left: mails half received, and mails no row wants."""
        spool = self.house.spool
        with await self.house.threads.run(spool.alone):
            spool.remove_unfinished()
            left = spool.mail_ids()
            async with self.house.database.read() as connection:
                wanted = await mails.kept_in_spool(connection)
            spool.discard_all(left - wanted)


async def serve(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT."""
    logs.configure(as_json=settings.log_json)
    for name in unknown_names():
        log.warning("setting is not known", name=name)
    house = await open_house(settings)
    server = Server(house)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        await server.start()
        await stopped.wait()
    finally:
        await server.stop()
        await close_house(house)
