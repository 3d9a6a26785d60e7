"""A designer mails scans; the reviewer gets a link: the promise of the whole product."""

import hashlib
import io
import smtplib
import zipfile

import pytest

from store.clock import DAY, HOUR
from tests.conftest import Running, jaw_stl
from tests.fakes import (
    ANNA,
    BEN,
    KIM,
    STRANGER,
    html_of,
    link_of,
    mail,
    picture_of,
    reply,
    text_of,
)

FILES = {"C-1042-UpperJaw.stl": jaw_stl("upper"), "C-1042-LowerJaw.stl": jaw_stl("lower")}
SUBJECT = f"{KIM} C-1042 crown #30"


async def open_link(running: Running, link: str) -> str:
    """Presses the button; returns the page's HTML."""
    headers = {"Origin": running.url}
    async with running.browser.post(f"{link}/open", headers=headers) as response:
        assert response.status == 200
        return await response.text()


async def test_a_mail_becomes_an_answer_and_a_letter_to_the_reviewer(running: Running) -> None:
    await running.postman.send(mail(SUBJECT, "margins please", FILES))
    answer = await running.inbox.letter("answer", ANNA)
    share = await running.inbox.letter("share", KIM)
    case = await running.only_case()
    assert (case.code, case.title, case.note) == ("C-1042", "crown #30", "margins please")
    assert answer["Subject"] == f"Re: {SUBJECT}"
    assert answer["X-Scanpost-Case"] == case.public_id
    assert answer["Auto-Submitted"] == "auto-replied"
    assert answer["In-Reply-To"] in answer["References"]
    assert "Upper jaw" in text_of(answer)
    assert "C-1042-UpperJaw.stl" in text_of(answer)
    assert "mailto:share+" in html_of(answer)
    assert (picture_of(answer) or b"").startswith(b"\xff\xd8\xff")
    assert "margins please" in text_of(share)
    assert "Anna Berg of Acme Dental" in text_of(share)
    assert "UpperJaw.stl" not in text_of(share) + html_of(share)
    assert link_of(share) != link_of(answer)


async def test_the_link_shows_who_shares_and_nothing_of_the_case_until_the_click(
    running: Running,
) -> None:
    await running.postman.send(mail(SUBJECT, "margins please", FILES))
    link = link_of(await running.inbox.letter("share", KIM))
    for method in ("GET", "HEAD", "GET"):
        async with running.browser.request(method, link) as response:
            assert response.status == 200
            page = await response.text()
            assert not response.cookies
    async with running.browser.get(link) as response:
        page = await response.text()
    assert "Anna Berg" in page
    assert "C-1042" not in page
    assert "margins" not in page
    page = await open_link(running, link)
    assert "C-1042 crown #30" in page
    assert "margins please" in page


async def test_a_view_counts_when_the_page_says_that_it_has_drawn(running: Running) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    link = link_of(await running.inbox.letter("share"))
    await open_link(running, link)
    for _ in range(2):
        await running.browser.post(f"{link}/seen", headers={"Origin": running.url})
    owners = link_of(answer)
    await open_link(running, owners)
    await running.browser.post(f"{owners}/seen", headers={"Origin": running.url})
    await running.postman.send(reply(answer, "STATUS"))
    transcript = await running.inbox.letter("transcript")
    assert "kim@clinic.example: looked on" in text_of(transcript)


async def test_downloads_are_a_stripped_copy_for_the_reviewer_and_the_original_for_the_owner(
    running: Running,
) -> None:
    original = b"patient Smith".ljust(80) + jaw_stl("upper")[80:]
    await running.postman.send(mail(SUBJECT, "", {"smith_upper.stl": original}))
    reviewers = link_of(await running.inbox.letter("share"))
    owners = link_of(await running.inbox.letter("answer"))
    await open_link(running, reviewers)
    async with running.browser.get(f"{reviewers}/v/1/scan/1/download") as response:
        copy = await response.read()
        disposition = response.headers["Content-Disposition"]
    assert copy[:80] == bytes(80)
    assert copy[80:84] == original[80:84]
    assert 'filename="C-1042_upper_1.stl"' in disposition
    page = await open_link(running, reviewers)
    assert hashlib.sha256(copy).hexdigest() in page
    assert "smith" not in page.lower()
    await open_link(running, owners)
    async with running.browser.get(f"{owners}/v/1/scan/1/download") as response:
        assert await response.read() == original
        assert 'filename="smith_upper.stl"' in response.headers["Content-Disposition"]
    headers = {"Range": "bytes=100-199"}
    async with running.browser.get(f"{owners}/v/1/scan/1/download", headers=headers) as response:
        assert response.status == 206
        assert await response.read() == original[100:200]


