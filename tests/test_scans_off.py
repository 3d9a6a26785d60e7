"""OFF in all its spellings, and the files that only look like it."""

import io

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.scans import off
from inbound.scans.mesh import Mesh
from scanpost import jaws
from tests.refusing import plain_refusals, refused

JAW = jaws.make_jaw(4_000, "upper")
POINTS = b"0 0 0\n1 0 0\n0 1 0\n1 1 0\n"


def read(data):
    return off.read(memoryview(data))[0]


def refusal(data):
    return refused(read, data)


def test_what_was_written_is_read_back_bit_for_bit():
    for mesh in (JAW, Mesh(JAW.vertices, JAW.faces)):
        back = read(off.write(mesh))
        assert back.vertices.tobytes() == mesh.vertices.tobytes()
        assert back.faces.tobytes() == mesh.faces.tobytes()
        assert (back.colours is None) == (mesh.colours is None)
    assert (read(off.write(JAW)).colours == JAW.colours).all()


def test_reading_agrees_with_trimesh():
    data = off.write(Mesh(JAW.vertices, JAW.faces))
    theirs = trimesh.load_mesh(io.BytesIO(data), file_type="off", process=False)
    assert np.allclose(theirs.vertices, read(data).vertices)
    assert (theirs.faces == read(data).faces).all()


@pytest.mark.parametrize(
    ("data", "faces"),
    [
        (b"OFF\n4 1 0\n" + POINTS + b"3 0 1 2\n", [[0, 1, 2]]),
        (b"OFF 4 1 0\n" + POINTS + b"3 0 1 2", [[0, 1, 2]]),
        (b"  \n# by hand\nOFF # really\n\n4 1\n\n" + POINTS + b"\n# face\n3 0 1 2 # a\n", [[0, 1, 2]]),
        (b"OFF\r\n4 2 0\r\n" + POINTS + b"3 0 1 2 255 0 0\r\n4 0 1 3 2 0.5 0.5 0.5 1\r\n",
         [[0, 1, 2], [0, 1, 3], [0, 3, 2]]),
        (b"off4 2 0\n" + POINTS + b"2 0 1\n3 1 3 2\n", [[1, 3, 2]]),
        (b"OFF\n4 1 0\n" + POINTS + b"3 0 1 2\n0 0 0 trailing is not read\n"[:8] + b"\n", [[0, 1, 2]]),
    ],
)  # fmt: skip
def test_every_way_to_write_it_is_read(data, faces):
    assert read(data).faces.tolist() == faces


def test_colours_stand_after_the_position_and_after_the_normal():
    rows = b"0 0 0 255 0 128 255\n1 0 0 255 0 128 255\n0 1 0 255 0 128 255\n3 0 1 2\n"
    assert read(b"COFF\n3 1 0\n" + rows).colours.tolist() == [[255, 0, 128]] * 3
    shares = rows.replace(b"255 0 128 255", b"0 0 1 1 0 .5 1")
    assert read(b"CNOFF\n3 1 0\n" + shares).colours.tolist() == [[255, 0, 128]] * 3
    assert read(b"NOFF\n3 1 0\n" + shares).colours is None


def test_comments_are_counted():
    data = b"OFF\n# Jane Doe\n#\n3 1 0\n" + POINTS[:18] + b"3 0 1 2 # Jane\n"
    mesh, notes = off.read(memoryview(data))
    assert notes == 2
    assert b"Jane" not in off.write(mesh)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"OFF", "stops inside its header"),
        (b"OFF\nmany points\n", "stops inside its header"),
        (b"OFF BINARY\n\0\0\0\4\0\0\0\4", "is a binary OFF"),
        (b"4OFF\n3 1 0\n" + POINTS, "cannot be read as OFF"),
        (b"OFF\n0 0 0\n", "holds no triangles"),
        (b"OFF\n4 0 0\n" + POINTS, "holds points and no surface"),
        (b"OFF\n353535235358 4 0\n" + POINTS, "stops after 4 of 353,535,235,358 points"),
        (b"OFF\n4 999999999999 0\n" + POINTS + b"3 0 1 2\n", "stops after 1 of 999,999,999,999 triangles"),
        (b"OFF\n4 1 0\n" + POINTS + b"5 0 1 2\n", "stops inside one of its 1 triangles"),
        (b"OFF\n4 1 0\n" + POINTS + b"-3 0 1 2\n", "stops inside one of its 1 triangles"),
        (b"OFF\n4 1 0\n" + POINTS + b"3 0 1 9\n", "refers to point 10 and holds 4 points"),
        (b"OFF\n4 1 0\n" + POINTS + b"3 0 1 -2\n", "refers to point -2"),
        (b"OFF\n4 1 0\n" + POINTS + b"3 0 1 1e300\n", "cannot be read as OFF"),
        (b"OFF\n4 1 0\n" + POINTS + b"3 0 1 nan\n", "cannot be read as OFF"),
        (b"OFF\n4 1 0\n" + POINTS.replace(b"1 1 0", b"1 nan 0") + b"3 0 1 2\n", "has 1 point without"),
        (b"OFF\n4 1 0\n" + POINTS.replace(b"1 1 0", b"1 3e38 0") + b"3 0 1 2\n", "has points more than"),
        (b"OFF\n4 1 0\n" + POINTS.replace(b"1 1 0", b"1 1") + b"3 0 1 2\n", "stops inside one of its 4 points"),
        (b"OFF\n4 1 0\n" + POINTS.replace(b"1 1 0", b"1 one 0") + b"3 0 1 2\n", "cannot be read as OFF"),
    ],
)  # fmt: skip
def test_hostile_files_get_a_sentence(data, sentence):
    assert refusal(data).startswith(sentence)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"OFF", b"C", b"N", b"3 ", b"0 ", b"-1 ", b"2 ", b"\n", b"#", b"1e99 ", b"\0", b"x", b"0 0 0\n", b"3 0 1 2\n"]), max_size=40))  # fmt: skip
def test_arbitrary_lines_are_read_or_refused(tokens):
    with plain_refusals():
        read(b"OFF 4 2 0\n" + POINTS + b"".join(tokens))
