"""GLB and glTF: what a scene shows, in which unit, and files that refer to what is not there."""

import base64
import io
import json
import struct
import time

import numpy as np
import pytest
import trimesh
from PIL import Image

from inbound.scans import gltf, gltfcopy
from inbound.scans.beside import Beside
from inbound.scans.mesh import Mesh
from inbound.scans.texture import baked
from scanpost import jaws
from tests.refusing import refused

JAW = jaws.make_jaw(3_000, "lower")
POINTS = np.array([[0, 0, 0], [10, 0, 0], [0, 20, 0], [10, 20, 0]], "<f4")
FACE = np.array([0, 1, 2], "<u2")
BYTE, SHORT, UNSIGNED, FLOAT = 5120, 5122, 5123, 5126


class Scene:
    """A glTF in the making: arrays become accessors, and all else is given as it will stand in the JSON."""

    def __init__(self, **head):
        self.body = b""
        self.head = {"asset": {"version": "2.0"}, "accessors": [], "bufferViews": [], **head}

    def view(self, data, **more):
        self.body += bytes(-len(self.body) % 4)
        self.head["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.body), "byteLength": len(data), **more}
        )
        self.body += data
        return len(self.head["bufferViews"]) - 1

    def array(self, values, kind=FLOAT, **more):
        width = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[
            1 if values.ndim == 1 else values.shape[1]
        ]
        accessor = {"bufferView": self.view(values.tobytes()), "componentType": kind, "type": width,
                    "count": len(values), **more}  # fmt: skip
        self.head["accessors"].append(accessor)
        return len(self.head["accessors"]) - 1

    def triangle(self, points=POINTS, face=FACE, mode=None, **more):
        attributes = {"POSITION": self.array(points)}
        primitive = {"attributes": attributes, **more}
        if face is not None:
            primitive["indices"] = self.array(face, UNSIGNED)
        if mode is not None:
            primitive["mode"] = mode
        self.head.setdefault("meshes", []).append({"primitives": [primitive]})
        return primitive

    def glb(self):
        head = {**self.head, "buffers": [{"byteLength": len(self.body)}]}
        text = json.dumps(head).encode()
        text += b" " * (-len(text) % 4)
        body = self.body + bytes(-len(self.body) % 4)
        start = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(body))
        chunks = struct.pack("<I4s", len(text), b"JSON"), struct.pack("<I4s", len(body), b"BIN\0")
        return start + chunks[0] + text + chunks[1] + body

    def gltf(self, uri=None):
        packed = "data:application/octet-stream;base64," + base64.b64encode(self.body).decode()
        return json.dumps(
            {**self.head, "buffers": [{"byteLength": len(self.body), "uri": uri or packed}]}
        ).encode()


def scene(**head):
    made = Scene(**head)
    made.triangle()
    return made


def read(data, **beside):
    files = {name: memoryview(file) for name, file in beside.items()}
    return gltf.read(memoryview(data), Beside(files))


def corners(found):
    return found.mesh.vertices[found.mesh.faces].tolist()


def refusal(data):
    return refused(read, data)


ONCE = [POINTS[:3].tolist()]


# ---------------------------------------------------------------- the copy


def test_what_was_written_is_read_back_bit_for_bit():
    for mesh in (JAW, Mesh(JAW.vertices, JAW.faces)):
        found = read(gltfcopy.write(mesh))
        assert found.mesh.vertices.tobytes() == mesh.vertices.tobytes()
        assert found.mesh.faces.tobytes() == mesh.faces.tobytes()
        assert (found.unit, found.stripped) == ("m", 0)
        assert (found.mesh.colours is None) == (mesh.colours is None)
    assert (read(gltfcopy.write(JAW)).mesh.colours == JAW.colours).all()


def test_other_programs_see_the_copy_in_metres():
    theirs = trimesh.load(io.BytesIO(gltfcopy.write(JAW)), file_type="glb", force="mesh")
    assert np.allclose(theirs.extents, np.ptp(JAW.vertices, axis=0) / 1000, rtol=1e-4)
    assert len(theirs.faces) == len(JAW.faces)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_texture_travels_in_the_copy(kind):
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 40, 40)).save(out, kind)
    uvs = np.array([[0, 0], [1, 0.25], [0.5, 1], [0, 1]], np.float32)
    mesh = Mesh(POINTS, np.array([[0, 1, 2], [1, 3, 2]], np.int32), None, uvs, out.getvalue())
    found = read(gltfcopy.write(mesh))
    assert found.mesh.uvs.tolist() == uvs.tolist()
    assert np.allclose(baked(found.mesh).colours, [200, 40, 40], atol=6)


