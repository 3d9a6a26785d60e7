"""New inputs from old ones: cut, doubled, crossed and sprinkled with the words of the protocol."""

import random
from collections.abc import Callable, Sequence

LARGEST = 6_000  # bytes of an input
Mutation = Callable[[random.Random, bytes, Sequence[bytes], Sequence[bytes]], bytes]


def _span(chance: random.Random, data: bytes) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + int(chance.expovariate(1 / 20)))


def _delete(chance: random.Random, data: bytes, _words: object, _others: object) -> bytes:
    start, end = _span(chance, data)
    return data[:start] + data[end:]


def _repeat(chance: random.Random, data: bytes, _words: object, _others: object) -> bytes:
    start, end = _span(chance, data)
    return data[:end] + data[start:end] * chance.choice((1, 2, 3, 30)) + data[end:]


def _move(chance: random.Random, data: bytes, _words: object, _others: object) -> bytes:
    start, end = _span(chance, data)
    rest = data[:start] + data[end:]
    to = chance.randrange(len(rest) + 1)
    return rest[:to] + data[start:end] + rest[to:]


def _flip(chance: random.Random, data: bytes, _words: object, _others: object) -> bytes:
    at = chance.randrange(len(data) or 1)
    return (
        data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :] if data else b"\0"
    )


def _byte(chance: random.Random, data: bytes, _words: object, _others: object) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + bytes([chance.randrange(256)]) + data[at + chance.randrange(2) :]


def _word(chance: random.Random, data: bytes, words: Sequence[bytes], _others: object) -> bytes:
    start, end = _span(chance, data)
    return data[:start] + chance.choice(words) + data[chance.choice((start, start, end)) :]


def _number(chance: random.Random, data: bytes, _words: object, _others: object) -> bytes:
    """Another number where one stands: sizes are what protocols trip over."""
    places = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if not places:
        return data
    at = chance.choice(places)
    number = str(chance.choice((0, 1, 2, 9, 10, 100, 4096, 65_536, 10**9, chance.randrange(500))))
    return data[:at] + number.encode() + data[at + 1 :]


def _cross(chance: random.Random, data: bytes, _words: object, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others)
    start, end = _span(chance, other)
    if chance.random() < 0.3:
        end = len(other)
    at = chance.randrange(len(data) + 1)
    return data[:at] + other[start:end] + data[chance.choice((at, len(data))) :]


MUTATIONS: list[Mutation] = [_delete, _repeat, _move, _flip, _byte, _word, _word, _number, _cross]


def mutated(
    chance: random.Random, data: bytes, words: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        data = chance.choice(MUTATIONS)(chance, data, words, others)
    return data[:LARGEST]
