"""DICOM: pixels and measures stay; nobody's name, number, place or date is left in any byte."""

import io
import logging
import struct
import tracemalloc
import zlib
from time import process_time
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from inbound.scans.dicom import Volume, strip
from store.errors import ScanRefused
from tests.refusing import refused

SALT = b"salt of this case"
SECRETS = (
    *(
        b"ROE",
        b"Roe",
        b"Jane",
        b"PID4711",
        b"19800203",
        b"20250607",
        b"114500",
        b"MEYER",
        b"OPERATOR",
    ),
    *(
        b"Clinic",
        b"Main Street",
        b"555-0100",
        b"ACC99",
        b"STUDY7",
        b"SN-0815",
        b"1.2.826.77",
        b"PRIVATE",
    ),
    *(b"AETITLE", b"left molar", b"STATION"),
)
STUDY, SERIES, FRAME = "1.2.826.77.1", "1.2.826.77.2", "1.2.826.77.3"


def slice_of(number: int = 1, syntax: str = uid.ExplicitVRLittleEndian, frames: int = 1) -> Dataset:
    """One slice of a CBCT with all that a clinic's machine writes into it."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = uid.CTImageStorage, f"1.2.826.77.4.{number}"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = STUDY, SERIES, FRAME
    data.PatientName, data.PatientID, data.PatientBirthDate = "ROE^Jane", "PID4711", "19800203"
    data.PatientSex, data.PatientAge, data.OtherPatientNames = "F", "045Y", "ROE^J"
    data.PatientAddress, data.PatientTelephoneNumbers = "Main Street 1", "555-0100"
    data.ReferringPhysicianName, data.OperatorsName = "MEYER^Dr", "OPERATOR^One"
    data.InstitutionName, data.InstitutionAddress, data.StationName = (
        "Clinic",
        "Main Street",
        "STATION",
    )
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = "20250607"
    data.StudyTime, data.AccessionNumber, data.StudyID = "114500", "ACC99", "STUDY7"
    data.StudyDescription, data.SeriesDescription = "left molar", "Roe left molar"
    data.DeviceSerialNumber, data.ProtocolName = "SN-0815", "left molar"
    data.Manufacturer, data.ManufacturerModelName, data.Modality = "Cone Maker", "CM-1", "CT"
    data.ImageType, data.KVP, data.SliceThickness = ["ORIGINAL", "PRIMARY", "AXIAL"], "90", "0.25"
    data.ImagePositionPatient, data.InstanceNumber = ["0", "0", f"{number * 0.25}"], str(number)
    data.ImageOrientationPatient, data.PixelSpacing = (
        ["1", "0", "0", "0", "1", "0"],
        ["0.25", "0.25"],
    )
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = "1", "-1000", "HU"
    data.ImageComments, data.RequestedProcedureDescription = "Jane Roe left molar", "left molar"
    data.ReferencedStudySequence = Sequence([_reference()])
    data.RequestAttributesSequence = Sequence([_reference()])
    block = data.private_block(0x0011, "PRIVATE MAKER", create=True)
    block.add_new(0x01, "LO", "PRIVATE Jane Roe")
    data.add_new(0x60003000, "OW", b"PRIVATE overlay.")
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns, data.NumberOfFrames = 8, 6, str(frames)
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.SmallestImagePixelValue = 0
    data.PixelData = pixels(frames)
    data["PixelData"].VR = "OW"
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.SourceApplicationEntityTitle = "AETITLE"
    data.preamble = b"Jane Roe".ljust(128, b"\0")
    return data


def _reference() -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = uid.CTImageStorage, "1.2.826.77.9"
    item.PatientName = "ROE^Jane"
    return item


def pixels(frames: int = 1) -> bytes:
    return np.arange(48 * frames, dtype="<u2").tobytes()


def written(data: Dataset) -> bytes:
    out = io.BytesIO()
    pydicom.dcmwrite(out, data, enforce_file_format=True)
    return out.getvalue()


def stripped(data: bytes, salt: bytes = SALT) -> Volume:
    return strip(memoryview(data), salt)


def read(volume: Volume) -> Dataset:
    return pydicom.dcmread(io.BytesIO(volume.copy))


def refusal(data: bytes) -> str:
    return refused(stripped, data)


SYNTAXES = [
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_no_name_number_place_or_date_is_left_in_any_byte(syntax: uid.UID) -> None:
    data = written(slice_of(syntax=syntax))
    if syntax != uid.DeflatedExplicitVRLittleEndian:
        assert not [secret for secret in SECRETS if secret not in data]
    volume = stripped(data)
    assert not [secret for secret in SECRETS if secret in volume.copy]
    assert volume.stripped == 32  # 30 elements, who sent it, and the preamble
    assert (volume.modality, volume.rows, volume.columns, volume.frames) == ("CT", 8, 6, 1)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixels_and_measures_are_as_they_were(syntax: uid.UID) -> None:
    copy = read(stripped(written(slice_of(3, syntax))))
    assert copy.PixelData == pixels()
    assert (copy.pixel_array == np.arange(48).reshape(8, 6)).all()
    assert copy.PixelSpacing == [0.25, 0.25]
    assert copy.ImagePositionPatient == [0, 0, 0.75]
    assert (copy.RescaleSlope, copy.RescaleIntercept, copy.RescaleType) == (1, -1000, "HU")
    assert (copy.KVP, copy.InstanceNumber, copy.BitsStored) == (90, 3, 12)
    assert copy.ImageType == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert (copy.Manufacturer, copy.SmallestImagePixelValue) == ("Cone Maker", 0)
    assert copy.SOPClassUID == copy.file_meta.MediaStorageSOPClassUID == uid.CTImageStorage


def test_what_must_be_there_is_there_and_empty() -> None:
    copy = read(stripped(written(slice_of())))
    for name in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
    ):
        assert name in copy
        assert not copy[name].value
    assert copy.PatientIdentityRemoved == "YES"
    assert not [element for element in copy.iterall() if element.tag.is_private]
    assert "PatientAge" not in copy
    assert copy.preamble == bytes(128)


def test_a_series_stays_together_within_one_case_only() -> None:
    first, second = (read(stripped(written(slice_of(number)))) for number in (1, 2))
    elsewhere = read(stripped(written(slice_of(1)), b"another case"))
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert first[name].value == second[name].value != elsewhere[name].value
        assert first[name].value.startswith("2.25.")
        assert uid.UID(first[name].value).is_valid
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SOPInstanceUID == first.file_meta.MediaStorageSOPInstanceUID


def test_frames_of_one_file_keep_their_places() -> None:
    data = slice_of(frames=3)
    plane, measure, frame = Dataset(), Dataset(), Dataset()
    plane.ImagePositionPatient, measure.PixelSpacing = ["0", "0", "7.5"], ["0.2", "0.2"]
    frame.PlanePositionSequence, frame.PixelMeasuresSequence = (
        Sequence([plane]),
        Sequence([measure]),
    )
    frame.DerivationImageSequence = Sequence([_reference()])
    data.PerFrameFunctionalGroupsSequence = Sequence([frame] * 3)
    volume = stripped(written(data))
    assert volume.frames == 3
    groups = read(volume).PerFrameFunctionalGroupsSequence
    assert [group.PlanePositionSequence[0].ImagePositionPatient[2] for group in groups] == [7.5] * 3
    assert "DerivationImageSequence" not in groups[0]
    assert not [secret for secret in SECRETS if secret in volume.copy]


def test_packed_pixels_are_untouched() -> None:
    data = slice_of(syntax=uid.JPEGBaseline8Bit, frames=2)
    data.PixelData = encapsulate([b"\xff\xd8 first \xff\xd9 ", b"\xff\xd8 second\xff\xd9"])
    volume = stripped(written(data))
    copy = read(volume)
    assert copy.file_meta.TransferSyntaxUID == uid.JPEGBaseline8Bit
    assert copy.PixelData == data.PixelData
    assert volume.frames == 2


def test_big_endian_is_read() -> None:
    data = slice_of(syntax=uid.ExplicitVRBigEndian)
    volume = stripped(written(data))
    assert (volume.rows, volume.columns) == (8, 6)
    assert read(volume).PixelData == pixels()
    assert not [secret for secret in SECRETS if secret in volume.copy]


@pytest.mark.parametrize(("said", "known"), [("YES", True), ("NO", False), (None, False)])
def test_text_in_the_pixels_is_reported_where_the_file_says_so(
    said: str | None, known: bool
) -> None:
    data = slice_of()
    if said:
        data.BurnedInAnnotation = said
    assert stripped(written(data)).burned_in is known


def test_words_where_numbers_belong_are_dropped() -> None:
    data = written(slice_of())
    data = data.replace(b"DS\x04\x000.25", b"DS\x04\x00Jane", 1).replace(b"AXIAL", b"Roe j", 1)
    copy = stripped(data).copy
    assert b"Jane" not in copy
    assert b"Roe" not in copy


def test_a_cut_file_says_that_it_stops() -> None:
    data = written(slice_of())
    for size in (len(data) - 1, len(data) - 60, 700, 200, 140):
        assert "stops" in refusal(data[:size])


def test_too_few_pixels_are_counted() -> None:
    data = slice_of()
    data.Rows = 100
    assert "stops after 96 of 1,200 bytes of its picture" in refusal(written(data))
    data.Rows, data.NumberOfFrames = 8, "2000000000"
    assert "stops after 96 of 192,000,000,000 bytes" in refusal(written(data))


def test_what_holds_no_picture_is_refused() -> None:
    data = slice_of()
    del data.PixelData
    assert "holds no picture" in refusal(written(data))
    assert "holds no picture" in refusal(bytes(128) + b"DICM")
    assert "holds no picture" in refusal(b"")


def test_an_unknown_way_of_writing_is_named() -> None:
    data = written(slice_of()).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.99999.1.2.1\0", 1)
    assert "transfer syntax" in refusal(data)


def head(syntax: str = uid.ExplicitVRLittleEndian) -> bytes:
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    return bytes(128) + b"DICM" + struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value


def test_what_inflates_without_end_is_refused_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inbound.scans.dicom.MOST_INFLATED", 8 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(64 << 20)) + packer.flush()
    strip_nothing = head(uid.DeflatedExplicitVRLittleEndian)
    tracemalloc.start()
    try:
        assert "unpacks to more than 8 MB" in refusal(strip_nothing + bomb)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    assert "stops" in refusal(strip_nothing + bomb[:100])


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 0xFFFFFFF0),
        struct.pack("<HH2sHI", 0x10, 0x10, b"UN", 0, 0x7FFFFFFF) + b"Jane",
        struct.pack("<HH2sH", 0x10, 0x10, b"PN", 60_000),
        struct.pack("<HH2sHI", 0x28, 0x3010, b"SQ", 0, 0xFFFFFFFF) * 5,
        (struct.pack("<HH2sHI", 0x28, 0x3010, b"SQ", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 5000,
        struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) * 5,
        b"\x28\x00\x10\x00??" * 9,
    ],
)  # fmt: skip
def test_absurd_lengths_are_refused_at_once(body: bytes) -> None:
    before = process_time()
    refusal(head() + body)
    assert process_time() - before < 0.5


def test_a_million_elements_are_refused_at_once() -> None:
    before = process_time()
    body = struct.pack("<HH2sH", 0x28, 0x10, b"US", 0) * 1_000_000
    assert "more than 200,000 elements" in refusal(head() + body)
    assert process_time() - before < 4


def test_elements_that_begin_like_padding_take_time_in_proportion() -> None:
    def cost(count: int) -> float:
        nothing = struct.pack("<HHI", 0, 0, 1000) + bytes(1000)
        data = head(uid.ImplicitVRLittleEndian) + nothing * count + b"\x28\0\x10\0\2\0\0\0\1\0"
        before = process_time()
        assert "holds no picture" in refusal(data)
        return process_time() - before

    cost(10)
    assert cost(16_000) < 1  # 16 MB
    assert min(cost(16_000) for _ in range(3)) < 10 * min(cost(4_000) for _ in range(3))


@pytest.mark.parametrize("zeros", [1, 2, 3, 4, 7, 8, 1000, 65_536, 200_001])
def test_zeros_at_the_end_are_padding(zeros: int) -> None:
    data = written(slice_of())
    assert stripped(data + bytes(zeros)) == stripped(data)


def test_nothing_of_a_file_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        stripped(written(slice_of()).replace(b"DS\x04\x000.25", b"DS\x04\x00Jane", 1))
    assert not caplog.records


def test_an_ordinary_slice_takes_milliseconds() -> None:
    data = slice_of()
    data.Rows, data.Columns, data.PixelData = 600, 600, bytes(720_000)
    packed = written(data)
    stripped(packed)
    before = process_time()
    stripped(packed)
    assert process_time() - before < 0.1


WHOLE = {syntax: written(slice_of(syntax=syntax)) for syntax in SYNTAXES[:2]}


@settings(max_examples=150, deadline=None)
@given(
    syntax=st.sampled_from(sorted(WHOLE)),
    at=st.integers(132, 2400),
    change=st.binary(min_size=1, max_size=8),
    cut=st.integers(0, 10),
)
def test_damage_gives_a_volume_or_a_sentence(syntax: Any, at: int, change: bytes, cut: int) -> None:
    data = bytearray(WHOLE[syntax])
    data[at : at + len(change)] = change
    try:
        volume = stripped(bytes(data[: len(data) - cut]))
    except ScanRefused:
        return
    assert b"PID4711" not in volume.copy
