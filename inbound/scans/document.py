"""A PDF (ISO 32000): its pages stay as they look; who made it, what hides in it and what runs by itself goes.

A new file is built from the pages outwards, object by object: what no page shows is never reached, so that
former revisions, attachments, scripts, form data and the document's own records are simply not in the copy. On the
way, dictionaries lose the keys that speak of people or act. Streams are carried over packed, as they are, but for
photos, whose cameras write into them too.
"""

import contextlib
import io
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inbound.scans import pdfphoto
from inbound.scans.mesh import in_plain_words
from store.errors import ScanRefused

if TYPE_CHECKING:
    from pypdf import PdfReader

MOST_PAGES = 500
MOST_OBJECTS = 100_000
_AGAIN = "Print it to a new PDF and send it in a new mail."
_INHERITED = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")
_PAGE = {*_INHERITED, "/Contents", "/BleedBox", "/TrimBox", "/ArtBox", "/UserUnit", "/Group"}
# Keys with a page that concern neither a person nor an action; their going is not worth counting.
_PAGE_SILENT = {
    "/Type",
    "/Parent",
    "/Annots",
    "/Tabs",
    "/StructParents",
    "/StructParent",
    "/Dur",
    "/Trans",
}
# Of the document itself, what says which layers are seen; the others are dropped, and these without a count.
_CATALOG_SILENT = {
    *(
        "/Type",
        "/Pages",
        "/OCProperties",
        "/PageMode",
        "/PageLayout",
        "/ViewerPreferences",
        "/Version",
    ),
    *("/Extensions", "/PageLabels", "/MarkInfo", "/StructTreeRoot", "/Lang", "/Outlines", "/Dests"),
}
# Marks that a reviewer is to see. Links, sounds, films, attached files and windows with comments go.
_MARKS = {
    *("/Text", "/FreeText", "/Line", "/Square", "/Circle", "/Polygon", "/PolyLine", "/Highlight"),
    *("/Underline", "/Squiggly", "/StrikeOut", "/Stamp", "/Caret", "/Ink", "/Widget"),
}
_MARK = {
    *("/Type", "/Subtype", "/Rect", "/Contents", "/F", "/AP", "/AS", "/Border", "/C", "/BS", "/BE"),
    *("/IC", "/CA", "/QuadPoints", "/InkList", "/L", "/LE", "/LL", "/LLE", "/Vertices", "/RD"),
    *("/DA", "/Q", "/Name", "/Sy", "/OC", "/Rotate"),
}
# Wherever they are met: records, actions, files within, and objects that lead back to the whole document.
_TELLING = {
    *("/Metadata", "/PieceInfo", "/LastModified", "/AA", "/A", "/OpenAction", "/JS", "/JavaScript"),
    *("/EF", "/AF", "/RF", "/Ref", "/OPI", "/Author", "/Creator", "/Producer", "/CreationDate"),
    *("/ModDate", "/CreatorInfo", "/Usage", "/Parent", "/StructParent", "/StructParents", "/Thumb"),
    *("/Measure", "/PtData", "/Info", "/URI", "/DSS"),
}
_OUTSIDE = {"/F", "/FFilter", "/FDecodeParms"}  # of a stream: its data is another file's
_WHOLE = {"/Catalog", "/Pages", "/Page", "/Annot", "/Action", "/Filespec", "/Sig", "/EmbeddedFile"}


@dataclass(frozen=True)
class Document:
    """A PDF as reviewers get it.

    Attributes:
        copy: the new PDF.
        pages: their number.
        stripped: how many records, actions, attachments and other things were left behind.
    """

    copy: bytes
    pages: int
    stripped: int


