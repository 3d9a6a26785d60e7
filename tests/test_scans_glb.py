import io
import json
import shutil
import struct
import subprocess

import brotli
import numpy as np
import pytest
from PIL import Image
from scipy.spatial import cKDTree

from inbound.scans import glb
from inbound.scans.mesh import Mesh
from scanpost import jaws

JAW = jaws.make_jaw(8_000, "upper")
BARE = Mesh(JAW.vertices, JAW.faces)
PIXEL = b"\x89PNG\r\n\x1a\n and the rest"
UVS = np.random.default_rng(1).random((len(JAW.vertices), 2), np.float32)
TEXTURED = Mesh(JAW.vertices, JAW.faces, None, UVS, PIXEL)


def described(data):
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length])


def triangles(mesh):
    """Each triangle's corners, begun at its lowest, and the triangles in order."""
    corners = mesh.vertices[mesh.faces].astype(np.float64).round(2)
    keys = corners @ np.array([1.0, 1e3, 1e6])
    first = keys.argmin(axis=1)
    turned = np.stack(
        [np.take_along_axis(keys, ((first + k) % 3)[:, None], 1)[:, 0] for k in range(3)], 1
    )
    return turned[np.lexsort(turned.T)]


@pytest.mark.parametrize("mesh", [JAW, BARE, TEXTURED], ids=["coloured", "bare", "textured"])
def test_a_mesh_comes_back_within_two_micrometres(mesh):
    back = glb.unpack(glb.pack(mesh))
    assert len(back.faces) == len(mesh.faces)
    assert len(back.vertices) == len(mesh.vertices)
    order = np.lexsort(mesh.vertices.astype(np.float64).T)
    # Vertices come in another order: each is found again by its place in the file's grid.
    distance, where = cKDTree(back.vertices).query(mesh.vertices)
    assert distance.max() < 0.002
    assert len(set(where.tolist())) == len(order)
    if mesh.colours is not None:
        assert np.abs(back.colours[where].astype(int) - mesh.colours).max() <= 6
    if mesh.uvs is not None:
        assert np.array_equal(back.uvs[where], mesh.uvs)
        assert back.texture == PIXEL
    # The same corners, in the same turn: outside stays outside.
    renumbered = Mesh(back.vertices, where[mesh.faces].astype(np.int32))
    assert np.array_equal(triangles(renumbered), triangles(Mesh(back.vertices, back.faces)))


def test_a_large_part_gets_the_finest_steps_that_it_can_have():
    wide = Mesh(
        np.array([[0, 0, 0], [400, 0, 0], [0, 400, 0]], np.float32), JAW.faces[:1] * 0 + [0, 1, 2]
    )
    back = glb.unpack(glb.pack(wide))
    assert np.abs(np.sort(back.vertices, axis=0) - np.sort(wide.vertices, axis=0)).max() < 0.0062
    assert described(glb.pack(wide))["nodes"][0]["scale"] == [400 / 65_535] * 3


def test_a_jaw_far_from_the_origin_loses_nothing():
    far = Mesh(JAW.vertices + np.float32(5_000), JAW.faces)
    back = glb.unpack(glb.pack(far))
    assert np.abs(np.sort(back.vertices[:, 0]) - np.sort(far.vertices[:, 0])).max() < 0.0015


def test_the_file_keeps_the_rules_of_gltf():
    data = glb.pack(JAW)
    assert data[:4] == b"glTF"
    assert struct.unpack_from("<II", data, 4) == (2, len(data))
    about = described(data)
    assert about["asset"]["extras"]["unit"] == "mm"
    assert about["extensionsRequired"] == ["KHR_meshopt_compression", "KHR_mesh_quantization"]
    packed, unpacked = about["buffers"]
    for view in about["bufferViews"]:
        stream = view["extensions"]["KHR_meshopt_compression"]
        assert stream["byteOffset"] % 4 == view["byteOffset"] % 4 == 0
        assert stream["byteOffset"] + stream["byteLength"] <= packed["byteLength"]
        assert view["byteOffset"] + view["byteLength"] <= unpacked["byteLength"]
        assert view["byteLength"] == stream["count"] * stream["byteStride"]
    assert "uri" not in unpacked


def test_indices_are_short_where_they_fit():
    kinds = [described(glb.pack(mesh))["accessors"][-1]["componentType"] for mesh in (JAW, large())]
    assert kinds == [5123, 5125]
    assert len(glb.unpack(glb.pack(large())).vertices) == 70_000


def test_a_vertex_without_a_triangle_is_left_out():
    mesh = Mesh(np.vstack([JAW.vertices, [[0, 0, 99]]]).astype(np.float32), JAW.faces)
    assert len(glb.unpack(glb.pack(mesh)).vertices) == len(JAW.vertices)


@pytest.mark.parametrize(("mesh", "times"), [(BARE, 17), (JAW, 12)], ids=["bare", "coloured"])
def test_it_is_a_small_part_of_the_stl(mesh, times):
    """Larger scans pack better still; make bench measures a million triangles (row bytes-1m)."""
    stl = 84 + 50 * len(mesh.faces)
    assert len(brotli.compress(glb.pack(mesh), quality=9)) * times < stl
    assert len(glb.pack(mesh, glb.LOOKED_AT)) < len(glb.pack(mesh))


@pytest.mark.parametrize(
    ("image", "mime"),
    [(b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"RIFF....WEBPVP8 ", "image/webp")],
)  # fmt: skip
def test_a_texture_is_named_for_what_it_is(image, mime):
    about = described(glb.pack(Mesh(JAW.vertices, JAW.faces, None, UVS, image)))
    assert about["images"][0]["mimeType"] == mime
    assert ("EXT_texture_webp" in about["extensionsRequired"]) is (mime == "image/webp")


def large():
    chance = np.random.default_rng(2)
    faces = np.arange(69_999, dtype=np.int32).reshape(-1, 3)
    points = chance.random((70_000, 3), np.float32) * 50
    return Mesh(points, np.vstack([faces, [[0, 1, 69_999]]]).astype(np.int32))


VALIDATE = """
const { validateBytes } = require(process.argv[1]);
const { readFileSync } = require("fs");
validateBytes(new Uint8Array(readFileSync(0))).then(({ issues }) => console.log(JSON.stringify(issues)));
"""


@pytest.mark.parametrize("mesh", [JAW, BARE, None], ids=["coloured", "bare", "textured"])
def test_the_khronos_validator_finds_nothing_wrong(mesh, node_modules):
    data = glb.pack(mesh or Mesh(JAW.vertices, JAW.faces, None, UVS, png()))
    node = shutil.which("node")
    said = subprocess.run(
        [node, "-e", VALIDATE, str(node_modules / "gltf-validator")],
        input=data,
        capture_output=True,
        check=True,
    )
    issues = json.loads(said.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]
    # It does not know the extension by name; the streams themselves are read in the browser's tests.
    assert {one["code"] for one in issues["messages"]} <= {"UNSUPPORTED_EXTENSION", "UNUSED_OBJECT"}


def png():
    out = io.BytesIO()
    Image.new("RGB", (4, 4), (220, 30, 30)).save(out, "PNG")
    return out.getvalue()
