"""What a file is, told from its first bytes and its size; its name is never asked."""

import re
from enum import StrEnum

import numpy as np

HEAD = 4096  # bytes of a file that `sniff` wants to see
STL_HEADER, STL_TRIANGLE = 84, 50  # bytes
_LONGEST_MM = 1e6


class Format(StrEnum):
    """A kind of file; the value is what a letter calls it."""

    STL = "STL"
    PLY = "PLY"
    OBJ = "OBJ"
    ZIP = "ZIP"
    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    HEIC = "HEIC"
    PDF = "PDF"
    DICOM = "DICOM"
    HPS = "3Shape"
    THREEMF = "3MF"
    GLB = "GLB"
    GLTF = "glTF"
    OFF = "OFF"
    MTL = "MTL"  # the materials of an OBJ
    RAR = "RAR"
    SEVENZIP = "7-Zip"
    TNEF = "winmail.dat"
    XML = "XML"
    MAIL = "mail"  # an attached mail, told by its part and not by its bytes
    YENC = "yEnc"  # told by the text it stands in
    EMPTY = "empty"
    OTHER = "other"


_MAGIC = {
    b"\xff\xd8\xff": Format.JPEG,
    b"\x89PNG\r\n\x1a\n": Format.PNG,
    b"%PDF-": Format.PDF,
    b"PK\x05\x06": Format.ZIP,  # an archive without members
    b"Rar!\x1a\x07": Format.RAR,
    b"7z\xbc\xaf\x27\x1c": Format.SEVENZIP,
    b"\x78\x9f\x3e\x22": Format.TNEF,
    b"glTF": Format.GLB,
    b"ply\n": Format.PLY,
    b"ply\r": Format.PLY,
}
# Office files are ZIPs too, and begin with the same list of types as a 3MF.
_OFFICE = re.compile(
    rb"PK\x03\x04.{26}(?:(?:word|xl|ppt|docProps|visio)/|mimetypeapplication/vnd\.oasis)", re.DOTALL
)
_ASCII_STL = re.compile(rb"\s*solid\b", re.IGNORECASE)
_ASCII_STL_BODY = re.compile(rb"\b(facet|endsolid)\b", re.IGNORECASE)
_COMMENT = re.compile(rb"#[^\r\n]*")
_OFF = re.compile(rb"\s*(?:ST)?C?N?4?n?OFF(?:[ \t]+BINARY\b|\s*\d+\s+\d+\b)")
_GLTF = re.compile(
    rb'\A\s*\{(?s:.*?)"(?:asset|accessors|bufferViews|buffers|meshes|nodes|scenes?|materials'
    rb'|extensionsUsed)"\s*:'
)
_MTL = re.compile(rb"^[ \t]*newmtl[ \t]+\S", re.MULTILINE)
_OBJ = re.compile(
    rb"^[ \t]*(?:v|vn|vt|f)[ \t]+[-+.\d]|^[ \t]*(?:mtllib|usemtl|o|g)[ \t]+\S", re.MULTILINE
)
# In the order of asking: what begins with a word of its own comes first.
_TEXTS = (
    (re.compile(rb"\A\s*<\?xml"), Format.XML),
    (_GLTF, Format.GLTF),
    (_OBJ, Format.OBJ),
    (_MTL, Format.MTL),  # an OBJ may hold its materials itself
)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def sniff(head: bytes, size: int) -> Format:
    """The format of a file.

    Args:
        head: its first 4096 bytes, or all of it when it is shorter.
        size: its whole size in bytes.
    """
    if size == 0:
        return Format.EMPTY
    # DICOM and STL first: both begin with bytes that their writer chose freely.
    if head[128:132] == b"DICM":
        return Format.DICOM
    if _is_whole_binary_stl(head, size):
        return Format.STL
    return _by_magic(head) or _by_text(head, size) or _by_triangles(head, size)


def declared_triangles(head: bytes) -> int:
    """The triangle count in the header of a binary STL."""
    return int.from_bytes(head[80:84], "little")


def is_ascii_stl(head: bytes, size: int) -> bool:
    """Whether an STL is the text kind; many binary ones begin with `solid` too."""
    if _is_whole_binary_stl(head, size) or not _ASCII_STL.match(head):
        return False
    if _ASCII_STL_BODY.search(head):
        return True
    return size <= HEAD and not _NOT_TEXT.search(head)


def _is_whole_binary_stl(head: bytes, size: int) -> bool:
    return size >= STL_HEADER and STL_HEADER + STL_TRIANGLE * declared_triangles(head) == size


def _by_magic(head: bytes) -> Format | None:
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _packed(head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Format.WEBP
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return Format.HEIC
    return None


def _packed(head: bytes) -> Format:
    if b"3D/3dmodel.model" in head:
        return Format.THREEMF
    if _OFFICE.search(head):
        return Format.OTHER
    return Format.THREEMF if b"[Content_Types].xml" in head[:128] else Format.ZIP


def _by_text(head: bytes, size: int) -> Format | None:
    if is_ascii_stl(head, size):
        return Format.STL
    if b"<HPS" in head[:1024]:  # 3Shape's scan, often named .dcm and no DICOM at all
        return Format.HPS
    text = head.removeprefix(b"\xef\xbb\xbf")
    if _OFF.match(_COMMENT.sub(b"", text)):  # before the next line: the binary kind is no text
        return Format.OFF
    if _NOT_TEXT.search(text):
        return None
    return next((kind for shape, kind in _TEXTS if shape.search(text)), None)


def _by_triangles(head: bytes, size: int) -> Format:
    """A binary STL whose count and size disagree still shows plausible triangles.

    It is called STL, so that its sender hears where it stops and not that it is unknown.
    """
    whole = (min(len(head), size) - STL_HEADER) // STL_TRIANGLE
    if whole < 1:
        return Format.OTHER
    rows = np.frombuffer(head, np.uint8, whole * STL_TRIANGLE, STL_HEADER)
    numbers = np.ascontiguousarray(rows.reshape(whole, STL_TRIANGLE)[:, :48]).view("<f4")
    return Format.STL if _look_like_triangles(numbers) else Format.OTHER


def _look_like_triangles(numbers: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> bool:
    """Whether (n, 12) floats are mostly a normal and three corners.

    A unit (or zero) normal says so at once; some programs leave rubbish there, and then only several triangles
    in a row with numbers such as people measure are believed.
    """
    with np.errstate(all="ignore"):
        normal = np.square(numbers[:, :3]).sum(axis=1)
        unit = (np.abs(normal - 1) < 0.02) | (normal == 0)
        large = np.abs(numbers)
        measured = ((large < _LONGEST_MM) & ((large > 1e-12) | (large == 0))).all(axis=1)
        measured &= large[:, 3:].max(axis=1) > 1e-4
    believed = measured if len(numbers) >= 3 else measured & unit
    return bool(believed.mean() > 0.8)
