"""Jaws that nobody has: the generated scans of the demo, the tests and the benchmarks.

A jaw is a gum ridge along an arch with 14 crowns on it, from second molar to second molar, with cusps, fissures,
an uneven open edge, one small hole, two patches of scan debris, scanner noise and colours. Upper and lower come in
occlusion, in millimetres, z up, the front along +y. One seed gives the same jaw for ever.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inbound.scans import obj, ply
from inbound.scans.check import face_normals
from inbound.scans.mesh import Bytes, Floats, Mesh, Wide
from inbound.scans.stl import TRIANGLE

Array = NDArray[np.float64]

# From the midline backwards: width along the arch, width across it, crown height (mm), and rows of cusps.
_HALF = [
    (8.4, 6.4, 9.6, 1),
    (6.8, 5.8, 8.8, 1),
    (7.7, 7.6, 9.8, 1),
    (7.0, 8.8, 7.9, 2),
    (6.8, 8.8, 7.4, 2),
    (10.4, 10.6, 7.0, 2),
    (9.9, 10.3, 6.6, 2),
]
_CREST, _WALL = (
    0.34,
    0.64,
)  # where, across the ridge, a crown's top ends and where its wall meets the gum
_MARGIN = 5.0  # mm of gum behind the last molar
_ENAMEL, _DENTINE, _GUM = (
    np.array([236, 226, 203]),
    np.array([222, 200, 158]),
    np.array([217, 139, 134]),
)
_NOISE = 0.008  # mm, a scanner's
_FIRST_MOLAR = 12  # of the 14 crowns, counted from the patient's one end to the other


@dataclass(frozen=True)
class _Crowns:
    """The 14 crowns in a row: (14,) sizes in mm, and where on the arch each begins and ends (15,)."""

    width: Array
    across: Array
    height: Array
    cusps: Array
    edges: Array

    @property
    def length(self) -> float:
        return float(self.edges[-1]) + _MARGIN


@dataclass(frozen=True)
class _Grid:
    """Where each vertex lies: `along` the arch in mm, `across` it from -1 (tongue) to 1 (cheek)."""

    u: Array
    v: Array
    along: Array

    @property
    def across(self) -> Array:
        return 2 * self.v - 1


@dataclass(frozen=True)
class _Place:
    """Each vertex on its crown: `pos` -1..1 from one neighbour to the other, `on` 1 on it, 0 between."""

    crown: Wide
    pos: Array
    on: Array


def make_jaw(triangles: int = 150_000, jaw: str = "upper", seed: int = 1) -> Mesh:
    """A jaw of about `triangles`; `jaw` is "upper" or "lower"."""
    random = np.random.default_rng([seed, int(jaw == "upper"), 7])
    crowns = _crowns(jaw)
    grid = _grid(random, triangles, crowns.length)
    place = _place(grid, crowns)
    points = _surface(random, grid, place, crowns, jaw)
    points = points + random.normal(0, _NOISE, points.shape)
    faces = _faces(random, grid, jaw)
    mesh = Mesh(
        points.reshape(-1, 3).astype(np.float32),
        faces.astype(np.int32),
        _colours(random, grid, place),
    )
    return _without_loose_vertices(_with_debris(random, mesh))


def make_crown(triangles: int = 12_000, seed: int = 1) -> Mesh:
    """A closed cap over the first lower molar, in the coordinates of `make_jaw(..., "lower")`; no colours."""
    crowns = _crowns("lower")
    rows = max(8, int(np.sqrt(triangles / 4)))
    middle = (crowns.edges[_FIRST_MOLAR] + crowns.edges[_FIRST_MOLAR + 1]) / 2
    half = crowns.width[_FIRST_MOLAR] / 2 * 0.96
    outside = _cap(seed, crowns, middle, half, rows)
    inside = outside * 1.0
    inside[:, 2] -= 0.9 + 0.5 * (outside[:, 2] - outside[:, 2].min()) / np.ptp(outside[:, 2])
    return _closed(outside, inside, rows)


def make_bite(triangles: int = 30_000, seed: int = 1) -> Mesh:
    """A scan of both jaws from the left cheek, from the canine backwards, in occlusion."""
    parts = [_cheek_side(make_jaw(4 * triangles, jaw, seed)) for jaw in ("upper", "lower")]
    upper, lower = parts
    return Mesh(
        np.concatenate([upper.vertices, lower.vertices]),
        np.concatenate([upper.faces, lower.faces + np.int32(len(upper.vertices))]),
    )


def stl_bytes(mesh: Mesh, header: bytes = b"generated jaw") -> bytes:
    """A binary STL with unit normals."""
    records = np.zeros(len(mesh.faces), TRIANGLE)
    records["normal"], records["corners"] = _unit_normals(mesh), mesh.vertices[mesh.faces]
    start = header[:80].ljust(80, b" ") + len(records).to_bytes(4, "little")
    return start + records.tobytes()


def ascii_stl_bytes(mesh: Mesh, name: str = "jaw") -> bytes:
    """A text STL."""
    facet = (
        "facet normal %.6e %.6e %.6e\n  outer loop\n"
        + "    vertex %.9g %.9g %.9g\n" * 3
        + "  endloop\nendfacet\n"
    )
    rows = np.hstack([_unit_normals(mesh), mesh.vertices[mesh.faces].reshape(-1, 9)])
    body = (facet * len(rows)) % tuple(rows.astype(np.float64).ravel().tolist())
    return f"solid {name}\n{body}endsolid {name}\n".encode()


def ply_bytes(mesh: Mesh, comment: str = "generated jaw") -> bytes:
    """A binary PLY with the colours of the mesh."""
    return ply.write(mesh).replace(b"1.0\n", b"1.0\ncomment " + comment.encode() + b"\n", 1)


def obj_bytes(mesh: Mesh, name: str = "jaw") -> bytes:
    """An OBJ with colours on its `v` lines."""
    return f"# generated\no {name}\n".encode() + obj.write(mesh)


def _crowns(jaw: str) -> _Crowns:
    width, across, height, cusps = np.array(_HALF[::-1] + _HALF, dtype=float).T
    if jaw == "lower":
        # Lower incisors are narrow; all else is a little wider then, so that molars meet their partners.
        incisor = (cusps == 1) & (height > 8.5) & (across < 7)
        narrow = np.where(incisor, 0.72, 0.97) * width
        width, across = narrow * width.sum() / narrow.sum(), across * 0.95
        height = height * 0.97
    edges = np.concatenate([[0.0], np.cumsum(width)]) + _MARGIN
    return _Crowns(width, across, height, cusps, edges)


def _grid(random: np.random.Generator, triangles: int, length: float) -> _Grid:
    """An irregular grid: jittered inside, straight at its edges."""
    cells = triangles / 2 / 0.94
    rows = max(24, round(float(np.sqrt(cells / 4.1))))
    columns = max(64, round(cells / rows))
    iu, iv = np.meshgrid(np.arange(columns + 1), np.arange(rows + 1), indexing="ij")
    inner = (iu > 0) & (iu < columns) & (iv > 0) & (iv < rows)
    u = (iu + inner * random.uniform(-0.28, 0.28, iu.shape)) / columns
    v = (iv + inner * random.uniform(-0.28, 0.28, iu.shape)) / rows
    return _Grid(u, v, u * length)


def _place(grid: _Grid, crowns: _Crowns) -> _Place:
    crown = np.clip(np.searchsorted(crowns.edges, grid.along) - 1, 0, 13)
    pos = 2 * (grid.along - crowns.edges[crown]) / crowns.width[crown] - 1
    return _Place(crown, pos, np.clip(1 - np.abs(pos / 1.02) ** 4, 0, 1) ** 0.7)


def _surface(
    random: np.random.Generator, grid: _Grid, place: _Place, crowns: _Crowns, jaw: str
) -> Array:
    """(columns, rows, 3) points of the jaw."""
    wall, gum = _share(grid, _CREST, _WALL), _share(grid, _WALL, 1.0)
    lateral = _half_width(grid, place, crowns)
    lateral += 0.22 * _noise(random, grid, 80, 10) * gum
    lateral += 0.04 * _noise(random, grid, 400, 60) + 0.03 * _noise(random, grid, 150, 40) * wall
    height = _height(grid, place, crowns) + 0.28 * _noise(random, grid, 60, 14) * gum
    centre, across = _arch(grid.along, crowns.length, jaw)
    flat = centre + across * (np.sign(grid.across) * lateral)[..., None]
    level = height if jaw == "lower" else 0.12 - height
    curve_of_spee = 0.0016 * (flat[..., 1] - 20) ** 2
    return np.concatenate([flat, (level + curve_of_spee)[..., None]], axis=-1)


def _half_width(grid: _Grid, place: _Place, crowns: _Crowns) -> Array:
    """How far from the middle of the ridge, in mm: over the crown's top, down its wall, out over the gum."""
    top, wall, gum = _share(grid, 0, _CREST), _share(grid, _CREST, _WALL), _share(grid, _WALL, 1)
    outline = np.clip(1 - 0.92 * np.abs(np.clip(place.pos, -1, 1)) ** 2.6, 0, 1) ** (1 / 2.6)
    half = 0.5 * crowns.across[place.crown] * outline
    table = np.where(crowns.cusps[place.crown] == 2, 0.78, 0.34)
    width = half * (table * np.sin(np.pi / 2 * top) + (1 - table) * np.sin(np.pi / 2 * wall) ** 0.8)
    middles = (crowns.edges[1:] + crowns.edges[:-1]) / 2
    ridge = 0.475 * np.interp(grid.along, middles, crowns.across)
    width += (ridge - width) * _smooth(gum * 2.5)  # the gum runs on smoothly from crown to crown
    return width + 0.35 * np.sin(np.pi * wall) + 6.0 * gum**1.15


