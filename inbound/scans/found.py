"""What a reader found in a scan, beside the surface itself."""

from dataclasses import dataclass

from inbound.scans.mesh import Mesh


@dataclass(frozen=True)
class Found:
    """A scan as read.

    Attributes:
        mesh: not yet welded; in millimetres where the format or the file declares its unit.
        unit: what the file declares: "mm", "cm", "inch", "m", "micron", "foot"; "" where it declares none.
        stripped: how many notes that could name a person, a device or a program the copy leaves behind.
        used: names of the files beside it that belong to it (materials, images, buffers).
    """

    mesh: Mesh
    unit: str = ""
    stripped: int = 0
    used: frozenset[str] = frozenset()
