"""How far points lie from a surface, in front of it or behind it: to the micrometre, and fast.

The site nearest to a point gives a few triangles and with them an upper bound; then every triangle that could be
nearer still is looked at. Geometry says which could be: the foot of a point on a triangle is never farther than the
triangle's `cover` from one of its corners, and that at a right angle to the way from the point to the foot. So a
triangle whose corners are all farther than sqrt(bound^2 + cover^2) is out. Long triangles are cut into pieces for
this search alone, which leaves a handful a point; distances are those to whole triangles.

In front or behind is told by the surface's direction at the foot: the face's own, on an edge the sum of its faces',
at a corner their mean weighted by angle. One face's direction alone would be wrong at edges and corners.
"""

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import AGAIN, Floats, Ints, Mesh, Wide
from inbound.scans.reach import Reach, box, outside
from inbound.scans.surface import Surface, dot
from store.errors import ScanRefused

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

BEYOND = 0.02  # mm past an open border for which the surface is taken to go on
_NEIGHBOURS = 8  # sites asked for at first; nearly always enough
_BLOCK = 1 << 14  # points at a time, so that their pairs stay in the processor's cache
_MOST_PAIRS = 1 << 18  # of point and site, at a time
_MOST_AT_ONCE = 1 << 21  # pairs of point and triangle
_MOST_LOOKS = 1 << 25  # pairs of either kind in a block; scans need a hundredth
_TANGLED = f"has too many triangles in one place to be measured. {AGAIN}"
_DEEP = 0.05  # mm from a surface from which on its folds are looked out for
_AROUND, _AT_LARGE = (
    0.3,
    24,
)  # mm around a foot, and how many sites of it, that tell a surface's course


def signed_distance(points: Floats, mesh: Mesh, reach: float) -> Floats:
    """(n,) float32: mm from each of `points` (n, 3) to the nearest place on `mesh`, negative behind its surface.

    NaN stands where the surface is farther than `reach` mm, and where it has ended: when the nearest place is on an
    open border and the point lies more than `BEYOND` mm past that border. Nothing was scanned opposite such a
    point; its way to the rim is no clearance, and in front or behind means nothing there.

    Raises:
        ScanRefused: the mesh is such a tangle that measuring would take minutes.
    """
    values = np.full(len(points), np.nan, np.float32)
    rows = np.flatnonzero(outside(points, *box(mesh.vertices, reach)) == 0)
    if not len(rows):
        return values
    grid = Reach.of(points[rows], reach)
    part = grid.part(mesh)
    if part is None:
        return values
    surface = Surface.of(part, grid)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        values[block] = _measured(surface, points[block].astype(np.float64), reach)
    return values


def _measured(surface: Surface, points: Array, reach: float) -> Floats:
    """(n,) signed mm of one block of points."""
    squared, triangle = _nearest(surface, points, reach)
    values = np.full(len(points), np.nan, np.float32)
    found = np.flatnonzero(squared <= reach * reach)
    if not len(found):
        return values
    away, direction, is_open = _foot(surface, points[found], triangle[found])
    height, length = dot(away, direction), np.sqrt(dot(away, away))
    past = is_open & (length * length - height * height > BEYOND * BEYOND)
    behind = height < 0
    doubtful = np.flatnonzero(surface.folded[triangle[found]] & ~past & (length > _DEEP))
    at_large = _height_at_large(surface, points[found[doubtful]], away[doubtful])
    behind[doubtful] = np.where(at_large == 0, behind[doubtful], at_large < 0)
    values[found] = np.where(past, np.nan, np.where(behind, -length, length))
    return values


