"""The SMTP listener, spoken to over real sockets: what it takes, refuses, and leaves behind."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from inbound.door import turnstile
from inbound.door.receive import Receiver
from inbound.door.smtp import SmtpDoor
from store.house import House
from store.records import access
from store.records.cases import NewCase, create
from store.records.schema import audit, letters, mails
from store.settings import Settings
from store.states import PersonKind
from tests.fakes import ANNA, DOMAIN
from tests.test_door_sink import SMUGGLING

SHARE = f"share@{DOMAIN}"
PATIENCE = 20.0
MB = 1024 * 1024
MAIL = b"From: anna@lab.example\r\nMessage-ID: <1@lab.example>\r\nSubject: LIST\r\n\r\nLIST\r\n"
OPENING = f"MAIL FROM:<{ANNA}>\r\nRCPT TO:<{SHARE}>\r\nDATA\r\n".encode()


class Client:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)
        await self.writer.drain()

    async def reply(self) -> str:
        """The next reply, all its lines; empty when the server has hung up."""
        lines = []
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    line = (await self.reader.readline()).decode()
                except ConnectionError:
                    line = ""
                lines.append(line.rstrip("\r\n"))
                if line[3:4] != "-":
                    return "\n".join(lines)

    async def ask(self, line: bytes | str) -> str:
        await self.say(line.encode() + b"\r\n" if isinstance(line, str) else line)
        return await self.reply()

    async def rest(self) -> list[str]:
        """Every reply until the server hangs up."""
        replies = []
        while reply := await self.reply():
            replies.append(reply)
        return replies

    async def deliver(self, mail: bytes, sender: str = ANNA) -> str:
        for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{SHARE}>"):
            reply = await self.ask(line)
            if not reply.startswith("250"):
                return reply
        assert (await self.ask("DATA")).startswith("354")
        return await self.ask(mail + b"\r\n.\r\n")


class FakedTime:
    """The loop's time, to be moved forward: what is due then happens at once."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.real = loop.time
        self.ahead = 0.0
        loop.time = lambda: self.real() + self.ahead

    def pass_by(self, seconds: float) -> None:
        self.ahead += seconds


