"""The only place that asks the time. Every time is UTC, in whole milliseconds since 1970."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock(Protocol):
    def now(self) -> int:
        """Milliseconds since 1970-01-01T00:00Z."""
        ...


class SystemClock:
    def now(self) -> int:
        return time.time_ns() // 1_000_000


class MovedClock:
    """The system's clock, moved by the seconds that a file holds: lets a test age a live process."""

    def __init__(self, offset_file: Path) -> None:
        self.offset_file = offset_file

    def now(self) -> int:
        return SystemClock().now() + self._offset()

    def _offset(self) -> int:
        try:
            return int(float(self.offset_file.read_text()) * SECOND)
        except (FileNotFoundError, ValueError):
            return 0


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self, now: int = 1_790_000_000_000) -> None:
        self.time = now

    def now(self) -> int:
        return self.time

    def advance(self, milliseconds: int) -> None:
        self.time += milliseconds


def in_words(moment: int) -> str:
    """A moment as people write it: "29 November 2026, 10:00 UTC"."""
    when = datetime.fromtimestamp(moment / SECOND, UTC)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def day_in_words(moment: int) -> str:
    """The day of a moment: "29 November"."""
    when = datetime.fromtimestamp(moment / SECOND, UTC)
    return f"{when.day} {when:%B}"
