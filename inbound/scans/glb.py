"""GLB 2.0 as the browser gets a scan: positions on a fine grid, packed by meshopt, small on the wire.

Coordinates are whole steps of 2.2 µm (the full mesh) or 6 µm (previews), 16 bits each; the node's
translation and scale make millimetres of them again, and `asset.extras.unit` says so. No point moves by
more than 1.9 µm, which is what a scanner's noise leaves of a 16-bit grid over the whole box, at fewer
bytes; a part of more than 144 mm gets steps as coarse as 16 bits allow.

Colours are linear light, as glTF 2.0 section 3.7.2.1 asks of COLOR_0. The streams are those of
KHR_meshopt_compression (vertex codec 1), which packs scans a tenth tighter than its EXT predecessor;
whoever stores them compresses once more.
"""

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import meshopt
import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import Bytes, Floats, Mesh, extent
from inbound.scans.srgb import LIGHT, as_bytes

MEASURED, LOOKED_AT = 0.0022, 0.006  # mm a step
_MESHOPT, _QUANTIZED, _WEBP = (
    "KHR_meshopt_compression",
    "KHR_mesh_quantization",
    "EXT_texture_webp",
)
_MAGIC, _VERSION = b"glTF", 2
_JSON, _BIN = b"JSON", b"BIN\0"
_FLOAT, _BYTE, _SHORT, _INT = 5126, 5121, 5123, 5125
_VERTEX_DATA, _INDEX_DATA = 34962, 34963
_MOST_SHORT = 65_535  # the value itself is reserved: it restarts a strip
_LEVEL, _CODEC = 2, 1  # of meshopt's vertex streams; a higher level gains nothing on scans


_TO_LINEAR = np.rint(LIGHT * 255).astype(np.uint8)
_TO_SRGB = as_bytes(np.arange(256) / 255)


def pack(mesh: Mesh, step: float = MEASURED) -> bytes:
    """The mesh as one GLB, its triangles and vertices in an order that packs well.

    Args:
        step: mm between neighbouring places of a coordinate; coarser where the mesh needs it.
    """
    faces, place, count = meshopt.reorder_mesh(
        mesh.faces.astype(np.uint32).ravel(), triangles=True, optsize=True
    )
    low, high = (corner.astype(np.float64) for corner in extent(mesh.vertices))
    step = max(step, float((high - low).max()) / _MOST_SHORT)
    file = _File()
    file.add("POSITION", _in_order(_on_grid(mesh.vertices, low, step), place, count), 3)
    if mesh.colours is not None:
        file.add("COLOR_0", _in_order(_linear(mesh.colours), place, count), 4)
    if mesh.uvs is not None and mesh.texture is not None:
        file.add("TEXCOORD_0", _in_order(mesh.uvs, place, count), 2)
    file.add_triangles(np.asarray(faces, np.uint32), count)
    if mesh.uvs is not None and mesh.texture is not None:
        file.add_texture(mesh.texture)
    return file.written(low.tolist(), step)


def unpack(data: bytes) -> Mesh:
    """A GLB of `pack` read back: millimetres, colours in sRGB within the rounding of 8-bit linear light."""
    length = struct.unpack_from("<I", data, 12)[0]
    about = json.loads(data[20 : 20 + length])
    body = memoryview(data)[28 + length :]
    primitive = about["meshes"][0]["primitives"][0]
    found = {name: _read(body, about, number) for name, number in primitive["attributes"].items()}
    node = about["nodes"][0]
    low, step = np.array(node["translation"]), node["scale"][0]
    vertices = (found["POSITION"][:, :3] * step + low).astype(np.float32)
    colours = _TO_SRGB[found["COLOR_0"][:, :3]] if "COLOR_0" in found else None
    faces = _read(body, about, primitive["indices"]).reshape(-1, 3).astype(np.int32)
    return Mesh(vertices, faces, colours, found.get("TEXCOORD_0"), _image(body, about))


