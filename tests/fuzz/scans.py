"""The readers of scans and archives: what a stranger mails is read or refused with a sentence, and nothing else.

What was read is a mesh of sound numbers, and its copy is read back as the same triangles.
"""

import io
import json
import struct
import zipfile
from collections.abc import Callable

import numpy as np

from inbound.scans import archive
from inbound.scans.read import read, write
from inbound.scans.sniff import HEAD, Format, sniff
from scanpost import jaws
from store.errors import ScanRefused

_SMALL = jaws.make_jaw(40, "lower")
_MTL = b"newmtl a\nKd 1 0 0\nmap_Kd a.png\nnewmtl b\nKd 0 0 1\n"
_CORE = b"http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
STL_WORDS = [b"solid", b"facet normal", b"outer loop", b"vertex 0 0 0\n", b"vertex", b"endloop", b"endfacet\n",
             b"endsolid", b"\n", b"nan", b"1e99", b"\0", b"\x01\0\0\0", b"\xff\xff\xff\xff", bytes(50)]  # fmt: skip
PLY_WORDS = [b"element vertex 3\n", b"element face 1\n", b"property float x\n", b"property list uchar int vertex_indices\n",
             b"property uchar red\n", b"list", b"uchar", b"double", b"ascii", b"binary_big_endian", b"end_header\n",
             b"comment ", b"obj_info ", b"3 0 1 2\n", b"-1", b"4000000000", b"nan", b"\xff", b"\0", b"\r"]  # fmt: skip
OBJ_WORDS = [b"v 0 0 0\n", b"vt 0 0\n", b"f 1 2 3\n", b"f 1/1 2/2 3/3\n", b"f -1 -2 -3\n", b"//", b"/", b"\\\n", b"#",
             b"usemtl a\n", b"usemtl b\n", b"mtllib a.mtl\n", b"newmtl a\n", b"\r", b"\t", b"1e99", b"0", b"\0"]  # fmt: skip
ZIP_WORDS = [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"../", b"a.stl", b"\0\0", b"\xff\xff",
             b"\x08\0", b"\x09\0", b"\x01\0", b"\xff\xff\xff\xff", b"/"]  # fmt: skip
THREEMF_WORDS = [b'<item objectid="1"/>', b'<component objectid="1"/>', b"<!DOCTYPE a>", b"<!-- x -->", b"]]>",
                 b'<triangle v1="0" v2="1" v3="2"/>', b'<vertex x="0" y="0" z="0"/>', b' transform="', b' pid="5"',
                 b' p1="0"', b'<object id="1">', b"</object>", b"&a;", b"-1", b"1e99", b"nan", b"inch", b'"']  # fmt: skip
GLTF_WORDS = [b"[", b"]", b"{", b"}", b",", b'"nodes":', b'"children":[0]', b'"mesh":0', b'"sparse":{}', b"-1",
              b"1e999", b"NaN", b"5126", b"5123", b'"byteStride":', b'"byteOffset":', b'"scale":', b"null",
              b"true", b'"uri":"data:;base64,', b"AAAA", b'"mode":5', b'"COLOR_0":0', b"99999999999"]  # fmt: skip
OFF_WORDS = [
    b"OFF",
    b"COFF",
    b"NOFF",
    b"BINARY",
    b"#",
    b"\n",
    b"3 0 1 2\n",
    b"0 0 0\n",
    b"-1",
    b"1e99",
    b"4 ",
    b"\0",
]


def check_stl(data: bytes) -> None:
    _check(data, Format.STL)


def check_ply(data: bytes) -> None:
    _check(data, Format.PLY)


def check_obj(data: bytes) -> None:
    """Two files with 0xFF between them: the scan, and the materials beside it."""
    scan, _, materials = data.partition(b"\xff")
    _check(scan, Format.OBJ, {"a.mtl": memoryview(materials), "a.png": memoryview(_png())})


def check_off(data: bytes) -> None:
    _check(data, Format.OFF)


def check_gltf(data: bytes) -> None:
    _check(data, Format.GLB if data.startswith(b"glTF") else Format.GLTF)


def check_threemf(data: bytes) -> None:
    """The model of a 3MF; its archive is a sound one."""
    _check(_package(data), Format.THREEMF)


def check_zip(data: bytes) -> None:
    """What the directory promises is what comes out, or nothing."""
    limits = archive.Limits(members=20, unpacked=1 << 16, ratio_from=1 << 10)
    file = io.BytesIO(data)
    try:
        found = archive.members(file, limits)
    except ScanRefused as refused:
        _check_sentence(refused)
        return
    assert len(found) <= limits.members
    assert sum(member.size for member in found) <= limits.unpacked
    for member in found:
        out = io.BytesIO()
        try:
            written = archive.extract(file, member, out, limits.unpacked)
        except ScanRefused as refused:
            _check_sentence(refused)
            assert len(out.getvalue()) <= member.size
            continue
        assert len(out.getvalue()) == written == member.size


def _check(data: bytes, kind: Format, beside: dict[str, memoryview] | None = None) -> None:
    try:
        found = read(memoryview(data), kind, beside or {})
    except ScanRefused as refused:
        _check_sentence(refused)
        return
    mesh = found.mesh
    assert mesh.faces.dtype == np.int32
    assert mesh.vertices.dtype == np.float32
    assert 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices)
    assert np.isfinite(mesh.vertices).all()
    assert mesh.colours is None or mesh.colours.shape == mesh.vertices.shape
    assert (mesh.uvs is None) == (mesh.texture is None)
    assert found.used <= set(beside or {})
    copy, suffix = write(mesh, kind)
    told = sniff(copy[:HEAD], len(copy))
    assert suffix == told.value.lower()
    _check_copy(copy, told, mesh.vertices[mesh.faces])


