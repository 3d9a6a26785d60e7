from time import process_time

import numpy as np
import pytest
import trimesh

from inbound.scans.align import moved
from inbound.scans.contacts import contacts, deviation
from inbound.scans.distance import signed_distance
from inbound.scans.mesh import Mesh
from scanpost import jaws

UPPER, LOWER = (jaws.make_jaw(40_000, jaw) for jaw in ("upper", "lower"))


def plate(height, looks_up=True, side=10, count=41):
    x, y = np.meshgrid(*[np.linspace(0, side, count)] * 2, indexing="ij")
    points = np.stack([x, y, np.full_like(x, height)], axis=-1).reshape(-1, 3)
    faces = jaws._grid_faces(count, count)
    faces = faces if looks_up else faces[:, ::-1]
    return Mesh(points.astype(np.float32), np.ascontiguousarray(faces, np.int32))


def ball(lowest, radius=5.0, middle=(5.0, 5.0)):
    sphere = trimesh.creation.icosphere(subdivisions=6, radius=radius)
    points = sphere.vertices - [0, 0, sphere.vertices[:, 2].min() - lowest] + [*middle, 0]
    return Mesh(points.astype(np.float32), sphere.faces.astype(np.int32))


def shifted(mesh, by):
    return Mesh(mesh.vertices + np.float32(by), mesh.faces)


def with_bump(jaw, height):
    """The jaw and how far each vertex was lifted: most at the middle of a molar's crown."""
    top = int(np.argmax(np.where(jaw.vertices[:, 0] > 15, jaw.vertices[:, 2], -99)))
    away = np.linalg.norm(jaw.vertices - jaw.vertices[top], axis=1)
    lift = height * np.clip(1 - (away / 1.5) ** 2, 0, 1) ** 2
    around = trimesh.Trimesh(jaw.vertices, jaw.faces, process=False).vertex_normals
    lifted = jaw.vertices + around * lift[:, None]
    return Mesh(lifted.astype(np.float32), jaw.faces), lift


def smooth_jaw():
    """A dome of a crown without a scanner's noise, whose bump's height is known to the micrometre."""
    x, y = np.meshgrid(np.linspace(-20, 20, 161), np.linspace(-30, 30, 241), indexing="ij")
    z = 4 * np.exp(-(((x - 6) / 6) ** 2 + (y / 7) ** 2)) + np.sin(x / 5) + 0.03 * y
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    return Mesh(points.astype(np.float32), jaws._grid_faces(161, 241).astype(np.int32))


def turned(mesh, degrees=30.0, shift=(12, -7, 30)):
    motion = trimesh.transformations.rotation_matrix(np.radians(degrees), [1, 2, 3])
    motion[:3, 3] = shift
    return Mesh(moved(mesh.vertices, motion), mesh.faces), motion


def test_plates_apart_have_a_gap_and_no_contact():
    found = contacts(plate(0.30, looks_up=False), plate(0))
    assert found.gap_mm == pytest.approx(0.30, abs=1e-5)
    assert found.tightest_mm == pytest.approx(0.30, abs=1e-5)
    assert np.allclose(found.one, 0.30, atol=1e-5)
    assert np.allclose(found.other, 0.30, atol=1e-5)
    assert (found.contact_mm2, found.overlap_mm, found.bite_open) == (0, 0, True)


def test_plates_that_touch_touch_all_over():
    found = contacts(plate(0.04, looks_up=False), plate(0))
    assert found.contact_mm2 == pytest.approx(100, rel=1e-4)
    assert (found.gap_mm, found.overlap_mm, found.bite_open) == (0, 0, False)


def test_a_ball_pressed_into_a_plate_overlaps_where_it_is_deepest():
    found = contacts(ball(-0.05), plate(0))
    assert found.overlap_mm == pytest.approx(0.05, abs=1e-4)
    assert found.tightest_mm == pytest.approx(-0.05, abs=1e-4)
    assert np.allclose(found.tightest, (5, 5, -0.05), atol=0.1)
    # The cap of a sphere below a height of 0.05 mm, 0.10 mm high in all.
    assert found.contact_mm2 == pytest.approx(2 * np.pi * 5 * 0.10, rel=0.02)
    assert (found.gap_mm, found.bite_open) == (0, False)


def test_areas_are_cut_within_triangles():
    slope = plate(0, looks_up=False)
    slope.vertices[:, 2] = 0.01 * slope.vertices[:, 0] + 0.0013  # 0.05 mm high at 4.87 mm
    assert contacts(slope, plate(0)).contact_mm2 == pytest.approx(48.7, rel=1e-3)


