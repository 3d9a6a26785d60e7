"""Who may write to which address, at the real doors: SMTP from the world, a relay's LMTP, a mailbox."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate

import pytest
import sqlalchemy as sa

from inbound.auth.envelope import Envelope, Mode
from inbound.auth.verdict import Trust
from inbound.door import admission
from inbound.door.imap import PROCESSED, REFUSED, ImapDoor
from inbound.door.lmtp import LmtpDoor
from inbound.door.receive import Receiver
from inbound.door.smtp import SmtpDoor
from inbound.flow import read_mail
from inbound.scans.child import Children
from store.clock import DAY
from store.errors import MailRefused
from store.house import House
from store.model import LetterDraft
from store.records import labs, outbox
from store.records.schema import audit, letters, mails
from store.states import MailState
from store.tokens import MasterPurpose
from tests.dovecot import running_dovecot
from tests.fakedns import FakeDns
from tests.fakes import ANNA, DOMAIN, KIM, STRANGER
from tests.fakes import mail as letter_of
from tests.signing import USUAL, ed25519_key, publish, rsa_key, sign
from tests.test_auth_judge import (
    ATTACKER,
    CLINIC,
    ELSEWHERE,
    LAB,
    LAB_IP,
    RELAY,
    SHARE,
    SPF,
    people,
    signed,
    stamped,
    written,
)
from tests.test_door_smtp import MB, Listening
from tests.test_talk_conversation import Thread, open_thread

NEWCOMER = "bob@clinic.example"


@pytest.fixture
def zone(dns: FakeDns) -> FakeDns:
    people(dns)
    return dns


@asynccontextmanager
async def door_of(house: House, kind: str = "smtp", **given: object) -> AsyncIterator[Listening]:
    """A door that trusts nobody, unless the test says so."""
    house.settings = house.settings.model_copy(update={"trusted_clients": "", **given})
    receiver = Receiver(house)
    mode = Mode(house.settings.sender_mode)
    made = {
        "smtp": lambda: SmtpDoor(receiver, "127.0.0.1:0", DOMAIN, mode=mode),
        "lmtp": lambda: LmtpDoor(receiver, "127.0.0.1:0", DOMAIN),
    }
    door = made[kind]()
    await door.open()
    listening = Listening(house, door)
    try:
        yield listening
    finally:
        await door.close()
        await listening.until(lambda: not door.dialogues)
        receiver.close()


@dataclass
class World:
    """The Internet in front of a door."""

    door: Listening
    greeting: str = "EHLO"

    async def send(
        self,
        mail: bytes,
        *,
        to: tuple[str, ...] = (SHARE,),
        sender: str = ANNA,
        source: str = ELSEWHERE,
    ) -> str:
        """The last reply."""
        async with self.door.client(greet=False, source=source) as client:
            await client.ask(f"{self.greeting} client.example")
            await client.ask(f"MAIL FROM:<{sender}>")
            for address in to:
                reply = await client.ask(f"RCPT TO:<{address}>")
                if reply[0] != "2":
                    return reply
            await client.ask("DATA")
            return await client.ask(mail.replace(b"\r\n.", b"\r\n..") + b".\r\n")

    async def rows(self) -> list[tuple[str, str, str]]:
        """State, strength and author of each mail, in the order of their coming."""
        async with self.door.house.database.read() as connection:
            columns = (mails.c.state, mails.c.strength, mails.c.author)
            question = sa.select(*columns).order_by(sa.text("rowid"))
            return [tuple(row) for row in await connection.execute(question)]

    async def audited(self, action: str = "mail refused") -> list[dict]:
        async with self.door.house.database.read() as connection:
            question = sa.select(audit).where(audit.c.action == action)
            return [dict(row) for row in (await connection.execute(question)).mappings()]

    async def refused(self, mail: bytes, code: str = "550 5.7.1 ", **given: object) -> str:
        """The reply to a mail of which nothing stays."""
        reply = await self.send(mail, **given)  # type: ignore[arg-type]
        assert reply.startswith(code), reply
        assert "\n" not in reply
        await self.door.nothing_is_left()
        return reply

    async def taken(self, mail: bytes, **given: object) -> tuple[str, str, str]:
        reply = await self.send(mail, **given)  # type: ignore[arg-type]
        assert reply.startswith("250 2.0.0 Taken as "), reply
        return (await self.rows())[-1]


@pytest.fixture
async def world(house: House, zone: FakeDns) -> AsyncIterator[World]:
    async with door_of(house) as listening:
        yield World(listening)


async def thread_in(house: House) -> Thread:
    """An open case of Anna's, made as if by a trusted client."""
    strict = house.settings
    house.settings = strict.model_copy(update={"trusted_clients": "127.0.0.0/8"})
    thread = await open_thread(house)
    house.settings = strict
    return thread


