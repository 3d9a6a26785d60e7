"""What inbound/door/smtp.py needs of aiosmtpd and asyncio beyond their documentation.

A failure here says that an update moved a hook: read the change, then mend the door.
"""

import asyncio
import inspect
from importlib.metadata import version

import pytest
from aiosmtpd.smtp import SMTP

from inbound.door.dialogue import Dialogue, Hooks
from inbound.door.guarded import Guarded
from inbound.door.receive import Receiver
from inbound.door.turnstile import Turnstile
from store.house import House
from tests.fakes import DOMAIN

OVERRIDDEN = {
    "push": ["self", "status"],
    "handle_exception": ["self", "error"],
    "eof_received": ["self"],
    "smtp_MAIL": ["self", "arg"],
    "smtp_DATA": ["self", "arg"],
    "_handle_client": ["self"],
}
USED = {
    "_reset_timeout": ["self", "duration"],
    "_set_post_data_state": ["self"],
    "check_helo_needed": ["self", "helo"],
    "_timeout_cb": ["self"],
    "_cb_client_connected": ["self", "reader", "writer"],
}


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("aiosmtpd") == "1.4.6"


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_the_hooks_that_the_door_overrides_are_where_they_were(name: str) -> None:
    assert list(inspect.signature(getattr(SMTP, name)).parameters) == OVERRIDDEN[name]
    assert name in vars(Dialogue) | vars(Guarded)


@pytest.mark.parametrize("name", USED)
def test_the_private_methods_that_the_door_calls_are_where_they_were(name: str) -> None:
    assert list(inspect.signature(getattr(SMTP, name)).parameters) == USED[name]


def test_the_command_loop_still_asks_in_the_ways_that_the_door_answers() -> None:
    loop = inspect.getsource(SMTP._handle_client)
    assert "self._smtp_methods.get(command)" in loop
    assert "self.command_size_limits[command]" in loop
    assert "self._reader.readuntil()" in loop
    assert "except ConnectionResetError" in loop
    assert "self.handle_exception(error)" in loop
    assert "while self.transport is not None" in loop


def test_data_is_received_through_the_stream_reader() -> None:
    assert SMTP.data_received is asyncio.StreamReaderProtocol.data_received
    assert SMTP.__mro__[1] is asyncio.StreamReaderProtocol
    assert "self._reader = reader" in inspect.getsource(SMTP._cb_client_connected)
    assert "self._limit" in inspect.getsource(asyncio.StreamReader.feed_data)


async def test_a_dialogue_has_the_private_names(house: House) -> None:
    receiver = Receiver(house)
    dialogue = Dialogue(Hooks(receiver), set(), Turnstile(), DOMAIN)
    receiver.close()
    reader = asyncio.StreamReader(limit=dialogue.line_length_limit)
    assert isinstance(reader._buffer, bytearray)
    assert reader._limit == 1001
    assert {"MAIL", "RCPT", "DATA", "QUIT", "EHLO"} <= set(dialogue._smtp_methods)
    assert {"EHLO", "MAIL", "RCPT"} <= set(dialogue._handle_hooks)
    assert dialogue._ehlo_hook_ver == "new"
    # aiosmtpd would share this between all dialogues.
    assert dialogue.command_size_limits is not SMTP.command_size_limits
    assert dialogue._timeout_duration == 180
