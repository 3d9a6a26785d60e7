import fast_simplification
import numpy as np
import pytest

from inbound.scans import levels
from inbound.scans.mesh import Mesh
from scanpost import jaws

JAW = jaws.make_jaw(60_000, "lower")


def test_a_small_scan_is_its_own_preview():
    assert levels.simplify(JAW) is not None
    assert levels.simplify(JAW, len(JAW.faces)) is JAW


def test_a_large_scan_is_brought_to_its_target_and_keeps_its_shape_and_colours():
    light = levels.simplify(JAW, 20_000)
    assert 15_000 < len(light.faces) <= 20_000
    assert np.allclose(np.ptp(light.vertices, axis=0), np.ptp(JAW.vertices, axis=0), atol=1)
    assert light.colours.shape == light.vertices.shape
    tooth, gum = JAW.colours[:, 1] > 180, JAW.colours[:, 1] < 130
    assert abs((light.colours[:, 1] > 180).mean() - tooth.mean()) < 0.1
    assert abs((light.colours[:, 1] < 130).mean() - gum.mean()) < 0.1


def test_colours_are_those_of_the_place():
    light = levels.simplify(JAW, 20_000)
    for row in range(0, len(light.vertices), 997):
        nearest = np.argmin(np.linalg.norm(JAW.vertices - light.vertices[row], axis=1))
        assert np.abs(light.colours[row].astype(int) - JAW.colours[nearest]).max() < 110


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
def test_when_the_simplifier_fails_vertices_are_clustered_instead(monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(fast_simplification, "simplify", fail)
    light = levels.simplify(JAW, 10_000)
    assert 1_000 < len(light.faces) <= 10_000
    assert light.colours.shape == light.vertices.shape
    assert light.faces.max() < len(light.vertices)


def test_loose_triangles_that_cannot_be_joined_are_thinned_out():
    random = np.random.default_rng(1)
    corners = (random.normal(size=(3_000, 1, 3)) * 10 + random.normal(size=(3_000, 3, 3))).reshape(
        -1, 3
    )
    soup = Mesh(corners.astype(np.float32), np.arange(9_000, dtype=np.int32).reshape(-1, 3))
    assert 0 < len(levels.simplify(soup, 1_000).faces) <= 1_000
    assert len(levels._largest(soup, 1_000).faces) == 1_000
