"""PDFs: pages stay as they look; makers, scripts, attachments and former revisions are not in the copy."""

import base64
import io
import logging
import zlib
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    IndirectObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

from inbound.scans.document import MOST_PAGES, Document, strip
from store.errors import ScanRefused
from tests.refusing import refused

SECRETS = (
    b"Jane",
    b"Roe",
    b"Dr. Meyer",
    b"app.alert",
    b"evil.example",
    b"hidden.txt",
    b"attached words",
)


def stripped(data: bytes) -> Document:
    return strip(memoryview(data))


def refusal(data: bytes) -> str:
    return refused(stripped, data)


def dictionary(**entries: Any) -> DictionaryObject:
    return DictionaryObject({NameObject("/" + key): pdf(value) for key, value in entries.items()})


def pdf(value: Any) -> Any:
    """A Python value as a PDF object: strings that begin with a slash are names."""
    if isinstance(value, str):
        return NameObject(value) if value.startswith("/") else TextStringObject(value)
    if isinstance(value, bool | IndirectObject | DictionaryObject):
        return value
    if isinstance(value, int):
        return NumberObject(value)
    if isinstance(value, float):
        return FloatObject(value)
    return ArrayObject([pdf(item) for item in value])


def stream(data: bytes, **entries: Any) -> DecodedStreamObject:
    made = DecodedStreamObject()
    made.set_data(data)
    made.update(dictionary(**entries))
    return made


def writer_of(*texts: str) -> PdfWriter:
    writer = PdfWriter()
    for text in texts:
        page = writer.add_blank_page(300, 200)
        font = writer._add_object(dictionary(Type="/Font", Subtype="/Type1", BaseFont="/Helvetica"))
        page[NameObject("/Resources")] = dictionary(Font=dictionary(F1=font))
        content = stream(f"BT /F1 24 Tf 20 100 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
    return writer


def written(writer: PdfWriter) -> bytes:
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def plain(data: bytes) -> bytes:
    """All bytes of a PDF, with those of its packed streams: where a secret could still be."""
    found = [data]
    reader = PdfReader(io.BytesIO(data))
    for number in range(1, reader.trailer["/Size"]):
        value = reader.get_object(number)
        if isinstance(value, DictionaryObject) and hasattr(value, "get_data"):
            found.append(value._data)
            if value.get("/Filter") == "/FlateDecode":
                found.append(value.get_data())
        found.append(repr(value).encode())
    return b"\n".join(found)


def texts(data: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(data), strict=True).pages]


def telling() -> PdfWriter:
    writer = writer_of("Upper left crown", "Second page")
    writer.add_metadata({"/Author": "Jane Roe", "/Title": "Roe", "/Producer": "Dr. Meyer"})
    writer.xmp_metadata = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>Jane Roe</x:xmpmeta>"
    writer.add_attachment("hidden.txt", b"attached words")
    root, page = writer.root_object, writer.pages[0]
    script = dictionary(S="/JavaScript", JS="app.alert('Jane Roe')")
    root["/Names"][NameObject("/JavaScript")] = dictionary(Names=["start", script])
    root[NameObject("/OpenAction")] = dictionary(S="/URI", URI="https://evil.example/")
    root[NameObject("/AA")] = dictionary(WC=dictionary(S="/JavaScript", JS="app.alert(1)"))
    page[NameObject("/AA")] = dictionary(O=dictionary(S="/JavaScript", JS="app.alert(2)"))
    page[NameObject("/Metadata")] = writer._add_object(stream(b"Jane Roe", Type="/Metadata"))
    page[NameObject("/PieceInfo")] = dictionary(Illustrator=dictionary(Private="Jane Roe"))
    look = writer._add_object(
        stream(b"1 0 0 rg 0 0 9 9 re f", Type="/XObject", Subtype="/Form", BBox=[0, 0, 9, 9])
    )
    page[NameObject("/Annots")] = pdf(
        [
            dictionary(
                Type="/Annot", Subtype="/Text", Rect=[9, 9, 30, 30], Contents="margin too deep",
                T="Dr. Meyer", M="D:20250101", A=dictionary(S="/JavaScript", JS="app.alert(3)"),
            ),
            dictionary(
                Type="/Annot", Subtype="/Link", Rect=[0, 0, 9, 9],
                A=dictionary(S="/URI", URI="https://evil.example/"),
            ),
            dictionary(
                Type="/Annot", Subtype="/Widget", Rect=[40, 40, 80, 60], FT="/Tx", T="patient",
                V="Jane Roe", AP=dictionary(N=look),
                A=dictionary(S="/SubmitForm", F="https://evil.example/"),
            ),
            dictionary(Type="/Annot", Subtype="/FileAttachment", Rect=[0, 0, 9, 9], Contents="Jane Roe"),
        ]
    )  # fmt: skip
    root[NameObject("/AcroForm")] = dictionary(Fields=[], XFA="Jane Roe")
    return writer


