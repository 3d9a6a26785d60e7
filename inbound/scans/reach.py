"""Which triangles some points may reach, and the pieces that long ones among them are cut into.

Of two jaws in occlusion most of the surface is far from the other; what is far is left out before anything is
measured. Triangles are kept whole or not at all, and every triangle with a place in reach is kept.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import AGAIN, Floats, Ints, Mesh
from inbound.scans.weld import weld
from store.errors import ScanRefused

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ORDINARY = 1.6  # times the usual longest side; longer triangles are cut into pieces
_MOST_PIECES = 4_000_000
_MOST_CELLS = 4_000_000
_AROUND = 3  # cells that a cell's points may reach; in all 1.5 times the reach


@dataclass(frozen=True)
class Reach:
    """Where points may reach: a box, and the cells of it that hold points or lie close to some.

    Attributes:
        low, high: (3,) mm, the box around the points grown by the reach.
        side: mm of a cell; a triangle whose sides are no longer is in reach only if its corners' cells are taken.
        taken: one flag for each cell, with a margin around the box.
    """

    low: Floats
    high: Floats
    side: float
    taken: Flags

    @classmethod
    def of(cls, points: Floats, reach: float) -> "Reach":
        low, high = box(points, reach)
        side = max(reach / 2, 1e-6)
        while np.prod((high - low).astype(np.float64) / side + 3 * _AROUND) > _MOST_CELLS:
            side *= 1.5
        cells = ((points - low) / np.float32(side)).astype(np.int64) + _AROUND
        taken = np.zeros(cells.max(axis=0) + _AROUND + 1, bool)
        taken[tuple(cells.T)] = True
        for axis in range(3):
            _widen(np.moveaxis(taken, axis, 0))
        return cls(low, high, side, taken)

    def near(self, places: Floats | Array) -> Flags:
        """(n,) whether the cell of each place is taken."""
        found = np.zeros(len(places), bool)
        cells = np.floor((places - self.low) / np.float32(self.side)) + np.float32(_AROUND)
        inside = np.flatnonzero(((cells >= 0) & (cells < self.taken.shape)).all(axis=1))
        found[inside] = self.taken[tuple(cells[inside].astype(np.int64).T)]
        return found

    def part(self, mesh: Mesh) -> Mesh | None:
        """The triangles that any point may reach, over distinct positions; None if there are none.

        Colours and places on a picture split corners that are one; here only the position counts.
        """
        kept = self._wanted(mesh.vertices, mesh.faces)
        if not kept.any():
            return None
        part = weld(Mesh(mesh.vertices, mesh.faces[kept]))
        a, b, c = part.faces.T
        whole = (a != b) & (b != c) & (c != a)
        if whole.all():
            return part
        return weld(Mesh(part.vertices, part.faces[whole])) if whole.any() else None

    def pieces(self, corners: Array, faces: Ints) -> tuple[Array, Ints, Ints]:
        """Sites (s, 3), pieces (k, 3) over them, and each piece's triangle (k,).

        No piece is much longer than the mesh's ordinary triangles; pieces out of reach are left out.

        Raises:
            ScanRefused: there would be millions of them.
        """
        length = longest_side(corners, faces)
        most = max(_ordinary(length), self.side / 10)
        long, number = length > most, np.arange(len(faces), dtype=np.int32)
        done, owners = [faces[~long]], [number[~long]]
        sites, pieces, owner = corners, faces[long], number[long]
        count = len(done[0])
        while len(pieces):
            sites, pieces = _halved(sites, pieces)
            wanted = self._wanted(sites, pieces)
            pieces, owner = pieces[wanted], np.tile(owner, 2)[wanted]
            long = longest_side(sites, pieces) > most
            done.append(pieces[~long])
            owners.append(owner[~long])
            count += len(done[-1])
            pieces, owner = pieces[long], owner[long]
            if count + len(pieces) > _MOST_PIECES:
                raise ScanRefused(f"has too many huge triangles to be measured. {AGAIN}")
        return *_without_idle(sites, np.concatenate(done)), np.concatenate(owners)

    def _wanted(self, corners: Floats | Array, faces: Ints) -> Flags:
        code = outside(corners, self.low, self.high)
        a, b, c = (code[faces[:, corner]] for corner in range(3))
        wanted: Flags = (a & b & c) == 0  # the triangle's own box meets the points' box
        asked = np.flatnonzero(wanted)
        far = asked[~self.near(corners[faces[asked, 0]])]
        wanted[far] = longest_side(corners, faces[far]) > self.side
        return wanted


def box(places: Floats, reach: float) -> tuple[Floats, Floats]:
    """The lowest and highest corner of the box around all places, grown by `reach` mm and rounding."""
    columns = [places[:, axis] for axis in range(3)]  # one axis at a time is ten times faster
    low = np.array([column.min() for column in columns], np.float32)
    high = np.array([column.max() for column in columns], np.float32)
    margin = np.float32(reach + 1e-5) + np.float32(1e-6) * max(-low.min(), high.max(), 0)
    return low - margin, high + margin


def outside(places: Floats | Array, low: Floats, high: Floats) -> NDArray[np.uint8]:
    """(n,) one bit for each side of the box that a place lies beyond."""
    code = np.zeros(len(places), np.uint8)
    for axis in range(3):
        column = places[:, axis]
        code |= (column < low[axis]).astype(np.uint8) << axis
        code |= (column > high[axis]).astype(np.uint8) << (3 + axis)
    return code


def longest_side(corners: Floats | Array, faces: Ints) -> Array:
    """(m,) mm of each triangle's longest side."""
    a, b, c = (corners[faces[:, corner]] for corner in range(3))
    sides = [np.einsum("ij,ij->i", side, side) for side in (b - a, c - b, a - c)]
    longest: Array = np.sqrt(np.maximum.reduce(sides).astype(np.float64))
    return longest


def _ordinary(length: Array) -> float:
    """Mm of the longest side up to which a triangle stays whole.

    A scan on a coarse base may have fewer fine triangles than coarse ones; then the fine ones set the measure.
    """
    few, half = np.quantile(length, [0.1, 0.5])
    return _ORDINARY * min(float(half), 4 * float(few))


def _widen(layers: Flags) -> None:
    """Each layer takes over what its neighbours on both sides hold, in place."""
    before = layers.copy()
    for step in range(1, _AROUND + 1):
        layers[step:] |= before[:-step]
        layers[:-step] |= before[step:]


def _halved(sites: Array, pieces: Ints) -> tuple[Array, Ints]:
    """Each piece cut through the middle of its longest side; first all halves of one kind, then of the other."""
    sides = np.stack(
        [np.square(sites[pieces[:, i]] - sites[pieces[:, i - 2]]).sum(axis=1) for i in range(3)]
    )
    turn = (np.argmax(sides, axis=0)[:, None] + np.arange(3)) % 3
    a, b, c = np.take_along_axis(pieces, turn, axis=1).T
    keys = (np.minimum(a, b).astype(np.int64) << 32) | np.maximum(a, b)
    keys, which = np.unique(keys, return_inverse=True)
    middle = (which + len(sites)).astype(np.int32)
    between = (sites[keys >> 32] + sites[keys & 0xFFFFFFFF]) / 2
    halves = np.concatenate([np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)])
    return np.concatenate([sites, between]), halves


def _without_idle(sites: Array, pieces: Ints) -> tuple[Array, Ints]:
    used = np.zeros(len(sites), bool)
    used[pieces.reshape(-1)] = True
    number = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return sites[used], number[pieces]
