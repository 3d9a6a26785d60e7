"""The data of a glTF 2.0: the container, its buffers, and accessors as numpy arrays.

Every number of the JSON is held against what is there before an array is made of it; an accessor that reaches
beyond its view, or a view beyond its buffer, is refused.
"""

import binascii
import json
import struct
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from inbound.scans.beside import Beside, base_name
from inbound.scans.mesh import AGAIN
from store.errors import ScanRefused

_MAGIC, _JSON, _BIN = b"glTF", b"JSON", b"BIN\0"
_MOST_JSON_MARKS = 4_000_000  # brackets and commas: what makes Python objects out of JSON
_MOST_EMPTY = 20_000_000  # rows of an accessor that says "all zero" and has no bytes
_KINDS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
Object = dict[str, Any]


class Data:
    """A glTF's JSON as `head`, and its arrays."""

    def __init__(self, data: memoryview, beside: Beside) -> None:
        text, self.body = _container(data)
        self.head = _parsed(text)
        if str(self.head.get("asset", {}).get("version", "2")).startswith("1"):
            raise _old()
        self.beside = beside
        self._buffers: dict[int, memoryview] = {}
        self._arrays: dict[int, NDArray[Any]] = {}

    def all(self, name: str) -> list[Object]:
        """A list of objects at the top of the JSON; [] where there is none."""
        found = self.head.get(name, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ValueError
        return found

    def one(self, name: str, number: Any) -> Object:
        return self.all(name)[index(number, len(self.all(name)))]

    def array(self, number: Any) -> NDArray[Any]:
        """(count, width) numbers of an accessor, in their own type."""
        number = index(number, len(self.all("accessors")))
        if number not in self._arrays:
            self._arrays[number] = self._accessor(self.all("accessors")[number])
        return self._arrays[number]

    def shares(self, number: Any) -> NDArray[np.float32]:
        """The same as float32: whole numbers that are called normalized become -1..1 (3.6.2.2)."""
        values = self.array(number)
        if values.dtype.kind == "f" or not self.one("accessors", number).get("normalized"):
            return values.astype(np.float32, copy=False)
        most = float(np.iinfo(values.dtype).max)
        shares: NDArray[np.float32] = np.maximum(values.astype(np.float32) / most, -1)
        return shares

    def view(self, number: Any) -> memoryview:
        """The bytes of a buffer view."""
        described = self.one("bufferViews", number)
        buffer = self._buffer(described.get("buffer"))
        start = size(described.get("byteOffset", 0))
        length = size(described.get("byteLength"))
        if start + length > len(buffer):
            raise _beyond()
        return buffer[start : start + length]

    def uri(self, value: Any, what: str) -> memoryview | None:
        """The bytes of a data: URI, or of a file beside this one; None if it is not there."""
        if not isinstance(value, str):
            raise ValueError  # noqa: TRY004 -- a reader's errors all become one sentence
        if not value.startswith("data:"):
            return self.beside.find(base_name(unquote(value[:1000])))
        head, comma, packed = value.partition(",")
        if not comma or not head.endswith(";base64"):
            raise ScanRefused(f"holds {what} in a form that is not read here. Export it as GLB.")
        return memoryview(binascii.a2b_base64(packed))

    def _buffer(self, number: Any) -> memoryview:
        number = index(number, len(self.all("buffers")))
        if number not in self._buffers:
            described = self.all("buffers")[number]
            length = size(described.get("byteLength"))
            found = self._bytes(described, number)
            if len(found) < length:
                raise ScanRefused(
                    f"stops after {len(found):,} of {length:,} bytes of its data. {AGAIN}"
                )
            self._buffers[number] = found[:length]
        return self._buffers[number]

    def _bytes(self, described: Object, number: int) -> memoryview:
        if "uri" not in described:
            if number or self.body is None:
                raise _beyond()
            return self.body
        found = self.uri(described["uri"], "its data")
        if found is None:
            name = shown(unquote(described["uri"][:1000]))
            raise ScanRefused(
                f"needs the file {name}, which cannot be had here. Export it as one GLB."
            )
        return found

    def _accessor(self, described: Object) -> NDArray[Any]:
        kind = np.dtype(_KINDS[described.get("componentType", 0)])
        width, count = _WIDTHS[described.get("type", "")], size(described.get("count"))
        if "bufferView" in described:
            start = size(described.get("byteOffset", 0))
            values = self._rows(described["bufferView"], start, kind, width, count)
        elif count > _MOST_EMPTY:
            raise _beyond()
        else:
            values = np.zeros((count, width), kind)
        return self._with_sparse(values, described["sparse"]) if "sparse" in described else values

    def _rows(
        self, view: Any, start: int, kind: "np.dtype[Any]", width: int, count: int
    ) -> NDArray[Any]:
        data = self.view(view)
        row = width * kind.itemsize
        stride = size(self.one("bufferViews", view).get("byteStride", row)) or row
        if stride < row or (count and start + stride * (count - 1) + row > len(data)):
            raise _beyond()
        return np.ndarray((count, width), kind, data, start, (stride, kind.itemsize))

    def _with_sparse(self, values: NDArray[Any], described: Object) -> NDArray[Any]:
        """3.6.2.3: some rows replaced by others."""
        count = size(described.get("count"))
        if count > len(values):
            raise _beyond()
        which, new = described["indices"], described["values"]
        kind = np.dtype(_KINDS[which.get("componentType", 0)])
        start = size(which.get("byteOffset", 0))
        rows = self._rows(which.get("bufferView"), start, kind, 1, count)[:, 0]
        if kind.kind != "u" or (rows >= len(values)).any():
            raise _beyond()
        start = size(new.get("byteOffset", 0))
        filled = values.copy()
        width = values.shape[1]
        filled[rows] = self._rows(new.get("bufferView"), start, values.dtype, width, count)
        return filled


def size(value: Any) -> int:
    """A count or an offset in the JSON: a whole number, not negative."""
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError
    return value


def index(value: Any, count: int) -> int:
    """The number of one of `count` things."""
    if type(value) is not int:
        raise ValueError
    if not 0 <= value < count:
        raise _beyond()
    return value


def shown(name: str) -> str:
    """A name out of the file as a letter may show it."""
    clean = "".join(letter for letter in base_name(name) if letter.isprintable())
    return clean[:60] or "with its data"


def _beyond() -> ScanRefused:
    return ScanRefused(f"refers to data that is not in it. {AGAIN}")


def _old() -> ScanRefused:
    return ScanRefused("is glTF of an old version. Export it as glTF 2.0, STL or PLY.")


def _container(data: memoryview) -> tuple[memoryview, memoryview | None]:
    """The JSON, and the binary chunk of a GLB (4.4)."""
    if bytes(data[:4]) != _MAGIC:
        return data, None
    if len(data) < 20:
        raise ScanRefused(f"stops inside its header. {AGAIN}")
    version, whole, length, kind = struct.unpack_from("<III4s", data, 4)
    if version != 2:
        raise _old()
    if whole > len(data):
        raise ScanRefused(f"stops after {len(data):,} of {whole:,} bytes. {AGAIN}")
    if kind != _JSON or 20 + length > whole:
        raise ValueError
    text, at = data[20 : 20 + length], 20 + length
    if at + 8 > whole:
        return text, None
    length, kind = struct.unpack_from("<I4s", data, at)
    if kind != _BIN or at + 8 + length > len(data):
        raise ValueError
    return text, data[at + 8 : at + 8 + length]


def _parsed(text: memoryview) -> Object:
    packed = bytes(text).removeprefix(b"\xef\xbb\xbf")
    if sum(packed.count(mark) for mark in (b"[", b"{", b",")) > _MOST_JSON_MARKS:
        raise ScanRefused(f"holds more parts than any scan. {AGAIN}")
    head = json.loads(packed)
    if not isinstance(head, dict):
        raise ValueError  # noqa: TRY004 -- a reader's errors all become one sentence
    return head