def test_pages_keep_their_words_and_lose_what_tells_and_acts() -> None:
    data = written(telling())
    assert not [secret for secret in SECRETS if secret not in plain(data)]
    document = stripped(data)
    assert not [secret for secret in SECRETS if secret in plain(document.copy)]
    assert texts(document.copy) == ["Upper left crown", "Second page"]
    assert document.pages == 2
    assert document.stripped >= 15
    again = PdfReader(io.BytesIO(document.copy), strict=True)
    assert set(again.root_object) == {"/Type", "/Pages"}
    assert again.metadata is None
    assert again.pages[0].mediabox[2:] == [300, 200]


def test_marks_are_seen_and_do_nothing() -> None:
    page = PdfReader(io.BytesIO(stripped(written(telling())).copy)).pages[0]
    marks = [mark.get_object() for mark in page["/Annots"]]
    assert [mark["/Subtype"] for mark in marks] == ["/Text", "/Stamp"]
    assert marks[0]["/Contents"] == "margin too deep"
    assert marks[1]["/AP"]["/N"].get_data() == b"1 0 0 rg 0 0 9 9 re f"
    assert not [mark for mark in marks if {"/T", "/M", "/A", "/AA", "/V", "/P"} & set(mark)]


def test_former_revisions_vanish() -> None:
    first = written(writer_of("Jane Roe was here"))
    revised = PdfWriter(io.BytesIO(first), incremental=True)
    content = revised.pages[0]["/Contents"].get_object()
    content.set_data(b"BT /F1 24 Tf 20 100 Td (Case 12) Tj ET")
    data = written(revised)
    assert data.startswith(first)
    document = stripped(data)
    assert texts(document.copy) == ["Case 12"]
    assert b"Jane" not in plain(document.copy)


def with_photo(data: bytes, filters: Any, **entries: Any) -> bytes:
    writer = writer_of("A photo")
    image = stream(
        data, Type="/XObject", Subtype="/Image", Width=40, Height=30, ColorSpace="/DeviceGray",
        BitsPerComponent=8, Filter=filters, **entries,
    )  # fmt: skip
    writer.pages[0]["/Resources"][NameObject("/XObject")] = dictionary(I=writer._add_object(image))
    return written(writer)


def photo_of(document: Document) -> Any:
    resources: Any = PdfReader(io.BytesIO(document.copy)).pages[0]["/Resources"]
    return resources["/XObject"]["/I"]


def telling_photo(kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x013B] = "Jane Roe"
    photo = io.BytesIO()
    Image.effect_noise((40, 30), 50).save(photo, kind, exif=exif)
    data = photo.getvalue()
    if kind == "JPEG2000":
        record = b"\0\0\0\x20uuidJpgTiffExif->JP2Jane Roe"
        at = data.index(b"jp2c") - 4
        data = data[:at] + record + data[at:]
    assert b"Jane" in data
    return data


