"""BDAT (RFC 3030): chunks of a told size, whose bytes are the mail and never commands."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from inbound.door.guarded import COMMANDS, LONGEST_LINE
from store.house import House
from store.records.schema import mails
from tests.fakes import ANNA
from tests.test_door_sink import SMUGGLING
from tests.test_door_smtp import MAIL, MB, SHARE, Client, FakedTime, Listening, door_with

OPENING = f"MAIL FROM:<{ANNA}>\r\nRCPT TO:<{SHARE}>\r\n".encode()
HIDDEN = b"MAIL FROM:<ceo@lab.example>\r\nRCPT TO:<share@scans.example>\r\nDATA\r\nevil\r\n.\r\n"


def bdat(data: bytes, *, last: bool = False) -> bytes:
    return b"BDAT %d%s\r\n" % (len(data), b" LAST" if last else b"") + data


def numbered(number: int) -> bytes:
    return MAIL.replace(b"<1@", b"<%d@" % number)


async def open_mail(client: Client) -> None:
    await client.say(OPENING)
    assert [(await client.reply())[:9] for _ in range(2)] == ["250 2.1.0", "250 2.1.5"]


@pytest.fixture
async def listening(house: House) -> AsyncIterator[Listening]:
    async with door_with(house) as listening:
        yield listening


# ---------------------------------------------------------------- good mails


async def test_a_mail_in_one_chunk_is_stored_as_it_is(listening: Listening) -> None:
    async with listening.client() as client:
        await open_mail(client)
        reply = await client.ask(bdat(MAIL, last=True))
    assert reply.startswith("250 2.0.0 Taken as ")
    assert listening.stored(reply) == MAIL
    assert await listening.states() == ["received"]


async def test_each_chunk_is_answered_and_the_last_one_when_the_mail_is_durable(
    listening: Listening,
) -> None:
    async with listening.client() as client:
        await open_mail(client)
        for at in range(0, len(MAIL), 20):
            reply = await client.ask(bdat(MAIL[at : at + 20]))
            assert reply == f"250 2.0.0 {len(MAIL[at : at + 20])} bytes taken"
            assert await listening.states() == []
        reply = await client.ask(b"BDAT 0 LAST\r\n")
    assert listening.stored(reply) == MAIL
    assert await listening.states() == ["received"]


async def test_commands_and_chunks_of_two_mails_in_one_packet_are_answered_in_order(
    listening: Listening,
) -> None:
    first, second = numbered(1), numbered(2)
    async with listening.client() as client:
        await client.say(
            OPENING + bdat(first[:30]) + bdat(first[30:]) + b"BDAT 0 LAST\r\nNOOP\r\n"
            + OPENING + bdat(second, last=True) + b"QUIT\r\n"
        )  # fmt: skip
        replies = await client.rest()
    codes = [reply[:3] for reply in replies]
    assert codes == ["250"] * 6 + ["250", "250", "250", "221"]
    assert listening.stored(replies[4]) == first
    assert listening.stored(replies[8]) == second


@pytest.mark.parametrize("pipelined", [True, False])
async def test_a_mail_may_be_cut_anywhere_also_between_cr_and_lf(
    listening: Listening, *, pipelined: bool
) -> None:
    async with listening.client() as client:
        for cut in range(len(numbered(10)) + 1):
            mail = numbered(10 + cut)
            chunks = [bdat(mail[:cut]), bdat(mail[cut:], last=True)]
            if pipelined:
                await client.say(OPENING + b"".join(chunks))
                replies = [await client.reply() for _ in range(4)]
            else:
                await open_mail(client)
                replies = [await client.ask(chunk) for chunk in chunks]
            assert listening.stored(replies[-1]) == mail


async def test_dots_and_end_marks_within_a_chunk_are_part_of_the_mail(
    listening: Listening,
) -> None:
    mail = MAIL + b".\r\n..\r\n...a\r\n.b\r\n\r\n.\r\n" + HIDDEN + b"\r\n.\r\n"
    async with listening.client() as client:
        await open_mail(client)
        reply = await client.ask(bdat(mail, last=True))
        assert (await client.ask("NOOP")).startswith("250")
    assert listening.stored(reply) == mail
    assert await listening.states() == ["received"]


async def test_a_mail_that_ends_without_a_line_end_stays_so(listening: Listening) -> None:
    async with listening.client() as client:
        await open_mail(client)
        reply = await client.ask(bdat(MAIL + b"the end  ", last=True))
    assert listening.stored(reply) == MAIL + b"the end  "


async def test_the_same_bytes_have_the_same_hashes_by_data_and_by_bdat(
    listening: Listening,
) -> None:
    async with listening.client() as client:
        assert (await client.deliver(MAIL.removesuffix(b"\r\n"))).startswith("250")
        await open_mail(client)
        await client.say(bdat(MAIL[:77]))
        assert (await client.reply()).startswith("250")
        assert (await client.ask(bdat(MAIL[77:], last=True))).startswith("250")
    columns = (mails.c.header_sha256, mails.c.body_sha256, mails.c.size)
    async with listening.house.database.read() as connection:
        rows = (await connection.execute(sa.select(*columns))).all()
    assert len(rows) == 2
    assert rows[0] == rows[1]
    assert sorted(await listening.states()) == ["duplicate", "received"]


async def test_a_long_line_that_is_sent_before_it_is_asked_for_is_no_command_line(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunk's bytes may be there while the commands before it are still worked on."""
    mail = MAIL + b"x" * 900_000 + b"\r\n"
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> None:
        asked.set()
        await answered.wait()

    monkeypatch.setattr(listening.door.hooks.receiver, "check_recipient", slow)
    async with listening.client() as client:
        (dialogue,) = listening.door.dialogues
        begin = len(MAIL) + 1_500  # few enough that the transport goes on reading
        await client.say(OPENING + b"BDAT %d LAST\r\n" % len(mail) + MAIL)
        await asked.wait()
        await client.say(mail[len(MAIL) : begin])
        await listening.until(lambda: len(dialogue._reader._buffer) > 1_500)
        sending = asyncio.create_task(client.say(mail[begin:]))
        await listening.until(lambda: len(dialogue._reader._buffer) > LONGEST_LINE)
        answered.set()
        await sending
        replies = [await client.reply() for _ in range(3)]
    assert listening.stored(replies[-1]) == mail


