"""Scans that lie deeper in a mail, from the door to the letters, with real children."""

import base64
import io
import zipfile
from email.message import EmailMessage

import pytest

from store.records import cases
from store.states import CaseState
from tests.conftest import Running, jaw_stl
from tests.fakes import ANNA, KIM, mail, text_of
from tests.test_mail_attachments import uuencoded
from tests.tnef_writer import File, winmail

UPPER, LOWER = jaw_stl("upper"), jaw_stl("lower")
FILES = {"upper.stl": UPPER, "lower.stl": LOWER}
SUBJECT = f"{KIM} C-1042 crown #30"
PICTURE = b"\x89PNG\r\n\x1a\nxx"


def rich_text(data: bytes, body: str = "Contacts please.", to: str = "", subject: str = SUBJECT):
    """A mail as Outlook writes it in Rich Text."""
    message = mail(subject, body, **({"to": to} if to else {}))
    message.add_attachment(data, maintype="application", subtype="ms-tnef", filename="winmail.dat")
    return message


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def raw(subject: str, rest: bytes, sender: str = ANNA) -> bytes:
    head = f"From: {sender}\r\nTo: share@scans.example\r\nSubject: {subject}\r\n"
    return head.encode() + rest


async def words_of_notices(running: Running, *mails: bytes | EmailMessage) -> list[str]:
    """What the sender hears of each mail, of which nobody else may hear anything."""
    told = []
    for message in mails:
        await running.postman.send(message)
        await running.all_done()
        (letter,) = running.inbox.letters
        assert (letter["X-Envelope-To"], letter["X-Scanpost-Kind"]) == (ANNA, "notice")
        told.append(" ".join(text_of(letter).split()))
        running.inbox.letters.clear()
    assert running.house.blobs.names("cases/") == []
    return told


# ---------------------------------------------------------------- winmail.dat


async def test_a_winmail_dat_with_two_scans_becomes_a_case_with_both(running: Running) -> None:
    data = winmail(
        File(UPPER, title="OBERKI~1.STL", long_name="Oberkiefer Brücke 上顎.stl"),
        File(LOWER, long_name="..\\..\\Lower jaw.stl"),
        File(PICTURE, long_name="image001.png"),
        File(b"%PDF-1.7 x", long_name="rx.pdf"),
    )
    await running.postman.send(rich_text(data))
    answer = await running.inbox.letter("answer", ANNA)
    share = await running.inbox.letter("share", KIM)
    text = text_of(answer)
    assert "Oberkiefer Brücke 上顎.stl" in text
    assert "Lower jaw.stl" in text
    assert "..\\" not in text
    assert "rx.pdf cannot be read as a PDF" in text
    assert "image001" not in text
    assert "winmail" not in text
    assert "Contacts please." in text_of(share)
    read = [scan for scan in await scans_of(running) if scan.is_surface]
    assert {scan.original_size for scan in read} == {len(UPPER), len(LOWER)}


async def scans_of(running: Running) -> list[cases.Scan]:
    case = await running.only_case()
    async with running.house.database.read() as connection:
        version = await cases.latest_version(connection, case.id)
        assert version is not None
        return await cases.scans_of(connection, version.id)


async def test_a_zip_in_a_winmail_dat_is_unpacked_and_what_is_no_file_is_named(
    running: Running,
) -> None:
    data = winmail(
        File(
            zipped({"case/upper.stl": UPPER, "case/more.zip": b"PK\x05\x06"}), long_name="case.zip"
        ),
        File(LOWER, long_name="upper.stl"),
        File(b"", long_name="order.msg", method=5),
        File(None, long_name="cloud.stl", method=7),
    )
    await running.postman.send(rich_text(data))
    text = text_of(await running.inbox.letter("answer", ANNA))
    assert sorted(scan.original_name for scan in await scans_of(running)) == [
        "upper (2).stl",
        "upper.stl",
    ]
    assert "more.zip is an archive within an archive. Send its files directly." in text
    assert "order.msg is a mail within the mail. Send its files directly." in text
    assert "cloud.stl is only a link to a file. Attach the file itself." in text


async def test_a_damaged_winmail_dat_says_how_to_switch_rich_text_off(running: Running) -> None:
    whole = winmail(File(UPPER, long_name="upper.stl"))
    middle = len(whole) // 2
    cut, changed = await words_of_notices(
        running,
        rich_text(whole[:middle]),
        rich_text(whole[:middle] + b"!!" + whole[middle + 2 :]),
    )
    for name, text in (("winmail.dat", cut), ("upper.stl", changed)):
        assert "Nothing was shared" in text
        assert f"{name} is damaged. Outlook makes winmail.dat of a mail in Rich Text." in text
        assert "Choose File > Options > Mail > Compose messages in this format: HTML" in text


PICTURES = [
    (),
    (File(PICTURE, long_name="image001.png"), File(PICTURE, long_name="IMAGE002.JPG")),
    (File(PICTURE, long_name="~WRD000.jpg"),),
    (File(None, long_name="Picture (Device Independent Bitmap)", method=6),),
]


async def test_a_command_in_rich_text_acts_and_its_winmail_dat_is_not_mentioned(
    running: Running,
) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    for count, pictures in enumerate(PICTURES, 1):
        data = winmail(*pictures)
        to = str(answer["Reply-To"])
        await running.postman.send(rich_text(data, "STATUS", to, f"RE: {SUBJECT}"))
        text = text_of(await running.inbox.letter("transcript", ANNA, count))
        assert "upper.stl" in text
        assert "winmail" not in text
    await running.all_done()
    assert [one["X-Scanpost-Kind"] for one in running.inbox.letters].count("notice") == 0


