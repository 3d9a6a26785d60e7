"""The curve between the bytes that a scanner writes and the light that they stand for (IEC 61966-2-1)."""

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import Bytes


def _light() -> NDArray[np.float64]:
    share = np.arange(256) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


LIGHT = _light()  # (256,) the light of each byte, 0 to 1


def as_bytes(light: NDArray[np.floating]) -> Bytes:
    """Light, 0 to 1, as bytes; what lies outside is cut off."""
    share = np.clip(light, 0, 1)
    curved = np.where(share <= 0.0031308, share * 12.92, 1.055 * share ** (1 / 2.4) - 0.055)
    found: Bytes = np.rint(curved * 255).astype(np.uint8)
    return found
