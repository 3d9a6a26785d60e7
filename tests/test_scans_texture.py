"""Textures: decoded within bounds, written anew without a word, several on one sheet, baked into vertices."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from inbound.scans import texture
from inbound.scans.mesh import Mesh
from store.errors import ScanRefused

RED, BLUE = (250, 10, 10), (10, 10, 250)


def image(colour, size=(64, 32), kind="PNG", **more):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind, **more)
    return out.getvalue()


def halves(left, right, size=64):
    picture = Image.new("RGB", (size, size), left)
    picture.paste(right, (size // 2, 0, size, size))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def square(data, uvs):
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    return Mesh(vertices, np.array([[0, 1, 2]], np.int32), None, np.array(uvs, np.float32), data)


def huge_png(width, height):
    """A PNG that declares so many pixels in 60 bytes."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_one_image_fills_the_sheet_and_keeps_its_colour(kind):
    sheet = texture.sheet([image(RED, kind=kind)])
    assert sheet.places.tolist() == [[0, 0, 1, 1]]
    assert opened(sheet.data).size == (64, 32)
    assert np.allclose(np.asarray(opened(sheet.data)), RED, atol=8)


def test_nothing_but_pixels_is_written():
    words = PngImagePlugin.PngInfo()
    words.add_text("Author", "Jane Doe")
    exif = Image.Exif()
    exif[0x010F] = "Jane Doe Scanner"
    for data in (
        image(RED, pnginfo=words),
        image(RED, kind="JPEG", comment=b"Jane Doe", exif=exif, icc_profile=b"Jane Doe profile"),
        image(RED, kind="WEBP", exif=exif, xmp=b"<x>Jane Doe</x>"),
    ):
        assert b"Jane" in data
        sheet = texture.sheet([data])
        assert b"Jane" not in sheet.data
        assert set(opened(sheet.data).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_large_image_becomes_4096_pixels_a_side():
    sheet = texture.sheet([image(RED, (8192, 1024), "JPEG")])
    assert opened(sheet.data).size == (4096, 512)


def test_several_images_and_plain_colours_share_one_sheet_and_each_spot_keeps_its_colour():
    parts = [image(RED), image(BLUE, (20, 50)), (20, 200, 20)]
    sheet = texture.sheet(parts)
    cells = np.array([0, 0, 1, 1, 2])
    uvs = np.array([[0, 0], [1, 1], [0, 1], [1, 0], [0.5, 0.5]], np.float32)
    placed = texture.onto(sheet, uvs, cells)
    pixels = np.asarray(opened(sheet.data))
    spots = (placed * [pixels.shape[1], pixels.shape[0]]).astype(int)
    found = pixels[spots[:, 1], spots[:, 0]]
    assert np.allclose(found, [RED, RED, BLUE, BLUE, (20, 200, 20)], atol=25)


def test_what_is_no_image_is_no_texture():
    assert texture.sheet([b"no image"]) is None
    assert texture.sheet([image(RED)[:40], RED]) is None
    assert texture.sheet([]) is None
    gif = io.BytesIO()
    Image.new("RGB", (4, 4)).save(gif, "GIF")
    assert texture.sheet([gif.getvalue()]) is None


@pytest.mark.parametrize("size", [(30_000, 30_000), (65_535, 65_535), (2**31 - 1, 1)])
def test_more_pixels_than_any_scanners_are_refused_before_they_are_decoded(size):
    with pytest.raises(ScanRefused, match="texture of more pixels"):
        texture.sheet([huge_png(*size)])


def test_the_pixels_of_all_images_are_bounded_too():
    data = image(RED, (8_000, 8_000), "JPEG", quality=1)
    with pytest.raises(ScanRefused, match="texture of more pixels"):
        texture.sheet([data] * 6)
    with pytest.raises(ScanRefused, match="has 65 textures"):
        texture.sheet([image(RED)] * 65)


def test_baking_puts_the_image_on_the_vertices():
    mesh = texture.baked(square(halves(RED, BLUE), [[0.1, 0.5], [0.9, 0.5], [1, 1]]))
    assert mesh.colours.tolist() == [list(RED), list(BLUE), list(BLUE)]
    assert (mesh.uvs, mesh.texture) == (None, None)


def test_beyond_its_edges_an_image_is_repeated():
    mesh = texture.baked(square(halves(RED, BLUE), [[1.1, 7.5], [-0.1, -3.2], [-0.9, 0]]))
    assert mesh.colours.tolist() == [list(RED), list(BLUE), list(RED)]


def test_a_mesh_without_texture_is_returned_as_it_is():
    mesh = Mesh(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32))
    assert texture.baked(mesh) is mesh


def test_places_that_are_no_numbers_are_put_into_the_corner():
    sheet = texture.sheet([image(RED)])
    uvs = np.array([[np.nan, 0.5], [np.inf, -np.inf]], np.float32)
    assert texture.onto(sheet, uvs, np.zeros(2, np.int64)).tolist() == [[0, 0.5], [0, 0]]
