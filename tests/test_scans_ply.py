import io
import struct

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.scans import ply
from inbound.scans.mesh import Mesh
from scanpost import jaws
from tests.refusing import plain_refusals, refused

JAW = jaws.make_jaw(4_000, "lower")
DATA = jaws.ply_bytes(JAW)
TRIANGLE = np.eye(3, dtype="<f4").tobytes()
FACE = b"\x03" + struct.pack("<3i", 0, 1, 2)


def read(data):
    return ply.read(memoryview(data))


def refusal(data):
    return refused(read, data)


def header(points=3, faces=1, order="binary_little_endian", extra="", index="int", count="uchar"):
    return (
        f"ply\nformat {order} 1.0\nelement vertex {points}\nproperty float x\nproperty float y\n"
        f"property float z\n{extra}element face {faces}\n"
        f"property list {count} {index} vertex_indices\nend_header\n"
    ).encode()


def as_text(mesh):
    head = ply._header(mesh).replace(b"binary_little_endian", b"ascii")
    points = [
        f"{x!r} {y!r} {z!r} {r} {g} {b}"
        for (x, y, z), (r, g, b) in zip(
            mesh.vertices.astype(float).tolist(), mesh.colours.tolist(), strict=True
        )
    ]
    faces = [f"3 {a} {b} {c}" for a, b, c in mesh.faces.tolist()]
    return head + "\n".join([*points, *faces, ""]).encode()


def big_endian(mesh):
    head = ply._header(mesh).replace(b"little", b"big")
    points = np.empty(len(mesh.vertices), [("p", ">f4", 3), ("c", "u1", 3)])
    points["p"], points["c"] = mesh.vertices, mesh.colours
    faces = np.empty(len(mesh.faces), [("n", "u1"), ("i", ">i4", 3)])
    faces["n"], faces["i"] = 3, mesh.faces
    return head + points.tobytes() + faces.tobytes()


@pytest.mark.parametrize("data", [DATA, as_text(JAW), big_endian(JAW)])
def test_text_and_both_byte_orders_give_the_same_mesh(data):
    mesh = read(data)
    assert mesh.vertices.tobytes() == JAW.vertices.tobytes()
    assert mesh.faces.tobytes() == JAW.faces.tobytes()
    assert mesh.colours.tobytes() == JAW.colours.tobytes()


@pytest.mark.parametrize("data", [DATA, as_text(JAW), big_endian(JAW)])
def test_reading_agrees_with_trimesh(data):
    theirs = trimesh.load_mesh(io.BytesIO(data), file_type="ply", process=False)
    ours = read(data)
    assert np.allclose(theirs.vertices, ours.vertices)
    assert (theirs.faces == ours.faces).all()
    assert (theirs.visual.vertex_colors[:, :3] == ours.colours).all()


def test_properties_come_in_any_order_and_type_and_unknown_ones_are_skipped():
    rows = np.zeros(
        3,
        [
            ("blue", "f4"),
            ("z", "f8"),
            ("q", "i2"),
            ("x", "f8"),
            ("red", "f4"),
            ("y", "f8"),
            ("green", "f4"),
        ],
    )
    rows["x"], rows["y"], rows["z"] = [1, 0, 0], [0, 2, 0], [0, 0, 3]
    rows["red"], rows["blue"] = 1.0, 0.5
    head = (
        b"ply\nformat binary_little_endian 1.0\ncomment by hand\nobj_info x\n"
        b"element camera 2\nproperty float f\nproperty list uchar short knots\n"
        b"element vertex 3\nproperty float blue\nproperty double z\nproperty short q\nproperty double x\n"
        b"property float red\nproperty double y\nproperty float green\n"
        b"element face 1\nproperty uchar flags\nproperty list ushort uint vertex_index\n"
        b"property list uchar float texcoord\nend_header\n"
    )
    camera = struct.pack("<fB2h", 1, 2, 7, 7) + struct.pack("<fB", 1, 0)
    face = struct.pack("<BH3I", 9, 3, 0, 1, 2) + struct.pack("<B6f", 6, *range(6))
    mesh = read(head + camera + rows.tobytes() + face)
    assert mesh.vertices.tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 3]]
    assert mesh.faces.tolist() == [[0, 1, 2]]
    assert mesh.colours.tolist() == [[255, 0, 128]] * 3


def test_faces_may_stand_before_points():
    head = (
        b"ply\nformat ascii 1.0\nelement face 1\nproperty list uchar int vertex_indices\n"
        b"element vertex 3\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    )
    assert read(head + b"3 0 1 2\n0 0 0\n1 0 0\n0 1 0\n").faces.tolist() == [[0, 1, 2]]


def test_quads_and_polygons_become_fans_in_the_order_of_the_file():
    points = np.arange(15, dtype="<f4").tobytes()
    body = (
        FACE
        + b"\x04"
        + struct.pack("<4i", 0, 1, 2, 3)
        + b"\x02"
        + struct.pack("<2i", 0, 1)
        + b"\x05"
        + struct.pack("<5i", 4, 3, 2, 1, 0)
    )
    mesh = read(header(5, 4) + points + body)
    assert mesh.faces.tolist() == [
        [0, 1, 2],
        [0, 1, 2],
        [0, 2, 3],
        [4, 3, 2],
        [4, 2, 1],
        [4, 1, 0],
    ]


def test_text_with_mixed_polygons_and_comments_is_read():
    body = b"0 0 0\n1 0 0\ncomment a point follows\n0 1 0\n1 1 0\n3 0 1 2\n4 0 1 3 2\n"
    mesh = read(header(4, 2, "ascii") + body)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 1, 3], [0, 3, 2]]


