"""scanpost behind a real Postfix, as deploy/postfix sets it up: what arrives, and what comes back."""

import asyncio
import re
import smtplib
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa

from inbound.door.lmtp import LmtpDoor
from inbound.door.receive import Receiver
from inbound.door.smtp import SmtpDoor
from scanpost.compose import Server, close_house, open_house
from store.house import House
from store.records import access
from store.records.cases import NewCase, create
from store.records.schema import letters, mails
from store.settings import Settings
from store.states import PersonKind
from tests.conftest import add_members, jaw_stl
from tests.fakes import ANNA, BEN, DOMAIN, KIM, Inbox, link_of, mail, reply
from tests.postfix import LAB, UNASKED, Postfix, running_postfix, until
from tests.service import free_port
from tests.test_door_sink import SMUGGLING
from tests.test_door_smtp import Client, Watch

SHARE = f"share@{DOMAIN}"
UNKNOWN = f"share+{'b' * 26}@{DOMAIN}"
MB = 1024 * 1024
MAIL = b"From: anna@lab.example\r\nMessage-ID: <1@lab.example>\r\nSubject: LIST\r\n\r\nLIST\r\n"


@dataclass
class Relayed:
    """Postfix in front of scanpost's LMTP listener; the inbox gets what Postfix sends elsewhere."""

    house: House
    postfix: Postfix
    inbox: Inbox

    async def rows(self, *columns: sa.Column) -> list[sa.Row]:
        async with self.house.database.read() as connection:
            return list(await connection.execute(sa.select(*columns)))

    async def taken(self, count: int = 1) -> list[sa.Row]:
        """Waits for so many mails; returns id, size and recipients of each."""

        async def there() -> bool:
            return len(await self.rows(mails.c.id)) >= count

        await until(there, f"{count} mails did not come", lambda: self.postfix.maillog)
        return await self.rows(mails.c.id, mails.c.size, mails.c.recipients)

    async def bounces(self, count: int = 1) -> list[EmailMessage]:
        async with asyncio.timeout(20):
            await self.inbox.wait_for(lambda found: len(found) >= count)
        return self.inbox.letters

    def spooled(self, mail_id: str) -> bytes:
        with self.house.spool.open(mail_id) as spooled:
            return bytes(spooled.read(0, len(spooled)))


@asynccontextmanager
async def relayed(house: House, way: str, **settings: str) -> AsyncIterator[Relayed]:
    """Postfix hands on to LMTP, by "tcp" or by "unix" socket."""
    trusted = "unix:" if way == "unix" else "127.0.0.1/32"
    house.settings = house.settings.model_copy(update={"trusted_clients": trusted})
    port, inbox, receiver = free_port(), Inbox(), Receiver(house)
    await inbox.open()
    next_hop = "" if way == "unix" else f"inet:127.0.0.1:{port}"
    async with running_postfix(inbox.port, next_hop, **settings) as postfix:
        listen = f"unix:{postfix.socket}" if way == "unix" else f"127.0.0.1:{port}"
        door = LmtpDoor(receiver, listen, DOMAIN)
        await door.open()
        try:
            yield Relayed(house, postfix, inbox)
        finally:
            await door.close()
            receiver.close()
            await inbox.close()


