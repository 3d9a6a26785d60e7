import io

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inbound.scans import obj
from inbound.scans.beside import Beside
from inbound.scans.mesh import Mesh
from inbound.scans.texture import baked
from scanpost import jaws
from store.errors import ScanRefused
from tests.refusing import plain_refusals, refused

JAW = jaws.make_jaw(4_000, "upper")
POINTS = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\n"


def read(data):
    return obj.read(memoryview(data))


def refusal(data):
    return refused(read, data)


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


SQUARES = (
    b"mtllib skin.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nvt 1 1\n"
    b"usemtl a\nf 1/1 2/2 3/3\nusemtl b\nf 2/2 4/4 3/3\n"
)
PLAIN = b"newmtl a\nKd 1 0 0\nnewmtl b\nKd 0 0 1\n"
PAINTED = b"newmtl a\nKd 1 0 0\nmap_Kd C:\\scans\\Jane Doe\\Red.PNG\nnewmtl b\nmap_Kd -s 1 1 1 -clamp on blue one.png\n"


def picture(colour):
    out = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(out, "PNG")
    return memoryview(out.getvalue())


PICTURES = {"red.png": picture((255, 0, 0)), "Blue One.png": picture((0, 0, 255))}


def read_beside(data, **files):
    beside = Beside({name: memoryview(file) for name, file in files.items()})
    mesh, notes = obj.read_with(memoryview(data), beside)
    return mesh, notes, beside.used


def corner_colours(mesh):
    return mesh.colours[mesh.faces].tolist()


def test_plain_materials_become_vertex_colours_and_split_the_vertices_where_they_meet():
    mesh, notes, used = read_beside(SQUARES, **{"SKIN.mtl": PLAIN})
    assert corner_colours(mesh) == [[[255, 0, 0]] * 3, [[0, 0, 255]] * 3]
    assert (
        mesh.vertices[mesh.faces].tolist()
        == read(SQUARES).vertices[[[0, 1, 2], [1, 3, 2]]].tolist()
    )
    assert len(mesh.vertices) == 6
    assert (notes, used) == (3, {"SKIN.mtl"})


def test_materials_may_stand_in_the_obj_itself():
    mesh, _, used = read_beside(PLAIN + SQUARES)
    assert corner_colours(mesh) == [[[255, 0, 0]] * 3, [[0, 0, 255]] * 3]
    assert used == set()


def test_colours_of_points_win_over_plain_materials_and_one_grey_says_nothing():
    with_colours = SQUARES.replace(b" 0\nv", b" 0 0 1 0\nv").replace(
        b"1 1 0\nvt", b"1 1 0 0 1 0\nvt"
    )
    mesh, _, _ = read_beside(with_colours, **{"skin.mtl": PLAIN})
    assert mesh.colours.tolist() == [[0, 255, 0]] * 4
    grey, _, _ = read_beside(
        SQUARES, **{"skin.mtl": b"newmtl a\nKd .8 .8 .8\nnewmtl b\nKd .8 .8 .8\n"}
    )
    assert grey.colours is None


def test_one_image_becomes_the_texture_seen_from_its_upper_left_corner():
    mtl = b"newmtl a\nmap_Kd red.png\nnewmtl b\nmap_Kd ../../RED.png\n"
    mesh, _, used = read_beside(SQUARES, **{"skin.mtl": mtl, "red.png": PICTURES["red.png"]})
    assert mesh.uvs.tolist() == [[0, 1], [1, 1], [0, 0], [1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [1, 3, 2]]
    assert mesh.texture.startswith(b"\xff\xd8\xff")
    assert used == {"skin.mtl", "red.png"}


def test_several_images_become_one_and_each_corner_keeps_its_colour():
    mesh, _, used = read_beside(SQUARES, **{"skin.mtl": PAINTED}, **PICTURES)
    assert used == {"skin.mtl", "red.png", "Blue One.png"}
    found = np.array(corner_colours(baked(mesh)))
    assert np.abs(found - [[[255, 0, 0]], [[0, 0, 255]]]).max() < 30


def test_an_image_that_was_not_sent_leaves_plain_colours():
    mesh, _, used = read_beside(SQUARES, **{"skin.mtl": PAINTED})
    assert mesh.texture is None
    assert corner_colours(mesh)[0] == [[255, 0, 0]] * 3
    assert used == {"skin.mtl"}
    some, _, _ = read_beside(
        SQUARES, **{"skin.mtl": PLAIN + PAINTED[PAINTED.index(b"newmtl b") :]}, **PICTURES
    )
    assert np.abs(np.array(corner_colours(baked(some))) - [[[255, 0, 0]], [[0, 0, 255]]]).max() < 30


def test_a_place_on_the_texture_that_is_not_there_is_refused():
    with pytest.raises(ScanRefused, match="refers to texture point 9 and holds 4"):
        read_beside(SQUARES.replace(b"4/4", b"4/9"), **{"skin.mtl": PAINTED}, **PICTURES)
    with pytest.raises(ScanRefused, match="stops inside one of its 4 texture points"):
        read_beside(SQUARES.replace(b"vt 1 1", b"vt 1"), **{"skin.mtl": PAINTED}, **PICTURES)


@pytest.mark.parametrize("faces", [b"f 1/1/1 2/2/1 3/3/1\n", b"f 1/1/ 2/2/ 3/3/\n", b"f -4/-4 -3/-3 -2/-2\n",
                                   b"f 1/1 2/2/9 3/3\n", b"f 1/1/1 2/2 3/3//\n"])  # fmt: skip
def test_every_way_to_name_a_place_on_the_texture_is_read(faces):
    data = SQUARES[: SQUARES.index(b"usemtl")] + b"usemtl a\n" + faces
    mesh, _, _ = read_beside(data, **{"skin.mtl": PAINTED}, **PICTURES)
    assert mesh.uvs[mesh.faces].tolist() == [[[0, 1], [1, 1], [0, 0]]]


def test_corners_without_a_place_are_read_too():
    mesh, _, _ = read_beside(SQUARES + b"f 1//1 2/2/1 3\n", **{"skin.mtl": PAINTED}, **PICTURES)
    assert len(mesh.faces) == 3
