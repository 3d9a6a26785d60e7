"""STARTTLS (RFC 3207): what was said before it is forgotten, and a certificate may be renewed."""

import asyncio
import datetime as dt
import os
import socket
import ssl
import struct
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from inbound.door.receive import Receiver
from inbound.door.smtp import SmtpDoor
from inbound.door.tls import Certificate
from store.errors import SettingsError
from store.house import House
from tests.fakes import ANNA, DOMAIN
from tests.test_door_bdat import bdat
from tests.test_door_smtp import (
    MAIL,
    OPENING,
    PATIENCE,
    SHARE,
    Client,
    FakedTime,
    Listening,
)

HANDSHAKE = 60.0  # seconds that asyncio gives a handshake


def write_certificate(
    folder: Path, serial: int = 1, encryption: KeySerializationEncryption | None = None
) -> Certificate:
    """Writes a self-signed certificate and its key, and says that it was at another time."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOMAIN)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(serial)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(secret, hashes.SHA256())
    )
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    key.write_bytes(
        secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    )
    touch(chain, serial)
    touch(key, serial)
    return Certificate(chain, key)


def touch(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


@pytest.fixture
async def listening(house: House, tmp_path: Path) -> AsyncIterator[Listening]:
    """A door with a certificate; whatever the loop has to complain of fails the test."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
    receiver = Receiver(house)
    door = SmtpDoor(receiver, "127.0.0.1:0", DOMAIN, write_certificate(tmp_path))
    await door.open()
    listening = Listening(house, door)
    yield listening
    await door.close()
    await listening.until(lambda: not door.dialogues)
    receiver.close()
    assert complaints == []


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def secured(listening: Listening, *, greet: bool = True) -> AsyncIterator[Client]:
    async with listening.client() as client:
        await begin_tls(client)
        if greet:
            assert (await client.ask("EHLO lab.example")).startswith("250")
        yield client


async def begin_tls(client: Client) -> None:
    assert (await client.ask("STARTTLS")).startswith("220")
    async with asyncio.timeout(PATIENCE):
        await client.writer.start_tls(trusting())


async def serial_of(listening: Listening) -> int:
    """The serial number of the certificate that a new dialogue shows."""
    async with secured(listening) as client:
        shown = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(shown).serial_number


# ---------------------------------------------------------------- mail over TLS


async def test_a_mail_over_tls_is_taken_by_data_and_by_bdat(listening: Listening) -> None:
    async with secured(listening) as client:
        reply = await client.deliver(MAIL)
        assert listening.stored(reply) == MAIL + b"\r\n"
        second = MAIL.replace(b"<1@", b"<2@")
        await client.say(OPENING.replace(b"DATA\r\n", b"") + bdat(second, last=True))
        replies = [await client.reply() for _ in range(3)]
        assert listening.stored(replies[-1]) == second
        assert (await client.ask("QUIT")).startswith("221")


async def test_starttls_is_offered_before_and_neither_it_nor_auth_within(
    listening: Listening,
) -> None:
    async with listening.client(greet=False) as client:
        before = (await client.ask("EHLO lab.example")).splitlines()
        assert "250-STARTTLS" in before
        await begin_tls(client)
        within = (await client.ask("EHLO lab.example")).splitlines()
        assert not any("STARTTLS" in line or "AUTH" in line for line in before[:1] + within)
        assert {"250-PIPELINING", "250-CHUNKING", "250-8BITMIME"} <= set(within)
        assert (await client.ask("AUTH PLAIN AGEAYg==")).startswith("50")


async def test_starttls_takes_no_argument_and_needs_no_certificate_to_be_refused(
    listening: Listening,
) -> None:
    async with listening.client() as client:
        assert (await client.ask("STARTTLS now")).startswith("501")
        assert (await client.deliver(MAIL)).startswith("250")
    listening.door.certificate = None
    async with listening.client() as client:
        assert (await client.ask("STARTTLS")).startswith("454")
        assert (await client.ask("NOOP")).startswith("250")


async def test_tls_begins_once_in_a_dialogue(listening: Listening) -> None:
    async with secured(listening) as client:
        assert (await client.ask("STARTTLS")).startswith("503 5.5.1")
        assert (await client.deliver(MAIL)).startswith("250")


async def test_five_megabytes_through_tls_come_out_byte_for_byte(listening: Listening) -> None:
    body = os.urandom(5_000_000).translate(None, b"\r\n\0").replace(b".", b".\r\n..")
    mail = MAIL + body
    async with secured(listening) as client:
        reply = await client.deliver(mail.replace(b"\r\n.", b"\r\n.."))
        assert (await client.ask("NOOP")).startswith("250")
    assert listening.stored(reply) == mail + b"\r\n"


