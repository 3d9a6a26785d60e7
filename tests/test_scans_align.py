import numpy as np
import pytest
import trimesh

from inbound.scans.align import align, moved
from inbound.scans.mesh import Mesh
from scanpost import jaws

UPPER, LOWER = (jaws.make_jaw(40_000, jaw) for jaw in ("upper", "lower"))


def motion_of(degrees, axis, shift):
    motion = trimesh.transformations.rotation_matrix(np.radians(degrees), axis)
    motion[:3, 3] = shift
    return motion


def scanned_again(jaw, seed=3, noise=0.01):
    """Other triangles over the same surface, and another scan's noise."""
    middle = jaw.vertices[jaw.faces].mean(axis=1)
    count = len(jaw.vertices)
    centre = np.arange(count, count + len(middle), dtype=np.int32)
    a, b, c = jaw.faces.T
    faces = np.concatenate([np.stack([x, y, centre], 1) for x, y in ((a, b), (b, c), (c, a))])
    points = np.concatenate([jaw.vertices, middle])
    points += np.random.default_rng(seed).normal(0, noise, points.shape)
    return Mesh(points.astype(np.float32), faces)


def without_a_crown(jaw):
    middle = jaw.vertices[jaw.faces].mean(axis=1)
    return Mesh(jaw.vertices, jaw.faces[~((middle[:, 0] > 18) & (middle[:, 1] < 15))])


@pytest.mark.parametrize(
    "new",
    [
        LOWER,
        scanned_again(LOWER),
        without_a_crown(LOWER),
        Mesh(LOWER.vertices[::-1].copy(), (len(LOWER.vertices) - 1 - LOWER.faces).astype(np.int32)),
    ],
    ids=["the same", "scanned again", "a part of it", "in another order"],
)
def test_versions_in_the_same_coordinates_are_not_moved_at_all(new):
    assert np.array_equal(align(new, LOWER), np.eye(4))


def test_a_design_that_was_changed_all_over_is_not_moved():
    """Its change is what the dentist is to see."""
    crown = jaws.make_crown(8_000)
    middle = crown.vertices.mean(axis=0)
    wider = Mesh(((crown.vertices - middle) * 1.06 + middle).astype(np.float32), crown.faces)
    assert np.array_equal(align(wider, crown), np.eye(4))


@pytest.mark.parametrize(
    "motion",
    [
        motion_of(30, [1, 2, 3], [12, -7, 30]),
        motion_of(170, [0, 1, 0], [0, 0, 0]),
        motion_of(3, [1, 0, 0], [0.5, 0.5, 2]),
        motion_of(0, [0, 0, 1], [500, 0, 0]),
    ],
    ids=["turned", "upside down", "a little", "shifted"],
)
def test_a_version_that_was_moved_is_brought_back(motion):
    for jaw in (UPPER, scanned_again(UPPER)):
        back = align(Mesh(moved(jaw.vertices, motion), jaw.faces), UPPER)
        assert np.abs(moved(moved(UPPER.vertices, motion), back) - UPPER.vertices).max() < 0.02
        turn = back[:3, :3]
        assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) > 0


def test_another_object_is_not_brought_anywhere():
    assert align(UPPER, LOWER) is None
    assert align(jaws.make_crown(8_000), UPPER) is None
    block = trimesh.creation.box(extents=(60, 50, 12)).subdivide().subdivide().subdivide()
    assert (
        align(Mesh(block.vertices.astype(np.float32), block.faces.astype(np.int32)), UPPER) is None
    )


def test_odd_surfaces_do_not_fail():
    flat = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    face = np.array([[0, 1, 2]], np.int32)
    for points in (flat, flat * [1, 0, 0], flat + 900):
        align(Mesh(points.astype(np.float32), face), UPPER)
        align(UPPER, Mesh(points.astype(np.float32), face))
