"""GLB and glTF 2.0: the triangles of the scene in their places, with colours and textures.

Materials beyond colour, skins, morphs and cameras are passed over. glTF's unit is the metre, and many dental
programs write millimetres all the same: what would be longer than a metre is taken for millimetres.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbound.scans.assembly import (
    MOST_PLACES,
    Bounds,
    Matrix,
    Piece,
    joined,
    placed_in,
    too_many_places,
)
from inbound.scans.beside import Beside
from inbound.scans.found import Found
from inbound.scans.gltfdata import Data, Object, index, shown
from inbound.scans.mesh import AGAIN, Bytes, Floats, Wide, in_plain_words
from inbound.scans.srgb import as_bytes
from inbound.scans.texture import Colour
from store.errors import ScanRefused

_LONGEST_METRES = 1.0  # of a scan that is really measured in metres
_MM = 1000.0
_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_RESTART = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF}
# What a file may ask for and what is read here, or may be left out without a change of shape or colour.
_KNOWN = re.compile(
    r"KHR_mesh_quantization|KHR_texture_transform|EXT_texture_webp|KHR_lights_punctual"
    r"|KHR_materials_[a-zA-Z_]+|KHR_techniques?_webgl|KHR_xmp[a-zA-Z_]*"
)
_NAMED = (
    *("accessors", "animations", "buffers", "bufferViews", "cameras", "images", "materials"),
    *("meshes", "nodes", "samplers", "scenes", "skins", "textures"),
)


def read(data: memoryview, beside: Beside) -> Found:
    """The default scene of a GLB or glTF, in millimetres.

    Raises:
        ScanRefused: it refers to what is not there, needs what is not read here, or has no usable surface.
    """
    with in_plain_words("glTF"):
        source = Data(data, beside)
        _refuse_unknown_needs(source.head.get("extensionsRequired", []))
        images = _Images(source)
        pieces = list(_pieces(source, images))
        unit, scale = _unit(source.head, pieces)
        mesh = joined(pieces, images.data, scale)
        return Found(mesh, unit, _notes(source.head), frozenset(beside.used))


def _refuse_unknown_needs(needed: Any) -> None:
    for name in needed:
        if not isinstance(name, str) or not _KNOWN.fullmatch(name):
            raise ScanRefused(
                f"is packed with {shown(str(name)[:200])}, which is not read here. Export it without"
                " compression, or as STL or PLY."
            )


def _unit(head: Object, pieces: list[Piece]) -> tuple[str, float]:
    asset = head.get("asset")
    extras = asset.get("extras") if isinstance(asset, dict) else None
    if isinstance(extras, dict) and extras.get("unit") == "mm":
        return "mm", 1.0
    boxes = []
    for piece in pieces:
        if len(piece.vertices):
            low, high = piece.vertices.min(axis=0), piece.vertices.max(axis=0)
            corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
            boxes.append(placed_in(corners.astype(np.float32), piece.matrix))
    if not boxes:
        return "", 1.0
    every = np.concatenate(boxes).astype(np.float64)
    longest = (every.max(axis=0) - every.min(axis=0)).max()
    return ("m", _MM) if longest <= _LONGEST_METRES else ("", 1.0)


# ---------------------------------------------------------------- the scene


def _pieces(source: Data, images: "_Images") -> Iterator[Piece]:
    surfaces: dict[int, list[Piece]] = {}
    read, placed = Bounds(), Bounds()
    for mesh, matrix in _places(source):
        number = index(mesh, len(source.all("meshes")))
        if number not in surfaces:
            surfaces[number] = _surfaces(source, source.all("meshes")[number], images, read)
        for piece in surfaces[number]:
            placed.add(piece)
            yield replace(piece, matrix=matrix)


def _places(source: Data) -> Iterator[tuple[Any, Matrix]]:
    """Each mesh that the scene shows and where. Steps are counted, so nodes in a circle come to an end."""
    nodes = source.all("nodes")
    if not nodes:
        yield from ((number, np.eye(4)) for number in range(len(source.all("meshes"))))
        return
    waiting = [(root, np.eye(4)) for root in reversed(_roots(source, nodes))]
    steps = 0
    while waiting:
        steps += 1
        if steps > 10 * MOST_PLACES or len(waiting) > 10 * MOST_PLACES:
            raise too_many_places()
        number, matrix = waiting.pop()
        node = nodes[index(number, len(nodes))]
        with np.errstate(all="ignore"):  # places too far away are refused as such
            matrix = matrix @ _matrix(node)
        if "mesh" in node:
            yield node["mesh"], matrix
        children = node.get("children", [])
        waiting += [(child, matrix) for child in reversed(children[: 10 * MOST_PLACES + 1])]


def _roots(source: Data, nodes: list[Object]) -> list[Any]:
    if source.all("scenes"):
        scene = source.one("scenes", source.head.get("scene", 0))
        return list(scene.get("nodes", []))
    children = {child for node in nodes for child in node.get("children", [])}
    return [number for number in range(len(nodes)) if number not in children]


def _matrix(node: Object) -> Matrix:
    if "matrix" in node:
        return _numbers(node["matrix"], 16).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = _numbers(node.get("rotation", [0, 0, 0, 1]), 4).tolist()
    with np.errstate(all="ignore"):
        turn = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        matrix[:3, :3] = turn * _numbers(node.get("scale", [1, 1, 1]), 3)
    matrix[:3, 3] = _numbers(node.get("translation", [0, 0, 0]), 3)
    return matrix


def _numbers(values: Any, count: int) -> NDArray[np.float64]:
    numbers = np.array([float(value) for value in values[: count + 1]])
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ScanRefused(f"places a part where there is no place. {AGAIN}")
    return numbers


# ---------------------------------------------------------------- surfaces


def _surfaces(source: Data, mesh: Object, images: "_Images", read: Bounds) -> list[Piece]:
    found = []
    for primitive in mesh.get("primitives", [])[: MOST_PLACES + 1]:
        mode = primitive.get("mode", _TRIANGLES)
        attributes = primitive.get("attributes", {})
        if mode in (_TRIANGLES, _STRIP, _FAN) and "POSITION" in attributes:
            found.append(_surface(source, primitive, mode, images))
            read.add(found[-1])
    return found


def _surface(source: Data, primitive: Object, mode: int, images: "_Images") -> Piece:
    attributes = primitive["attributes"]
    vertices = _of_width(source.shares(attributes["POSITION"]), 3)
    faces = _triangles(source, primitive, mode, len(vertices))
    material = _material(source, primitive)
    pbr = _look(material)
    factor = _numbers(pbr.get("baseColorFactor", [1, 1, 1, 1]), 4)[:3]
    plain = _plain(factor) if "baseColorFactor" in pbr else None
    colours = None
    if "COLOR_0" in attributes:
        colours = _srgb(source.shares(attributes["COLOR_0"])[:, :3] * factor)
    uvs, image = None, -1
    if "baseColorTexture" in pbr:
        uvs, image = _wears(source, pbr["baseColorTexture"], attributes, images)
    for row in (colours, uvs):
        if row is not None and len(row) != len(vertices):
            raise ScanRefused(
                f"has colours for {len(row):,} of its {len(vertices):,} points. {AGAIN}"
            )
    return Piece(vertices, faces, np.eye(4), colours, plain, uvs, image)


def _of_width(values: Floats, width: int) -> Floats:
    if values.shape[1] != width:
        raise ValueError
    return np.ascontiguousarray(values)


def _material(source: Data, primitive: Object) -> Object:
    return source.one("materials", primitive["material"]) if "material" in primitive else {}


def _look(material: Object) -> Object:
    """The colour of a material, as the extension that came before glTF's own model has it too."""
    older = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
    if not older or "pbrMetallicRoughness" in material:
        look: Object = material.get("pbrMetallicRoughness", {})
        return look
    names = {"diffuseFactor": "baseColorFactor", "diffuseTexture": "baseColorTexture"}
    return {names[key]: value for key, value in older.items() if key in names}


