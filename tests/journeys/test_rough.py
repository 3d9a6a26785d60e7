"""What goes wrong on the way, and what must then be true."""

import asyncio

import pytest

from inbound import flow
from inbound.cases import prepare
from inbound.cases.announce import announce
from inbound.cases.course import remind
from inbound.scans.child import Children
from store import ending
from store.clock import DAY, HOUR, MINUTE
from store.errors import ChildLost, Unreachable
from store.house import House
from store.records import cases, mails
from store.states import CaseState
from store.sweep import TRIES
from tests.conftest import Running, jaw_stl
from tests.fakes import ANNA, BEN, KIM, html_of, mail, reply, text_of

FILES = {"upper.stl": jaw_stl("upper"), "lower.stl": jaw_stl("lower")}
SUBJECT = f"{KIM} C-1042 crown #30"
LEE = "lee@clinic.example"


async def first_case(running: Running, state: CaseState) -> cases.Case:
    """The one case, waited for until it is in a state."""
    async with asyncio.timeout(30):
        while True:
            async with running.house.database.read() as connection:
                rows = (await connection.execute(cases.cases.select())).mappings().all()
            if rows and rows[0]["state"] == state:
                return cases.Case.of({**rows[0], "state": state})
            await asyncio.sleep(0.02)


async def test_announcing_twice_writes_no_second_letter(running: Running) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    await running.inbox.letter("answer")
    await running.inbox.letter("share")
    case = await running.only_case()
    async with running.house.database.read() as connection:
        version = await cases.latest_version(connection, case.id)
    assert version is not None
    await announce(running.house, version.mail_id)
    await running.postman.send(mail("", "LIST"))
    await running.inbox.letter("transcript")
    assert len(running.inbox.letters) == 3


async def test_a_late_run_of_the_clock_does_not_end_a_case_that_was_just_answered(
    running: Running, clock
) -> None:
    await running.postman.send(mail("C-1046 crown", "", FILES))
    question = await running.inbox.letter("question")
    clock.advance(DAY - MINUTE)
    await running.postman.send(reply(question, KIM))
    await running.inbox.letter("answer")
    case = await running.only_case()
    assert await remind(running.house, case.id)
    clock.advance(HOUR)
    assert not await ending.close(running.house, case.id)
    assert (await running.only_case()).is_open(clock.now())


