import io

import numpy as np
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inbound.scans import stl, weld
from inbound.scans.mesh import Mesh
from scanpost import jaws

JAW = jaws.make_jaw(20_000, "upper")
SOUP = stl.read(memoryview(jaws.stl_bytes(JAW)))


def soup(corners, colours=None):
    corners = np.asarray(corners, np.float32).reshape(-1, 3)
    return Mesh(corners, np.arange(len(corners), dtype=np.int32).reshape(-1, 3), colours)


def test_welding_brings_a_jaw_back_to_its_vertices_with_every_triangle_where_it_was():
    mesh = weld.weld(SOUP)
    assert len(mesh.vertices) == len(JAW.vertices)
    assert mesh.vertices[mesh.faces].tobytes() == SOUP.vertices[SOUP.faces].tobytes()


def test_the_count_of_vertices_is_that_of_trimesh():
    theirs = trimesh.load_mesh(io.BytesIO(jaws.stl_bytes(JAW)), file_type="stl")
    assert len(weld.weld(SOUP).vertices) == len(theirs.vertices)


def test_vertices_keep_the_order_in_which_the_file_first_names_them():
    mesh = weld.weld(soup([[5, 0, 0], [4, 0, 0], [3, 1, 0], [4, 0, 0], [5, 0, 0], [2, 0, 0]]))
    assert mesh.vertices[:, 0].tolist() == [5, 4, 3, 2]
    assert mesh.faces.tolist() == [[0, 1, 2], [1, 0, 3]]


def test_zero_and_minus_zero_are_one_place():
    mesh = weld.weld(
        soup([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [-0.0, 0, 0], [0, 1, -0.0], [0, 0, 1]])
    )
    assert len(mesh.vertices) == 4
    assert not np.signbit(mesh.vertices).any()


def test_one_place_with_two_colours_stays_two_vertices():
    corners = [[0, 0, 0], [1, 0, 0], [0, 1, 0]] * 2
    colours = np.zeros((6, 3), np.uint8)
    colours[3] = 9
    mesh = weld.weld(soup(corners, colours))
    assert len(mesh.vertices) == 4
    assert mesh.colours[mesh.faces].tolist() == colours.reshape(2, 3, 3).tolist()


def test_nearly_the_same_is_not_the_same():
    near = np.nextafter(np.float32(1), np.float32(2))
    mesh = weld.weld(soup([[1, 0, 0], [0, 1, 0], [0, 0, 1], [near, 0, 0], [0, 1, 0], [0, 0, 1]]))
    assert len(mesh.vertices) == 4


def test_vertices_without_a_face_are_dropped():
    mesh = weld.weld(Mesh(np.eye(4, 3, dtype=np.float32), np.array([[0, 1, 2]], np.int32)))
    assert len(mesh.vertices) == 3


def test_when_every_key_collides_the_sort_gives_the_same_answer(monkeypatch):
    by_hash = weld.weld(SOUP)
    monkeypatch.setattr(weld, "_keys", lambda words: np.zeros(len(words), np.uint64))
    by_sort = weld.weld(SOUP)
    assert by_sort.faces.tobytes() == by_hash.faces.tobytes()
    assert by_sort.vertices.tobytes() == by_hash.vertices.tobytes()


@settings(max_examples=100, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 40).map(lambda n: 3 * n), st.just(3)),
        elements=st.sampled_from([0.0, -0.0, 1.0, 1.5, -2.0, 1e-30, 3e5]),
    )
)
def test_any_corners_come_back_equal_and_without_doubles(corners):
    mesh = weld.weld(soup(corners))
    assert np.array_equal(mesh.vertices[mesh.faces].reshape(-1, 3), corners)
    assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices)
