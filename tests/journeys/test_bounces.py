"""Letters come back: the relay is a real Postfix with the files we ship, and writes the reports."""

import smtplib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage

import sqlalchemy as sa

from scanpost.compose import Server, close_house, open_house
from store.house import House
from store.records import access, suppressions
from store.records.schema import audit, cases
from store.settings import Settings
from store.states import Suppression
from tests.conftest import add_members, jaw_stl
from tests.fakes import ANNA, DOMAIN, KIM, Inbox, mail, reply, text_of
from tests.postfix import Postfix, running_postfix, until
from tests.test_talk_returned import report

FULL, POLICY, SLOW, FINE = (f"{name}@clinic.example" for name in ("full", "policy", "slow", "fine"))
OPERATOR = "it@lab.example"
STRANGER_IP = "127.0.0.66"
# A second, where an hour is shipped: the sender of a letter that is put off hears of it.
IMPATIENT = {"delay_warning_time": "1s", "queue_run_delay": "1s", "minimal_backoff_time": "1s"}


@dataclass
class Site:
    house: House
    postfix: Postfix
    inbox: Inbox

    async def trail(self, action: str) -> list[str]:
        """To whom the letters went of which the trail says this."""
        async with self.house.database.read() as connection:
            question = sa.select(audit.c.detail).where(audit.c.action == action)
            return [detail["to"] for detail in (await connection.execute(question)).scalars()]

    async def came_back(self, action: str, to: str) -> None:
        async def there() -> bool:
            return to in await self.trail(action)

        await until(there, f"{action!r} of {to} is not noted", lambda: self.postfix.maillog)

    async def told(self, words: str) -> str:
        """The letter to the owner with these words, waited for."""
        found: list[str] = []

        async def there() -> bool:
            texts = [" ".join(text_of(one).split()) for one in self.notices()]
            found[:] = [text for text in texts if words in text]
            return bool(found)

        await until(there, f"nobody was told {words!r}", lambda: self.postfix.maillog)
        assert len(found) == 1
        return found[0]

    def notices(self) -> list[EmailMessage]:
        return [
            one
            for one in self.inbox.letters
            if one["X-Scanpost-Kind"] in ("notice", "undelivered") and one["X-Envelope-To"] == ANNA
        ]

    async def say(self, line: str, count: int) -> str:
        """A command in the case's thread; returns the `count`-th transcript."""
        answer = await self.inbox.letter("answer", ANNA)
        await self.postfix.send(reply(answer, line).as_bytes(), str(answer["Reply-To"]))
        return " ".join(text_of(await self.inbox.letter("transcript", ANNA, count)).split())

    async def strange(self, data: bytes, to: str, sender: str = "") -> int:
        """What Postfix answers to a mail from a machine that is not of the lab."""

        def talk(client: smtplib.SMTP) -> int:
            client.mail(sender)
            code, _ = client.rcpt(to)
            return client.data(data)[0] if code == 250 else code

        return await self.postfix.say(talk, source=STRANGER_IP)


@asynccontextmanager
async def opened(
    make_settings: Callable[..., Settings], answers: dict[str, list[str]], **settings: str
) -> AsyncIterator[Site]:
    """A case is shared with all who are in `answers`, whose servers answer so."""
    inbox = Inbox()
    inbox.answers.update(answers)
    await inbox.open()
    async with running_postfix(inbox.port, **settings) as postfix:
        house = await open_house(
            make_settings(
                lmtp_listen=f"unix:{postfix.socket}",
                trusted_clients="unix:",
                relay_url=f"smtp://127.0.0.1:{postfix.port}",
                operator=OPERATOR,
            )
        )
        await add_members(house)
        server = Server(house)
        await server.start()
        try:
            message = mail(f"{', '.join(answers)} C-1042", "", {"a.stl": jaw_stl("upper", 500)})
            await postfix.send(message.as_bytes(), f"share@{DOMAIN}")
            await inbox.letter("answer", ANNA)
            yield Site(house, postfix, inbox)
        finally:
            await server.stop()
            await close_house(house)
            await inbox.close()


