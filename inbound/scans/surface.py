"""A mesh made ready to be asked for its nearest place: a tree of sites, and what each triangle needs at hand.

Sites are the mesh's corners and places on its long triangles, so that wherever the surface is, a site is near.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import Ints, Mesh, Wide
from inbound.scans.reach import Reach, longest_side

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_TURNED = (
    0.3  # cosine between a face and the mean around its corner; at the corner of a cube it is 0.58
)


@dataclass(frozen=True)
class Surface:
    """A mesh, its sites, and its direction everywhere.

    Attributes:
        faces: (m, 3) int32, its triangles.
        plan: (m, 15) of each triangle: first corner, two sides from it, unit normal, the sides' dot products.
        plane: (m, 4) of each triangle: unit normal, and what its product with any place of the plane is.
        tree: a cKDTree over the sites.
        starts, owners: the triangles of site s are owners[starts[s]:starts[s + 1]].
        cover: (sites,) mm squared; the foot of a point on any of a site's pieces is never farther from all the
            piece's corners.
        edge: (m, 3) which edge begins at each corner of a triangle.
        edge_direction, edge_open: (e, 3) along the sum of its faces' normals; (e,) whether it has but one face.
        corner_direction, corner_open: (n, 3) along the mean of the normals around, weighted by angle; (n,) whether
            the corner lies on an open edge.
        folded: (m,) whether the surface turns back, or nearly so, at a corner of the triangle.
        looks: (sites, 3) mm2, the sum of each site's triangles' normals, each as long as twice its area.
    """

    faces: Ints
    plan: Array
    plane: Array
    tree: Any
    starts: Wide
    owners: Ints
    cover: Array
    edge: Ints
    edge_direction: Array
    edge_open: Flags
    corner_direction: Array
    corner_open: Flags
    folded: Flags
    looks: Array

    @classmethod
    def of(cls, mesh: Mesh, reach: Reach) -> "Surface":
        """The surface of a mesh without doubled positions, for points that `reach` knows."""
        from scipy.spatial import cKDTree  # noqa: PLC0415  # a child without a bite saves 100 ms

        corners, faces = mesh.vertices.astype(np.float64), mesh.faces
        plan = _plan(corners, faces)
        sites, pieces, owner = reach.pieces(corners, faces)
        starts, piece = _around(pieces, len(sites))
        cover = np.square(longest_side(sites, pieces)) / 3
        edge, ends, edge_direction, edge_open = _edges(faces, plan)
        direction = _corner_directions(len(corners), faces, plan)
        corner_open = np.zeros(len(corners), bool)
        corner_open[ends[edge_open].reshape(-1)] = True
        return cls(
            faces=faces,
            plan=plan,
            plane=np.column_stack([plan[:, 9:12], dot(plan[:, 9:12], plan[:, 0:3])]),
            # Balanced, compact nodes with few sites cost more time than they save.
            tree=cKDTree(sites, leafsize=64, balanced_tree=False, compact_nodes=False),
            starts=starts,
            owners=owner[piece],
            cover=np.maximum.reduceat(cover[piece], starts[:-1]),
            edge=edge,
            edge_direction=edge_direction,
            edge_open=edge_open,
            corner_direction=direction,
            corner_open=corner_open,
            folded=_folded(faces, plan, direction),
            looks=_looks(plan, owner[piece], starts),
        )

    def triangles_at(self, site: Wide) -> tuple[Wide, Ints]:
        """For sites (k,), one after another: the row of the site in `site`, and a triangle of it."""
        start = self.starts[site]
        count = self.starts[site + 1] - start
        ends = np.cumsum(count)
        total = int(ends[-1]) if len(ends) else 0
        place = np.repeat(start - ends + count, count) + np.arange(total)
        return np.repeat(np.arange(len(site)), count), self.owners[place]


def dot(one: Array, other: Array) -> Array:
    """(k,) the dot product of each row of one with the row of the other."""
    product: Array = np.einsum("ij,ij->i", one, other)
    return product


def _plan(corners: Array, faces: Ints) -> Array:
    plan = np.empty((len(faces), 15))
    plan[:, 0:3] = corners[faces[:, 0]]
    one, other = corners[faces[:, 1]] - plan[:, 0:3], corners[faces[:, 2]] - plan[:, 0:3]
    plan[:, 3:6], plan[:, 6:9], plan[:, 9:12] = one, other, _unit(np.cross(one, other))
    plan[:, 12], plan[:, 13], plan[:, 14] = dot(one, one), dot(one, other), dot(other, other)
    return plan


def _around(pieces: Ints, count: int) -> tuple[Wide, Ints]:
    """Starts (count + 1,), and the rows of `pieces` with those around each site together: a sort by counting."""
    from scipy.sparse import csr_matrix  # noqa: PLC0415  # see cKDTree

    corners = pieces.reshape(-1)
    starts = np.arange(0, len(corners) + 1, 3, dtype=np.int32)
    ones = np.ones(len(corners), np.int8)
    by_site = csr_matrix((ones, corners, starts), shape=(len(pieces), count)).tocsc()
    return by_site.indptr.astype(np.int64), by_site.indices


def _edges(faces: Ints, plan: Array) -> tuple[Ints, Ints, Array, Flags]:
    """The edge at each side (m, 3); of each edge its ends (e, 2), its direction (e, 3), whether it is open (e,)."""
    a, b = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    keys = (np.minimum(a, b).astype(np.int64) << 32) | np.maximum(a, b)
    order = np.argsort(keys)
    keys = keys[order]
    new = np.append(True, keys[1:] != keys[:-1])
    starts = np.flatnonzero(new)
    edge = np.empty(len(keys), np.int32)
    edge[order] = np.cumsum(new, dtype=np.int32) - np.int32(1)
    direction = np.add.reduceat(plan[order // 3, 9:12], starts, axis=0)
    ends = np.stack([keys[starts] >> 32, keys[starts] & 0xFFFFFFFF], axis=1).astype(np.int32)
    alone = np.diff(np.append(starts, len(keys))) == 1
    return edge.reshape(-1, 3), ends, _unit(direction), alone


def _corner_directions(count: int, faces: Ints, plan: Array) -> Array:
    normal, (one, inner, other) = plan[:, 9:12], plan[:, 12:15].T
    twice = np.sqrt(np.maximum(one * other - inner * inner, 0))
    first, second = np.arctan2(twice, inner), np.arctan2(twice, one - inner)
    angles = np.stack([first, second, np.pi - first - second])
    corners, direction = faces.T.reshape(-1), np.empty((count, 3))
    for axis in range(3):
        weights = (angles * normal[:, axis]).reshape(-1)
        direction[:, axis] = np.bincount(corners, weights, count)
    return _unit(direction)


def _folded(faces: Ints, plan: Array, direction: Array) -> Flags:
    turned = np.zeros(len(direction), bool)
    for corner in faces.T:
        turned[corner[dot(direction[corner], plan[:, 9:12]) < _TURNED]] = True
    folded: Flags = turned[faces[:, 0]] | turned[faces[:, 1]] | turned[faces[:, 2]]
    return folded


def _looks(plan: Array, owners: Ints, starts: Wide) -> Array:
    one, inner, other = plan[:, 12:15].T
    twice = np.sqrt(np.maximum(one * other - inner * inner, 0))
    looks: Array = np.add.reduceat((plan[:, 9:12] * twice[:, None])[owners], starts[:-1], axis=0)
    return looks


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.maximum(np.sqrt(dot(vectors, vectors)), 1e-300)[:, None]
    return unit