def _triangles(source: Data, primitive: Object, mode: int, points: int) -> Wide:
    if "indices" in primitive:
        indices = source.array(primitive["indices"])
        if indices.shape[1] != 1 or indices.dtype.kind != "u":
            raise ValueError
        restart = _RESTART[indices.dtype.itemsize]
        corners = indices[:, 0].astype(np.int64)
    else:
        restart, corners = -1, np.arange(points)
    if mode == _TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if mode == _FAN:
        first = np.broadcast_to(corners[:1], max(len(corners) - 2, 0))
        return np.stack([first, corners[1:-1], corners[2:]], axis=1)
    odd = np.arange(max(len(corners) - 2, 0)) % 2
    ends = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    ends[odd == 1] = ends[odd == 1][:, [1, 0, 2]]
    kept: Wide = ends[(ends != restart).all(axis=1)]
    return kept


def _srgb(linear: Floats | NDArray[np.float64]) -> Bytes:
    """Linear light, as glTF 3.7.2.1 has vertex colours, to sRGB bytes."""
    return as_bytes(np.nan_to_num(linear, nan=0, posinf=1, neginf=0))


def _plain(factor: NDArray[np.float64]) -> Colour:
    red, green, blue = _srgb(factor).tolist()
    return red, green, blue


def _wears(
    source: Data, used: Object, attributes: Object, images: "_Images"
) -> tuple[Floats | None, int]:
    """Where each vertex lies on which image; None and -1 where the image is missing."""
    moved = used.get("extensions", {}).get("KHR_texture_transform", {})
    name = f"TEXCOORD_{moved.get('texCoord', used.get('texCoord', 0))}"
    image = images.number(used.get("index"))
    if name not in attributes or image < 0:
        return None, -1
    uvs = _of_width(source.shares(attributes[name]), 2)
    if moved:
        turn = float(moved.get("rotation", 0))
        wide, high = _numbers(moved.get("scale", [1, 1]), 2).tolist()
        turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        with np.errstate(all="ignore"):
            uvs = (uvs * [wide, high]) @ turned.T + _numbers(moved.get("offset", [0, 0]), 2)
            uvs = uvs.astype(np.float32)
    return uvs, image


class _Images:
    """The images that materials wear, each once."""

    def __init__(self, source: Data) -> None:
        self.source = source
        self.data: list[memoryview] = []
        self._known: dict[int, int] = {}

    def number(self, texture: Any) -> int:
        described = self.source.one("textures", texture)
        webp = described.get("extensions", {}).get("EXT_texture_webp", {})
        which = webp.get("source", described.get("source"))
        if which is None:
            return -1
        which = index(which, len(self.source.all("images")))
        if which not in self._known:
            self._known[which] = self._load(self.source.all("images")[which])
        return self._known[which]

    def _load(self, described: Object) -> int:
        if "bufferView" in described:
            found: memoryview | None = self.source.view(described["bufferView"])
        else:
            found = self.source.uri(described.get("uri"), "its texture")
        if found is None:
            return -1
        self.data.append(found)
        return len(self.data) - 1


def _notes(head: Object) -> int:
    """Names, extras, generator and copyright, which no copy keeps."""
    notes = sum(1 for key in head.get("asset", {}) if key not in ("version", "minVersion"))
    notes += "extras" in head
    for name in _NAMED:
        for one in head.get(name, []):
            notes += bool(one.get("name")) + ("extras" in one)
    return notes
