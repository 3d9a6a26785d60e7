import numpy as np

from inbound.scans.check import examine
from scanpost import jaws


def test_a_jaw_has_about_as_many_triangles_as_asked_for_and_the_size_of_a_mouth():
    for jaw in ("upper", "lower"):
        report = examine(jaws.make_jaw(50_000, jaw))
        assert abs(report.triangles / 50_000 - 1) < 0.08
        assert 45 < report.size_mm[0] < 85


def test_one_seed_gives_one_jaw_and_another_seed_another():
    first, again, other = (jaws.make_jaw(5_000, "upper", seed) for seed in (3, 3, 4))
    assert first.vertices.tobytes() == again.vertices.tobytes()
    assert not np.array_equal(first.vertices, other.vertices)


def test_the_jaws_meet_and_hardly_cut_into_each_other():
    upper, lower = (jaws.make_jaw(60_000, jaw) for jaw in ("upper", "lower"))
    gaps = []
    cells = {}
    for x, y, z in lower.vertices.tolist():
        key = (round(x), round(y))
        cells[key] = max(z, cells.get(key, -99))
    for x, y, z in upper.vertices.tolist():
        key = (round(x), round(y))
        if key in cells:
            gaps.append(z - cells[key])
    assert -1.2 < min(gaps) < 1


def test_a_crown_is_closed_and_sits_on_a_lower_molar():
    crown, lower = jaws.make_crown(), jaws.make_jaw(40_000, "lower")
    report = examine(crown)
    assert report.watertight
    assert max(report.size_mm) < 16
    near = np.linalg.norm(lower.vertices[:, None] - crown.vertices[None, ::200], axis=2).min(axis=0)
    assert near.mean() < 1.2


def test_a_bite_shows_both_jaws_from_one_cheek():
    bite = jaws.make_bite()
    assert (bite.vertices[:, 0] > 10).all()
    assert examine(bite).components >= 2