async def test_without_a_reviewer_the_mail_waits_and_a_reply_completes_it(running: Running) -> None:
    await running.postman.send(mail("C-1046 crown", "", FILES))
    question = await running.inbox.letter("question", ANNA)
    assert "Who shall see C-1046 crown?" in text_of(question)
    await running.postman.send(reply(question, "Dr Kim <kim@clinic.example>"))
    answer = await running.inbox.letter("answer", ANNA)
    share = await running.inbox.letter("share", KIM)
    assert "Hello Dr Kim" in text_of(share)
    assert answer["X-Scanpost-Case"] == question["X-Scanpost-Case"]
    assert not running.house.spool.mail_ids()


async def test_an_unanswered_question_dies_after_a_day(running: Running, clock) -> None:
    await running.postman.send(mail("C-1046 crown", "", FILES))
    await running.inbox.letter("question")
    assert len(running.house.spool.mail_ids()) == 1
    clock.advance(DAY + 1)
    running.house.poke()
    notice = await running.inbox.letter("notice", ANNA)
    assert "C-1046 was not shared" in text_of(notice)
    assert not running.house.spool.mail_ids()


async def test_one_bad_file_among_good_ones_is_named_and_does_not_sink_the_case(
    running: Running,
) -> None:
    files = {**FILES, "bite.stl": jaw_stl("lower")[:30_000]}
    await running.postman.send(mail(SUBJECT, "", files))
    answer = await running.inbox.letter("answer")
    assert "bite.stl stops after 598 of" in text_of(answer)
    assert "Upper jaw" in text_of(answer)
    share = await running.inbox.letter("share")
    assert "bite.stl" not in text_of(share)


async def test_no_usable_scan_tells_the_owner_and_nobody_else_and_keeps_nothing(
    running: Running,
) -> None:
    await running.postman.send(mail(SUBJECT, "", {"empty.stl": bytes(84)}))
    notice = await running.inbox.letter("notice", ANNA)
    assert "Nothing was shared" in text_of(notice)
    assert "empty.stl" in text_of(notice)
    assert [letter["X-Scanpost-Kind"] for letter in running.inbox.letters] == ["notice"]


async def test_scans_in_a_zip_are_shared_and_its_bad_members_named(running: Running) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/upper.stl", FILES["C-1042-UpperJaw.stl"])
        archive.writestr("export/notes.txt", "hello")
        archive.writestr("__MACOSX/._upper.stl", "x")
    await running.postman.send(mail(SUBJECT, "", {"case.zip": packed.getvalue()}))
    answer = await running.inbox.letter("answer")
    assert "Upper jaw (upper.stl)" in text_of(answer)
    assert "notes.txt is not a scan" in text_of(answer)
    assert "MACOSX" not in text_of(answer)


async def test_the_same_mail_delivered_twice_is_one_case_and_one_answer(running: Running) -> None:
    message = mail(SUBJECT, "", FILES)
    await running.postman.send(message)
    await running.postman.send(b"Received: from relay\r\n" + message.as_bytes())
    await running.inbox.letter("answer")
    await running.inbox.letter("share")
    await running.postman.send(mail("", "LIST"))
    transcript = await running.inbox.letter("transcript")
    assert "1 open case" in text_of(transcript)
    kinds = sorted(letter["X-Scanpost-Kind"] for letter in running.inbox.letters)
    assert kinds == ["answer", "share", "transcript"]


async def test_the_same_scans_in_a_new_mail_are_pointed_to_the_open_case(running: Running) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    await running.inbox.letter("answer")
    await running.postman.send(mail(SUBJECT, "", FILES))
    notice = await running.inbox.letter("notice", ANNA)
    assert "already shared as C-1042 crown #30" in text_of(notice)
    kinds = sorted(letter["X-Scanpost-Kind"] for letter in running.inbox.letters)
    assert kinds == ["answer", "notice", "share"]


async def test_revoke_kills_the_link_at_once_and_resend_sends_a_new_one(running: Running) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    link = link_of(await running.inbox.letter("share"))
    await open_link(running, link)
    await running.postman.send(reply(answer, "Revoke."))
    transcript = await running.inbox.letter("transcript")
    assert "The link of kim@clinic.example to C-1042 is dead." in text_of(transcript)
    assert "RESEND" in text_of(transcript)
    for path in ("", "/v/1/scan/1/full.glb", "/v/1/poster.webp"):
        async with running.browser.get(link + path) as response:
            assert response.status == 410
    await running.postman.send(reply(answer, f"RESEND {KIM}"))
    second = link_of(await running.inbox.letter("share", KIM, count=2))
    assert second != link
    async with running.browser.get(link) as response:
        assert response.status == 410
    assert "C-1042" in await open_link(running, second)


