"""UPLOAD by mail, and the page that is offered where a mail meant to share and brought no scan."""

from email.message import EmailMessage

import pytest
import sqlalchemy as sa

from inbound.cases.upload_pages import MOST_OFFERED
from inbound.mail.elsewhere import places_named
from inbound.mail.written import File, Written, write
from inbound.talk.grammar import Said, read_reply
from outbound.compose import compose
from store.clock import DAY
from store.house import House
from store.model import Letter
from store.records import cases, outbox, uploads
from store.records.schema import uploads as upload_rows
from store.states import CaseState, Strength
from store.tokens import MasterPurpose, fingerprint
from store.uploads import LIFETIME, MOST_OPEN, Upload
from tests.clicks import (
    Thread,
    deliver,
    letters_of,
    new_letters,
    publish_domain,
    said,
)
from tests.fakedns import FakeDns
from tests.fakes import ANNA, BEN, DOMAIN, KIM, STRANGER, html_of, mail, text_of
from tests.uploading import ask, id_of

LEE = "lee@clinic.example"


async def row_of(house: House, letter: Letter) -> Upload:
    async with house.database.read() as connection:
        found = await uploads.find(connection, id_of(letter))
    assert found is not None
    return found


async def pages(house: House) -> int:
    async with house.database.read() as connection:
        question = sa.select(sa.func.count()).select_from(upload_rows)
        return int((await connection.execute(question)).scalar_one())


async def answers(house: House, message: EmailMessage) -> list[Letter]:
    before = await letters_of(house)
    await deliver(house, message)
    return await new_letters(house, before)


async def composed(house: House, letter: Letter) -> EmailMessage:
    import email  # noqa: PLC0415
    from email.policy import default  # noqa: PLC0415

    posting = await compose(house, letter)
    message = email.message_from_bytes(posting.data, policy=default)
    assert isinstance(message, EmailMessage)
    return message


# ---------------------------------------------------------------- the command


async def test_upload_brings_a_link_to_the_registered_address_and_stores_no_token(
    house: House,
) -> None:
    letter = await ask(house)
    assert (letter.kind, letter.recipient) == ("upload", ANNA)
    token = house.keys.token(MasterPurpose.UPLOAD, id_of(letter))
    message = await composed(house, letter)
    for text in (text_of(message), html_of(message)):
        assert f"http://127.0.0.1:1/u/{token}" in text
        assert "up to 200 MB" in text
        assert "pass it on to nobody" in text
    async with house.database.read() as connection:
        stored = (await connection.execute(sa.select(upload_rows.c.token))).scalar_one()
        assert (await uploads.by_token(connection, token)) == await row_of(house, letter)
    assert stored == fingerprint(token)
    assert (await row_of(house, letter)).expires_at == house.clock.now() + LIFETIME


@pytest.mark.parametrize(
    ("line", "reviewers", "subject"),
    [
        ("UPLOAD", "", ""),
        ("upload.", "", ""),
        (f"UPLOAD {KIM}", KIM, ""),
        (f"UPLOAD {KIM} C-1042 crown #30", KIM, "C-1042 crown #30"),
        (f"Upload Kim Lee <{KIM}>, {LEE} C-1042 crown", f"Kim Lee <{KIM}>, {LEE}", "C-1042 crown"),
        ("UPLOAD C-1042 crown", "", "C-1042 crown"),
        ("Hochladen C-1042", "", "C-1042"),
        ("上传", "", ""),
    ],
)
async def test_what_stands_behind_it_is_read_as_a_subject(
    house: House, line: str, reviewers: str, subject: str
) -> None:
    row = await row_of(house, await ask(house, line))
    assert (row.reviewers, row.subject, row.case_id) == (reviewers, subject, None)


async def test_a_subject_may_be_the_command(house: House) -> None:
    [letter] = await answers(house, mail(f"UPLOAD {KIM} C-7", ""))
    assert (await row_of(house, letter)).reviewers == KIM


