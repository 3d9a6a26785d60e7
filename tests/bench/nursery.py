"""The forkserver's load for `answer-45mb`: the product's, and a job that only reads and welds."""

from typing import Any, BinaryIO

import inbound.scans.nursery  # noqa: F401
from inbound.scans import stl
from inbound.scans.jobs import JOBS
from inbound.scans.weld import weld


def weld_scan(
    inputs: list[memoryview], outputs: list[BinaryIO], _arguments: dict[str, Any]
) -> dict[str, Any]:
    mesh = weld(stl.read(inputs[0]))
    outputs[0].write(mesh.vertices.tobytes())
    outputs[0].write(mesh.faces.tobytes())
    return {"triangles": len(mesh.faces)}


JOBS["weld_scan"] = weld_scan
