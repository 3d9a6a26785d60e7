"""The IMAP door, with a real Dovecot: nothing lost, nothing twice, whatever ends when."""

import asyncio
import hashlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from inbound.door import imap, mailbox
from inbound.door.imap import PROCESSED, REFUSED, ImapDoor
from inbound.door.mailbox import Account
from inbound.door.receive import Arriving, Envelope, Receiver
from store.errors import SettingsError
from store.house import House
from store.records.schema import letters, mails
from store.settings import Settings
from tests.dovecot import PASSWORD, USER, running_dovecot
from tests.fakes import ANNA, DOMAIN, KIM, PATIENCE, mail
from tests.test_door_smtp import resident

MB = 1024 * 1024


@pytest.fixture
def make_settings(make_settings: Callable[..., Settings]) -> Callable[..., Settings]:
    """Whose mail comes from the mailbox is believed, as if its provider had checked it."""
    return lambda **given: make_settings(**{"trusted_clients": "imap", **given})


@asynccontextmanager
async def door_at(house: House, url: str) -> AsyncIterator[ImapDoor]:
    receiver = Receiver(house)
    door = ImapDoor(receiver, url)
    await door.open()
    try:
        yield door
    finally:
        await door.close()
        receiver.close()


async def rows(house: House) -> list[tuple[str, str]]:
    """State and body hash of each mail taken, in the order of their coming."""
    async with house.database.read() as connection:
        columns = (mails.c.state, mails.c.body_sha256)
        question = sa.select(*columns).order_by(sa.text("rowid"))
        return [tuple(row) for row in await connection.execute(question)]


async def states(house: House) -> list[str]:
    return [state for state, _ in await rows(house)]


async def notices(house: House) -> list[dict]:
    async with house.database.read() as connection:
        return list((await connection.execute(sa.select(letters.c.context))).scalars())


def listing(number: int = 1, **given: str) -> EmailMessage:
    return mail("LIST", f"LIST {number}", **given)


def body_hash(data: bytes) -> str:
    return hashlib.sha256(data.partition(b"\r\n\r\n")[2]).hexdigest()


async def test_a_mail_of_60_mb_is_taken_whole_in_little_memory_and_then_moved(house: House) -> None:
    large = mail(f"{KIM} C-1", "", {"upper.stl": os.urandom(44 * MB)}).as_bytes()
    async with running_dovecot() as dovecot:
        await dovecot.append(listing().as_bytes())
        async with door_at(house, dovecot.url()):
            await dovecot.holds(1, PROCESSED)  # whatever the first mail allocates for good
            await dovecot.append(large)
            before = highest = resident()  # the harness itself has held the mail to append it
            async with asyncio.timeout(PATIENCE):
                while len(await rows(house)) < 2:
                    highest = max(highest, resident())
            await dovecot.holds(2, PROCESSED)
        assert await rows(house) == [
            ("received", body_hash(listing().as_bytes())),
            ("received", body_hash(large)),
        ]
        await dovecot.holds(0)
        assert highest - before < 40 * MB


async def test_a_new_mail_is_taken_within_moments_by_idle(house: House) -> None:
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()):
        for number in range(3):
            await dovecot.append(listing(number).as_bytes())
            await dovecot.holds(number + 1, PROCESSED)
        assert await states(house) == ["received"] * 3
        assert "IDLE" in dovecot.said


async def test_without_idle_it_looks_again_and_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "POLL", 0.1)
    async with running_dovecot("IDLE") as dovecot, door_at(house, dovecot.url()):
        await dovecot.append(listing().as_bytes())
        await dovecot.holds(1, PROCESSED)
        assert "IDLE" not in dovecot.said


@pytest.mark.parametrize("without", [("MOVE",), ("MOVE", "UIDPLUS")])
async def test_without_move_a_mail_is_copied_and_never_taken_again(
    house: House, without: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "IDLE_RENEWED", 0.2)
    async with running_dovecot(*without) as dovecot, door_at(house, dovecot.url()):
        await dovecot.append(listing().as_bytes())
        await dovecot.holds(1, PROCESSED)
        await dovecot.append(listing(2).as_bytes())
        await dovecot.holds(2, PROCESSED)
        assert await states(house) == ["received"] * 2
        # Where nothing can be removed by its UID, what somebody else has marked stays too.
        assert "EXPUNGE" in dovecot.said or "UIDPLUS" in without


async def test_strangers_are_filed_away_in_silence(house: House) -> None:
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()):
        await dovecot.append(listing(sender="eve@evil.example").as_bytes())
        await dovecot.append(listing(to="share@elsewhere.example").as_bytes())
        await dovecot.holds(2, REFUSED)
        assert await states(house) == []
        assert await notices(house) == []


