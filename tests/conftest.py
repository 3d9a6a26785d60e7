"""What tests stand on: a house in a temporary folder, a running server, small scans."""

import asyncio
import functools
import gc
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from scanpost import jaws, logs
from scanpost.compose import Server, close_house, open_house
from store.clock import SetClock
from store.engine import end_gently
from store.house import House
from store.model import Case
from store.records import cases, labs, work
from store.settings import Settings
from tests import seaweed as seaweeds
from tests.browser import ARGUMENTS, CHROMIUM
from tests.fakedns import FakeDns
from tests.fakes import ANNA, BEN, DOMAIN, PATIENCE, STRANGER, Inbox, Postman
from viewer.templates import STATIC

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

    from tests.clicks import Site, Thread

WEB = STATIC.parent / "web"

logs.configure(as_json=False, quiet=True)
# For tests of what touches objects: once with the folder, once with a real S3.
on_both_stores = pytest.mark.parametrize("blobs_url", ["folder", "s3"], indirect=True)
on_s3 = pytest.mark.parametrize("blobs_url", ["s3"], indirect=True)


@functools.cache
def jaw_stl(jaw: str = "upper", triangles: int = 4_000) -> bytes:
    """A small jaw as binary STL; the same at every call."""
    return jaws.stl_bytes(jaws.make_jaw(triangles, jaw))


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweeds.Seaweed]:
    """An S3 server, started by the first test that asks for it."""
    with seaweeds.Seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


def pytest_collection_finish() -> None:
    """What is loaded now stays: else each look for garbage goes through ten thousand tests, and those
    that bound their time pay for it.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the viewer's lockfile: those beside its sources, or a fresh copy of them."""
    if (WEB / "node_modules").exists():
        return WEB / "node_modules"
    copy = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(WEB / name, copy)
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    subprocess.run(install, cwd=copy, check=True, capture_output=True, timeout=300)
    return copy / "node_modules"


@pytest.fixture(scope="session")
def axe(node_modules: Path) -> Path:
    """The script of axe-core, for `context.add_init_script`."""
    return node_modules / "axe-core/axe.min.js"


@pytest.fixture
async def playwright() -> AsyncIterator["Playwright"]:
    from playwright.async_api import async_playwright  # noqa: PLC0415 -- for those who look

    async with async_playwright() as driver:
        yield driver


@pytest.fixture
async def chromium(playwright: "Playwright") -> AsyncIterator["Browser"]:
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    await browser.close()


@pytest.fixture
def blobs_url(request: pytest.FixtureRequest) -> str:
    """Where objects lie: in the folder, unless a test says `on_s3` or `on_both_stores`."""
    if getattr(request, "param", "folder") == "folder":
        return ""
    server: seaweeds.Seaweed = request.getfixturevalue("seaweed")
    return server.url()


@pytest.fixture(scope="session")
def fresh_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a first start leaves it: the migrations run once for all tests, not for each."""
    folder = tmp_path_factory.mktemp("fresh") / "data"

    async def start() -> None:
        await close_house(await open_house(Settings(data_dir=folder)))

    asyncio.run(start())
    return folder


@pytest.fixture
def make_settings(tmp_path: Path, blobs_url: str, fresh_data: Path) -> Callable[..., Settings]:
    def make(**given: object) -> Settings:
        if not (tmp_path / "data").exists():
            ignored = shutil.ignore_patterns("objects")  # where objects lie is the test's affair
            shutil.copytree(fresh_data, tmp_path / "data", ignore=ignored)
        usual = {
            "data_dir": tmp_path / "data",
            "domain": DOMAIN,
            "base_url": "http://127.0.0.1:1",
            "operator": f"operator@{DOMAIN}",
            "smtp_listen": "127.0.0.1:0",
            "web_listen": "127.0.0.1:0",
            "trusted_clients": "127.0.0.0/8",
            "blobs_url": blobs_url,
            "s3_access_key": seaweeds.ACCESS_KEY,
            "s3_secret_key": seaweeds.SECRET_KEY,
        }
        return Settings(**{**usual, **given})  # type: ignore[arg-type]

    return make


@pytest.fixture
async def dns() -> AsyncIterator[FakeDns]:
    """The only DNS that a house in a test asks: no name exists until a test adds it."""
    async with FakeDns() as server:
        yield server


@pytest.fixture
async def house(
    make_settings: Callable[..., Settings], clock: SetClock, dns: FakeDns
) -> AsyncIterator[House]:
    """Stores without a server, with Anna and Ben of Acme Dental, and Eve of another lab."""
    opened = await open_house(make_settings(dns_servers=dns.address))
    opened.clock = clock
    await add_members(opened)
    yield opened
    await close_house(opened)


@pytest.fixture
async def site(house: House) -> AsyncIterator["Site"]:
    """The pages of a house over HTTP, without the doors of its mail."""
    from tests.clicks import open_site  # noqa: PLC0415 -- that module stands on this one

    async with open_site(house) as opened:
        yield opened


@pytest.fixture
async def thread(house: House) -> "Thread":
    """An open case, and what its owner says in its thread."""
    from tests.clicks import open_thread  # noqa: PLC0415 -- likewise

    return await open_thread(house)


@dataclass
class Running:
    """A whole server with a mailbox behind its relay."""

    house: House
    server: Server
    inbox: Inbox
    postman: Postman
    browser: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return self.house.settings.base_url

    async def all_done(self) -> None:
        """Waits until every mail has been worked on, and every letter of it is out."""
        async with asyncio.timeout(PATIENCE):
            while True:
                async with self.house.database.read() as connection:
                    if not await work.due(connection, self.house.clock.now()):
                        return
                await asyncio.sleep(0.02)

    async def only_case(self) -> Case:
        """The one case there is, of Anna's lab."""
        async with self.house.database.read() as connection:
            anna = await labs.member_by_address(connection, ANNA)
            assert anna is not None
            found = await cases.live_of_lab(connection, anna.lab_id)
        assert len(found) == 1
        return found[0]


@pytest.fixture
async def running(
    make_settings: Callable[..., Settings], clock: SetClock, dns: FakeDns
) -> AsyncIterator[Running]:
    """A server on free ports whose clock stands still until a test moves it."""
    inbox = Inbox()
    await inbox.open()
    given = make_settings(relay_url=f"smtp://127.0.0.1:{inbox.port}", dns_servers=dns.address)
    house = await open_house(given)
    house.clock = clock
    await add_members(house)
    server = Server(house)
    await server.start()
    house.settings = given.model_copy(update={"base_url": f"http://127.0.0.1:{server.web_port}"})
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        yield Running(house, server, inbox, Postman(server.smtp.port), browser)
    await server.stop()
    await close_house(house)
    await inbox.close()
    await nothing_runs_on()


async def nothing_runs_on() -> None:
    """Whatever a stopped server has left in the loop ends when it is told to."""
    left = await end_gently(asyncio.all_tasks() - {asyncio.current_task()}, 3)  # type: ignore[arg-type]
    assert not left, left


async def add_members(house: House) -> None:
    now = house.clock.now()
    async with house.database.write() as connection:
        acme = await labs.add_lab(connection, "Acme Dental", now)
        await labs.add_member(connection, acme.id, ANNA, "Anna Berg", "Acme Dental", now)
        await labs.add_member(connection, acme.id, BEN, "Ben Holt", "Acme Dental", now)
        other = await labs.add_lab(connection, "Other Lab", now)
        await labs.add_member(connection, other.id, STRANGER, "Eve Stone", "Other Lab", now)