# ---------------------------------------------------------------- reading


def test_embedded_buffers_data_uris_and_files_beside_give_the_same():
    made = scene()
    assert corners(read(made.glb())) == ONCE
    assert corners(read(made.gltf())) == ONCE
    found = read(made.gltf("../lab/My%20scan.bin"), **{"my scan.BIN": made.body})
    assert corners(found) == ONCE
    assert found.used == {"my scan.BIN"}


def test_metres_become_millimetres_unless_the_scan_would_be_longer_than_one():
    assert (read(scene().glb()).unit, corners(read(scene().glb()))) == ("", ONCE)
    small = Scene()
    small.triangle(points=POINTS / np.float32(1000))
    assert read(small.glb()).unit == "m"
    assert np.allclose(corners(read(small.glb())), ONCE)
    ours = scene(asset={"version": "2.0", "extras": {"unit": "mm"}})
    assert read(ours.glb()).unit == "mm"


def test_nodes_place_meshes_one_in_the_other():
    made = scene(
        scene=1,
        scenes=[{"nodes": [2]}, {"nodes": [0]}],
        nodes=[
            {"children": [1], "translation": [100, 0, 0]},
            {
                "mesh": 0,
                "rotation": [0, 0, 0.7071067811865476, 0.7071067811865476],
                "scale": [2, 2, 2],
            },
            {"mesh": 0},
        ],
    )
    assert np.allclose(
        corners(read(made.glb())), [[[100, 0, 0], [100, 20, 0], [60, 0, 0]]], atol=1e-4
    )
    made.head["nodes"][1] = {"mesh": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 5, 6, 7, 1]}
    assert corners(read(made.glb()))[0][0] == [105, 6, 7]


