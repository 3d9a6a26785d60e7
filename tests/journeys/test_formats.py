"""What labs really attach, from the mail to the page: formats, textures, photos, documents, units."""

import io
import re
import zipfile

import aiohttp
import numpy as np
import pydicom
import pypdf
import pytest
from PIL import Image

from inbound.scans import glb, gltfcopy, stl, threemf
from inbound.scans.jobs import unwired
from inbound.scans.mesh import Mesh
from scanpost import jaws
from store.house import object_name, open_object
from store.model import Scan
from store.records import cases
from store.states import CaseState, ScanState
from tests.conftest import Running, jaw_stl
from tests.fakes import ANNA, KIM, mail, reply, text_of

JAW = jaws.make_jaw(6_000, "upper")
SUBJECT = f"{KIM} C-1044 veneer 8-9"


async def scans_of(running: Running) -> list[Scan]:
    case = await running.only_case()
    async with running.house.database.read() as connection:
        version = await cases.latest_version(connection, case.id)
        assert version is not None
        return await cases.scans_of(connection, version.id)


async def object_of(running: Running, scan: Scan, what: str) -> bytes:
    case = await running.only_case()
    async with running.house.database.read() as connection:
        key = await running.house.case_key(connection, case.id)
    name = object_name(case.id, scan.version_id, scan.number, what)
    return b"".join(open_object(running.house.blobs, key, name).pieces())


def photo(size: tuple[int, int] = (1200, 800)) -> bytes:
    """A JPEG that lies on its side and says where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it to see it upright
    exif[0x010F] = "Canon of Jane Doe"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    out = io.BytesIO()
    noise = np.random.default_rng(3).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(out, "JPEG", exif=exif, quality=90)
    return out.getvalue()


def textured() -> dict[str, bytes]:
    """An OBJ with its material and its texture: red left of the middle, blue right of it."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32] = (220, 30, 30)
    image[:, 32:] = (30, 30, 220)
    picture = io.BytesIO()
    Image.fromarray(image).save(picture, "PNG")
    share = (JAW.vertices[:, 0] - JAW.vertices[:, 0].min()) / np.ptp(JAW.vertices[:, 0])
    lines = ["mtllib jane_doe.mtl", "usemtl skin"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in JAW.vertices.tolist()]
    lines += [f"vt {u:.4f} 0.5" for u in share.tolist()]
    lines += [" ".join(["f", *(f"{i}/{i}" for i in face)]) for face in (JAW.faces + 1).tolist()]
    return {
        "UpperJaw.obj": "\n".join(lines).encode(),
        "jane_doe.mtl": b"newmtl skin\nKd 1 1 1\nmap_Kd C:\\scans\\Jane Doe.png\n",
        "Jane Doe.png": picture.getvalue(),
    }


@pytest.mark.parametrize("packed", [False, True], ids=["attached", "in-a-zip"])
async def test_an_obj_keeps_its_texture_and_its_files_are_none_of_their_own(
    running: Running, *, packed: bool
) -> None:
    files = textured()
    if packed:
        box = io.BytesIO()
        with zipfile.ZipFile(box, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(f"export/{name}", data)
        files = {"scans.zip": box.getvalue()}
    await running.postman.send(mail(SUBJECT, "", files))
    answer = text_of(await running.inbox.letter("answer", ANNA))
    assert "Photo" not in answer
    assert "Not shared" not in answer
    scan, *rest = sorted(await scans_of(running), key=lambda one: one.format != "OBJ")
    assert {one.state for one in rest} == {ScanState.USED}
    shown = glb.unpack(unwired(await object_of(running, scan, "full")))
    assert shown.texture is not None
    assert shown.uvs is not None
    copy = await object_of(running, scan, "copy")
    assert scan.copy_suffix == "glb"
    assert copy.startswith(b"glTF")
    assert b"Jane" not in copy
    # From afar the colours stand at the vertices.
    seen = glb.unpack(unwired(await object_of(running, scan, "preview")))
    left = seen.vertices[:, 0] < np.median(seen.vertices[:, 0]) - 10
    assert seen.colours[left].mean(axis=0) == pytest.approx([220, 30, 30], abs=12)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("upper.3mf", threemf.write(JAW)),
        ("upper.glb", gltfcopy.write(JAW)),
        ("upper.off", b"OFF\n" + f"{len(JAW.vertices)} {len(JAW.faces)} 0\n".encode()
         + "\n".join(" ".join(map(str, v)) for v in JAW.vertices.tolist()).encode() + b"\n"
         + "\n".join("3 " + " ".join(map(str, f)) for f in JAW.faces.tolist()).encode() + b"\n"),
    ],
)  # fmt: skip
async def test_other_formats_are_shared_like_an_stl(
    running: Running, name: str, data: bytes
) -> None:
    await running.postman.send(mail(SUBJECT, "", {name: data}))
    await running.inbox.letter("share", KIM)
    (scan,) = await scans_of(running)
    assert scan.report is not None
    assert scan.report["triangles"] == len(JAW.faces)
    sides = np.ptp(JAW.vertices, axis=0)
    assert scan.report["size_mm"] == pytest.approx(sides.tolist(), abs=0.01)
    assert scan.copy_suffix == name.rpartition(".")[2]


