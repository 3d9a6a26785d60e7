"""Nobody is trusted for where they come from: a case from the first mail to the approval, by proof alone."""

import asyncio
import re
import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate

import pytest
import sqlalchemy as sa

from store.clock import DAY, SetClock
from store.records.schema import audit, mails
from store.settings import Settings
from tests.conftest import Running, jaw_stl
from tests.fakedns import FakeDns
from tests.fakes import ANNA, KIM, PATIENCE, link_of, mail, reply, text_of
from tests.signing import NOW, USUAL
from tests.test_auth_judge import ATTACKER, CLINIC, LAB, people, signed

FILES = {
    "C-1042-UpperJaw.stl": jaw_stl("upper", 1000),
    "C-1042-LowerJaw.stl": jaw_stl("lower", 1000),
}
FINDER = "lee@clinic.example"  # a colleague of the reviewer's, to whom a letter was passed on
OWNERS = {"lab.example": LAB, "clinic.example": CLINIC, "attack.example": ATTACKER}


@pytest.fixture
def make_settings(make_settings: Callable[..., Settings]) -> Callable[..., Settings]:
    """Everybody is a stranger until they have proved something."""
    return lambda **given: make_settings(**{**given, "trusted_clients": ""})


def proved(message: EmailMessage, headers: tuple[str, ...] = USUAL) -> bytes:
    """As the author's own provider signs it."""
    message.replace_header("Date", formatdate(NOW))
    domain = str(message["From"]).rpartition("@")[2]
    return signed(message.as_bytes(), domain, OWNERS[domain], headers)


async def post(running: Running, message: EmailMessage, data: bytes = b"") -> str:
    """Sends a mail from an address that nobody knows, signed or as `data` says; the reply to it."""
    data = data or proved(message)

    def send() -> str:
        with smtplib.SMTP("127.0.0.1", running.server.smtp.port, timeout=60) as client:
            client.ehlo("laptop.example")
            client.mail(str(message["From"]))
            client.rcpt(str(message["To"]))
            code, answer = client.data(data)
            return f"{code} {answer.decode()}"

    return await asyncio.get_running_loop().run_in_executor(None, send)


def to_anna(running: Running) -> list[str]:
    """The kinds of the letters that Anna has got, in their order."""
    letters = [one for one in running.inbox.letters if one["X-Envelope-To"] == ANNA]
    return [str(letter["X-Scanpost-Kind"]) for letter in letters]


async def strengths(running: Running) -> set[str]:
    async with running.house.database.read() as connection:
        return set((await connection.execute(sa.select(mails.c.strength))).scalars())


async def share(running: Running) -> tuple[EmailMessage, EmailMessage]:
    """Anna shares a case with Kim; the answer to her, and Kim's letter."""
    said = await post(running, mail(f"{KIM} C-1042 crown #30", "margins please", FILES))
    assert said.startswith("250 2.0.0 Taken as ")
    answer = await running.inbox.letter("answer", ANNA)
    return answer, await running.inbox.letter("share", KIM)


async def test_a_signed_share_a_comment_and_an_approval_reach_the_owner(
    running: Running, dns: FakeDns
) -> None:
    people(dns)
    answer, letter = await share(running)
    assert "Upper jaw" in text_of(answer)
    assert "margins please" in text_of(letter)
    await post(running, reply(letter, "The margin at 30 is open.", sender=KIM))
    remark = await running.inbox.letter("remark", ANNA)
    assert "The margin at 30 is open." in text_of(remark)
    await post(running, reply(letter, "APPROVE looks fine now", sender=KIM))
    verdict = await running.inbox.letter("verdict", ANNA)
    assert "approved version 1 of C-1042 crown #30" in text_of(verdict)
    assert "looks fine now" in text_of(verdict)
    transcript = await running.inbox.letter("transcript", KIM)
    assert "You approved version 1" in text_of(transcript)
    await running.all_done()
    assert to_anna(running) == ["answer", "remark", "verdict"]
    assert await strengths(running) == {"SIGNED"}
    assert not running.house.spool.mail_ids()