async def test_archives_together_hold_no_more_files_than_one(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inbound.cases.unpack.MOST_UNPACKED", 3)
    both, more = zipped(FILES), zipped({"a.stl": UPPER, "b.stl": LOWER})
    await running.postman.send(mail(SUBJECT, "", {"both.zip": both, "more.zip": more}))
    text = " ".join(text_of(await running.inbox.letter("answer", ANNA)).split())
    assert "more.zip was not unpacked: with it this mail holds more than 3 files." in text
    assert {scan.original_name for scan in await scans_of(running)} == set(FILES)


# ---------------------------------------------------------------- in letters and attached mails


async def test_scans_that_were_uuencoded_into_the_letter_are_shared_with_its_words(
    running: Running,
) -> None:
    letter = b"Dear Dr Kim,\r\n%b\r\nthe lower one is new.\r\n%b\r\nAnna\r\n%b"
    cut = uuencoded(UPPER, "third.stl")[:200_000]
    body = letter % (uuencoded(UPPER, "upper.stl"), uuencoded(LOWER, "upper.stl"), cut)
    await running.postman.send(raw(SUBJECT, b"\r\n" + body))
    share = await running.inbox.letter("share", KIM)
    names = {scan.original_name for scan in await scans_of(running)}
    assert names == {"upper.stl", "upper (2).stl"}
    case = await running.only_case()
    assert case.note.split() == ["Dear", "Dr", "Kim,", "the", "lower", "one", "is", "new.", "Anna"]
    assert "begin 644" not in text_of(share)
    answer = " ".join(text_of(await running.inbox.letter("answer", ANNA)).split())
    sentence = "third.stl stops before its end. Send it once more as an ordinary attachment."
    assert sentence in answer


async def test_scans_in_forwarded_mails_are_shared_and_their_words_are_not(
    running: Running,
) -> None:
    deep = mail("REVOKE", "REVOKE", {"scan.stl": LOWER}, sender="orders@mill.example")
    order = mail("Fwd: REVOKE", "REVOKE", {"scan.stl": UPPER}, sender="ben@lab.example")
    order.add_attachment(deep)
    message = mail(f"Fwd: {SUBJECT}", "Both are below.")
    message.add_attachment(order)
    message.add_attachment(mail("lunch", "At noon?"), filename="lunch.eml")
    await running.postman.send(message)
    answer = await running.inbox.letter("answer")
    share = await running.inbox.letter("share", KIM)
    names = {scan.original_name for scan in await scans_of(running)}
    assert names == {"scan.stl", "scan (2).stl"}
    assert "lunch.eml was searched for files, and none was found." in " ".join(
        text_of(answer).split()
    )
    assert (await running.only_case()).note == "Both are below."
    assert "REVOKE" not in text_of(share)


# ---------------------------------------------------------------- cut off, sent twice, without a date


async def test_no_half_of_a_scan_is_shared_and_the_sender_hears_what_to_do(
    running: Running,
) -> None:
    whole = mail(SUBJECT, "", {"upper.stl": UPPER}).as_bytes()
    middle, mark = len(whole) // 2, whole[whole.rindex(b"\r\n--", 0, -10) :]
    letter = raw(SUBJECT, b"\r\nhello\r\n" + uuencoded(UPPER, "upper.stl")[:200_000])
    endless, base64_cut, uuencode_cut, nothing = await words_of_notices(
        running, whole[:middle], whole[:middle] + mark, letter, rich_text(winmail())
    )
    assert "This mail is incomplete: its end is missing. Nothing was shared." in endless
    for text in (base64_cut, uuencode_cut):
        assert "Nothing was shared" in text
        assert "upper.stl stops" in text
        assert "is not a scan" not in text
    assert "No scan was found in your mail." in nothing
    assert "winmail" not in nothing


async def test_the_same_scans_twenty_seconds_later_make_one_case(running: Running, clock) -> None:
    await running.postman.send(mail(SUBJECT, "margins", FILES))
    await running.inbox.letter("answer")
    clock.advance(20_000)
    again = mail(SUBJECT, "margins", dict(reversed(FILES.items())))
    again.set_boundary("another")
    await running.postman.send(again)
    notice = await running.inbox.letter("notice", ANNA)
    assert "already shared as C-1042 crown #30" in " ".join(text_of(notice).split())
    await running.all_done()
    assert [one["X-Envelope-To"] for one in running.inbox.letters].count(KIM) == 1
    await running.only_case()


DATES = {
    "no date and no id": b"",
    "a long date": b"Date: Sun, 22 Nov 2026 09:00:00 +0000 (" + b"Mitteleuropa " * 20 + b")\r\n",
    "1970": b"Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n",
    "nonsense": b"Date: 99/99/9999 =?x?q?\xff?=\r\nMessage-ID: not <an id\r\n",
}


async def test_mails_without_an_id_or_a_usable_date_are_taken_at_the_time_they_come(
    running: Running, clock
) -> None:
    for number, (name, fields) in enumerate(DATES.items()):
        part = base64.encodebytes(jaw_stl("upper", 500)).replace(b"\n", b"\r\n")
        head = b"Content-Type: model/stl; name=a.stl\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        await running.postman.send(raw(f"{KIM} C-{number} {name}", fields + head + part))
    for count in range(1, len(DATES) + 1):
        await running.inbox.letter("answer", ANNA, count)
    await running.all_done()
    async with running.house.database.read() as connection:
        rows = (await connection.execute(cases.cases.select())).mappings().all()
    assert {row["title"] for row in rows} == set(DATES)
    assert {(row["state"], row["created_at"]) for row in rows} == {(CaseState.OPEN, clock.now())}