def _check_copy(copy: bytes, kind: Format, corners: np.ndarray) -> None:
    again = read(memoryview(copy), kind, {})
    assert again.stripped == 0
    after = again.mesh.vertices[again.mesh.faces]
    assert after.shape == corners.shape
    if kind is not Format.GLB:  # which alone does not say whether a tiny scan is in millimetres
        assert np.array_equal(after, corners)


def _check_sentence(refused: ScanRefused) -> None:
    sentence = str(refused)
    assert sentence[0].islower(), sentence
    assert sentence.endswith("."), sentence
    assert len(sentence) < 300, sentence
    assert sentence.isprintable(), sentence


# ---------------------------------------------------------------- seeds


def stl() -> list[bytes]:
    whole, text = jaws.stl_bytes(_SMALL), jaws.ascii_stl_bytes(_SMALL)
    return [
        whole,
        text,
        whole[:-20],
        text[:-20],
        bytes(84),
        b"solid a\nendsolid a\n",
        whole + b"\r\n",
    ]


def ply() -> list[bytes]:
    head = b"ply\nformat %b 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    faces = b"element face 2\nproperty list uchar int vertex_indices\nend_header\n"
    text = b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n4 0 1 2 0\n"
    mixed = np.eye(3, dtype="<f4").tobytes() + struct.pack("<B3iB4i", 3, 0, 1, 2, 4, 0, 1, 2, 0)
    return [
        jaws.ply_bytes(_SMALL),
        head % b"ascii" + faces + text,
        head % b"binary_little_endian" + faces + mixed,
        head % b"binary_big_endian" + faces + mixed,
    ]


def obj() -> list[bytes]:
    points = b"mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl a\n"
    painted = points + b"f 1/1 2/2 3/3\nusemtl b\nf -1/1/1 2/2 3//1\n"
    return [jaws.obj_bytes(_SMALL), painted + b"\xff" + _MTL, points + b"f 1 2 4 3\n\xff" + _MTL]


def off() -> list[bytes]:
    points = b"0 0 0\n1 0 0\n0 1 0\n"
    return [
        b"OFF\n3 2 0\n" + points + b"3 0 1 2\n4 0 1 2 0 255 0 0\n",
        b"COFF 3 1\n" + points.replace(b"\n", b" 255 0 0 255\n") + b"3 0 1 2 # a\n",
    ]


def threemf() -> list[bytes]:
    surface = (
        b'<mesh><vertices><vertex x="0" y="0" z="0"/><vertex x="1" y="0" z="0"/><vertex x="0" y="1" z="0"/>'
        b'</vertices><triangles><triangle v1="0" v2="1" v3="2" pid="5" p1="0"/></triangles></mesh>'
    )
    colours = b'<basematerials id="5"><base name="a" displaycolor="#FF0000"/></basematerials>'
    parts = (
        b'<components><component objectid="1" transform="1 0 0 0 1 0 0 0 1 5 5 5"/></components>'
    )
    inside = b'%b<object id="1">%b</object><object id="2">%b</object>' % (colours, surface, parts)
    whole = b'<model unit="inch" xmlns="%b"><resources>%b</resources><build><item objectid="2"/></build></model>'
    return [whole % (_CORE, inside)]


def gltf() -> list[bytes]:
    data = "data:;base64,AAAAAAAAAAAAAAAAAAAgQQAAAAAAAAAAAAAAAAAAIEEAAAAAAAABAAIA"
    head = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [
            {"mesh": 0, "scale": [1, 2, 3], "children": [1]},
            {"mesh": 0, "rotation": [0, 0, 0, 1]},
        ],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "COLOR_0": 0}, "indices": 1, "mode": 4}]}
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": 36},
            {"buffer": 0, "byteOffset": 36, "byteLength": 6},
        ],
        "buffers": [{"byteLength": 42, "uri": data}],
    }
    return [json.dumps(head).encode(), write(_SMALL, Format.GLB)[0]]


def zips() -> list[bytes]:
    found = []
    for names in (["a.stl"], ["a.stl", "b/c.ply"], ["a.zip", "__MACOSX/._a", "d/"]):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in names:
                packed.writestr(name, b"solid " * 20)
        found.append(out.getvalue())
    return found


def _package(model: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("3D/3dmodel.model", model)
    return out.getvalue()


def _png() -> bytes:
    from PIL import Image  # noqa: PLC0415 -- only one target draws

    out = io.BytesIO()
    Image.new("RGB", (4, 4), (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


# What targets.py registers: the check, where it begins, and what the mutations sprinkle in.
Row = tuple[Callable[[bytes], None], Callable[[], list[bytes]], list[bytes]]
ROWS: dict[str, Row] = {
    "stl": (check_stl, stl, STL_WORDS),
    "ply": (check_ply, ply, PLY_WORDS),
    "obj": (check_obj, obj, OBJ_WORDS),
    "off": (check_off, off, OFF_WORDS),
    "3mf": (check_threemf, threemf, THREEMF_WORDS),
    "gltf": (check_gltf, gltf, GLTF_WORDS),
    "zip": (check_zip, zips, ZIP_WORDS),
}
