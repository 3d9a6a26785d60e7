"""The letter's picture: a case in three views, as a PNG small enough to travel in a mail.

Above, the jaws in occlusion from the front; below, the upper and the lower jaw from their biting sides, both with
the patient's right on the left, as on a tooth chart. A single scan is shown from the front, from its biting side
and from behind (from the tongue's side), for its underside says nothing. All three have one scale, and one bar
of 10 mm says which.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inbound.scans import light, raster
from inbound.scans.frame import Frame
from inbound.scans.mesh import Floats, Mesh
from inbound.scans.png import png
from inbound.scans.roles import Role

_PAPER, _INK = (0xF3, 0xF1, 0xEC), (0x14, 0x20, 0x2B)
_STONE, _DESIGN, _BITE = (0xE3, 0xDA, 0xCB), (0x7F, 0xB3, 0xD5), (0x9A, 0xA5, 0xB1)
_OF_ROLE = {Role.DESIGN: _DESIGN, Role.WAXUP: _DESIGN, Role.BITE: _BITE, Role.SCANBODY: _BITE}
_GAP = 0.028  # of the picture's width, around each view
_FINE = 2  # samples a pixel, each way
_WANTED = 60_000  # bytes of the PNG


@dataclass(frozen=True)
class Part:
    """A scan of the case and what it is."""

    role: Role
    mesh: Mesh


@dataclass(frozen=True)
class _Scene:
    """What is seen together, in the viewer's axes (mm): one mesh, its colours and normals."""

    points: Floats
    faces: NDArray[np.int32]
    front: Floats
    back: Floats

    @property
    def size(self) -> Floats:
        size: Floats = np.ptp(self.points, axis=0)
        return size


def triptych(parts: Sequence[Part], frame: Frame, size: tuple[int, int] = (1200, 675)) -> bytes:
    """A PNG of the case.

    Args:
        parts: the scans, in shared coordinates, at preview detail.
        frame: how to hold them.
        size: width and height in pixels.
    """
    above, left, right = [_scene(shown, turn) for shown, turn in _views(parts, frame)]
    scale = _scale(above, left, right, size)
    gap = _GAP * size[0]
    picture = np.empty((size[1], size[0], 3), np.uint8)
    picture[:] = _PAPER
    _place(picture, above, scale, (size[0] / 2, gap + above.size[1] * scale / 2))
    low = size[1] - gap - max(left.size[1], right.size[1]) * scale / 2
    room = (size[0] - (left.size[0] + right.size[0]) * scale) / 3
    _place(picture, left, scale, (room + left.size[0] * scale / 2, low))
    _place(picture, right, scale, (size[0] - room - right.size[0] * scale / 2, low))
    return png(_with_bar(picture, scale), _WANTED)


def _views(parts: Sequence[Part], frame: Frame) -> list[tuple[list[Part], Floats]]:
    """Three times what is seen, and the rows right, up, towards the viewer."""
    shown = _without_bites(parts)
    up, front = np.array(frame.up, np.float32), np.array(frame.front, np.float32)
    left = np.cross(up, front)  # the patient's left, on the right of whoever faces him
    from_front, from_behind = np.stack([left, up, front]), np.stack([-left, up, -front])
    from_below, from_above = np.stack([left, front, -up]), np.stack([left, -front, up])
    upper, lower = _jaws(shown)
    if upper and lower:
        return [(shown, from_front), (upper, from_below), (lower, from_above)]
    biting = from_below if upper else from_above
    return [(shown, from_front), (shown, biting), (shown, from_behind)]


def _without_bites(parts: Sequence[Part]) -> list[Part]:
    """A bite scan covers the teeth from the front, so it is drawn only where there is nothing else."""
    return [part for part in parts if part.role is not Role.BITE] or list(parts)


