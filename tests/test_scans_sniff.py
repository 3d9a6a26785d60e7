import io
import random
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbound.scans.sniff import HEAD, Format, sniff
from scanpost import jaws

JAW = jaws.make_jaw(4_000, "lower")


def sniffed(data):
    return sniff(data[:HEAD], len(data))


def packed(*names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (jaws.stl_bytes(JAW), Format.STL),
        (jaws.stl_bytes(JAW, header=b"solid made by a scanner, facet 5"), Format.STL),
        (jaws.ascii_stl_bytes(JAW), Format.STL),
        (b"  \n" + jaws.ascii_stl_bytes(JAW), Format.STL),
        (b"solid\n", Format.STL),
        (b"solid a\nendsolid a\n", Format.STL),
        (bytes(84), Format.STL),
        (jaws.ply_bytes(JAW), Format.PLY),
        (jaws.ply_bytes(JAW).replace(b"\n", b"\r\n", 6), Format.PLY),
        (jaws.obj_bytes(JAW), Format.OBJ),
        (b"\xef\xbb\xbf# blender\nmtllib a.mtl\nv 0 0 0\n", Format.OBJ),
        (b"", Format.EMPTY),
        (b"PK\x05\x06" + bytes(18), Format.ZIP),
        (b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(20) + b"upper.stl", Format.ZIP),
        (b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml", Format.THREEMF),
        (packed("[Content_Types].xml", "Metadata/t.png", "3D/3dmodel.model"), Format.THREEMF),
        (packed("[Content_Types].xml", "_rels/.rels", "word/document.xml"), Format.OTHER),
        (packed("_rels/.rels", "docProps/app.xml", "xl/workbook.xml"), Format.OTHER),
        (packed("upper.stl", "lower.stl"), Format.ZIP),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", Format.JPEG),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), Format.PNG),
        (b"RIFF\x10\0\0\0WEBPVP8 ", Format.WEBP),
        (b"%PDF-1.7\n", Format.PDF),
        (bytes(128) + b"DICM" + bytes(100), Format.DICOM),
        (b'<HPS version="1.1">\n<Packed_geometry>', Format.HPS),
        (b'<?xml version="1.0"?>\n<HPS version="1.1">', Format.HPS),
        (b'<?xml version="1.0"?>\n<Patient>', Format.XML),
        (b"glTF\x02\0\0\0", Format.GLB),
        (b"Rar!\x1a\x07\x01\0", Format.RAR),
        (b"7z\xbc\xaf\x27\x1c\0\x04", Format.SEVENZIP),
        (b"Dear Dr Kim, the scan is attached.\n", Format.OTHER),
        (b"# only a comment\n", Format.OTHER),
        (b"\x00" * 4096, Format.OTHER),
    ],
)
def test_content_alone_tells_the_format(data, kind):
    assert sniffed(data) is kind


def test_a_cut_or_lying_binary_stl_is_still_called_stl_so_that_it_gets_a_clear_sentence():
    whole = jaws.stl_bytes(JAW)
    assert sniffed(whole[: len(whole) // 2]) is Format.STL
    for count in (0, 3, 80_000_000, 0xFFFFFFFF):
        assert sniffed(whole[:80] + struct.pack("<I", count) + whole[84:]) is Format.STL


def test_a_cut_stl_with_rubbish_for_normals_is_called_stl_too():
    numbers = np.random.default_rng(1).normal(size=(100, 12)).astype("<f4")
    rows = b"".join(row.tobytes() + b"\0\0" for row in numbers)
    assert sniffed(b"x" * 80 + struct.pack("<I", 100) + rows[:-25]) is Format.STL


def test_random_bytes_are_not_taken_for_triangles():
    chance = random.Random(4)
    for _ in range(200):
        assert sniffed(chance.randbytes(3_000)) is Format.OTHER


@given(st.binary(max_size=400), st.integers(0, 2**40))
def test_any_bytes_are_sniffed_without_an_error(head, size):
    assert isinstance(sniff(head, size), Format)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"OFF\n8 6 12\n0 0 0\n", Format.OFF),
        (b"# made by hand\n\nCOFF # colours\n8 6\n", Format.OFF),
        (b"  OFF8 6 12\n", Format.OFF),
        (b"OFF BINARY\n\0\0\0\x08\0\0\0\x06", Format.OFF),
        (b"OFF we go to lunch at 12\n", Format.OTHER),
        (b'{"asset": {"version": "2.0"}}', Format.GLTF),
        (b'\xef\xbb\xbf {\n  "buffers" : [{"uri":"data:application/octet-stream;base64,AAAA', Format.GLTF),
        (b'{"patient": "Jane Doe"}', Format.OTHER),
        (b"# Blender MTL File\nnewmtl skin\nKd 1 0 0\n", Format.MTL),
        (b"newmtl blue\nKd 0 0 1\nusemtl blue\nv 0 0 0\n", Format.OBJ),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1", Format.HEIC),
        (b"\0\0\0\x18ftypmif1\0\0\0\0heic", Format.HEIC),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp42", Format.OTHER),
    ],
)  # fmt: skip
def test_the_rarer_formats_are_told_by_content_too(data, kind):
    assert sniffed(data) is kind
