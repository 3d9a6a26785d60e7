"""A picture as a PNG for a mail: few colours, chosen so that a small blue crown keeps its blue, and few bytes.

PNG packs runs. Scanner noise makes none, so a pixel keeps the colour of its left neighbour wherever that is as
good as invisible (the sum of the three channels' errors stays within a tolerance).
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inbound.scans.mesh import Bytes

# Colours of the palette and tolerance, tried in turn until the picture is small enough. The last is where more
# thrift would begin to show as bands on smooth enamel, so a busy case may stay larger.
_STEPS = ((96, 6), (64, 9), (48, 12))


def png(image: Image.Image, wanted: int) -> bytes:
    """The PNG, of at most `wanted` bytes if good looks allow."""
    data = b""
    for tones, tolerance in _STEPS:
        data = _packed(image, tones, tolerance)
        if len(data) <= wanted:
            break
    return data


def _packed(image: Image.Image, tones: int, tolerance: int) -> bytes:
    few = image.quantize(palette=_palette(image, tones), dither=Image.Dither.NONE)
    colours = np.array(few.getpalette(), np.int16).reshape(-1, 3)
    steady = _steady(np.asarray(image).astype(np.int16), np.array(few), colours, tolerance)
    packed = Image.fromarray(steady)
    packed.putpalette(colours.astype(np.uint8).tobytes())
    out = io.BytesIO()
    packed.save(out, "PNG", optimize=True)
    return out.getvalue()


def _palette(image: Image.Image, tones: int) -> Image.Image:
    """A palette in which a colour weighs the root of its area, so that small things keep theirs."""
    coarse = np.asarray(image).reshape(-1, 3).astype(np.int32) >> 2
    keys = (coarse[:, 0] << 12) | (coarse[:, 1] << 6) | coarse[:, 2]
    area = np.bincount(keys, minlength=1 << 18)
    present = np.flatnonzero(area)
    weighed = np.repeat(present, np.ceil(np.sqrt(area[present])).astype(np.int64))
    channels = np.stack([weighed >> 12, (weighed >> 6) & 63, weighed & 63], axis=1)
    swatch = Image.fromarray((channels * 4 + 2).astype(np.uint8)[None])
    few = swatch.quantize(tones - 1, Image.Quantize.MEDIANCUT, kmeans=1)
    paper = np.asarray(image)[0, 0].tolist()  # exact, so that the picture has no edge on the page
    few.putpalette([*paper, *(few.getpalette() or [])[: 3 * (tones - 1)]])
    return few


def _steady(
    wanted: NDArray[np.int16], index: Bytes, colours: NDArray[np.int16], tolerance: int
) -> Bytes:
    """(h, w) palette indices with longer runs; column by column, all rows at once."""
    for column in range(1, index.shape[1]):
        left = index[:, column - 1]
        error = np.abs(wanted[:, column] - colours[left]).sum(axis=1)
        index[:, column] = np.where(error <= tolerance, left, index[:, column])
    return index
