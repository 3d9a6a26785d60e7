"""Sealing, keys, the spool, and objects in a folder and in an S3."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.blobs import Blobs
from store.blobs.folder import FolderBlobs
from store.blobs.keys import Keys
from store.blobs.s3 import S3Blobs
from store.blobs.sealed import CHUNK, MOST_HELD, PREFIX, TAG, SealedReader, SealedWriter
from store.blobs.spool import Spool
from store.errors import NotFound, ScanpostError, SettingsError
from store.house import SealedObject, open_object
from tests.seaweed import ACCESS_KEY, SECRET_KEY

KEY = bytes(range(32))
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5]


class Bytes(bytearray):
    def write(self, data: bytes | memoryview) -> None:
        self.extend(data)


def sealed(data: bytes, piece: int = 100_000, name: str = "a") -> bytes:
    out = Bytes()
    writer = SealedWriter(out, KEY, name)
    for start in range(0, len(data), piece):
        writer.write(data[start : start + piece])
    writer.finish()
    return bytes(out)


def reader(stored: bytes, key: bytes = KEY, name: str = "a") -> SealedReader:
    return SealedReader(lambda start, end: stored[start:end], len(stored), key, name)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_reads_back_from_any_place(size: int) -> None:
    data = os.urandom(size)
    opened = reader(sealed(data))
    assert len(opened) == size
    assert b"".join(opened.pieces()) == data
    for start, end in ((0, 10), (size // 2, size // 2 + 99), (CHUNK - 5, CHUNK + 5), (size, size)):
        assert opened.read(start, end) == data[start:end]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2 * CHUNK + 50), st.integers(0, 2 * CHUNK + 50), st.integers(1, 400_000))
def test_ranges_agree_with_slices(start: int, length: int, piece: int) -> None:
    data = bytes(range(256)) * (2 * CHUNK // 256) + b"tail"
    assert reader(sealed(data, piece)).read(start, start + length) == data[start : start + length]


def test_a_small_object_that_is_held_is_read_from_its_store_once_and_checked_each_time() -> None:
    data = os.urandom(2 * CHUNK + 100)
    stored, asked = bytearray(sealed(data)), []

    def read_at(start: int, end: int) -> bytes:
        asked.append((start, end))
        return bytes(stored[start:end])

    opened = SealedReader(read_at, len(stored), KEY, "a")
    opened.hold()
    assert opened.is_at_hand
    assert b"".join(opened.pieces()) == data
    assert opened.read(CHUNK - 5, CHUNK + 5) == data[CHUNK - 5 : CHUNK + 5]
    assert asked == [(0, PREFIX), (0, len(stored))]
    stored[PREFIX + 5] ^= 1
    opened.hold()
    with pytest.raises(ScanpostError, match="damaged"):
        opened.read(0, CHUNK)
    opened.let_go()
    assert not opened.is_at_hand
    assert opened.read(CHUNK, 2 * CHUNK) == data[CHUNK : 2 * CHUNK]


def test_a_large_object_is_never_held() -> None:
    opened = SealedReader(lambda start, end: bytes(end - start), MOST_HELD + 1, KEY, "a")
    opened.hold()
    assert not opened.is_at_hand


def test_sealing_adds_a_tag_a_chunk_and_hides_the_content() -> None:
    data = b"patient Smith " * 100_000
    stored = sealed(data)
    chunks = -(-len(data) // CHUNK)
    assert len(stored) == PREFIX + len(data) + chunks * TAG
    assert b"Smith" not in stored


@pytest.mark.parametrize("place", [0, PREFIX, PREFIX + 5, -1])
def test_a_changed_byte_is_found(place: int) -> None:
    stored = bytearray(sealed(b"x" * 1000))
    stored[place] ^= 1
    with pytest.raises(ScanpostError, match="damaged"):
        reader(bytes(stored)).read(0, 1000)


def test_another_key_or_another_name_opens_nothing() -> None:
    stored = sealed(b"x" * 1000)
    for opened in (reader(stored, key=bytes(32)), reader(stored, name="b")):
        with pytest.raises(ScanpostError):
            opened.read(0, 1)


def test_chunks_cannot_be_cut_off_or_swapped() -> None:
    stored = sealed(os.urandom(3 * CHUNK))
    whole = CHUNK + TAG
    cut = stored[: PREFIX + 2 * whole]
    with pytest.raises(ScanpostError):
        b"".join(reader(cut).pieces())
    first, second = stored[PREFIX : PREFIX + whole], stored[PREFIX + whole : PREFIX + 2 * whole]
    swapped = stored[:PREFIX] + second + first + stored[PREFIX + 2 * whole :]
    with pytest.raises(ScanpostError):
        reader(swapped).read(0, 1)


def test_the_master_key_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    key, wrapped = Keys.load(path).new()
    assert Keys.load(path).unwrap(wrapped) == key
    assert path.stat().st_mode & 0o777 == 0o400
    with pytest.raises(ScanpostError, match="another master key"):
        Keys.load(tmp_path / "other").unwrap(wrapped)


def test_a_master_key_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_text("not hexadecimal")
    with pytest.raises(SettingsError, match="64 hexadecimal digits"):
        Keys.load(path)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", Keys(KEY))


def test_a_spooled_mail_is_sealed_and_reads_back(spool: Spool) -> None:
    writing = spool.create("m1")
    writing.write(b"Subject: x\r\n\r\nSmith")
    writing.commit()
    assert b"Smith" not in (spool.root / "m1.sealed").read_bytes()
    with spool.open("m1") as mail:
        assert mail.read(0, 100) == b"Subject: x\r\n\r\nSmith"
    spool.discard("m1")
    spool.discard("m1")
    with pytest.raises(NotFound):
        spool.open("m1")


def test_an_unfinished_mail_leaves_nothing(spool: Spool) -> None:
    writing = spool.create("m1")
    writing.write(b"half")
    writing.abort()
    assert not list(spool.root.iterdir())
    spool.create("m2").write(b"killed here")
    assert spool.mail_ids() == set()
    assert spool.remove_unfinished() == 1
    assert not list(spool.root.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "objects")


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest) -> Iterator[Blobs]:
    """Objects where they may lie: what is asked of one is asked of both."""
    if request.param == "folder":
        yield request.getfixturevalue("folder")
        return
    opened = S3Blobs.open(request.getfixturevalue("seaweed").url(), ACCESS_KEY, SECRET_KEY)
    yield opened
    opened.close()


def write(blobs: Blobs, name: str, data: bytes) -> None:
    writing = blobs.create(name)
    writing.write(data)
    writing.commit()
    writing.abort()


def test_an_object_appears_at_commit_and_replaces_an_older_one(blobs: Blobs) -> None:
    write(blobs, "cases/a/1", b"old")
    writing = blobs.create("cases/a/1")
    writing.write(b"newer")
    assert blobs.read("cases/a/1", 0, 99) == b"old"
    writing.commit()
    assert blobs.read("cases/a/1", 0, 99) == b"newer"
    assert blobs.read("cases/a/1", 2, 4) == b"we"
    assert blobs.size("cases/a/1") == 5


def test_an_aborted_object_never_appears(blobs: Blobs) -> None:
    writing = blobs.create("cases/a/1")
    writing.write(b"half")
    writing.abort()
    writing.abort()
    assert blobs.names("") == []


def test_ranges_end_with_the_object(blobs: Blobs) -> None:
    write(blobs, "cases/a/1", b"12345")
    write(blobs, "cases/a/2", b"")
    ranges = {(0, 5): b"12345", (4, 9): b"5", (5, 9): b"", (99, 100): b"", (2, 2): b"", (3, 1): b""}
    for (start, end), found in ranges.items():
        assert blobs.read("cases/a/1", start, end) == found
    assert blobs.size("cases/a/2") == 0
    assert blobs.read("cases/a/2", 0, 7) == b""


def test_objects_of_a_prefix_are_listed_and_deleted(blobs: Blobs) -> None:
    for name in ("cases/a/2/original", "cases/a/1/original", "cases/b/1/original", "cases/ab/1"):
        write(blobs, name, b"x")
    assert blobs.names("cases/a/") == ["cases/a/1/original", "cases/a/2/original"]
    assert blobs.names("cases/a") == blobs.names("cases/a/")
    assert len(blobs.names("")) == 4
    for name in blobs.names("cases/a/"):
        blobs.delete(name)
        blobs.delete(name)
    assert blobs.names("cases/a/") == []
    assert blobs.names("cases/") == ["cases/ab/1", "cases/b/1/original"]


def test_a_deleted_objects_folders_go_with_it(folder: FolderBlobs) -> None:
    write(folder, "cases/a/1/original", b"x")
    folder.delete("cases/a/1/original")
    assert not (folder.root / "cases").exists()


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "cases/../../x"])
def test_names_never_lead_outside(blobs: Blobs, name: str) -> None:
    with pytest.raises(NotFound):
        blobs.create(name)
    with pytest.raises(NotFound):
        blobs.read(name, 0, 1)
    with pytest.raises(NotFound):
        blobs.size(name)
    with pytest.raises(NotFound):
        blobs.delete(name)
    with pytest.raises(NotFound):
        blobs.names(name)


def test_a_missing_object_is_not_found(blobs: Blobs) -> None:
    for ask in (
        blobs.size,
        lambda name: blobs.read(name, 0, 1),
        lambda name: blobs.read(name, 1, 1),
    ):
        with pytest.raises(NotFound, match="cases/none does not exist"):
            ask("cases/none")


def test_a_sealed_object_of_several_parts_reads_back(blobs: Blobs) -> None:
    data = os.urandom(17 * CHUNK + 3)
    target = SealedObject(blobs, KEY, "cases/a/1")
    for start in range(0, len(data), CHUNK):
        target.write(data[start : start + CHUNK])
    target.commit()
    assert b"".join(open_object(blobs, KEY, "cases/a/1").pieces()) == data


def test_what_was_never_committed_is_swept_once_it_is_old(folder: FolderBlobs) -> None:
    write(folder, "cases/a/1", b"whole")
    folder.create("cases/b/1").write(b"killed here")
    assert folder.sweep_unfinished(3600) == 0
    assert folder.sweep_unfinished(0) == 1
    assert folder.names("") == ["cases/a/1"]
    assert not (folder.root / "cases" / "b").exists()
