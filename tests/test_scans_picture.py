import io
from time import process_time

import numpy as np
import pytest
from PIL import Image

from inbound.scans import levels, picture
from inbound.scans.frame import UPRIGHT, case_frame
from inbound.scans.mesh import Mesh, checked
from inbound.scans.picture import Part, draw
from inbound.scans.raster import cover
from inbound.scans.roles import Role
from scanpost import jaws

PAPER = np.array([0xF3, 0xF1, 0xEC])
SIDES = ["front", "left", "right", "back", "upper", "lower"]
UPPER, LOWER = (levels.simplify(jaws.make_jaw(40_000, jaw), 15_000) for jaw in ("upper", "lower"))
TRIANGLE = checked(np.eye(3, dtype=np.float32) * 9, np.array([[0, 1, 2]]))


def drawn(*parts):
    return draw(parts, case_frame([(part.role, part.mesh) for part in parts]))


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def covered(seen):
    return np.abs(seen - PAPER).max(axis=-1) > 14


def marked(mesh, side):
    """Red where `side` is true, and blue."""
    return Mesh(
        mesh.vertices,
        mesh.faces,
        np.where(side[:, None], [220, 60, 60], [60, 60, 220]).astype(np.uint8),
    )


def middles(seen):
    """The columns around which red and blue lie, the scale bar left aside."""
    difference = seen[..., 0] - seen[..., 2]
    return (difference > 40).nonzero()[1].mean(), (difference < -40).nonzero()[1].mean()


@pytest.fixture(scope="module")
def case():
    parts = [Part(Role.UPPER, UPPER), Part(Role.LOWER, LOWER)]
    return drawn(*parts, Part(Role.DESIGN, jaws.make_crown(6_000)))


@pytest.fixture(scope="module")
def halves():
    """Both jaws, red on the patient's right: +x is his right when z is up and he looks along +y."""
    upper, lower = (marked(jaw, jaw.vertices[:, 0] > 0) for jaw in (UPPER, LOWER))
    return drawn(Part(Role.UPPER, upper), Part(Role.LOWER, lower))


def test_all_pictures_have_their_kind_size_and_weight(case):
    assert case.letter.startswith(b"\xff\xd8\xff")
    assert len(case.letter) <= 60_000
    assert pixels(case.letter).shape == (675, 1200, 3)
    assert case.poster[8:12] == b"WEBP"
    assert len(case.poster) <= 40_000
    assert pixels(case.poster).shape == (900, 1200, 3)
    assert list(case.views) == SIDES
    for data in case.views.values():
        assert data[8:12] == b"WEBP"
        assert len(data) <= 30_000
        assert pixels(data).shape == (600, 800, 3)


def test_pictures_lie_on_the_pages_paper_and_nothing_is_cut_off(case):
    for data in (case.letter, case.poster, *case.views.values()):
        seen = pixels(data)
        for corner in (seen[0, 0], seen[0, -1], seen[-1, 0], seen[-1, -1]):
            assert np.abs(corner - PAPER).max() <= 2
        rim = np.concatenate([seen[:6].reshape(-1, 3), seen[-6:].reshape(-1, 3)])
        rim = np.concatenate([rim, seen[:, :6].reshape(-1, 3), seen[:, -6:].reshape(-1, 3)])
        assert not covered(rim).any()


def test_a_case_fills_its_pictures(case):
    for data in (case.letter, case.poster, *case.views.values()):
        seen = covered(pixels(data))
        assert 0.2 < seen.mean() < 0.75
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        assert max(np.ptp(rows) / seen.shape[0], np.ptp(columns) / seen.shape[1]) > 0.9


def test_the_letter_shows_the_front_above_and_both_biting_sides_below(case):
    seen = covered(pixels(case.letter))
    assert seen[40:220, 450:750].mean() > 0.6
    assert seen[300:, :600].mean() > 0.25
    assert seen[300:, 600:].mean() > 0.25
    # The upper arch opens downwards, the lower one upwards.
    assert seen[560:640, 280:350].mean() < 0.1
    assert seen[290:340, 860:920].mean() < 0.1


def test_the_patients_right_is_on_the_left_of_front_and_biting_sides(halves):
    for data in (halves.poster, *(halves.views[side] for side in ("front", "upper", "lower"))):
        red, blue = middles(pixels(data))
        assert red + 200 < blue
    below = pixels(halves.letter)[280:]
    for half in (below[:, :600], below[:, 600:]):
        red, blue = middles(half)
        assert red + 100 < blue


