import io
import struct

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbound.scans import stl
from scanpost import jaws
from tests.refusing import plain_refusals, refused

JAW = jaws.make_jaw(4_000, "lower")
BINARY, TEXT = jaws.stl_bytes(JAW), jaws.ascii_stl_bytes(JAW)
SMALL = jaws.make_jaw(300, "lower")


def read(data):
    return stl.read(memoryview(data))


def refusal(data):
    return refused(read, data)


def with_count(count, data=BINARY):
    return data[:80] + struct.pack("<I", count) + data[84:]


def test_a_binary_stl_gives_every_corner_bit_for_bit_in_file_order():
    mesh = read(BINARY)
    assert mesh.vertices.dtype == np.float32
    assert mesh.vertices[mesh.faces].tobytes() == JAW.vertices[JAW.faces].tobytes()


def test_a_text_stl_gives_the_same_corners_as_the_binary_one():
    assert read(TEXT).vertices.tobytes() == read(BINARY).vertices.tobytes()


@pytest.mark.parametrize("change", [bytes.upper, lambda b: b.replace(b"\n", b"\r\n")])
def test_text_is_read_in_capitals_and_with_any_line_end(change):
    assert len(read(change(TEXT)).faces) == len(JAW.faces)


def test_text_with_several_solids_is_one_scan():
    assert len(read(TEXT + TEXT).faces) == 2 * len(JAW.faces)


def test_text_longer_than_one_chunk_loses_nothing(monkeypatch):
    monkeypatch.setattr(stl, "_CHUNK", 1_000)
    assert read(TEXT).vertices.tobytes() == read(BINARY).vertices.tobytes()


def test_a_binary_stl_whose_header_begins_with_solid_is_read_as_binary():
    assert len(read(jaws.stl_bytes(JAW, b"solid facet")).faces) == len(JAW.faces)


def test_padding_after_the_last_triangle_is_forgiven():
    assert len(read(BINARY + b"\r\n").faces) == len(JAW.faces)


def test_reading_agrees_with_trimesh():
    for data in (BINARY, TEXT):
        kind = "stl" if data is BINARY else "stl_ascii"
        theirs = trimesh.load_mesh(io.BytesIO(data), file_type=kind, process=False)
        ours = read(data)
        assert np.allclose(theirs.vertices[theirs.faces], ours.vertices[ours.faces], atol=1e-5)


def test_a_cut_binary_stl_says_after_how_many_triangles_it_stops():
    total = len(JAW.faces)
    assert refusal(BINARY[: 84 + 50 * 1_000 + 7]) == (
        f"stops after 1,000 of {total:,} triangles. Export it again and send it in a new mail."
    )


def test_counts_that_disagree_with_the_size_are_refused_before_anything_is_allocated():
    assert "of 4,294,967,295 triangles" in refusal(with_count(0xFFFFFFFF))
    assert "of 80,000,000 triangles" in refusal(with_count(80_000_000))
    assert refusal(with_count(3)).startswith("declares 3 triangles and goes on after them")
    assert refusal(with_count(0)).startswith("declares 0 triangles and goes on after them")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "stops inside its header"),
        (b"x" * 50, "stops inside its header"),
        (bytes(84), "holds no triangles"),
        (b"solid\n", "holds no triangles"),
        (b"solid a\nendsolid a\n", "holds no triangles"),
    ],
)
def test_a_file_without_triangles_says_so(data, sentence):
    assert refusal(data).startswith(sentence)


def test_a_cut_text_stl_says_where_it_stops_wherever_it_is_cut():
    small = jaws.ascii_stl_bytes(SMALL)
    closing = small.rindex(b"endsolid")
    for cut in range(40, closing, 1_511):
        assert refusal(small[:cut]).startswith(("stops after", "holds no triangles"))
    assert "without its last line" in refusal(small[:closing])


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.nan, "has 1 point without a position"),
        (np.inf, "has 1 point without a position"),
        (3e38, "has points more than a kilometre from its origin"),
    ],
)
def test_points_that_cannot_be_are_refused(value, sentence):
    corners = SMALL.vertices[SMALL.faces].copy()
    corners[7, 1, 2] = value
    assert refusal(stl.write(corners)).startswith(sentence)


def test_a_scan_without_extent_is_refused():
    assert refusal(stl.write(np.ones((5, 3, 3), np.float32))).startswith("has no size")


def test_text_with_words_for_numbers_is_refused_without_a_python_message():
    sentence = refusal(TEXT.replace(b"vertex 2", b"vertex two", 1))
    assert "Error" not in sentence
    assert "could not" not in sentence


def test_the_written_copy_holds_no_header_and_no_attributes():
    copy = stl.write(read(jaws.stl_bytes(SMALL, b"Patient: Jane Doe")).vertices.reshape(-1, 3, 3))
    records = np.frombuffer(copy, stl.TRIANGLE, offset=84)
    assert copy[:80] == bytes(80)
    assert not records["attribute"].any()
    assert records["corners"].tobytes() == SMALL.vertices[SMALL.faces].tobytes()


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.binary(max_size=600), st.sampled_from([b"", b"solid ", bytes(80), b"solid a facet vertex "])
)
def test_arbitrary_bytes_are_read_or_refused(tail, head):
    with plain_refusals():
        read(head + tail)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=6), st.booleans())
def test_damaged_files_are_read_or_refused(place, bytes_in, text):
    data = bytearray(jaws.ascii_stl_bytes(SMALL) if text else jaws.stl_bytes(SMALL))
    place %= len(data)
    data[place : place + len(bytes_in)] = bytes_in
    with plain_refusals():
        read(bytes(data))


def test_header_name_and_attribute_words_are_counted_as_notes():
    def notes(data):
        return stl.notes(memoryview(data))

    plain = stl.write(SMALL.vertices[SMALL.faces])
    coloured = plain[:-1] + b"\x80"
    assert notes(plain) == 0
    assert notes(coloured) == 1
    assert notes(b"Jane Doe".ljust(80) + coloured[80:]) == 2
    assert notes(jaws.ascii_stl_bytes(SMALL, name="Jane")) == 1
    assert notes(jaws.ascii_stl_bytes(SMALL, name="")) == 0


def test_text_whose_facets_have_no_normal_is_read():
    text = b"solid\nfacet\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\nendsolid\n"
    assert read(text).vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