@dataclass
class Listening:
    house: House
    door: SmtpDoor

    @asynccontextmanager
    async def client(self, greet: bool = True, source: str = "127.0.0.1") -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.door.port, local_addr=(source, 0)
        )
        client = Client(reader, writer)
        assert (await client.reply())[:3] in ("220", "421")
        if greet:
            assert (await client.ask("EHLO lab.example")).startswith("250")
        try:
            yield client
        finally:
            writer.close()

    async def states(self) -> list[str]:
        return await self._column(mails.c.state)

    async def letters(self) -> list[str]:
        return await self._column(letters.c.id)

    async def audited(self) -> list[str]:
        return await self._column(audit.c.action)

    async def _column(self, column: sa.Column) -> list:
        async with self.house.database.read() as connection:
            return list((await connection.execute(sa.select(column))).scalars())

    def stored(self, reply: str) -> bytes:
        """The mail that a 250 has promised."""
        with self.house.spool.open(reply.rpartition(" ")[2]) as spooled:
            return spooled.read(0, len(spooled))

    def spooled(self) -> list[Path]:
        return list(self.house.spool.root.iterdir())

    async def until(self, true: Callable[[], bool]) -> None:
        """Waits, turn by turn of the loop, for what the server does after its client has gone."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                await asyncio.sleep(0)

    async def nothing_is_left(self) -> None:
        await self.until(lambda: not self.door.dialogues)
        assert await self.states() == []
        assert await self.letters() == []
        assert self.spooled() == []


@pytest.fixture
async def listening(house: House) -> AsyncIterator[Listening]:
    async with door_with(house) as listening:
        yield listening


@asynccontextmanager
async def door_with(house: House, **given: object) -> AsyncIterator[Listening]:
    house.settings = house.settings.model_copy(update=given)
    receiver = Receiver(house)
    door = SmtpDoor(receiver, "127.0.0.1:0", DOMAIN)
    await door.open()
    try:
        yield Listening(house, door)
    finally:
        await door.close()
        receiver.close()


# ---------------------------------------------------------------- the way of a good mail


async def test_250_comes_after_the_row_and_the_spool_file(listening: Listening) -> None:
    async with listening.client() as client:
        reply = await client.deliver(MAIL)
    assert reply.startswith("250 2.0.0 Taken as ")
    assert await listening.states() == ["received"]
    assert listening.stored(reply) == MAIL + b"\r\n"


async def test_a_whole_dialogue_in_one_packet_is_answered_in_order(listening: Listening) -> None:
    async with listening.client() as client:
        await client.say(OPENING + MAIL + b".\r\nNOOP\r\nQUIT\r\n")
        codes = [reply[:3] for reply in await client.rest()]
    assert codes == ["250", "250", "354", "250", "250", "221"]
    assert await listening.states() == ["received"]


async def test_ehlo_offers_pipelining_size_and_no_login(listening: Listening) -> None:
    async with listening.client(greet=False) as client:
        offered = (await client.ask("EHLO lab.example")).splitlines()
    assert {"250-PIPELINING", f"250-SIZE {200 * MB}", "250-8BITMIME"} <= set(offered)
    assert not any("AUTH" in line or "STARTTLS" in line for line in offered)


async def test_two_mails_in_one_dialogue_are_two_mails(listening: Listening) -> None:
    async with listening.client() as client:
        assert (await client.deliver(MAIL)).startswith("250")
        assert (await client.deliver(MAIL.replace(b"<1@", b"<2@"))).startswith("250")
    assert await listening.states() == ["received", "received"]


async def test_the_same_mail_again_is_a_duplicate_row_and_no_second_file(
    listening: Listening,
) -> None:
    async with listening.client() as client:
        first = await client.deliver(MAIL)
        second = await client.deliver(b"Received: from relay\r\n" + MAIL)
    assert first[:3] == second[:3] == "250"
    assert sorted(await listening.states()) == ["duplicate", "received"]
    assert len(listening.spooled()) == 1


async def test_the_null_sender_may_write(listening: Listening) -> None:
    async with listening.client() as client:
        assert (await client.deliver(MAIL, sender="")).startswith("250")


async def test_lines_longer_than_rfc_5321_allows_are_taken_whole(listening: Listening) -> None:
    async with listening.client() as client:
        reply = await client.deliver(MAIL + b"x" * 900_000)
    assert len(listening.stored(reply)) == len(MAIL) + 900_002


# ---------------------------------------------------------------- smuggling


@pytest.mark.parametrize("form", SMUGGLING)
async def test_a_smuggled_second_mail_is_refused_with_the_first(
    listening: Listening, form: bytes
) -> None:
    hidden = OPENING.replace(b"anna", b"ceo") + MAIL.replace(b"<1@", b"<2@")
    async with listening.client() as client:
        await client.say(OPENING + MAIL + form + hidden + b".\r\n" + hidden + b".\r\n")
        codes = [reply[:9] for reply in await client.rest()]
    assert codes == ["250 2.1.0", "250 2.1.5", "354 End d", "550 5.6.0"]
    await listening.nothing_is_left()


@pytest.mark.parametrize("form", SMUGGLING)
async def test_a_smuggled_mail_is_refused_too_when_it_comes_a_byte_at_a_time(
    listening: Listening, form: bytes
) -> None:
    async with listening.client() as client:
        await client.say(OPENING)
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
        for byte in MAIL + form + b"MAIL FROM:<x@y.example>\r\n.\r\n":
            await client.say(bytes([byte]))
        assert (await client.reply()).startswith("550 5.6.0")
    await listening.nothing_is_left()


# ---------------------------------------------------------------- limits of the dialogue


async def test_the_eleventh_recipient_is_put_off(listening: Listening) -> None:
    async with listening.client() as client:
        await client.ask(f"MAIL FROM:<{ANNA}>")
        replies = [await client.ask(f"RCPT TO:<{SHARE}>") for _ in range(11)]
    assert [reply[:3] for reply in replies] == ["250"] * 10 + ["452"]
    assert replies[-1].startswith("452 4.5.3")


@pytest.mark.parametrize("bad", ["XYZZY", "MAIL FROM", "RCPT TO:<x>", "DATA", "EHLO", "\x80", ""])
async def test_after_ten_bad_commands_the_client_is_sent_away(
    listening: Listening, bad: str
) -> None:
    async with listening.client() as client:
        await client.say((bad + "\r\n") * 1000)
        replies = await client.rest()
    assert all(reply.startswith("5") for reply in replies[:10])
    assert len(replies) == 11
    assert replies[10].startswith("421 4.7.0")


async def test_bad_commands_before_ehlo_count_too(listening: Listening) -> None:
    async with listening.client(greet=False) as client:
        await client.say(b"XYZZY\r\n" * 1000)
        assert [reply[:3] for reply in await client.rest()] == ["500"] * 10 + ["421"]


async def test_commands_behind_the_last_straw_are_not_carried_out(listening: Listening) -> None:
    async with listening.client() as client:
        await client.say(b"XYZZY\r\n" * 11 + OPENING + MAIL + b".\r\n")
        assert (await client.rest())[-1].startswith("421")
    await listening.nothing_is_left()


async def test_a_size_over_the_limit_is_refused_at_mail_in_mb(listening: Listening) -> None:
    async with listening.client() as client:
        reply = await client.ask(f"MAIL FROM:<{ANNA}> SIZE={200 * MB + 1}")
        assert reply.startswith("552 5.3.4")
        assert "200 MB" in reply
        assert (await client.ask(f"MAIL FROM:<{ANNA}> SIZE={'9' * 30}")).startswith("552")
        assert (await client.ask(f"MAIL FROM:<{ANNA}> SIZE=x")).startswith("501")
        assert (await client.ask(f"MAIL FROM:<{ANNA}> SIZE={200 * MB}")).startswith("250")


async def test_a_size_that_is_no_number_is_refused_for_good(listening: Listening) -> None:
    async with listening.client() as client:
        for size in ("", "x", "-1", "1.5", "²", "٣", "1e3"):
            reply = await client.ask(f"MAIL FROM:<{ANNA}> SIZE={size}")
            assert reply.startswith("501"), size
        assert (await client.deliver(MAIL)).startswith("250")


HALVES = ["a@", "<a@", "<", "<>>", "<a@b", "<@", "a@[", '"', "<" + "(" * 400, "@"]


@pytest.mark.parametrize("command", ["MAIL FROM:", "RCPT TO:", "VRFY "])
async def test_half_an_address_is_the_clients_fault_and_never_ours(
    listening: Listening, command: str
) -> None:
    for half in HALVES:
        async with listening.client() as client:
            await client.ask(f"MAIL FROM:<{ANNA}>" if command.startswith("RCPT") else "RSET")
            assert (await client.ask(command + half))[:2] in ("50", "55", "25"), half
            assert (await client.ask("RSET")).startswith("250")


async def test_what_a_client_says_comes_back_without_control_characters(
    listening: Listening,
) -> None:
    for said in ("a\x07b", "\x1b[31mred", "a\rb", "\x7f", "a\0b", "ä"):
        async with listening.client() as client:
            await client.ask(f"MAIL FROM:<{ANNA}>")
            for command in (f"VRFY <{said}", f"RCPT TO:<{said}@x.example>", f"HELP {said}"):
                reply = await client.ask(command)
                assert all(" " <= letter <= "~" for letter in reply), reply


async def test_a_lying_size_is_refused_at_the_end_and_leaves_no_file(house: House) -> None:
    async with door_with(house, max_mail_mb=1) as listening, listening.client() as client:
        await client.ask(f"MAIL FROM:<{ANNA}> SIZE=100")
        await client.ask(f"RCPT TO:<{SHARE}>")
        await client.ask("DATA")
        await client.say(MAIL)
        for _ in range(40):
            await client.say(b"a" * 76 + b"\r\n" + b"b" * (MB // 10) + b"\r\n")
        reply = await client.ask(b"\r\n.\r\n")
        assert reply.startswith("552 5.3.4")
        assert "1 MB" in reply
        assert listening.spooled() == []
        assert (await client.deliver(MAIL)).startswith("250")


async def test_a_command_line_without_end_is_refused_in_bounded_memory(
    listening: Listening,
) -> None:
    before = resident()
    async with listening.client() as client:
        try:
            for _ in range(160):
                await client.say(b"A" * (MB // 16))
        except ConnectionError:
            pass
        replies = await client.rest()
    assert replies in ([], ["500 5.5.2 Command line too long"])  # [] where the reset came first
    assert resident() - before < 16 * MB
    await listening.nothing_is_left()


async def test_a_long_command_line_with_an_end_is_refused_and_the_dialogue_goes_on(
    listening: Listening,
) -> None:
    async with listening.client() as client:
        assert (await client.ask("NOOP " + "a" * 5000)).startswith("500")
        assert (await client.ask("MAIL FROM:<" + "a" * 900 + "@x.example>"))[:3] in ("500", "250")
        assert (await client.ask("RSET")).startswith("250")
        assert (await client.deliver(MAIL)).startswith("250")


async def test_each_client_may_hold_so_many_connections(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "CONNECTIONS_A_CLIENT", 2)
    async with listening.client(), listening.client() as second:
        async with listening.client(greet=False) as third:
            assert await third.rest() == []
        assert (await second.ask("NOOP")).startswith("250")
        await second.ask("QUIT")
        await listening.until(lambda: listening.door.turnstile.inside["127.0.0.1"] == 1)
        async with listening.client() as fourth:
            assert (await fourth.ask("NOOP")).startswith("250")
    await listening.until(lambda: not listening.door.turnstile.inside)


# ---------------------------------------------------------------- who may write to whom


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("share@elsewhere.example", "550 5.7.1"),
        ("nobody@scans.example", "550 5.1.1"),
        ("share+@scans.example", "550 5.1.1"),
        ("share+aaaaaaaaaaaaaaaaaaaaaaaaaa@scans.example", "550 5.1.1"),
        ("bounce+aaaaaaaaaaaaaaaaaaaaaaaaaa@scans.example", "550 5.1.1"),
        ("bounce@scans.example", "550 5.1.1"),
        ("share+a+b@scans.example", "550 5."),
        ("share@scans.example@elsewhere.example", "55"),
        ("share%scans.example@elsewhere.example", "550 5.7.1"),
        ("SHARE@SCANS.EXAMPLE", "250 2.1.5"),
    ],
)
async def test_recipients_that_are_not_ours_are_refused(
    listening: Listening, address: str, code: str
) -> None:
    async with listening.client() as client:
        await client.ask(f"MAIL FROM:<{ANNA}>")
        assert (await client.ask(f"RCPT TO:<{address}>")).startswith(code)


async def test_a_token_that_was_issued_is_taken_for_its_own_purpose_only(
    listening: Listening,
) -> None:
    house = listening.house
    async with house.database.write() as connection:
        anna = (await connection.execute(sa.text("select * from members limit 1"))).mappings().one()
        key, wrapped = house.keys.new()
        new = NewCase(
            id="a" * 26, lab_id=anna["lab_id"], owner_id=anna["id"], code="C-1", title="",
            note="", state="open", created_at=0, expires_at=1, due_at=None, subject="", thread=[],
        )  # fmt: skip
        case = await create(connection, new, wrapped)
        owner = await access.add_person(connection, case.id, PersonKind.OWNER, ANNA, "", key, 0)
    reply = access.token_of(key, owner, access.Purpose.REPLY)
    async with listening.client() as client:
        await client.ask(f"MAIL FROM:<{ANNA}>")
        assert (await client.ask(f"RCPT TO:<share+{reply}@{DOMAIN}>")).startswith("250")
        assert (await client.ask(f"RCPT TO:<Share+{reply.upper()}@{DOMAIN}>")).startswith("250")
        assert (await client.ask(f"RCPT TO:<bounce+{reply}@{DOMAIN}>")).startswith("550 5.1.1")


async def test_a_mail_that_nobody_proves_is_refused_and_told_whom_to_ask(house: House) -> None:
    async with door_with(house, trusted_clients="192.0.2.0/24") as listening:
        async with listening.client() as client:
            reply = await client.deliver(MAIL)
        assert reply.startswith(f"550 5.7.1 Nothing proves that {ANNA} wrote this mail")
        assert "SPF: none for lab.example from 127.0.0.1" in reply
        assert f"operator@{DOMAIN}" in reply
        await listening.nothing_is_left()


@pytest.mark.parametrize(
    "author",
    [
        b"From: bob@gmail.example",
        b"From: anna@lab.example, eve@other.example",
        b"From: anna@lab.example\r\nFrom: eve@other.example",
        b"From : anna@lab.example",
        b"From\r\n : x@y.example\r\nFrom: anna@lab.example",
        b" From: anna@lab.example",
        b"From: friends: anna@lab.example;",
        b"Subject: none",
        b"From: ",
        b"From: <",
        b'From: "',
        b"From: " + b"(" * 5000,
        b"From: anna@lab.example (\xff)",
        b"X" * 200_000,
    ],
)
async def test_an_author_who_is_not_clear_or_no_member_is_refused(
    listening: Listening, author: bytes
) -> None:
    async with listening.client() as client:
        reply = await client.deliver(author + b"\r\nSubject: x\r\n\r\nLIST\r\n")
        assert reply.startswith("550 5.7.1 ")
        assert (await client.ask("NOOP")).startswith("250")
    await listening.nothing_is_left()


async def test_a_refusal_is_one_line_in_the_trail(listening: Listening) -> None:
    async with listening.client() as client:
        await client.deliver(MAIL.replace(b"anna@lab", b"bob@gmail"))
    assert (await listening.audited()).count("mail refused") == 1


async def test_nul_is_refused(listening: Listening) -> None:
    async with listening.client() as client:
        assert (await client.deliver(MAIL + b"a\0b")).startswith("550 5.6.0 A NUL byte")
    await listening.nothing_is_left()


# ---------------------------------------------------------------- clients that go away


async def test_a_client_that_half_closes_gets_its_answers_and_one_mail(
    listening: Listening,
) -> None:
    async with listening.client() as client:
        await client.say(OPENING + MAIL + b".\r\n")
        client.writer.write_eof()
        assert [reply[:3] for reply in await client.rest()] == ["250", "250", "354", "250"]
    assert await listening.states() == ["received"]
    await listening.until(lambda: not listening.door.dialogues)


async def test_a_client_that_hangs_up_after_the_mark_has_sent_its_mail_once(
    listening: Listening,
) -> None:
    async with listening.client() as client:
        await client.say(OPENING)
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
        await client.say(MAIL + b".\r\n")
    await listening.until(lambda: not listening.door.dialogues)
    assert await listening.states() == ["received"]
    assert len(listening.spooled()) == 1


@pytest.mark.parametrize("abruptly", [True, False])
async def test_a_client_that_disappears_within_data_leaves_nothing(
    listening: Listening, abruptly: bool
) -> None:
    async with listening.client() as client:
        await client.say(OPENING)
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
        await client.say(MAIL + b"half of a line")
        assert len(listening.spooled()) == 1
        if abruptly:
            client.writer.transport.abort()
    await listening.nothing_is_left()


async def test_closing_the_door_ends_idle_dialogues_and_half_mails(house: House) -> None:
    async with door_with(house) as listening:
        async with listening.client() as idle, listening.client() as busy:
            await busy.say(OPENING)
            assert [(await busy.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
            await busy.say(MAIL)
            await listening.door.close()
            assert await idle.rest() == []
            assert await busy.rest() == []
        await listening.nothing_is_left()


# ---------------------------------------------------------------- our own faults


async def test_a_fault_of_ours_is_a_451_without_a_path(listening: Listening) -> None:
    root = listening.house.spool.root
    async with listening.client() as client:
        shutil.rmtree(root)
        reply = await client.ask(f"MAIL FROM:<{ANNA}>")
        assert reply.startswith("451 4.3.0")
        assert str(root) not in reply
        root.mkdir()
        assert (await client.deliver(MAIL)).startswith("250")


async def test_a_fault_within_data_never_lets_the_rest_act_as_commands(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error", "/var/secret")

    async with listening.client() as client:
        await client.say(OPENING)
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
        monkeypatch.setattr("store.blobs.spool.SpoolWriting.write", broken)
        await client.say(MAIL + OPENING + MAIL)
        reply = await client.ask(b".\r\n")
        assert reply.startswith("452 4.3.1")
        assert "/var" not in reply
    await listening.nothing_is_left()


async def test_a_failing_commit_is_a_451_and_leaves_no_file(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("/var/secret")

    monkeypatch.setattr("store.records.mails.accept_all", broken)
    async with listening.client() as client:
        reply = await client.deliver(MAIL)
    assert reply.startswith("451 4.3.0")
    assert "secret" not in reply
    await listening.nothing_is_left()


async def test_a_full_disk_puts_the_sender_off_at_mail(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = listening.house.spool
    monkeypatch.setattr(spool, "free_bytes", lambda: 399 * MB)
    async with listening.client() as client:
        assert (await client.ask(f"MAIL FROM:<{ANNA}>")).startswith("452 4.3.1")
        monkeypatch.setattr(spool, "free_bytes", lambda: 400 * MB)
        assert (await client.deliver(MAIL)).startswith("250")


# ---------------------------------------------------------------- a large mail

SENDER = """
import socket, sys
line = (b"QUJD" * 19 + b"\\r\\n") * 8192
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
f = s.makefile("rb")
def ask(data):
    s.sendall(data)
    while (reply := f.readline())[3:4] == b"-":
        pass
    return reply
