"""tests/dovecot.py itself: that the server is the one it says, and that nothing of it stays."""

import os
import ssl

import pytest
from imapclient import IMAPClient

from tests.dovecot import PASSWORD, USER, Dovecot, running_dovecot
from tests.postfix import is_group

MAIL = b"From: anna@lab.example\r\nSubject: x\r\n\r\nx\r\n"


async def capabilities(dovecot: Dovecot) -> set[str]:
    answer = await dovecot.ask(lambda client: client.capability()[1][0])
    return set(answer.decode().split())


async def test_a_mail_that_was_appended_is_there_as_it_was() -> None:
    async with running_dovecot() as dovecot:
        big = MAIL + b"QUJD\r\n" * 500_000
        await dovecot.append(MAIL)
        await dovecot.append(big)
        assert await dovecot.mails() == {1: MAIL, 2: big}
        assert "\\Seen" not in (await dovecot.flags())[1]
        assert await dovecot.folders() == ["INBOX"]
        assert await dovecot.mails("Nowhere") == {}


async def test_idle_and_move_can_be_left_out() -> None:
    async with running_dovecot() as dovecot:
        assert {"IDLE", "MOVE", "UIDPLUS"} <= await capabilities(dovecot)
    async with running_dovecot("IDLE", "MOVE") as dovecot:
        offered = await capabilities(dovecot)
        assert "UIDPLUS" in offered
        assert not {"IDLE", "MOVE"} & offered


async def test_what_clients_say_is_written_down() -> None:
    async with running_dovecot() as dovecot:
        await dovecot.append(MAIL)

        def work(client) -> None:
            client.select("INBOX")
            client.store("1", "+FLAGS", "\\Seen")

        await dovecot.ask(work)
        assert "STORE 1 +FLAGS (\\Seen)" in dovecot.said
        assert await dovecot.flags() == {1: {"\\Seen"}}


async def test_folders_may_lie_below_a_prefix() -> None:
    async with running_dovecot(prefix="INBOX.") as dovecot:
        await dovecot.ask(lambda client: client.create("INBOX.Processed"))
        await dovecot.append(MAIL, "INBOX.Processed")
        assert await dovecot.folders() == ["INBOX", "INBOX.Processed"]
        await dovecot.holds(1, "INBOX.Processed")


@pytest.mark.parametrize("folder", ["INBOX", "Scans"])
async def test_a_recreated_folder_has_another_validity_and_the_same_first_uid(folder: str) -> None:
    async with running_dovecot() as dovecot:
        await dovecot.ask(lambda client: client.create("Scans"))
        other = {"INBOX": "Scans", "Scans": "INBOX"}[folder]
        for name in (folder, other):
            await dovecot.append(MAIL, name)
        before = await dovecot.validity(folder)
        await dovecot.recreate(folder)
        assert await dovecot.validity(folder) != before
        assert await dovecot.mails(folder) == {}
        await dovecot.append(MAIL, folder)
        assert list(await dovecot.mails(folder)) == [1]
        assert list(await dovecot.mails(other)) == [1]


async def test_after_kill_9_it_comes_again_on_the_same_port_with_the_same_mails() -> None:
    async with running_dovecot() as dovecot:
        await dovecot.append(MAIL)
        before, validity = dovecot.daemon.pid, await dovecot.validity()
        await dovecot.kill()
        assert not is_group(before)
        with pytest.raises(ConnectionRefusedError):
            await dovecot.mails()
        await dovecot.start()
        assert dovecot.daemon.pid != before
        assert await dovecot.mails() == {1: MAIL}
        assert await dovecot.validity() == validity


async def test_tls_is_spoken_from_the_first_byte_and_after_starttls() -> None:
    async with running_dovecot(tls=True) as dovecot:
        trusting = ssl.create_default_context(cafile=str(dovecot.certificate))
        for port, at_once in ((dovecot.tls_port, True), (dovecot.port, False)):
            with IMAPClient("127.0.0.1", port, ssl=at_once, ssl_context=trusting) as client:
                if not at_once:
                    client.starttls(trusting)
                client.login(USER, PASSWORD)
                assert client.folder_exists("INBOX")
        distrusting = ssl.create_default_context()
        with pytest.raises(ssl.SSLCertVerificationError):
            IMAPClient("localhost", dovecot.tls_port, ssl=True, ssl_context=distrusting)
        assert dovecot.url("A b") == (
            f"imaps://scans%40lab.example:pass%20word%2F1@127.0.0.1:{dovecot.tls_port}/A%20b"
        )


async def test_nothing_of_a_dovecot_outlives_its_end() -> None:
    async with running_dovecot() as dovecot:
        leader, folder = dovecot.daemon.pid, dovecot.folder
        assert is_group(leader)
    assert not is_group(leader)
    assert not folder.exists()


async def test_without_root_the_tests_are_skipped_and_say_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match="needs root"):
        async with running_dovecot():
            pass