async def test_extend_moves_the_end_and_names_its_limits(running: Running) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    before = (await running.only_case()).expires_at
    await running.postman.send(reply(answer, "EXTEND 7"))
    assert "7 more days" in text_of(await running.inbox.letter("transcript"))
    assert (await running.only_case()).expires_at == before + 7 * DAY
    for count, wrong in enumerate(("EXTEND 9999", "EXTEND -1"), 1):
        await running.postman.send(reply(answer, wrong))
        notice = await running.inbox.letter("notice", count=count)
        assert "30" in text_of(notice)
    assert (await running.only_case()).expires_at == before + 7 * DAY


async def test_commands_are_for_members_of_the_lab_only(running: Running) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    await running.postman.send(reply(answer, "REVOKE", sender=STRANGER))
    notice = await running.inbox.letter("notice", STRANGER)
    assert "none of the people of this case" in text_of(notice)
    assert "C-1042" not in text_of(notice).replace(str(answer["Subject"]), "")
    assert STRANGER in text_of(await running.inbox.letter("notice", ANNA))
    await running.postman.send(reply(answer, "REVOKE", sender=BEN))
    transcript = await running.inbox.letter("transcript", BEN)
    assert "is dead" in text_of(transcript)


async def test_a_stranger_is_refused_in_the_dialogue(running: Running) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as refusal:
        await running.postman.send(mail(SUBJECT, "", FILES, sender="bob@gmail.example"))
    assert refusal.value.smtp_code == 550
    assert b"5.7.1 bob@gmail.example is not a member" in refusal.value.smtp_error
    assert b"operator@scans.example" in refusal.value.smtp_error
    assert not running.house.spool.mail_ids()


async def test_links_die_on_the_minute_and_everything_is_destroyed(running: Running, clock) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    link = link_of(await running.inbox.letter("share"))
    page = await open_link(running, link)
    case = await running.only_case()
    clock.time = case.expires_at - DAY
    running.house.poke()
    reminder = await running.inbox.letter("reminder", ANNA)
    assert "EXTEND" in text_of(reminder)
    clock.time = case.expires_at - 1
    await open_link(running, link)
    clock.time = case.expires_at
    async with running.browser.get(link) as response:
        assert response.status == 410
        page = await response.text()
    assert "This link has ended" in page
    running.house.poke()
    receipt = await running.inbox.letter("notice", ANNA)
    assert "C-1042 has ended" in text_of(receipt)
    assert hashlib.sha256(FILES["C-1042-UpperJaw.stl"]).hexdigest() in text_of(receipt)
    assert running.house.blobs.names("cases/") == []
    await running.postman.send(reply(answer, "EXTEND 7"))
    refused = await running.inbox.letter("notice", ANNA, count=2)
    assert "has ended and its scans are destroyed" in text_of(refused)


async def test_extend_after_the_reminder_brings_a_second_reminder(running: Running, clock) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    clock.time = (await running.only_case()).expires_at - DAY
    running.house.poke()
    await running.inbox.letter("reminder")
    await running.postman.send(reply(answer, "EXTEND 3 days"))
    await running.inbox.letter("transcript")
    clock.advance(3 * DAY)
    running.house.poke()
    await running.inbox.letter("reminder", count=2)


async def test_a_letter_put_off_by_the_relay_goes_out_later_under_the_same_id(
    running: Running, clock
) -> None:
    running.inbox.answers[KIM] = ["451 4.3.0 busy", "451 4.3.0 still busy"]
    await running.postman.send(mail(SUBJECT, "", FILES))
    await running.inbox.letter("answer")
    while not await running.inbox.attempted(KIM, times=3):
        clock.advance(HOUR)
        running.house.poke()
    await running.inbox.letter("share", KIM)
    ids = {message_id for to, message_id in running.inbox.attempts if to == KIM}
    assert len(ids) == 1


async def test_a_reviewer_who_cannot_be_reached_is_told_to_the_owner(running: Running) -> None:
    running.inbox.answers[KIM] = ["550 5.1.1 no such user"]
    await running.postman.send(mail(SUBJECT, "", FILES))
    undelivered = await running.inbox.letter("undelivered", ANNA)
    assert "kim@clinic.example could not be reached" in text_of(undelivered)
    assert "no such user" in text_of(undelivered)


async def test_robots_are_never_answered(running: Running) -> None:
    for header in ({"Auto-Submitted": "auto-replied"}, {"List-Id": "<news.example>"}):
        await running.postman.send(mail("Out of office", "HELP", headers=header))
    await running.postman.send(mail("", "HELP"))
    await running.inbox.letter("transcript")
    assert len(running.inbox.letters) == 1


async def test_unknown_links_are_404(running: Running) -> None:
    for path in ("/r/aaaaaaaaaaaaaaaaaaaaaaaaaa", "/r/x", "/nothing"):
        async with running.browser.get(running.url + path) as response:
            assert response.status == 404
