"""What tests of clicks and codes share: mails of any strength, the page behind a link, and its flow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

import aiohttp
import pyotp
import sqlalchemy as sa
from aiohttp import web

from inbound.auth.envelope import Envelope
from inbound.cases.opening import case_id_of
from inbound.cases.take import take_files
from inbound.door.receive import Receiver
from inbound.flow import read_mail
from inbound.scans.child import Children
from inbound.talk.confirmed import confirmation_flow
from store.clock import DAY
from store.house import House
from store.model import LIFETIME, Case, Confirmation, Letter, Member, Person
from store.records import access, cases, codes, confirmations, labs, mails, outbox
from store.records.schema import audit
from store.records.schema import confirmations as confirmation_rows
from store.records.schema import letters as letter_rows
from store.states import CaseState, MailState, ScanState, Strength
from store.tokens import MasterPurpose, Purpose
from tests.conftest import jaw_stl
from tests.fakedns import FakeDns
from tests.fakes import ANNA, DOMAIN, KIM, mail
from tests.signing import publish, rsa_key, sign
from viewer.app import make_app
from viewer.connections import WebListener

SHARE = f"share@{DOMAIN}"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
OUTSIDE = "192.0.2.1"  # a peer that nobody trusts, and that SPF of lab.example names
BACKUP = [f"aaaa{letter}-bbbb{letter}" for letter in "abcdefghij"]


def publish_domain(dns: FakeDns, *domains: str) -> None:
    """Lets mails of these domains prove themselves: by SPF from OUTSIDE, and by DKIM."""
    for domain in domains:
        dns.add(domain, "TXT", f"v=spf1 ip4:{OUTSIDE} -all")
        publish(dns, domain, "s1", rsa_key())


async def deliver(
    house: House,
    message: EmailMessage,
    to: str = SHARE,
    strength: Strength = Strength.VOUCHED,
) -> str:
    """Takes a mail in by the real door and reads it; its id. Raises MailRefused."""
    sender = str(message["From"])
    if strength is Strength.SIGNED:
        del message["Date"]
        message["Date"] = formatdate(house.clock.now() / 1000)
    data = message.as_bytes()
    if strength is Strength.SIGNED:
        data = sign(data, sender.partition("@")[2], "s1", rsa_key())
    peer = "127.0.0.1" if strength is Strength.VOUCHED else OUTSIDE
    [mail_id] = await take_in(house, [data], sender, to, peer)
    await read(house, mail_id)
    return mail_id


async def take_in(
    house: House, mails_as_sent: list[bytes], sender: str, to: str = SHARE, peer: str = "127.0.0.1"
) -> list[str]:
    """Mails that end at the same moment, taken in by one door; the ids of those that it took.

    Raises:
        MailRefused: it took none.
    """
    receiver = Receiver(house)
    arriving = [receiver.open([to]) for _ in mails_as_sent]
    for one, data in zip(arriving, mails_as_sent, strict=True):
        one.sink.take(data)
        one.sink.end()
    commits = [receiver.commit(one, Envelope(peer, sender, [to])) for one in arriving]
    found = await asyncio.gather(*commits, return_exceptions=True)
    for one in arriving:
        one.abort()
    receiver.close()
    taken = [one for one in found if isinstance(one, str)]
    for refusal in found:
        if isinstance(refusal, BaseException) and not taken:
            raise refusal
    return taken


async def read(house: House, mail_id: str) -> None:
    """The first step of a mail's flow."""
    await read_mail(house, Children(), mail_id)


async def letters_of(house: House) -> list[Letter]:
    async with house.database.read() as connection:
        question = sa.select(letter_rows.c.id).order_by(sa.text("rowid"))
        ids = (await connection.execute(question)).scalars().all()
        return [await outbox.letter(connection, one) for one in ids]


async def new_letters(house: House, before: list[Letter]) -> list[Letter]:
    known = {letter.id for letter in before}
    return [letter for letter in await letters_of(house) if letter.id not in known]


async def trail(house: House) -> list[tuple[str, str]]:
    """Who did what, oldest first."""
    async with house.database.read() as connection:
        question = sa.select(audit.c.actor, audit.c.action).order_by(audit.c.number)
        return [(row.actor, row.action) for row in await connection.execute(question)]


async def confirmation_of(house: House, letter: Letter) -> Confirmation:
    async with house.database.read() as connection:
        found = await confirmations.find(connection, (letter.context or {})["confirmation"])
    assert found is not None
    return found


async def member_of(house: House, address: str = ANNA) -> Member:
    async with house.database.read() as connection:
        found = await labs.member_by_address(connection, address)
    assert found is not None
    return found