async def test_a_photo_goes_upright_and_without_its_place(running: Running) -> None:
    await running.postman.send(mail(f"{KIM} C-1060", "", {"IMG_0042.jpg": photo()}))
    answer = text_of(await running.inbox.letter("answer", ANNA))
    assert "Photo (IMG_0042.jpg)" in answer
    assert "800 × 1,200 pixels" in answer
    assert re.search(
        r"Removed from the copies that reviewers download: \d+ piece", " ".join(answer.split())
    )
    share = await running.inbox.letter("share", KIM)
    assert "IMG_0042" not in text_of(share)
    (scan,) = await scans_of(running)
    for what in ("copy", "preview"):
        data = await object_of(running, scan, what)
        assert b"Canon" not in data
        with Image.open(io.BytesIO(data)) as image:
            assert not image.getexif()
            assert image.height > image.width
    link = re.search(r"http://\S+/r/\S+", text_of(share))[0]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as web:
        async with web.post(link + "/open", headers={"Origin": running.url}) as entered:
            html = await entered.text()
        assert "Photos and documents" in html
        place = re.search(r'src="(/r/[^"]*/v/1/scan/1/photo[^"]*)"', html)[1]
        async with web.get(running.url + place) as shown:
            assert shown.status == 200
            assert shown.headers["Content-Type"] == "image/webp"
        async with web.get(link + "/v/1/scan/1/download") as download:
            assert "C-1060_photo_1.jpg" in download.headers["Content-Disposition"]


async def test_a_photo_alone_is_no_share_where_nobody_is_named(running: Running) -> None:
    await running.postman.send(mail("my holidays", "look", {"IMG_0042.jpg": photo()}))
    letter = text_of(await running.inbox.letter("notice", ANNA))
    assert "No scan was found in your mail" in letter


async def test_a_pdf_and_a_volume_go_with_the_scans_without_names(running: Running) -> None:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    writer.add_metadata({"/Author": "Jane Doe"})
    pdf = io.BytesIO()
    writer.write(pdf)
    files = {"upper.stl": jaw_stl(), "order.pdf": pdf.getvalue(), "slice.dcm": volume()}
    await running.postman.send(mail(SUBJECT, "", files))
    answer = text_of(await running.inbox.letter("answer", ANNA))
    assert "Document (order.pdf)" in answer
    assert "1 page" in answer
    assert "X-ray volume (slice.dcm)" in answer
    for scan in await scans_of(running):
        assert b"Doe" not in await object_of(running, scan, "copy")