async def test_old_versions_of_tls_are_refused(listening: Listening) -> None:
    context = trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with listening.client() as client:
        assert (await client.ask("STARTTLS")).startswith("220")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await client.writer.start_tls(context)
    await listening.nothing_is_left()


# ---------------------------------------------------------------- what was said before


async def test_what_is_sent_behind_starttls_in_the_clear_is_dropped(listening: Listening) -> None:
    async with listening.client() as client:
        await client.say(b"STARTTLS\r\nEHLO evil.example\r\n" + OPENING)
        assert (await client.reply()).startswith("220")
        await client.writer.start_tls(trusting())
        # Neither greeting nor envelope of the clear text has survived.
        assert (await client.ask(f"MAIL FROM:<{ANNA}>")).startswith("503")
        assert (await client.ask("EHLO lab.example")).startswith("250")
        assert (await client.ask(f"RCPT TO:<{SHARE}>")).startswith("503")
        assert (await client.ask("DATA")).startswith("503")
    await listening.nothing_is_left()


async def test_the_state_from_before_is_forgotten(listening: Listening) -> None:
    async with listening.client() as client:
        await client.say(OPENING.replace(b"DATA\r\n", bdat(MAIL)))
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "250"]
        assert len(listening.spooled()) == 1
        await begin_tls(client)
        await listening.until(lambda: listening.spooled() == [])
        assert (await client.ask(bdat(b"", last=True))).startswith("503")
        assert (await client.ask("DATA")).startswith("503")
        assert (await client.ask("EHLO lab.example")).startswith("250")
        assert (await client.ask("DATA")).startswith("503")
    await listening.nothing_is_left()


async def test_bad_commands_in_the_clear_and_within_tls_are_counted_together(
    listening: Listening,
) -> None:
    async with listening.client() as client:
        for _ in range(6):
            assert (await client.ask("XYZZY")).startswith("500")
        await begin_tls(client)
        await client.say(b"XYZZY\r\n" * 100)
        assert [reply[:3] for reply in await client.rest()] == ["500"] * 4 + ["421"]


async def test_commands_behind_the_last_straw_are_not_carried_out_within_tls(
    listening: Listening,
) -> None:
    async with secured(listening) as client:
        await client.say(OPENING.replace(b"DATA\r\n", b"") + b"XYZZY\r\n" * 11)
        await client.say(bdat(MAIL, last=True) * 100)
        assert (await client.rest())[-1].startswith("421")
    await listening.nothing_is_left()


# ---------------------------------------------------------------- handshakes that fail


async def test_a_client_that_stalls_in_the_handshake_is_sent_away(listening: Listening) -> None:
    async with listening.client() as client:
        time = FakedTime()
        assert (await client.ask("STARTTLS")).startswith("220")
        time.pass_by(HANDSHAKE - 1)
        await asyncio.sleep(0)
        assert listening.door.dialogues
        time.pass_by(2)
        assert await client.rest() == []
    await listening.nothing_is_left()
    assert not listening.door.turnstile.inside


