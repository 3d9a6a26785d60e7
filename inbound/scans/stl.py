"""STL, binary and text, read with numpy.

Binary: 80 bytes of header, a count, 50 bytes a triangle (normal, three corners, attribute word); little-endian.
Text: `solid`, then `facet` / `outer loop` / three `vertex` lines / `endloop` / `endfacet`, then `endsolid`.
"""

import re

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import (
    AGAIN,
    Floats,
    Mesh,
    checked,
    in_plain_words,
    stops_early,
)
from inbound.scans.numbers import numbers
from inbound.scans.sniff import (
    HEAD,
    STL_HEADER,
    STL_TRIANGLE,
    declared_triangles,
    is_ascii_stl,
)
from store.errors import ScanRefused

TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_CHUNK = 8 << 20  # bytes of text in hand at a time
_FACET_END = re.compile(rb"endfacet", re.IGNORECASE)
_VERTEX = re.compile(rb"\bvertex\s+([^\sa-z]\S*\s+\S+\s+\S+)", re.IGNORECASE)
_FACET = re.compile(rb"\bfacet\s+(?:normal|outer)\b", re.IGNORECASE)
_NAME = re.compile(rb"^[ \t]*solid[ \t]+\S", re.IGNORECASE | re.MULTILINE)
_CLOSING = re.compile(rb"\s*endsolid\b", re.IGNORECASE)


def read(data: memoryview) -> Mesh:
    """The triangles of an STL, corner by corner: 3 vertices a face, not yet welded.

    Raises:
        ScanRefused: the file is cut, lies about its size, or holds no usable surface.
    """
    with in_plain_words("STL"):
        text = is_ascii_stl(bytes(data[:HEAD]), len(data))
        corners = _read_text(data) if text else _read_binary(data)
        faces = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
        return checked(corners, faces)


def notes(data: memoryview) -> int:
    """How many notes an STL that was read holds: its header or name, and attribute words."""
    head = bytes(data[:HEAD])
    if is_ascii_stl(head, len(data)):
        return len(_NAME.findall(bytes(data))) if len(data) <= _CHUNK else bool(_NAME.search(head))
    records: NDArray[np.void] = np.frombuffer(data, TRIANGLE, declared_triangles(head), STL_HEADER)
    named = bytes(head[:80]).strip(b"\0 \r\n\t")
    return bool(named) + bool(records["attribute"].any())


def write(corners: Floats) -> bytes:
    """A binary STL of (m, 3, 3) corners: empty header, zero normals, no attributes.

    Zero normals are legal (readers compute them) and keep what the file says of the scanner at nothing.
    """
    records = np.zeros(len(corners), TRIANGLE)
    records["corners"] = corners
    return bytes(80) + len(corners).to_bytes(4, "little") + records.tobytes()


def _read_binary(data: memoryview) -> Floats:
    """(3m, 3) corners; the declared count is held against the size before anything is allocated."""
    if len(data) < STL_HEADER:
        raise ScanRefused(f"stops inside its header. {AGAIN}")
    declared = declared_triangles(bytes(data[:STL_HEADER]))
    _refuse_wrong_size(data, declared)
    records: NDArray[np.void] = np.frombuffer(data, TRIANGLE, declared, STL_HEADER)
    return np.ascontiguousarray(records["corners"]).astype(np.float32, copy=False).reshape(-1, 3)


def _refuse_wrong_size(data: memoryview, declared: int) -> None:
    present, rest = divmod(len(data) - STL_HEADER, STL_TRIANGLE)
    if present < declared:
        raise stops_early(present, declared, "triangles")
    # A line end or padding that a mail program or a disk added is no reason to send a scan back.
    padded = present == declared and not bytes(data[len(data) - rest :]).strip(b"\0\r\n \x1a")
    if present > declared or not padded:
        raise ScanRefused(
            f"declares {declared:,} triangles and goes on after them, up to {present:,}. {AGAIN}"
        )


def _read_text(data: memoryview) -> Floats:
    blocks = []
    start = triangles = 0
    while start < len(data):
        stop = _next_cut(data, start)
        block = _corners(bytes(data[start:stop]), triangles)
        triangles += len(block) // 3
        blocks.append(block)
        start = stop
    _refuse_unclosed(data, triangles)
    return np.concatenate(blocks)


def _next_cut(data: memoryview, start: int) -> int:
    """The end of a facet a chunk further on, or the end of the file."""
    found = _FACET_END.search(data, min(start + _CHUNK, len(data)))
    return found.end() if found else len(data)


def _corners(text: bytes, before: int) -> Floats:
    """(3m, 3) corners of the whole facets in `text`; `before` triangles came earlier in the file."""
    lines = _VERTEX.findall(text)
    facets, whole = len(_FACET.findall(text)), len(_FACET_END.findall(text))
    if len(lines) != 3 * facets or whole != facets:
        raise ScanRefused(f"stops after {before + whole:,} triangles, inside the next. {AGAIN}")
    return numbers(b"\n".join(lines), 9 * facets).astype(np.float32).reshape(-1, 3)


def _refuse_unclosed(data: memoryview, triangles: int) -> None:
    """A text STL that was cut between two facets shows it only by its missing `endsolid`."""
    tail = bytes(data[-8192:])
    last = tail.lower().rfind(b"endfacet")
    if triangles and not _CLOSING.match(tail[last + len(b"endfacet") :]):
        raise ScanRefused(f"stops after {triangles:,} triangles, without its last line. {AGAIN}")