async def test_a_scan_in_inches_is_held_and_asked_about(running: Running) -> None:
    inches = Mesh(JAW.vertices / np.float32(25.4), JAW.faces)
    files = {"UpperJaw.stl": jaws.stl_bytes(inches), "LowerJaw.stl": jaw_stl("lower")}
    await running.postman.send(mail(f"{KIM} C-1056", "", files))
    asked = await running.inbox.letter("notice", ANNA)
    said = " ".join(text_of(asked).split())
    assert "UpperJaw.stl measures" in said
    assert "looks like inches" in said
    assert "Nobody has been told yet" in said
    case = await running.only_case()
    assert case.state is CaseState.HELD
    await running.postman.send(reply(asked, "Inch"))
    await running.inbox.letter("share", KIM)
    await running.inbox.letter("answer", ANNA)
    upper, lower = await scans_of(running)
    sides = np.ptp(JAW.vertices, axis=0)
    assert upper.report["size_mm"] == pytest.approx(sides.tolist(), abs=0.01)
    assert (upper.unit, lower.unit) == ("inch", "mm")
    copy = stl.read(memoryview(await object_of(running, upper, "copy")))
    assert np.ptp(copy.vertices, axis=0) == pytest.approx(sides, abs=0.01)
    assert len(running.inbox.letters) == 3  # the question, the answer, the share


async def test_millimetres_are_shared_as_they_are_when_their_owner_says_so(
    running: Running,
) -> None:
    small = Mesh(JAW.vertices / np.float32(25.4), JAW.faces)
    await running.postman.send(mail(f"{KIM} C-1056", "", {"UpperJaw.stl": jaws.stl_bytes(small)}))
    asked = await running.inbox.letter("notice", ANNA)
    await running.postman.send(reply(asked, "no idea"))
    helped = text_of(await running.inbox.letter("notice", ANNA, 2))
    assert "Reply with the unit of the scans on the first line" in " ".join(helped.split())
    await running.postman.send(reply(asked, "MM."))
    await running.inbox.letter("share", KIM)
    (scan,) = await scans_of(running)
    assert max(scan.report["size_mm"]) < 4