@pytest.mark.parametrize(
    "hello",
    [b"MAIL FROM:<x@y.example>\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 3000, b"\x80"],
)
async def test_a_handshake_of_garbage_ends_the_dialogue(listening: Listening, hello: bytes) -> None:
    async with listening.client() as client:
        assert (await client.ask("STARTTLS")).startswith("220")
        await client.say(hello)
        client.writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            while await client.reader.read(1000):  # a TLS alert may come first
                pass
    await listening.nothing_is_left()
    assert not listening.door.turnstile.inside


@pytest.mark.parametrize("abruptly", [True, False])
async def test_a_client_that_disappears_in_the_handshake_leaves_nothing(
    listening: Listening, *, abruptly: bool
) -> None:
    async with listening.client() as client:
        assert (await client.ask("STARTTLS")).startswith("220")
        if abruptly:
            client.writer.transport.abort()
    await listening.nothing_is_left()
    assert not listening.door.turnstile.inside


async def test_closing_the_door_ends_a_handshake(listening: Listening) -> None:
    async with listening.client() as client:
        assert (await client.ask("STARTTLS")).startswith("220")
        await listening.door.close()
        assert await client.rest() == []
    await listening.nothing_is_left()
    assert not listening.door.turnstile.inside


async def test_an_idle_client_within_tls_is_sent_away(listening: Listening) -> None:
    async with secured(listening) as client:
        time = FakedTime()
        assert (await client.ask("NOOP")).startswith("250")
        time.pass_by(181)
        assert await client.rest() == []
    await listening.nothing_is_left()


# ---------------------------------------------------------------- clients that go away


def speak(port: int, goodbye: Callable[[ssl.SSLSocket], None]) -> None:
    """Sends a whole mail over TLS and says goodbye at once; blocks."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        lines = plain.makefile("rb")
        lines.readline()
        plain.sendall(b"STARTTLS\r\n")
        lines.readline()
        within = trusting().wrap_socket(plain, suppress_ragged_eofs=True)
        within.sendall(b"EHLO lab.example\r\n" + OPENING + MAIL + b".\r\n")
        goodbye(within)
        within.close()


def close_notify(within: ssl.SSLSocket) -> None:
    try:
        within.unwrap()
    except OSError:  # the server's last words come in between
        return


def half_close(within: ssl.SSLSocket) -> None:
    within.shutdown(socket.SHUT_WR)


def reset(within: ssl.SSLSocket) -> None:
    within.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("goodbye", [close_notify, half_close, reset])
async def test_a_client_that_leaves_within_tls_has_sent_its_mail_once_or_may_send_it_again(
    listening: Listening, goodbye: Callable[[ssl.SSLSocket], None]
) -> None:
    await asyncio.to_thread(speak, listening.door.port, goodbye)
    await listening.until(lambda: not listening.door.dialogues)
    states = await listening.states()
    assert states in ([], ["received"])
    assert len(listening.spooled()) == len(states)
    async with secured(listening) as client:
        assert (await client.deliver(MAIL.removesuffix(b"\r\n"))).startswith("250")
    assert (await listening.states()).count("received") == 1
    assert len(listening.spooled()) == 1


@pytest.mark.parametrize("goodbye", [close_notify, half_close, reset])
async def test_a_client_that_leaves_within_tls_during_the_commit_tears_nothing_apart(
    listening: Listening,
    monkeypatch: pytest.MonkeyPatch,
    goodbye: Callable[[ssl.SSLSocket], None],
) -> None:
    begun, left = threading.Event(), threading.Event()
    commit_all = listening.house.spool.commit_all

    def slowly(writings: Any) -> Any:
        begun.set()
        left.wait(PATIENCE)
        return commit_all(writings)

    def leave(within: ssl.SSLSocket) -> None:
        begun.wait(PATIENCE)
        goodbye(within)

    monkeypatch.setattr(listening.house.spool, "commit_all", slowly)
    speaking = asyncio.create_task(asyncio.to_thread(speak, listening.door.port, leave))
    await listening.until(begun.is_set)
    (dialogue,) = listening.door.dialogues
    await listening.until(lambda: dialogue._reader.at_eof() or dialogue.transport is None)
    left.set()
    await speaking
    await listening.until(lambda: not listening.door.dialogues)
    assert await listening.states() == ["received"]
    assert len(listening.spooled()) == 1


# ---------------------------------------------------------------- certificates


async def test_a_renewed_certificate_is_shown_to_the_next_client(
    listening: Listening, tmp_path: Path
) -> None:
    assert await serial_of(listening) == 1
    async with listening.client() as early:
        write_certificate(tmp_path, serial=2)
        assert await serial_of(listening) == 2
        await begin_tls(early)
        assert (await early.ask("EHLO lab.example")).startswith("250")


@pytest.mark.parametrize("broken", ["chain.pem", "key.pem"])
@pytest.mark.parametrize("how", ["garbage", "missing", "empty", "of another key"])
async def test_a_broken_renewal_keeps_the_old_certificate_until_it_is_mended(
    listening: Listening, tmp_path: Path, broken: str, how: str
) -> None:
    path = tmp_path / broken
    if how == "missing":
        path.unlink()
    elif how == "of another key":
        other = tmp_path / "other"
        other.mkdir()
        write_certificate(other, serial=7)
        path.write_bytes((other / broken).read_bytes())
    else:
        path.write_bytes(b"-----BEGIN NONSENSE-----\n" if how == "garbage" else b"")
    for _ in range(2):
        assert await serial_of(listening) == 1
    write_certificate(tmp_path, serial=3)
    assert await serial_of(listening) == 3


@pytest.mark.parametrize("missing", ["chain.pem", "key.pem"])
def test_missing_or_damaged_files_are_told_at_the_start(tmp_path: Path, missing: str) -> None:
    write_certificate(tmp_path)
    path = tmp_path / missing
    for spoil in (lambda: path.write_bytes(b"nonsense"), path.unlink):
        spoil()
        with pytest.raises(SettingsError, match=r"key\.pem cannot be used"):
            Certificate(tmp_path / "chain.pem", tmp_path / "key.pem")


def test_a_key_with_a_password_is_told_at_the_start_and_nobody_is_asked_for_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match="cannot be used"):
        write_certificate(tmp_path, encryption=BestAvailableEncryption(b"secret"))