def test_a_large_mixed_file_is_walked_in_blocks(monkeypatch):
    monkeypatch.setattr(ply, "_ROWS", 7)
    body = (FACE + b"\x04" + struct.pack("<4i", 0, 1, 2, 0)) * 50
    assert len(read(header(3, 100) + TRIANGLE + body).faces) == 150


def test_a_copy_holds_all_triangles_and_colours_and_no_words_of_the_original():
    copy = ply.write(read(jaws.ply_bytes(JAW, comment="Patient Jane Doe")))
    assert b"Jane" not in copy
    assert read(copy).vertices.tobytes() == JAW.vertices.tobytes()
    assert read(copy).colours.tobytes() == JAW.colours.tobytes()
    plain = Mesh(JAW.vertices, JAW.faces)
    assert read(ply.write(plain)).colours is None


def test_a_cut_file_says_what_it_stops_after():
    triangles, points = len(JAW.faces), len(JAW.vertices)
    body = DATA.index(b"end_header\n") + 11
    cut = body + 15 * points + 13 * 1_000 + 5
    assert refusal(DATA[:cut]).startswith(f"stops after 1,000 of {triangles:,} triangles.")
    assert refusal(DATA[: body + 15 * 500]).startswith(f"stops after 500 of {points:,} points.")
    assert refusal(DATA[: body - 20]).startswith("stops inside its header")
    text = as_text(JAW)
    assert refusal(text[: text.rindex(b"\n3 ")]).startswith(f"stops after {triangles - 1:,} of")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (header(4_000_000_000, 1) + TRIANGLE, "stops after 3 of 4,000,000,000 points"),
        (header(3, 4_000_000_000) + TRIANGLE + FACE, "stops after 1 of 4,000,000,000 triangles"),
        (header(3_000_000_000, 1, "ascii") + b"0 0 0\n", "stops after 1 of 3,000,000,000 points"),
        (header(-3, 1) + TRIANGLE + FACE, "declares -3 rows"),
        (header(3, 1, count="uint") + TRIANGLE + struct.pack("<I", 4_000_000_000), "stops inside the first"),
        (header(3, 1, count="char") + TRIANGLE + b"\xff" + FACE[1:], "stops inside the first"),
        (header() + TRIANGLE + b"\x03" + struct.pack("<3i", 0, -5, 2), "refers to point -5"),
        (header() + TRIANGLE + b"\x03" + struct.pack("<3i", 0, 1, 2_000_000_000), "refers to point 2,000,000,001"),
        (header(3, 0) + TRIANGLE, "holds points and no surface"),
        (header(0, 0), "holds no triangles"),
        (header(extra="".join(f"property float p{i}\n" for i in range(20_000))), "stops inside its header"),
        (header().replace(b"float x", b"float x\nproperty quux w"), "cannot be read as PLY"),
        (header().replace(b"property float z\n", b"") + TRIANGLE + FACE, "cannot be read as PLY"),
        (header().replace(b"binary_little_endian", b"morse"), "cannot be read as PLY"),
        (header(order="ascii") + b"0 0 0\n1 0 zero\n0 1 0\n3 0 1 2\n", "cannot be read as PLY"),
        (header(order="ascii") + b"0 0 0\n1 0 0\n0 1 0\n3 0 nan 2\n", "cannot be read as PLY"),
        (header(order="ascii") + b"0 0 0\n1 0 0\n0 nan 0\n3 0 1 2\n", "has 1 point without a position"),
        (header(order="ascii") + b"0 0 0\n1 0 0\n0 1 0\n3 0 1e30 2\n", "cannot be read as PLY"),
        (header(index="float") + TRIANGLE + b"\x03" + struct.pack("<3f", 0, 1, -1e30), "cannot be read as PLY"),
        (b"ply\n", "stops inside its header"),
        (b"", "stops inside its header"),
    ],
)  # fmt: skip
def test_hostile_files_get_a_sentence(data, sentence):
    assert refusal(data).startswith(sentence)


def test_a_file_with_lists_of_two_lengths_that_lies_is_refused_where_it_ends():
    body = (FACE + b"\x04" + struct.pack("<4i", 0, 1, 2, 0)) * 3
    assert refusal(header(3, 10**9) + TRIANGLE + body).startswith("stops after 6 of 1,000,000,000")


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian"])
)
def test_arbitrary_bodies_are_read_or_refused(body, order):
    with plain_refusals():
        read(header(3, 2, order) + body)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=5))
def test_damaged_files_are_read_or_refused(place, bytes_in):
    data = bytearray(header(3, 2, extra="property uchar red\n") + bytes(39) + FACE * 2)
    place %= len(data)
    data[place : place + len(bytes_in)] = bytes_in
    with plain_refusals():
        read(bytes(data))


def test_comments_and_tables_of_the_writers_own_are_counted_as_notes():
    def notes(data):
        return ply.read_with_notes(memoryview(data))[1]

    camera = "element camera 1\nproperty float f\n"
    assert notes(DATA.replace(b"comment generated jaw\n", b"")) == 0
    assert notes(DATA) == 1
    assert notes(DATA.replace(b"1.0\n", b"1.0\nobj_info by Jane\ncomment\n", 1)) == 2
    assert notes(header(extra=camera) + TRIANGLE + bytes(4) + FACE) == 1


def test_text_with_more_numbers_than_it_declares_is_refused_rather_than_read_askew():
    body = b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2 0.5 0.5\n"
    assert refusal(header(order="ascii") + body).startswith("holds more numbers than its header")