def strip(data: memoryview) -> Document:
    """The PDF without what tells of its makers, acts, or is not on a page.

    Raises:
        ScanRefused: it is protected, damaged, has no page, more than 500 of them or too many objects.
    """
    with in_plain_words("a PDF"), _silent():
        import pypdf  # noqa: PLC0415 -- 120 ms, for the few mails that bring a PDF

        reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted:
            raise ScanRefused(f"is protected with a password. {_AGAIN}")
        return _Copy(reader).made()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing of a file's content reaches the log by way of the library's complaints."""
    logger = logging.getLogger("pypdf")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


@dataclass
class _Copy:
    """The new file in the making.

    Attributes:
        objects: of the new file, object 1 first.
        numbers: the new number of an old object.
        inherited: the new number of what pages inherit, by the identity of the old value.
        waiting: old objects that are referred to and not yet copied, with their new number.
        unpacked: bytes of photos that were packed once more.
    """

    reader: "PdfReader"
    objects: list[Any] = field(default_factory=list)
    numbers: dict[tuple[int, int], int] = field(default_factory=dict)
    inherited: dict[int, int] = field(default_factory=dict)
    waiting: deque[tuple[Any, int]] = field(default_factory=deque)
    unpacked: int = 0
    stripped: int = 0

    def made(self) -> Document:
        catalog = self.reader.root_object
        pages = list(_pages(catalog))
        if not pages:
            raise ScanRefused(f"has no pages. {_AGAIN}")
        self.objects = [None, None]  # the catalog and the page tree, which point at all others
        kids = [self._page(page) for page in pages]
        self.objects[0] = self._catalog(catalog)
        self._follow()
        self.objects[1] = _dictionary(
            {"/Type": _name("/Pages"), "/Count": _number(len(kids)), "/Kids": _array(kids)}
        )
        self.stripped += len(_resolved(self.reader.trailer.get("/Info")) or ())
        return Document(_written(self.objects), len(pages), self.stripped)

    def _catalog(self, catalog: Any) -> Any:
        self.stripped += len(set(catalog) - _CATALOG_SILENT)
        made = {"/Type": _name("/Catalog"), "/Pages": _reference(2)}
        layers = catalog.get("/OCProperties")
        if layers is not None:  # without them, what is hidden would be seen
            made["/OCProperties"] = self._value(layers)
        return _dictionary(made)

    def _page(self, page: dict[str, Any]) -> Any:
        made = {"/Type": _name("/Page"), "/Parent": _reference(2)}
        for key, value in page.items():
            if key in _PAGE:
                made[key] = self._shared(value) if key in _INHERITED else self._value(value)
            else:
                self.stripped += key not in _PAGE_SILENT
        marks = [self._mark(mark) for mark in _resolved(page.get("/Annots")) or []]
        made["/Annots"] = _array([mark for mark in marks if mark is not None])
        return self._placed(_dictionary(made))

    def _mark(self, mark: Any) -> Any:
        """An annotation that is to be seen, without its author, its dates and what it does; or None."""
        mark = _resolved(mark)
        kind = _resolved(mark.get("/Subtype")) if isinstance(mark, dict) else None
        if kind not in _MARKS or (kind == "/Widget" and "/AP" not in mark):
            self.stripped += 1
            return None
        self.stripped += len({"/T", "/A", "/AA", "/V", "/RC"} & set(mark))
        made = {key: self._value(mark.raw_get(key)) for key in sorted(_MARK & set(mark))}
        if kind == "/Widget":  # a form's field becomes a picture of what was filled in
            made["/Subtype"] = _name("/Stamp")
            made.pop("/Contents", None)
        return self._placed(_dictionary(made))

    def _shared(self, value: Any) -> Any:
        """What pages inherit is written once, however many inherit it."""
        if not isinstance(value, dict):
            return self._value(value)
        if id(value) not in self.inherited:
            self.inherited[id(value)] = self._placed(self._value(value)).idnum
        return _reference(self.inherited[id(value)])

    def _placed(self, made: Any) -> Any:
        if len(self.objects) >= MOST_OBJECTS:
            raise ScanRefused(f"is built of more than {MOST_OBJECTS:,} parts. {_AGAIN}")
        self.objects.append(made)
        return _reference(len(self.objects))

    def _follow(self) -> None:
        while self.waiting:
            old, number = self.waiting.popleft()
            value = _resolved(old)
            if isinstance(value, dict) and _resolved(value.get("/Type")) in _WHOLE:
                value = None  # a way back to the whole document
            self.objects[number - 1] = self._value(value)

    def _value(self, source: Any) -> Any:
        """A copy in which references point into the new file; containers are walked without recursion."""
        made, todo = self._shell(source)
        while todo:
            old, new = todo.pop()
            pairs = list(old.items()) if isinstance(old, dict) else list(enumerate(old))
            for key, value in pairs:
                if _tells(old, key):
                    self.stripped += key not in _PAGE_SILENT
                    continue
                child, more = self._shell(value)
                todo += more
                if not isinstance(new, dict):
                    new.append(child)
                elif key == "/Name" and not _is_name(child):  # of a layer, in its writer's words
                    new[key] = _text("Layer")
                else:
                    new[key] = child
        return made

    def _shell(self, value: Any) -> tuple[Any, list[tuple[Any, Any]]]:
        """The new value, and if it is a container, itself to be filled from the old one."""
        from pypdf.generic import (  # noqa: PLC0415 -- see `strip`
            ArrayObject,
            DictionaryObject,
            IndirectObject,
            NullObject,
        )

        if value is None:
            return NullObject(), []
        if isinstance(value, IndirectObject):
            return self._referred(value), []
        if _is_stream(value):
            return self._stream(value)
        if isinstance(value, DictionaryObject | ArrayObject):
            made: Any = DictionaryObject() if isinstance(value, dict) else ArrayObject()
            return made, [(value, made)]
        return value, []

    def _referred(self, old: Any) -> Any:
        known = (old.idnum, old.generation)
        if known not in self.numbers:
            self.numbers[known] = self._placed(None).idnum
            self.waiting.append((old, self.numbers[known]))
        return _reference(self.numbers[known])

    def _stream(self, old: Any) -> tuple[Any, list[tuple[Any, Any]]]:
        """As `_shell`, with the data as packed in the file; a photo without its metadata and other packings."""
        from pypdf.generic import StreamObject  # noqa: PLC0415 -- see `strip`

        data = old._data  # noqa: SLF001 -- its public sister unpacks
        made, entries = StreamObject(), old
        filters = [str(name) for name in _listed(old.get("/Filter"))]
        if pdfphoto.is_photo(filters):
            photo = pdfphoto.bare(data, filters, pdfphoto.MOST_UNPACKED - self.unpacked)
            self.unpacked += photo.unpacked
            self.stripped += photo.stripped
            data, entries = photo.data, _repacked(old, photo.coding)
        made.set_data(data)
        return made, [(entries, made)]


def _tells(holder: Any, key: Any) -> bool:
    if not isinstance(holder, dict):
        return False
    return key in _TELLING or (key in _OUTSIDE and _is_stream(holder))


def _pages(catalog: Any) -> Iterator[dict[str, Any]]:
    """Each page's entries, inherited ones included; the tree is walked without recursion, each node once."""
    seen: set[int] = set()
    found = 0
    todo: list[tuple[Any, dict[str, Any]]] = [(catalog.get("/Pages"), {})]
    while todo:
        reference, inherited = todo.pop()
        node: Any = _resolved(reference)
        if not isinstance(node, dict) or id(node) in seen:
            continue
        own = {**inherited, **{key: value for key, value in node.items() if key in _INHERITED}}
        kids = _resolved(node.get("/Kids"))
        if isinstance(kids, list):
            todo += [(kid, own) for kid in reversed(kids) if id(kids) not in seen]
            seen |= {id(node), id(kids)}
            continue
        seen.add(id(node))
        found += 1
        if found > MOST_PAGES:
            raise ScanRefused(f"has more than {MOST_PAGES} pages. Send the ones that matter.")
        yield {**node, **own}