def _height(grid: _Grid, place: _Place, crowns: _Crowns) -> Array:
    """Height over the plane in which all crowns end; cusps rise a little above it."""
    wall, gum = _share(grid, _CREST, _WALL), _share(grid, _WALL, 1)
    aside = np.abs(grid.across)
    # The neck runs on from crown to crown, so that the gum below has no steps; all crowns end in one plane.
    middles = (crowns.edges[1:] + crowns.edges[:-1]) / 2
    neck = np.interp(grid.along, middles, crowns.height)
    level = neck * ((0.30 + 0.70 * place.on) * (1 - _smooth(wall) ** 1.2) - 1)
    level += _cusps(grid, place, crowns) * place.on * (1 - wall)
    scallop = 0.9 * np.cos(np.pi * np.clip(place.pos, -1, 1))
    below: Array = level - scallop * np.sin(np.pi * np.clip((aside - 0.5) / 0.5, 0, 1))
    return below - 7.0 * gum**1.3


def _cusps(grid: _Grid, place: _Place, crowns: _Crowns) -> Array:
    top, wall = _share(grid, 0, _CREST), _share(grid, _CREST, _WALL)
    molar = crowns.width[place.crown] > 9
    waves = np.cos(2.2 * np.pi * place.pos * np.where(molar, 1.0, 0.5))
    fissure = 0.45 * np.exp(-((place.pos / 0.12) ** 2)) * (1 - wall) * molar
    chewing = 0.75 * waves * np.sin(np.pi * top) ** 2 - 0.9 * (1 - top) ** 2 - fissure
    biting = -0.9 * top**2 + 0.18 * np.cos(3 * np.pi * place.pos) * (1 - top)
    return np.where(crowns.cusps[place.crown] == 2, chewing, biting)