@dataclass
class _File:
    """A GLB in the making: its views, one after another, and what says how to read them."""

    pieces: list[bytes] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)
    attributes: dict[str, int] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    unpacked: int = 0

    def add(self, name: str, rows: NDArray[Any], width: int) -> None:
        """A value for each vertex, of `width` numbers; rows fill whole words of four bytes."""
        kind = {"u2": _SHORT, "u1": _BYTE, "f4": _FLOAT}[rows.dtype.str[1:]]
        accessor: dict[str, Any] = {
            "componentType": kind,
            "type": f"VEC{width}",
            "count": len(rows),
        }
        if kind == _BYTE:
            accessor["normalized"] = True
        if name == "POSITION":
            low, high = extent(rows[:, :3])
            accessor |= {"min": low.tolist(), "max": high.tolist()}
        packed = meshopt.encode_vertex_buffer_level(np.ascontiguousarray(rows), _LEVEL, _CODEC)
        stride = rows.itemsize * rows.shape[1]
        view = {"byteStride": stride, "target": _VERTEX_DATA}
        self._add_packed(bytes(packed), len(rows), stride, "ATTRIBUTES", view)
        self.attributes[name] = self._accessor(accessor)

    def add_triangles(self, corners: NDArray[np.uint32], vertices: int) -> None:
        short = vertices <= _MOST_SHORT
        packed = meshopt.encode_index_buffer(corners)
        view = {"target": _INDEX_DATA}
        self._add_packed(bytes(packed), len(corners), 2 if short else 4, "TRIANGLES", view)
        kind = _SHORT if short else _INT
        self._accessor({"componentType": kind, "type": "SCALAR", "count": len(corners)})

    def add_texture(self, image: bytes) -> None:
        self.images.append({"bufferView": len(self.views), "mimeType": _mime(image)})
        self.views.append({"buffer": 0, "byteOffset": self.size, "byteLength": len(image)})
        self._append(image)

    def written(self, low: list[float], step: float) -> bytes:
        """The whole file."""
        head = json.dumps(self._described(low, step), separators=(",", ":")).encode()
        head += b" " * (-len(head) % 4)
        whole = 12 + 8 + len(head) + 8 + self.size
        start = struct.pack("<4sII", _MAGIC, _VERSION, whole)
        chunks = [start, struct.pack("<I4s", len(head), _JSON), head]
        return b"".join([*chunks, struct.pack("<I4s", self.size, _BIN), *self.pieces])

    def _add_packed(
        self, packed: bytes, count: int, stride: int, mode: str, view: dict[str, Any]
    ) -> None:
        stream = {"buffer": 0, "byteOffset": self.size, "byteLength": len(packed)}
        stream |= {"byteStride": stride, "count": count, "mode": mode}  # type: ignore[dict-item]
        where = {"buffer": 1, "byteOffset": self.unpacked, "byteLength": count * stride}
        self.views.append({**where, **view, "extensions": {_MESHOPT: stream}})
        self.unpacked += count * stride + -(count * stride) % 4
        self._append(packed)

    def _append(self, piece: bytes) -> None:
        piece += bytes(-len(piece) % 4)
        self.pieces.append(piece)
        self.size += len(piece)

    def _accessor(self, accessor: dict[str, Any]) -> int:
        self.accessors.append({"bufferView": len(self.views) - 1, **accessor})
        return len(self.accessors) - 1

    def _described(self, low: list[float], step: float) -> dict[str, Any]:
        primitive = {
            "attributes": self.attributes,
            "indices": len(self.accessors) - 1,
            "material": 0,
        }
        needed = [_MESHOPT, _QUANTIZED]
        surface: dict[str, Any] = {"metallicFactor": 0, "roughnessFactor": 0.6}
        described: dict[str, Any] = {}
        if self.images:
            surface["baseColorTexture"] = {"index": 0}
            texture: dict[str, Any] = {"source": 0}
            if self.images[0]["mimeType"] == "image/webp":
                needed.append(_WEBP)
                texture = {"extensions": {_WEBP: {"source": 0}}}
            described = {"images": self.images, "textures": [texture]}
        return {
            "asset": {"version": "2.0", "generator": "scanpost", "extras": {"unit": "mm"}},
            "extensionsUsed": needed,
            "extensionsRequired": needed,
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "translation": low, "scale": [step] * 3}],
            "materials": [{"doubleSided": True, "pbrMetallicRoughness": surface}],
            "meshes": [{"primitives": [primitive]}],
            **described,
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [
                {"byteLength": self.size},
                # What the streams unpack to: nobody stores it, and the extension asks for its size.
                {"byteLength": self.unpacked, "extensions": {_MESHOPT: {"fallback": True}}},
            ],
        }


def _on_grid(vertices: Floats, low: NDArray[np.float64], step: float) -> NDArray[np.uint16]:
    """(n, 4): three coordinates in steps, and a zero that fills the word."""
    steps = np.zeros((len(vertices), 4), np.uint16)
    steps[:, :3] = np.rint((vertices - low) / step)
    return steps


def _linear(colours: Bytes) -> Bytes:
    """(n, 4): an opaque alpha keeps each vertex on four bytes, as glTF asks."""
    padded = np.full((len(colours), 4), 255, np.uint8)
    padded[:, :3] = _TO_LINEAR[colours]
    return padded


def _in_order(rows: NDArray[Any], place: NDArray[np.uint32], count: int) -> NDArray[Any]:
    """The rows where the new order puts them; vertices without a triangle have no place in it."""
    ordered = np.empty((count, rows.shape[1]), rows.dtype)
    used = place < count
    ordered[place[used]] = rows[: len(place)][used]
    return ordered


def _mime(image: bytes) -> str:
    if image.startswith(b"\x89PNG"):
        return "image/png"
    return "image/webp" if image[8:12] == b"WEBP" else "image/jpeg"


def _read(body: memoryview, about: dict[str, Any], number: int) -> NDArray[Any]:
    """The rows of an accessor; indices come as one row of numbers."""
    accessor = about["accessors"][number]
    stream = about["bufferViews"][accessor["bufferView"]]["extensions"][_MESHOPT]
    start, count, stride = stream["byteOffset"], stream["count"], stream["byteStride"]
    packed = bytes(body[start : start + stream["byteLength"]])
    if stream["mode"] == "TRIANGLES":
        return np.asarray(meshopt.decode_index_buffer(packed, count, 4)).view(np.uint32)
    rows = np.asarray(meshopt.decode_vertex_buffer(packed, count, stride)).reshape(-1)
    kind = {_FLOAT: np.float32, _BYTE: np.uint8, _SHORT: np.uint16}[accessor["componentType"]]
    return rows.view(kind).reshape(count, -1)


def _image(body: memoryview, about: dict[str, Any]) -> bytes | None:
    if not about.get("images"):
        return None
    view = about["bufferViews"][about["images"][0]["bufferView"]]
    return bytes(body[view["byteOffset"] : view["byteOffset"] + view["byteLength"]])
