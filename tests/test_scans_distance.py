from pathlib import Path
from time import process_time

import numpy as np
import pytest
import trimesh

from inbound.scans import distance, ply, reach
from inbound.scans.distance import BEYOND, signed_distance
from inbound.scans.mesh import Mesh
from scanpost import jaws
from store.errors import ScanRefused

REAL = Path(__file__).parents[2] / "shared/data/real_arch_118k.ply"
UPPER, LOWER = (jaws.make_jaw(40_000, jaw) for jaw in ("upper", "lower"))
SQUARE = Mesh(
    np.array([[0, 0, 0], [60, 0, 0], [60, 60, 0], [0, 60, 0]], np.float32),
    np.array([[0, 1, 2], [0, 2, 3]], np.int32),
)


def exact(points, mesh):
    """(n,) unsigned, point by point over all triangles, on another way than the product's."""
    a, b, c = mesh.vertices[mesh.faces].astype(np.float64).transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1)
    unit = normal / np.where(length > 0, length, 1)[:, None]
    found = []
    for point in points.astype(np.float64):
        height = ((point - a) * unit).sum(axis=1)
        foot = point - height[:, None] * unit
        inside = length > 0
        apart = np.full(len(a), np.inf)
        for start, end in ((a, b), (b, c), (c, a)):
            inside &= (np.cross(end - start, foot - start) * unit).sum(axis=1) > 0
            apart = np.minimum(apart, to_segment(point, start, end))
        found.append(np.where(inside, np.abs(height), apart).min())
    return np.array(found)


def to_segment(point, start, end):
    along = end - start
    square = (along * along).sum(axis=1)
    share = ((point - start) * along).sum(axis=1) / np.where(square > 0, square, 1)
    return np.linalg.norm(point - start - share.clip(0, 1)[:, None] * along, axis=1)


def together(one, other):
    faces = np.concatenate([one.faces, other.faces + np.int32(len(one.vertices))])
    return Mesh(np.concatenate([one.vertices, other.vertices]), faces)


def around(mesh, count, far, seed=1):
    """Points about so far from vertices of a mesh."""
    random = np.random.default_rng(seed)
    chosen = mesh.vertices[random.integers(0, len(mesh.vertices), count)]
    return (chosen + random.normal(0, far, chosen.shape)).astype(np.float32)


def thin_triangles():
    random = np.random.default_rng(4)
    first = random.uniform(0, 40, (1500, 3))
    away, aside = random.normal(0, 10, first.shape), random.normal(0, 0.01, first.shape)
    corners = np.stack([first, first + away, first + aside], axis=1).reshape(-1, 3)
    return Mesh(corners.astype(np.float32), np.arange(4500, dtype=np.int32).reshape(-1, 3))


def shifted(mesh, by):
    return Mesh(mesh.vertices + np.float32(by), mesh.faces)


CASES = {
    "jaw": (UPPER.vertices[::150], LOWER, 2.0),
    "jaw over a huge square": (
        np.concatenate([UPPER.vertices[::400], around(shifted(SQUARE, (-30, 0, -6)), 100, 1)]),
        together(LOWER, shifted(SQUARE, (-30, 0, -6))),
        2.0,
    ),
    "square": (
        (np.random.default_rng(2).uniform(-3, 63, (500, 3)) * [1, 1, 0.05]).astype(np.float32),
        SQUARE,
        2.0,
    ),
    "thin": (
        np.random.default_rng(3).uniform(0, 40, (300, 3)).astype(np.float32),
        thin_triangles(),
        3.0,
    ),
    "closed crown": (around(jaws.make_crown(4_000), 200, 0.5), jaws.make_crown(4_000), 2.0),
}


@pytest.mark.parametrize("name", CASES)
def test_distances_are_exact_to_a_micrometre(name, monkeypatch):
    agrees_with_exact(*CASES[name], monkeypatch)


@pytest.mark.skipif(not REAL.exists(), reason="the real scan is not part of the project")
def test_distances_to_a_real_scan_with_its_coarse_base_are_exact(monkeypatch):
    scan = ply.read(memoryview(REAL.read_bytes()))
    agrees_with_exact(around(scan, 60, 1), scan, 2.0, monkeypatch)


def agrees_with_exact(points, mesh, farthest, monkeypatch):
    monkeypatch.setattr(distance, "BEYOND", np.inf)  # a value past borders, too
    values, true = signed_distance(points, mesh, farthest), exact(points, mesh)
    assert np.isfinite(values).sum() > 20
    assert (np.isfinite(values) == (true <= farthest)).all()
    assert np.nanmax(np.abs(np.abs(values) - true)) < 1e-6


