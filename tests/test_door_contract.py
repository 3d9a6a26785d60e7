"""What inbound/door/ needs of aiosmtpd, asyncio and imapclient beyond their documentation.

A failure here says that an update moved a hook: read the change, then mend the door.
"""

import asyncio
import imaplib
import inspect
import ssl
from asyncio import constants, sslproto
from importlib.metadata import version

import pytest
from aiosmtpd import proxy_protocol
from aiosmtpd import smtp as aiosmtpd_smtp
from aiosmtpd.proxy_protocol import V2_CMD, get_proxy
from aiosmtpd.smtp import SMTP, Session, TLSSetupException
from imapclient import IMAPClient

from inbound.door.dialogue import Dialogue, Hooks
from inbound.door.guarded import Guarded
from inbound.door.lmtp import LmtpDialogue
from inbound.door.receive import Receiver
from inbound.door.turnstile import Turnstile
from store.house import House
from tests.fakes import DOMAIN

OVERRIDDEN = {
    "push": ["self", "status"],
    "handle_exception": ["self", "error"],
    "eof_received": ["self"],
    "connection_lost": ["self", "error"],
    "smtp_EHLO": ["self", "hostname"],
    "smtp_HELO": ["self", "hostname"],
    "smtp_MAIL": ["self", "arg"],
    "smtp_DATA": ["self", "arg"],
    "smtp_STARTTLS": ["self", "arg"],
    "check_helo_needed": ["self", "helo"],
    "_handle_client": ["self"],
    "_set_rset_state": ["self"],
    "_timeout_cb": ["self"],
    "_getaddr": ["self", "arg"],
}
USED = {
    "_reset_timeout": ["self", "duration"],
    "_set_post_data_state": ["self"],
    "_cb_client_connected": ["self", "reader", "writer"],
    "_call_handler_hook": ["self", "command", "args"],
    "connection_made": ["self", "transport"],
}


def source_of(thing: object) -> str:
    return inspect.getsource(thing)  # type: ignore[arg-type]


@pytest.fixture
async def dialogue(house: House) -> Dialogue:
    receiver = Receiver(house)
    receiver.close()
    return Dialogue(Hooks(receiver), set(), Turnstile(), DOMAIN)


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("aiosmtpd") == "1.4.6"


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_the_hooks_that_the_door_overrides_are_where_they_were(name: str) -> None:
    assert list(inspect.signature(getattr(SMTP, name)).parameters) == OVERRIDDEN[name]
    assert name in vars(Dialogue) | vars(Guarded) | vars(LmtpDialogue)


@pytest.mark.parametrize("name", USED)
def test_the_private_methods_that_the_door_calls_are_where_they_were(name: str) -> None:
    assert list(inspect.signature(getattr(SMTP, name)).parameters) == USED[name]


@pytest.mark.parametrize("name", ["smtp_BDAT", "smtp_LHLO", "_enter", "_choose", "hang_up", "read"])
def test_what_the_door_adds_is_still_its_own(name: str) -> None:
    assert not hasattr(SMTP, name)


def test_the_command_loop_still_asks_in_the_ways_that_the_door_answers() -> None:
    loop = source_of(SMTP._handle_client)
    assert "self._smtp_methods.get(command)" in loop
    assert "self.command_size_limits[command]" in loop
    assert "self._reader.readuntil()" in loop
    assert "except ConnectionResetError" in loop
    assert "self.handle_exception(error)" in loop
    assert "while self.transport is not None" in loop


def test_data_is_received_through_the_stream_reader() -> None:
    assert SMTP.data_received is asyncio.StreamReaderProtocol.data_received
    assert SMTP.__mro__[1] is asyncio.StreamReaderProtocol
    assert "self._reader = reader" in source_of(SMTP._cb_client_connected)
    assert "self._limit" in source_of(asyncio.StreamReader.feed_data)


def test_the_timer_calls_what_ends_a_connection() -> None:
    assert "self._timeout_cb" in source_of(SMTP._reset_timeout)
    assert "self._timeout_handle.cancel()" in source_of(SMTP.connection_lost)


def test_rset_and_all_greetings_and_starttls_forget_a_mail_in_the_same_place() -> None:
    for method in (SMTP.smtp_RSET, SMTP.smtp_EHLO, SMTP.smtp_HELO, SMTP.connection_made):
        assert "self._set_rset_state()" in source_of(method)
    assert "self.envelope = self._create_envelope()" in source_of(SMTP._set_post_data_state)


async def test_a_dialogue_has_the_private_names(dialogue: Dialogue) -> None:
    reader = asyncio.StreamReader(limit=dialogue.line_length_limit)
    assert isinstance(reader._buffer, bytearray)
    assert reader._limit == 1001
    assert {"EHLO", "MAIL", "RCPT", "PROXY"} <= set(dialogue._handle_hooks)
    assert dialogue._ehlo_hook_ver == "new"
    # aiosmtpd would share this between all dialogues.
    assert dialogue.command_size_limits is not SMTP.command_size_limits
    assert dialogue._timeout_duration == 180
    assert (dialogue._tls_protocol, dialogue._proxy_timeout) == (None, None)


# ---------------------------------------------------------------- the constructor


def test_the_constructor_still_looks_through_the_names_that_dir_gives() -> None:
    made = source_of(SMTP.__init__)
    assert "for m in dir(self)" in made
    assert "for m in dir(handler)" in made
    assert "inspect.getmembers(obj)" in made
    assert "self.command_size_limits.clear()" in made
    # inspect looks where dir() does, so that __dir__ answers for both.
    assert "dir(object)" in source_of(inspect._getmembers)