def of_stranger(body: str = "LIST", **given: str) -> bytes:
    """A proved mail of somebody who is nobody here."""
    fields = {"From": NEWCOMER, "Message-ID": f"<{len(body)}@clinic.example>", **given}
    return signed(written(body, **fields), "clinic.example", CLINIC)


# ---------------------------------------------------------------- the world


async def test_a_signed_mail_is_taken_as_signed(world: World) -> None:
    assert await world.taken(signed(written())) == ("received", "SIGNED", ANNA)


async def test_a_mail_from_the_labs_server_is_taken_as_sent(world: World) -> None:
    assert await world.taken(written(), source=LAB_IP) == ("received", "SENT", ANNA)
    blind = signed(written(To=KIM, Message_ID="<2@lab.example>"))
    assert await world.taken(blind, source=LAB_IP) == ("received", "SENT", ANNA)


async def test_what_nobody_proves_is_refused_in_one_sentence_and_one_line(world: World) -> None:
    reply = await world.refused(written())
    assert reply == (
        f"550 5.7.1 Nothing proves that {ANNA} wrote this mail, so nothing was done"
        " (DKIM: no signature of that domain; SPF: fail for lab.example from 127.0.0.66). Send it"
        f" through your own mail provider, or ask operator@{DOMAIN}."
    )
    (line,) = await world.audited()
    assert line["actor"] == ANNA
    assert line["detail"]["proof"] == "none"


async def test_where_the_domain_asks_for_refusal_the_reply_says_that_it_does(
    world: World, zone: FakeDns
) -> None:
    zone.add("_dmarc.lab.example", "TXT", "v=DMARC1; p=reject")
    await world.refused(written(), "550 5.7.26 Nothing proves ")


async def test_a_reply_has_room_for_the_operator_whatever_was_wrong(world: World) -> None:
    mail = written()
    for number in range(5):
        domain = f"d{number}.{'x' * 60}.{'y' * 60}.attack.example"
        mail = sign(mail, domain, "s1", ed25519_key(ATTACKER))
    assert (await world.refused(mail)).endswith(f"or ask operator@{DOMAIN}.")


@pytest.mark.parametrize("name", ["s1._domainkey.lab.example", "lab.example", "_dmarc.lab.example"])
async def test_trouble_of_the_dns_puts_the_sender_off(
    world: World, zone: FakeDns, name: str
) -> None:
    zone.fail(name)
    mail = signed(written(To=KIM))
    reply = await world.refused(mail, "451 4.7.0 ")
    assert "Try again later" in reply
    assert await world.audited() == []
    zone.failing.clear()
    assert await world.taken(signed(written())) == ("received", "SIGNED", ANNA)


async def test_trouble_of_an_attackers_dns_is_his_own(world: World, zone: FakeDns) -> None:
    zone.fail("s1._domainkey.attack.example")
    zone.fail("attack.example")
    mail = signed(written(), "attack.example", ATTACKER)
    await world.refused(mail, sender="x@attack.example")


async def test_a_mail_for_another_mailbox_does_nothing_here(world: World) -> None:
    reply = await world.refused(signed(written("REVOKE", To="other@elsewhere.example")))
    assert "does not cover that it is for us" in reply


async def test_results_that_a_mail_brings_in_our_name_are_counted_and_ignored(
    world: World,
) -> None:
    said = f"{SPF}; dmarc=pass header.from=lab.example"
    await world.refused(stamped(stamped(written(), said, DOMAIN), said, DOMAIN))
    (line,) = await world.audited()
    assert line["detail"]["forged_results"] == 2


