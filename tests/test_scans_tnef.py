"""winmail.dat: its files byte for byte, and the sentence that helps where it cannot be read."""

import io
import logging
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import process_time

import pytest
import tnefparse
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.scans.archive import Limits, Member
from inbound.scans.sniff import Format, sniff
from inbound.scans.tnef import RICH_TEXT, extract, members
from store.errors import ScanRefused
from tests.conftest import jaw_stl
from tests.refusing import refused
from tests.tnef_writer import (
    ATTACHMENT,
    BINARY,
    IMESSAGE,
    ISTORAGE,
    MESSAGE,
    STRING,
    File,
    attachment,
    attribute,
    number,
    numbered,
    properties,
    shorts,
    stream,
    text,
    value,
    values,
    winmail,
)

UPPER, LOWER = jaw_stl("upper", 500), jaw_stl("lower", 500)
TWO = winmail(
    File(UPPER, "UPPERJ~1.STL", "Upper jaw – Oberkiefer.stl"),
    File(LOWER, "LOWERJ~1.STL", "Нижняя челюсть.stl"),
)


@pytest.fixture(autouse=True)
def _silent_library() -> Iterator[None]:
    logging.getLogger("tnefparse").setLevel(logging.CRITICAL + 1)
    yield
    logging.getLogger("tnefparse").setLevel(logging.NOTSET)


def listed(data: bytes, **limits: int) -> list[Member]:
    return members(io.BytesIO(data), Limits(**limits))


def bytes_of(data: bytes, member: Member) -> bytes:
    out = io.BytesIO()
    assert extract(io.BytesIO(data), member, out) == len(out.getvalue())
    return out.getvalue()


def files(data: bytes) -> list[tuple[str, bytes]]:
    return [(member.name, bytes_of(data, member)) for member in listed(data)]


def library_files(data: bytes) -> list[tuple[str, bytes]]:
    found = tnefparse.TNEF(data).attachments
    return [(attachment.long_filename(), bytes(attachment.data)) for attachment in found]


def refusal(data: bytes, **limits: int) -> str:
    return refused(listed, data, **limits)


def only(file: File) -> Member:
    (member,) = listed(winmail(file))
    return member


# ---------------------------------------------------------------- what is read


def test_two_scans_are_listed_and_unpacked_byte_for_byte() -> None:
    assert sniff(TWO[:4096], len(TWO)) is Format.TNEF
    assert files(TWO) == [("Upper jaw – Oberkiefer.stl", UPPER), ("Нижняя челюсть.stl", LOWER)]
    assert [member.size for member in listed(TWO)] == [len(UPPER), len(LOWER)]


def test_a_file_among_the_mapi_properties_keeps_the_zero_bytes_at_its_end() -> None:
    for data in (UPPER, b"solid" + bytes(99), b"", b"abc"):
        assert files(winmail(File(data, "a.stl", inside=True))) == [("a.stl", data)]


def test_the_library_cuts_those_which_is_why_it_is_not_used() -> None:
    data = winmail(File(UPPER, "a.stl", inside=True))
    assert UPPER.endswith(b"\0\0")
    assert library_files(data) != [("a.stl", UPPER)]


@pytest.mark.parametrize(
    ("file", "codepage", "name"),
    [
        (File(b"x", "SHORT~1.STL", "A long name.stl"), 1252, "A long name.stl"),
        (File(b"x", "SHORT.STL"), 1252, "SHORT.STL"),
        (File(b"x", "Brücke.stl"), 1252, "Brücke.stl"),
        (File(b"x", "Челюсть.stl"), 1251, "Челюсть.stl"),
        (File(b"x", "上顎.stl"), 932, "上顎.stl"),
        (File(b"x", "plain.stl"), 65001, "plain.stl"),
        (File(b"x", more=(text(0x3704, "SHORT.STL"),)), 1252, "SHORT.STL"),
        (File(b"x", more=(text(0x3001, "As shown.stl"),)), 1252, "As shown.stl"),
        (File(b"x", "a.stl", more=(text(0x3001, "As shown.stl"),)), 1252, "a.stl"),
        (File(b"x", more=(value(0x3707, STRING, "Brücke\0".encode("cp1252")),)), 1252, "Brücke"),
        (File(b"x"), 1252, "file 1"),
        (File(b"x", long_name="up\u202e\x07lts.exe"), 1252, "uplts.exe"),
        (File(b"x", long_name="🦷" * 2_000), 1252, "🦷" * 512),
    ],
)
def test_the_best_name_is_taken_in_its_charset(file: File, codepage: int, name: str) -> None:
    (member,) = listed(winmail(file, codepage=codepage))
    assert member.name == name


