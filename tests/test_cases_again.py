"""Scans in a reply that its case holds already: known by their bytes, however they are packed and sent."""

import base64
import io
import zipfile
from collections.abc import Callable
from email.message import EmailMessage

import pytest

from inbound.cases.again import fingerprint_in
from inbound.cases.opening import case_id_of
from inbound.cases.take import take_files
from inbound.mail.opened import OpenedMail
from inbound.scans.child import Children
from store.house import House
from store.records import mails
from tests.conftest import jaw_stl
from tests.fakes import ANNA, KIM, mail
from tests.test_mail_attachments import base64_between, uuencoded
from tests.test_mail_parts import multipart
from tests.test_talk_conversation import deliver, take_in
from tests.tnef_writer import File, winmail

UPPER, LOWER, OTHER = jaw_stl("upper", 500), jaw_stl("lower", 500), jaw_stl("upper", 4_000)
FILES = {"upper.stl": UPPER, "lower.stl": LOWER}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 11, 22, 9, 0, 0)), data, method)
    return out.getvalue()


def letter(*parts: bytes, boundary: bytes = b"b") -> bytes:
    end = b"--%b--\r\n" % boundary
    return f"From: {ANNA}\r\n".encode() + multipart(*parts, boundary=boundary, end=end)


def scan(data: bytes, name: str, encode: Callable[[bytes], bytes] = base64.encodebytes) -> bytes:
    encoding = "base64" if encode is base64.encodebytes else "quoted-printable"
    head = f"Content-Type: model/stl; name={name}\nContent-Transfer-Encoding: {encoding}\n\n"
    return (head.encode() + encode(data)).replace(b"\n", b"\r\n")


def escaped(data: bytes) -> bytes:
    """Quoted-printable, every byte of it (RFC 2045 6.7)."""
    digits = b"".join(b"=%02X" % octet for octet in data)
    return b"=\n".join(digits[at : at + 75] for at in range(0, len(digits), 75))


async def known(house: House, case_id: str, message: bytes | EmailMessage) -> str:
    """What `fingerprint_in` says of the files of a mail that comes in now."""
    data = message if isinstance(message, bytes) else message.as_bytes()
    mail_id = await take_in(house, data)
    with OpenedMail(house.spool, mail_id) as opened:
        return await fingerprint_in(house, case_id, opened.files())


async def shared(house: House, files: dict[str, bytes]) -> str:
    """The id of a mail with files whose case is in preparation."""
    mail_id, prepared = await deliver(house, mail(f"{KIM} C-1 crown", "", files))
    assert prepared
    return mail_id


@pytest.fixture(params=["in the spool", "taken"])
async def case_id(house: House, request: pytest.FixtureRequest) -> str:
    """A case with an upper and a lower jaw, before its files are taken and after."""
    mail_id = await shared(house, FILES)
    if request.param == "taken":
        await take_files(house, Children(), mail_id)
        house.spool.discard(mail_id)
    return case_id_of(mail_id)


async def test_the_same_files_are_known_whatever_the_mail_around_them(
    house: House, case_id: str
) -> None:
    found = {
        await known(house, case_id, message)
        for message in (
            mail("Re: C-1", "again", FILES),
            mail("Re: C-1", "again", dict(reversed(FILES.items()))),
            mail("Re: C-1", "again", {"a.stl": UPPER, "b.stl": LOWER}),
            mail("Re: C-1", "again", {"a.stl": LOWER, "b.stl": UPPER}),
            mail("Re: C-1", "again", {**FILES, "upper (2).stl": UPPER}),
            mail("Re: C-1", "again", {**FILES, "rx.pdf": b"%PDF-1.7 x"}),
            letter(scan(UPPER, "a.stl"), b"\r\nhello", scan(LOWER, "b.stl"), boundary=b"=_other"),
            letter(scan(UPPER, "a.stl", escaped), scan(LOWER, "b.stl")),
            letter(b"\r\nhello\r\n" + uuencoded(UPPER) + base64_between(LOWER)),
            letter(
                b"Content-Type: message/rfc822\r\n\r\n"
                + letter(*map(scan_of, FILES), boundary=b"i")
            ),
        )
    }
    assert len(found) == 1
    assert found != {""}


def scan_of(name: str) -> bytes:
    return scan(FILES[name], name)