async def test_the_same_signature_again_is_acted_on_once(world: World) -> None:
    mail = signed(written(), headers=("From", "To", "Subject", "Date"))
    assert (await world.taken(mail))[0] == "received"
    again = mail.replace(b"<1@lab.example>", b"<2@elsewhere.example>")
    assert (await world.taken(again))[0] == "duplicate"
    traced = b"Received: from x by y with SMTP; now\r\n" + again
    assert (await world.taken(traced, sender="x@attack.example"))[0] == "duplicate"
    assert (await world.taken(again, to=(SHARE.upper(),)))[0] == "duplicate"
    assert (await world.taken(again, to=(SHARE, f"Share@{DOMAIN}")))[0] == "duplicate"
    world.door.house.clock.advance(3 * DAY)  # type: ignore[attr-defined]
    assert (await world.taken(again))[:2] == ("duplicate", "SENT")
    assert (await world.taken(again, source=LAB_IP))[0] == "duplicate"


async def test_a_mail_to_share_and_to_a_thread_counts_once_at_each(
    world: World, zone: FakeDns
) -> None:
    thread = await thread_in(world.door.house)
    known = len(await world.rows())
    mail = signed(
        written(Cc=thread.address, Message_ID="<both@lab.example>"), headers=(*USUAL, "Cc")
    )
    for to in (SHARE, thread.address, SHARE, thread.address):
        assert (await world.send(mail, to=(to,))).startswith("250")
    assert [row[0] for row in (await world.rows())[known:]] == ["received"] * 2 + ["duplicate"] * 2


async def test_a_member_whose_mail_is_proved_for_a_dead_token_is_taken(world: World) -> None:
    thread = await thread_in(world.door.house)
    world.door.house.clock.time = thread.case.expires_at + DAY  # type: ignore[attr-defined]
    mail = written(To=thread.address)
    assert (await world.send(mail, to=(thread.address,), source=LAB_IP)).startswith("250")


@pytest.mark.parametrize("token", ["a" * 26, "a" * 25, "", "x", "a" * 27, "é" * 26, "%"])
async def test_a_token_that_was_never_given_is_no_address(world: World, token: str) -> None:
    for name in ("share", "bounce"):
        reply = await world.send(written(), to=(f"{name}+{token}@{DOMAIN}",))
        assert reply.startswith(("550 5.1.1 ", "553 "))


async def test_an_outsider_at_a_known_token_is_judged_like_everybody(world: World) -> None:
    thread = await thread_in(world.door.house)
    forged = written("REVOKE", To=thread.address)
    reply = await world.send(forged, to=(thread.address,))
    assert reply.startswith("550 5.7.1 Nothing proves")
    proved = of_stranger("REVOKE", To=thread.address)
    assert (await world.taken(proved, to=(thread.address,)))[2] == NEWCOMER
    assert await thread.live()


# ---------------------------------------------------------------- strangers


async def test_a_closed_house_refuses_strangers_and_names_the_operator(world: World) -> None:
    reply = await world.refused(of_stranger())
    assert f"{NEWCOMER} is not a member of a lab here" in reply
    assert f"ADDRESS {NEWCOMER}" in reply
    assert reply.endswith(f"Or ask operator@{DOMAIN}.")
    (line,) = await world.audited()
    assert line["detail"]["proof"] == "DKIM clinic.example"


async def test_the_body_of_a_hopeless_mail_is_never_written_down(world: World) -> None:
    header = of_stranger().partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    async with world.door.client(source=ELSEWHERE) as client:
        await client.ask("MAIL FROM:<x@y.example>")
        await client.ask(f"RCPT TO:<{SHARE}>")
        await client.ask("DATA")
        await client.say(header + b"x\r\n")
        arriving = world.door.door.hooks.receiver.arriving
        await world.door.until(lambda: any(one.looked_at for one in arriving))
        await client.say((b"QUJD" * 18 + b"\r\n") * 30_000)
        (one,) = arriving
        await world.door.until(lambda: one.sink.size > 2_000_000)
        assert sum(path.stat().st_size for path in world.door.spooled()) < 10_000
        assert (await client.ask(".")).startswith("550 5.7.1 ")
    await world.door.nothing_is_left()


