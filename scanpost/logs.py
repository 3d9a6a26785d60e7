"""Logs for the operator: what happened to which row, and never who or what was in it."""

import logging
import re
import sys
from typing import Any

import structlog

_ADDRESS = re.compile(r"[^\s<>@\"']+@[^\s<>@\"']+")
_SECRET = re.compile(r"(/[ru]/|\+)[a-z2-7]{26}\b")


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
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")


def scrub(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Takes addresses and tokens out of every text, tracebacks included."""
    return {name: _clean(value) for name, value in event.items()}


def _clean(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _SECRET.sub(r"\1…", _ADDRESS.sub("…@…", value))
