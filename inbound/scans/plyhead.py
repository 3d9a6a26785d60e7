"""The header of a PLY: which elements follow, of which properties, in which byte order."""

import re
from dataclasses import dataclass, replace

from inbound.scans.mesh import AGAIN
from store.errors import ScanRefused

LONGEST = 64 << 10  # bytes; the longest header seen in the trade is below 2 KB
_END = re.compile(rb"(?:^|[\r\n])end_header[ \t]*(?:\r\n|\n|\r|$)")
_ORDERS = {"ascii": "text", "binary_little_endian": "<", "binary_big_endian": ">"}
# Both spellings of every type are in use; the values are numpy's.
_KINDS = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float": "f4",
    "double": "f8",
    "float32": "f4",
    "float64": "f8",
}


@dataclass(frozen=True)
class Property:
    """One value of a row, or a list of them.

    Attributes:
        kind: numpy's code of the value, with byte order ("<f4").
        counted: the code of the count before a list; "" for a single value.
    """

    name: str
    kind: str
    counted: str = ""


@dataclass(frozen=True)
class Element:
    """A table of the file: `count` rows of `properties`."""

    name: str
    count: int
    properties: tuple[Property, ...]

    def as_text(self) -> "Element":
        """The same rows once their text has become float64 numbers, counts included."""
        numbers = (replace(p, kind="<f8", counted=p.counted and "<f8") for p in self.properties)
        return replace(self, properties=tuple(numbers))


@dataclass(frozen=True)
class Header:
    """Attributes: text: whether rows are written as text; body: bytes before the first row; notes: comments."""

    text: bool
    elements: tuple[Element, ...]
    body: int
    notes: int = 0


def read_header(data: memoryview) -> Header:
    """The header of a PLY.

    Raises:
        ScanRefused: it does not end, or says something that PLY does not know.
    """
    start = bytes(data[:LONGEST])
    end = _END.search(start)
    if not end:
        raise ScanRefused(f"stops inside its header. {AGAIN}")
    lines = [line.split() for line in start[: end.start()].decode("latin-1").splitlines()]
    order = _order(lines)
    notes = sum(1 for line in lines if line[:1] in (["comment"], ["obj_info"]) and line[1:])
    return Header(order == "text", _elements(lines, order.replace("text", "<")), end.end(), notes)


def _order(lines: list[list[str]]) -> str:
    named = [line[1] for line in lines if line[:1] == ["format"]]
    return _ORDERS[named[0]]


def _elements(lines: list[list[str]], order: str) -> tuple[Element, ...]:
    elements: list[Element] = []
    for line in lines:
        if line[:1] == ["element"]:
            elements.append(Element(line[1], _count(line[2]), ()))
        elif line[:1] == ["property"]:
            last = elements.pop()
            grown = (*last.properties, _property(line[1:], order))
            elements.append(replace(last, properties=grown))
    return tuple(elements)


def _count(word: str) -> int:
    count = int(word)
    if count < 0:
        raise ScanRefused(f"declares {count:,} rows. {AGAIN}")
    return count


def _property(words: list[str], order: str) -> Property:
    if words[0] == "list":
        return Property(words[3], order + _KINDS[words[2]], order + _KINDS[words[1]])
    return Property(words[1], order + _KINDS[words[0]])
