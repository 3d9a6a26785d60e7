"""Fuzzes for so many seconds: python -m tests.fuzz [seconds] [target]; keeps what it learns.

An input that takes a new way through our code is kept in tests/fuzz/corpus/, and so is one that
breaks something, made smaller first (broken-…): `make test` tries them all from then on. A name that
begins with waiting- says that somebody knows and has not mended it yet.
"""

import logging
import random
import sys
import warnings
from time import monotonic

import structlog

from tests.fuzz.run import Fuzzing
from tests.fuzz.targets import TARGETS

SLICE = 10.0  # seconds of one target, then the next one


def main(seconds: float = 60, only: str | None = None) -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    warnings.simplefilter("error")
    chance = random.Random()
    fuzzing = {name: Fuzzing(name, chance) for name in TARGETS if only in (None, name)}
    end = monotonic() + seconds
    for one in fuzzing.values():
        one.try_corpus()
    while (left := end - monotonic()) > 0:
        for one in fuzzing.values():
            one.run(min(SLICE, left / len(fuzzing)))
    for name, one in fuzzing.items():
        print(
            f"{name:10} {one.tried:8} inputs, {one.kept:4} kept, {len(one.coverage.steps):5} steps"
        )
        for path, error in one.found.items():
            print(f"  FOUND {path}: {error!r}")
    return 1 if any(one.found for one in fuzzing.values()) else 0


if __name__ == "__main__":
    seconds, *rest = [*sys.argv[1:], *(["60"] if len(sys.argv) == 1 else [])]
    sys.exit(main(float(seconds), *rest))
