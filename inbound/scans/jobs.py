"""What a mesh child is asked to do: plain bytes in, plain bytes and facts out.

Loaded once into the forkserver, so that a child costs a fork and not an import.
"""

import io
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, BinaryIO

from inbound.scans import archive, glb, tnef
from inbound.scans.frame import Arch, case_frame
from inbound.scans.picture import Part, triptych
from inbound.scans.prepare import prepare
from inbound.scans.roles import Role
from inbound.scans.sniff import Format

PICTURE = (1200, 675)
# How files that hold files are read: each module lists its members and extracts one.
_UNPACKERS: dict[str, Any] = {Format.ZIP: archive, Format.TNEF: tnef}
Job = Callable[[list[memoryview], list[BinaryIO], dict[str, Any]], dict[str, Any]]


def prepare_scan(
    inputs: list[memoryview], outputs: list[BinaryIO], arguments: dict[str, Any]
) -> dict[str, Any]:
    """One scan file into preview, full mesh and reviewers' copy."""
    prepared = prepare(inputs[0], Format(arguments["format"]))
    for output, data in zip(outputs, (prepared.preview, prepared.full, prepared.copy), strict=True):
        output.write(data)
    return {
        "report": {**prepared.report.to_json(), "colours": prepared.colours},
        "arch": asdict(prepared.arch),
        "role": prepared.role_guess,
        "suffix": prepared.copy_suffix,
    }


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
    """The letter's picture of a case, from the previews of its scans, and how to hold the case."""
    roles = [Role(role) for role in arguments["roles"]]
    arches = [Arch(**arch) for arch in arguments["arches"]]
    frame = case_frame(list(zip(roles, arches, strict=True)))
    parts = [
        Part(role, glb.unpack(bytes(preview))) for role, preview in zip(roles, inputs, strict=True)
    ]
    outputs[0].write(triptych(parts, frame, PICTURE))
    return {"frame": {"up": frame.up, "front": frame.front}}


def nothing(
    _inputs: list[memoryview], _outputs: list[BinaryIO], _arguments: dict[str, Any]
) -> dict[str, Any]:
    """Warms the forkserver."""
    return {}


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
    job.__name__: job for job in (prepare_scan, list_members, extract_member, draw_case, nothing)
}
