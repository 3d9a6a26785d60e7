import io
from contextlib import contextmanager

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.scans import obj
from inbound.scans.mesh import Mesh
from scanpost import jaws
from store.errors import ScanRefused

JAW = jaws.make_jaw(4_000, "upper")
POINTS = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\n"


def read(data):
    return obj.read(memoryview(data))


def refusal(data):
    with pytest.raises(ScanRefused) as caught:
        read(data)
    return str(caught.value)


def test_what_was_written_is_read_back_bit_for_bit():
    for mesh in (JAW, Mesh(JAW.vertices, JAW.faces)):
        back = read(obj.write(mesh))
        assert back.vertices.tobytes() == mesh.vertices.tobytes()
        assert back.faces.tobytes() == mesh.faces.tobytes()
        assert (back.colours is None) == (mesh.colours is None)
    assert (read(obj.write(JAW)).colours == JAW.colours).all()


def test_reading_agrees_with_trimesh():
    data = jaws.obj_bytes(JAW)
    theirs = trimesh.load(io.BytesIO(data), file_type="obj", process=False, maintain_order=True)
    ours = read(data)
    assert np.allclose(theirs.vertices, ours.vertices)
    assert (theirs.faces == ours.faces).all()


@pytest.mark.parametrize(
    ("lines", "faces"),
    [
        (b"f 1 2 3\n", [[0, 1, 2]]),
        (b"f 1/7 2/8 3/9\n", [[0, 1, 2]]),
        (b"f 1//7 2//8 3//9\n", [[0, 1, 2]]),
        (b"f 1/1/7 2/2/8 3/3/9 # note\n", [[0, 1, 2]]),
        (b"f 1 2 4 3\n", [[0, 1, 3], [0, 3, 2]]),
        (b"f -4 -3 -2\nv 9 9 9\nf -1 1 2\n", [[0, 1, 2], [4, 0, 1]]),
        (b"f 1 2 \\\n 3\n", [[0, 1, 2]]),
        (b"g a\nusemtl b\ns off\nvn 0 0 1\nvt 0 0\nf 1 2 3\nf 2 4 3\nl 1 2\n", [[0, 1, 2], [1, 3, 2]]),
        (b"\tf  1   2\t3\r\n", [[0, 1, 2]]),
    ],
)  # fmt: skip
def test_every_way_to_write_a_face_is_read(lines, faces):
    assert read(POINTS + lines).faces.tolist() == faces


def test_colours_are_read_as_shares_or_as_bytes_and_only_when_all_points_have_them():
    shares = b"v 0 0 0 1 0 .5\nv 1 0 0 1 0 .5\nv 0 1 0 1 0 .5\nf 1 2 3\n"
    assert read(shares).colours.tolist() == [[255, 0, 128]] * 3
    assert read(shares.replace(b"1 0 .5", b"200 100 50")).colours.tolist() == [[200, 100, 50]] * 3
    assert read(shares.replace(b"1 0 .5", b"", 1)).colours is None


def test_sixty_thousand_groups_cost_no_more_than_one():
    groups = b"".join(b"usemtl m%d\no o%d\nf 1 2 3\n" % (n, n) for n in range(60_000))
    assert len(read(POINTS + groups).faces) == 60_000


def test_a_face_of_two_million_corners_becomes_a_fan():
    assert len(read(POINTS + b"f " + b"1 2 3 " * 200_000 + b"\n").faces) == 600_000 - 2


def test_material_files_are_never_looked_for_and_never_copied():
    mesh = read(b"mtllib ../../../../etc/passwd\no Jane_Doe\n# Jane\n" + POINTS + b"f 1 2 3\n")
    assert b"passwd" not in obj.write(mesh)
    assert b"Jane" not in obj.write(mesh)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "holds no triangles"),
        (b"# nothing\n", "holds no triangles"),
        (POINTS, "holds points and no surface"),
        (POINTS + b"f 1 2\n", "holds points and no surface"),
        (POINTS + b"f 1 2 999999999\n", "refers to point 999,999,999 and holds 4 points"),
        (POINTS + b"f 0 2 3\n", "refers to point 0"),
        (POINTS + b"f 1 -9 3\n", "refers to point -5"),
        (b"f 1 2 3\n", "refers to point 3 and holds 0 points"),
        (POINTS + b"v 1 2\nf 1 2 3\n", "stops inside one of its 5 points"),
        (POINTS + b"f one two three\n", "cannot be read as OBJ"),
        (POINTS + b"f 1 2 1e300\n", "cannot be read as OBJ"),
        (POINTS + b"v nan 0 0\nf 1 2 3\n", "has 1 point without a position"),
        (POINTS + b"v 1e300 0 0\nf 1 2 3\n", "has 1 point without a position"),
        (POINTS + b"v 1e7 0 0\nf 1 2 3\n", "has points more than a kilometre"),
        (b"v 1 1 1\n" * 3 + b"f 1 2 3\n", "has no size"),
    ],
)
def test_hostile_files_get_a_sentence(data, sentence):
    assert refusal(data).startswith(sentence)


@settings(max_examples=250, deadline=None)
@given(st.lists(st.sampled_from([b"v ", b"f ", b"1 ", b"-2 ", b"/", b"\n", b"0.5 ", b"\\\n", b"#", b"x", b"\0", b"\xff", b"1e99 ", b"\r"]), max_size=60))  # fmt: skip
def test_arbitrary_lines_are_read_or_refused(tokens):
    with plain_refusals():
        read(POINTS + b"".join(tokens))


@contextmanager
def plain_refusals():
    """A refusal is fine if it is a sentence that begins with its verb; any other error fails the test."""
    sentence = "fine."
    try:
        yield
    except ScanRefused as refused:
        sentence = str(refused)
    assert sentence[0].islower()
    assert sentence.endswith(".")
