"""A short run of each target: what is kept, and a few inputs that nobody has tried."""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.fuzz.mutate import LARGEST, mutated
from tests.fuzz.run import (
    CORPUS,
    Fuzzing,
    broken_by,
    corpus_of,
    is_known,
    known_of,
)
from tests.fuzz.targets import TARGETS, Target

MUTATIONS = 200


def try_all(name: str, inputs: Iterable[bytes]) -> None:
    known = known_of(name)
    for data in inputs:
        error = broken_by(name, data)
        if error and not is_known(error, known):
            raise error


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_kept_inputs_break_nothing(name: str) -> None:
    try_all(name, [*TARGETS[name].seeds(), *corpus_of(CORPUS / name)])


@pytest.mark.parametrize("name", TARGETS)
def test_two_hundred_new_inputs_break_nothing(name: str) -> None:
    target, chance = TARGETS[name], random.Random(name)
    corpus = [*target.seeds(), *corpus_of(CORPUS / name)]
    made = [mutated(chance, chance.choice(corpus), target.words, corpus) for _ in range(MUTATIONS)]
    assert max(map(len, made)) <= LARGEST
    try_all(name, made)


def test_what_breaks_is_found_once_made_small_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fuzzer itself, on a target that breaks at one word."""

    def breaks(data: bytes) -> None:
        assert b"DATA" not in data

    fuzzing = Fuzzing("dialogue", random.Random(1))
    fuzzing.folder = tmp_path
    monkeypatch.setattr("tests.fuzz.run.ROOT", tmp_path)
    fuzzing.target = Target(breaks, list, [b"DATA"])
    fuzzing.corpus = [b"a" * 100]
    fuzzing.run(0.2)
    (path,) = fuzzing.found
    assert path.startswith("broken-")
    assert b"DATA" in (tmp_path / path).read_bytes()
    assert len((tmp_path / path).read_bytes()) < 100