def _nearest(surface: Surface, points: Array, reach: float) -> tuple[Array, Ints]:
    """(n,) mm squared to the nearest triangle, and which one; infinite where nothing is in reach."""
    best = np.full(len(points), np.inf), np.zeros(len(points), np.int32)
    asked, known, count = np.arange(len(points)), 0, _NEIGHBOURS
    while len(asked) and known < len(surface.cover):
        count = min(count, len(surface.cover))
        if len(asked) * count > _MOST_LOOKS:
            raise ScanRefused(_TANGLED)
        step = max(1, _MOST_PAIRS // count)
        parts = [asked[start : start + step] for start in range(0, len(asked), step)]
        asked = np.concatenate(
            [_ask(surface, points, part, (known, count), reach, best) for part in parts]
        )
        known, count = count, 4 * count
    return best


def _ask(
    surface: Surface,
    points: Array,
    asked: Wide,
    ranks: tuple[int, int],
    reach: float,
    best: tuple[Array, Ints],
) -> Wide:
    """Looks at each point's sites of these ranks, nearest first; returns the points that need to see more."""
    largest = float(surface.cover.max())
    bound = np.sqrt(reach * reach + largest) * (1 + 1e-9)
    away, site = surface.tree.query(
        points[asked], k=np.arange(ranks[0] + 1, ranks[1] + 1), distance_upper_bound=bound
    )
    there = np.isfinite(away[:, 0])
    asked, away, site = asked[there], away[there], site[there]
    np.square(away, out=away)
    if ranks[0] == 0:
        _look_at(surface, points, asked, site[:, 0], best, sift=False)
        away[:, 0] = np.inf  # seen; a surface has three sites at least, so the last rank is another
    bounds = best[0][asked]
    # Nothing is nearer than a place on the surface itself, where most places of a next version are.
    away[bounds == 0] = np.inf
    row, column = np.nonzero(away <= (bounds + largest)[:, None])
    site = site[row, column]
    close = away[row, column] <= bounds[row] + surface.cover[site]
    _look_at(surface, points, asked[row[close]], site[close], best, sift=True)
    more: Wide = asked[away[:, -1] <= best[0][asked] + largest]
    return more


def _look_at(
    surface: Surface, points: Array, row: Wide, site: Wide, best: tuple[Array, Ints], *, sift: bool
) -> None:
    """Lowers the best of the points `row` (ascending) by the triangles at their `site`."""
    pairs = int((surface.starts[site + 1] - surface.starts[site]).sum())
    if pairs > _MOST_LOOKS:
        raise ScanRefused(_TANGLED)
    if pairs > _MOST_AT_ONCE and len(row) > 1:  # many triangles around one corner
        half = len(row) // 2
        _look_at(surface, points, row[:half], site[:half], best, sift=sift)
        _look_at(surface, points, row[half:], site[half:], best, sift=sift)
        return
    pair, triangle = surface.triangles_at(site)
    pair = row[pair]
    if sift:  # no triangle is nearer than its plane, which on a smooth surface settles most
        plane = surface.plane[triangle]
        height = dot(points[pair], plane[:, :3]) - plane[:, 3]
        near = np.flatnonzero(np.square(height) < best[0][pair])
        pair, triangle = pair[near], triangle[near]
    plan = surface.plan[triangle]
    squared = _to_triangles(points[pair] - plan[:, 0:3], plan)
    better = np.flatnonzero(squared < best[0][pair])
    if not len(better):
        return
    pair, triangle, squared = pair[better], triangle[better], squared[better]
    starts = np.flatnonzero(np.append(True, pair[1:] != pair[:-1]))
    least = np.minimum.reduceat(squared, starts)
    hit = np.flatnonzero(squared == np.repeat(least, np.diff(np.append(starts, len(pair)))))
    best[0][pair[starts]] = least
    best[1][pair[hit]] = triangle[hit]


def _to_triangles(at: Array, plan: Array) -> Array:
    """(k,) mm squared from each point, given from the triangle's first corner, to its triangle."""
    one, inner, other = plan[:, 12], plan[:, 13], plan[:, 14]
    along, across = dot(at, plan[:, 3:6]), dot(at, plan[:, 6:9])
    straight = dot(at, at)
    squared = np.minimum(_to_side(straight, along, one), _to_side(straight, across, other))
    straight = straight - 2 * along + one  # from the second corner now
    third = _to_side(straight, across - along - inner + one, one + other - 2 * inner)
    squared = np.maximum(np.minimum(squared, third), 0)
    inside = _is_inside(along, across, plan)
    squared[inside] = np.square(dot(at, plan[:, 9:12]))[inside]
    return squared


def _to_side(straight: Array, along: Array, side: Array) -> Array:
    """(k,) mm squared to a side: from `straight`, squared to where it begins, and the product with it."""
    share = np.clip(along / np.maximum(side, 1e-300), 0, 1)
    return straight + share * (share * side - 2 * along)


def _is_inside(along: Array, across: Array, plan: Array) -> Flags:
    """(k,) whether the foot lies inside the triangle, from the point's products with its two sides."""
    one, inner, other = plan[:, 12], plan[:, 13], plan[:, 14]
    s, t = other * along - inner * across, one * across - inner * along
    inside: Flags = (s > 0) & (t > 0) & (s + t < one * other - inner * inner)
    return inside


def _foot(surface: Surface, points: Array, triangle: Ints) -> tuple[Array, Array, Flags]:
    """The way from the foot on each triangle to its point, the surface's direction there, whether it is open."""
    plan = surface.plan[triangle]
    at = points - plan[:, 0:3]
    away, side, share = _nearest_side(at, plan)
    edge = surface.edge[triangle, side]
    direction, is_open = surface.edge_direction[edge], surface.edge_open[edge]
    end = np.flatnonzero((share <= 0) | (share >= 1))
    corner = surface.faces[triangle[end], (side[end] + (share[end] > 0)) % 3]
    direction[end], is_open[end] = surface.corner_direction[corner], surface.corner_open[corner]
    inside = _is_inside(dot(at, plan[:, 3:6]), dot(at, plan[:, 6:9]), plan)
    normal = plan[inside, 9:12]
    direction[inside], is_open[inside] = normal, False
    away[inside] = dot(at[inside], normal)[:, None] * normal
    return away, direction, is_open


def _nearest_side(at: Array, plan: Array) -> tuple[Array, Wide, Array]:
    """(k, 3) from the nearest place on a triangle's sides, (k,) which side that is on, (k,) how far along it."""
    one, other = plan[:, 3:6], plan[:, 6:9]
    lines = ((at, one), (at - one, other - one), (at - other, -other))
    shares = [
        np.clip(dot(start, side) / np.maximum(dot(side, side), 1e-300), 0, 1)
        for start, side in lines
    ]
    ways = [
        start - share[:, None] * side for (start, side), share in zip(lines, shares, strict=True)
    ]
    nearest: Wide = np.argmin(np.stack([dot(way, way) for way in ways]), axis=0)
    row = np.arange(len(at))
    return np.stack(ways)[nearest, row], nearest, np.stack(shares)[nearest, row]


def _height_at_large(surface: Surface, points: Array, away: Array) -> Array:
    """(k,) above 0 in front of the surface around the foot taken together, below 0 behind it, 0 if none is around.

    Scans have folds a few hundredths of a millimetre wide, in which triangles look inwards: one of them would make
    an overlap of 2 mm out of a gap of 2 mm. Taken together, a fold's triangles cancel out. The surface counts no
    farther from the foot than the point is: so near, the far side of a wall or of a thin edge never is.
    """
    near, site = surface.tree.query(
        points - away, k=np.arange(1, _AT_LARGE + 1), distance_upper_bound=_AROUND
    )
    counts = near <= np.sqrt(dot(away, away))[:, None] * (1 - 1e-6)
    looks = np.zeros_like(points)
    for rank in range(_AT_LARGE):
        row = np.flatnonzero(counts[:, rank])
        looks[row] += surface.looks[site[row, rank]]
    return dot(looks, away)
