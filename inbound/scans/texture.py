"""Textures: images decoded within limits and written anew as one JPEG, without a word beside the pixels.

Several images become one, in cells of equal size; a plain colour among them gets a cell too. What is no image, or
of a kind not read here, counts as no texture: the scan is shown in plain colours.
"""

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from inbound.scans.mesh import Bytes, Floats, Ints, Mesh, Wide
from store.errors import ScanRefused

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST = 4096  # pixels a side of what is kept
MOST_PIXELS = 80_000_000  # of one image; a scanner's largest is 8192 x 8192
_MOST_PIXELS_IN_ALL = 4 * MOST_PIXELS
_MOST_IMAGES = 64
_BLOCK = 8  # pixels a side of what JPEG packs together
_KINDS = ("JPEG", "PNG", "WEBP", "BMP")
_QUALITY = 90

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Sheet:
    """One image for all.

    Attributes:
        data: a JPEG of at most 4096 pixels a side.
        places: (k, 4) float32: left, top, width and height of each image, as shares of the sheet.
    """

    data: bytes
    places: Floats


def sheet(images: Sequence[bytes | memoryview | Colour]) -> Sheet | None:
    """All images and plain colours on one sheet; None where not one of them is an image that can be read.

    Raises:
        ScanRefused: an image, or all together, have more pixels than any scanner's.
    """
    if len(images) > _MOST_IMAGES:
        raise ScanRefused(
            f"has {len(images):,} textures; up to {_MOST_IMAGES} are read. Export it with one."
        )
    columns = math.ceil(math.sqrt(len(images)))
    opened = _opened(images, LARGEST // max(columns, 1))
    if all(isinstance(image, tuple) for image in opened):
        return None
    if len(opened) == 1 and not isinstance(opened[0], tuple):
        return Sheet(_encoded(opened[0]), np.array([[0, 0, 1, 1]], np.float32))
    return _tiled(opened, columns)


def onto(sheet: Sheet, uvs: Floats, cells: Ints | Wide) -> Floats:
    """(n, 2) places on single images moved to where the images lie; `cells` (n,) says which image each is on."""
    uvs = np.nan_to_num(uvs, nan=0, posinf=0, neginf=0)
    if len(sheet.places) == 1:
        return uvs
    places = sheet.places[cells]
    return (places[:, :2] + _wrapped(uvs) * places[:, 2:]).astype(np.float32)


def baked(mesh: Mesh) -> Mesh:
    """The mesh with its texture's colours on its vertices, for previews and pictures; without one, as it is."""
    if mesh.texture is None or mesh.uvs is None:
        return mesh
    from PIL import Image  # noqa: PLC0415 -- 40 ms that scans without texture need not wait

    with Image.open(io.BytesIO(mesh.texture)) as image:
        pixels = np.asarray(image.convert("RGB"))
    size = np.array([pixels.shape[1], pixels.shape[0]])
    spots = np.minimum((_wrapped(mesh.uvs) * size).astype(np.int64), size - 1)
    colours: Bytes = pixels[spots[:, 1], spots[:, 0]]
    return replace(mesh, colours=colours, uvs=None, texture=None)


def _wrapped(uvs: Floats) -> Floats:
    """Beyond its edges an image is repeated; the edges themselves are on it."""
    outside = (uvs < 0) | (uvs > 1)
    return np.where(outside, uvs - np.floor(uvs), uvs)


def _opened(images: Sequence[bytes | memoryview | Colour], largest: int) -> list["Image | Colour"]:
    opened: list[Image | Colour] = []
    left = _MOST_PIXELS_IN_ALL
    for image in images:
        if isinstance(image, tuple):
            opened.append(image)
            continue
        found, pixels = _decoded(image, largest, left)
        left -= pixels
        opened.append(found or (255, 255, 255))
    return opened


def _decoded(data: bytes | memoryview, largest: int, left: int) -> "tuple[Image | None, int]":
    """An image at most so many pixels a side, and how many pixels it had; None if it is none."""
    from PIL import Image  # noqa: PLC0415 -- 40 ms that scans without texture need not wait

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=_KINDS) as image:
                pixels = image.width * image.height
                if pixels > left:
                    raise Image.DecompressionBombError  # noqa: TRY301 -- one sentence for both
                image.thumbnail((largest, largest))  # a large JPEG is decoded small at once
                return image.convert("RGB"), pixels
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise ScanRefused(
                "has a texture of more pixels than are read. Export it with a texture of 4096 by 4096."
            ) from error
        except Exception:  # noqa: BLE001 -- a codec's many errors all mean: no texture
            return None, 0


def _tiled(images: "list[Image | Colour]", columns: int) -> Sheet:
    from PIL import Image  # noqa: PLC0415 -- 40 ms that scans without texture need not wait

    # Cells of whole JPEG blocks, each filled by its image: no neighbour's colours bleed in.
    largest = max(_BLOCK if isinstance(image, tuple) else max(image.size) for image in images)
    cell = min(-(-largest // _BLOCK) * _BLOCK, LARGEST // columns // _BLOCK * _BLOCK)
    canvas = Image.new("RGB", (columns * cell, math.ceil(len(images) / columns) * cell))
    places = np.empty((len(images), 4), np.float32)
    for number, image in enumerate(images):
        x, y = number % columns * cell, number // columns * cell
        if isinstance(image, tuple):
            canvas.paste(image, (x, y, x + cell, y + cell))
        else:
            canvas.paste(image.resize((cell, cell)), (x, y))
        # Half a pixel inside, where a browser's filter finds this image alone.
        places[number] = x + 0.5, y + 0.5, cell - 1, cell - 1
    places /= np.array([canvas.width, canvas.height] * 2, np.float32)
    return Sheet(_encoded(canvas), places)


def _encoded(image: "Image") -> bytes:
    out = io.BytesIO()
    image.info.clear()  # Pillow would write a comment or a colour profile of the original
    image.save(out, "JPEG", quality=_QUALITY, subsampling=0)  # gum meets tooth sharply
    return out.getvalue()
