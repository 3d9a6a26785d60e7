"""Robots that hide it well answer whatever we write, at once: letters stop, and a person is told.

The whole server, with mailboxes that really speak SMTP. Each bot answers every letter that it gets,
until nothing moves any more; then three days go by. The limits themselves are tested in
tests/test_outbound_gate.py; here they are lower, where more letters would teach nothing more.
"""

import asyncio
import smtplib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage

import pytest
import sqlalchemy as sa

from outbound import gate
from scanpost.compose import Server, close_house, open_house
from store.clock import HOUR, SetClock
from store.house import House
from store.records import work
from store.records.schema import cases
from store.settings import Settings
from tests.conftest import add_members, jaw_stl
from tests.fakedns import FakeDns
from tests.fakes import ANNA, DOMAIN, KIM, Inbox, Postman, mail, text_of

OPERATOR = f"operator@{DOMAIN}"
BOTS = "bots.example"
ENOUGH = 400  # letters, after which a loop counts as endless
SAME, TO_DOMAIN = 4, 12  # the gate's limits here
Answer = Callable[[EmailMessage, int], EmailMessage | None]


@dataclass
class Site:
    """The server, its one case, and the bots that live behind its relay."""

    house: House
    server: Server
    inbox: Inbox
    postman: Postman
    clock: SetClock
    bots: dict[str, Answer] = field(default_factory=dict)  # by address, or by "@domain"
    answered: int = 0  # letters that bots have been shown
    refused: int = 0  # answers that were refused in the dialogue

    async def quiet(self) -> None:
        """Until nothing is due and every bot has answered everything."""
        async with asyncio.timeout(120):
            while True:
                while self.answered < len(self.inbox.letters):
                    assert self.answered < ENOUGH, "this goes on for ever"
                    await self._show(self.inbox.letters[self.answered])
                    self.answered += 1
                if not await self._due() and self.answered == len(self.inbox.letters):
                    return
                await asyncio.sleep(0.005)

    async def days(self, count: int) -> None:
        """Time passes: the gate's window, in which a digest becomes due, then the rest of the day."""
        for hours in (2, 22) * count:
            self.clock.advance(hours * HOUR)
            self.house.poke()
            await self.quiet()

    def letters(self, to: str = "", kind: str = "") -> list[EmailMessage]:
        return [
            one
            for one in self.inbox.letters
            if one["X-Envelope-To"].endswith(to) and kind in ("", one["X-Scanpost-Kind"])
        ]

    def kinds(self, to: str = "") -> Counter[str]:
        return Counter(str(one["X-Scanpost-Kind"]) for one in self.letters(to))

    async def count_cases(self) -> int:
        async with self.house.database.read() as connection:
            question = sa.select(sa.func.count()).select_from(cases)
            return int((await connection.execute(question)).scalar_one())

    async def send(self, message: EmailMessage) -> None:
        try:
            await self.postman.send(message)
        except smtplib.SMTPResponseException as refusal:
            if refusal.smtp_code < 500:
                raise  # it would come again
            self.refused += 1

    async def _show(self, letter: EmailMessage) -> None:
        to = str(letter["X-Envelope-To"])
        bot = self.bots.get(to) or self.bots.get("@" + to.rpartition("@")[2])
        answer = bot(letter, self.answered) if bot else None
        if answer is not None:
            await self.send(answer)

    async def _due(self) -> bool:
        async with self.house.database.read() as connection:
            return bool(await work.due(connection, self.clock.now()))


@asynccontextmanager
async def opened(settings: Settings, clock: SetClock) -> AsyncIterator[Site]:
    inbox = Inbox()
    await inbox.open()
    house = await open_house(
        settings.model_copy(update={"relay_url": f"smtp://127.0.0.1:{inbox.port}"})
    )
    house.clock = clock
    await add_members(house)
    server = Server(house)
    await server.start()
    yield Site(house, server, inbox, Postman(server.smtp.port), clock)
    await server.stop()
    await close_house(house)
    await inbox.close()


@pytest.fixture(autouse=True)
def lower_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "OF_SUBJECT", SAME)
    monkeypatch.setattr(gate, "TO_DOMAIN", TO_DOMAIN)


@pytest.fixture
async def site(
    make_settings: Callable[..., Settings], clock: SetClock, dns: FakeDns
) -> AsyncIterator[Site]:
    """Nobody is trusted: bots prove their domains by SPF, as real ones do."""
    for domain in ("lab.example", "clinic.example", BOTS):
        dns.add(domain, "TXT", "v=spf1 ip4:127.0.0.1 -all")
    given = make_settings(dns_servers=dns.address, trusted_clients="")
    async with opened(given, clock) as site:
        await site.send(mail(f"{KIM} C-1042", "margins", {"a.stl": jaw_stl("upper", 500)}))
        await site.inbox.letter("answer", ANNA)
        await site.inbox.letter("share", KIM)
        yield site


def hidden(letter: EmailMessage, number: int, author: str, to: str = "") -> EmailMessage:
    """An answer that looks like a person's: no mark of a robot, new words each time."""
    words = f"Thank you, we have got your message number {number}."
    answer = mail(
        f"Re: {letter['Subject']}", words, sender=author, to=to or str(letter["Reply-To"])
    )
    answer["In-Reply-To"] = str(letter["Message-ID"])
    return answer


# ---------------------------------------------------------------- one bot


async def test_a_reviewer_who_answers_everything_and_hides_it(site: Site) -> None:
    site.bots[KIM] = lambda letter, number: hidden(letter, number, KIM)
    await site.quiet()
    # The comment goes to the owner and needs no answer: there it ends.
    assert site.kinds(KIM) == {"share": 1}
    assert site.kinds(ANNA) == {"answer": 1, "remark": 1}
    await site.days(3)
    assert len(site.inbox.letters) == 3
    assert await site.count_cases() == 1