async def test_ehlo_offers_chunks_but_no_binary_mime(listening: Listening) -> None:
    async with listening.client(greet=False) as client:
        offered = (await client.ask("EHLO lab.example")).splitlines()
        assert "250-CHUNKING" in offered
        assert not any("BINARYMIME" in line for line in offered)
        reply = await client.ask(f"MAIL FROM:<{ANNA}> BODY=BINARYMIME")
        assert reply.startswith("501 5.5.4")
        assert (await client.ask(f"MAIL FROM:<{ANNA}> BODY=8BITMIME")).startswith("250")


# ---------------------------------------------------------------- smuggling


@pytest.mark.parametrize("last", [True, False], ids=["LAST", "more to come"])
async def test_bare_line_ends_and_nul_are_refused_at_once_and_nothing_behind_is_carried_out(
    listening: Listening, *, last: bool
) -> None:
    for form in [*SMUGGLING, b"a\nb", b"a\rb", b"a\0b"]:
        async with listening.client() as client:
            await client.say(OPENING + bdat(MAIL + form + HIDDEN, last=last) + OPENING)
            codes = [reply[:9] for reply in await client.rest()]
        assert codes == ["250 2.1.0", "250 2.1.5", "550 5.6.0"], form
    await listening.nothing_is_left()


@pytest.mark.parametrize("rest", [b"", b"x", b"\r\n"])
async def test_a_cr_at_the_end_of_a_chunk_waits_for_its_lf(
    listening: Listening, rest: bytes
) -> None:
    async with listening.client() as client:
        await open_mail(client)
        assert (await client.ask(bdat(MAIL + b"a\r"))).startswith("250")
        assert (await client.ask(bdat(rest, last=True))).startswith("550 5.6.0")
        assert await client.rest() == []
    await listening.nothing_is_left()


# ---------------------------------------------------------------- refused chunks are eaten


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("before", [b"", b"MAIL FROM:<anna@lab.example>\r\n"])
async def test_a_chunk_without_a_recipient_is_eaten_and_not_read_as_commands(
    listening: Listening, before: bytes, *, last: bool
) -> None:
    async with listening.client() as client:
        await client.say(before + bdat(HIDDEN + b"QUIT\r\n", last=last) + b"NOOP\r\n")
        if before:
            assert (await client.reply()).startswith("250 2.1.0")
        assert (await client.reply()).startswith("503 5.5.1")
        assert (await client.reply()).startswith("250")
        assert (await client.ask("RSET")).startswith("250")
        assert (await client.deliver(MAIL)).startswith("250")
    assert await listening.states() == ["received"]


async def test_a_chunk_before_any_greeting_is_eaten_too(listening: Listening) -> None:
    async with listening.client(greet=False) as client:
        await client.say(bdat(HIDDEN, last=True) + b"NOOP\r\n")
        assert [(await client.reply())[:3] for _ in range(2)] == ["503", "250"]


