import numpy as np
import pytest

from inbound.scans.frame import SURE, arch, case_frame, guess_role, jaw_frame
from inbound.scans.mesh import Mesh
from inbound.scans.roles import Role
from scanpost import jaws

JAWS = {jaw: jaws.make_jaw(30_000, jaw) for jaw in ("upper", "lower")}


def rotations(count):
    random = np.random.default_rng(5)
    for _ in range(count):
        turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
        yield turn * np.sign(np.linalg.det(turn))


def turned(mesh, turn, shift=(0, 0, 0)):
    return Mesh((mesh.vertices @ turn.T + np.array(shift)).astype(np.float32), mesh.faces)


def degrees(one, other):
    return np.degrees(np.arccos(np.clip(np.dot(one, other), -1, 1)))


@pytest.mark.parametrize("jaw", ["upper", "lower"])
def test_a_jaw_is_found_upright_however_it_lies(jaw):
    for turn in rotations(25):
        frame = jaw_frame(turned(JAWS[jaw], turn, (40, -500, 9)), Role(jaw))
        assert degrees(frame.up, turn[:, 2]) < 6
        assert degrees(frame.front, turn[:, 1]) < 6
        assert frame.confidence > 0.8
        assert abs(np.dot(frame.up, frame.front)) < 1e-4


def test_two_jaws_in_occlusion_share_one_frame_with_the_upper_one_above():
    for turn in rotations(10):
        parts = [(Role(jaw), turned(mesh, turn)) for jaw, mesh in JAWS.items()]
        frame = case_frame(parts)
        assert degrees(frame.up, turn[:, 2]) < 6
        assert degrees(frame.front, turn[:, 1]) < 6


def test_the_small_shape_of_each_scan_is_all_a_case_needs():
    shapes = [(Role(jaw), arch(mesh)) for jaw, mesh in JAWS.items()]
    assert case_frame(shapes) == case_frame([(Role(jaw), mesh) for jaw, mesh in JAWS.items()])


def test_the_role_is_guessed_from_where_a_jaw_bites_in_its_file():
    assert guess_role(JAWS["upper"])[0] is Role.UPPER
    assert guess_role(JAWS["lower"])[0] is Role.LOWER


def test_no_role_is_guessed_of_a_jaw_that_lies_askew_or_of_what_is_no_jaw():
    askew = np.array([[1, 0, 0], [0, 0.6, -0.8], [0, 0.8, 0.6]])
    assert guess_role(turned(JAWS["upper"], askew))[0] is None
    for part in (jaws.make_crown(4_000), jaws.make_bite(8_000)):
        role, confidence = guess_role(part)
        assert role is None
        assert confidence < SURE


def test_a_case_without_a_jaw_keeps_the_axes_of_its_file():
    frame = case_frame([(Role.DESIGN, jaws.make_crown(4_000))])
    assert (frame.up, frame.front, frame.confidence) == ((0, 0, 1), (0, 1, 0), 0)
    assert case_frame([]).confidence == 0


def test_a_closed_model_stands_on_its_flat_base():
    jaw = JAWS["lower"]
    for turn in rotations(5):
        assert degrees(arch(turned(on_a_base(jaw), turn)).biting, turn[:, 2]) < 12


def test_odd_surfaces_give_a_frame_without_an_error():
    flat = Mesh(
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32), np.array([[0, 1, 2]], np.int32)
    )
    line = Mesh(
        np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]], np.float32), np.array([[0, 1, 2]], np.int32)
    )
    for mesh in (flat, line):
        frame = jaw_frame(mesh)
        assert np.isfinite([*frame.up, *frame.front]).all()


def on_a_base(jaw):
    """The jaw with a second sheet, flat and below, closed in all but its sides."""
    floor = jaw.vertices.copy()
    floor[:, 2] = jaw.vertices[:, 2].min() - 5
    faces = np.concatenate([jaw.faces, jaw.faces[:, ::-1] + len(floor)])
    return Mesh(np.concatenate([jaw.vertices, floor]), faces.astype(np.int32))