@pytest.mark.parametrize(
    "line",
    ["Upload failed, sorry", "Uploaded the scans to our portal", "I will upload it later",
     "The upload of the lower jaw is done, I will send the crown tomorrow before noon, promised"],
)  # fmt: skip
def test_a_sentence_with_the_verb_in_it_is_no_command(line: str) -> None:
    assert read_reply(line, {"UPLOAD", "HELP"}).said is not Said.COMMAND


async def test_in_a_thread_it_is_for_the_cases_next_version(house: House, thread: Thread) -> None:
    for line in ("UPLOAD", "UPLOAD C-1042", f"UPLOAD #{thread.case.public_id}"):
        (letter,) = await thread.say(line)
        assert letter.kind == "upload"
        assert (await row_of(house, letter)).case_id == letter.case_id == thread.case.id
        assert "next version of C-1042 crown" in text_of(await composed(house, letter))
    (letter,) = await thread.say("UPLOAD", sender=BEN, whose=ANNA)
    assert (letter.recipient, letter.case_id) == (BEN, thread.case.id)


async def test_outside_of_its_thread_a_case_is_named_by_its_hash(
    house: House, thread: Thread
) -> None:
    letter = await ask(house, f"UPLOAD #{thread.case.public_id}")
    assert (await row_of(house, letter)).case_id == thread.case.id
    assert "no case #000000" in said(await ask(house, "UPLOAD #000000"))


@pytest.mark.parametrize("line", [f"UPLOAD {LEE}", "UPLOAD C-2000", f"UPLOAD {LEE} C-1042 crown"])
async def test_in_a_thread_words_for_another_case_are_refused(thread: Thread, line: str) -> None:
    (letter,) = await thread.say(line)
    assert letter.kind == "notice"
    assert "write UPLOAD alone" in said(letter)


async def test_a_case_that_is_not_open_takes_no_version(house: House, thread: Thread) -> None:
    for state, words in [
        (CaseState.WAITING, "waits for the address"),
        (CaseState.PREPARING, "being prepared"),
        (CaseState.EXPIRED, "has ended"),
    ]:
        async with house.database.write() as connection:
            await cases.move(connection, thread.case.id, state)
        (letter,) = await thread.say("UPLOAD")
        assert words in said(letter)
    assert await pages(house) == 0


async def test_it_is_for_members_alone(house: House, thread: Thread) -> None:
    (letter,) = await thread.say("UPLOAD", sender=KIM)
    assert "is for the lab itself" in said(letter)
    letters = await thread.say("UPLOAD", sender=STRANGER, whose=ANNA)
    assert {one.kind for one in letters} == {"notice"}
    assert await pages(house) == 0


async def test_a_mail_that_is_only_sent_by_the_domain_is_enough(house: House, dns: FakeDns) -> None:
    """The link goes to the registered mailbox: it is the click itself."""
    publish_domain(dns, "lab.example")
    before = await letters_of(house)
    await deliver(house, mail("x", "UPLOAD"), strength=Strength.SENT)
    (letter,) = await new_letters(house, before)
    assert (letter.kind, letter.recipient) == ("upload", ANNA)


async def test_a_member_has_ten_live_pages_at_most(house: House, clock) -> None:
    for _ in range(MOST_OPEN):
        assert (await ask(house)).kind == "upload"
    assert "10 upload pages already" in said(await ask(house))
    assert (await ask(house, sender=BEN)).kind == "upload"
    clock.advance(LIFETIME)
    assert (await ask(house)).kind == "upload"


async def test_the_letter_is_the_one_that_the_upload_answers_where_no_token_can_stand(
    house: House, thread: Thread
) -> None:
    (letter,) = await thread.say("UPLOAD")
    expected = outbox.message_id_of(f"upload|{id_of(letter)}", DOMAIN)
    assert letter.message_id == expected


# ---------------------------------------------------------------- offered


WETRANSFER = "Scans: https://we.tl/t-AbC123 and the bite https://lab.sharepoint.com/:u:/g/x?e=1"


