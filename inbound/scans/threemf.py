"""3MF: a ZIP with XML models in it, read as a stream by expat into flat arrays, never as a tree.

The ZIP's directory is judged first (`archive`), then the models are parsed while they are unpacked. A document type
is refused where it begins, so no entity is ever declared. Parts place one another: they are unfolded step by step
within a bound, which ends cycles too. Colours of `basematerials` and `colorgroup` become vertex colours; textures
of the materials extension are not read.
"""

import io
import re
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inbound.scans import archive
from inbound.scans.assembly import MOST_PLACES, Matrix, Piece, joined, too_many_places
from inbound.scans.found import Found
from inbound.scans.mesh import AGAIN, Mesh, in_plain_words
from inbound.scans.obj import written
from inbound.scans.threemfmodel import Model, Solid, read_model
from store.errors import ScanRefused

_LIMITS = archive.Limits(unpacked=512 << 20)  # bytes; a million triangles take 80 MB
# Each unit of the format: millimetres, and what we call it.
_UNITS = {
    "micron": (0.001, "micron"),
    "millimeter": (1.0, "mm"),
    "centimeter": (10.0, "cm"),
    "inch": (25.4, "inch"),
    "foot": (304.8, "foot"),
    "meter": (1000.0, "m"),
}
_TAG = re.compile(rb"<[^<>]*>")
_TARGET = re.compile(rb'\bTarget\s*=\s*"([^"<>]{1,400})"')
_PLUMBING = re.compile(r"(?:^|/)(?:\[content_types\]\.xml|[^/]*\.rels|[^/]*\.model)$")
_LONGEST_RELATIONS = 1 << 20
_CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
_MATERIALS = "http://schemas.microsoft.com/3dmanufacturing/material/2015/02"
_RELATION = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"


def read(data: memoryview) -> Found:
    """All that a 3MF builds, in its places, in millimetres.

    Raises:
        ScanRefused: the archive or a model is not taken, or there is no usable surface.
    """
    with in_plain_words("3MF"):
        package = _Package(data)
        root = package.model(package.root)
        if root.unit not in _UNITS:
            raise ScanRefused(f"is measured in a unit that 3MF does not know. {AGAIN}")
        factor, unit = _UNITS[root.unit]
        with np.errstate(all="ignore"):  # places too far away are refused as such
            pieces = _unfolded(package, root)
        mesh = joined(pieces, [], factor)
        return Found(mesh, unit, package.notes())


def write(mesh: Mesh) -> bytes:
    """A 3MF of one object in millimetres, no metadata; colours as the materials extension has them."""
    parts = {
        "[Content_Types].xml": _content_types(),
        "_rels/.rels": _relations(),
        "3D/3dmodel.model": b"".join(_model(mesh)),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name)  # dated 1980: when a copy was made is nobody's business
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, content, compresslevel=3)
    return out.getvalue()


