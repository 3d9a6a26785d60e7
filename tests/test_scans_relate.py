"""Which scans of a case face each other, and the jobs that measure them."""

import io

import numpy as np
import pytest

from inbound.scans import glb, maps
from inbound.scans.jobs import compare_versions, relate_scans, unwired, wired
from inbound.scans.mesh import Mesh
from inbound.scans.relate import facing, relate
from inbound.scans.roles import Role
from scanpost import jaws

UPPER, LOWER = jaws.make_jaw(12_000, "upper"), jaws.make_jaw(12_000, "lower")


def on(jaw: Mesh, lift: float) -> Mesh:
    """A small plate that stands on a jaw's surface, this many mm towards the other one."""
    spot = jaw.vertices[len(jaw.vertices) // 2] + np.float32([0, 0, lift])
    square = np.array([[0, 0, 0], [3, 0, 0], [3, 3, 0], [0, 3, 0]], np.float32)
    return Mesh(spot + square, np.array([[0, 1, 2], [0, 2, 3]], np.int32))


CROWN = on(LOWER, 0.1)


@pytest.mark.parametrize(
    ("parts", "pairs"),
    [
        ([(Role.UPPER, UPPER), (Role.LOWER, LOWER)], [(0, 1)]),
        ([(Role.LOWER, LOWER), (Role.UPPER, UPPER)], [(1, 0)]),
        ([(Role.PREP, LOWER), (Role.ANTAGONIST, UPPER)], [(0, 1)]),
        ([(Role.UPPER, UPPER), (Role.ANTAGONIST, LOWER)], [(0, 1)]),
        ([(Role.UPPER, UPPER), (Role.LOWER, LOWER), (Role.DESIGN, CROWN)], [(0, 1), (2, 0)]),
        ([(Role.LOWER, LOWER), (Role.DESIGN, CROWN)], []),
        ([(Role.PREP, LOWER), (Role.UPPER, UPPER)], [(0, 1)]),
        ([(Role.PREP, LOWER), (Role.LOWER, LOWER)], []),
        ([(Role.PREP, LOWER), (Role.LOWER, LOWER), (Role.UPPER, UPPER)], [(2, 1)]),
        ([(Role.DESIGN, CROWN), (Role.ANTAGONIST, UPPER)], [(0, 1)]),
        ([(Role.DESIGN, CROWN), (Role.UPPER, UPPER), (Role.PREP, LOWER)], [(2, 1), (0, 1)]),
        ([(Role.DIE, LOWER), (Role.ANTAGONIST, UPPER)], [(0, 1)]),
        ([(Role.SCAN, UPPER), (Role.SCAN, LOWER)], []),
        ([(Role.UPPER, UPPER), (Role.BITE, LOWER)], []),
    ],
)  # fmt: skip
def test_jaws_face_each_other_and_a_design_the_jaw_it_does_not_stand_on(parts, pairs) -> None:
    assert facing(parts) == pairs


def test_every_part_gets_the_distance_to_the_nearest_of_what_it_faces() -> None:
    parts = [(Role.UPPER, UPPER), (Role.LOWER, LOWER), (Role.DESIGN, CROWN)]
    meetings, found = relate(parts)
    assert [(one.one, one.other) for one in meetings] == [(0, 1), (2, 0)]
    assert [len(values) for values in found] == [len(mesh.vertices) for _, mesh in parts]
    alone = relate(parts[:2])[1][0]
    # The crown stands between the jaws: the upper one is nowhere farther from what faces it.
    both = ~np.isnan(alone)
    assert (found[0][both] <= alone[both] + 1e-6).all()


def outputs(count: int) -> list[io.BytesIO]:
    return [io.BytesIO() for _ in range(count)]


def test_the_job_writes_a_map_in_the_order_of_the_mesh_that_the_browser_gets() -> None:
    full = [wired(glb.pack(mesh)) for mesh in (UPPER, LOWER, CROWN)]
    written = outputs(3)
    roles = ["upper", "lower", "bite"]
    facts = relate_scans([memoryview(one) for one in full], written, {"roles": roles})
    assert [(one["one"], one["other"]) for one in facts["meetings"]] == [(0, 1)]
    assert facts["meetings"][0]["contact_mm2"] > 0
    shown = glb.unpack(unwired(full[0]))
    values = maps.unpack(unwired(written[0].getvalue()))
    assert len(values) == len(shown.vertices)
    assert written[2].getvalue() == b""
    # Towards the other jaw it is near, at the root of the gum it is not.
    low = shown.vertices[:, 2] < np.percentile(shown.vertices[:, 2], 2)
    assert np.nanmedian(values[low]) < 1


def test_two_versions_are_compared() -> None:
    changed = LOWER.vertices.copy()
    tooth = np.linalg.norm(changed - changed[changed[:, 2].argmax()], axis=1) < 1.5
    changed[tooth, 2] += np.float32(0.21)
    full = [wired(glb.pack(mesh)) for mesh in (Mesh(changed, LOWER.faces), LOWER)]
    written = outputs(1)
    facts = compare_versions([memoryview(one) for one in full], written, {})
    assert facts["comparable"]
    assert not facts["moved"]
    assert 0.15 < facts["largest_mm"] < 0.215
    assert 0 < facts["changed_mm2"] < 30
    assert len(maps.unpack(unwired(written[0].getvalue()))) == len(LOWER.vertices)