def test_left_and_right_are_the_patients_and_the_back_is_seen_from_behind(halves):
    def redder(side):
        seen = pixels(halves.views[side])
        difference = seen[..., 0] - seen[..., 2]
        return (difference > 40).sum() > 4 * (difference < -40).sum()

    assert redder("right")
    assert not redder("left")
    red, blue = middles(pixels(halves.views["back"]))
    assert blue + 200 < red


def test_on_the_patients_left_his_front_teeth_are_on_the_left():
    jaw = marked(LOWER, LOWER.vertices[:, 1] > LOWER.vertices[:, 1].mean())
    pictures = drawn(Part(Role.LOWER, jaw))
    red, blue = middles(pixels(pictures.views["left"]))
    assert red + 100 < blue
    red, blue = middles(pixels(pictures.views["right"]))
    assert blue + 100 < red


def test_a_design_is_blue_and_is_drawn_on_the_jaw_it_sits_on(case):
    def blue(data):
        seen = pixels(data)
        return seen[..., 2] - seen[..., 0] > 25

    assert blue(case.views["lower"]).sum() > 3_000
    assert blue(case.views["upper"]).sum() < 50
    below = blue(case.letter)[280:]
    assert below[:, 600:].sum() > 1_500
    assert below[:, :600].sum() < 50


def test_an_uncoloured_scan_is_warm_stone_neither_burnt_out_nor_murky():
    plain = Part(Role.LOWER, Mesh(LOWER.vertices, LOWER.faces))
    seen = pixels(drawn(plain).views["lower"])
    stone = seen[covered(seen)]
    assert 130 < np.median(stone[:, 0]) < 225
    assert 4 < np.median(stone[:, 0] - stone[:, 2]) < 40
    assert np.percentile(stone[:, 0], 99) < 0xF8


def test_grooves_are_darker_than_the_open_surface_around_them():
    x, y = np.meshgrid(np.linspace(-10, 10, 160), np.linspace(-10, 10, 160), indexing="ij")
    z = -0.5 * np.exp(-((x / 0.25) ** 2))
    number = np.arange(160 * 160).reshape(160, 160)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    faces = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)
    plane = checked(np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32), faces)
    seen = pixels(draw([Part(Role.LOWER, plane)], UPRIGHT).views["lower"])
    # x runs to the patient's right here, so the groove stands upright in the middle
    assert seen[250:350, 395:405].mean() < 0.75 * seen[250:350, 250:350].mean()


def test_outlines_are_smooth(case):
    seen = pixels(case.views["upper"])[:, :, 1]
    scan = covered(pixels(case.views["upper"]))
    # Most columns pass from paper to scan through a tone between both.
    tops = [(np.flatnonzero(scan[:, column])[0], column) for column in range(300, 500)]
    between = [170 < seen[row - 1 : row + 1, column].max() < 239 for row, column in tops]
    assert np.mean(between) > 0.3


def test_the_same_case_gives_the_same_bytes(case):
    parts = [Part(Role.UPPER, UPPER), Part(Role.LOWER, LOWER)]
    assert drawn(*parts, Part(Role.DESIGN, jaws.make_crown(6_000))) == case


@pytest.mark.parametrize(
    "parts",
    [
        [Part(Role.BITE, jaws.make_bite(4_000))],
        [Part(Role.SCAN, TRIANGLE)],
        [Part(Role.LOWER, LOWER), Part(Role.SCAN, TRIANGLE)],
        [Part(Role.DESIGN, jaws.make_crown(2_000))],
        [Part(Role.UPPER, Mesh(UPPER.vertices * np.float32(2_000), UPPER.faces))],
        [Part(Role.UPPER, Mesh(UPPER.vertices * np.float32(0.001), UPPER.faces))],
        [Part(Role.UPPER, Mesh(UPPER.vertices + np.float32(90_000), UPPER.faces))],
        [Part(Role.PREP, LOWER), Part(Role.ANTAGONIST, UPPER)],
    ],
    ids=["bite", "triangle", "beside", "crown", "huge", "tiny", "far", "prep"],
)
def test_any_case_is_drawn(parts):
    data = picture.letter(parts, case_frame([(part.role, part.mesh) for part in parts]))
    assert len(data) <= 60_000
    assert covered(pixels(data)).mean() > 0.02


def test_a_bite_scan_alone_has_all_pictures():
    pictures = drawn(Part(Role.BITE, jaws.make_bite(4_000)))
    for data in (pictures.poster, *pictures.views.values()):
        assert covered(pixels(data)).mean() > 0.05


def test_no_scans_are_blank_paper():
    for data in (pictures := draw([], UPRIGHT)).letter, pictures.poster, *pictures.views.values():
        assert np.abs(pixels(data) - PAPER).max() <= 2