def _arch(along: Array, length: float, jaw: str) -> tuple[Array, Array]:
    """Points of the arch's middle line, and unit vectors from there to the cheek, in the plane of the bite."""
    t = np.linspace(-np.pi / 2, np.pi / 2, 4096)
    half = 27.0 if jaw == "upper" else 26.2
    x = half * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** 0.86
    y = 46.0 * np.cos(t)
    s = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    scale = length / s[-1]
    s, x, y = s * scale, x * scale, y * scale
    centre = np.stack([np.interp(along, s, x), np.interp(along, s, y)], axis=-1)
    dx, dy = np.interp(along, s, np.gradient(x, s)), np.interp(along, s, np.gradient(y, s))
    across = np.stack([-dy, dx], axis=-1) / np.hypot(dx, dy)[..., None]
    return centre, across


def _faces(random: np.random.Generator, grid: _Grid, jaw: str) -> Wide:
    """Two triangles a cell with a diagonal by chance, an uneven edge, and one hole."""
    columns, rows = grid.u.shape[0] - 1, grid.u.shape[1] - 1
    a = (np.arange(columns)[:, None] * (rows + 1) + np.arange(rows)).ravel()
    b, c, d = a + rows + 1, a + rows + 2, a + 1
    flip = random.random(len(a))[:, None] < 0.5
    one = np.where(flip, np.stack([a, b, d], 1), np.stack([a, b, c], 1))
    other = np.where(flip, np.stack([b, c, d], 1), np.stack([a, c, d], 1))
    faces = np.stack([one, other], axis=1).reshape(-1, 3)
    faces = faces[_kept(random, grid, faces)]
    # The upper jaw is a lower one turned over: its winding turns too, so that normals point out of the tissue.
    return faces[:, ::-1] if jaw == "upper" else faces