@pytest.mark.parametrize(
    ("filters", "pack"),
    [
        ([], lambda data: data),
        (["/FlateDecode"], zlib.compress),
        (["/ASCII85Decode"], lambda data: base64.a85encode(data) + b"~>"),
        (["/ASCIIHexDecode"], lambda data: data.hex().encode() + b">"),
        (
            ["/ASCII85Decode", "/FlateDecode"],
            lambda data: base64.a85encode(zlib.compress(data)) + b"~>",
        ),
    ],
)
@pytest.mark.parametrize(("kind", "coding"), [("JPEG", "/DCTDecode"), ("JPEG2000", "/JPXDecode")])
def test_a_photo_on_a_page_loses_its_place_and_keeps_its_pixels(
    filters: list[str], pack: Callable[[bytes], bytes], kind: str, coding: str
) -> None:
    original = telling_photo(kind)
    document = stripped(with_photo(pack(original), [*filters, coding]))
    assert b"Jane" not in document.copy
    photo = photo_of(document)
    assert photo["/Filter"] == coding
    assert photo["/Width"] == 40
    copied = Image.open(io.BytesIO(photo._data))
    assert not copied.getexif()
    assert copied.tobytes() == Image.open(io.BytesIO(original)).tobytes()
    assert document.stripped > stripped(with_photo(photo._data, coding)).stripped


def test_a_photo_keeps_its_own_hints_only() -> None:
    packed, filters = zlib.compress(telling_photo("JPEG")), ["/FlateDecode", "/DCTDecode"]
    own, other = dictionary(ColorTransform=0), dictionary(Columns=1)
    photo = photo_of(stripped(with_photo(packed, filters, DecodeParms=[other, own])))
    assert photo["/DecodeParms"] == {"/ColorTransform": 0}
    photo = photo_of(stripped(with_photo(packed, filters, DecodeParms=other)))
    assert "/DecodeParms" not in photo
    alone = photo_of(stripped(with_photo(zlib.decompress(packed), "/DCTDecode", DecodeParms=own)))
    assert alone["/DecodeParms"] == {"/ColorTransform": 0}
    predicted = [dictionary(Predictor=15), own]
    assert "metadata cannot" in refusal(with_photo(packed, filters, DecodeParms=predicted))


def test_photos_that_unpack_to_too_much_together_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo = zlib.compress(telling_photo("JPEG") + bytes(1 << 20))
    writer = writer_of("Photos")
    images = {
        f"I{number}": writer._add_object(stream(photo, Filter=["/FlateDecode", "/DCTDecode"]))
        for number in range(4)
    }
    writer.pages[0]["/Resources"][NameObject("/XObject")] = dictionary(**images)
    data = written(writer)
    assert b"Jane" not in stripped(data).copy
    monkeypatch.setattr("inbound.scans.pdfphoto.MOST_UNPACKED", 3 << 20)
    assert "unpacks to more than 3 MB of photos" in refusal(data)


def test_hidden_layers_stay_hidden_and_lose_their_names() -> None:
    writer = writer_of("Layers")
    layer = writer._add_object(
        dictionary(
            Type="/OCG", Name="Dr. Meyer", Usage=dictionary(User=dictionary(Name="Jane Roe"))
        )
    )
    writer.pages[0]["/Resources"][NameObject("/Properties")] = dictionary(L=layer)
    writer.root_object[NameObject("/OCProperties")] = dictionary(
        OCGs=[layer], D=dictionary(OFF=[layer], Name="Jane")
    )
    copy = stripped(written(writer)).copy
    reader = PdfReader(io.BytesIO(copy))
    layers = reader.root_object["/OCProperties"]
    used = reader.pages[0]["/Resources"]["/Properties"].raw_get("/L")
    assert layers["/D"]["/OFF"][0].get_object() == used.get_object()
    assert layers["/D"].raw_get("/OFF")[0] == used
    assert not [secret for secret in SECRETS if secret in plain(copy)]


