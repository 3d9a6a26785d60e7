"""What libraries write into the log: without tokens and addresses, and not without end."""

import io
import logging

import pytest

from scanpost import logs

TOKEN = "abcdefghijklmnopqrstuvwxyz"


def record(name: str, message: str, seconds: float = 0.0) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.ERROR, __file__, 1, message, (), None)
    made.created = seconds
    return made


@pytest.mark.parametrize(
    "said",
    [f"GET /r/{TOKEN} HTTP", f"/u/{TOKEN}/files", f"b'POST /c/{TOKEN}'", f"?a=1&from={TOKEN}",
     f"to share+{TOKEN}", f"/r/{TOKEN}aaaa", f"share+{TOKEN}@scans.example"],
)  # fmt: skip
def test_no_token_reaches_the_log(said: str) -> None:
    stream = io.StringIO()
    logs.handler_for_libraries(stream).handle(record("asyncio", f"failed: {said}"))
    assert stream.getvalue().startswith("asyncio: failed")
    assert TOKEN not in stream.getvalue()
    assert logs.scrub(None, "", {"event": said})["event"].count(TOKEN) == 0


def test_a_traceback_is_scrubbed_too() -> None:
    stream = io.StringIO()
    made = record("dbos", "failed")
    made.exc_info = (ValueError, ValueError(f"/c/{TOKEN} of anna@lab.example"), None)
    logs.handler_for_libraries(stream).handle(made)
    assert "ValueError: /c/… of …@…" in stream.getvalue()


def test_no_library_fills_the_disk() -> None:
    stream = io.StringIO()
    handler = logs.handler_for_libraries(stream)
    for _ in range(5_000):
        handler.handle(record("asyncio", "socket.accept() out of system resource"))
    assert stream.getvalue().count("\n") == logs.MOST_A_MINUTE
    handler.handle(record("dbos", "another one"))
    handler.handle(record("asyncio", "a minute later", 61.0))
    assert stream.getvalue().endswith("dbos: another one\nasyncio: a minute later\n")
