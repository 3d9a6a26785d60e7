"""The copy of a scan as GLB (glTF 2.0) for other people's programs: geometry, colours, texture, no word of anyone.

The numbers stay millimetres, bit for bit; the one node makes metres of them, which glTF asks for.
"""

import json
import struct
from typing import Any

import numpy as np

from inbound.scans.mesh import Bytes, Mesh
from inbound.scans.sniff import Format, sniff
from inbound.scans.srgb import LIGHT

_FLOAT, _SHORT, _INT = 5126, 5123, 5125
_VERTEX_DATA, _INDEX_DATA = 34962, 34963
_METRES = 0.001
_MIME = {Format.JPEG: "image/jpeg", Format.PNG: "image/png", Format.WEBP: "image/webp"}


def write(mesh: Mesh) -> bytes:
    """A GLB of one mesh: POSITION, COLOR_0 or TEXCOORD_0 where it has them, indices."""
    views: list[bytes] = []
    described = _described(mesh, views)
    head = json.dumps(described, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 4)
    body = b"".join(views)
    start = struct.pack("<4sII", b"glTF", 2, 28 + len(head) + len(body))
    chunk = struct.pack("<I4s", len(body), b"BIN\0")
    return b"".join([start, struct.pack("<I4s", len(head), b"JSON"), head, chunk, body])


def _described(mesh: Mesh, views: list[bytes]) -> dict[str, Any]:
    """The JSON; the bytes that it refers to are put into `views`."""
    attributes: dict[str, int] = {"POSITION": 0}
    box = {"min": mesh.vertices.min(axis=0).tolist(), "max": mesh.vertices.max(axis=0).tolist()}
    count = len(mesh.vertices)
    accessors: list[dict[str, Any]] = [_accessor(0, _FLOAT, "VEC3", count) | box]
    views.append(mesh.vertices.astype("<f4", copy=False).tobytes())
    if mesh.uvs is not None:
        attributes["TEXCOORD_0"] = len(views)
        accessors.append(_accessor(len(views), _FLOAT, "VEC2", count))
        views.append(mesh.uvs.astype("<f4", copy=False).tobytes())
    if mesh.colours is not None:
        attributes["COLOR_0"] = len(views)
        accessors.append(_accessor(len(views), _SHORT, "VEC4", count) | {"normalized": True})
        views.append(_linear(mesh.colours).tobytes())
    indices = len(views)
    accessors.append(_accessor(indices, _INT, "SCALAR", mesh.faces.size))
    views.append(mesh.faces.astype("<u4").tobytes())
    primitive = {"attributes": attributes, "indices": indices, "material": 0}
    head = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "scale": [_METRES] * 3}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [_material(mesh)],
        "accessors": accessors,
        **_texture(mesh, views),
    }
    return head | {"bufferViews": _views(views, indices), "buffers": [_buffer(views)]}


def _accessor(view: int, kind: int, width: str, count: int) -> dict[str, Any]:
    return {"bufferView": view, "componentType": kind, "type": width, "count": count}


def _material(mesh: Mesh) -> dict[str, Any]:
    look: dict[str, Any] = {"metallicFactor": 0, "roughnessFactor": 0.6}
    if mesh.texture is not None:
        look["baseColorTexture"] = {"index": 0}
    return {"doubleSided": True, "pbrMetallicRoughness": look}


def _texture(mesh: Mesh, views: list[bytes]) -> dict[str, Any]:
    if mesh.texture is None:
        return {}
    kind = sniff(mesh.texture[:4096], len(mesh.texture))
    views.append(mesh.texture + bytes(-len(mesh.texture) % 4))
    image = {"bufferView": len(views) - 1, "mimeType": _MIME[kind]}
    if kind is not Format.WEBP:
        return {"images": [image], "textures": [{"source": 0}]}
    extension = "EXT_texture_webp"
    texture = {"extensions": {extension: {"source": 0}}}
    used = {"extensionsUsed": [extension], "extensionsRequired": [extension]}
    return {"images": [image], "textures": [texture], **used}


def _views(views: list[bytes], indices: int) -> list[dict[str, int]]:
    described, offset = [], 0
    for number, view in enumerate(views):
        one = {"buffer": 0, "byteOffset": offset, "byteLength": len(view)}
        if number <= indices:
            one["target"] = _INDEX_DATA if number == indices else _VERTEX_DATA
        described.append(one)
        offset += len(view)
    return described


def _buffer(views: list[bytes]) -> dict[str, int]:
    return {"byteLength": sum(map(len, views))}


def _linear(colours: Bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """(n, 4) linear light in 16 bits, from which each sRGB byte comes back as it was; an opaque alpha."""
    table = np.rint(LIGHT * 65535).astype("<u2")
    padded = np.full((len(colours), 4), 65535, "<u2")
    padded[:, :3] = table[colours]
    return padded