async def test_an_untrusted_mailbox_lets_nobody_in(house: House) -> None:
    house.settings = house.settings.model_copy(update={"trusted_clients": ""})
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()):
        await dovecot.append(listing().as_bytes())
        await dovecot.holds(1, REFUSED)
        assert await states(house) == []


async def test_a_member_whose_mail_is_too_large_hears_so_once(house: House) -> None:
    house.settings = house.settings.model_copy(update={"max_mail_mb": 1})
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()):
        await dovecot.append(mail(f"{KIM} C-1", "", {"a.stl": bytes(9 * MB)}).as_bytes())
        await dovecot.append(
            mail("x", "", {"a.stl": bytes(2 * MB)}, headers={"Auto-Submitted": "yes"}).as_bytes()
        )
        await dovecot.holds(2, REFUSED)
        (told,) = await notices(house)
    assert told["heading"] == "Not taken"
    assert "larger than 1 MB" in told["sentences"][0]
    assert await states(house) == []


async def test_while_the_disk_is_full_mails_stay_where_they_are(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "IDLE_RENEWED", 0.2)
    free = [0]
    monkeypatch.setattr(house.spool, "free_bytes", lambda: free[0])
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()):
        await dovecot.append(listing().as_bytes())
        await dovecot.append(listing(2).as_bytes())
        await dovecot.holds(2)
        free[0] = 1 << 40
        await dovecot.holds(2, PROCESSED)
    assert await states(house) == ["received"] * 2


async def test_a_killed_server_is_found_again_and_nothing_is_taken_twice(house: House) -> None:
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()):
        await dovecot.append(listing().as_bytes())
        await dovecot.holds(1, PROCESSED)
        for number in (2, 3):
            await dovecot.restart()
            await dovecot.append(listing(number).as_bytes())
            await dovecot.holds(number, PROCESSED)
    assert await states(house) == ["received"] * 3


async def test_a_server_killed_while_a_mail_is_fetched_loses_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "WINDOW", 64 * 1024)
    large = mail(f"{KIM} C-1", "", {"upper.stl": os.urandom(8 * MB)}).as_bytes()
    async with running_dovecot() as dovecot:
        await dovecot.append(large)
        async with door_at(house, dovecot.url()) as door:
            async with asyncio.timeout(PATIENCE):
                while not door.receiver.arriving:
                    await asyncio.sleep(0)
            await dovecot.restart()
            await dovecot.holds(1, PROCESSED)
    assert await rows(house) == [("received", body_hash(large))]
    assert not list(house.spool.root.glob("*.tmp"))


async def test_a_recreated_mailbox_shares_nothing_a_second_time(house: House) -> None:
    first, second = listing(1), listing(2)
    nameless = listing(3)
    del nameless["Message-ID"]
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()):
        for message in (first, second, nameless):
            await dovecot.append(message.as_bytes())
        await dovecot.holds(3, PROCESSED)
        await dovecot.recreate()
        for message in (second, nameless, listing(4), first):
            await dovecot.append(message.as_bytes())
        await dovecot.holds(7, PROCESSED)
        await dovecot.holds(0)
    found = await states(house)
    assert sorted(found) == ["duplicate"] * 3 + ["received"] * 4