def _kept(random: np.random.Generator, grid: _Grid, faces: Wide) -> NDArray[np.bool_]:
    u, v = grid.u.ravel()[faces].mean(axis=1), grid.v.ravel()[faces].mean(axis=1)
    edge = 0.030 + 0.016 * _noise(random, _Grid(u, v, u), 44, 2)
    inside = (v > edge) & (v < 1 - edge) & (u > 0.4 * edge) & (u < 1 - 0.4 * edge)
    hole = ((u - 0.31) / 0.006) ** 2 + ((v - 0.86) / 0.03) ** 2 < 1
    kept: NDArray[np.bool_] = inside & ~hole
    return kept


def _colours(random: np.random.Generator, grid: _Grid, place: _Place) -> Bytes:
    aside = np.abs(grid.across)
    fold = _noise(random, grid, 60, 14)
    tooth = (_smooth((0.655 - aside - 0.02 * fold) / 0.03) * _smooth(place.on * 3))[..., None]
    neck = _smooth((aside - 0.42) / 0.2)[..., None]
    enamel = _ENAMEL * (1 - neck) + _DENTINE * neck
    shade = (1 + 0.03 * _noise(random, grid, 120, 30))[..., None]
    grain = random.normal(0, 1.2, (*grid.u.shape, 1))
    colour = (tooth * enamel + (1 - tooth) * _GUM) * shade + grain
    colours: Bytes = np.clip(colour, 0, 255).astype(np.uint8).reshape(-1, 3)
    return colours


def _with_debris(random: np.random.Generator, mesh: Mesh) -> Mesh:
    """Two small loose patches inside the arch, as scanners leave them."""
    assert mesh.colours is not None, "jaws are coloured"
    vertices, faces, colours = [mesh.vertices], [mesh.faces], [mesh.colours]
    count = len(mesh.vertices)
    for number in range(2):
        spot = [-8 + 9 * number, 18 - 6 * number, float(mesh.vertices[:, 2].mean())]
        patch = _patch(random, 12, np.array(spot))
        vertices.append(patch.vertices)
        faces.append(patch.faces + np.int32(count))
        colours.append(np.full((len(patch.vertices), 3), 170, np.uint8))
        count += len(patch.vertices)
    return Mesh(np.concatenate(vertices), np.concatenate(faces), np.concatenate(colours))