def test_the_sign_is_right_at_edges_and_corners():
    box = trimesh.creation.box(extents=(4, 6, 8))
    mesh = Mesh(box.vertices.astype(np.float32), box.faces.astype(np.int32))
    points = np.random.default_rng(1).uniform(-5, 5, (5_000, 3)).astype(np.float32)
    outside = (np.abs(points) - [2, 3, 4]).max(axis=1) > 0
    values = signed_distance(points, mesh, 20.0)
    assert ((values > 0) == outside).all()


def test_the_sign_is_right_beside_a_knife_edge():
    """Where the face that happens to be found first would say the opposite."""
    fan = np.array([[0, 0, 0], [9, 0, 0], [0, -9, 0.5], [9, -9, 0.5], [0, -9, -0.5], [9, -9, -0.5]])
    faces = np.array([[0, 2, 1], [1, 2, 3], [0, 1, 4], [1, 5, 4]], np.int32)
    points = np.array([[4, 0.3, 0.2], [4, 0.3, -0.2], [4, 0.3, 0], [4, -5, 0]], np.float32)
    values = signed_distance(points, Mesh(fan.astype(np.float32), faces), 2.0)
    assert (values[:3] > 0).all()
    assert values[3] < 0


def test_above_is_positive_and_below_negative_and_beyond_the_border_nothing():
    above, below = [30, 30, 0.7], [30, 30, -0.7]
    past, barely = [30, -0.5, 0.1], [30, -BEYOND / 2, 0.7]
    far, on_it, on_rim = [30, 30, 2.5], [20, 20, 0], [60, 0, 0]
    points = np.array([above, below, past, barely, far, on_it, on_rim], np.float32)
    values = signed_distance(points, SQUARE, 2.0)
    assert np.allclose(values[[0, 1, 3, 5, 6]], [0.7, -0.7, 0.7, 0, 0], atol=1e-4)
    assert np.isnan(values[[2, 4]]).all()


def test_over_a_hole_nothing_is_said():
    near = np.linalg.norm(LOWER.vertices[LOWER.faces].mean(axis=1) - LOWER.vertices[9000], axis=1)
    holed = Mesh(LOWER.vertices, LOWER.faces[near > 1])
    points = LOWER.vertices[9000:9001]
    assert signed_distance(points, LOWER, 2.0)[0] == 0
    assert np.isnan(signed_distance(points, holed, 2.0)[0])


def test_a_seam_between_equal_positions_is_no_border():
    corners = SQUARE.vertices[SQUARE.faces].reshape(-1, 3)
    colours = np.arange(18, dtype=np.uint8).reshape(6, 3)
    split = Mesh(corners, np.arange(6, dtype=np.int32).reshape(2, 3), colours)
    bent = Mesh(
        split.vertices + np.float32([0, 0, 1]) * (corners[:, :1] == corners[:, 1:2]), split.faces
    )
    points = np.array([[30, 30.2, 1.5], [29, 30, 1.5]], np.float32)
    assert np.isfinite(signed_distance(points, bent, 2.0)).all()
    assert np.allclose(signed_distance(points, split, 2.0), 1.5)


def test_a_fold_does_not_turn_a_gap_into_an_overlap():
    sheet = jaws._grid_faces(80, 80)
    random = np.random.default_rng(5)
    x, y = np.meshgrid(np.arange(80) * 0.05, np.arange(80) * 0.05, indexing="ij")
    flat = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    noisy = flat + random.normal(0, 0.03, flat.shape)  # many triangles look down now
    points = flat[flat[:, 0] > 0] + [0, 0, 1.0]
    points = points[(np.abs(points[:, :2] - 2) < 1.5).all(axis=1)].astype(np.float32)
    values = signed_distance(points, Mesh(noisy.astype(np.float32), sheet.astype(np.int32)), 2.0)
    assert len(values) > 3000
    assert (values > 0.85).all()


def test_the_distance_changes_no_faster_than_one_moves():
    """Over a jaw in occlusion: no place on it says overlap where its neighbour says gap."""
    jaw = jaws.make_jaw(120_000, "upper")
    values = signed_distance(jaw.vertices, jaws.make_jaw(120_000, "lower"), 2.0)
    one, other = jaw.faces[:, 0], jaw.faces[:, 1]
    moved = np.linalg.norm(jaw.vertices[one] - jaw.vertices[other], axis=1)
    change = np.abs(values[one] - values[other])
    assert np.isfinite(change).sum() > 10_000
    # In the generated jaws' folds, front and behind are a tenth of a millimetre apart at most.
    assert (change[np.isfinite(change)] <= moved[np.isfinite(change)] + 0.1).all()
    assert -0.35 < np.nanmin(values) < -0.2


