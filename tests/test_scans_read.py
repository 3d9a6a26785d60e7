"""One table for every format: what comes in, what the copy holds, and what it leaves behind."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from inbound.scans import gltfcopy, obj, off, threemf
from inbound.scans.mesh import Mesh
from inbound.scans.read import READABLE, read, write
from inbound.scans.sniff import HEAD, Format, sniff
from inbound.scans.texture import baked
from scanpost import jaws
from store.errors import ScanRefused

JAW = jaws.make_jaw(4_000, "lower")
FILES = {
    Format.STL: (jaws.stl_bytes(JAW, b"Jane Doe 1961"), "stl", "", 1),
    Format.PLY: (jaws.ply_bytes(JAW, "Jane Doe 1961"), "ply", "", 1),
    Format.OBJ: (jaws.obj_bytes(JAW, "Jane_Doe"), "obj", "", 2),
    Format.OFF: (off.write(JAW).replace(b"COFF\n", b"COFF\n# Jane Doe\n", 1), "off", "", 1),
    Format.THREEMF: (threemf.write(JAW), "3mf", "mm", 0),
    Format.GLB: (gltfcopy.write(JAW), "glb", "m", 0),
}


def read_file(data, kind, **beside):
    return read(memoryview(data), kind, {name: memoryview(file) for name, file in beside.items()})


@pytest.mark.parametrize("kind", list(FILES))
def test_each_format_is_told_read_and_copied_bit_for_bit(kind):
    data, suffix, unit, notes = FILES[kind]
    assert sniff(data[:HEAD], len(data)) is kind
    found = read_file(data, kind)
    assert (found.unit, found.stripped, found.used) == (unit, notes, frozenset())
    mesh = found.mesh
    assert mesh.vertices[mesh.faces].tobytes() == JAW.vertices[JAW.faces].tobytes()
    assert (mesh.colours is not None) == (kind is not Format.STL)

    copy, its_suffix = write(mesh, kind)
    assert its_suffix == suffix
    assert b"Jane" not in copy
    assert sniff(copy[:HEAD], len(copy)) is kind
    again = read_file(copy, kind)
    assert again.stripped == 0
    assert again.mesh.vertices[again.mesh.faces].tobytes() == JAW.vertices[JAW.faces].tobytes()
    if mesh.colours is not None:
        assert (again.mesh.colours[again.mesh.faces] == JAW.colours[JAW.faces]).all()
    assert write(again.mesh, kind) == (copy, suffix)


def test_an_obj_with_its_texture_becomes_one_file():
    out = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 120, 90)).save(out, "PNG")
    plain = obj.write(Mesh(JAW.vertices, JAW.faces)).replace(
        b"\nf ", b"\nvt 0.5 0.5\nusemtl skin\nf ", 1
    )
    head, _, faces = plain.partition(b"f ")
    corners = b"f " + faces.replace(b" ", b"/1 ").replace(b"\nf/1 ", b"\nf ").replace(
        b"\n", b"/1\n"
    )
    files = {
        "jaw.mtl": b"newmtl skin\nmap_Kd Jane Doe.png\n",
        "Jane Doe.png": out.getvalue(),
        "else.png": b"",
    }
    found = read_file(b"mtllib jaw.mtl\n" + head + corners, Format.OBJ, **files)
    assert found.used == {"jaw.mtl", "Jane Doe.png"}
    copy, suffix = write(found.mesh, Format.OBJ)
    assert suffix == "glb"
    assert b"Jane" not in copy
    again = read_file(copy, Format.GLB)
    mesh = again.mesh
    assert mesh.vertices[mesh.faces].tobytes() == JAW.vertices[JAW.faces].tobytes()
    assert np.allclose(baked(mesh).colours, [200, 120, 90], atol=6)
    assert again.stripped == 0


def test_a_gltf_in_json_is_copied_as_one_glb():
    points = "data:;base64," + "AAAAAAAAAAAAAAAAAAAgQQAAAAAAAAAAAAAAAAAAIEEAAAAA"
    text = (
        '{"asset":{"version":"2.0"},"buffers":[{"byteLength":36,"uri":"POINTS"}],"bufferViews":[{"buffer":0,'
        '"byteLength":36}],"accessors":[{"bufferView":0,"componentType":5126,"count":3,"type":"VEC3"}],'
        '"meshes":[{"primitives":[{"attributes":{"POSITION":0}}]}]}'
    )
    text = text.replace("POINTS", points).encode()
    assert sniff(text, len(text)) is Format.GLTF
    found = read_file(text, Format.GLTF)
    assert found.mesh.vertices.tolist() == [[0, 0, 0], [10, 0, 0], [0, 10, 0]]
    assert write(found.mesh, Format.GLTF)[1] == "glb"


@pytest.mark.parametrize("kind", sorted(set(Format) - READABLE))
def test_what_is_no_scan_is_refused(kind):
    with pytest.raises(ScanRefused, match="is no scan"):
        read(memoryview(b"whatever"), kind, {})


def test_importing_it_loads_nothing_heavy():
    code = "import sys, inbound.scans.read; sys.exit(bool({'trimesh', 'PIL', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