UNCLEAR = ["BDAT", "BDAT ", "BDAT x", "BDAT -1", "BDAT +1", "BDAT 5 FIRST", "BDAT 5 LAST x", "BDAT 5LAST",
           "BDAT LAST", "BDAT 1e3", "BDAT 0x10", "BDAT 5,6", "BDAT ٣ LAST", "BDAT 5\rLAST", "BDAT 5\x1d",
           "BDAT 5 LAſT", "BDAT " + "9" * 21]  # fmt: skip


async def test_a_chunk_whose_size_is_not_clear_ends_the_dialogue(listening: Listening) -> None:
    for line in UNCLEAR:
        async with listening.client() as client:
            await open_mail(client)
            await client.say(f"{line}\r\n".encode() + MAIL + HIDDEN)
            replies = await client.rest()
        assert [reply[:9] for reply in replies] == ["501 5.5.4"], line
    await listening.nothing_is_left()


async def test_case_and_blanks_of_the_command_do_not_matter(listening: Listening) -> None:
    async with listening.client() as client:
        for number, line in enumerate(("bdat 5 last", "BDAT  5  LAST", "Bdat 00005 Last ")):
            await open_mail(client)
            await client.say(bdat(numbered(number)))
            await client.say(f"{line}\r\n".encode() + b"abc\r\n")
            assert (await client.reply()).startswith("250")
            assert listening.stored(await client.reply()) == numbered(number) + b"abc\r\n"


# ---------------------------------------------------------------- size


