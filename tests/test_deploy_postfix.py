"""deploy/postfix, run by a real Postfix, before a stand-in for scanpost's LMTP listener."""

import asyncio
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.lmtp import LMTP

from store.settings import Settings
from store.tokens import MasterPurpose, Purpose, derive, derive_from_master
from tests.fakes import ANNA, DOMAIN, KIM, Inbox
from tests.postfix import (
    LAB,
    SHIPPED,
    STRANGER_IP,
    UNASKED,
    Postfix,
    is_group,
    running_postfix,
    until,
)

SHARE = f"share@{DOMAIN}"
KNOWN = f"share+{'a' * 26}@{DOMAIN}"
UNKNOWN = f"share+{'b' * 26}@{DOMAIN}"
OPERATOR = "it@lab.example"
MB = 1024 * 1024
MAIL = b"From: anna@lab.example\r\nMessage-ID: <1@lab.example>\r\nSubject: x\r\n\r\nx\r\n"


class Patient(LMTP):
    line_length_limit = MB


@dataclass
class Shelf:
    """A small LMTP server: knows some addresses, keeps what it gets, remembers what it was asked."""

    known: set[str] = field(default_factory=lambda: {SHARE, KNOWN})
    answer: str = "250 2.0.0 kept"
    asked: list[str] = field(default_factory=list)  # each RCPT
    kept: list[tuple[list[str], bytes]] = field(default_factory=list)
    server: asyncio.Server | None = None

    async def open(self, path: Path) -> None:
        self.server = await asyncio.get_running_loop().create_unix_server(self._dialogue, path)
        os.chmod(path, 0o660)  # noqa: PTH101 -- no blocking worth a thread

    def close(self) -> None:
        assert self.server is not None
        self.server.close()

    async def mail(self, count: int = 1) -> bytes:
        """The `count`-th mail, waited for."""

        async def there() -> bool:
            return len(self.kept) >= count

        await until(there, f"mail {count} did not come", lambda: str(self.asked))
        return self.kept[count - 1][1]

    def _dialogue(self) -> LMTP:
        loop = asyncio.get_running_loop()
        return Patient(self, hostname=DOMAIN, data_size_limit=None, enable_SMTPUTF8=True, loop=loop)

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd finds hooks by these names
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        self.asked.append(address)
        if address.lower() not in self.known:
            return f"550 5.1.1 There is no address {address} here."
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 noted"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            self.kept.append((envelope.rcpt_tos, envelope.content))
        return "\r\n".join([self.answer] * len(envelope.rcpt_tos))


@dataclass
class Site:
    """Postfix between the world and the stand-in, and a mailbox for what it sends elsewhere."""

    postfix: Postfix
    shelf: Shelf
    inbox: Inbox


@asynccontextmanager
async def built(**settings: str) -> AsyncIterator[Site]:
    inbox, shelf = Inbox(), Shelf()
    await inbox.open()
    async with running_postfix(inbox.port, **settings) as postfix:
        await shelf.open(postfix.socket)
        try:
            yield Site(postfix, shelf, inbox)
        finally:
            shelf.close()
            await inbox.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with built(**UNASKED) as site:
        yield site


@pytest.fixture
async def asking() -> AsyncIterator[Site]:
    """All as shipped: Postfix asks the stand-in for each recipient first."""
    async with built() as site:
        yield site


def rcpt(client: smtplib.SMTP, address: str, sender: str = ANNA) -> str:
    """What Postfix answers to a recipient."""
    client.rset()
    client.mail(sender)
    code, text = client.rcpt(address)
    return f"{code} {text.decode()}"


# ---------------------------------------------------------------- the files


async def test_the_shipped_files_are_read_without_a_warning() -> None:
    for arguments in (("-n",), ("-M",), ("-x", "relay_transport", "virtual_alias_maps")):
        process = await asyncio.create_subprocess_exec(
            "postconf", "-c", str(SHIPPED), *arguments, stdout=PIPE, stderr=PIPE
        )
        output, complaints = await process.communicate()
        assert (process.returncode, complaints) == (0, b"")
    assert b"{ postmaster@scans.example = it@lab.example }" in output
    assert b"relay_transport = lmtp:unix:/run/scanpost/lmtp" in output


