import io
import struct
import tracemalloc
import zipfile
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.scans.archive import Limits, extract, members
from scanpost import jaws
from store.errors import ScanRefused
from tests.refusing import plain_refusals, refused

SCAN = jaws.stl_bytes(jaws.make_jaw(2_000, "lower"))


def packed(files, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out


def named(name, attributes=0):
    """An archive of one member with exactly this name, which zipfile would not write."""
    out = packed({"n" * len(name.encode()): b"x" * 50})
    data = out.getvalue().replace(b"n" * len(name.encode()), name.encode())
    at = data.rindex(b"PK\x01\x02")
    return io.BytesIO(data[: at + 38] + struct.pack("<I", attributes) + data[at + 42 :])


def refusal(file, **limits):
    return refused(members, file, Limits(**limits))


def test_scans_are_listed_and_unpacked_byte_for_byte():
    file = packed({"case/upper.stl": SCAN, "case/lower.stl": SCAN[:84], "note.txt": b"hi"})
    found = members(file)
    assert [member.name for member in found] == ["case/upper.stl", "case/lower.stl", "note.txt"]
    out = io.BytesIO()
    assert extract(file, found[0], out) == len(SCAN)
    assert out.getvalue() == SCAN


def test_folders_and_droppings_of_desktops_are_passed_over_in_silence():
    file = packed(
        {
            "a/": b"",
            "a/.DS_Store": b"x",
            "__MACOSX/a/._u.stl": b"x",
            "Thumbs.db": b"x",
            "a/u.stl": SCAN,
        }
    )
    assert [member.name for member in members(file)] == ["a/u.stl"]


@pytest.mark.parametrize("name", ["inner.zip", "a/INNER.ZIP", "order.3oxz", "x.tar.gz", "x.7z"])
def test_an_archive_within_is_listed_as_refused_and_its_neighbours_are_taken(name):
    file = packed({name: b"x", "lower.stl": SCAN})
    inner, lower = members(file)
    assert inner.refused.startswith("is an archive within an archive")
    assert lower.refused is None
    with pytest.raises(ScanRefused):
        extract(file, inner, io.BytesIO())


@pytest.mark.parametrize(
    "name",
    [
        "../x.stl",
        "a/../../x.stl",
        "/etc/x.stl",
        "C:/x.stl",
        "..\\x.stl",
        "a\\b.stl",
        "\\\\host\\x",
        "a\0b.stl",
    ],
)
def test_paths_that_lead_outside_are_refused(name):
    assert refusal(named(name)).startswith("holds a file whose path leads out")


def test_links_are_refused():
    assert refusal(named("link.stl", 0o120777 << 16)).startswith("holds a link")


def test_a_password_is_named():
    data = bytearray(packed({"u.stl": SCAN}).getvalue())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    assert refusal(io.BytesIO(bytes(data))) == "is protected with a password. Send it without one."


def test_too_many_members_are_refused():
    file = packed({f"{n}.stl": b"x" for n in range(201)})
    assert refusal(file).startswith("holds 201 files; up to 200 are read")
    assert len(members(file, Limits(members=201))) == 201


def test_a_hundred_thousand_names_are_refused_at_once_and_without_memory():
    file = packed({f"{n}": b"" for n in range(100_000)}, zipfile.ZIP_STORED)
    start = process_time()
    tracemalloc.start()
    assert refusal(file).startswith("holds 100,000 files")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert process_time() - start < 1
    assert peak < 5 << 20


def test_a_directory_larger_than_its_count_tells_is_refused():
    data = bytearray(packed({f"{n}": b"" for n in range(60_000)}).getvalue())
    end = data.rindex(b"PK\x05\x06")
    data[end + 8 : end + 12] = struct.pack("<HH", 2, 2)
    assert refusal(io.BytesIO(bytes(data))).startswith("has a directory of")


def test_a_bomb_is_refused_by_its_ratio_before_it_is_unpacked():
    assert refusal(packed({"a.stl": bytes(20 << 20)})).startswith(
        "holds a file that unpacks to far more"
    )


def test_small_files_may_shrink_as_they_like():
    assert members(packed({"a.stl": bytes(1 << 20)}))


def test_the_sum_of_all_sizes_has_a_limit():
    file = packed({f"{n}.stl": SCAN for n in range(5)}, zipfile.ZIP_STORED)
    assert refusal(file, unpacked=3 * len(SCAN)).startswith("holds more than")


def test_members_that_share_their_bytes_are_refused():
    data = packed({"a.stl": SCAN, "b.stl": SCAN}).getvalue()
    second = data.rindex(b"PK\x01\x02")
    both_at_zero = data[: second + 42] + bytes(4) + data[second + 46 :]
    assert refusal(io.BytesIO(both_at_zero)).startswith("holds files that share the same bytes")


def test_a_member_that_reaches_into_the_directory_is_refused():
    data = packed({"a.stl": SCAN}, zipfile.ZIP_STORED).getvalue()
    at = data.rindex(b"PK\x01\x02")
    longer = struct.pack("<II", len(SCAN) + 40, len(SCAN) + 40)
    assert "share the same bytes" in refusal(io.BytesIO(data[: at + 20] + longer + data[at + 28 :]))


def test_a_lying_size_writes_no_more_than_it_declares_and_is_refused():
    data = bytearray(packed({"a.stl": SCAN}).getvalue())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1_000)
    file = io.BytesIO(bytes(data))
    out = io.BytesIO()
    with pytest.raises(ScanRefused, match="is damaged"):
        extract(file, members(file)[0], out)
    assert len(out.getvalue()) <= 1_000