async def test_an_owner_who_answers_everything_with_a_command(site: Site) -> None:
    """Every letter is answered by HELP in its thread, which is answered by HELP."""

    def bot(letter: EmailMessage, number: int) -> EmailMessage:
        answer = hidden(letter, number, ANNA)
        answer.set_content("HELP\n")
        return answer

    site.bots[ANNA] = bot
    await site.quiet()
    assert site.kinds(ANNA)["transcript"] == SAME
    assert site.kinds(OPERATOR) == {"alarm": 1}
    assert "Perhaps two robots answer each other" in text_of(site.letters(OPERATOR)[0])
    still = len(site.inbox.letters)
    site.clock.advance(HOUR)
    await site.quiet()
    assert len(site.inbox.letters) == still
    await site.days(3)
    # Each day one digest, and what the answer to it sets off.
    assert site.kinds(ANNA)["digest"] <= 3
    assert len(site.letters(ANNA)) <= 1 + SAME + 3 * (1 + SAME)
    assert len(site.letters(OPERATOR)) <= 4
    assert await site.count_cases() == 1


# ---------------------------------------------------------------- another From each time


async def test_a_bot_that_writes_under_another_address_each_time(site: Site) -> None:
    """It keeps to the one address with a token that it has been forwarded."""
    token = str(site.letters(KIM)[0]["Reply-To"])
    count = iter(range(ENOUGH))

    def author() -> str:
        return f"robot-{next(count)}@{BOTS}"

    def bot(letter: EmailMessage, number: int) -> EmailMessage:
        return hidden(letter, number, author(), token)

    site.bots[f"@{BOTS}"] = bot
    await site.send(hidden(site.letters(KIM)[0], 0, author(), token))
    await site.quiet()
    assert len(site.letters(BOTS)) == TO_DOMAIN
    assert site.kinds(BOTS) == {"notice": TO_DOMAIN}
    assert site.kinds(OPERATOR) == {"alarm": 1}
    assert f"{TO_DOMAIN} to {BOTS} in two hours" in text_of(site.letters(OPERATOR)[0])
    assert site.kinds(ANNA) == {"answer": 1, "notice": 1}  # that somebody else has the address
    await site.days(3)
    assert len(site.letters(BOTS)) == TO_DOMAIN  # nobody's digest
    assert site.kinds(OPERATOR) == {"alarm": 1}
    assert await site.count_cases() == 1


async def test_bots_that_get_one_letter_or_none(site: Site) -> None:
    share = site.letters(KIM)[0]
    token = str(share["Reply-To"])
    # One that answers where it is told to: there it is nobody.
    site.bots[f"@{BOTS}"] = lambda letter, number: hidden(letter, number, f"a{number}@{BOTS}")
    await site.send(hidden(share, 0, f"a@{BOTS}", token))
    await site.quiet()
    assert (len(site.letters(BOTS)), site.refused) == (1, 1)
    # One whose domain proves nothing.
    for number in range(5):
        await site.send(hidden(share, number, f"a{number}@forged.example", token))
    await site.quiet()
    assert (len(site.letters("forged.example")), site.refused) == (0, 6)
    # One that says what it is.
    before = len(site.inbox.letters)
    robot = hidden(share, 9, KIM)
    robot["Auto-Submitted"] = "auto-replied"
    await site.send(robot)
    await site.quiet()
    assert (len(site.inbox.letters), site.refused) == (before, 6)


# ---------------------------------------------------------------- two bots


async def test_an_owner_and_a_reviewer_who_answer_each_other(site: Site) -> None:
    site.bots[ANNA] = lambda letter, number: hidden(letter, number, ANNA)
    site.bots[KIM] = lambda letter, number: hidden(letter, number, KIM)
    await site.quiet()
    assert site.kinds(ANNA)["remark"] <= SAME
    assert site.kinds(KIM)["remark"] <= SAME
    assert len(site.inbox.letters) <= 2 + 2 * SAME + 2
    assert 1 <= site.kinds(OPERATOR)["alarm"] <= 2
    still = len(site.inbox.letters)
    for _ in range(3):
        await site.quiet()
    assert len(site.inbox.letters) == still  # the clock stands, and so do they
    await site.days(3)
    digests = site.kinds()["digest"]
    assert 1 <= digests <= 6
    after = len(site.inbox.letters) - still
    assert after <= digests + 8, site.kinds()
    assert await site.count_cases() == 1
    # And it has come to rest.
    still = len(site.inbox.letters)
    await site.days(1)
    assert len(site.inbox.letters) - still <= 1


async def test_two_bots_without_tokens_in_addresses(
    make_settings: Callable[..., Settings], clock: SetClock, dns: FakeDns
) -> None:
    """Everything comes to share@, so digests can be answered too: that ends as well."""
    for domain in ("lab.example", "clinic.example"):
        dns.add(domain, "TXT", "v=spf1 ip4:127.0.0.1 -all")
    given = make_settings(dns_servers=dns.address, trusted_clients="", plus_addressing="off")
    async with opened(given, clock) as site:
        await site.send(mail(f"{KIM} C-1042", "margins", {"a.stl": jaw_stl("upper", 500)}))
        site.bots[ANNA] = lambda letter, number: hidden(letter, number, ANNA)
        site.bots[KIM] = lambda letter, number: hidden(letter, number, KIM)
        await site.inbox.letter("share", KIM)
        await site.quiet()
        assert len(site.inbox.letters) <= 2 + 2 * SAME + 2
        await site.days(3)
        assert len(site.inbox.letters) <= 30, site.kinds()
        assert await site.count_cases() == 1