SAFE = {
    "smtpd_forbid_bare_newline": "reject",
    "smtpd_forbid_bare_newline_exclusions": "",
    "smtpd_forbid_unauth_pipelining": "yes",
    "smtpd_data_restrictions": "reject_unauth_pipelining",
    "smtpd_discard_ehlo_keywords": "chunking, dsn, etrn, silent-discard",
    "smtpd_relay_restrictions": "permit_inet_interfaces, reject_unauth_destination",
    "smtpd_client_restrictions": (
        "permit_inet_interfaces, permit_mynetworks, permit_sasl_authenticated,"
        f" check_recipient_access regexp:{SHIPPED}/open_to_all, reject"
    ),
    "mynetworks": "127.0.0.1/32 [::1]/128",
    "mydestination": "",
    "parent_domain_matches_subdomains": "",
    "relay_domains": "scans.example",
    "disable_vrfy_command": "yes",
    "smtpd_helo_required": "yes",
    "unverified_recipient_reject_code": "550",
    "recipient_delimiter": "+",
    "mailbox_size_limit": "0",
    "virtual_mailbox_limit": "0",
    "lmtp_destination_recipient_limit": "10",
    "lmtp_send_xforward_command": "no",
    "lmtp_line_length_limit": "0",
    "smtputf8_enable": "yes",
    "smtpd_tls_security_level": "may",
    "authorized_submit_users": "root",
    "maximal_queue_lifetime": "8h",
    "bounce_queue_lifetime": "8h",
    "delay_warning_time": "0",
}


async def test_the_values_that_keep_it_safe_are_those_postfix_sees() -> None:
    process = await asyncio.create_subprocess_exec(
        "postconf", "-c", str(SHIPPED), "-x", *SAFE, stdout=PIPE
    )
    output, _ = await process.communicate()
    pairs = (line.partition(" =") for line in output.decode().splitlines())
    assert {name: value.strip() for name, _, value in pairs} == SAFE


def test_postfix_takes_as_large_mails_as_scanpost() -> None:
    text = (SHIPPED / "main.cf").read_text()
    assert f"\nmessage_size_limit = {Settings().max_mail_bytes}\n" in text


def test_the_readme_explains_every_file() -> None:
    text = (SHIPPED / "README.md").read_text()
    for path in SHIPPED.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in text


# ---------------------------------------------------------------- the way of a good mail


BOUNDARY = b"\r\n--x\r\n"
AS_WRITTEN = (
    b"From: anna@lab.example\r\nSubject: C-1042\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="x"\r\n'
    + BOUNDARY
    + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + "Gr\u00fc\u00dfe \r\n\r\n.\r\n..\r\n.dot\r\nFrom here\r\n\t \r\n".encode()
    + BOUNDARY
    + b"Content-Type: model/stl\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + b"QUJD" * 200_000
    + BOUNDARY
    + b"Content-Type: message/rfc822\r\n\r\n"
    + b"Authentication-Results: within.example; dkim=pass\r\nSubject: inner\r\n\r\nx"
    + b"\r\n--x--\r\n\r\n\r\n"
)  # no Date, no Message-ID, no To


async def test_a_mail_arrives_as_it_was_written_below_one_line_of_trace(site: Site) -> None:
    await site.postfix.send(AS_WRITTEN, SHARE)
    arrived = await site.shelf.mail()
    trace, _, rest = arrived.partition(b"From: anna")
    assert b"From: anna" + rest == AS_WRITTEN
    assert re.fullmatch(
        rb"Received: from lab.example \(unknown \[127.0.0.1\]\)\r\n(\t.+\r\n)+", trace
    )
    await site.postfix.emptied()
    assert "warning" not in site.postfix.maillog


CLAIMS = [
    b"Authentication-Results: mx.scans.example; dkim=pass header.d=lab.example",
    b"authentication-results : mx.scans.example; dkim=pass",
    b'Authentication-Results: (c) "mx.sc\\ans.example" 1; spf=pass',
    b"Authentication-Results:\r\n mx.scans.example;\r\n dmarc=pass",
    b"Authentication-Results: elsewhere.example; dkim=pass",
]


async def test_claims_of_authentication_from_outside_are_taken_off(site: Site) -> None:
    await site.postfix.send(b"\r\n".join([*CLAIMS, MAIL]), SHARE)
    assert (await site.shelf.mail()).endswith(b"(UTC)\r\n" + MAIL)


async def test_an_address_with_letters_beyond_ascii_may_write(site: Site) -> None:
    def talk(client: smtplib.SMTP) -> bytes:
        client.ehlo_or_helo_if_needed()
        options = ["SMTPUTF8", "BODY=8BITMIME"]
        client.sendmail("j\u00f6rg@lab.example", [SHARE], MAIL, mail_options=options)
        return MAIL

    assert (await site.postfix.say(talk)) in await site.shelf.mail()


async def test_more_than_ten_recipients_are_brought_in_several_dialogues(site: Site) -> None:
    many = [f"share+{letter * 26}@{DOMAIN}" for letter in "abcdefghijklm"]
    site.shelf.known.update(many)
    assert await site.postfix.send(MAIL, *many) == {}
    await site.shelf.mail(2)
    assert sorted(len(recipients) for recipients, _ in site.shelf.kept) == [3, 10]


