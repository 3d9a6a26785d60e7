import io
import json
from time import process_time

import numpy as np
import trimesh

from inbound.scans.check import examine, likely_unit
from inbound.scans.mesh import Mesh
from scanpost import jaws


def mesh_of(theirs):
    return Mesh(theirs.vertices.astype(np.float32), theirs.faces.astype(np.int32))


def without(mesh, rows):
    return Mesh(mesh.vertices, np.delete(mesh.faces, rows, axis=0))


SPHERE = mesh_of(trimesh.creation.icosphere(subdivisions=3, radius=10))


def test_a_closed_surface_is_watertight_and_without_fault():
    report = examine(SPHERE)
    assert report.watertight
    assert (report.components, report.rims, report.holes) == (1, 0, 0)
    assert report.size_mm == (20, 20, 20)


def test_a_missing_triangle_is_a_hole_with_its_length():
    report = examine(without(SPHERE, [0]))
    edge = SPHERE.vertices[SPHERE.faces[0]]
    assert (report.rims, report.holes) == (0, 1)
    around = np.linalg.norm(edge - np.roll(edge, 1, axis=0), axis=1).sum()
    assert abs(report.longest_hole_mm - around) < 0.01


def test_the_longest_loop_of_an_open_shell_is_its_rim_and_the_others_are_holes():
    middle = SPHERE.vertices[SPHERE.faces].mean(axis=1)
    bowl = Mesh(SPHERE.vertices, SPHERE.faces[middle[:, 2] < 1])
    assert (examine(bowl).rims, examine(bowl).holes) == (1, 0)
    deepest = int(np.argmin(bowl.vertices[bowl.faces].mean(axis=1)[:, 2]))
    assert (examine(without(bowl, [deepest])).rims, examine(without(bowl, [deepest])).holes) == (
        1,
        1,
    )


def test_a_generated_jaw_has_a_rim_a_hole_and_two_pieces_of_debris():
    report = examine(jaws.make_jaw(60_000, "lower"))
    assert (report.components, report.rims, report.holes) == (3, 1, 1)
    assert not report.watertight
    assert (report.degenerate, report.duplicates, report.nonmanifold_edges) == (0, 0, 0)


def test_faults_are_counted():
    faces = SPHERE.faces
    turned = faces.copy()
    turned[5] = turned[5, ::-1]
    assert examine(Mesh(SPHERE.vertices, turned)).inconsistent_edges == 3
    doubled = np.concatenate([faces, faces[:2, [1, 2, 0]]])
    report = examine(Mesh(SPHERE.vertices, doubled))
    assert (report.duplicates, report.nonmanifold_edges > 0) == (2, True)
    flat = np.concatenate([faces, [[1, 1, 2], [0, 3, 3]]]).astype(np.int32)
    assert examine(Mesh(SPHERE.vertices, flat)).degenerate == 2


def test_the_report_agrees_with_trimesh():
    jaw = jaws.make_jaw(20_000, "upper")
    theirs = trimesh.Trimesh(jaw.vertices, jaw.faces, process=False)
    report = examine(jaw)
    assert report.watertight == theirs.is_watertight
    assert (report.inconsistent_edges == 0) == theirs.is_winding_consistent


def test_a_report_is_plain_json():
    assert json.loads(json.dumps(examine(SPHERE).to_json()))["size_mm"] == [20, 20, 20]


def test_a_jaw_of_three_hundred_thousand_triangles_takes_well_below_a_second():
    jaw = jaws.make_jaw(300_000, "lower")
    start = process_time()
    examine(jaw)
    assert process_time() - start < 1


def test_an_arch_in_other_units_is_noticed():
    assert likely_unit((62.0, 33.0, 57.0)) == "mm"
    assert likely_unit((2.6, 1.3, 2.2)) == "inch"
    assert likely_unit((6.2, 3.3, 5.7)) == "cm"
    assert likely_unit((0.062, 0.033, 0.057)) == "m"


def test_a_file_of_the_mesh_survives_the_way_through_trimesh():
    data = jaws.stl_bytes(SPHERE)
    assert trimesh.load_mesh(io.BytesIO(data), file_type="stl").is_watertight