def test_what_pages_inherit_is_written_once() -> None:
    writer = writer_of(*["page"] * 20)
    tree = writer.root_object["/Pages"]
    tree[NameObject("/Resources")] = dictionary(
        Font=dictionary(F1=dictionary(Type="/Font", Subtype="/Type1", BaseFont="/Courier"))
    )
    tree[NameObject("/Rotate")] = NumberObject(90)
    for page in writer.pages:
        del page["/Resources"]
    copy = stripped(written(writer)).copy
    assert copy.count(b"/Courier") == 1
    assert {page["/Rotate"] for page in PdfReader(io.BytesIO(copy)).pages} == {90}
    assert texts(copy) == ["page"] * 20


def test_a_protected_document_is_refused() -> None:
    writer = writer_of("secret")
    writer.encrypt("password", algorithm="AES-256")
    assert "protected with a password" in refusal(written(writer))


def test_too_many_pages_are_refused() -> None:
    writer = PdfWriter()
    for _ in range(MOST_PAGES + 1):
        writer.add_blank_page(10, 10)
    assert "more than 500 pages" in refusal(written(writer))


def test_no_pages_and_no_document_are_refused() -> None:
    assert "no pages" in refusal(written(PdfWriter()))
    assert "cannot be read as a PDF" in refusal(b"")
    assert "cannot be read as a PDF" in refusal(b"%PDF-1.7\n" + bytes(range(256)) * 10)
    assert "cannot be read as a PDF" in refusal(b"%PDF-1.7\n" + b"[" * 50_000)


def built(*objects: bytes) -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalog."""
    body, places = b"%PDF-1.7\n", []
    for number, value in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, value)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    tail = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        len(body),
    )
    return body + head + table + tail


CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"


def test_a_page_tree_that_runs_in_circles_ends() -> None:
    circle = built(
        CATALOG,
        b"<< /Type /Pages /Kids [2 0 R 3 0 R 3 0 R] /Count 9 >>",
        b"<< /Type /Pages /Kids [2 0 R 4 0 R] /Parent 2 0 R >>",
        b"<< /Type /Page /MediaBox [0 0 9 9] /Parent 3 0 R >>",
    )
    assert stripped(circle).pages == 1


def test_depth_does_not_matter() -> None:
    deep = [b"<< /Next %d 0 R >>" % number for number in range(5, 5005)]
    page = b"<< /Type /Page /MediaBox [0 0 9 9] /Resources << /Deep 4 0 R >> >>"
    chain = built(CATALOG, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, *deep)
    before = process_time()
    assert stripped(chain).pages == 1
    nested = built(CATALOG, b"<< /Type /Pages /Kids [3 0 R] >>", page, b"[" * 9000 + b"]" * 9000)
    assert "cannot be read as a PDF" in refusal(nested)
    assert process_time() - before < 5


def test_a_way_back_to_the_document_is_cut() -> None:
    page = b"<< /Type /Page /MediaBox [0 0 9 9] /Resources << /X 1 0 R /Y 4 0 R >> >>"
    other = b"<< /Type /Page /Secret (Jane Roe) >>"
    data = built(CATALOG, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, other)
    assert b"Jane" not in stripped(data).copy


def test_packed_streams_are_not_unpacked() -> None:
    bomb = zlib.compress(bytes(200 << 20), 9)
    page = b"<< /Type /Page /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    content = b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(bomb), bomb)
    data = built(CATALOG, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, content)
    before = process_time()
    document = stripped(data)
    assert process_time() - before < 2
    assert bomb in document.copy


def test_nothing_of_a_damaged_file_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        refusal(b"%PDF-1.7\nJane Roe startxref 12")
    assert not caplog.records


WHOLE = written(telling())


@settings(max_examples=100, deadline=None)
@given(
    at=st.integers(0, len(WHOLE)), change=st.binary(min_size=1, max_size=8), cut=st.integers(0, 200)
)
def test_damage_gives_a_document_or_a_sentence(at: int, change: bytes, cut: int) -> None:
    data = bytearray(WHOLE)
    data[at : at + len(change)] = change
    try:
        document = stripped(bytes(data[: len(data) - cut]))
    except ScanRefused:
        return
    assert b"attached words" not in document.copy