async def test_postmaster_is_the_operator(site: Site) -> None:
    await site.postfix.send(MAIL, f"postmaster@{DOMAIN}")
    async with asyncio.timeout(20):
        await site.inbox.wait_for(lambda letters: len(letters) >= 1)
    assert site.inbox.letters[0]["X-Envelope-To"] == OPERATOR
    assert site.shelf.asked == []


# ---------------------------------------------------------------- who may send to whom


async def test_strangers_reach_scanpost_which_verifies_them_and_nobody_else(asking: Site) -> None:
    def talk(client: smtplib.SMTP) -> list[str]:
        return [rcpt(client, address) for address in (SHARE, KNOWN, UNKNOWN, KIM)]

    answers = await asking.postfix.say(talk, source=STRANGER_IP)
    assert [answer[:3] for answer in answers[:3]] == ["250", "250", "550"], answers
    assert answers[3].startswith("554 5.7.1")
    assert answers[3].endswith("Client host rejected: Access denied")


async def test_without_the_share_line_strangers_are_turned_away_at_the_gate(tmp_path: Path) -> None:
    """For who believes all that Postfix lets through (trusted_clients = "unix:")."""
    table = (SHIPPED / "open_to_all").read_text()
    [line] = [line for line in table.splitlines() if line.startswith("/^share")]
    closed = tmp_path / "open_to_all"
    closed.write_text(table.replace(line, ""))
    process = await asyncio.create_subprocess_exec(
        *("postmap", "-c", str(SHIPPED), "-q", "-", f"regexp:{closed}"), stdin=PIPE, stdout=PIPE
    )
    output, _ = await process.communicate(f"{SHARE}\n{KNOWN}\n".encode())
    assert output == b""


async def test_the_lab_may_write_to_scanpost_and_to_nobody_else() -> None:
    async with built(**UNASKED, mynetworks=f"{LAB}/32 {STRANGER_IP}/32") as site:
        to = [SHARE, KIM, f"share@x.{DOMAIN}", f"kim%clinic.example@{DOMAIN}", f"@{DOMAIN}:{KIM}"]

        def talk(client: smtplib.SMTP) -> list[str]:
            return [rcpt(client, address)[:9] for address in to]

        answers = await site.postfix.say(talk, source=STRANGER_IP)
    assert answers[0] == "250 2.1.5"
    assert all(answer[0] == "5" for answer in answers[1:]), answers


async def test_scanposts_own_letters_go_out_unasked(asking: Site) -> None:
    await asking.postfix.send(MAIL, KIM, sender=f"bounce+{'a' * 26}@{DOMAIN}")
    async with asyncio.timeout(20):
        await asking.inbox.wait_for(lambda letters: len(letters) >= 1)
    assert asking.inbox.letters[0]["X-Envelope-To"] == KIM
    assert "double-bounce" not in asking.postfix.maillog


async def test_what_is_offered_is_what_is_needed(site: Site) -> None:
    def talk(client: smtplib.SMTP) -> tuple[dict[str, str], int]:
        return client.esmtp_features, client.vrfy(SHARE)[0]

    offered, verify = await site.postfix.say(talk)
    assert offered.keys() == {
        "pipelining", "size", "starttls", "enhancedstatuscodes", "8bitmime", "smtputf8",
    }  # fmt: skip
    assert offered["size"] == str(200 * MB)
    assert verify == 502


async def test_what_is_too_large_is_refused_at_mail(site: Site) -> None:
    answer = await site.postfix.say(lambda client: client.mail(ANNA, [f"SIZE={200 * MB + 1}"]))
    assert answer[0] == 552


# ---------------------------------------------------------------- unknown recipients


async def test_an_unknown_recipient_is_refused_in_the_dialogue_and_no_mail_comes_of_the_question(
    asking: Site,
) -> None:
    def talk(client: smtplib.SMTP) -> list[str]:
        return [rcpt(client, address) for address in (UNKNOWN, KNOWN, UNKNOWN, KNOWN)]

    answers = await asking.postfix.say(talk)
    assert [answer[:9] for answer in answers] == [
        "550 5.1.1", "250 2.1.5", "550 5.1.1", "250 2.1.5",
    ]  # fmt: skip
    assert answers[0].endswith("undeliverable address: scanpost did not confirm it")
    assert asking.shelf.asked == [UNKNOWN, KNOWN]  # each once
    await asking.postfix.emptied()
    assert asking.shelf.kept == []
    assert asking.inbox.attempts == []


async def test_what_is_no_address_of_scanpost_is_refused_without_a_question(asking: Site) -> None:
    wrong = ["info", "share+", "share+x", f"other+{'a' * 26}", "bounce", f"share+{'a' * 27}"]

    def talk(client: smtplib.SMTP) -> list[str]:
        return [rcpt(client, f"{name}@{DOMAIN}")[:9] for name in wrong]

    assert await asking.postfix.say(talk) == ["550 5.1.1"] * len(wrong)
    assert asking.shelf.asked == []


