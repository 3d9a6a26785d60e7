import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.scans import glb, obj, ply, stl
from inbound.scans.mesh import Mesh
from inbound.scans.prepare import prepare
from inbound.scans.roles import Role
from inbound.scans.sniff import Format
from scanpost import jaws
from store.errors import ScanRefused
from tests.refusing import plain_refusals

JAW = jaws.make_jaw(60_000, "lower")
FILES = {
    Format.STL: jaws.stl_bytes(JAW, b"Patient Jane Doe 1961"),
    Format.PLY: jaws.ply_bytes(JAW, "Patient Jane Doe 1961"),
    Format.OBJ: jaws.obj_bytes(JAW, "Patient_Jane_Doe"),
}
READERS = {Format.STL: stl.read, Format.PLY: ply.read, Format.OBJ: obj.read}


def prepared(kind):
    return prepare(memoryview(FILES[kind]), kind)


@pytest.mark.parametrize("kind", list(FILES))
def test_one_call_gives_all_that_a_case_needs(kind):
    result = prepared(kind)
    assert result.report.triangles == len(JAW.faces)
    assert result.report.vertices == len(JAW.vertices)
    assert result.colours is (kind is not Format.STL)
    assert result.role_guess is Role.LOWER
    assert result.frame.up[2] > 0.99
    assert len(glb.unpack(result.preview).faces) <= 50_000
    assert len(glb.unpack(result.full).faces) == len(JAW.faces)
    assert result.medium == b""  # the full one is as light
    assert result.copy_suffix == kind.value.lower()
    assert result.stripped > 0  # the patient's name, among others


def test_a_large_scan_has_a_level_for_small_devices():
    jaw = jaws.make_jaw(340_000, "upper")
    result = prepare(memoryview(jaws.stl_bytes(jaw)), Format.STL, preview=20_000)
    assert len(glb.unpack(result.preview).faces) <= 20_000
    assert 100_000 < len(glb.unpack(result.medium).faces) <= 200_000
    assert len(glb.unpack(result.full).faces) == len(jaw.faces)
    assert abs(result.report.size_mm[0] - np.ptp(jaw.vertices[:, 0])) < 0.001


def test_inches_become_millimetres_only_when_they_are_said_to_be():
    small = Mesh(JAW.vertices / np.float32(25.4), JAW.faces)
    data = memoryview(jaws.stl_bytes(small))
    assert max(prepare(data, Format.STL).report.size_mm) < 4
    told = prepare(data, Format.STL, mm_per_unit=25.4)
    assert np.allclose(told.report.size_mm, np.ptp(JAW.vertices, axis=0), atol=0.002)
    copied = stl.read(memoryview(told.copy))
    assert np.allclose(np.ptp(copied.vertices, axis=0), np.ptp(JAW.vertices, axis=0), atol=0.002)


def test_a_seam_of_the_colours_is_no_edge_of_the_surface():
    striped = np.where(JAW.vertices[:, :1] > 0, 255, 0).repeat(3, axis=1).astype(np.uint8)
    corners = JAW.faces.ravel()
    # Corner by corner, each triangle in the colour of its first: no two neighbours share a vertex.
    torn = Mesh(
        JAW.vertices[corners],
        np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        striped[JAW.faces[:, 0]].repeat(3, axis=0),
    )
    whole = prepare(memoryview(FILES[Format.STL]), Format.STL).report
    assert prepare(memoryview(ply.write(torn)), Format.PLY).report.holes == whole.holes


@pytest.mark.parametrize("kind", list(FILES))
def test_the_copy_keeps_every_triangle_bit_for_bit_and_no_word_of_the_original(kind):
    copy = prepared(kind).copy
    assert b"Jane" not in copy
    assert b"generated" not in copy
    before, after = READERS[kind](memoryview(FILES[kind])), READERS[kind](memoryview(copy))
    assert after.vertices[after.faces].tobytes() == before.vertices[before.faces].tobytes()
    assert (before.colours is None) == (after.colours is None)
    if before.colours is not None:
        assert np.array_equal(before.colours, after.colours)


def test_a_text_stl_is_copied_as_a_binary_one():
    result = prepare(memoryview(jaws.ascii_stl_bytes(JAW)), Format.STL)
    assert len(result.copy) == 84 + 50 * len(JAW.faces)


def test_the_copy_of_a_copy_is_the_copy():
    for kind in FILES:
        copy = prepared(kind).copy
        assert prepare(memoryview(copy), kind).copy == copy


@pytest.mark.parametrize("kind", [Format.EMPTY, Format.HPS, Format.DICOM, Format.PDF, Format.OTHER])
def test_what_is_no_scan_is_refused(kind):
    with pytest.raises(ScanRefused, match="is no scan"):
        prepare(memoryview(b"whatever"), kind)


def test_an_unforeseen_error_becomes_a_sentence(monkeypatch):
    def fail(*_):
        raise ValueError("3 PiB")

    monkeypatch.setattr("inbound.scans.prepare.read", fail)
    with pytest.raises(ScanRefused) as caught:
        prepare(memoryview(b""), Format.STL)
    assert str(caught.value).startswith("cannot be read as STL")
    assert "PiB" not in str(caught.value)


def test_importing_it_loads_no_trimesh():
    code = "import sys, inbound.scans.prepare; sys.exit('trimesh' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(max_examples=120, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(list(FILES)))
def test_any_bytes_under_any_format_are_prepared_or_refused(data, kind):
    with plain_refusals():
        prepare(memoryview(data), kind)
