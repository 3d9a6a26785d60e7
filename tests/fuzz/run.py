"""One target at work: what is tried, what is kept, what has broken."""

import hashlib
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from tests.fuzz.coverage import ROOT, Coverage
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
WAITING = "waiting-"  # what such a file's name begins with breaks something that somebody knows of
LONGEST = 5.0  # seconds for one input, traced; none is larger than a few kilobytes
LARGEST_KEPT = 3_000  # bytes
MOST_KEPT = 150  # files of a target
SHRINKING = 200  # attempts to make what breaks smaller


class TooSlow(Exception):
    pass


class Fuzzing:
    def __init__(self, name: str, chance: random.Random) -> None:
        self.target = TARGETS[name]
        self.folder = CORPUS / name
        self.chance = chance
        self.coverage = Coverage()
        self.corpus: list[bytes] = []
        self.tried = 0
        self.kept = 0
        self.found: dict[str, Exception] = {}
        self.known = known_of(name)

    def try_corpus(self) -> None:
        """Seeds and kept inputs: what they reach is nothing new."""
        for data in [*self.target.seeds(), *corpus_of(self.folder)]:
            self.corpus.append(data)
            self._try(data)

    def run(self, seconds: float) -> None:
        end = monotonic() + seconds
        while monotonic() < end:
            data = mutated(
                self.chance, self.chance.choice(self.corpus), self.target.words, self.corpus
            )
            if self._try(data):
                self.corpus.append(data)
                self._keep(data)

    def _try(self, data: bytes) -> bool:
        """Whether the input has taken a new way; what breaks is written down."""
        self.tried += 1
        try:
            with _limited():
                return self.coverage.new_steps(lambda: self.target.run(data)) > 0
        except Exception as error:  # noqa: BLE001 -- whatever it is, it was found
            self._write_down(data, error)
            return False

    def _keep(self, data: bytes) -> None:
        self.kept += 1
        if len(data) <= LARGEST_KEPT and len(corpus_of(self.folder)) < MOST_KEPT:
            self._write("", data)

    def _write_down(self, data: bytes, error: Exception) -> None:
        if is_known(error, [*self.known, *self.found.values()]):
            return
        data = self._smaller(data, error)
        self.found[self._write("broken-", data)] = error

    def _smaller(self, data: bytes, error: Exception) -> bytes:
        for _ in range(SHRINKING):
            at = self.chance.randrange(len(data) or 1)
            size = self.chance.choice((1, 4, 30, 300))
            less = data[:at] + data[at + size :]
            if less != data and _breaks(self.target.run, less, error):
                data = less
        return data

    def _write(self, prefix: str, data: bytes) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{prefix}{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        return str(path.relative_to(ROOT))


def corpus_of(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*"))]


def known_of(name: str) -> list[Exception]:
    """What breaks in a target, is known, and waits to be mended."""
    found = (broken_by(name, path.read_bytes()) for path in (CORPUS / name).glob(f"{WAITING}*"))
    return [error for error in found if error]


def broken_by(name: str, data: bytes) -> Exception | None:
    try:
        with _limited():
            TARGETS[name].run(data)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it was found
        return error
    return None


def is_known(error: Exception, known: list[Exception]) -> bool:
    return any(_alike(error, other) for other in known)


def _breaks(run: Any, data: bytes, like: Exception) -> bool:
    try:
        with _limited():
            run(data)
    except Exception as error:  # noqa: BLE001 -- compared with what was found
        return _alike(error, like)
    return False


def _alike(one: BaseException, other: BaseException) -> bool:
    return type(one) is type(other) and _place(one) == _place(other)


def _place(error: BaseException) -> tuple[str, int]:
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno


@contextmanager
def _limited() -> Iterator[None]:
    def over(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
