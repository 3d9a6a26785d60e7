"""From the bytes of one scan to all that its case needs: the order of things, read this first.

Read, keep a stripped copy for reviewers, weld, examine, find the jaw's frame, pack for the browser. Runs in a
child process with limits; it opens nothing and knows no names.
"""

from collections.abc import Callable
from dataclasses import dataclass

from inbound.scans import frame as frames
from inbound.scans import glb, obj, ply, stl
from inbound.scans.check import Report, examine
from inbound.scans.levels import simplify
from inbound.scans.mesh import Mesh, in_plain_words
from inbound.scans.roles import Role
from inbound.scans.sniff import Format
from inbound.scans.weld import weld
from store.errors import ScanRefused


@dataclass(frozen=True)
class Prepared:
    """What came of one scan.

    Attributes:
        report: facts of its surface.
        colours: whether it has its own.
        arch: what its shape says; `frame.case_frame` joins those of a case.
        role_guess: UPPER or LOWER where its shape and place are clear, for scans whose name says nothing.
        preview: GLB of at most 50,000 triangles.
        full: GLB of all of them.
        copy: the file for reviewers, in the format it came in: every triangle and every float32 coordinate in
            the original order, and nothing else that could name a person, a device or a program.
        copy_suffix: "stl", "ply" or "obj".
    """

    report: Report
    colours: bool
    arch: frames.Arch
    role_guess: Role | None
    preview: bytes
    full: bytes
    copy: bytes
    copy_suffix: str

    @property
    def frame(self) -> frames.Frame:
        """How to hold the scan when it is alone in its case."""
        return frames.jaw_frame(self.arch, self.role_guess)


def _stl_copy(mesh: Mesh) -> bytes:
    return stl.write(mesh.vertices[mesh.faces])


_READERS: dict[Format, tuple[Callable[[memoryview], Mesh], Callable[[Mesh], bytes], str]] = {
    Format.STL: (stl.read, _stl_copy, "stl"),
    Format.PLY: (ply.read, ply.write, "ply"),
    Format.OBJ: (obj.read, obj.write, "obj"),
}


def prepare(data: memoryview, kind: Format) -> Prepared:
    """All that a case needs of one scan.

    Raises:
        ScanRefused: it cannot be used; the sentence begins with its verb, for a file's name to stand before.
    """
    if kind not in _READERS:
        raise ScanRefused("is no scan. Send STL, PLY or OBJ.")
    read, write, suffix = _READERS[kind]
    with in_plain_words(kind.value):
        mesh = read(data)
        copy = write(mesh)
        mesh = weld(
            mesh
        )  # the triangles as read are let go here, before the largest arrays are made
        report = examine(mesh)
        arch = frames.arch(mesh)
        full = glb.pack(mesh)
        preview = glb.pack(simplify(mesh))
    return Prepared(
        report=report,
        colours=mesh.colours is not None,
        arch=arch,
        role_guess=frames.guess_role(arch)[0],
        preview=preview,
        full=full,
        copy=copy,
        copy_suffix=suffix,
    )
