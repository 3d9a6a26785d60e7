import io
from time import process_time

import numpy as np
import pytest
from PIL import Image

from inbound.scans import levels
from inbound.scans.frame import case_frame
from inbound.scans.mesh import Mesh
from inbound.scans.picture import Part, triptych
from inbound.scans.raster import cover
from inbound.scans.roles import Role
from scanpost import jaws

PAPER = np.array([0xF3, 0xF1, 0xEC])
UPPER, LOWER = (levels.simplify(jaws.make_jaw(60_000, jaw), 20_000) for jaw in ("upper", "lower"))


def drawn(parts, size=(600, 338)):
    frame = case_frame([(part.role, part.mesh) for part in parts])
    data = triptych(parts, frame, size)
    return data, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def covered(pixels):
    return np.abs(pixels - PAPER).max(axis=-1) > 12


def test_a_case_is_drawn_on_paper_in_three_views():
    data, pixels = drawn([Part(Role.UPPER, UPPER), Part(Role.LOWER, LOWER)])
    assert data.startswith(b"\x89PNG")
    assert pixels.shape == (338, 600, 3)
    assert np.abs(pixels[2, 300] - PAPER).max() <= 3
    seen = covered(pixels)
    assert 0.15 < seen.mean() < 0.7
    assert not seen[[0, -1]].any()
    assert not seen[:, [0, -1]].any()
    assert seen[:140, 200:400].any()
    assert seen[200:, :300].any()
    assert seen[200:, 300:].any()


def test_the_patients_right_is_on_the_left_in_every_view():
    right = UPPER.vertices[:, 0] > 0  # +x is the patient's right when z is up and he looks along +y
    colours = np.where(right[:, None], [220, 60, 60], [60, 60, 220]).astype(np.uint8)
    _, pixels = drawn([Part(Role.UPPER, Mesh(UPPER.vertices, UPPER.faces, colours))])
    red = (pixels[..., 0] - pixels[..., 2] > 30).nonzero()
    blue = (pixels[..., 2] - pixels[..., 0] > 30).nonzero()
    front = slice(0, 120)
    assert red[1][red[0] < front.stop].mean() < blue[1][blue[0] < front.stop].mean()
    biting = (red[0] > 170) & (red[1] < 300), (blue[0] > 170) & (blue[1] < 300)
    assert red[1][biting[0]].mean() < blue[1][biting[1]].mean()


def test_a_design_is_blue_and_is_drawn_on_the_jaw_it_sits_on():
    crown = jaws.make_crown(6_000)
    parts = [Part(Role.UPPER, UPPER), Part(Role.LOWER, LOWER), Part(Role.DESIGN, crown)]
    _, pixels = drawn(parts)
    blue = (pixels[..., 2] - pixels[..., 0] > 15).nonzero()
    below = blue[0] > 150
    assert below.sum() > 100
    assert (blue[1][below] > 300).mean() > 0.95


@pytest.mark.parametrize(
    "part",
    [
        Part(Role.LOWER, LOWER),
        Part(Role.DESIGN, jaws.make_crown(3_000)),
        Part(Role.BITE, jaws.make_bite(6_000)),
        Part(Role.SCAN, Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32))),
    ],
)
def test_a_single_part_of_any_kind_is_drawn(part):
    _, pixels = drawn([part])
    assert covered(pixels).mean() > 0.02


def test_a_full_size_picture_of_two_jaws_is_small_and_quick():
    parts = [
        Part(Role.UPPER, levels.simplify(jaws.make_jaw(150_000, "upper"))),
        Part(Role.LOWER, levels.simplify(jaws.make_jaw(150_000, "lower"))),
    ]
    start = process_time()
    data, _ = drawn(parts, (1200, 675))
    assert process_time() - start < 5
    assert len(data) <= 110_000


def test_the_nearest_triangle_is_seen_and_its_shares_add_up_to_one():
    near = np.array([[0, 0, 5], [10, 0, 5], [0, 10, 5]], np.float32)
    far = near * [1, 1, 0] * 2
    screen = np.concatenate([far, near]).astype(np.float32)
    hits = cover(screen, np.array([[0, 1, 2], [3, 4, 5]], np.int32), 20, 20)
    picture = np.full(400, -1)
    picture[hits.samples] = hits.triangles
    assert picture.reshape(20, 20)[1, 1] == 1
    assert picture.reshape(20, 20)[1, 14] == 0
    assert picture.reshape(20, 20)[19, 19] == -1
    assert np.allclose(hits.weights.sum(axis=1), 1, atol=1e-4)
    assert hits.turned.all()


def test_triangles_outside_of_the_picture_are_cut_at_its_edge():
    wide = np.array([[-100, -100, 0], [300, -100, 0], [-100, 300, 0]], np.float32)
    assert len(cover(wide, np.array([[0, 1, 2]], np.int32), 30, 20).samples) == 600
