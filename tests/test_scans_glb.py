import io
import json
import struct

import numpy as np
import pytest
import trimesh

from inbound.scans import glb
from inbound.scans.mesh import Mesh
from scanpost import jaws

JAW = jaws.make_jaw(8_000, "upper")


def described(data):
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length])


@pytest.mark.parametrize("mesh", [JAW, Mesh(JAW.vertices, JAW.faces)])
def test_a_mesh_comes_back_bit_for_bit_and_its_colours_within_their_rounding(mesh):
    back = glb.unpack(glb.pack(mesh))
    assert back.vertices.tobytes() == mesh.vertices.tobytes()
    assert back.faces.tobytes() == mesh.faces.tobytes()
    if mesh.colours is None:
        assert back.colours is None
    else:
        assert np.abs(back.colours.astype(int) - mesh.colours).max() <= 6


def test_trimesh_reads_it_as_well():
    scene = trimesh.load(io.BytesIO(glb.pack(JAW)), file_type="glb", process=False)
    (theirs,) = scene.geometry.values()
    assert np.allclose(theirs.vertices, JAW.vertices)
    assert (theirs.faces == JAW.faces).all()


def test_the_file_keeps_the_rules_of_gltf():
    data = glb.pack(JAW)
    assert data[:4] == b"glTF"
    assert struct.unpack_from("<II", data, 4) == (2, len(data))
    about = described(data)
    assert about["asset"]["extras"]["unit"] == "mm"
    position = about["accessors"][0]
    assert np.allclose(position["min"], JAW.vertices.min(axis=0))
    assert np.allclose(position["max"], JAW.vertices.max(axis=0))
    for view in about["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
    assert about["buffers"][0]["byteLength"] % 4 == 0


def test_indices_are_short_where_they_fit():
    kinds = [described(glb.pack(mesh))["accessors"][-1]["componentType"] for mesh in (JAW, large())]
    assert kinds == [5123, 5125]
    assert glb.unpack(glb.pack(large())).faces.tobytes() == large().faces.tobytes()


def test_colours_are_written_as_linear_light():
    grey = Mesh(JAW.vertices, JAW.faces, np.full_like(JAW.colours, 188))
    about = described(data := glb.pack(grey))
    start = 28 + struct.unpack_from("<I", data, 12)[0] + about["bufferViews"][1]["byteOffset"]
    assert list(data[start : start + 4]) == [128, 128, 128, 255]


def large():
    points = np.arange(70_000 * 3, dtype=np.float32).reshape(-1, 3)
    return Mesh(points, np.array([[0, 1, 69_999]], np.int32))