@pytest.mark.parametrize("codepage", [0, 20127, 99_999, 0xFFFFFFFF])
def test_an_unknown_codepage_is_read_as_the_western_one(codepage: int) -> None:
    head = attribute(MESSAGE, 0x9007, 6, struct.pack("<II", codepage, 0))
    data = stream(head, attachment(File(b"x", "Brücke.stl")))
    assert listed(data)[0].name == "Brücke.stl"


def test_the_same_name_twice_stays_for_the_caller_to_tell_apart() -> None:
    data = winmail(File(UPPER, "a.stl"), File(LOWER, "a.stl"))
    assert files(data) == [("a.stl", UPPER), ("a.stl", LOWER)]


def test_properties_of_every_kind_are_passed_over() -> None:
    eight = [struct.pack("<HHQ", kind, 0x4000 + kind, 5) for kind in (5, 6, 7, 20, 64)]
    four = [struct.pack("<HHI", kind, 0x4000 + kind, 5) for kind in (4, 10)]
    odd = (
        *eight,
        *four,
        struct.pack("<HH", 72, 0x4001) + bytes(16),
        struct.pack("<HHHH", 2, 0x4002, 7, 0),
        shorts(0x4003, 1, 2, 3),
        shorts(0x4004, 1, 2),
        values(0x4005, STRING, b"a\0", b"bcdef\0"),
        value(0x4007, 0, b"unspecified"),
        numbered(0x8008),
    )
    data = winmail(File(UPPER, long_name="a.stl", inside=True, more=odd))
    assert files(data) == [("a.stl", UPPER)]
    assert library_files(data)[0][0] == "a.stl"


def test_a_list_of_no_values_is_passed_over_which_the_library_cannot() -> None:
    data = winmail(File(UPPER, long_name="a.stl", inside=True, more=(values(0x4006, BINARY),)))
    assert files(data) == [("a.stl", UPPER)]


def test_a_property_of_unknown_kind_ends_the_list_and_not_the_file() -> None:
    odd = struct.pack("<HHI", 0x0999, 0x4000, 5)
    data = winmail(File(UPPER, "SHORT.STL", "never seen.stl", more=(odd,)))
    assert files(data) == [("SHORT.STL", UPPER)]


def test_a_mail_without_attachments_has_no_members() -> None:
    assert listed(winmail()) == []


@pytest.mark.parametrize("tail", [b"\r\n", b"\0\0", b"\n" * 40, b""])
def test_blanks_behind_the_end_are_passed_over(tail: bytes) -> None:
    assert files(TWO + tail) == files(TWO)


def test_attachments_need_no_codepage_and_no_beginning() -> None:
    data = stream(attribute(ATTACHMENT, 0x800F, 6, UPPER))
    assert files(data) == [("file 1", UPPER)]


# ---------------------------------------------------------------- what is no file


def test_a_mail_within_is_listed_as_refused_and_its_neighbours_are_taken() -> None:
    inner = winmail(File(LOWER, "inner.stl"))
    data = winmail(
        File(None, "Other mail", method=5, embedded=IMESSAGE + inner), File(UPPER, "upper.stl")
    )
    within, upper = listed(data)
    assert (within.name, within.refused) == (
        "Other mail",
        "is a mail within the mail. Send its files directly.",
    )
    assert bytes_of(data, upper) == UPPER
    with pytest.raises(ScanRefused, match="is a mail within"):
        extract(io.BytesIO(data), within, io.BytesIO())
    assert [name for name, _ in library_files(data)] == ["Other mail", "upper.stl"]


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (File(None, "a", embedded=ISTORAGE + b"x"), "is an object inside the text"),
        (File(None, "a", method=6), "is an object inside the text"),
        (File(None, "a", embedded=b"short"), "is an object inside the text"),
        (File(None, "a", method=7), "is only a link"),
        (File(None, "a", method=2), "is only a link"),
        (File(None, "a"), "is named in winmail.dat and not in it"),
    ],
)
def test_what_is_no_file_is_listed_with_its_reason(file: File, sentence: str) -> None:
    refused = only(file).refused
    assert refused is not None
    assert refused.startswith(sentence)
    assert refused.endswith(".")


# ---------------------------------------------------------------- damage


def test_the_refusal_says_how_to_switch_off_rich_text() -> None:
    assert refusal(TWO[:-1]) == f"is damaged. {RICH_TEXT}"
    assert "File > Options > Mail > Compose messages in this format: HTML" in RICH_TEXT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x78\x9f\x3e\x22",
        b"PK\x03\x04" * 9,
        stream(b"\x02\x0f"),
        stream(b"what is this, and how did it get in here"),
        stream(attribute(3, 0x800F, 6, b"x")),
        stream(struct.pack("<BHHI", 2, 0x800F, 6, 0xFFFFFFFF) + b"x" * 100),
        TWO + b"\x01",
    ],
)
def test_what_is_no_whole_winmail_dat_is_refused(data: bytes) -> None:
    assert refusal(data).startswith("is damaged. Outlook makes winmail.dat")