async def test_the_owner_hears_at_once_who_was_not_reached_and_what_to_do(
    make_settings: Callable[..., Settings],
) -> None:
    answers = {
        KIM: [f"550 5.1.1 <{KIM}>: Recipient address rejected: User unknown"],
        FULL: ["552 5.2.2 The mailbox is full"],
        POLICY: ["554 5.7.1 Blocked: your address has a poor reputation"],
        SLOW: ["451 4.7.1 Greylisted"] * 50,
        FINE: [],
    }
    async with opened(make_settings, answers, **IMPATIENT) as site:
        told = await site.told(f"{KIM} could not be reached")
        assert "User unknown" in told
        assert "Reply “ADD” and the right address" in told
        assert f"reply “RESEND {KIM}”" in told
        assert "Their mailbox is full." in await site.told(f"{FULL} could not be reached")
        policy = await site.told(f"{POLICY} could not be reached")
        assert "does not take our letters; the address itself may be right" in policy
        await site.came_back("letter came back: delayed", SLOW)
        status = await site.say("STATUS", 1)
        assert f"{KIM}: has not looked yet; letters do not arrive (550 5.1.1" in status
        for address in (FULL, POLICY, SLOW, FINE):
            assert f"{address}: has not looked yet; letters" not in status
        assert len(site.notices()) == 3  # nothing about the slow one, nothing twice

        resent = await site.say(f"RESEND {KIM}", 2)
        assert f"goes out again to {KIM}" in resent
        await site.inbox.letter("share", KIM)  # this time it is taken
        assert "letters do not arrive" not in await site.say("STATUS", 3)
        assert len(site.notices()) == 3
        async with site.house.database.read() as connection:
            for address in answers:
                lab = (await connection.execute(sa.select(cases.c.lab_id))).scalars().first()
                assert await suppressions.reason_for(connection, str(lab), address) is None

        async def arrived() -> bool:
            return not await site.postfix.queue()

        site.inbox.answers.clear()
        await site.postfix.flush()
        await until(arrived, "mail stays in the queue", lambda: site.postfix.maillog)
        assert SLOW in {one["X-Envelope-To"] for one in site.inbox.letters}


async def test_strangers_may_return_letters_and_complain_and_are_believed_nothing_else(
    make_settings: Callable[..., Settings],
) -> None:
    async with opened(make_settings, {KIM: []}) as site:
        share = await site.inbox.letter("share", KIM)
        bounce, reply_to = str(share["X-Envelope-From"]), str(share["Reply-To"])
        assert bounce.startswith("bounce+")
        dead, spam = report("01"), report("72")
        # To share@ they may write, and nothing is done that nothing proves.
        assert await site.strange(dead, reply_to) == 250
        assert await site.strange(dead, f"share@{DOMAIN}", ANNA) == 250
        assert await site.strange(dead, f"bounce+{'b' * 26}@{DOMAIN}") == 550
        assert await site.strange(dead, KIM) == 554
        assert await site.strange(dead, bounce) == 250
        await site.told(f"{KIM} could not be reached")
        token = bounce.partition("+")[2].partition("@")[0].encode()
        spam = spam.replace(b"k7m2abcdefghijklmnopqrstuv", token)
        assert await site.strange(spam, f"abuse@{DOMAIN}", "fbl@mailbox.example") == 250
        await site.told(f"{KIM} marked a letter of C-1042 as spam")
        words = mail("Hello", "You are on a list.", sender="b@other.example", to="x@y.example")
        assert await site.strange(words.as_bytes(), f"security@{DOMAIN}", "b@other.example") == 250
        passed_on = await site.inbox.letter("passed_on", OPERATOR)
        assert "You are on a list." in text_of(passed_on)
        async with site.house.database.read() as connection:
            (case,) = (await connection.execute(sa.select(cases.c.id, cases.c.lab_id))).all()
            kim = await access.reviewer_of(connection, case.id, KIM)
            reason = await suppressions.reason_for(connection, case.lab_id, KIM)
        assert kim is not None
        assert kim.trouble.startswith("550 5.1.1")
        assert reason is Suppression.COMPLAINT