f.readline()
ask(b"EHLO lab.example\\r\\n")
ask(b"MAIL FROM:<anna@lab.example>\\r\\n")
ask(b"RCPT TO:<share@scans.example>\\r\\n")
ask(b"DATA\\r\\n")
s.sendall(b"From: anna@lab.example\\r\\nSubject: big\\r\\n\\r\\n")
for _ in range(60_000_000 // len(line) + 1):
    s.sendall(line)
print(ask(b".\\r\\n").decode())
"""


async def test_a_mail_of_60_mb_costs_little_memory_and_does_not_hold_up_the_loop(
    listening: Listening,
) -> None:
    async with listening.client() as client:  # whatever the first mail allocates for good
        await client.deliver(MAIL + b"x" * 5_000_000)
    watch = Watch()
    watch.start()
    sender = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SENDER, str(listening.door.port), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await sender.communicate()
    watch.stop()
    assert output.startswith(b"250"), output
    assert max(await listening._column(mails.c.size)) > 60_000_000
    assert watch.highest - watch.before < 10 * MB
    stalls = sorted(watch.stalls)
    assert stalls[int(len(stalls) * 0.99)] <= 0.020, stalls[-5:]


class Watch:
    """Looks every 2 ms how late the loop is, and how much memory the process holds."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.before = self.highest = resident()
        self.stalls: list[float] = []
        self.due = 0.0
        self.next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.due = self.loop.time() + 0.002
        self.next = self.loop.call_at(self.due, self._look)

    def stop(self) -> None:
        assert self.next is not None
        self.next.cancel()

    def _look(self) -> None:
        self.stalls.append(self.loop.time() - self.due)
        self.highest = max(self.highest, resident())
        self.start()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_the_limit_in_bytes_is_what_ehlo_says(make_settings: Callable[..., Settings]) -> None:
    assert make_settings(max_mail_mb=3).max_mail_bytes == 3 * MB