def test_a_cut_file_is_refused_wherever_it_was_cut_within_an_attribute() -> None:
    data = winmail(File(b"x" * 50, "a.stl"))
    whole, at = {6}, 6
    while at < len(data):
        at += 11 + int.from_bytes(data[at + 5 : at + 9], "little")
        whole.add(at)
    for cut in set(range(len(data))) - whole:
        assert refusal(data[:cut]).startswith("is damaged")


@pytest.mark.parametrize("inside", [True, False])
def test_a_file_whose_sum_is_wrong_is_refused_and_its_neighbour_is_taken(inside: bool) -> None:
    data = bytearray(winmail(File(UPPER, "a.stl", inside=inside), File(LOWER, "b.stl")))
    data[data.index(UPPER) + 300] ^= 4
    upper, lower = listed(bytes(data))
    assert upper.refused is not None
    assert upper.refused.startswith("is damaged")
    assert bytes_of(bytes(data), lower) == LOWER


@pytest.mark.parametrize(
    "block",
    [
        struct.pack("<I", 0xFFFFFFFF),
        properties(struct.pack("<HHII", BINARY, 0x3701, 1, 0xFFFFFFFF)),
        properties(struct.pack("<HHI", BINARY, 0x3701, 0xFFFFFFFF)),
        properties(struct.pack("<HHI", 0x1002, 0x4000, 0xFFFFFFFF)),
        properties(struct.pack("<HH", BINARY, 0x8000) + bytes(16) + b"\xff" * 8),
        properties(value(0x3701, BINARY, b"x" * 9))[:-4],
        b"",
    ],
)
def test_hostile_lengths_and_counts_are_refused_at_once(block: bytes) -> None:
    data = stream(attribute(ATTACHMENT, 0x9005, 6, block), attachment(File(UPPER, "a.stl")))
    start = process_time()
    assert refusal(data).startswith("is damaged")
    assert process_time() - start < 0.5


@pytest.mark.parametrize(
    "data",
    [
        stream(attribute(MESSAGE, 0x800D, 4, b"") * 1_500_000),
        stream(attribute(ATTACHMENT, 0x9005, 6, properties(*[number(0x4000, 1)] * 500_000))),
        stream(
            attribute(ATTACHMENT, 0x9005, 6, properties(shorts(0x4000, *range(0, 60_000, 2)) * 60))
        ),
    ],
)
def test_endless_lists_are_given_up(data: bytes) -> None:
    start = process_time()
    with suppress(ScanRefused):
        listed(data)
    assert process_time() - start < 5


def test_too_many_files_and_too_much_are_refused() -> None:
    data = winmail(*[File(b"x")] * 201)
    assert refusal(data) == "holds more than 200 files. Send them in parts."
    assert len(listed(data, members=201)) == 201
    assert refusal(TWO, unpacked=len(UPPER)).startswith("holds more than")


def test_a_member_larger_than_the_callers_limit_is_not_begun() -> None:
    out = io.BytesIO()
    with pytest.raises(ScanRefused, match="holds more than"):
        extract(io.BytesIO(TWO), listed(TWO)[0], out, limit=100)
    assert not out.getvalue()


def test_memory_stays_small_whatever_the_size() -> None:
    large = bytes(range(256)) * (60 * 4096)
    file = io.BytesIO(winmail(File(large, "a.stl"), File(large, "b.stl", inside=True)))
    with Path("/dev/null").open("wb") as out:
        tracemalloc.start()
        assert [extract(file, member, out) for member in members(file)] == [60 << 20] * 2
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 << 20


# ---------------------------------------------------------------- against the library, and anything

NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=30)
MADE = st.builds(
    File,
    data=st.binary(max_size=200),
    title=st.just("SHORT.STL"),
    long_name=NAMES,
    inside=st.just(False),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(MADE, max_size=5))
def test_made_up_files_are_read_as_the_library_reads_them(made: list[File]) -> None:
    data = winmail(*made)
    assert files(data) == [(file.long_name, file.data) for file in made]
    assert files(data) == library_files(data)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_damaged_files_are_read_or_refused_in_a_sentence(place: int, written: bytes) -> None:
    inner = File(None, "mail", method=5, embedded=IMESSAGE + b"x" * 20)
    data = bytearray(winmail(File(UPPER[:300], "a.stl"), File(LOWER[:300], inside=True), inner))
    place %= len(data)
    data[place : place + len(written)] = written
    read_or_refused(bytes(data))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_a_sentence(rest: bytes) -> None:
    read_or_refused(stream(rest))


def read_or_refused(data: bytes) -> None:
    sentences = []
    try:
        for member in listed(data):
            if member.refused:
                sentences.append(member.refused)
            else:
                assert len(bytes_of(data, member)) == member.size
    except ScanRefused as refused:
        sentences.append(str(refused))
    assert all(sentence[0].islower() and sentence.endswith(".") for sentence in sentences)