async def test_who_becomes_a_member_while_their_mail_comes_is_asked_to_send_it_again(
    world: World,
) -> None:
    house = world.door.house
    mail = of_stranger()
    header, _, body = mail.partition(b"\r\n\r\n")
    async with world.door.client(source=ELSEWHERE) as client:
        for line in (f"MAIL FROM:<{NEWCOMER}>", f"RCPT TO:<{SHARE}>", "DATA"):
            await client.ask(line)
        await client.say(header + b"\r\n\r\n" + body[:2])
        arriving = world.door.door.hooks.receiver.arriving
        await world.door.until(lambda: any(one.looked_at for one in arriving))
        async with house.database.write() as connection:
            lab = await labs.add_lab(connection, "Clinic", house.clock.now())
            await labs.add_member(connection, lab.id, NEWCOMER, "Bob", "", house.clock.now())
        await client.say(body[2:] + b".\r\n")
        assert (await client.reply()).startswith("451 4.3.0 Send this mail once more")
    await world.door.nothing_is_left()
    assert (await world.taken(mail))[:2] == ("received", "SIGNED")


async def test_first_mails_that_end_at_the_same_moment_are_one_letter_that_asks(
    house: House, zone: FakeDns
) -> None:
    async with door_of(house, signup="open") as listening:
        world = World(listening)
        sent = [of_stranger(body) for body in ("one", "second", "the third")]
        replies = await asyncio.gather(*(world.send(mail) for mail in sent))
        for reply in replies:
            if reply[:3] == "250":
                await read_mail(house, Children(), reply.rpartition(" ")[2])
        assert [state for state, *_ in await world.rows()].count(MailState.WAITING) == 1
        async with house.database.read() as connection:
            kinds = (await connection.execute(sa.select(letters.c.kind))).scalars()
            assert list(kinds).count("signup") == 1
        assert len(listening.spooled()) == 1


@pytest.mark.parametrize(
    "signup", ["open", "domains:clinic.example", "domains:a.b, clinic.example"]
)
async def test_where_strangers_may_sign_up_the_first_mail_waits_and_the_second_is_put_off(
    house: House, zone: FakeDns, signup: str
) -> None:
    async with door_of(house, signup=signup.replace(" ", "")) as listening:
        world = World(listening)
        reply = await world.send(of_stranger())
        assert reply.startswith("250")
        assert not await read_mail(house, Children(), reply.rpartition(" ")[2])
        assert (await world.rows())[0][0] == MailState.WAITING
        assert len(await listening.letters()) == 1
        reply = await world.send(of_stranger("LIST again"))
        assert reply.startswith("451 4.7.1 Your first mail waits for you")
        assert NEWCOMER in reply
        assert len(await listening.letters()) == 1
        assert len(listening.spooled()) == 1


async def test_two_first_mails_one_upon_the_other_are_one_letter(
    house: House, zone: FakeDns
) -> None:
    """The second comes before the first was read."""
    async with door_of(house, signup="open") as listening:
        world = World(listening)
        replies = [await world.send(of_stranger(body)) for body in ("one", "second")]
        assert [reply[:3] for reply in replies] == ["250", "451"]


async def test_who_may_not_sign_up_is_refused_where_others_may(house: House, zone: FakeDns) -> None:
    async with door_of(house, signup="domains:lab.example") as listening:
        await World(listening).refused(of_stranger())
    async with door_of(house, signup="open") as listening:
        forged = written(From=NEWCOMER)
        await World(listening).refused(forged)  # open to everybody who is who they say