async def test_a_mail_that_was_committed_but_not_moved_is_only_moved(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the commit and the move, as the next process finds it."""
    moves: list[str] = []

    def dies(_self: mailbox.Mailbox, _uids: object, name: str) -> None:
        moves.append(name)
        raise OSError("killed here")

    async with running_dovecot() as dovecot:
        await dovecot.append(listing().as_bytes())
        with monkeypatch.context() as patched:
            patched.setattr(mailbox.Mailbox, "move", dies)
            async with door_at(house, dovecot.url()):
                async with asyncio.timeout(PATIENCE):
                    while not moves:
                        await asyncio.sleep(0)
        await dovecot.holds(1)
        async with door_at(house, dovecot.url()):
            await dovecot.holds(1, PROCESSED)
    assert await states(house) == ["received"]
    assert moves[0] == PROCESSED


async def test_folders_are_made_where_the_provider_wants_them(house: House) -> None:
    async with running_dovecot(prefix="INBOX.") as dovecot, door_at(house, dovecot.url()):
        await dovecot.append(listing().as_bytes())
        await dovecot.holds(1, f"INBOX.{PROCESSED}")
        assert await dovecot.folders() == ["INBOX", f"INBOX.{PROCESSED}"]


async def test_another_folder_than_the_inbox_can_be_named(house: House) -> None:
    async with running_dovecot() as dovecot:
        await dovecot.ask(lambda client: client.create("scans"))
        await dovecot.append(listing().as_bytes())
        await dovecot.append(listing(2).as_bytes(), "scans")
        async with door_at(house, dovecot.url("scans")):
            await dovecot.holds(1, PROCESSED)
        await dovecot.holds(1)


async def test_a_folder_that_another_program_has_just_made_is_used(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = mailbox.IMAPClient.folder_exists, list[str]()

    def too_early(self: mailbox.IMAPClient, name: str) -> bool:
        asked.append(name)
        return len(asked) > 1 and bool(real(self, name))

    monkeypatch.setattr(mailbox.IMAPClient, "folder_exists", too_early)
    async with running_dovecot() as dovecot:
        await dovecot.ask(lambda client: client.create(PROCESSED))
        await dovecot.append(listing().as_bytes())
        async with door_at(house, dovecot.url()):
            await dovecot.holds(1, PROCESSED)
    assert len(asked) > 1


async def test_tls_is_checked_and_used(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "FIRST_PAUSE", 0.05)
    async with running_dovecot(tls=True) as dovecot:
        await dovecot.append(listing().as_bytes())
        url = dovecot.url().replace("127.0.0.1", "localhost")
        context = ssl.create_default_context()
        refused: list[object] = []
        monkeypatch.setattr(imap, "_brief", lambda error: refused.append(error) or "lost")
        async with door_at(house, url):
            async with asyncio.timeout(PATIENCE):
                while not refused:
                    await asyncio.sleep(0)
        assert isinstance(refused[0], ssl.SSLCertVerificationError)
        assert await states(house) == []
        context.load_verify_locations(dovecot.certificate)
        monkeypatch.setattr(mailbox.ssl, "create_default_context", lambda: context)
        async with door_at(house, url):
            await dovecot.holds(1, PROCESSED)


async def test_closing_does_not_wait_for_an_idle_server(house: House) -> None:
    loop = asyncio.get_running_loop()
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()) as door:
        await dovecot.append(listing().as_bytes())
        await dovecot.holds(1, PROCESSED)
        before = loop.time()
        await door.close()
        assert loop.time() - before < 3


def test_an_account_is_read_from_its_url_and_told_without_its_password() -> None:
    account = Account.of("imaps://scans%40lab.example:p%2Fw@mail.example/Shared/In")
    assert account == Account("mail.example", 993, USER, "p/w", "Shared/In", tls=True)
    assert Account.of("imap://u:p@localhost:1143").port == 1143
    assert PASSWORD not in Account.of("imap://u:p@h").place
    for wrong in (
        "http://u:p@h",
        "imaps://h/INBOX",
        "imaps:///x",
        "imaps://u:secret@",
        "imaps://u:secret@h:99x/",
    ):
        with pytest.raises(SettingsError) as error:
            Account.of(wrong)
        assert "secret" not in str(error.value)


async def test_whom_a_mail_is_for_is_read_from_what_the_provider_and_the_sender_wrote(
    house: House,
) -> None:
    cases = {
        f"Delivered-To: share@{DOMAIN}": [f"share@{DOMAIN}"],
        f"To: Share <SHARE@{DOMAIN}>, kim@clinic.example": [f"share@{DOMAIN}"],
        f"X-Original-To: share@{DOMAIN}\r\nTo: undisclosed-recipients:;": [f"share@{DOMAIN}"],
    }
    receiver = Receiver(house)
    door = ImapDoor(receiver, "imap://u:p@localhost")
    for header, expected in cases.items():
        data = f"From: {ANNA}\r\n{header}\r\n".encode()
        assert await door._recipients(data) == expected
    receiver.close()
    many = b"To: " + b", ".join(b"share+%d@scans.example" % n for n in range(5_000)) + b"\r\n"
    assert len(imap._named(many, DOMAIN)) == imap.RECIPIENTS


POISON = (
    "From: eve@evil.example\r\nTo: " + "(" * 3_000 + "\r\n\r\nhi\r\n",
    "From: eve@evil.example\r\nReturn-Path: " + "a:" * 3_000 + "\r\n\r\nhi\r\n",
)


async def test_a_mail_that_nobody_can_read_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Receiver):
        async def commit(self, arriving: Arriving, envelope: Envelope) -> str:
            if b"poison" in arriving.sink.header:
                raise RuntimeError("a bug of ours")
            return await super().commit(arriving, envelope)

    monkeypatch.setattr("tests.test_door_imap.Receiver", Broken)
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()):
        for poison in POISON:
            await dovecot.append(poison.encode())
        await dovecot.append(mail("poison", "LIST").as_bytes())
        await dovecot.append(listing().as_bytes())
        await dovecot.holds(1, PROCESSED)
        await dovecot.holds(2, REFUSED)
        await dovecot.holds(1)  # set aside, for a later look
    assert await states(house) == ["received"]


async def test_what_is_announced_at_the_end_of_a_search_that_did_not_see_it_is_taken_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, loop, late = mailbox.Mailbox.look, asyncio.get_running_loop(), [listing().as_bytes()]

    def overtaken(self: mailbox.Mailbox) -> list[int]:
        found = real(self)
        while late:
            asyncio.run_coroutine_threadsafe(dovecot.append(late.pop()), loop).result()
            self.client.search(["SEEN"])  # the server says at its end that there is one more
        return found

    monkeypatch.setattr(mailbox.Mailbox, "look", overtaken)
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()):
        await dovecot.holds(1, PROCESSED)
    assert await states(house) == ["received"]


async def test_what_is_announced_in_one_piece_with_the_answer_to_idle_is_taken_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, late = asyncio.get_running_loop(), [listing().as_bytes()]

    def slow_to_listen(self: IMAPClient) -> None:
        self._idle_tag = self._imap._command("IDLE")
        while late:
            asyncio.run_coroutine_threadsafe(dovecot.append(late.pop()), loop).result()
            while b"EXISTS" not in self.socket().recv(4096, socket.MSG_PEEK):
                pass
        assert self._imap._get_response() is None

    monkeypatch.setattr(IMAPClient, "idle", slow_to_listen)
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()):
        async with asyncio.timeout(PATIENCE / 3):  # before the server says that it is still there
            await dovecot.holds(1, PROCESSED)
    assert await states(house) == ["received"]


async def test_a_mail_that_cannot_be_moved_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mailbox.Mailbox.move

    def full(self: mailbox.Mailbox, uids: list[int], name: str) -> None:
        if uids == [1]:
            raise IMAPClientError("NO [OVERQUOTA] Quota exceeded")
        real(self, uids, name)

    monkeypatch.setattr(mailbox.Mailbox, "move", full)
    async with running_dovecot() as dovecot, door_at(house, dovecot.url()):
        await dovecot.append(listing().as_bytes())
        await dovecot.append(listing(2).as_bytes())
        await dovecot.holds(1, PROCESSED)
    assert await states(house) == ["received"] * 2


async def test_a_mail_that_vanishes_or_breaks_off_is_not_taken_for_whole(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "WINDOW", 64)
    answers: list[dict[bytes, bytes] | None] = [{b"BODY[]<0>": b"x" * 64}, None]
    client = SimpleNamespace(fetch=lambda _uids, _items: {1: answers.pop(0)})
    opened = mailbox.Mailbox(Account.of("imap://u:p@localhost"))
    opened.client = client
    with pytest.raises(mailbox.Vanished):
        list(opened.windows(1, 1000))
    answers[:] = [{b"BODY[]<0>": b"x" * 64}, {b"BODY[]<64>": b""}]
    with pytest.raises(ConnectionResetError):
        list(opened.windows(1, 1000))
    answers[:] = [{b"BODY[]<0>": b"x" * 60}]
    assert b"".join(opened.windows(1, 1000)) == b"x" * 60  # some servers miscount


def test_a_mail_is_set_aside_for_ever_longer_and_a_lost_connection_is_forgiven_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(imap.time, "monotonic", lambda: now)
    aside = imap.Aside()
    aside.note_broken("a")
    aside.note_broken("a")
    assert not aside.waits("a")
    aside.note_broken("a")
    assert aside.waits("a")
    aside.put("b")
    now = 61.0
    assert not aside.waits("b")
    for _ in range(20):
        aside.put("b")
    now += 6 * 3600 - 1
    assert aside.waits("b")


async def test_a_server_that_is_silent_at_the_login_does_not_hold_up_the_stop(house: House) -> None:
    async def lets_nobody_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        tag = (await reader.readline()).split()[0]
        writer.write(b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(lets_nobody_in, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    async with door_at(house, f"imap://u:p@127.0.0.1:{port}") as door:
        async with asyncio.timeout(PATIENCE):
            while door.mailbox is None or door.mailbox.client is None:
                await asyncio.sleep(0)
        before = loop.time()
        await door.close()
        assert loop.time() - before < 5
    server.close()


def test_a_password_is_in_no_repr() -> None:
    assert "secret" not in repr(Account.of("imaps://u:secret@h"))
    assert "secret" not in repr(
        Settings(imap_url="imaps://u:secret@h", relay_url="smtp://a:secret@h")
    )