def test_points_far_away_have_no_distance_and_cost_nothing():
    far = UPPER.vertices + np.float32([0, 0, 500])
    start = process_time()
    assert np.isnan(signed_distance(far, LOWER, 2.0)).all()
    assert process_time() - start < 0.1
    assert signed_distance(far[:0], LOWER, 2.0).shape == (0,)
    corner = np.array([[900, 900, 900], [40, 60, 0]], np.float32)  # a box of mostly nothing
    assert np.isnan(signed_distance(corner, LOWER, 2.0)).all()


def test_triangles_without_area_are_no_obstacle():
    faces = np.concatenate([SQUARE.faces, [[1, 1, 2], [3, 3, 3]]]).astype(np.int32)
    points = np.array([[30, 20, 1]], np.float32)
    assert signed_distance(points, Mesh(SQUARE.vertices, faces), 2.0)[0] == 1
    line = Mesh(
        np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]], np.float32), np.array([[0, 1, 2]], np.int32)
    )
    assert np.isfinite(signed_distance(np.array([[1, 0, 0]], np.float32), line, 1.0)).all()
    point = Mesh(np.zeros((3, 3), np.float32), np.array([[0, 0, 0]], np.int32))
    assert np.isnan(signed_distance(points, point, 50.0)).all()


def test_a_tangle_of_huge_triangles_is_refused(monkeypatch):
    monkeypatch.setattr(reach, "_MOST_PIECES", 50_000)
    random = np.random.default_rng(6)
    huge = random.normal(0, 300, (900, 3)).astype(np.float32)
    tangle = together(LOWER, Mesh(huge, np.arange(900, dtype=np.int32).reshape(-1, 3)))
    with pytest.raises(ScanRefused, match="too many huge triangles"):
        signed_distance(UPPER.vertices, tangle, 2.0)


def test_many_layers_are_refused_before_they_take_minutes(monkeypatch):
    monkeypatch.setattr(distance, "_MOST_LOOKS", 1 << 18)
    layers = [shifted(SQUARE, (0, 0, 1e-4 * layer)) for layer in range(400)]
    whole = Mesh(
        np.concatenate([layer.vertices for layer in layers]),
        np.concatenate([SQUARE.faces + np.int32(4 * layer) for layer in range(400)]),
    )
    points = (np.random.default_rng(7).uniform(0, 60, (2_000, 3)) * [1, 1, 0] - [0, 0, 0.5]).astype(
        np.float32
    )
    with pytest.raises(ScanRefused, match="too many triangles in one place"):
        signed_distance(points, whole, 2.0)


def test_a_corner_of_many_triangles_is_measured_a_part_at_a_time(monkeypatch):
    turn = np.linspace(0, 2 * np.pi, 3_000, endpoint=False)
    rim = np.stack([20 * np.cos(turn), 20 * np.sin(turn), 0 * turn], axis=1)
    wheel = np.arange(3_000, dtype=np.int32)
    faces = np.stack([wheel, np.roll(wheel, -1), np.full_like(wheel, 3_000)], axis=1)
    fan = Mesh(np.concatenate([rim, [[0, 0, 0]]]).astype(np.float32), faces)
    points = np.random.default_rng(8).uniform(-0.2, 0.2, (200, 3)).astype(np.float32)
    points[:, 2] += 0.5
    whole = signed_distance(points, fan, 2.0)
    assert np.allclose(whole, points[:, 2], atol=1e-6)
    monkeypatch.setattr(distance, "_MOST_AT_ONCE", 10_000)
    assert np.array_equal(signed_distance(points, fan, 2.0), whole)
    monkeypatch.setattr(distance, "_MOST_LOOKS", 10_000)
    with pytest.raises(ScanRefused, match="too many triangles in one place"):
        signed_distance(points, fan, 2.0)


def test_a_jaw_is_measured_in_well_below_a_second():
    signed_distance(UPPER.vertices[:10], LOWER, 1.0)  # scipy is loaded
    start = process_time()
    signed_distance(UPPER.vertices, LOWER, 2.0)
    assert process_time() - start < 0.8