def test_a_damaged_member_is_refused_by_its_checksum():
    data = bytearray(packed({"a.stl": SCAN}, zipfile.ZIP_STORED).getvalue())
    data[500] ^= 1
    file = io.BytesIO(bytes(data))
    with pytest.raises(ScanRefused, match="is damaged"):
        extract(file, members(file)[0], io.BytesIO())


def test_a_member_larger_than_the_callers_limit_is_not_begun():
    file, out = packed({"a.stl": SCAN}), io.BytesIO()
    with pytest.raises(ScanRefused, match="holds more than"):
        extract(file, members(file)[0], out, limit=100)
    assert not out.getvalue()


def test_unusual_packing_is_refused():
    assert refusal(packed({"a.stl": SCAN}, zipfile.ZIP_LZMA)).startswith(
        "is packed in an unusual way"
    )


def test_deep_folders_are_refused():
    assert refusal(packed({"a/" * 30 + "a.stl": SCAN})).startswith("holds folders within folders")


def test_names_are_decoded_and_lose_their_control_characters():
    odd = "Oberk\u0308iefer\u202egnp.stl"
    assert members(packed({odd: SCAN}))[0].name == "Oberk\u0308iefergnp.stl"
    macos = packed({"q" * len("Brücke.stl".encode()): SCAN}).getvalue()
    macos = macos.replace(b"q" * len("Brücke.stl".encode()), "Brücke.stl".encode())
    assert members(io.BytesIO(macos))[0].name == "Brücke.stl"


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(10), b"no archive at all" * 10]
)
def test_what_is_no_whole_archive_is_refused(data):
    assert refusal(io.BytesIO(data)).startswith(("stops before its end", "is damaged"))


def test_an_archive_without_members_has_none():
    assert members(packed({})) == []


def test_a_cut_archive_is_refused():
    data = packed({"a.stl": SCAN}).getvalue()
    assert refusal(io.BytesIO(data[: len(data) // 2])).startswith("stops before its end")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_damaged_archives_are_read_or_refused(place, bytes_in):
    data = bytearray(packed({"a.stl": SCAN[:2_000], "b/c.ply": b"ply"}).getvalue())
    place %= len(data)
    data[place : place + len(bytes_in)] = bytes_in
    file = io.BytesIO(bytes(data))
    with plain_refusals():
        for member in members(file):
            extract(file, member, io.BytesIO())
