"""Every format that labs send, by its content: one reader and one way to write the reviewers' copy for each.

A copy holds geometry, colours and texture and nothing else. It keeps every triangle in its order and every float32
coordinate bit for bit, unless a unit or a place in the file moved them. Colours and textures keep the scan's format
where it can hold them; an OBJ with a texture, which takes three files, becomes one GLB.
"""

from collections.abc import Callable, Mapping

from inbound.scans import gltf, gltfcopy, obj, off, ply, stl, threemf
from inbound.scans.beside import Beside
from inbound.scans.found import Found
from inbound.scans.mesh import Mesh
from inbound.scans.sniff import Format
from store.errors import ScanRefused

__all__ = ["READABLE", "Found", "read", "write"]


def read(data: memoryview, kind: Format, beside: Mapping[str, memoryview]) -> Found:
    """A scan of a format.

    Args:
        data: the file.
        kind: what `sniff` calls it.
        beside: other files of the same mail or ZIP, by name: materials, images, buffers.

    Raises:
        ScanRefused: it cannot be used; the sentence begins with its verb, for a file's name to stand before.
    """
    if kind not in READABLE:
        raise ScanRefused("is no scan. Send STL, PLY, OBJ, 3MF, GLB or OFF.")
    return _READERS[kind](data, Beside(beside))


def write(mesh: Mesh, kind: Format) -> tuple[bytes, str]:
    """The reviewers' copy of a scan that came as `kind`, and the suffix of its name."""
    if mesh.texture is not None or kind in (Format.GLB, Format.GLTF):
        return gltfcopy.write(mesh), "glb"
    writer = _WRITERS[kind]
    return writer(mesh), kind.value.lower()


def _stl(data: memoryview, _beside: Beside) -> Found:
    return Found(stl.read(data), stripped=stl.notes(data))


def _ply(data: memoryview, _beside: Beside) -> Found:
    mesh, notes = ply.read_with_notes(data)
    return Found(mesh, stripped=notes)


def _obj(data: memoryview, beside: Beside) -> Found:
    mesh, notes = obj.read_with(data, beside)
    return Found(mesh, stripped=notes, used=frozenset(beside.used))


def _off(data: memoryview, _beside: Beside) -> Found:
    mesh, notes = off.read(data)
    return Found(mesh, stripped=notes)


def _threemf(data: memoryview, _beside: Beside) -> Found:
    return threemf.read(data)


def _stl_copy(mesh: Mesh) -> bytes:
    return stl.write(mesh.vertices[mesh.faces])


_READERS: dict[Format, Callable[[memoryview, Beside], Found]] = {
    Format.STL: _stl,
    Format.PLY: _ply,
    Format.OBJ: _obj,
    Format.OFF: _off,
    Format.THREEMF: _threemf,
    Format.GLB: gltf.read,
    Format.GLTF: gltf.read,
}
_WRITERS: dict[Format, Callable[[Mesh], bytes]] = {
    Format.STL: _stl_copy,
    Format.PLY: ply.write,
    Format.OBJ: obj.write,
    Format.OFF: off.write,
    Format.THREEMF: threemf.write,
}
READABLE: frozenset[Format] = frozenset(_READERS)