async def ran(*command: str) -> tuple[int | None, str]:
    """Runs a program to its end; returns its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def issued(house: House) -> str:
    """A reply address as it stands in a letter to Anna."""
    async with house.database.write() as connection:
        anna = (await connection.execute(sa.text("select * from members limit 1"))).mappings().one()
        key, wrapped = house.keys.new()
        new = NewCase(
            id="a" * 26, lab_id=anna["lab_id"], owner_id=anna["id"], code="C-1", title="",
            note="", state="open", created_at=0, expires_at=1, due_at=None, subject="", thread=[],
        )  # fmt: skip
        case = await create(connection, new, wrapped)
        owner = await access.add_person(connection, case.id, PersonKind.OWNER, ANNA, "", key, 0)
    return f"share+{access.token_of(key, owner, access.Purpose.REPLY)}@{DOMAIN}"


# ---------------------------------------------------------------- the whole way

FILES = {"C-1042-UpperJaw.stl": jaw_stl("upper"), "C-1042-LowerJaw.stl": jaw_stl("lower")}


async def test_a_case_comes_in_and_its_letters_go_out_and_a_reply_comes_back_through_postfix(
    make_settings: Callable[..., Settings],
) -> None:
    inbox = Inbox()
    await inbox.open()
    async with running_postfix(inbox.port) as postfix:
        house = await open_house(
            make_settings(
                lmtp_listen=f"unix:{postfix.socket}",
                trusted_clients="unix:",
                relay_url=f"smtp://127.0.0.1:{postfix.port}",
            )
        )
        await add_members(house)
        server = Server(house)
        await server.start()
        await postfix.send(mail(f"{KIM} C-1042", "", FILES).as_bytes(), SHARE)
        answer = await inbox.letter("answer", ANNA)
        assert link_of(await inbox.letter("share", KIM)) != link_of(answer)
        await postfix.send(reply(answer, "REVOKE").as_bytes(), str(answer["Reply-To"]))
        await inbox.letter("transcript", ANNA)
        await postfix.emptied()
        assert [one["X-Envelope-To"] for one in inbox.letters].count(KIM) == 1
        await server.stop()
        await close_house(house)
    await inbox.close()


# In processes of their own, so that the memory which is watched is the listener's alone.
WRITE = """
import sys
from tests.bench.answer_45mb import three_scans
open(sys.argv[1], "wb").write(three_scans().as_bytes())
"""
SEND = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", int(sys.argv[1])) as client:
    client.sendmail("anna@lab.example", ["share@scans.example"], open(sys.argv[2], "rb").read())
"""


@pytest.mark.parametrize("way", ["tcp", "unix"])
async def test_a_mail_of_60_mb_arrives_byte_for_byte_in_little_memory(
    house: House, tmp_path: Path, way: str
) -> None:
    path = tmp_path / "big.eml"
    assert await ran(sys.executable, "-c", WRITE, str(path)) == (0, "")
    async with relayed(house, way, **UNASKED) as site:
        await site.postfix.send(MAIL + b"x\r\n" * 500_000, SHARE)  # what the first mail allocates
        await site.taken(1)
        watch = Watch()
        watch.start()
        code, output = await ran(sys.executable, "-c", SEND, str(site.postfix.port), str(path))
        assert code == 0, output
        taken = await site.taken(2)
        watch.stop()
        growth = watch.highest - watch.before
        print(f"\n60 MB by {way}: {growth / 1e6:.1f} MB more at most")
        assert growth < 10 * MB
    (big,) = (row for row in taken if row.size > 60_000_000)
    trace, _, rest = site.spooled(big.id).partition(b"From: anna")
    assert b"From: anna" + rest == path.read_bytes()
    assert trace.startswith(b"Received: from ")
    assert len(trace) < 500


async def test_long_lines_eight_bits_and_dots_reach_the_spool_as_they_were_sent(
    house: House,
) -> None:
    odd = MAIL + "Grüße \r\n.\r\n..\r\n".encode() + b"QUJD" * 225_000 + b"\r\n\t \r\n\r\n"
    async with relayed(house, "unix", **UNASKED) as site:
        await site.postfix.send(odd, SHARE)
        (row,) = await site.taken()
        assert site.spooled(row.id).endswith(b"(UTC)\r\n" + odd)


