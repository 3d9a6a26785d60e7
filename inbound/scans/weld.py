"""Weld: corners of one position, colour and place on the texture become one vertex, exactly, never "nearly".

A vectorised open-addressing hash finds for each corner the first one like it. Its 64-bit keys are salted for
each process, so that nobody can prepare a file whose corners collide, and its result is compared with the input
bit for bit; where that ever fails, a sort does the same job more slowly.
"""

import secrets

import numpy as np
from numpy.typing import NDArray

from inbound.scans.mesh import Ints, Mesh

Words = NDArray[np.uint32]
Keys = NDArray[np.uint64]

_SALT = [
    np.uint64(secrets.randbits(64) | 1) for _ in range(8)
]  # up to six words a vertex, and two more
_MINUS_ZERO = np.uint32(0x80000000)
_BLOCK = 1 << 18  # rows compared at a time
_ROUNDS = 24  # probes before the sort takes over; ordinary scans need 6 to 9


def weld(mesh: Mesh) -> Mesh:
    """The same triangles over distinct vertices, in the order in which faces first use them in the file.

    Vertices that differ only in the sign of a zero are one; vertices without a face are dropped.
    """
    words = _words(mesh)
    first = _first_alike_by_hash(words)
    if first is None:
        first = _first_alike_by_sort(words)
    return _renumbered(mesh, first)


def _words(mesh: Mesh) -> Words:
    """(n, 3 or 4) uint32: what makes two vertices the same."""
    positions = mesh.vertices.view(np.uint32)
    # Rare, and a copy of all positions would be the weld's largest array.
    if (positions == _MINUS_ZERO).any():
        positions = (mesh.vertices + np.float32(0)).view(np.uint32)  # -0.0 + 0.0 is 0.0
    columns = [positions]
    if mesh.colours is not None:
        packed = np.zeros((len(mesh.colours), 4), np.uint8)
        packed[:, :3] = mesh.colours
        columns.append(packed.view(np.uint32))
    if mesh.uvs is not None:
        columns.append(np.ascontiguousarray(mesh.uvs).view(np.uint32))
    return np.hstack(columns) if len(columns) > 1 else positions


def _keys(words: Words) -> Keys:
    keys = words[:, 0] * _SALT[0]
    for column in range(1, words.shape[1]):
        keys ^= keys >> np.uint64(29)
        keys += words[:, column] * _SALT[column]
    keys ^= keys >> np.uint64(31)
    keys *= _SALT[6]
    keys ^= keys >> np.uint64(32)
    return keys


def _first_alike_by_hash(words: Words) -> Ints | None:
    """For each row the first row equal to it, or None when the hash could not tell."""
    keys = _keys(words)
    count = len(keys)
    mask = np.uint64((1 << max(8, int(count * 1.25).bit_length())) - 1)
    table = np.full(int(mask) + 1, -1, np.int32)
    rows = np.arange(count, dtype=np.int32)
    slots = (keys & mask).astype(np.int32)
    table[slots[::-1]] = rows[::-1]  # the last write wins: the first row of a slot owns it
    first = table[slots]
    del slots
    todo = np.flatnonzero(keys[first] != keys).astype(np.int32)
    for probe in range(_ROUNDS):
        if not len(todo):
            break
        todo = _probe(probe, table, keys, todo, first)
    del table, keys
    return first if not len(todo) and _all_equal(words, first) else None


def _probe(step: int, table: Ints, keys: Keys, todo: Ints, first: Ints) -> Ints:
    """One more try for the rows whose slot another key owns; returns those that are still without one."""
    mixed = keys[todo] * (_SALT[7] + np.uint64(2 * step))
    mixed ^= mixed >> np.uint64(31)
    slots = (mixed & np.uint64(len(table) - 1)).astype(np.int32)
    free = np.flatnonzero(table[slots] < 0)[::-1]
    table[slots[free]] = todo[free]
    owners = table[slots]
    found = keys[owners] == keys[todo]
    first[todo[found]] = owners[found]
    left: Ints = todo[~found]
    return left


def _all_equal(words: Words, first: Ints) -> bool:
    blocks = (slice(start, start + _BLOCK) for start in range(0, len(words), _BLOCK))
    return all(np.array_equal(words[rows], words.take(first[rows], axis=0)) for rows in blocks)


def _first_alike_by_sort(words: Words) -> Ints:
    order = np.lexsort(words.T[::-1])  # stable: of equal rows the first comes first
    ordered = words[order]
    new = np.ones(len(ordered), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    heads = order[new].astype(np.int32)
    first = np.empty(len(words), np.int32)
    first[order] = np.repeat(heads, np.diff(np.append(np.flatnonzero(new), len(words))))
    return first


def _renumbered(mesh: Mesh, first: Ints) -> Mesh:
    corners = first.take(mesh.faces)
    used = np.zeros(len(first), bool)
    used[corners.reshape(-1)] = True
    number = np.cumsum(used, dtype=np.int32)
    number -= 1
    kept = np.flatnonzero(used)  # `take` by row is five times faster than a mask
    colours = None if mesh.colours is None else mesh.colours.take(kept, axis=0)
    uvs = None if mesh.uvs is None else mesh.uvs.take(kept, axis=0)
    vertices = mesh.vertices.take(kept, axis=0) + np.float32(0)
    return Mesh(vertices, number.take(corners), colours, uvs, mesh.texture)