async def set_up_codes(house: House, address: str = ANNA) -> None:
    """A second factor with SECRET and BACKUP; the code that proved it is five minutes old."""
    member, then = await member_of(house, address), house.clock.now() - 300_000
    async with house.database.write() as connection:
        code = pyotp.TOTP(SECRET).at(then // 1000)
        given = (house.keys, member.id, SECRET, code, BACKUP, then)
        assert await codes.enrol(connection, *given)


def code_now(house: House, steps: int = 0) -> str:
    return pyotp.TOTP(SECRET).at(house.clock.now() // 1000, counter_offset=steps)


def wrong_code(house: House) -> str:
    """Six digits that no step near now has."""
    near = {code_now(house, step) for step in range(-30, 31)}
    return next(code for code in ("484848", "737373", "626262") if code not in near)


async def open_thread(house: House, code: str = "C-1042", people: str = KIM) -> "Thread":
    """A case that is open: a sealed original and its row, as if its copies had been made of it."""
    share = mail(f"{people} {code} crown", "margins", {f"{code}.stl": jaw_stl("upper", 500)})
    mail_id = await deliver(house, share)
    await take_files(house, Children(), mail_id)
    case_id, now = case_id_of(mail_id), house.clock.now()
    async with house.database.write() as connection:
        await cases.move(connection, case_id, CaseState.OPEN)
        end = now + LIFETIME
        await cases.set_times(connection, case_id, expires_at=end, due_at=end - DAY)
        version = await cases.latest_version(connection, case_id)
        assert version is not None
        await cases.share_version(connection, version.id, now)
        for scan in await cases.scans_of(connection, version.id):
            made = {"copy_suffix": "stl", "copy_size": 9, "copy_sha256": "c" * 64}
            await cases.set_scan(connection, scan.id, ScanState.READY, label="Upper jaw", **made)
        await mails.settle(connection, mail_id, MailState.DONE, "shared", case_id)
        return Thread(house, await cases.case(connection, case_id))


def said(letter: Letter) -> str:
    context = letter.context or {}
    return " ".join([*context.get("sentences", []), *context.get("done", [])])


@dataclass
class Thread:
    """An open case, and what is said in it."""

    house: House
    case: Case

    async def address(self, whose: str = ANNA) -> str:
        async with self.house.database.read() as connection:
            owner = await access.owner_of(connection, self.case.id)
            person: Person | None = owner
            if owner.address != whose:
                person = await access.reviewer_of(connection, self.case.id, whose)
            key = await self.house.case_key(connection, self.case.id)
        assert person is not None
        return f"share+{access.token_of(key, person, Purpose.REPLY)}@{DOMAIN}"

    async def say(
        self,
        line: str,
        strength: Strength = Strength.VOUCHED,
        sender: str = ANNA,
        whose: str = "",
    ) -> list[Letter]:
        """The letters that a mail brings about, to the address that `whose` letters have."""
        to, before = await self.address(whose or sender), await letters_of(self.house)
        await deliver(self.house, mail("Re: x", line, sender=sender, to=to), to, strength)
        return await new_letters(self.house, before)

    async def now(self) -> Case:
        async with self.house.database.read() as connection:
            return await cases.case(connection, self.case.id)

    async def reviewers(self) -> dict[str, Person]:
        async with self.house.database.read() as connection:
            found = await access.reviewers_of(connection, self.case.id)
        return {person.address: person for person in found}


@dataclass
class Site:
    """The web pages of a house, and a person with a browser without a memory."""

    house: House
    client: aiohttp.ClientSession
    url: str
    listener: WebListener

    @property
    def app(self) -> web.Application:
        return self.listener.app

    def link(self, confirmation_id: str) -> str:
        return f"{self.url}/c/{self.house.keys.token(MasterPurpose.CONFIRM, confirmation_id)}"

    def link_of(self, letter: Letter) -> str:
        return self.link((letter.context or {})["confirmation"])

    async def get(self, url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        async with self.client.request(method, url, headers=headers) as answer:
            return answer.status, await answer.text()

    async def post(self, url: str, origin: str | None = None, **form: str) -> tuple[int, str]:
        headers = {"Origin": self.url if origin is None else origin}
        async with self.client.post(url, data=form, headers=headers) as answer:
            return answer.status, await answer.text()

    async def click(self, letter: Letter, **form: str) -> list[Letter]:
        """Ticks the box, presses the button, and lets the flow run; the letters it brings about."""
        before = await letters_of(self.house)
        status, text = await self.post(self.link_of(letter), sure="yes", **form)
        assert status == 200, text
        await run_confirmation(self.house, (letter.context or {})["confirmation"])
        return await new_letters(self.house, before)


async def run_confirmation(house: House, confirmation_id: str) -> None:
    """The flow, without the engine below it."""
    await confirmation_flow(house, step_at_once, confirmation_id)


async def step_at_once(function: Any, *arguments: Any) -> Any:
    return await function(*arguments)


async def count_confirmations(house: House) -> int:
    async with house.database.read() as connection:
        question = sa.select(sa.func.count()).select_from(confirmation_rows)
        return int((await connection.execute(question)).scalar_one())


@asynccontextmanager
async def open_site(house: House) -> AsyncIterator[Site]:
    listener = WebListener(make_app(house), "127.0.0.1:0")
    url = f"http://127.0.0.1:{await listener.open()}"
    house.settings = house.settings.model_copy(update={"base_url": url})
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        yield Site(house, client, url, listener)
    await listener.close()