async def test_what_postfix_just_lets_in_is_not_too_large_for_scanpost(house: House) -> None:
    house.settings = house.settings.model_copy(update={"max_mail_mb": 1})
    body = b"QUJD\r\n" * (MB // 6)
    async with relayed(house, "unix", **UNASKED, message_size_limit=str(MB)) as site:

        def talk(client: smtplib.SMTP) -> list[int]:
            answers = []
            for less in range(0, 2_000, 200):
                head = MAIL.replace(b"<1@", b"<%d@" % less)
                client.mail(ANNA)
                client.rcpt(SHARE)
                cut = body[: MB - len(head) - less - 2].rstrip(b"\r\n") + b"\r\n"
                answers.append(client.data(head + cut)[0])
            return answers

        answers = await site.postfix.say(talk)
        assert set(answers) == {250, 552}
        taken = await site.taken(answers.count(250))
        assert max(row.size for row in taken) > MB - 2_000
        await site.postfix.emptied()
        assert site.inbox.letters == []


# ---------------------------------------------------------------- recipients


async def test_an_unknown_recipient_is_refused_while_the_sender_is_there_and_known_ones_are_not(
    house: House,
) -> None:
    known = await issued(house)

    def ask(client: smtplib.SMTP) -> list[int]:
        client.mail(ANNA)
        return [client.rcpt(address)[0] for address in (known, UNKNOWN)]

    async with relayed(house, "unix") as site:
        assert await site.postfix.say(ask) == [250, 550]
        await site.postfix.emptied()
        assert await site.rows(mails.c.id) == []
        assert await site.rows(letters.c.id) == []
        assert list(house.spool.root.iterdir()) == []  # the questions have left nothing
        assert list(await site.postfix.send(MAIL, known, UNKNOWN)) == [UNKNOWN]
        assert (await site.taken())[0].recipients == [known]
        await site.postfix.emptied()
        assert site.inbox.letters == []


async def test_each_recipient_has_a_reply_of_its_own(house: House) -> None:
    known = await issued(house)
    async with relayed(house, "tcp", **UNASKED) as site:
        await site.postfix.send(MAIL, SHARE, UNKNOWN, known)
        (bounce,) = await site.bounces()
        await site.postfix.emptied()
        assert sorted((await site.taken())[0].recipients) == sorted([SHARE, known])
        for address in (SHARE, known):
            assert f"to=<{address}>, relay=127.0.0.1" in site.postfix.maillog
        assert site.postfix.maillog.count("status=sent (250 2.0.0 Taken as ") == 2
        text = " ".join(bounce.as_string().split())
        assert f"There is no address {UNKNOWN} here." in text
        assert f"Final-Recipient: rfc822; {UNKNOWN}" in text
        assert f"Final-Recipient: rfc822; {SHARE}" not in text


# ---------------------------------------------------------------- what scanpost refuses or puts off


async def test_what_scanpost_refuses_comes_back_to_the_sender_with_its_sentence(
    house: House,
) -> None:
    stranger = MAIL.replace(b"From: anna", b"From: bob")
    async with relayed(house, "unix", **UNASKED) as site:
        await site.postfix.send(stranger, SHARE, sender="bob@lab.example")
        (bounce,) = await site.bounces()
        assert bounce["X-Envelope-From"] == "<>"
        assert bounce["X-Envelope-To"] == "bob@lab.example"
        report = " ".join(bounce.as_string().split())
        assert "bob@lab.example is not a member of a lab here." in report
        assert f"ask operator@{DOMAIN}." in report
        assert "Status: 5.7.1" in report
        await site.postfix.emptied()
        assert await site.rows(mails.c.id) == []


async def test_what_scanpost_puts_off_is_kept_and_comes_with_the_next_try(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("/var/secret")

    async with relayed(house, "unix", **UNASKED) as site:
        with monkeypatch.context() as patched:
            patched.setattr("store.records.mails.accept_all", broken)
            await site.postfix.send(MAIL, SHARE)
            (kept,) = await site.postfix.put_off()
        assert "451 4.3.0" in kept["recipients"][0]["delay_reason"]
        assert await site.rows(mails.c.id) == []
        await site.postfix.flush()
        await site.taken()
        await site.postfix.emptied()
        assert site.inbox.letters == []


async def test_a_full_disk_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with relayed(house, "tcp", **UNASKED) as site:
        with monkeypatch.context() as patched:
            patched.setattr(house.spool, "free_bytes", lambda: 0)
            await site.postfix.send(MAIL, SHARE)
            (kept,) = await site.postfix.put_off()
        assert "452 4.3.1" in kept["recipients"][0]["delay_reason"]
        await site.postfix.flush()
        await site.taken()


# ---------------------------------------------------------------- load


async def test_200_mails_in_20_dialogues_all_arrive(house: House) -> None:
    async with relayed(house, "unix", **UNASKED) as site:
        code, output = await ran(
            *("smtp-source", "-s", "20", "-m", "200", "-l", "5000", "-4"),
            *("-f", ANNA, "-t", SHARE, f"{LAB}:{site.postfix.port}"),
        )
        assert code == 0, output
        found = await site.taken(200)
        assert len(found) == 200
        assert all(row.size > 5_000 for row in found)
        await site.postfix.emptied()
        assert site.inbox.letters == []


# ---------------------------------------------------------------- smuggling

OPENING = f"MAIL FROM:<{ANNA}>\r\nRCPT TO:<{SHARE}>\r\nDATA\r\n".encode()
HIDDEN = OPENING + MAIL.replace(b"<1@", b"<hidden@") + b".\r\n"


@pytest.mark.parametrize("cut", ["in one piece", "line by line"])
async def test_no_second_mail_can_be_hidden_in_a_first(house: House, cut: str) -> None:
    async with relayed(house, "unix", **UNASKED) as site:
        for number, form in enumerate(SMUGGLING):
            visible = MAIL.replace(b"<1@", b"<%d@" % number)
            pieces = [visible + form + HIDDEN]
            if cut == "line by line":
                pieces = [visible, form, *HIDDEN.splitlines(keepends=True)]
            replies = await smuggle(site.postfix.port, pieces)
            # Bare LF and NUL are refused; what a bare CR stands in is one mail, in which it is a blank.
            refused = re.search(rb"(?<!\r)\n|\0", form)
            assert replies[0][:3] == ("550" if refused else "250"), (form, replies)
        await site.postfix.emptied()
        ids = sorted(row.message_id for row in await site.rows(mails.c.message_id))
        assert ids == sorted(f"<{number}@lab.example>" for number in (3, 5, 7, 10))
        assert site.inbox.letters == []


async def smuggle(port: int, pieces: list[bytes]) -> list[str]:
    """Says the pieces after DATA; returns every reply that comes."""
    reader, writer = await asyncio.open_connection(LAB, port)
    client = Client(reader, writer)
    await client.reply()
    await client.ask("EHLO lab.example")
    for line in OPENING.splitlines(keepends=True):
        await client.ask(line)
    for piece in pieces:
        await client.say(piece)
        await asyncio.sleep(0)
    await client.say(b"\r\n.\r\nQUIT\r\n")
    replies = await client.rest()
    writer.close()
    return replies


# ---------------------------------------------------------------- swaks, as in the README


async def swaks(port: int, to: str, *more: str) -> tuple[int | None, str]:
    return await ran(
        *("swaks", "--server", f"127.0.0.1:{port}", "--helo", "lab.example"),
        *("--from", ANNA, "--to", to, "--suppress-data", *more),
    )


async def test_swaks_sees_what_the_readme_says(house: House, tmp_path: Path) -> None:
    scan = tmp_path / "upper.stl"
    scan.write_bytes(jaw_stl())
    async with relayed(house, "unix") as site:
        port = site.postfix.port
        code, said = await swaks(port, SHARE, "--attach", f"@{scan}")
        assert code == 0, said
        assert "<-  250 2.0.0 Ok: queued as " in said
        assert (await site.taken())[0].size > scan.stat().st_size
        code, said = await swaks(port, UNKNOWN)
        assert code == 24, said
        assert "<** 550 5.1.1" in said
        code, said = await swaks(port, KIM, "--local-interface", "127.0.0.66")
        assert code == 24, said
        assert "<** 554 5.7.1" in said or "<** 550 5.7.1" in said


async def test_swaks_writes_to_scanposts_own_smtp_door(house: House, tmp_path: Path) -> None:
    scan = tmp_path / "upper.stl"
    scan.write_bytes(jaw_stl())
    receiver = Receiver(house)
    door = SmtpDoor(receiver, "127.0.0.1:0", DOMAIN)
    port = await door.open()
    code, said = await swaks(port, SHARE, "--attach", f"@{scan}")
    assert code == 0, said
    assert "<-  250 2.0.0 Taken as " in said
    code, said = await swaks(port, UNKNOWN)
    assert code == 24, said
    assert f"<** 550 5.1.1 There is no address {UNKNOWN} here." in said
    code, said = await swaks(port, SHARE, "--header", f"From: {BEN}", "--body", "LIST")
    assert code == 0, said
    await door.close()
    receiver.close()