def test_a_mirrored_node_is_not_inside_out():
    made = scene(nodes=[{"mesh": 0, "scale": [-1, 1, 1]}])
    assert corners(read(made.glb())) == [[[0, 20, 0], [-10, 0, 0], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("mode", "face", "faces"),
    [
        (4, None, [[0, 1, 2]]),
        (5, [0, 1, 2, 3], [[0, 1, 2], [2, 1, 3]]),
        (5, [0, 1, 2, 65535, 1, 3, 2], [[0, 1, 2], [1, 3, 2]]),
        (6, [0, 1, 3, 2], [[0, 1, 3], [0, 3, 2]]),
    ],
)
def test_strips_fans_and_plain_rows_of_corners(mode, face, faces):
    made = Scene()
    indices = None if face is None else np.array(face, "<u2")
    made.triangle(points=POINTS[:3] if face is None else POINTS, face=indices, mode=mode)
    found = {tuple(map(tuple, triangle)) for triangle in corners(read(made.glb()))}
    assert found >= {tuple(map(tuple, POINTS[triangle].tolist())) for triangle in faces}


def test_points_and_lines_are_passed_over():
    made = scene()
    made.triangle(mode=1)
    made.triangle(mode=0)
    assert corners(read(made.glb())) == ONCE


def test_interleaved_sparse_and_quantised_attributes_are_read():
    made = Scene()
    rows = np.zeros(4, [("p", "<f4", 3), ("n", "<f4", 3)])
    rows["p"] = POINTS
    made.triangle()
    made.head["bufferViews"][0] = {
        "buffer": 0,
        "byteOffset": len(made.body),
        "byteLength": 96,
        "byteStride": 24,
    }
    made.body += rows.tobytes()
    assert corners(read(made.glb())) == ONCE

    made.head["accessors"][0]["sparse"] = {
        "count": 1,
        "indices": {
            "bufferView": made.view(np.array([1], "<u2").tobytes()),
            "componentType": UNSIGNED,
        },
        "values": {"bufferView": made.view(np.array([7, 8, 9], "<f4").tobytes())},
    }
    assert corners(read(made.glb()))[0][1] == [7, 8, 9]

    small = Scene(
        extensionsRequired=["KHR_mesh_quantization"], nodes=[{"mesh": 0, "scale": [2, 2, 2]}]
    )
    packed = np.zeros((4, 4), "<i2")
    packed[:, :3] = POINTS
    primitive = small.triangle()
    view = small.view(packed.tobytes(), byteStride=8)
    small.head["accessors"][primitive["attributes"]["POSITION"]].update(
        bufferView=view, componentType=SHORT
    )
    assert corners(read(small.glb())) == [(POINTS[:3] * 2).tolist()]
    small.head["accessors"][0].update(normalized=True)
    small.head["nodes"][0]["scale"] = [32767, 32767, 32767]
    assert np.allclose(corners(read(small.glb())), ONCE, rtol=1e-6)


def test_colours_come_from_linear_light_in_any_type_and_from_materials():
    made = Scene()
    linear = np.array([[1, 0, 0.21586, 1]] * 4, "<f4")
    made.triangle()["attributes"]["COLOR_0"] = made.array(linear)
    assert read(made.glb()).mesh.colours[0].tolist() == [255, 0, 128]
    short = np.rint(linear * 65535).astype("<u2")
    made.head["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"] = made.array(
        short, UNSIGNED, normalized=True
    )
    assert read(made.glb()).mesh.colours[0].tolist() == [255, 0, 128]

    plain = scene(materials=[{"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}}])
    plain.triangle(points=POINTS + 1, material=0)
    found = read(plain.glb()).mesh
    assert found.colours[found.faces].tolist() == [[[255, 255, 255]] * 3, [[255, 0, 0]] * 3]


def test_textures_of_several_materials_become_one_and_a_missing_one_is_no_fault():
    made = Scene(textures=[{"source": 0}, {"source": 1}], images=[],
                 materials=[{"pbrMetallicRoughness": {"baseColorTexture": {"index": n}}} for n in (0, 1)])  # fmt: skip
    for number, colour in enumerate([(200, 20, 20), (20, 20, 200)]):
        out = io.BytesIO()
        Image.new("RGB", (16, 16), colour).save(out, "PNG")
        if number:
            made.head["images"].append({"uri": "Blue.png"})
            blue = out.getvalue()
        else:
            made.head["images"].append(
                {"bufferView": made.view(out.getvalue()), "mimeType": "image/png"}
            )
        primitive = made.triangle(points=POINTS + number, material=number)
        primitive["attributes"]["TEXCOORD_0"] = made.array(np.full((4, 2), 0.5, "<f4"))
    found = read(made.glb(), **{"blue.png": blue})
    colours = baked(found.mesh).colours[found.mesh.faces].tolist()
    assert np.allclose(colours, [[(200, 20, 20)] * 3, [(20, 20, 200)] * 3], atol=8)
    assert found.used == {"blue.png"}
    assert read(made.glb()).mesh.texture is not None


def test_all_that_names_anyone_is_counted_and_left_behind():
    made = scene(
        asset={
            "version": "2.0",
            "generator": "Jane's scanner",
            "copyright": "Jane",
            "extras": {"a": 1},
        },
        nodes=[{"mesh": 0, "name": "Jane Doe", "extras": {"born": 1961}}],
        extras={"patient": "Jane"},
    )
    found = read(made.glb())
    assert found.stripped == 6
    assert b"Jane" not in gltfcopy.write(found.mesh)


# ---------------------------------------------------------------- made to harm


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"count": 3_000_000_000}, "refers to data that is not in it"),
        ({"count": 5}, "refers to data that is not in it"),
        ({"count": -1}, "cannot be read as glTF"),
        ({"count": 1.5}, "cannot be read as glTF"),
        ({"count": True}, "cannot be read as glTF"),
        ({"count": 0}, "holds no triangles"),
        ({"byteOffset": -4}, "cannot be read as glTF"),
        ({"byteOffset": 2**60}, "cannot be read as glTF"),
        ({"byteOffset": 10**6}, "refers to data that is not in it"),
        ({"bufferView": -1}, "refers to data that is not in it"),
        ({"bufferView": 99}, "refers to data that is not in it"),
        ({"bufferView": "0"}, "cannot be read as glTF"),
        ({"type": "MAT9"}, "cannot be read as glTF"),
        ({"type": "VEC2"}, "cannot be read as glTF"),
        ({"componentType": 5124}, "cannot be read as glTF"),
        ({"sparse": {"count": 9}}, "refers to data that is not in it"),
        ({"sparse": {"count": 1, "indices": {"bufferView": 1, "componentType": 5125}, "values": {"bufferView": 0}}},
         "refers to data that is not in it"),
    ],
)  # fmt: skip
def test_accessors_that_reach_beyond_get_a_sentence(change, sentence):
    made = scene()
    if change == {"count": 0}:
        made.head["accessors"][1].update(change)
    made.head["accessors"][0].update(change)
    assert refusal(made.glb()).startswith(("holds points", sentence))