async def test_a_dialogue_shows_its_commands_and_nothing_else(dialogue: Dialogue) -> None:
    known = {"AUTH", "BDAT", "DATA", "EHLO", "EXPN", "HELO", "HELP", "MAIL", "NOOP", "QUIT", "RCPT",
             "RSET", "STARTTLS", "VRFY"}  # fmt: skip
    assert set(dialogue._smtp_methods) == known
    assert dir(dialogue) == [f"smtp_{name}" for name in sorted(known)]
    assert [name for name, _ in inspect.getmembers(dialogue)] == dir(dialogue)
    assert dialogue._auth_methods == {}
    every = {name for name in object.__dir__(dialogue) if name.startswith("smtp_")}
    assert every == set(dir(dialogue)), "a command that __dir__ does not know"


# ---------------------------------------------------------------- PROXY


def test_the_proxy_line_is_read_before_the_greeting_when_a_time_is_set() -> None:
    loop = source_of(SMTP._handle_client)
    assert "if self._proxy_timeout is not None:" in loop
    assert "self._reset_timeout(self._proxy_timeout)" in loop
    assert "await get_proxy(self._reader)" in loop
    assert 'self._call_handler_hook("PROXY", self.session.proxy_data)' in loop
    assert "if status is MISSING or not status:" in loop
    assert loop.index("get_proxy") < loop.index("220 {} {}")
    assert "self._proxy_timeout" in source_of(SMTP.__init__)


async def test_the_proxy_line_is_parsed_into_what_the_hook_looks_at() -> None:
    v2 = b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\0\x01\0\x02"
    for header, address, command in (
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n", "192.0.2.7", None),
        (b"PROXY UNKNOWN\r\n", "None", None),
        (v2, "192.0.2.7", V2_CMD.LOCAL),
        (v2.replace(b"\n\x20", b"\n\x21"), "192.0.2.7", V2_CMD.PROXY),
    ):
        reader = asyncio.StreamReader()
        reader.feed_data(header + b"EHLO x\r\n")
        data = await get_proxy(reader)
        assert (bool(data), str(data.src_addr), data.command) == (True, address, command)
        assert await reader.readline() == b"EHLO x\r\n"


async def test_a_proxy_line_that_never_comes_raises_what_the_door_expects() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"PRO")
    reader.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await get_proxy(reader)


def test_the_loggers_that_the_door_quietens_are_the_ones_in_use() -> None:
    assert aiosmtpd_smtp.log.name == "mail.log"
    assert proxy_protocol.log.name == "mail.debug"


# ---------------------------------------------------------------- STARTTLS


def test_tls_begins_with_an_empty_state_and_an_empty_buffer() -> None:
    made = source_of(SMTP.connection_made)
    assert "self.session = self._create_session()" in made
    assert "self._reader._buffer.clear()" in made
    assert "self._reader._transport = transport" in made
    assert "self.session.ssl = self._tls_protocol._extra" in made


async def test_a_session_knows_no_tls_before_the_handshake() -> None:
    assert Session(asyncio.get_running_loop()).ssl is None


def test_a_failed_handshake_ends_the_dialogue_in_the_way_that_the_door_uses() -> None:
    begin = source_of(SMTP.smtp_STARTTLS)
    assert "self._tls_protocol = sslproto.SSLProtocol(" in begin
    assert "raise TLSSetupException() from error" in begin
    loop = source_of(SMTP._handle_client)
    handling = loop[loop.index("isinstance(error, TLSSetupException)") :]
    assert handling.index("self.transport.close()") < handling.index("self.connection_lost(error)")
    assert issubclass(TLSSetupException, Exception)


def test_within_tls_ehlo_offers_auth_in_a_line_that_the_hook_can_find() -> None:
    greeting = source_of(SMTP.smtp_EHLO)
    assert "if self.tls_context and not self._tls_protocol:" in greeting
    assert '"250-AUTH "' in greeting


async def test_a_connection_that_is_lost_in_the_handshake_wakes_whoever_waits() -> None:
    """With no error to tell: the door must look itself whether TLS is there."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    protocol = sslproto.SSLProtocol(loop, asyncio.Protocol(), context, waiter, server_side=True)
    protocol.connection_made(asyncio.Transport())
    protocol.connection_lost(None)
    assert waiter.result() is None
    assert constants.SSL_HANDSHAKE_TIMEOUT == 60.0


# ---------------------------------------------------------------- IMAP


def test_imapclient_still_has_every_byte_formatted_for_a_log() -> None:
    """When this fails, the line in inbound/door/mailbox.py that turns it off may go."""
    assert "self._imap.debug = 5" in source_of(IMAPClient.__init__)
    assert "self._imap" in source_of(IMAPClient.__init__)
    assert "self.debug >= 4" in source_of(imaplib.IMAP4)


def test_imapclient_still_waits_at_the_socket_and_reads_behind_it() -> None:
    """When it looks into its reader too, `_more_lies_ready` in inbound/door/mailbox.py may go."""
    assert "poll_func(sock, timeout)" in source_of(IMAPClient.idle_check)
    assert "peek" not in source_of(IMAPClient)
    assert "self.file = self.sock.makefile('rb')" in source_of(imaplib.IMAP4.open)
