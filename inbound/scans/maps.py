"""One value for each vertex on its way to the viewer: distances, changes.

The wire format, which viewer code reads as well: no header; for each vertex, in the order of the mesh, one signed
16-bit integer, lower byte first. -32768 is "no value"; anything else is micrometres, from -32767 to 32767. So a map
has two bytes a vertex, and its length says for how many vertices it is. Values farther than 32.767 mm from 0 stand
at that limit.
"""

import numpy as np

from inbound.scans.mesh import Floats

NONE = -32768
_STEP = 0.001  # mm
_LIMIT = 32767


def pack(values: Floats) -> bytes:
    """(n,) mm, NaN for none, as 2n bytes."""
    steps = np.rint(values.astype(np.float64) / _STEP).clip(-_LIMIT, _LIMIT)
    return np.where(np.isnan(steps), NONE, steps).astype("<i2").tobytes()


def unpack(data: bytes) -> Floats:
    """(n,) float32 mm, NaN for none; the reverse of `pack` to within half a micrometre."""
    steps = np.frombuffer(data, "<i2")
    return np.where(steps == NONE, np.nan, steps * _STEP).astype(np.float32)
