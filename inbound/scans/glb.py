"""GLB 2.0 (glTF in one binary file): the form in which the browser and the picture job get a scan.

Coordinates stay in millimetres, as measured, and `asset.extras.unit` says so; glTF's metres would cost a
rounding of every coordinate. Colours are linear light, as glTF 2.0 section 3.7.2.1 asks of COLOR_0, so
three.js shows the scanner's sRGB bytes as they were.
"""

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import Bytes, Mesh

_MAGIC, _VERSION = b"glTF", 2
_JSON, _BIN = b"JSON", b"BIN\0"
_FLOAT, _BYTE, _SHORT, _INT = 5126, 5121, 5123, 5125
_VERTEX_DATA, _INDEX_DATA = 34962, 34963
_MOST_SHORT = 65_535  # the value itself is reserved: it restarts a strip


def _curve() -> tuple[Bytes, Bytes]:
    """SRGB bytes to linear bytes, and back (IEC 61966-2-1)."""
    share = np.arange(256) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    srgb = np.where(share <= 0.0031308, share * 12.92, 1.055 * share ** (1 / 2.4) - 0.055)
    return np.rint(linear * 255).astype(np.uint8), np.rint(srgb * 255).astype(np.uint8)


_TO_LINEAR, _TO_SRGB = _curve()


def pack(mesh: Mesh) -> bytes:
    """The mesh as one GLB: POSITION, COLOR_0 where it has colours, indices of 16 or 32 bits."""
    views = [mesh.vertices.astype("<f4", copy=False).tobytes()]
    if mesh.colours is not None:
        views.append(_linear(mesh.colours).tobytes())
    short = len(mesh.vertices) <= _MOST_SHORT
    views.append(mesh.faces.astype("<u2" if short else "<u4").tobytes())
    views[-1] += bytes(-len(views[-1]) % 4)
    head = json.dumps(_describe(mesh, views, short), separators=(",", ":")).encode()
    head += b" " * (-len(head) % 4)
    return b"".join(_chunks(head, views))


def unpack(data: bytes) -> Mesh:
    """A GLB of `pack` read back; colours return to sRGB, within the rounding of 8-bit linear light."""
    length = struct.unpack_from("<I", data, 12)[0]
    described = json.loads(data[20 : 20 + length])
    arrays = [_array(data, 28 + length, described, number) for number in _accessors(described)]
    positions, *colours, indices = arrays
    srgb = _TO_SRGB[colours[0][:, :3]] if colours else None
    return Mesh(positions, indices.reshape(-1, 3).astype(np.int32), srgb)


def _linear(colours: Bytes) -> Bytes:
    """(n, 4): an opaque alpha keeps each vertex on four bytes, as glTF asks."""
    padded = np.full((len(colours), 4), 255, np.uint8)
    padded[:, :3] = _TO_LINEAR[colours]
    return padded


def _chunks(head: bytes, views: list[bytes]) -> list[bytes]:
    body = sum(map(len, views))
    whole = 12 + 8 + len(head) + 8 + body
    start = struct.pack("<4sII", _MAGIC, _VERSION, whole)
    return [
        start,
        struct.pack("<I4s", len(head), _JSON),
        head,
        struct.pack("<I4s", body, _BIN),
        *views,
    ]


def _describe(mesh: Mesh, views: list[bytes], short: bool) -> dict[str, Any]:
    coloured = mesh.colours is not None
    attributes = {"POSITION": 0, "COLOR_0": 1} if coloured else {"POSITION": 0}
    primitive = {"attributes": attributes, "indices": len(views) - 1, "material": 0}
    return {
        "asset": {"version": "2.0", "generator": "scanpost", "extras": {"unit": "mm"}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "materials": [
            {
                "doubleSided": True,
                "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 0.6},
            }
        ],
        "meshes": [{"primitives": [primitive]}],
        "accessors": _described_accessors(mesh, short),
        "bufferViews": _described_views(views),
        "buffers": [{"byteLength": sum(map(len, views))}],
    }


def _described_accessors(mesh: Mesh, short: bool) -> list[dict[str, Any]]:
    count = len(mesh.vertices)
    box = {"min": mesh.vertices.min(axis=0).tolist(), "max": mesh.vertices.max(axis=0).tolist()}
    accessors = [{"componentType": _FLOAT, "type": "VEC3", "count": count, **box}]
    if mesh.colours is not None:
        accessors.append(
            {"componentType": _BYTE, "normalized": True, "type": "VEC4", "count": count}
        )
    kind = _SHORT if short else _INT
    accessors.append({"componentType": kind, "type": "SCALAR", "count": mesh.faces.size})
    return [{"bufferView": number, **accessor} for number, accessor in enumerate(accessors)]


def _described_views(views: list[bytes]) -> list[dict[str, int]]:
    described: list[dict[str, int]] = []
    offset = 0
    for view in views:
        last = len(described) == len(views) - 1
        target = _INDEX_DATA if last else _VERTEX_DATA
        described.append(
            {"buffer": 0, "byteOffset": offset, "byteLength": len(view), "target": target}
        )
        offset += len(view)
    return described


def _accessors(described: dict[str, Any]) -> list[int]:
    primitive = described["meshes"][0]["primitives"][0]
    return [*primitive["attributes"].values(), primitive["indices"]]


def _array(data: bytes, start: int, described: dict[str, Any], number: int) -> NDArray[Any]:
    accessor = described["accessors"][number]
    view = described["bufferViews"][accessor["bufferView"]]
    kind = {_FLOAT: "<f4", _BYTE: "u1", _SHORT: "<u2", _INT: "<u4"}[accessor["componentType"]]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    flat = np.frombuffer(data, kind, accessor["count"] * width, start + view["byteOffset"])
    return flat.reshape(-1, width)
