"""From the bytes of one scan to all that its case needs: the order of things, read this first.

Read, keep a stripped copy for reviewers, weld, examine, find the jaw's frame, pack for the browser. Runs in a
child process with limits; it opens nothing and knows no names but those of the files beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from inbound.scans import frame as frames
from inbound.scans import glb
from inbound.scans.check import Report, examine
from inbound.scans.levels import MEDIUM, PREVIEW, simplify
from inbound.scans.mesh import Mesh, in_plain_words
from inbound.scans.read import read, write
from inbound.scans.roles import Role
from inbound.scans.sniff import Format
from inbound.scans.texture import baked
from inbound.scans.weld import weld


@dataclass(frozen=True)
class Prepared:
    """What came of one scan.

    Attributes:
        report: facts of its surface.
        colours: whether it has its own.
        arch: what its shape says; `frame.case_frame` joins those of a case.
        role_guess: UPPER or LOWER where its shape and place are clear, for scans whose name says nothing.
        unit: what the file itself declares; empty where its format has no word for it.
        preview: GLB of at most so many triangles as were asked for.
        medium: GLB of at most 200,000 triangles for small devices; empty where the full one is not much heavier.
        full: GLB of all of them.
        copy: the file for reviewers, in the format it came in: every triangle and every float32 coordinate in
            the original order, and nothing else that could name a person, a device or a program.
        copy_suffix: "stl", "ply", …
        stripped: how many notes that could the copy leaves behind.
        used: names of the files beside it that are part of it.
    """

    report: Report
    colours: bool
    arch: frames.Arch
    role_guess: Role | None
    unit: str
    preview: bytes
    medium: bytes
    full: bytes
    copy: bytes
    copy_suffix: str
    stripped: int
    used: frozenset[str]

    @property
    def frame(self) -> frames.Frame:
        """How to hold the scan when it is alone in its case."""
        return frames.jaw_frame(self.arch, self.role_guess)


def prepare(
    data: memoryview,
    kind: Format,
    beside: Mapping[str, memoryview] | None = None,
    preview: int = PREVIEW,
    mm_per_unit: float = 1.0,
) -> Prepared:
    """All that a case needs of one scan.

    Args:
        beside: files that came with it: materials and textures, by name.
        preview: triangles of the first look, less where a case has many parts.
        mm_per_unit: what one of the file's units measures, where its owner was asked.

    Raises:
        ScanRefused: it cannot be used; the sentence begins with its verb, for a file's name to stand before.
    """
    with in_plain_words(kind.value):
        found = read(data, kind, beside or {})
    mesh = _scaled(found.mesh, mm_per_unit)
    copy, suffix = write(mesh, kind)
    # The triangles as read are let go here, before the largest arrays are made.
    mesh = weld(mesh)
    found = replace(found, mesh=mesh)
    surface = _surface(mesh)
    report, arch = examine(surface), frames.arch(surface)
    plain = baked(mesh)
    full, medium, first = _levels(mesh, plain, preview)
    return Prepared(
        report=report,
        colours=plain.colours is not None,
        arch=arch,
        role_guess=frames.guess_role(arch)[0],
        unit=found.unit,
        preview=first,
        medium=medium,
        full=full,
        copy=copy,
        copy_suffix=suffix,
        stripped=found.stripped,
        used=found.used,
    )


_WORTH = 1.6  # times as many triangles, before a level between is worth its making


def _scaled(mesh: Mesh, factor: float) -> Mesh:
    if factor == 1.0:
        return mesh
    return replace(mesh, vertices=(mesh.vertices * np.float64(factor)).astype(np.float32))


def _surface(mesh: Mesh) -> Mesh:
    """The shape alone: a seam of the texture or of the colours is no edge of the surface."""
    if mesh.uvs is None and mesh.colours is None:
        return mesh
    return weld(Mesh(mesh.vertices, mesh.faces))


def _levels(mesh: Mesh, plain: Mesh, preview: int) -> tuple[bytes, bytes, bytes]:
    """GLBs: full, medium, preview; the lighter ones are made of one another, as each costs less so."""
    full = glb.pack(mesh)
    lighter = simplify(plain, MEDIUM) if len(plain.faces) > _WORTH * MEDIUM else plain
    medium = b"" if lighter is plain else glb.pack(lighter, glb.LOOKED_AT)
    return full, medium, glb.pack(simplify(lighter, preview), glb.LOOKED_AT)
