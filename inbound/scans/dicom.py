"""A DICOM file (PS3.10): the picture and what measures it stay, whoever was pictured or worked on it goes.

PS3.15 Annex E lists what to remove; here it is turned round, and only what is known to say nothing of a person is
kept: numbers and code words of the groups that describe image, geometry and exposure. Names, dates, free texts,
private elements, overlays and anything not in the dictionary stay behind. UIDs become keyed hashes, so that the
slices of a series still belong together within one case and cannot be found elsewhere.

The file is walked before the library reads it, so that lengths are true and counts are small. Pixel data is
carried over byte for byte: text burned into it cannot be seen from here.
"""

import contextlib
import hashlib
import hmac
import io
import logging
import re
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from inbound.scans.mesh import in_plain_words
from store.errors import ScanRefused

Order = Literal["little", "big"]

MOST_ELEMENTS = 200_000
MOST_INFLATED = 512 << 20  # bytes
_DEEPEST = 16  # sequences within sequences
_AGAIN = "Export it again and send it in a new mail."
_META_START = 132  # bytes: the preamble and the magic
_BLOCK = 1 << 16  # bytes
_UNDEFINED = 0xFFFF_FFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_PIXELS = 0x7FE0_0010
_PICTURES = (_PIXELS, 0x7FE0_0008, 0x7FE0_0009)
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_SHORT = {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN"}
_SHORT |= {b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}

# What may stay: every number and code word of these groups (acquisition, geometry, image, presentation, frames) ...
_GROUPS = {0x0018, 0x0020, 0x0028, 0x2050, 0x5200}
_NUMBERS = {"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT", "US or SS"}
_WORDS = {
    "CS": re.compile(r"[A-Z0-9_ ]{0,16}"),
    "DS": re.compile(r"[-+0-9.eE ]{0,20}"),
    "IS": re.compile(r"[-+0-9 ]{0,13}"),
}
_TABLES = {"OW", "US or OW"}  # in the image's group: palettes and lookup tables
# ... and these. Makers and models are as common as cameras; texts among them are checked like all others.
_KEPT = {
    *(0x0008_0008, 0x0008_0016, 0x0008_0060, 0x0008_0064, 0x0008_0068, 0x0008_0070, 0x0008_1090),
    *(0x0008_9205, 0x0008_9206, 0x0008_9207, 0x0018_1210, 0x0028_1054),
    *(0x7FE0_0001, 0x7FE0_0002, *_PICTURES),
}
_TEXT = re.compile(r"[A-Za-z0-9_.,+/() -]{0,64}")
_UIDS = {0x0008_0018, 0x0020_000D, 0x0020_000E, 0x0020_0052, 0x0020_9161, 0x0020_9164, 0x0020_9421}
# PS3.3 asks for these to be there, empty if need be (type 2).
_BLANK = {
    *(0x0008_0020, 0x0008_0030, 0x0008_0050, 0x0008_0090, 0x0010_0010, 0x0010_0020, 0x0010_0030),
    *(0x0010_0040, 0x0020_0010, 0x0020_1040),
}


@dataclass(frozen=True)
class Volume:
    """A DICOM image, or a stack of them in one file, as reviewers get it.

    Attributes:
        copy: the new file, in the transfer syntax of the old one (deflated ones inflated).
        stripped: how many elements were removed or emptied.
        modality: a code word such as "CT", "DX" or "IO"; "OT" where the file says none.
        rows, columns: pixels of one frame.
        frames: 1 or more.
        burned_in: whether the file itself says that its pixels show who it is (0028,0301).
    """

    copy: bytes
    stripped: int
    modality: str
    rows: int
    columns: int
    frames: int
    burned_in: bool


def strip(data: memoryview, salt: bytes) -> Volume:
    """The image without its patient, its people, its places, its dates and its numbers elsewhere.

    Args:
        salt: secret and the same for all files of one case, from which new UIDs are made.

    Raises:
        ScanRefused: it ends early, is damaged, holds no picture or too many parts, or unpacks to too much.
    """
    with in_plain_words("DICOM"), _silent():
        from pydicom.filereader import read_dataset  # noqa: PLC0415 -- 180 ms, for few mails

        body_at = _walked(data, _META_START, implicit=False, meta=True)
        meta = read_dataset(io.BytesIO(data[_META_START:body_at]), False, True)
        syntax = _syntax(meta)
        body = _inflated(data[body_at:]) if syntax.is_deflated else data[body_at:]
        order: Order = "little" if syntax.is_little_endian else "big"
        implicit = order == "little" and not _is_explicit(body)
        body = body[: _walked(body, 0, implicit=implicit, order=order)]
        original = read_dataset(io.BytesIO(body), implicit, order == "little")
        cleaner = _Cleaner(salt)
        clean = cleaner.cleaned(original)
        cleaner.stripped += bool(bytes(data[:128]).strip(b"\0"))
        cleaner.stripped += sum(tag > 0x0002_0013 for tag in meta.keys())  # noqa: SIM118 -- see `cleaned`
        facts = _facts(clean, syntax)
        return Volume(_written(clean, syntax, implicit), cleaner.stripped, **facts)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Odd values are neither complained of nor logged: they are dropped."""
    from pydicom import config  # noqa: PLC0415 -- see `strip`

    logger = logging.getLogger("pydicom")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


# ---------------------------------------------------------------- the file's structure


@dataclass(frozen=True)
class _Level:
    """Where the walk is: among elements, among a sequence's items, or among packed pictures ("fragments").

    Attributes:
        end: the first byte behind it, as far as is known; an open one ends with its own mark before that.
    """

    kind: str
    end: int
    is_open: bool
    implicit: bool


def _walked(
    data: memoryview, at: int, *, implicit: bool, order: Order = "little", meta: bool = False
) -> int:
    """Walks all elements by their lengths and says where they end; with `meta`, only those of group 2.

    Raises:
        ScanRefused: a length leads out of its surroundings, or there are too many elements or levels.
    """
    levels = [_Level("elements", len(data), False, implicit)]
    padding = _padding(data)
    for _ in range(MOST_ELEMENTS):
        while levels and not levels[-1].is_open and at == levels[-1].end:
            levels.pop()
        if not levels or (len(levels) == 1 and _is_over(data, at, padding, meta)):
            return at
        here = levels[-1]
        tag, vr, length, at = _header(data, at, here, order)
        if tag in {_ITEM_END, _SEQUENCE_END}:
            if not here.is_open or (tag == _ITEM_END) != (here.kind == "elements"):
                raise _damaged()
            levels.pop()
            continue
        below = _below(here, tag, vr, length)
        end = here.end if length == _UNDEFINED else at + length
        if end > here.end:
            raise _cut_short()
        if below is None:
            at = end
        elif len(levels) > 2 * _DEEPEST:
            raise _damaged()
        else:
            is_open = length == _UNDEFINED
            levels.append(_Level(below, end, is_open, here.implicit or vr == b"UN"))
    raise ScanRefused(f"has more than {MOST_ELEMENTS:,} elements. {_AGAIN}")


def _is_over(data: memoryview, at: int, padding: int, meta: bool) -> bool:
    """Whether nothing follows: another group behind the file's own, or zeros as padding."""
    return bytes(data[at : at + 2]) != b"\x02\0" if meta else at >= padding


def _padding(data: memoryview) -> int:
    """Where the zeros at the end begin; looked for once, however many elements look like them."""
    for start in range((len(data) - 1) // _BLOCK * _BLOCK, -1, -_BLOCK):
        if kept := bytes(data[start : start + _BLOCK]).rstrip(b"\0"):
            return start + len(kept)
    return 0


def _header(data: memoryview, at: int, here: _Level, order: Order) -> tuple[int, bytes, int, int]:
    """(tag, VR or b"", length of the value, where the value begins)."""
    if at + 8 > here.end:
        raise _cut_short()
    group, element = (int.from_bytes(data[i : i + 2], order) for i in (at, at + 2))
    tag, vr = group << 16 | element, bytes(data[at + 4 : at + 6])
    if group == 0xFFFE or here.implicit:
        return tag, b"", int.from_bytes(data[at + 4 : at + 8], order), at + 8
    if here.kind != "elements" or vr not in _LONG | _SHORT:
        raise _damaged()
    if vr in _SHORT:
        return tag, vr, int.from_bytes(data[at + 6 : at + 8], order), at + 8
    if at + 12 > here.end:
        raise _cut_short()
    return tag, vr, int.from_bytes(data[at + 8 : at + 12], order), at + 12


def _below(here: _Level, tag: int, vr: bytes, length: int) -> str | None:
    """What the value consists of, or None if it is to be skipped."""
    if here.kind == "fragments":
        if tag != _ITEM or length == _UNDEFINED:
            raise _damaged()
        return None
    if (tag == _ITEM) != (here.kind == "items"):
        raise _damaged()
    if tag == _ITEM:
        return "elements"
    if tag == _PIXELS:
        return "fragments" if length == _UNDEFINED else None
    if length == _UNDEFINED and vr not in {b"", b"SQ", b"UN"}:
        raise _damaged()
    return "items" if length == _UNDEFINED or _is_sequence(tag, vr) else None


def _is_sequence(tag: int, vr: bytes) -> bool:
    return vr == b"SQ" or (not vr and bool(tag >> 16 & 1) is False and _entry(tag)[0] == "SQ")


def _is_explicit(body: memoryview) -> bool:
    """Whether an element's type is written beside it; some files contradict their own header here."""
    return bytes(body[4:6]) in _LONG | _SHORT


def _syntax(meta: Any) -> Any:
    from pydicom import uid  # noqa: PLC0415 -- see `strip`

    syntax = uid.UID(str(meta.get("TransferSyntaxUID") or uid.ImplicitVRLittleEndian))
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise ScanRefused(
            "is written in a way (transfer syntax) that is not known here. Export it uncompressed"
            " (Explicit VR Little Endian) and send it in a new mail."
        )
    return syntax


def _inflated(packed: memoryview) -> memoryview:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    data = unpacker.decompress(packed, MOST_INFLATED)
    if unpacker.eof:
        return memoryview(data)
    if len(data) < MOST_INFLATED:
        raise _cut_short()
    raise ScanRefused(f"unpacks to more than {MOST_INFLATED >> 20} MB. {_AGAIN}")


def _cut_short() -> ScanRefused:
    return ScanRefused(f"stops before the end of its data. {_AGAIN}")


def _damaged() -> ScanRefused:
    return ScanRefused(f"cannot be read as DICOM; it may be damaged. {_AGAIN}")


def _entry(tag: int) -> tuple[str, bool]:
    """(VR, whether it is retired) by the dictionary of PS3.6; ("", True) for what is not in it."""
    from pydicom._dicom_dict import DicomDictionary  # noqa: PLC0415 -- see `strip`

    entry = DicomDictionary.get(tag)
    return (entry[0], bool(entry[3])) if entry else ("", True)


# ---------------------------------------------------------------- who it is


@dataclass
class _Cleaner:
    """Copies what may stay, and counts what may not."""

    salt: bytes
    stripped: int = 0

    def cleaned(self, original: Any) -> Any:
        """A new data set; `original` is left as it was, sequences may be nested `_DEEPEST` deep."""
        from pydicom.dataset import Dataset  # noqa: PLC0415 -- see `strip`

        clean = Dataset()
        for tag in original.keys():  # noqa: SIM118 -- a Dataset iterates over values
            element = self._element(original, int(tag))
            if element is None:
                self.stripped += 1
            else:
                clean.add(element)
        return clean

    def _element(self, original: Any, tag: int) -> Any:
        from pydicom.dataelem import DataElement  # noqa: PLC0415 -- see `strip`

        vr, retired = _entry(tag)
        if retired or not (tag >> 16 in _GROUPS or tag in _KEPT | _UIDS | _BLANK):
            return None
        if tag in _BLANK:
            self.stripped += bool(original.get_item(tag).value)
            return DataElement(tag, vr, None)
        element = _readable(original, tag)
        if element is None or element.VR not in vr.split(" or "):
            return None
        if element.VR == "SQ":
            return DataElement(tag, vr, [self.cleaned(item) for item in element.value or []])
        if tag in _UIDS:
            return DataElement(tag, "UI", self._renamed(element.value))
        return element if _may_stay(tag, vr, element) else None

    def _renamed(self, uid: Any) -> str:
        """A UID by RFC 4122 under 2.25, the same for the same UID of the same case."""
        digest = hmac.new(self.salt, str(uid).strip().encode(), hashlib.sha256).digest()
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _readable(original: Any, tag: int) -> Any:
    """The element, or None: a value that cannot be read is not worth keeping."""
    with contextlib.suppress(Exception):
        return original[tag]
    return None


def _may_stay(tag: int, vr: str, element: Any) -> bool:
    from pydicom.uid import UID  # noqa: PLC0415 -- see `strip`

    if tag >> 16 == 0x7FE0:
        return tag in _KEPT
    if vr in _NUMBERS or (vr in _TABLES and tag >> 16 == 0x0028):
        return True
    if vr == "UI":
        return tag in _KEPT and UID(str(element.value)).type == "SOP Class"
    values = element.value if element.VM > 1 else [element.value]
    texts = ["" if value is None else str(value) for value in values]
    form = _WORDS.get(vr) or (_TEXT if tag in _KEPT else None)
    return form is not None and all(form.fullmatch(text) for text in texts)


# ---------------------------------------------------------------- the picture


def _facts(clean: Any, syntax: Any) -> dict[str, Any]:
    rows, columns = int(clean.get("Rows") or 0), int(clean.get("Columns") or 0)
    frames = int(clean.get("NumberOfFrames") or 1)
    pixels = next((clean[tag].value for tag in _PICTURES if tag in clean), None)
    if not pixels or rows < 1 or columns < 1 or frames < 1:
        raise ScanRefused(
            "holds no picture. Send the images themselves, without an index (DICOMDIR) or a report."
        )
    _refuse_short(clean, len(pixels), rows * columns * frames, frames, syntax.is_encapsulated)
    return {
        "modality": str(clean.get("Modality") or "OT").strip() or "OT",
        "rows": rows,
        "columns": columns,
        "frames": frames,
        "burned_in": str(clean.get("BurnedInAnnotation") or "").strip() == "YES",
    }


def _refuse_short(clean: Any, held: int, pixels: int, frames: int, packed: bool) -> None:
    samples, bits = int(clean.get("SamplesPerPixel") or 1), int(clean.get("BitsAllocated") or 8)
    declared = (pixels * samples * bits + 7) // 8
    if str(clean.get("PhotometricInterpretation")) == "YBR_FULL_422":
        declared = declared * 2 // 3  # two pixels share a colour
    if packed:
        declared = 8 * frames  # a packed frame has at least a header
    if held < declared:
        raise ScanRefused(f"stops after {held:,} of {declared:,} bytes of its picture. {_AGAIN}")


def _written(clean: Any, syntax: Any, implicit: bool) -> bytes:
    from pydicom import dcmwrite, uid  # noqa: PLC0415 -- see `strip`
    from pydicom.dataset import FileMetaDataset  # noqa: PLC0415 -- see `strip`

    if syntax.is_little_endian and not syntax.is_encapsulated:  # which it is was seen, not believed
        syntax = uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = "Only numbers and code words of the image are kept"
    clean.LongitudinalTemporalInformationModified = "REMOVED"
    clean.SOPClassUID = clean.get("SOPClassUID") or uid.SecondaryCaptureImageStorage
    clean.SOPInstanceUID = clean.get("SOPInstanceUID") or uid.generate_uid("2.25.")
    clean.file_meta = meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.ImplementationVersionName = "SCANPOST"
    out = io.BytesIO()
    dcmwrite(out, clean, enforce_file_format=True)
    return out.getvalue()