async def test_a_chunk_over_the_limit_is_eaten_refused_and_the_dialogue_goes_on(
    house: House,
) -> None:
    line = b"b" * 76 + b"\r\n"
    async with door_with(house, max_mail_mb=1) as listening, listening.client() as client:
        await open_mail(client)
        reply = await client.ask(bdat(MAIL + line * (MB // 78 + 1) + HIDDEN, last=True))
        assert reply.startswith("552 5.3.4 This mail is larger than 1 MB")
        assert listening.spooled() == []
        assert (await client.deliver(MAIL)).startswith("250")


async def test_a_chunk_too_large_to_be_eaten_ends_the_dialogue(house: House) -> None:
    async with door_with(house, max_mail_mb=1) as listening:
        async with listening.client() as client:
            await open_mail(client)
            await client.say(b"BDAT %d LAST\r\n" % (2 * MB + 1) + HIDDEN)
            assert [reply[:9] for reply in await client.rest()] == ["552 5.3.4"]
        await listening.nothing_is_left()


async def test_the_chunk_that_crosses_the_limit_is_refused_and_those_behind_are_eaten(
    house: House,
) -> None:
    part = (b"c" * 76 + b"\r\n") * 5_000
    async with door_with(house, max_mail_mb=1) as listening, listening.client() as client:
        await client.say(OPENING + bdat(MAIL))
        for _ in range(4):
            await client.say(bdat(part))
        await client.say(bdat(HIDDEN, last=True))
        codes = [(await client.reply())[:3] for _ in range(8)]
        assert codes == ["250", "250", "250", "250", "250", "552", "503", "503"]
        assert listening.spooled() == []
        assert (await client.deliver(MAIL)).startswith("250")


async def test_a_full_disk_is_a_452_for_the_chunk_that_meets_it(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/var/secret")

    async with listening.client() as client:
        await open_mail(client)
        with monkeypatch.context() as patch:
            patch.setattr("store.blobs.spool.SpoolWriting.write", full)
            reply = await client.ask(bdat(MAIL))
        assert reply.startswith("452 4.3.1")
        assert "secret" not in reply
        assert (await client.ask(bdat(HIDDEN, last=True))).startswith("503")
        assert listening.spooled() == []
        assert (await client.deliver(MAIL)).startswith("250")


# ---------------------------------------------------------------- mails that are given up


async def test_data_after_a_chunk_is_refused_and_the_chunks_may_go_on(
    listening: Listening,
) -> None:
    async with listening.client() as client:
        await open_mail(client)
        assert (await client.ask(bdat(MAIL[:50]))).startswith("250")
        assert (await client.ask("DATA")).startswith("503 5.5.1")
        reply = await client.ask(bdat(MAIL[50:], last=True))
    assert listening.stored(reply) == MAIL


@pytest.mark.parametrize("command", ["RSET", "EHLO lab.example", "HELO lab.example"])
async def test_a_mail_that_is_given_up_leaves_no_file_and_no_byte_in_the_next(
    listening: Listening, command: str
) -> None:
    async with listening.client() as client:
        await open_mail(client)
        assert (await client.ask(bdat(b"X-Old: yes\r\n" + MAIL))).startswith("250")
        assert len(listening.spooled()) == 1
        assert (await client.ask(command)).startswith("250")
        assert listening.spooled() == []
        assert not listening.door.hooks.receiver.arriving
        await open_mail(client)
        assert listening.stored(await client.ask(bdat(MAIL, last=True))) == MAIL


@pytest.mark.parametrize("within", [True, False], ids=["within a chunk", "between two"])
@pytest.mark.parametrize("abruptly", [True, False])
async def test_a_client_that_disappears_leaves_nothing(
    listening: Listening, *, within: bool, abruptly: bool
) -> None:
    async with listening.client() as client:
        await open_mail(client)
        assert (await client.ask(bdat(MAIL))).startswith("250")
        if within:
            await client.say(b"BDAT 1000 LAST\r\nhalf of it")
        if abruptly:
            client.writer.transport.abort()
    await listening.nothing_is_left()
    assert not listening.door.hooks.receiver.arriving


async def test_quit_in_the_middle_leaves_nothing(listening: Listening) -> None:
    async with listening.client() as client:
        await open_mail(client)
        await client.ask(bdat(MAIL))
        assert (await client.ask("QUIT")).startswith("221")
    await listening.nothing_is_left()


# ---------------------------------------------------------------- floods and slow senders


async def test_a_flood_of_tiny_chunks_is_ended_and_leaves_nothing(listening: Listening) -> None:
    async with listening.client() as client:
        await open_mail(client)
        await client.say(bdat(b"a") * 5_000)
        replies = await client.rest()
    assert len(replies) <= COMMANDS
    assert replies[-1].startswith("421 4.7.0")
    await listening.nothing_is_left()


@pytest.mark.parametrize("chunk", [bdat(b""), bdat(b"", last=True), bdat(b"a" * 5_000)])
async def test_a_flood_of_chunks_without_a_recipient_is_ended(
    listening: Listening, chunk: bytes
) -> None:
    async with listening.client() as client:
        await client.say(chunk * 15)
        assert [reply[:3] for reply in await client.rest()] == ["503"] * 10 + ["421"]


async def test_large_chunks_may_be_as_many_as_the_mail_needs(listening: Listening) -> None:
    part = (b"d" * 78 + b"\r\n") * 52  # 4,160 bytes
    async with listening.client() as client:
        await client.say(OPENING + bdat(MAIL) + bdat(part) * (2 * COMMANDS) + bdat(b"", last=True))
        replies = [await client.reply() for _ in range(4 + 2 * COMMANDS)]
    assert len(listening.stored(replies[-1])) == len(MAIL) + 2 * COMMANDS * len(part)


async def test_a_large_mail_may_take_longer_than_an_idle_dialogue_may_stay(
    listening: Listening,
) -> None:
    part = (b"e" * 78 + b"\r\n") * 10_000
    async with listening.client() as client:
        time = FakedTime()
        await open_mail(client)
        assert (await client.ask(bdat(MAIL + part))).startswith("250")
        for _ in range(9):
            time.pass_by(100)
            assert (await client.ask(bdat(part))).startswith("250")
        time.pass_by(100)
        reply = await client.ask(b"BDAT 0 LAST\r\n")
    assert len(listening.stored(reply)) == len(MAIL) + 10 * len(part)


async def test_chunks_that_trickle_in_are_cut_off(listening: Listening) -> None:
    part = (b"f" * 78 + b"\r\n") * 60
    async with listening.client() as client:
        time = FakedTime()
        await open_mail(client)
        assert (await client.ask(bdat(part))).startswith("250")
        time.pass_by(50)
        assert (await client.ask(bdat(part))).startswith("250")
        time.pass_by(50)
        assert (await client.ask(bdat(part))) == ""
    await listening.nothing_is_left()


async def test_a_chunk_that_nobody_wants_is_not_waited_for_for_ever(listening: Listening) -> None:
    async with listening.client() as client:
        time = FakedTime()
        await client.say(b"BDAT 100000\r\nhalf")
        await listening.until(lambda: any(d.receiving for d in listening.door.dialogues))
        for _ in range(2):
            time.pass_by(100)
            await client.say(b"more")
        assert await client.rest() == []
    await listening.nothing_is_left()


async def test_replies_to_chunks_are_what_rfc_3030_asks_for(listening: Listening) -> None:
    async with listening.client() as client:
        await open_mail(client)
        replies = [await client.ask(bdat(MAIL)), await client.ask(bdat(b"", last=True))]
    assert all(re.fullmatch(r"250 2\.0\.0 [ -~]+", reply) for reply in replies)