def test_a_bite_that_is_open_says_how_far():
    found = contacts(shifted(plate(0, looks_up=False), (0, 0, 1.8)), plate(0))
    assert found.bite_open
    assert found.gap_mm == pytest.approx(1.8, abs=1e-5)
    wide = contacts(shifted(plate(0, looks_up=False), (0, 0, 7.25)), plate(0))
    assert np.isnan(wide.one).all()
    assert wide.gap_mm == pytest.approx(7.25, abs=1e-4)
    assert wide.tightest is not None


def test_scans_that_have_nothing_to_do_with_each_other_have_no_gap():
    found = contacts(shifted(UPPER, (0, 0, 400)), LOWER)
    assert (found.tightest_mm, found.tightest, found.gap_mm, found.contact_mm2) == (
        None,
        None,
        None,
        0,
    )
    assert found.bite_open


def test_jaws_in_occlusion_touch_and_sink_in_a_little():
    found = contacts(UPPER, LOWER)
    assert 0.2 < found.overlap_mm < 0.35
    assert found.tightest_mm == -found.overlap_mm
    assert 5 < found.contact_mm2 < 60
    assert not found.bite_open
    assert len(found.one) == len(UPPER.vertices)
    assert len(found.other) == len(LOWER.vertices)
    back = contacts(LOWER, UPPER)
    assert (back.tightest_mm, back.tightest) == (found.tightest_mm, found.tightest)
    assert back.contact_mm2 == pytest.approx(found.contact_mm2, rel=0.1)


def test_jaws_held_apart_are_an_open_bite():
    closed = contacts(UPPER, LOWER).overlap_mm
    apart = contacts(shifted(UPPER, (0, 0, 1.0)), LOWER)
    assert apart.bite_open
    assert 1.0 - closed - 0.2 < apart.gap_mm <= 1.0


def test_a_crown_that_grew_says_where_and_how_much():
    old = smooth_jaw()
    new, lift = with_bump(old, 0.21)
    found = deviation(new, old)
    assert found.moved is None
    assert found.largest_mm == pytest.approx(0.21, abs=0.002)
    assert np.allclose(found.largest, new.vertices[np.argmax(lift)], atol=0.3)
    assert (found.values[lift == 0] == 0).all()
    assert 2 < found.changed_mm2 < np.pi * 1.5**2 * 1.5
    assert found.new_mm2 == 0


def test_a_bump_on_a_noisy_crown_is_found_too():
    new, lift = with_bump(LOWER, 0.21)
    found = deviation(new, LOWER)
    assert found.largest_mm == pytest.approx(0.21, abs=0.002)
    assert (found.values[lift == 0] == 0).all()


def test_a_version_that_was_moved_as_well_says_the_same():
    for old in (smooth_jaw(), LOWER):
        bumped, lift = with_bump(old, 0.21)
        new, motion = turned(bumped)
        found = deviation(new, old)
        assert found.largest_mm == pytest.approx(0.21, abs=0.01)
        assert np.abs(found.values[lift == 0]).max() < 0.01
        assert np.allclose(found.moved @ motion, np.eye(4), atol=0.005)
        assert np.allclose(found.largest, new.vertices[np.argmax(lift)], atol=0.5)


def test_material_taken_away_is_negative():
    new, _ = with_bump(smooth_jaw(), -0.3)
    assert deviation(new, smooth_jaw()).largest_mm == pytest.approx(-0.3, abs=0.003)


def test_what_the_old_version_did_not_show_is_new():
    whole = plate(0)
    half = Mesh(whole.vertices, whole.faces[whole.vertices[whole.faces[:, 0], 0] < 5])
    found = deviation(whole, half)
    assert found.new_mm2 == pytest.approx(50, rel=0.06)
    assert (found.changed_mm2, found.largest_mm) == (0, 0)


def test_the_same_version_has_not_changed():
    found = deviation(UPPER, UPPER)
    assert (found.largest_mm, found.changed_mm2, found.new_mm2, found.moved) == (0, 0, 0, None)
    assert (found.values == 0).all()


def test_another_scan_is_not_compared():
    assert deviation(UPPER, LOWER) is None
    assert deviation(jaws.make_crown(8_000), UPPER) is None


def test_values_are_those_of_signed_distance():
    assert np.array_equal(
        contacts(UPPER, LOWER).one, signed_distance(UPPER.vertices, LOWER, 2.0), equal_nan=True
    )


def test_contacts_of_two_jaws_take_well_below_a_second():
    start = process_time()
    contacts(UPPER, LOWER)
    assert process_time() - start < 0.8