@pytest.mark.parametrize(
    "change",
    [{"byteLength": 10**6}, {"byteOffset": 10**6}, {"byteOffset": -1}, {"byteStride": 1}, {"byteStride": 10**9},
     {"buffer": 7}, {"buffer": -1}],
)  # fmt: skip
def test_views_that_reach_beyond_get_a_sentence(change):
    made = scene()
    made.head["bufferViews"][0].update(change)
    assert refusal(made.glb()).startswith(
        ("refers to data that is not in it", "cannot be read as glTF")
    )


def test_a_count_without_bytes_is_bounded():
    made = scene()
    del made.head["accessors"][0]["bufferView"]
    made.head["accessors"][0]["count"] = 3_000_000_000
    assert refusal(made.glb()).startswith("refers to data that is not in it")


@pytest.mark.parametrize(
    "nodes",
    [
        [{"mesh": 0, "children": [0]}],
        [{"children": [1]}, {"children": [0, 0]}],
        [*({"children": [n + 1, n + 1]} for n in range(60)), {"mesh": 0}],
        [{"mesh": 0}] * 12_000,
        [{"children": [1] * 50_000}, {"children": [2] * 50_000}, {}],
    ],
)
def test_nodes_that_hold_themselves_or_multiply_come_to_an_end(nodes):
    made = scene(nodes=nodes, scenes=[{"nodes": list(range(len(nodes)))}], scene=0)
    began = time.process_time()
    assert refusal(made.glb()).startswith("places its parts more than 10,000 times")
    assert time.process_time() - began < 4


def test_one_large_surface_named_very_often_is_refused_before_it_is_copied():
    made = Scene()
    primitive = made.triangle(points=np.zeros((100_000, 3), "<f4"), face=None)
    made.head["meshes"] = [{"primitives": [primitive] * 3_000}]
    assert refusal(made.glb()).startswith("holds more than 20,000,000 triangles")
    made.head["meshes"] = [{"primitives": [primitive]}] * 3_000
    assert refusal(made.glb()).startswith("holds more than 20,000,000 triangles")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"glTF", "stops inside its header"),
        (b"glTF\1\0\0\0" + bytes(20), "is glTF of an old version"),
        (b'{"asset": {"version": "1.0"}}', "is glTF of an old version"),
        (scene().glb()[:-8], "stops after"),
        (b"{", "cannot be read as glTF"),
        (b"[]", "cannot be read as glTF"),
        (b'{"asset": [' * 100_000, "cannot be read as glTF"),
        (b'{"asset": {"version": "2.0"}, "nodes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "cannot be read"),
        (b'{"meshes": [' + b"{}," * 5_000_000 + b"{}]}", "holds more parts than any scan"),
        (b'{"asset": {"version": "2.0"}}', "holds no triangles"),
        (b'{"scene": ' + b"9" * 5_000 + b"}", "cannot be read as glTF"),
        (scene(extensionsRequired=["KHR_draco_mesh_compression"]).glb(), "is packed with KHR_draco_mesh_compression"),
        (scene(extensionsRequired=[{"a": 1}]).glb(), "is packed with"),
        (scene().gltf("../../../../etc/passwd"), "needs the file passwd"),
        (scene().gltf("file:///etc/passwd"), "needs the file passwd"),
        (scene().gltf("http://x.example/a.bin"), "needs the file a.bin"),
        (scene().gltf("data:application/octet-stream,%00"), "holds its data in a form"),
        (scene().gltf("data:;base64,AAAA"), "stops after 3 of"),
        (scene(nodes=[{"mesh": 3}]).glb(), "refers to data that is not in it"),
        (scene(nodes=[{"mesh": 0, "scale": [1e308, 1e308, 1e308]}]).glb(), "has"),
        (scene(nodes=[{"mesh": 0, "matrix": [1, 2, 3]}]).glb(), "places a part where there is no place"),
        (scene(nodes=[{"mesh": 0, "translation": [float("nan"), 0, 0]}]).glb(), "places a part where there is"),
        (scene(nodes=[{"mesh": 0}], scenes=[{"nodes": [9]}]).glb(), "refers to data that is not in it"),
    ],
)  # fmt: skip
def test_hostile_files_get_a_sentence(data, sentence):
    assert refusal(data).startswith(sentence)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_points_that_cannot_be_are_refused(value):
    made = Scene()
    points = POINTS.copy()
    points[1, 1] = value
    made.triangle(points=points)
    assert refusal(made.glb()).startswith("has ")


def test_corners_beyond_their_own_points_do_not_reach_the_next_surface():
    made = Scene()
    made.triangle(face=np.array([0, 1, 7], "<u2"))
    made.triangle()
    assert refusal(made.glb()).startswith("refers to point 8 and holds 4 points")
