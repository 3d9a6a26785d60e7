"""Files made to harm, of every format: each ends with a sentence, soon, and in little memory."""

import io
import struct
import time
import tracemalloc
import zipfile
from collections.abc import AsyncIterator

import numpy as np
import pytest

from inbound.scans import child, stl
from inbound.scans.child import Children, Memory
from inbound.scans.read import READABLE, read
from inbound.scans.sniff import HEAD, Format, sniff
from scanpost import jaws
from store.errors import ScanRefused
from tests.test_scans_texture import huge_png

SMALL = jaws.make_jaw(300, "lower")
BINARY, TEXT = jaws.stl_bytes(SMALL), jaws.ascii_stl_bytes(SMALL)
PLY, OBJ = jaws.ply_bytes(SMALL), jaws.obj_bytes(SMALL)
POINTS = b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"
_ARGUMENTS = {"beside": [], "preview": 50_000, "mm_per_unit": 1.0}
SECONDS, BYTES = 4.0, 400 << 20


def spoilt(value, place=7):
    corners = SMALL.vertices[SMALL.faces].copy()
    corners[place] = value
    return stl.write(corners)


def counted(count):
    return BINARY[:80] + struct.pack("<I", count) + BINARY[84:]


def ply(points, faces, body=b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", order="ascii"):
    return (
        f"ply\nformat {order} 1.0\nelement vertex {points}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {faces}\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode() + body


def packed(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


# Files that hold no usable scan, and what their sender reads.
REFUSED = {
    "empty": (b"", Format.STL, "stops inside its header"),
    "header only": (bytes(84), Format.STL, "holds no triangles"),
    "only solid": (b"solid", Format.STL, "holds no triangles"),
    "cut binary": (BINARY[:-700], Format.STL, "stops after"),
    "cut text": (TEXT[:-700], Format.STL, "stops after"),
    "count too high": (counted(80_000_000), Format.STL, "stops after"),
    "count highest": (counted(2**32 - 1), Format.STL, "stops after"),
    "count too low": (counted(3), Format.STL, "declares 3 triangles and goes on"),
    "nan": (spoilt(np.nan), Format.STL, "has 3 points without a position"),
    "infinite": (spoilt(np.inf), Format.STL, "has 3 points without a position"),
    "far away": (spoilt(3e38), Format.STL, "has points more than a kilometre"),
    "no size": (stl.write(np.ones((9, 3, 3), np.float32)), Format.STL, "has no size"),
    "words": (TEXT.replace(b"vertex ", b"vertex x", 1), Format.STL, "stops after"),
    "long line": (b"solid " + b"a" * 5_000_000, Format.STL, "stops after"),
    "blanks": (b"solid a\n" + b" " * 5_000_000 + b"facet", Format.STL, ""),
    "three thousand million points": (ply(3_000_000_000, 1), Format.PLY, "stops after"),
    "three thousand million faces": (ply(3, 3_000_000_000), Format.PLY, "stops after 1 of 3,000,000,000"),
    "ply points in binary": (ply(2**32, 1, order="binary_little_endian"), Format.PLY, "stops after"),
    "ply cut": (PLY[:-700], Format.PLY, "stops after"),
    "ply header": (PLY[:90], Format.PLY, "stops inside its header"),
    "ply corner": (ply(3, 1, b"0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n"), Format.PLY, "refers to point 8"),
    "ply properties": (PLY.replace(b"element face", b"property float p\n" * 9_000 + b"element face"), Format.PLY, ""),
    "ply cloud": (ply(3, 0), Format.PLY, "holds"),
    "obj corner": (POINTS + b"f 1 2 99999999999\n", Format.OBJ, "refers to point"),
    "obj zero": (POINTS + b"f 0 1 2\n", Format.OBJ, "refers to point 0"),
    "obj before": (POINTS + b"f -1 -2 -9\n", Format.OBJ, "refers to point -6"),
    "obj cut": (POINTS + b"v 1", Format.OBJ, "stops inside one of its"),
    "obj nan": (POINTS.replace(b"1", b"nan") + b"f 1 2 3\n", Format.OBJ, "has 2 points without"),
    "obj slashes": (POINTS + b"f " + b"1/" * 2_000_000, Format.OBJ, ""),
    "obj lines": (b"\n" * 5_000_000, Format.OBJ, "holds no triangles"),
    "obj indents": (b"\n" + b" " * 5_000_000 + b"f", Format.OBJ, "holds no triangles"),
    "obj continued": (POINTS + b"f 1 \\\n" * 500_000, Format.OBJ, ""),
    "off counts": (b"OFF\n999999999999 999999999999 0\n", Format.OFF, "stops after 0 of"),
    "off blanks": (b"OFF\n3 1 0\n" + b"\n \n" * 2_000_000, Format.OFF, "stops after 0 of 3"),
    "off comments": (b"#" * 5_000_000 + b"\nOFF\n", Format.OFF, "stops inside its header"),
    "3mf of nothing": (packed(**{"[Content_Types].xml": b""}), Format.THREEMF, "holds no 3D model"),
    "3mf bomb": (packed(**{"3D/3dmodel.model": bytes(150 << 20)}), Format.THREEMF, "holds a file that unpacks"),
    "3mf tags": (packed(**{"3D/3dmodel.model": b"<a>" * 3_000_000}), Format.THREEMF, "holds a file that unpacks"),
    "3mf names": (packed(**{"3D/3dmodel.model": b"".join(b"<a%d/>" % n for n in range(300_000))}),
                  Format.THREEMF, "is damaged"),
    "3mf path": (packed(**{"../3D/3dmodel.model": b""}), Format.THREEMF, "holds a file whose path leads out"),
    "gltf depth": (b'{"asset":' + b"[" * 3_000_000, Format.GLTF, "cannot be read as glTF"),
    "glb lengths": (b"glTF" + struct.pack("<IIII", 2, 2**32 - 1, 2**32 - 1, 0), Format.GLB, "stops after"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSED))
def test_it_is_refused_with_a_sentence_soon_and_in_little_memory(name):
    data, kind, sentence = REFUSED[name]
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(ScanRefused) as caught:
            read(memoryview(data), kind, {})
        assert time.process_time() - began < SECONDS
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(sentence)
    assert str(caught.value)[0].islower()
    assert str(caught.value).endswith(".")


# Files that are odd and usable all the same.
READ = {
    "60,000 groups": (POINTS + b"".join(b"g g%d\nusemtl m%d\nf 1 2 3\n" % (n, n) for n in range(60_000)), 60_000),
    "one face of 4 MB": (POINTS + b"f " + b"1 2 3 " * 700_000, 2_099_998),
    "the same face 4 MB long": (POINTS + b"f 1 2 3\n" * 500_000, 500_000),
    "points and faces in turns": (POINTS + b"f -3 -2 -1\nv 1 2 3\n" * 100_000, 100_000),
    "a mebibyte of materials": (b"mtllib a\n" * 120_000 + POINTS + b"f 1 2 3\n", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", list(READ))
def test_it_is_read_soon(name):
    data, triangles = READ[name]
    began = time.process_time()
    assert len(read(memoryview(data), Format.OBJ, {}).mesh.faces) == triangles
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize(
    "path", ["../../../../etc/passwd", "/etc/passwd", "C:\\Windows\\win.ini", "file:///etc/passwd", "\0", "."]
)  # fmt: skip
def test_no_path_of_a_scan_is_ever_followed(path):
    scan = f"mtllib {path}\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nusemtl a\nf 1/1 2/1 3/1\n".encode()
    found = read(memoryview(scan), Format.OBJ, {"b.png": memoryview(b"")})
    assert (found.used, found.mesh.texture) == (frozenset(), None)
    scan = scan.replace(path.encode(), b"a.mtl")
    beside = {"a.mtl": memoryview(f"newmtl a\nmap_Kd {path}\n".encode())}
    assert read(memoryview(scan), Format.OBJ, beside).used == {"a.mtl"}


def test_a_texture_of_too_many_pixels_is_refused_before_it_is_decoded():
    scan = b"mtllib a.mtl\n" + POINTS + b"vt 0 0\nusemtl a\nf 1/1 2/1 3/1\n"
    beside = {
        "a.mtl": memoryview(b"newmtl a\nmap_Kd a.png\n"),
        "a.png": memoryview(huge_png(60_000, 60_000)),
    }
    with pytest.raises(ScanRefused, match="texture of more pixels"):
        read(memoryview(scan), Format.OBJ, beside)


@pytest.mark.parametrize("mtl", [b"newmtl a\n" * 200_000, b"newmtl a\nmap_Kd " + b"-s " * 300_000,
                                 b"newmtl a\nmap_Kd " + b"-s 1 1 1 " * 100_000, b"newmtl a\nKd " + b"1 " * 500_000,
                                 b"newmtl a\nmap_Kd -o " + b"1 " * 300_000])  # fmt: skip
def test_materials_made_to_harm_cost_little(mtl):
    scan = b"mtllib a.mtl\n" + POINTS + b"usemtl a\nf 1 2 3\n"
    began = time.process_time()
    assert len(read(memoryview(scan), Format.OBJ, {"a.mtl": memoryview(mtl)}).mesh.faces) == 1
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("kind", sorted(READABLE))
@pytest.mark.parametrize(
    "other", [BINARY, TEXT, PLY, OBJ, b"\xff" * 999, b"{}" * 99, b"PK\x03\x04" + bytes(99)]
)
def test_a_file_under_any_formats_name_is_read_or_refused(kind, other):
    told = sniff(other[:HEAD], len(other))
    sentence, triangles = "", 0
    try:
        triangles = len(read(memoryview(other), kind, {}).mesh.faces)
    except ScanRefused as refused:
        sentence = str(refused)
    if kind is told and other in (BINARY, TEXT, PLY, OBJ):
        assert triangles == len(SMALL.faces)
    else:
        assert sentence[0].islower()
        assert sentence.endswith(".")


# ---------------------------------------------------------------- in the child, under its limits


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    made = Children(nursery="tests.nursery")
    await made.warm()
    yield made
    await made.stop()
    child.stop_forkserver()


async def test_the_child_says_the_same_sentence(children: Children) -> None:
    names = (
        "count highest",
        "three thousand million points",
        "obj slashes",
        "3mf bomb",
        "gltf depth",
    )
    for name in names:
        data, kind, sentence = REFUSED[name]
        with Memory.of([data]) as original, pytest.raises(ScanRefused) as caught:
            await children.run("prepare_scan", [original], 4, **_ARGUMENTS, format=kind.value)
        assert str(caught.value).startswith(sentence)
