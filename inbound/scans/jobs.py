"""What a mesh child is asked to do: plain bytes in, plain bytes and facts out.

Loaded once into the forkserver, so that a child costs a fork and not an import.
"""

import io
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, BinaryIO

import brotli

from inbound.scans import archive, glb, maps, tnef
from inbound.scans import dicom as _dicom
from inbound.scans import document as _document
from inbound.scans import photo as _photo
from inbound.scans.contacts import deviation
from inbound.scans.frame import Arch, case_frame
from inbound.scans.picture import Part, draw
from inbound.scans.prepare import prepare
from inbound.scans.relate import relate
from inbound.scans.roles import Role
from inbound.scans.sniff import Format
from inbound.scans.texture import baked
from store.model import SIDES

# How files that hold files are read: each module lists its members and extracts one.
_UNPACKERS: dict[str, Any] = {Format.ZIP: archive, Format.TNEF: tnef}
Job = Callable[[list[memoryview], list[BinaryIO], dict[str, Any]], dict[str, Any]]


def prepare_scan(
    inputs: list[memoryview], outputs: list[BinaryIO], arguments: dict[str, Any]
) -> dict[str, Any]:
    """One scan file, and the files beside it, into three levels for the browser and the reviewers' copy."""
    beside = dict(zip(arguments["beside"], inputs[1:], strict=True))
    prepared = prepare(
        inputs[0],
        Format(arguments["format"]),
        beside,
        arguments["preview"],
        arguments["mm_per_unit"],
    )
    packed = [wired(level) for level in (prepared.preview, prepared.medium, prepared.full)]
    for output, data in zip(outputs, (*packed, prepared.copy), strict=True):
        output.write(data)
    return {
        "report": {
            **prepared.report.to_json(),
            "colours": prepared.colours,
            "unit": prepared.unit,
            "stripped": prepared.stripped,
        },
        "arch": asdict(prepared.arch),
        "role": prepared.role_guess,
        "suffix": prepared.copy_suffix,
        "used": sorted(prepared.used),
    }


def prepare_photo(
    inputs: list[memoryview], outputs: list[BinaryIO], _arguments: dict[str, Any]
) -> dict[str, Any]:
    """A photo, upright and without what its camera wrote into it: reviewers' copy and preview."""
    photo = _photo.strip(inputs[0])
    outputs[0].write(photo.preview)
    outputs[1].write(photo.copy)
    shown = {"width": photo.width, "height": photo.height, "stripped": photo.stripped}
    return {"report": shown, "suffix": photo.suffix.removeprefix(".")}


def prepare_document(
    inputs: list[memoryview], outputs: list[BinaryIO], _arguments: dict[str, Any]
) -> dict[str, Any]:
    """A PDF without what its program wrote about its author."""
    document = _document.strip(inputs[0])
    outputs[0].write(document.copy)
    return {
        "report": {"pages": document.pages, "stripped": document.stripped},
        "suffix": "pdf",
    }


def prepare_volume(
    inputs: list[memoryview], outputs: list[BinaryIO], arguments: dict[str, Any]
) -> dict[str, Any]:
    """A DICOM file without the patient's identity."""
    volume = _dicom.strip(inputs[0], bytes.fromhex(arguments["salt"]))
    outputs[0].write(volume.copy)
    facts = asdict(volume)
    del facts["copy"]
    return {"report": facts, "suffix": "dcm"}


def list_members(
    inputs: list[memoryview], _outputs: list[BinaryIO], arguments: dict[str, Any]
) -> dict[str, Any]:
    """What is packed in a file, checked; `format` says how."""
    found = _UNPACKERS[arguments["format"]].members(_file(inputs[0]))
    return {"members": [{"name": m.name, "refused": m.refused} for m in found]}


def extract_member(
    inputs: list[memoryview], outputs: list[BinaryIO], arguments: dict[str, Any]
) -> dict[str, Any]:
    """One packed file, by its place in `list_members`."""
    unpacker = _UNPACKERS[arguments["format"]]
    member = unpacker.members(_file(inputs[0]))[arguments["place"]]
    return {"size": unpacker.extract(_file(inputs[0]), member, outputs[0])}


def draw_case(
    inputs: list[memoryview], outputs: list[BinaryIO], arguments: dict[str, Any]
) -> dict[str, Any]:
    """All pictures of a case, from a middling level of its scans, and how to hold the case."""
    roles = [Role(role) for role in arguments["roles"]]
    arches = [Arch(**arch) for arch in arguments["arches"]]
    frame = case_frame(list(zip(roles, arches, strict=True)))
    parts = [
        Part(role, baked(glb.unpack(unwired(level))))
        for role, level in zip(roles, inputs, strict=True)
    ]
    pictures = draw(parts, frame)
    drawn = (pictures.letter, pictures.poster, *(pictures.views[side] for side in SIDES))
    for output, picture in zip(outputs, drawn, strict=True):
        output.write(picture)
    return {"frame": {"up": frame.up, "front": frame.front}}


def relate_scans(
    inputs: list[memoryview], outputs: list[BinaryIO], arguments: dict[str, Any]
) -> dict[str, Any]:
    """How the scans of a case meet: numbers for the letter, and a map of distances for each full mesh."""
    roles = [Role(role) for role in arguments["roles"]]
    parts = [(role, glb.unpack(unwired(full))) for role, full in zip(roles, inputs, strict=True)]
    meetings, found = relate(parts)
    for output, values in zip(outputs, found, strict=True):
        output.write(wired(maps.pack(values)) if values is not None else b"")
    return {"meetings": [asdict(meeting) for meeting in meetings]}


def compare_versions(
    inputs: list[memoryview], outputs: list[BinaryIO], _arguments: dict[str, Any]
) -> dict[str, Any]:
    """What has changed from the second full mesh to the first; nothing where they are not of one thing."""
    new, old = (glb.unpack(unwired(full)) for full in inputs)
    found = deviation(new, old)
    if found is None:
        return {"comparable": False}
    outputs[0].write(wired(maps.pack(found.values)))
    facts = asdict(found)
    del facts["values"]
    return {"comparable": True, **facts, "moved": found.moved is not None}


def nothing(
    _inputs: list[memoryview], _outputs: list[BinaryIO], _arguments: dict[str, Any]
) -> dict[str, Any]:
    """Warms the forkserver."""
    return {}


def wired(level: bytes) -> bytes:
    """As it is stored and sent: packed once, for every visitor. (9 would save one byte in a hundred, and
    takes ten times as long.)
    """
    packed: bytes = brotli.compress(level, quality=5) if level else b""
    return packed


def unwired(data: memoryview | bytes) -> bytes:
    level: bytes = brotli.decompress(bytes(data))
    return level


def _file(data: memoryview) -> BinaryIO:
    return io.BufferedReader(_View(data))


class _View(io.RawIOBase):
    """A file over mapped memory, without a copy of it."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: len(self.data)}[whence]
        self.at = max(0, start + offset)
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: Any) -> int:
        piece = self.data[self.at : self.at + len(buffer)]
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


JOBS: dict[str, Job] = {
    job.__name__: job
    for job in (
        prepare_scan,
        prepare_photo,
        prepare_document,
        prepare_volume,
        list_members,
        extract_member,
        draw_case,
        relate_scans,
        compare_versions,
        nothing,
    )
}
