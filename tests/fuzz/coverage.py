"""Which steps from line to line an input takes through our own code: what is new is worth keeping."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
WATCHED = str(ROOT / "inbound")
Step = tuple[str, int, int]


class Coverage:
    def __init__(self) -> None:
        self.steps: set[Step] = set()

    def new_steps(self, work: Callable[[], None]) -> int:
        """Runs the work; returns how many steps nobody took before."""
        taken: set[Step] = set()
        sys.settrace(_tracer(taken))
        try:
            work()
        finally:
            sys.settrace(None)
        before = len(self.steps)
        self.steps |= taken
        return len(self.steps) - before


def _tracer(taken: set[Step]) -> Callable[..., Any]:
    watched: dict[str, bool] = {}

    def called(frame: FrameType, _event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        if name not in watched:
            watched[name] = name.startswith(WATCHED)
        if not watched[name]:
            return None
        before = 0

        def stepped(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal before
            if event == "line":
                taken.add((name, before, frame.f_lineno))
                before = frame.f_lineno
            return stepped

        return stepped

    return called