def _resolved(value: Any) -> Any:
    """What a reference leads to, or the value itself; None for nothing."""
    from pypdf.generic import IndirectObject, NullObject  # noqa: PLC0415 -- see `strip`

    if isinstance(value, IndirectObject):
        value = value.get_object()
    return None if isinstance(value, NullObject | IndirectObject) else value


def _is_stream(value: Any) -> bool:
    from pypdf.generic import StreamObject  # noqa: PLC0415 -- see `strip`

    return isinstance(value, StreamObject)


def _listed(value: Any) -> list[Any]:
    """One value, several or none, each of them resolved."""
    value = _resolved(value)
    if isinstance(value, list):
        return [_resolved(item) for item in value]
    return [] if value is None else [value]


def _repacked(old: Any, coding: str) -> Any:
    """The entries of a stream, as if its data had only the last of its packings."""
    from pypdf.generic import StreamObject  # noqa: PLC0415 -- see `strip`

    made = StreamObject()
    made.update({key: value for key, value in old.items() if key != "/DecodeParms"})
    made.update(_dictionary({"/Filter": _name(coding)}))
    *around, own = _listed(old.get("/DecodeParms")) or [None]
    if any(isinstance(hints, dict) and "/Predictor" in hints for hints in around):
        raise pdfphoto.cannot()  # no program does so with a photo
    if isinstance(own, dict) and len(around) == len(_listed(old.get("/Filter"))) - 1:
        made.update(_dictionary({"/DecodeParms": own}))
    return made


def _is_name(value: Any) -> bool:
    from pypdf.generic import NameObject  # noqa: PLC0415 -- see `strip`

    return isinstance(value, NameObject)


def _written(objects: list[Any]) -> bytes:
    """The file of these objects, numbered from 1; the first is the catalog."""
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, value in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n" % number)
        value.write_to_stream(out)
        out.write(b"\nendobj\n")
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(places) + 1))
    out.write(b"startxref\n%d\n%%%%EOF\n" % table)
    return out.getvalue()


def _dictionary(entries: dict[str, Any]) -> Any:
    from pypdf.generic import DictionaryObject, NameObject  # noqa: PLC0415 -- see `strip`

    return DictionaryObject({NameObject(key): value for key, value in entries.items()})


def _array(values: list[Any]) -> Any:
    from pypdf.generic import ArrayObject  # noqa: PLC0415 -- see `strip`

    return ArrayObject(values)


def _name(value: str) -> Any:
    from pypdf.generic import NameObject  # noqa: PLC0415 -- see `strip`

    return NameObject(value)


def _text(value: str) -> Any:
    from pypdf.generic import TextStringObject  # noqa: PLC0415 -- see `strip`

    return TextStringObject(value)


def _number(value: int) -> Any:
    from pypdf.generic import NumberObject  # noqa: PLC0415 -- see `strip`

    return NumberObject(value)


def _reference(number: int) -> Any:
    from pypdf.generic import IndirectObject  # noqa: PLC0415 -- see `strip`

    return IndirectObject(number, 0, None)