async def test_a_link_to_files_elsewhere_is_named_not_opened_and_a_page_offered(
    house: House,
) -> None:
    (letter,) = await answers(house, mail(f"{KIM} C-1042 crown", WETRANSFER))
    assert (letter.context or {})["heading"] == "Nothing was shared"
    assert "link to files at WeTransfer and SharePoint" in said(letter)
    assert "nothing was fetched" in said(letter)
    row = await row_of(house, letter)
    assert (row.reviewers, row.subject, row.note) == (KIM, "C-1042 crown", "")
    message = await composed(house, letter)
    for text in (text_of(message), html_of(message)):
        assert f"/u/{house.keys.token(MasterPurpose.UPLOAD, row.id)}" in text


async def test_a_link_behind_a_button_counts_too(house: House) -> None:
    message = mail("scans", "see the button")
    message.add_alternative(
        '<p>Here</p><a href="https://eur01.safelinks.example/?url=https%3A%2F%2Fwetransfer.com%2Fd">Get</a>',
        subtype="html",
    )
    (letter,) = await answers(house, message)
    assert "WeTransfer" in said(letter)


async def test_a_mail_whose_files_are_no_scans_is_offered_a_page(house: House) -> None:
    (letter,) = await answers(house, mail("invoice", "", {"a.pdf": b"%PDF-1.4\n"}))
    assert (await row_of(house, letter)).subject == ""


async def test_a_mail_that_did_not_mean_to_share_is_offered_none(house: House) -> None:
    (letter,) = await answers(house, mail("hello", "How are you?"))
    assert (letter.context or {})["upload"] is None
    assert await pages(house) == 0
    text = text_of(await composed(house, letter))
    assert "/u/" not in text
    assert "UPLOAD" in text


async def test_the_same_hint_once_a_day_opens_one_page(house: House, clock) -> None:
    for _ in range(3):
        await answers(house, mail("rule", "https://we.tl/t-1"))
    assert await pages(house) == 1
    assert len(await letters_of(house)) == 1
    clock.advance(DAY)
    await answers(house, mail("rule", "https://we.tl/t-1"))
    assert await pages(house) == 2


async def test_unasked_there_are_few(house: House) -> None:
    for number in range(MOST_OFFERED + 2):
        (letter,) = await answers(house, mail(f"{KIM} C-{number}", WETRANSFER))
    assert await pages(house) == MOST_OFFERED
    assert (letter.context or {})["upload"] is None
    assert (await ask(house)).kind == "upload"


async def test_robots_are_offered_nothing(house: House) -> None:
    headers = {"Auto-Submitted": "auto-replied"}
    assert await answers(house, mail(f"{KIM} C-1", WETRANSFER, headers=headers)) == []
    assert await pages(house) == 0


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("https://www.dropbox.com/s/x", ("Dropbox",)),
        ("HTTPS://WE.TL/x http://we.tl/y", ("WeTransfer",)),
        ("https://drive.google.com/file/d/1 https://1drv.ms/u/x", ("Google Drive", "OneDrive")),
        ("https://user:x@we.tl/", ("WeTransfer",)),
        ("https://portal.3shape.com/x https://www.meditlink.com", ("3Shape", "Medit Link")),
        ("https://notwe.tl https://we.tl.evil.example https://we.tlx/ dropbox.com", ()),
        ("https://www.google.com https://3shape.com https://exocad.com", ()),
        ("https://" + "a." * 50_000, ()),
        ("https://we.tl" + "x" * 100_000, ()),
    ],
)
def test_hosts_are_known_by_their_whole_name(text: str, places: tuple[str, ...]) -> None:
    assert places_named([text]) == places


# ---------------------------------------------------------------- the mail that is written


def test_a_mail_with_the_same_words_never_has_the_same_boundary() -> None:
    words = Written(ANNA, "", f"share@{DOMAIN}", "x", "", f"<upload.x@{DOMAIN}>", 1)
    bodies = {b"".join(write(words, [File("a", [b"x"])])[1]) for _ in range(3)}
    assert len(bodies) == 3