async def test_a_part_of_the_files_is_known_and_told_from_all_of_them(
    house: House, case_id: str
) -> None:
    one = await known(house, case_id, mail("Re: C-1", "", {"upper.stl": UPPER}))
    other = await known(house, case_id, mail("Re: C-1", "", {"lower.stl": LOWER}))
    both = await known(house, case_id, mail("Re: C-1", "", FILES))
    assert len({one, other, both, ""}) == 4


@pytest.mark.parametrize(
    "files",
    [
        {"upper.stl": OTHER},
        {**FILES, "new.stl": OTHER},
        {"upper.stl": UPPER[:-50]},
        {"upper.stl": UPPER, "more.zip": zipped({"lower.stl": LOWER})},
        {"upper.stl": UPPER, "winmail.dat": winmail(File(LOWER, long_name="lower.stl"))},
        {"rx.pdf": b"%PDF-1.7 x"},
        {},
    ],
)
async def test_anything_new_and_nothing_at_all_are_not_known(
    house: House, case_id: str, files: dict[str, bytes]
) -> None:
    assert await known(house, case_id, mail("Re: C-1", "", files)) == ""


async def test_scans_of_another_case_are_not_known(house: House, case_id: str) -> None:
    await shared(house, {"upper.stl": OTHER})
    assert await known(house, case_id, mail("Re: C-1", "", {"upper.stl": OTHER})) == ""


async def test_a_case_that_waits_for_its_reviewer_knows_its_scans(house: House) -> None:
    mail_id, prepared = await deliver(house, mail("C-1 crown", "", FILES))
    assert not prepared
    assert await known(house, case_id_of(mail_id), mail("Re: C-1", "", FILES))


async def test_a_case_whose_mail_is_gone_knows_nothing(house: House) -> None:
    mail_id = await shared(house, FILES)
    house.spool.discard(mail_id)
    assert await known(house, case_id_of(mail_id), mail("Re: C-1", "", FILES)) == ""


PACKED = {
    "jaws.zip": zipped(FILES),
    "winmail.dat": winmail(File(UPPER, long_name="upper.stl"), File(LOWER, long_name="lower.stl")),
}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("taken", [False, True])
async def test_packed_files_are_known_as_they_were_sent(
    house: House, name: str, taken: bool
) -> None:
    mail_id = await shared(house, {name: PACKED[name]})
    if taken:
        children = Children()
        await take_files(house, children, mail_id)
        await children.stop()
    case_id = case_id_of(mail_id)
    assert await known(house, case_id, mail("Re: C-1", "", {f"again-{name}": PACKED[name]}))
    # Packed anew they are other bytes: the sender hears where to send new scans.
    repacked = zipped(FILES, zipfile.ZIP_STORED)
    assert await known(house, case_id, mail("Re: C-1", "", {"jaws.zip": repacked})) == ""
    assert await known(house, case_id, mail("Re: C-1", "", FILES)) == ""


DAMAGED = {
    "cut off": uuencoded(UPPER)[:9_000],
    "a line lost": uuencoded(UPPER)[:9_000] + b"\r\n" + uuencoded(UPPER)[9_000:],
    "base64 cut off": base64_between(UPPER)[:9_000],
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("taken", [False, True])
async def test_a_file_that_was_damaged_on_its_way_equals_none(
    house: House, damage: str, taken: bool
) -> None:
    subject = f"Subject: {KIM} C-1 crown\r\n".encode()
    both = letter(b"\r\nhello\r\n" + uuencoded(LOWER, "lower.stl") + DAMAGED[damage])
    mail_id, prepared = await deliver(house, both.replace(b"Subject: x\r\n", subject))
    assert prepared
    if taken:
        await take_files(house, Children(), mail_id)
    case_id = case_id_of(mail_id)
    assert await known(house, case_id, both) == ""
    assert await known(house, case_id, letter(b"\r\n" + DAMAGED[damage])) == ""
    assert await known(house, case_id, letter(b"\r\n" + uuencoded(LOWER)))


async def test_what_is_noted_of_files_says_nothing_of_their_names(house: House) -> None:
    subject = f"Subject: {KIM} C-1 crown\r\n".encode()
    data = letter(
        scan(LOWER, "Smith.stl"), b"\r\nhello\r\n" + uuencoded(UPPER, "Smith.stl")[:9_000]
    )
    mail_id, _ = await deliver(house, data.replace(b"Subject: x\r\n", subject))
    await take_files(house, Children(), mail_id)
    async with house.database.read() as connection:
        noted = await mails.files_of_case(connection, case_id_of(mail_id))
    (digests,) = noted.values()
    assert digests is not None
    assert [len(digest) for digest in digests] == [64]