@dataclass
class _Package:
    """The archive, and the models that were read from it so far, by their path."""

    data: memoryview
    models: dict[str, Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.file = io.BytesIO(self.data)
        self.members = {_key(member.name): member for member in archive.members(self.file, _LIMITS)}

    @property
    def root(self) -> str:
        """The path of the model that the archive names as its start, or of its only one."""
        relations = self.members.get("_rels/.rels")
        if relations is not None and relations.size <= _LONGEST_RELATIONS:
            tags = _TAG.findall(self._unpacked(relations))
            start = next((tag for tag in tags if b'/3dmodel"' in tag), b"")
            target = _TARGET.search(start)
            if target and _key(target[1].decode("utf-8", "replace")) in self.members:
                return _key(target[1].decode("utf-8", "replace"))
        models = [path for path in self.members if path.endswith(".model")]
        if "3d/3dmodel.model" in models or len(models) == 1:
            return "3d/3dmodel.model" if "3d/3dmodel.model" in models else models[0]
        raise ScanRefused(f"holds no 3D model. {AGAIN}")

    def model(self, path: str) -> Model:
        if path not in self.models:
            if path not in self.members:
                raise ScanRefused(f"refers to a part that is not in it. {AGAIN}")
            member = self.members[path]
            self.models[path] = read_model(
                lambda sink: archive.extract(self.file, member, sink, _LIMITS.unpacked)
            )
        return self.models[path]

    def notes(self) -> int:
        """What the copy leaves behind: metadata and names in the models, and all parts that are no model."""
        others = [path for path in self.members if not _PLUMBING.search(path)]
        return len(others) + sum(model.notes for model in self.models.values())

    def _unpacked(self, member: archive.Member) -> bytes:
        out = io.BytesIO()
        archive.extract(self.file, member, out, _LONGEST_RELATIONS)
        return out.getvalue()


def _key(path: str) -> str:
    return path.replace("\\", "/").lstrip("/").lower()


def _unfolded(package: _Package, root: Model) -> list[Piece]:
    """Every solid as often as it is placed. Steps are counted, so parts that hold themselves come to an end."""
    items: list[tuple[str, str, Matrix]] = [
        (_key(part.path) or package.root, part.name, part.matrix) for part in root.items
    ] or [(package.root, name, np.eye(4)) for name in root.solids]
    pieces: list[Piece] = []
    surfaces: dict[Solid, Any] = {}
    steps = 0
    waiting = items[::-1]
    while waiting:
        steps += 1
        if steps > MOST_PLACES or len(waiting) > MOST_PLACES:
            raise too_many_places()
        path, name, matrix = waiting.pop()
        model = package.model(path)
        solid = model.solids.get(name)
        if solid is None:
            raise ScanRefused(f"refers to a part that is not in it. {AGAIN}")
        if len(solid.faces):
            if solid not in surfaces:
                surfaces[solid] = solid.surface(model.colours)
            vertices, faces, colours, plain = surfaces[solid]
            pieces.append(Piece(vertices, faces, matrix, colours, plain))
        for part in reversed(solid.parts[: MOST_PLACES + 1]):
            waiting.append((_key(part.path) or path, part.name, matrix @ part.matrix))
    return pieces


# ---------------------------------------------------------------- the copy


def _content_types() -> bytes:
    return (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        b'<Default Extension="rels" ContentType='
        b'"application/vnd.openxmlformats-package.relationships+xml"/>'
        b'<Default Extension="model" ContentType='
        b'"application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>\n'
    )


def _relations() -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="start" Type="{_RELATION}" Target="/3D/3dmodel.model"/>'
        "</Relationships>\n"
    ).encode()


def _model(mesh: Mesh) -> list[bytes]:
    colours, corner_colours = b"", None
    group = ""
    if mesh.colours is not None:
        packed = mesh.colours.astype(np.int64) @ np.array([65536, 256, 1])
        palette, number = np.unique(packed, return_inverse=True)
        corner_colours = number[mesh.faces]
        group = f' xmlns:m="{_MATERIALS}"'
        listed = b"".join(written(palette[:, None], '<m:color color="#%06X"/>\n'))
        colours = b'<m:colorgroup id="2">\n' + listed + b"</m:colorgroup>\n"
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<model unit="millimeter" xml:lang="en-US" xmlns="{_CORE}"{group}>\n<resources>\n'
    )
    start = b'<object id="1" type="model">\n<mesh>\n<vertices>\n'
    end = b'</mesh>\n</object>\n</resources>\n<build><item objectid="1"/></build>\n</model>\n'
    points = written(mesh.vertices.astype(np.float64), '<vertex x="%.9g" y="%.9g" z="%.9g"/>\n')
    triangles = _triangles(mesh, corner_colours)
    middle = b"</vertices>\n<triangles>\n"
    return [head.encode(), colours, start, *points, middle, *triangles, b"</triangles>\n", end]


def _triangles(mesh: Mesh, corner_colours: Any) -> list[bytes]:
    rows, line = mesh.faces.astype(np.int64), '<triangle v1="%d" v2="%d" v3="%d"'
    if corner_colours is not None:
        rows = np.hstack([rows, corner_colours])
        line += ' pid="2" p1="%d" p2="%d" p3="%d"'
    return list(written(rows, line + "/>\n"))