@pytest.mark.parametrize(("name", "value"), [("STRANGERS", 2), ("STRANGERS_BYTES", 600)])
async def test_all_strangers_together_fill_only_so_much(
    house: House, zone: FakeDns, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    monkeypatch.setattr(admission, name, value)
    async with door_of(house, signup="open") as listening:
        world = World(listening)
        replies = []
        for number in range(4):
            mail = of_stranger(From=f"p{number}@clinic.example", Message_ID=f"<{number}@x>")
            reply = await world.send(mail)
            replies.append(reply[:9])
            if reply[:3] == "250":
                await read_mail(house, Children(), reply.rpartition(" ")[2])
        assert replies[0] == "250 2.0.0"
        assert replies[-1] == "451 4.3.1"
        taken = replies.count("250 2.0.0")
        assert taken == len(await listening.letters()) == len(listening.spooled())
        assert taken <= 2
        assert (await world.send(signed(written()))).startswith("250")  # members do not wait


# ---------------------------------------------------------------- look-alikes


@pytest.mark.parametrize(
    ("author", "owned"),
    [
        ("anna+scans@lab.example", True),
        ("an.na@lab.example", True),
        ("аnna@lab.example", True),  # a Cyrillic a
        ("anna@1ab.example", False),
        ("anna@xn--ab-zec.example", False),
    ],
)
async def test_a_look_alike_is_somebody_else(
    world: World, zone: FakeDns, author: str, owned: bool
) -> None:
    domain = author.partition("@")[2]
    if not owned:
        publish(zone, domain, "s1", ed25519_key(ATTACKER))
    mail = signed(written(From=author), domain, LAB if owned else ATTACKER)
    reply = await world.refused(mail, sender="")
    assert "is not a member of a lab here" in reply


@pytest.mark.parametrize("author", ["ANNA@lab.example", "Anna <Anna@LAB.Example>"])
async def test_capitals_are_the_same_person(world: World, author: str) -> None:
    assert await world.taken(signed(written(From=author))) == ("received", "SIGNED", ANNA)


# ---------------------------------------------------------------- other desks


async def bounce_address(house: House) -> str:
    """The envelope sender of a letter that went out."""
    async with house.database.write() as connection:
        draft = LetterDraft(
            kind="notice", recipient=ANNA, recipient_name="", subject="x", context={}
        )
        await outbox.write(connection, draft, DOMAIN, house.clock.now())
        letter_id = (await connection.execute(sa.select(letters.c.id))).scalars().one()
        token = house.keys.token(MasterPurpose.BOUNCE, letter_id)
        await outbox.note_bounce_token(connection, letter_id, token)
    return f"bounce+{token}@{DOMAIN}"


UNSIGNED = written(From="MAILER-DAEMON@mx.example", Subject="Undelivered")


async def test_returned_mail_is_taken_for_its_token_alone(world: World) -> None:
    address = await bounce_address(world.door.house)
    reply = await world.send(UNSIGNED, to=(address,), sender="")
    assert reply.startswith("250 2.0.0 Taken")
    assert await world.rows() == [("received", "NONE", "mailer-daemon@mx.example")]
    assert (await world.send(UNSIGNED, to=(f"bounce@{DOMAIN}",), sender=""))[:9] == "550 5.1.1"


@pytest.mark.parametrize("name", ["postmaster", "abuse", "security", "Postmaster"])
async def test_the_operators_addresses_take_mail_from_everybody(world: World, name: str) -> None:
    garbled = UNSIGNED.replace(b"From: ", b"From: x@y.example, ")
    for mail in (UNSIGNED, garbled):
        reply = await world.send(mail, to=(f"{name}@{DOMAIN}",), sender="x@y.example")
        assert reply.startswith("250 2.0.0 Taken")
    assert [row[1] for row in await world.rows()] == ["NONE", "NONE"]


@pytest.mark.parametrize("to", [SHARE, f"postmaster@{DOMAIN}"])
async def test_what_is_too_large_for_its_desk_is_not_written_down(world: World, to: str) -> None:
    async with world.door.client(source=LAB_IP) as client:
        await client.ask(f"MAIL FROM:<{ANNA}>")
        await client.ask(f"RCPT TO:<{to}>")
        await client.ask("DATA")
        await client.say(signed(written()) + (b"x" * 998 + b"\r\n") * 4_500)
        (one,) = world.door.door.hooks.receiver.arriving
        await world.door.until(lambda: one.sink.size > 4_400_000)
        size = sum(path.stat().st_size for path in world.door.spooled())
        assert (size > 4 * MB) is (to == SHARE)
        assert size < 2.5 * MB or to == SHARE


@pytest.mark.parametrize("desk", ["bounce", "postmaster"])
async def test_what_nobody_proves_is_small(world: World, desk: str) -> None:
    address = await bounce_address(world.door.house)
    to = address if desk == "bounce" else f"postmaster@{DOMAIN}"
    large = UNSIGNED + (b"x" * 998 + b"\r\n") * (2 * MB // 1000 + 100)
    assert (await world.send(large, to=(to,), sender="")).startswith("552 5.3.4 ")
    assert await world.rows() == []
    assert world.door.spooled() == []


async def test_desks_do_not_share_a_mail(world: World) -> None:
    bounce = await bounce_address(world.door.house)
    post = f"postmaster@{DOMAIN}"
    for one, other in ((SHARE, bounce), (bounce, SHARE), (post, SHARE), (bounce, post)):
        reply = await world.send(signed(written()), to=(one, other))
        assert reply.startswith("452 4.5.3 ")
        assert other in reply
    assert (await world.send(UNSIGNED, to=(post, f"abuse@{DOMAIN}")))[:3] == "250"


async def test_a_mail_to_the_operator_never_becomes_a_command(world: World) -> None:
    thread = await thread_in(world.door.house)
    mail = signed(written(f"REVOKE {thread.case.code}", To=f"postmaster@{DOMAIN}"))
    reply = await world.send(mail, to=(f"postmaster@{DOMAIN}",))
    await read_mail(world.door.house, Children(), reply.rpartition(" ")[2])
    assert await thread.live()


# ---------------------------------------------------------------- behind a relay


@pytest.fixture(params=["smtp", "lmtp"])
async def relayed(
    request: pytest.FixtureRequest, house: House, zone: FakeDns
) -> AsyncIterator[World]:
    given = {"sender_mode": "relay", "authserv_id": RELAY}
    async with door_of(house, request.param, **given) as listening:
        yield World(listening, "LHLO" if request.param == "lmtp" else "EHLO")


async def test_a_relay_brings_sent_and_signed_mail(relayed: World) -> None:
    assert await relayed.taken(stamped(written(), SPF)) == ("received", "SENT", ANNA)
    mail = stamped(signed(written(Message_ID="<2@x>")), "spf=none; dkim=none")
    assert await relayed.taken(mail) == ("received", "SIGNED", ANNA)


@pytest.mark.parametrize(
    "mail",
    [
        written(),
        stamped(written(), "spf=fail smtp.mailfrom=anna@lab.example"),
        stamped(written(), "dmarc=pass header.from=lab.example; dkim=pass header.d=lab.example"),
        stamped(stamped(written(), SPF), "spf=fail smtp.mailfrom=anna@lab.example"),
        stamped(written(), SPF, "mx.attack.example"),
        written(From=STRANGER),
        of_stranger(),  # the author is proved, the envelope's sender is not
        written(add=("From: x@y.example",)),
        written(add=("Subject: x",)),
    ],
)
async def test_what_is_refused_behind_a_relay_is_filed_away_in_silence(
    relayed: World, mail: bytes
) -> None:
    reply = await relayed.send(mail)
    assert reply == "250 2.0.0 Filed away"
    await relayed.door.nothing_is_left()


async def test_a_proved_sender_may_be_told_through_a_relay(relayed: World) -> None:
    proved = stamped(of_stranger(), f"spf=pass smtp.mailfrom={NEWCOMER}")
    reply = await relayed.send(proved, sender=NEWCOMER)
    assert reply.startswith(f"550 5.7.1 {NEWCOMER} is not a member")


async def test_trouble_of_the_dns_is_told_to_a_relay(relayed: World, zone: FakeDns) -> None:
    zone.fail("s1._domainkey.lab.example")
    assert (await relayed.send(signed(written()))).startswith("451 4.7.0 ")


async def test_a_trusted_relay_hears_its_users_refusals(house: House, zone: FakeDns) -> None:
    given = {"sender_mode": "relay", "trusted_clients": "127.0.0.0/8"}
    async with door_of(house, "lmtp", **given) as listening:
        world = World(listening, "LHLO")
        reply = await world.send(written(From=NEWCOMER))
        assert reply.startswith("550 5.7.1 ")
        assert (await world.send(written())).startswith("250 2.0.0 Taken")


# ---------------------------------------------------------------- a mailbox


async def fetched(house: House, mail: bytes) -> str:
    """What the IMAP door makes of a mail it has fetched: its state, or the code of the refusal."""
    receiver = Receiver(house)
    arriving = receiver.open([])
    try:
        arriving.sink.take(mail)
        arriving.sink.end()
        door = ImapDoor(receiver, "imap://u:p@localhost")
        await door._commit(arriving, f"imap:{hash(mail)}")
    except MailRefused as refusal:
        return refusal.reply[:9].strip()
    finally:
        arriving.abort()
        receiver.close()
    async with house.database.read() as connection:
        question = sa.select(mails.c.strength).order_by(sa.text("rowid desc"))
        return str((await connection.execute(question)).scalars().first())


async def test_a_mailbox_is_judged_by_dkim_and_its_providers_word(
    house: House, zone: FakeDns
) -> None:
    given = {"trusted_clients": "", "authserv_id": RELAY}
    house.settings = house.settings.model_copy(update=given)
    assert await fetched(house, signed(written())) == "SIGNED"
    assert await fetched(house, stamped(written(Message_ID="<2@x>"), SPF)) == "SENT"
    assert await fetched(house, written(Message_ID="<3@x>")) == "550 5.7.1"
    dmarc = stamped(
        signed(written(To="x@elsewhere.example", Cc="")), "dmarc=pass header.from=lab.example"
    )
    delivered = f"Delivered-To: {SHARE}\r\n".encode() + dmarc
    assert await fetched(house, delivered) == "550 5.7.1"
    added = f"X-Original-To: share+{'a' * 26}@{DOMAIN}\r\n".encode() + signed(
        written(Message_ID="<4@x>")
    )
    assert await fetched(house, added) == "SIGNED"  # an address that was never given is none
    assert await fetched(house, of_stranger()) == "550 5.7.1"
    zone.fail("lab.example")
    zone.fail("s1._domainkey.lab.example")
    house.settings = house.settings.model_copy(update={"dns_servers": zone.address})
    assert await fetched(house, signed(written(Message_ID="<5@x>"))) == "451 4.7.0"


async def test_what_nobody_proves_in_a_mailbox_is_small_too(house: House, zone: FakeDns) -> None:
    house.settings = house.settings.model_copy(update={"trusted_clients": ""})
    large = written(To=f"postmaster@{DOMAIN}") + (b"x" * 998 + b"\r\n") * (2 * MB // 1000 + 100)
    assert await fetched(house, large) == "552 5.3.4"


async def test_a_real_mailbox_is_sorted_and_nobody_is_answered(house: House, zone: FakeDns) -> None:
    house.settings = house.settings.model_copy(update={"trusted_clients": ""})
    receiver = Receiver(house)
    async with running_dovecot() as dovecot:
        await dovecot.append(signed(written()))
        await dovecot.append(written("LIST 2", Message_ID="<2@lab.example>"))
        await dovecot.append(of_stranger())
        door = ImapDoor(receiver, dovecot.url())
        await door.open()
        try:
            await dovecot.holds(1, PROCESSED)
            await dovecot.holds(2, REFUSED)
        finally:
            await door.close()
            receiver.close()
    async with house.database.read() as connection:
        assert list((await connection.execute(sa.select(letters.c.id))).scalars()) == []
        rows = await connection.execute(sa.select(mails.c.author, mails.c.strength))
        assert [tuple(row) for row in rows] == [(ANNA, "SIGNED")]


@pytest.mark.parametrize(("hours", "code"), [(1, 451), (5, 550)])
async def test_behind_a_relay_a_dns_that_is_silent_for_hours_ends_in_silence(
    house: House, dns: FakeDns, hours: int, code: int
) -> None:
    """The relay would bounce what it cannot deliver, to whoever the envelope names."""
    dns.fail("s1._domainkey.lab.example")
    then = house.clock.now() / 1000 - hours * 3600
    received = f"Received: from x by mx.example; {formatdate(then)}\r\n".encode()
    data = received + sign(letter_of("LIST", "LIST").as_bytes(), "lab.example", "s1", rsa_key())
    receiver = Receiver(house, trust=Trust([], frozenset()))
    arriving = receiver.open([SHARE])
    arriving.sink.take(data)
    arriving.sink.end()
    envelope = Envelope("unix:", ANNA, [SHARE], mode=Mode.RELAY)
    with pytest.raises(MailRefused) as refusal:
        await receiver.commit(arriving, envelope)
    arriving.abort()
    receiver.close()
    assert (refusal.value.code, refusal.value.answerable) == (code, False)