def volume() -> bytes:
    """One slice of nobody's jaw, with a name in it."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    slice_ = pydicom.Dataset()
    slice_.file_meta = meta
    slice_.SOPClassUID = meta.MediaStorageSOPClassUID
    slice_.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    slice_.PatientName, slice_.PatientID, slice_.Modality = "Doe^Jane", "Doe-4711", "CT"
    slice_.Rows = slice_.Columns = 16
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit, slice_.PixelRepresentation, slice_.SamplesPerPixel = 15, 0, 1
    slice_.PhotometricInterpretation = "MONOCHROME2"
    slice_.PixelData = bytes(16 * 16 * 2)
    out = io.BytesIO()
    pydicom.dcmwrite(out, slice_, enforce_file_format=True)
    return out.getvalue()


async def test_how_the_jaws_meet_stands_in_the_letters_and_an_open_bite_is_told_the_owner_alone(
    running: Running,
) -> None:
    lower = jaws.make_jaw(6_000, "lower")
    await running.postman.send(
        mail(
            f"{KIM} C-1", "", {"upper.stl": jaws.stl_bytes(JAW), "lower.stl": jaws.stl_bytes(lower)}
        )
    )
    touching = " ".join(text_of(await running.inbox.letter("share", KIM)).split())
    assert re.search(r"Upper jaw and lower jaw touch on \d+\.\d mm²", touching)
    sunk = Mesh(lower.vertices - np.float32([0, 0, 4]), lower.faces)
    await running.postman.send(
        mail(
            f"{KIM} C-2", "", {"upper.stl": jaws.stl_bytes(JAW), "lower.stl": jaws.stl_bytes(sunk)}
        )
    )
    answer = " ".join(text_of(await running.inbox.letter("answer", ANNA, 2)).split())
    assert re.search(r"The bite is open: the jaws are \d\.\d mm apart", answer)
    share = " ".join(text_of(await running.inbox.letter("share", KIM, 2)).split())
    assert "The bite is open" not in share
    assert "do not touch" in share


async def test_all_of_an_export_in_inches_is_converted_by_one_answer(running: Running) -> None:
    def inches(mesh: Mesh) -> bytes:
        return jaws.stl_bytes(Mesh(mesh.vertices / np.float32(25.4), mesh.faces))

    files = {"UpperJaw.stl": inches(JAW), "crown-11.stl": inches(jaws.make_crown(2_000))}
    await running.postman.send(mail(f"{KIM} C-1056", "", files))
    asked = await running.inbox.letter("notice", ANNA)
    await running.postman.send(reply(asked, "inch"))
    answer = await running.inbox.letter("answer", ANNA)
    await running.inbox.letter("share", KIM)
    assert {scan.unit for scan in await scans_of(running)} == {"inch"}
    assert all(max(scan.report["size_mm"]) > 7 for scan in await scans_of(running))
    # A second thought is answered, and not passed on as a comment.
    await running.postman.send(reply(answer, "CM"))
    told = text_of(await running.inbox.letter("notice", ANNA, 2))
    assert "the unit that you said before" in " ".join(told.split())
    assert len([one for one in running.inbox.letters if one["X-Scanpost-Kind"] == "remark"]) == 0


async def test_two_folders_of_a_zip_keep_their_own_textures(running: Running) -> None:
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder, colour in (("UpperJaw", (220, 30, 30)), ("LowerJaw", (30, 30, 220))):
            picture = io.BytesIO()
            Image.new("RGB", (8, 8), colour).save(picture, "PNG")
            files = textured()
            archive.writestr(f"{folder}/scan.obj", files["UpperJaw.obj"])
            archive.writestr(f"{folder}/jane_doe.mtl", files["jane_doe.mtl"])
            archive.writestr(f"{folder}/Jane Doe.png", picture.getvalue())
    await running.postman.send(mail(SUBJECT, "", {"scans.zip": box.getvalue()}))
    await running.inbox.letter("share", KIM)
    shown = {scan.role: scan for scan in await scans_of(running) if scan.is_surface}
    assert set(shown) == {"upper", "lower"}
    for role, colour in (("upper", [220, 30, 30]), ("lower", [30, 30, 220])):
        seen = glb.unpack(unwired(await object_of(running, shown[role], "preview")))
        assert seen.colours.mean(axis=0) == pytest.approx(colour, abs=12)
    assert {scan.state for scan in await scans_of(running)} == {ScanState.READY, ScanState.USED}


async def test_an_obj_among_many_photos_finds_its_texture(running: Running) -> None:
    small = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 9, 9)).save(small, "PNG")
    photos = {f"snap {number}.png": small.getvalue() for number in range(70)}
    await running.postman.send(mail(SUBJECT, "", {**photos, **textured()}))
    await running.inbox.letter("share", KIM)
    scans = await scans_of(running)
    (surface,) = [scan for scan in scans if scan.is_surface]
    assert surface.copy_suffix == "glb"
    assert sum(scan.state is ScanState.READY for scan in scans) == 71


@pytest.mark.parametrize("line", ["REVOKE C-1", "The contact mesial of 14 is open."])
async def test_a_logo_or_a_snapshot_in_a_reply_stands_in_no_words_way(
    running: Running, line: str
) -> None:
    await running.postman.send(mail(f"{KIM} C-1", "", {"upper.stl": jaw_stl()}))
    answer = await running.inbox.letter("answer", ANNA)
    await running.inbox.letter("share", KIM)
    message = reply(answer, line)
    message.add_attachment(photo(), "image", "jpeg", filename="IMG_0042.jpg")
    await running.postman.send(message)
    if line.startswith("REVOKE"):
        await running.inbox.letter("transcript", ANNA)
    else:
        remark = text_of(await running.inbox.letter("remark", KIM))
        assert "mesial of 14" in remark
        told = text_of(await running.inbox.letter("notice", ANNA))
        assert "files in a reply are not" in " ".join(told.split())
    await running.only_case()


async def test_a_command_with_a_logo_in_a_new_mail_is_a_command(running: Running) -> None:
    await running.postman.send(mail(f"{KIM} C-1", "", {"upper.stl": jaw_stl()}))
    await running.inbox.letter("share", KIM)
    message = mail(f"Re: {KIM} C-1", "REVOKE C-1", {"logo.jpg": photo((400, 400))})
    await running.postman.send(message)
    await running.inbox.letter("transcript", ANNA)
    await running.only_case()
