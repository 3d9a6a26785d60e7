"""What tests stand on: a house in a temporary folder, a running server, small scans."""

import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from scanpost import jaws, logs
from scanpost.compose import Server, close_house, open_house
from store.clock import SetClock
from store.house import House
from store.model import Case
from store.records import cases, labs
from store.settings import Settings
from tests.fakes import ANNA, BEN, DOMAIN, STRANGER, Inbox, Postman

logs.configure(as_json=False, quiet=True)


@functools.cache
def jaw_stl(jaw: str = "upper", triangles: int = 4_000) -> bytes:
    """A small jaw as binary STL; the same at every call."""
    return jaws.stl_bytes(jaws.make_jaw(triangles, jaw))


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(**given: object) -> Settings:
        usual = {
            "data_dir": tmp_path / "data",
            "domain": DOMAIN,
            "base_url": "http://127.0.0.1:1",
            "operator": f"operator@{DOMAIN}",
            "smtp_listen": "127.0.0.1:0",
            "web_listen": "127.0.0.1:0",
            "trusted_clients": "127.0.0.0/8",
        }
        return Settings(**{**usual, **given})  # type: ignore[arg-type]

    return make


@pytest.fixture
async def house(make_settings: Callable[..., Settings], clock: SetClock) -> AsyncIterator[House]:
    """Stores without a server, with Anna and Ben of Acme Dental, and Eve of another lab."""
    opened = await open_house(make_settings())
    opened.clock = clock
    await add_members(opened)
    yield opened
    await close_house(opened)


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
    make_settings: Callable[..., Settings], clock: SetClock
) -> AsyncIterator[Running]:
    """A server on free ports whose clock stands still until a test moves it."""
    inbox = Inbox()
    await inbox.open()
    given = make_settings(relay_url=f"smtp://127.0.0.1:{inbox.port}")
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


async def add_members(house: House) -> None:
    now = house.clock.now()
    async with house.database.write() as connection:
        acme = await labs.add_lab(connection, "Acme Dental", now)
        await labs.add_member(connection, acme.id, ANNA, "Anna Berg", "Acme Dental", now)
        await labs.add_member(connection, acme.id, BEN, "Ben Holt", "Acme Dental", now)
        other = await labs.add_lab(connection, "Other Lab", now)
        await labs.add_member(connection, other.id, STRANGER, "Eve Stone", "Other Lab", now)