async def test_what_is_not_signed_is_refused_at_every_step_and_changes_nothing(
    running: Running, dns: FakeDns
) -> None:
    people(dns)
    answer, letter = await share(running)
    count = len(running.inbox.letters)
    attempts = [
        mail(f"{KIM} C-1043", "x", FILES),
        reply(answer, "REVOKE"),
        reply(letter, "APPROVE", sender=KIM),
        reply(answer, "DELETE", sender=ANNA),
    ]
    for attempt in attempts:
        said = await post(running, attempt, attempt.as_bytes())
        assert re.match(r"550 5\.7\.1 Nothing proves that (anna|kim)@\S+ wrote this mail", said)
    await running.all_done()
    assert len(running.inbox.letters) == count
    assert not running.house.spool.mail_ids()
    async with running.house.database.read() as connection:
        refused = sa.select(audit.c.actor).where(audit.c.action == "mail refused")
        actors = list((await connection.execute(refused)).scalars())
    assert actors == [ANNA, ANNA, KIM, ANNA]


async def test_whoever_finds_a_letter_gets_nothing_and_the_owner_is_told_once(
    running: Running, dns: FakeDns
) -> None:
    people(dns)
    answer, letter = await share(running)
    before = (await running.only_case()).expires_at
    for count, (found, line) in enumerate(
        [(letter, "APPROVE"), (letter, "STATUS"), (answer, "DELETE"), (answer, "EXTEND 7"),
         (answer, "REVOKE"), (answer, "a comment")], 1
    ):  # fmt: skip
        said = await post(running, reply(found, line, sender=FINDER))
        assert said.startswith("250")
        notice = await running.inbox.letter("notice", FINDER, count=count)
        told = text_of(notice)
        assert "You are none of the people of this case, so nothing was done." in told
        for secret in ("margins", "Upper jaw", KIM, ANNA, "/r/", str(answer["Reply-To"])):
            assert secret not in told
        assert "share+" not in str(notice["Reply-To"])
    await running.all_done()
    warning = await running.inbox.letter("notice", ANNA)
    assert FINDER in text_of(warning)
    assert to_anna(running) == ["answer", "notice"]
    assert (await running.only_case()).expires_at == before
    async with running.browser.get(link_of(letter)) as response:
        assert response.status == 200


async def test_a_signed_command_that_somebody_plays_again_is_acted_on_once(
    running: Running, dns: FakeDns
) -> None:
    people(dns)
    answer, _ = await share(running)
    before = (await running.only_case()).expires_at
    extend = reply(answer, "EXTEND 7")
    data = proved(extend, ("From", "To", "Subject", "Date"))
    for number in range(3):
        again = f"<{number}@attack.example>".encode()
        played = data.replace(str(extend["Message-ID"]).encode(), again)
        assert (await post(running, extend, played)).startswith("250")
    await running.inbox.letter("transcript", ANNA)
    await running.all_done()
    assert to_anna(running) == ["answer", "transcript"]
    assert (await running.only_case()).expires_at == before + 7 * DAY


async def sealed(running: Running, count: int) -> None:
    """Waits until so many raw mails are kept: each goes a moment after its row says so."""
    async with asyncio.timeout(PATIENCE):
        while len(running.house.spool.mail_ids()) != count:
            await asyncio.sleep(0.02)


async def test_a_version_that_only_a_server_vouches_for_is_shared_after_a_click(
    running: Running, dns: FakeDns, clock: SetClock
) -> None:
    dns.add("lab.example", "TXT", "v=spf1 ip4:127.0.0.1 -all")
    first = mail(f"{KIM} C-1042 crown #30", "margins please", FILES)
    await post(running, first, first.as_bytes())
    answer = await running.inbox.letter("answer", ANNA)
    for count in (1, 2):
        note = f"Try {count}"
        design = {"C-1042-UpperJaw.stl": jaw_stl("upper", 4_000)}
        message = mail(f"Re: {answer['Subject']}", note, design, to=str(answer["Reply-To"]))
        assert (await post(running, message, message.as_bytes())).startswith("250")
        asked = await running.inbox.letter("confirm", ANNA, count=count)
        assert "with scans in one file came for C-1042 crown #30" in " ".join(
            text_of(asked).split()
        )
        await running.all_done()
        assert "version" not in {str(one["X-Scanpost-Kind"]) for one in running.inbox.letters}
        await sealed(running, 1)
        if count == 1:  # nobody clicks
            clock.advance(DAY)
            running.house.poke()
            await sealed(running, 0)
    link = re.search(r"http\S+/c/[a-z2-7]+", text_of(asked))
    assert link
    async with running.browser.post(link[0], headers={"Origin": running.url}) as response:
        assert response.status == 200
        assert "The scans are being prepared now." in await response.text()
    version = await running.inbox.letter("version", KIM)
    assert "Try 2" in text_of(version)
    await running.all_done()
    await sealed(running, 0)
    assert await strengths(running) == {"SENT"}