async def test_a_mail_that_cannot_be_finished_ends_its_case_and_both_sides_hear(
    running: Running, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(prepare, "plain", broken)
    await running.postman.send(mail(SUBJECT, "", FILES))
    case = await first_case(running, CaseState.PREPARING)
    while (case := await _now(running, case)).state is not CaseState.BROKEN:
        clock.advance(MINUTE)
        running.house.poke()
        await asyncio.sleep(0.2)
    notice = await running.inbox.letter("notice", ANNA)
    assert "failed to prepare your scans" in text_of(notice)
    told = await running.inbox.letter("operator", "operator@scans.example")
    assert "mail" in told["Subject"]
    assert KIM not in [letter["X-Envelope-To"] for letter in running.inbox.letters]
    assert len(running.house.spool.mail_ids()) == 1, "the raw mail is kept for the operator"
    assert running.house.blobs.names("cases/") == []


async def _now(running: Running, case: cases.Case) -> cases.Case:
    async with running.house.database.read() as connection:
        return await cases.case(connection, case.id)


async def test_a_picture_that_fails_does_not_hold_up_the_share(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Children.run

    async def without_pictures(self: Children, job: str, *rest: object, **named: object) -> object:
        if job == "draw_case":
            raise ChildLost("killed")
        return await real(self, job, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Children, "run", without_pictures)
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    assert "cid:picture" not in html_of(answer)
    assert "Upper jaw" in text_of(answer)


async def test_revoke_withdraws_a_letter_that_the_relay_puts_off(running: Running, clock) -> None:
    running.inbox.answers[KIM] = ["451 4.7.1 greylisted"]
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    assert await running.inbox.attempted(KIM, times=1, within=20)
    await running.postman.send(reply(answer, "REVOKE"))
    await running.inbox.letter("transcript")
    clock.advance(3 * HOUR)
    running.house.poke()
    await running.postman.send(mail("", "HELP"))
    await running.inbox.letter("transcript", count=2)
    assert not await running.inbox.attempted(KIM, times=2)


async def test_resend_without_a_name_leaves_out_who_was_revoked(running: Running) -> None:
    await running.postman.send(mail(f"{KIM} {LEE} C-9 crown", "", FILES))
    answer = await running.inbox.letter("answer")
    for address in (KIM, LEE):
        await running.inbox.letter("share", address)
    await running.postman.send(reply(answer, f"REVOKE {LEE}"))
    await running.inbox.letter("transcript")
    await running.postman.send(reply(answer, "RESEND"))
    transcript = await running.inbox.letter("transcript", count=2)
    assert f"Not to {LEE}: revoked" in text_of(transcript)
    await running.inbox.letter("share", KIM, count=2)
    lees = [one for one in running.inbox.letters if one["X-Envelope-To"] == LEE]
    assert len(lees) == 1


@pytest.mark.parametrize(
    "wrong",
    ["jörg@clinic.example", "kim@clinic_one.example", "kim@clinic", "kim@zahnärzte.example"],
)
async def test_an_address_that_cannot_be_used_is_asked_about_and_never_cut(
    running: Running, wrong: str
) -> None:
    await running.postman.send(mail(f"{KIM} {wrong} C-9 crown", "", FILES))
    question = await running.inbox.letter("question", ANNA)
    assert f'"{wrong}" cannot be used' in text_of(question)
    assert KIM in text_of(question)
    await running.postman.send(reply(question, LEE))
    for address in (KIM, LEE):
        await running.inbox.letter("share", address)
    assert {one["X-Envelope-To"] for one in running.inbox.letters} == {ANNA, KIM, LEE}


async def test_files_that_are_no_scans_are_named_at_once(running: Running) -> None:
    await running.postman.send(
        mail("C-9 crown", "", {"rx.pdf": b"%PDF-1.7 x", "x.bin": b"\x01" * 99})
    )
    notice = await running.inbox.letter("notice", ANNA)
    assert "rx.pdf was not shared: a photo or a document goes with a scan" in text_of(notice)
    assert "x.bin is not a scan" in text_of(notice)


async def test_scans_in_a_reply_are_not_dropped_without_a_word(running: Running) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    new = {"v2.stl": jaw_stl(triangles=3_000), **FILES}
    again = mail(f"Re: {SUBJECT}", "new version", new, to=str(answer["Reply-To"]))
    await running.postman.send(again)
    told = await running.inbox.letter("version", KIM)
    assert "shares version 2 of" in text_of(told)
    assert "new version" in text_of(told)


async def test_the_same_scans_in_replies_are_answered_once(running: Running) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    for _ in range(2):
        again = mail(f"Re: {SUBJECT}", "as attached", FILES, to=str(answer["Reply-To"]))
        await running.postman.send(again)
        await running.all_done()
    await running.postman.send(reply(answer, "STATUS"))
    await running.inbox.letter("transcript")
    notices = [one for one in running.inbox.letters if one["X-Scanpost-Kind"] == "notice"]
    assert len(notices) == 1
    assert "Already here" in text_of(notices[0])


async def test_the_same_scans_with_a_new_note_are_a_new_case(running: Running) -> None:
    await running.postman.send(mail(SUBJECT, "first", FILES))
    await running.inbox.letter("answer")
    await running.postman.send(mail(SUBJECT, "look at the margin", FILES))
    second = await running.inbox.letter("share", KIM, count=2)
    assert "look at the margin" in text_of(second)


async def test_an_ended_case_forgets_what_its_scans_said(running: Running, clock) -> None:
    await running.postman.send(mail(SUBJECT, "a note about Smith", {"smith.stl": jaw_stl()}))
    await running.inbox.letter("answer")
    clock.time = (await running.only_case()).expires_at
    running.house.poke()
    await running.inbox.letter("notice")
    await running.inbox.wait_for(lambda _: True)
    stored = (running.house.settings.data_dir / "scanpost.db").read_bytes()
    async with running.house.database.read() as connection:
        assert await mails.kept_in_spool(connection) == set()
    await running.house.database.truncate_log()
    stored = (running.house.settings.data_dir / "scanpost.db").read_bytes()
    assert b"about Smith" not in stored


async def test_long_message_ids_keep_the_thread(running: Running) -> None:
    message = mail(SUBJECT, "", FILES)
    long = f"<{'A1b2' * 40}@mail.outlook.example>"
    message.replace_header("Message-ID", long)
    await running.postman.send(message)
    answer = await running.inbox.letter("answer")
    assert answer["In-Reply-To"] == long
    assert answer["References"] == long


async def test_help_in_a_thread_stays_in_the_thread(running: Running) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    answer = await running.inbox.letter("answer")
    await running.postman.send(reply(answer, "HELP"))
    transcript = await running.inbox.letter("transcript")
    assert transcript["X-Scanpost-Case"] == answer["X-Scanpost-Case"]
    assert transcript["Reply-To"] == answer["Reply-To"]


async def test_a_colleague_who_sends_the_same_scans_gets_an_answer_of_their_own(
    running: Running,
) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    await running.inbox.letter("answer", ANNA)
    await running.postman.send(mail(SUBJECT, "", FILES, sender=BEN))
    await running.inbox.letter("answer", BEN)


async def test_status_of_an_ended_case_says_nothing_that_is_not_known(
    running: Running, clock
) -> None:
    files = {**FILES, "bad.stl": jaw_stl()[:9000]}
    await running.postman.send(mail(SUBJECT, "", files))
    answer = await running.inbox.letter("answer")
    clock.time = (await running.only_case()).expires_at
    running.house.poke()
    await running.inbox.letter("notice")
    await running.postman.send(reply(answer, "STATUS"))
    text = text_of(await running.inbox.letter("transcript"))
    assert "Ended." in text
    assert "triangles" not in text
    assert "!" not in text


async def test_a_mail_that_cannot_even_be_read_is_answered(
    running: Running, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise AssertionError("a bug of ours")

    monkeypatch.setattr("inbound.flow.OpenedMail", broken)
    await running.postman.send(mail(SUBJECT, "", FILES))
    while not [one for one in running.inbox.letters if one["X-Scanpost-Kind"] == "notice"]:
        clock.advance(MINUTE)
        running.house.poke()
        await asyncio.sleep(0.2)
    assert "failed to read your mail" in text_of(await running.inbox.letter("notice", ANNA))


async def test_an_object_store_that_is_away_for_long_buries_no_mail(
    running: Running, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, times = flow.take_files, 0

    async def take_files(house: House, children: Children, mail_id: str) -> None:
        nonlocal times
        times += 1
        if times <= TRIES + 2:
            raise Unreachable("The object store gave no answer.")
        await real(house, children, mail_id)

    monkeypatch.setattr(flow, "take_files", take_files)
    await running.postman.send(mail(SUBJECT, "", FILES))
    while not [one for one in running.inbox.letters if one["X-Scanpost-Kind"] == "answer"]:
        clock.advance(MINUTE)
        running.house.poke()
        await asyncio.sleep(0.2)
    assert times == TRIES + 3
    assert [
        one["X-Scanpost-Kind"] for one in running.inbox.letters if "operator" in one["To"]
    ] == []


async def test_a_killed_archive_child_does_not_sink_the_scan_beside_it(
    running: Running, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Children.run

    async def killed(self: Children, job: str, *rest: object, **named: object) -> object:
        if job == "list_members":
            raise ChildLost("killed")
        return await real(self, job, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Children, "run", killed)
    empty_zip = b"PK\x05\x06" + bytes(18)
    await running.postman.send(mail(SUBJECT, "", {"upper.stl": jaw_stl(), "more.zip": empty_zip}))
    while not [one for one in running.inbox.letters if one["X-Scanpost-Kind"] == "answer"]:
        clock.advance(MINUTE)
        running.house.poke()
        await asyncio.sleep(0.2)
    text = text_of(await running.inbox.letter("answer"))
    assert "more.zip could not be unpacked" in text
    assert "Upper jaw" in text
