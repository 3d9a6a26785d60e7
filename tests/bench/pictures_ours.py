"""Our side of `picture-2x300k` ("letter") and `picture-all` ("all"): read, weld, frame, draw, pack."""

import sys
from pathlib import Path

from inbound.scans import picture, stl
from inbound.scans.frame import case_frame
from inbound.scans.roles import Role
from inbound.scans.weld import weld


def main(which: str, upper: str, lower: str) -> None:
    parts = [
        picture.Part(role, weld(stl.read(memoryview(Path(path).read_bytes()))))
        for role, path in ((Role.UPPER, upper), (Role.LOWER, lower))
    ]
    frame = case_frame([(part.role, part.mesh) for part in parts])
    if which == "letter":
        assert picture.letter(parts, frame)
    else:
        assert len(picture.draw(parts, frame).views) == 6


if __name__ == "__main__":
    main(*sys.argv[1:])