def _patch(random: np.random.Generator, side: int, spot: Array) -> Mesh:
    flat = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    points = np.hstack([flat * 0.09, 0.05 * random.normal(size=(side * side, 1))]) + spot
    return Mesh(points.astype(np.float32), _grid_faces(side, side).astype(np.int32))


def _grid_faces(rows: int, columns: int) -> Wide:
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    b, c, d = a + columns, a + columns + 1, a + 1
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def _cap(seed: int, crowns: _Crowns, middle: float, half: float, rows: int) -> Array:
    """(rows * rows, 3) points of a crown's outside: the molar's own surface, a little thicker, without gum."""
    t = np.linspace(-1, 1, rows)
    u, v = np.meshgrid((middle + half * t) / crowns.length, 0.5 + 0.31 * t, indexing="ij")
    grid = _Grid(u, v, u * crowns.length)
    random = np.random.default_rng([seed, 3])
    points = _surface(random, grid, _place(grid, crowns), crowns, "lower").reshape(-1, 3)
    centre = points[:, :2].mean(axis=0)
    points[:, :2] += 0.05 * (points[:, :2] - centre)
    points[:, 2] += 0.3
    return points


def _closed(outside: Array, inside: Array, rows: int) -> Mesh:
    """Both sides of a cap and the rim between them."""
    sheet = _grid_faces(rows, rows)
    number = np.arange(rows * rows).reshape(rows, rows)
    rim = np.concatenate([number[:, 0], number[-1, 1:], number[-2::-1, -1], number[0, -2:0:-1]])
    following = np.roll(rim, -1)
    under = rows * rows
    band = np.concatenate(
        [
            np.stack([following, rim, rim + under], axis=1),
            np.stack([following, rim + under, following + under], axis=1),
        ]
    )
    faces = np.concatenate([sheet, sheet[:, ::-1] + under, band])
    return Mesh(np.concatenate([outside, inside]).astype(np.float32), faces.astype(np.int32))


def _cheek_side(jaw: Mesh) -> Mesh:
    middle = jaw.vertices[jaw.faces].mean(axis=1)
    outer = middle[:, 0] > 0.92 * np.interp(middle[:, 1], [0, 25, 45], [24, 20, 8])
    seen = outer & (middle[:, 0] > 12) & (np.abs(middle[:, 2]) < 9)
    return _without_loose_vertices(Mesh(jaw.vertices, jaw.faces[seen], jaw.colours))


def _without_loose_vertices(mesh: Mesh) -> Mesh:
    used = np.zeros(len(mesh.vertices), bool)
    used[mesh.faces.ravel()] = True
    number = np.cumsum(used, dtype=np.int32) - np.int32(1)
    colours = None if mesh.colours is None else mesh.colours[used]
    return Mesh(mesh.vertices[used], number[mesh.faces], colours)


def _unit_normals(mesh: Mesh) -> Floats:
    normals = face_normals(mesh)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    unit: Floats = normals / np.maximum(length, np.float32(1e-30))
    return unit


def _share(grid: _Grid, start: float, stop: float) -> Array:
    """0 to 1 while the distance from the ridge's middle goes from `start` to `stop`."""
    return np.clip((np.abs(grid.across) - start) / (stop - start), 0, 1)


def _smooth(x: Array) -> Array:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _noise(random: np.random.Generator, grid: _Grid, columns: int, rows: int) -> Array:
    """Smooth noise in -1..1 over the grid, with so many bumps."""
    bumps = random.uniform(-1, 1, (columns + 2, rows + 2))
    x, y = grid.u * columns, grid.v * rows
    i, j = np.minimum(x.astype(int), columns), np.minimum(y.astype(int), rows)
    fx, fy = _smooth(x - i), _smooth(y - j)
    near = bumps[i, j] * (1 - fx) + bumps[i + 1, j] * fx
    far = bumps[i, j + 1] * (1 - fx) + bumps[i + 1, j + 1] * fx
    blend: Array = near * (1 - fy) + far * fy
    return blend