def _jaws(parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """The upper jaw and the lower one, each with the designs that are nearer to it."""
    upper = [part for part in parts if part.role is Role.UPPER]
    lower = [part for part in parts if part.role is Role.LOWER]
    if not upper or not lower:
        return upper, lower
    for part in parts:
        if part.role not in (Role.UPPER, Role.LOWER):
            nearer = _distance(part, upper) < _distance(part, lower)
            (upper if nearer else lower).append(part)
    return upper, lower


def _distance(part: Part, jaw: list[Part]) -> float:
    """Mm from a part to the nearest surface of a jaw, in the mean."""
    near = np.concatenate([other.mesh.vertices[::20] for other in jaw])
    own = part.mesh.vertices[:: max(1, len(part.mesh.vertices) // 100)]
    return float(np.linalg.norm(own[:, None] - near[None], axis=2).min(axis=1).mean())


def _scene(parts: list[Part], turn: Floats) -> _Scene:
    normals = [light.vertex_normals(part.mesh) for part in parts]
    crease = [light.relief(part.mesh, own) for part, own in zip(parts, normals, strict=True)]
    points = np.concatenate([part.mesh.vertices for part in parts]) @ turn.T
    turned = np.concatenate(normals) @ turn.T
    offsets = np.cumsum([0, *(len(part.mesh.vertices) for part in parts[:-1])])
    faces = [part.mesh.faces + np.int32(o) for part, o in zip(parts, offsets, strict=True)]
    albedo = np.concatenate([_albedo(part) for part in parts])
    sky = light.openness(points, turned)
    front = light.lit(albedo, turned, sky, np.concatenate(crease))
    return _Scene(points, np.concatenate(faces), front, light.inside(turned))


def _albedo(part: Part) -> Floats:
    if part.mesh.colours is not None:
        return light.linear(part.mesh.colours)
    plain = np.array([_OF_ROLE.get(part.role, _STONE)], np.uint8)
    return np.repeat(light.linear(plain), len(part.mesh.vertices), axis=0)


def _scale(above: _Scene, left: _Scene, right: _Scene, size: tuple[int, int]) -> float:
    """Pixels a millimetre, the same for all three views."""
    gap = _GAP * size[0]
    high = above.size[1] + max(left.size[1], right.size[1])
    wide = left.size[0] + right.size[0]
    return float(
        min(
            (size[1] - 3 * gap) / max(high, 1e-6),
            (size[0] - 3 * gap) / max(wide, 1e-6),
            (size[0] - 2 * gap) / max(above.size[0], 1e-6),
        )
    )


def _place(
    picture: NDArray[np.uint8], scene: _Scene, scale: float, middle: tuple[float, float]
) -> None:
    """Draw a scene with its middle at a point of the picture, over what is there."""
    width, height = (int(np.ceil(side * scale)) + 2 for side in scene.size[:2])
    drawn, share = _drawn(scene, scale, width, height)
    x, y = round(middle[0] - width / 2), round(middle[1] - height / 2)
    seen = picture[max(y, 0) : y + height, max(x, 0) : x + width]
    drawn, share = drawn[max(-y, 0) :, max(-x, 0) :], share[max(-y, 0) :, max(-x, 0) :]
    drawn, share = drawn[: seen.shape[0], : seen.shape[1]], share[: seen.shape[0], : seen.shape[1]]
    seen[:] = light.encoded(drawn + light.linear(seen) * (1 - share))


def _drawn(scene: _Scene, scale: float, width: int, height: int) -> tuple[Floats, Floats]:
    """(h, w, 3) linear colour times coverage, and (h, w, 1) coverage, 0 to 1."""
    fine = np.float32(scale * _FINE)
    across, down = width * _FINE, height * _FINE
    centre = (scene.points.min(axis=0) + scene.points.max(axis=0)) / 2
    screen = (scene.points - centre) * np.array([fine, -fine, fine], np.float32)
    screen[:, :2] += np.array([across / 2, down / 2], np.float32)
    hits = raster.cover(screen, scene.faces, across, down)
    samples = np.zeros((down * across, 4), np.float32)
    samples[hits.samples, :3] = _colour(scene, hits)
    samples[hits.samples, 3] = 1
    pixels = samples.reshape(height, _FINE, width, _FINE, 4).mean(axis=(1, 3))
    return pixels[..., :3], pixels[..., 3:]


def _colour(scene: _Scene, hits: raster.Hits) -> Floats:
    """(k, 3) linear colour of each sample."""
    corners = scene.faces[hits.triangles]
    colour = sum(
        (scene.front[corners[:, c]] * hits.weights[:, c, None] for c in range(3)),
        np.zeros((len(corners), 3), np.float32),
    )
    colour[hits.turned] = scene.back[corners[hits.turned, 0]]
    return np.minimum(colour, 1)


def _with_bar(picture: NDArray[np.uint8], scale: float) -> Image.Image:
    """The picture with its 10 mm bar in the upper left corner, where no view reaches."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    unit = picture.shape[1] / 1200
    x, y, end = 34 * unit, 56 * unit, 34 * unit + 10 * scale
    stroke = max(1, round(2 * unit))
    draw.line([(x, y), (end, y)], fill=_INK, width=stroke)
    for tick in (x, end):
        draw.line([(tick, y - 6 * unit), (tick, y + 6 * unit)], fill=_INK, width=stroke)
    font = ImageFont.load_default(size=22 * unit)
    draw.text(((x + end) / 2, y - 12 * unit), "10 mm", fill=_INK, font=font, anchor="ms")
    return image