@pytest.mark.parametrize("name", ["share", "bounce"])
async def test_every_token_that_scanpost_makes_has_the_shape_of_the_table(name: str) -> None:
    key = os.urandom(32)
    tokens = [derive(key, Purpose.REPLY, "person", number) for number in range(50)]
    tokens += [derive_from_master(key, MasterPurpose.BOUNCE, f"{n}") for n in range(50)]
    process = await asyncio.create_subprocess_exec(
        *("postmap", "-c", str(SHIPPED), "-q", "-", f"regexp:{SHIPPED}/recipients"),
        stdin=PIPE,
        stdout=PIPE,
    )
    asked = "".join(f"{name}+{token}@{DOMAIN}\n" for token in tokens)
    output, _ = await process.communicate(asked.encode())
    assert output.count(b"\tok\n") == len(tokens)


async def test_while_scanpost_is_down_known_addresses_are_queued_and_others_put_off(
    asking: Site,
) -> None:
    await asking.postfix.send(MAIL, SHARE)
    await asking.shelf.mail()
    asking.shelf.close()
    asking.postfix.socket.unlink()
    answer = await asking.postfix.say(lambda client: rcpt(client, KNOWN))
    assert answer.startswith("450 4.1.1")
    await asking.postfix.send(MAIL, SHARE)
    (kept,) = await asking.postfix.put_off()
    assert kept["recipients"][0]["address"] == SHARE
    await asking.shelf.open(asking.postfix.socket)
    await asking.postfix.flush()
    assert (await asking.shelf.mail(2)).endswith(MAIL)
    await asking.postfix.emptied()


async def test_a_bounce_brings_back_the_header_and_not_the_scans(site: Site) -> None:
    site.shelf.answer = "550 5.7.1 Ask the operator."
    await site.postfix.send(MAIL + b"secret " * 1000, SHARE)
    async with asyncio.timeout(20):
        await site.inbox.wait_for(lambda letters: len(letters) >= 1)
    (bounce,) = site.inbox.letters
    assert (bounce["X-Envelope-From"], bounce["X-Envelope-To"]) == ("<>", ANNA)
    text = bounce.as_string()
    assert "5.7.1 Ask the operator." in text
    assert "Message-ID: <1@lab.example>" in text
    assert "secret" not in text


# ---------------------------------------------------------------- TLS


async def test_commands_slipped_in_before_tls_are_not_obeyed_within_it(site: Site) -> None:
    context = ssl.create_default_context(cafile=str(site.postfix.folder / "certificate.pem"))

    def talk(client: smtplib.SMTP) -> list[str]:
        client.send("STARTTLS\r\nEHLO eve.example\r\nMAIL FROM:<eve@other.example>\r\n")
        replies = [client.getreply()[0]]
        assert isinstance(client.sock, socket.socket)
        client.sock = context.wrap_socket(client.sock, server_hostname="mx.scans.example")
        client.file = None
        replies += [client.rcpt(SHARE)[0], client.mail(ANNA)[0], client.ehlo()[0]]
        return [str(client.sock.version()), *map(str, replies), rcpt(client, SHARE)[:3]]

    version, *replies = await site.postfix.say(talk)
    assert version in ("TLSv1.2", "TLSv1.3")
    assert replies == ["220", "503", "503", "250", "250"]


async def test_commands_before_their_turn_end_the_dialogue(site: Site) -> None:
    def talk(client: smtplib.SMTP) -> int:
        client.send(f"EHLO lab.example\r\nMAIL FROM:<{ANNA}>\r\n")
        return client.getreply()[0]

    assert await site.postfix.say(talk) == 554
    await site.postfix.logged("improper command pipelining after EHLO")


# ---------------------------------------------------------------- tests/postfix.py itself


async def test_without_root_the_tests_are_skipped_and_say_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match="needs root"):
        async with running_postfix(1):
            pass


async def test_nothing_of_a_postfix_outlives_its_end() -> None:
    async with running_postfix(1) as postfix:
        leader, folder = postfix.master.pid, postfix.folder
        assert is_group(leader)
    assert not is_group(leader)
    assert not folder.exists()


ABANDONED = """
import asyncio
from tests.postfix import Postfix
async def main():
    postfix = Postfix(1)
    await postfix.start()
    print(postfix.master.pid, postfix.folder, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_nothing_of_a_postfix_outlives_tests_that_are_killed() -> None:
    tests = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ABANDONED), cwd=SHIPPED.parent.parent, stdout=PIPE
    )
    assert tests.stdout is not None
    leader, folder = (await tests.stdout.readline()).decode().split()
    os.kill(tests.pid, signal.SIGKILL)
    await tests.wait()

    async def ended() -> bool:
        return not is_group(int(leader))

    await until(ended, "Postfix lives on", lambda: folder)
    shutil.rmtree(folder)
