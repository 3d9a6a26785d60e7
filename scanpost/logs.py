"""Logs for the operator: what happened to which row, and never who or what was in it."""

import logging
import re
import sys
from collections import Counter
from typing import Any, TextIO

import structlog

MOST_A_MINUTE = 20  # lines of one library
_ADDRESS = re.compile(r"[^\s<>@\"']+@[^\s<>@\"']+")
_SECRET = re.compile(r"(/[ruc]/|\bfrom=|\+)[a-z2-7]{26,}")


def configure(*, as_json: bool, quiet: bool = False) -> None:
    """Sets up structlog, and lets libraries speak from WARNING on; `quiet` leaves only warnings."""
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        scrub,
    ]
    last = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.WARNING if quiet else logging.INFO
        ),
        # Asked for anew each time: whoever redirects stderr later is heard.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler_for_libraries(sys.stderr)])
    # It quotes what anybody sends; what fails in earnest viewer/connections.py logs.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def handler_for_libraries(stream: TextIO) -> logging.Handler:
    """What libraries say, scrubbed like our own, and no library more than a few lines a minute."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Scrubbed("%(name)s: %(message)s"))
    handler.addFilter(_Sparing())
    return handler


class _Scrubbed(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return str(_clean(super().format(record)))


class _Sparing(logging.Filter):
    """asyncio logs each connection that it cannot accept, a thousand a second."""

    def __init__(self) -> None:
        super().__init__()
        self.minute = 0
        self.said: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        minute = int(record.created // 60)
        if minute != self.minute:
            self.minute, self.said = minute, Counter()
        self.said[record.name] += 1
        return self.said[record.name] <= MOST_A_MINUTE


def scrub(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Takes addresses and tokens out of every text, tracebacks included."""
    return {name: _clean(value) for name, value in event.items()}


def _clean(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _SECRET.sub(r"\1…", _ADDRESS.sub("…@…", value))