def test_a_scan_seen_edge_on_and_one_in_a_line_do_not_fail():
    line = np.array([[0, 0, 0], [30, 0, 0], [60, 0, 0], [60, 0, 1e-3]], np.float32)
    for faces in ([[0, 1, 2]], [[0, 1, 2], [1, 2, 3]]):
        mesh = Mesh(line, np.array(faces, np.int32))
        assert drawn(Part(Role.SCAN, mesh)).letter.startswith(b"\xff\xd8")


def test_a_bite_scan_and_the_situation_before_do_not_cover_the_jaws():
    situation = Mesh(LOWER.vertices + np.float32(0.2), LOWER.faces)
    jaw = Part(Role.LOWER, LOWER)
    more = [Part(Role.BITE, jaws.make_bite(4_000)), Part(Role.SITU, situation)]
    frame = case_frame([(jaw.role, jaw.mesh)])
    assert picture.letter([jaw, *more], frame) == picture.letter([jaw], frame)


def test_a_far_stray_point_does_not_make_the_scan_small():
    stray = len(LOWER.vertices)
    vertices = np.vstack([LOWER.vertices, [[1e6, 1e6, 1e6]]]).astype(np.float32)
    faces = np.vstack([LOWER.faces, [[0, 1, stray]]]).astype(np.int32)
    frame = case_frame([(Role.LOWER, LOWER)])
    pictures = draw([Part(Role.LOWER, Mesh(vertices, faces))], frame)
    assert covered(pixels(pictures.views["lower"])).mean() > 0.2


def test_a_tangle_of_long_triangles_is_drawn_in_bounded_time():
    random = np.random.default_rng(1)
    corners = (random.random((900, 3)) * 60).astype(np.float32)
    tangle = Part(Role.SCAN, checked(corners, random.integers(0, 900, (60_000, 3))))
    start = process_time()
    picture.letter([tangle], UPRIGHT)
    assert process_time() - start < 6


def test_many_large_scans_are_lightened():
    dense = jaws.make_jaw(150_000, "lower")
    parts = [Part(Role.DIE, Mesh(dense.vertices + np.float32(n), dense.faces)) for n in range(7)]
    start = process_time()
    data = picture.letter(parts, case_frame([(Role.LOWER, dense)]))
    assert process_time() - start < 4
    assert covered(pixels(data)).mean() > 0.2


def test_the_letters_picture_alone_looks_as_among_all(case):
    parts = [Part(Role.UPPER, UPPER), Part(Role.LOWER, LOWER)]
    parts.append(Part(Role.DESIGN, jaws.make_crown(6_000)))
    frame = case_frame([(part.role, part.mesh) for part in parts])
    alone = picture.letter(parts, frame)
    assert len(alone) <= 60_000
    assert np.abs(pixels(alone) - pixels(case.letter)).mean() < 4


def test_the_nearest_triangle_is_seen():
    near = np.array([[0, 0, 9], [10, 0, 9], [0, 10, 9]], np.float32)
    far = near * np.array([2, 2, 0], np.float32)
    hits = cover(np.stack([far, near], axis=-1).transpose(1, 0, 2), 20, 20)
    assert hits.triangles[1, 1] == 1
    assert hits.triangles[1, 14] == 0
    assert hits.triangles[19, 19] == -1
    assert abs(hits.depth[1, 1] - 9) < 1e-3
    assert hits.turned.all()
    # Along the near triangle's long side, both are seen in one pixel.
    pixel = list(hits.outline).index(5 * 20 + 4)
    assert set(hits.finer[:, pixel]) == {0, 1}


def test_triangles_outside_of_the_picture_are_cut_at_its_edge():
    wide = np.array([[-100, -100, 0], [300, -100, 0], [-100, 300, 0]], np.float32)
    assert (cover(wide.T[:, :, None], 30, 20).triangles == 0).all()


def test_a_dense_surface_has_no_gaps():
    random = np.random.default_rng(2)
    u, v = np.meshgrid(np.linspace(-1, 61, 90), np.linspace(-1, 61, 90), indexing="ij")
    jitter = random.uniform(-0.2, 0.2, (2, 90, 90))
    points = np.stack([u + jitter[0], v + jitter[1], np.sin(u)], axis=-1).reshape(-1, 3)
    number = np.arange(8100).reshape(90, 90)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    faces = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)
    corners = points.astype(np.float32)[faces].transpose(2, 1, 0)
    assert (cover(corners, 60, 60).triangles >= 0).all()
