"""DELETE: asks, then objects, key, links and sessions are gone at once, and a receipt says what was."""

import hashlib
import sqlite3

import pytest
import sqlalchemy as sa

from inbound.cases.course import case_flow
from inbound.cases.opening import case_id_of
from store.clock import MINUTE, SetClock
from store.errors import Gone
from store.house import House, case_prefix
from store.model import Case
from store.records import access, cases, mails, work
from store.records.schema import letters
from store.states import CaseState, MailState, Strength
from tests.clicks import (
    BACKUP,
    Site,
    Thread,
    code_now,
    deliver,
    letters_of,
    new_letters,
    open_site,
    open_thread,
    publish_domain,
    said,
    set_up_codes,
    step_at_once,
)
from tests.conftest import Running, jaw_stl, on_s3
from tests.fakedns import FakeDns
from tests.fakes import ANNA, BEN, KIM, html_of, link_of, mail, reply, text_of

FILES = {"C-1042-UpperJaw.stl": jaw_stl("upper"), "C-1042-LowerJaw.stl": jaw_stl("lower")}
HEADING = "This link has ended"


def click_link(text: str) -> str:
    return next(word for word in text.split() if "/c/" in word)


async def share_and_ask(running: Running) -> tuple[Case, str, str, str]:
    """A shared case whose owner wrote DELETE: the case, the owner's link, Kim's, and the click's."""
    await running.postman.send(mail(f"{KIM} C-1042 crown", "margins", FILES))
    answer = await running.inbox.letter("answer", ANNA)
    share = await running.inbox.letter("share", KIM)
    case = await running.only_case()
    await running.postman.send(reply(answer, "DELETE"))
    asked = await running.inbox.letter("confirm", ANNA)
    await running.all_done()
    assert "Nothing has been done yet" in text_of(asked)
    assert click_link(text_of(asked)) in html_of(asked)
    return case, link_of(answer), link_of(share), click_link(text_of(asked))


async def open_session(running: Running, link: str) -> None:
    async with running.browser.post(f"{link}/open", headers={"Origin": running.url}) as answer:
        assert answer.status == 200


async def press(running: Running, link: str, **form: str) -> tuple[int, str]:
    async with running.browser.post(link, data=form, headers={"Origin": running.url}) as answer:
        return answer.status, await answer.text()


async def status_of(running: Running, url: str) -> int:
    async with running.browser.get(url) as answer:
        return answer.status


async def delete_from_end_to_end(running: Running) -> None:
    house = running.house
    case, owners, kims, click = await share_and_ask(running)
    for link in (owners, kims):
        await open_session(running, link)
        assert await status_of(running, f"{link}/v/1/scan/1/download") == 200
    stored = await house.object_threads.run(house.blobs.names, case_prefix(case.id))
    assert len(stored) > 6

    for number in range(20):
        async with running.browser.request(("GET", "HEAD")[number % 2], click) as answer:
            assert answer.status == 200
    async with running.browser.post(
        click, data={"sure": "yes"}, headers={"Origin": "https://evil.example"}
    ) as answer:
        assert answer.status == 403
    assert (await press(running, click))[0] == 400
    await running.all_done()
    assert await status_of(running, f"{kims}/v/1/scan/1/download") == 200

    assert (await press(running, click, sure="yes"))[0] == 200
    receipt = await running.inbox.letter("notice", ANNA)
    assert await house.object_threads.run(house.blobs.names, case_prefix(case.id)) == []
    async with house.database.read() as connection:
        with pytest.raises(Gone):
            await house.case_key(connection, case.id)
        assert (await cases.case(connection, case.id)).state is CaseState.DELETED
    for link in (owners, kims, f"{kims}/v/1/scan/1/download", f"{owners}/v/1/scan/1/full.glb"):
        assert await status_of(running, link) == 410
    assert (await press(running, f"{kims}/open"))[0] == 410
    status, text = await press(running, click, sure="yes")
    assert (status, HEADING in text) == (410, True)

    text = text_of(receipt)
    assert "C-1042 is deleted" in text
    assert "2 files" in text
    for name, data in FILES.items():
        assert f"{name}: SHA-256 {hashlib.sha256(data).hexdigest()}" in text
    assert [one["X-Envelope-To"] for one in running.inbox.letters].count(KIM) == 1
    await running.all_done()


async def test_after_the_click_nothing_is_left_but_a_receipt(running: Running) -> None:
    await delete_from_end_to_end(running)
    # Not in the database's file either, once its log is written back.
    await running.house.database.truncate_log()
    folder = running.house.settings.data_dir
    raw = b"".join(path.read_bytes() for path in folder.glob("scanpost.db*"))
    for word in (b"margins", b"UpperJaw", b"C-1042-LowerJaw"):
        assert word not in raw, word
    assert not list((folder / "objects").rglob("*.*"))


@on_s3
async def test_it_is_gone_from_an_object_store_too(running: Running) -> None:
    await delete_from_end_to_end(running)


async def test_the_key_is_gone_with_the_click_itself(house: House) -> None:
    """Before any object is deleted: what a store still has then, nobody can open."""
    thread = await open_thread(house)
    [letter] = await thread.say("DELETE")
    async with open_site(house) as site:
        await site.click(letter)
    assert house.blobs.names(case_prefix(thread.case.id))
    async with house.database.read() as connection:
        with pytest.raises(Gone):
            await house.case_key(connection, thread.case.id)
        assert [row.kind for row in await work.due(connection, house.clock.now())].count(
            "case"
        ) == 1
    with sqlite3.connect(house.settings.data_dir / "scanpost.db") as raw:
        assert raw.execute("SELECT count(*) FROM case_keys").fetchone() == (0,)
    raw.close()


async def finish(house: House, case_id: str) -> str:
    """Lets the case's flow run; the words of the receipt."""
    before = await letters_of(house)
    await case_flow(house, step_at_once, case_id)
    [receipt] = await new_letters(house, before)
    assert receipt.recipient == ANNA
    return said(receipt)


@pytest.mark.parametrize("strength", [Strength.SENT, Strength.SIGNED, Strength.VOUCHED])
async def test_it_asks_the_registered_member_for_a_click(
    house: House, dns: FakeDns, thread: Thread, strength: Strength
) -> None:
    publish_domain(dns, "lab.example")
    [letter] = await thread.say("DELETE", strength)
    assert (letter.kind, letter.recipient, letter.case_id) == ("confirm", ANNA, None)
    assert "C-1042 crown" in said(letter)
    assert "1 file" in said(letter)
    assert (await thread.now()).state is CaseState.OPEN


async def test_a_colleague_of_the_lab_may_delete_and_the_owner_gets_the_receipt(
    house: House, thread: Thread, site: Site
) -> None:
    [letter] = await thread.say("DELETE", sender=BEN, whose=ANNA)
    assert letter.recipient == BEN
    await site.click(letter)
    assert "is deleted" not in (await thread.now()).name
    words = await finish(house, thread.case.id)
    assert "as you asked" in words


async def test_a_link_of_thirty_one_minutes_ago_deletes_nothing(
    house: House, clock: SetClock, thread: Thread, site: Site
) -> None:
    [letter] = await thread.say("DELETE")
    clock.advance(31 * MINUTE)
    assert (await site.post(site.link_of(letter), sure="yes"))[0] == 410
    assert (await thread.now()).state is CaseState.OPEN


@pytest.mark.parametrize(
    ("line", "code"), [("DELETE C-1042\nCODE {}", ""), ("DELETE C-1042\nCODE {}", BACKUP[0])]
)
async def test_with_a_code_it_happens_at_once(
    house: House, thread: Thread, line: str, code: str
) -> None:
    await set_up_codes(house)
    assert await thread.say(line.format(code or code_now(house))) == []
    assert "SHA-256" in await finish(house, thread.case.id)
    assert house.blobs.names(case_prefix(thread.case.id)) == []


async def test_where_codes_are_on_a_mail_without_one_is_asked_for_it(
    house: House, thread: Thread
) -> None:
    await set_up_codes(house)
    [letter] = await thread.say("DELETE C-1042")
    assert "needs a code of your authenticator app, so nothing was done" in said(letter)
    assert (await thread.now()).state is CaseState.OPEN


async def test_where_codes_are_on_an_unsigned_mail_needs_link_and_code(
    house: House, dns: FakeDns, thread: Thread, site: Site
) -> None:
    publish_domain(dns, "lab.example")
    await set_up_codes(house)
    [letter] = await thread.say("DELETE C-1042", Strength.SENT)
    assert letter.kind == "confirm"
    assert (await site.post(site.link_of(letter), sure="yes"))[0] == 400
    assert await site.click(letter, code=code_now(house)) == []
    assert (await thread.now()).state is CaseState.DELETED


# ---------------------------------------------------------------- cases that are not open


async def waiting_case(house: House, code: str = "C-7") -> tuple[str, Thread]:
    mail_id = await deliver(house, mail(code, "x", {"a.stl": jaw_stl("upper", 500)}))
    async with house.database.read() as connection:
        return mail_id, Thread(house, await cases.case(connection, case_id_of(mail_id)))


async def test_of_a_case_that_waits_the_mail_is_destroyed(house: House, site: Site) -> None:
    mail_id, thread = await waiting_case(house)
    [letter] = await thread.say("DELETE")
    assert "your mail with its scans, which waits for your answer" in said(letter)
    assert "0 files" not in said(letter)
    await site.click(letter)
    await finish(house, thread.case.id)
    async with house.database.read() as connection:
        assert (await mails.mail(connection, mail_id)).state is MailState.DONE
    assert house.spool.mail_ids() == set()
    [answer] = await thread_after_the_end(house, thread.case, KIM)
    assert "has ended" in said(answer)


async def thread_after_the_end(house: House, case: Case, line: str):
    """What a mail to share@ that answers a letter of the case is told."""
    async with house.database.read() as connection:
        question = sa.select(letters.c.message_id).where(letters.c.case_id == case.id)
        message_id = (await connection.execute(question)).scalars().first()
    before = await letters_of(house)
    message = mail("Re: x", line, headers={"In-Reply-To": str(message_id)})
    await deliver(house, message)
    return await new_letters(house, before)


async def test_of_a_case_in_preparation_it_is_refused(house: House) -> None:
    mail_id = await deliver(house, mail(f"{KIM} C-8", "x", {"a.stl": jaw_stl("upper", 500)}))
    async with house.database.read() as connection:
        thread = Thread(house, await cases.case(connection, case_id_of(mail_id)))
    [letter] = await thread.say("DELETE")
    assert (letter.kind, "is being prepared. Try again" in said(letter)) == ("notice", True)
    assert (await thread.now()).state is CaseState.PREPARING


async def test_a_case_that_got_its_reviewer_before_the_click_is_not_deleted_half_prepared(
    house: House, site: Site
) -> None:
    _, thread = await waiting_case(house)
    [letter] = await thread.say("DELETE")
    await thread.say(KIM)
    assert (await thread.now()).state is CaseState.PREPARING
    [told] = await site.click(letter)
    assert "is being prepared" in said(told)
    assert (await thread.now()).state is CaseState.PREPARING


async def test_of_a_case_that_has_ended_a_sentence_says_so(
    house: House, clock: SetClock, thread: Thread
) -> None:
    address = await thread.address()
    clock.time = (await thread.now()).expires_at
    before = await letters_of(house)
    await deliver(house, mail("Re", "DELETE", to=address), address)
    [letter] = await new_letters(house, before)
    assert "C-1042 has ended and its scans are destroyed." in said(letter)


async def test_of_a_case_that_was_deleted_a_sentence_says_so(
    house: House, thread: Thread, site: Site
) -> None:
    address = await thread.address()
    [first] = await thread.say("DELETE")
    [second] = await thread.say("DELETE C-1042")
    await site.click(first)
    assert (await site.post(site.link_of(second), sure="yes"))[0] == 410
    before = await letters_of(house)
    await deliver(house, mail("Re", "DELETE", to=address), address)
    [letter] = await new_letters(house, before)
    assert "C-1042 is deleted already; nothing of it is left." in said(letter)


# ---------------------------------------------------------------- the wrong case, the wrong person


@pytest.mark.parametrize("line", ["DELETE 4711", "DELETE #{}", "DELETE C-1042 4711"])
async def test_another_case_in_the_thread_of_this_one_is_refused_naming_both(
    house: House, thread: Thread, line: str
) -> None:
    other = await open_thread(house, "4711")
    [letter] = await thread.say(line.format(other.case.public_id))
    assert letter.kind == "notice"
    words = said(letter)
    assert "4711" in words or f"#{other.case.public_id}" in words
    assert "C-1042" in words
    for one in (thread, other):
        assert (await one.now()).state is CaseState.OPEN


async def test_a_code_does_not_make_up_for_the_wrong_case(house: House, thread: Thread) -> None:
    await set_up_codes(house)
    other = await open_thread(house, "4711")
    [letter] = await thread.say(f"DELETE 4711\nCODE {code_now(house)}")
    assert "in the thread of C-1042" in said(letter)
    assert await other.say(f"DELETE 4711\nCODE {code_now(house)}") == []  # it was not spent


@pytest.mark.parametrize("word", ["Löschen bitte!", "DELETE?", "please delete this", "Deleted"])
async def test_what_is_only_nearly_delete_asks_back(thread: Thread, word: str) -> None:
    [letter] = await thread.say(word)
    assert (letter.kind, "not sure what you mean" in said(letter)) == ("notice", True)


async def test_the_finder_of_a_forwarded_letter_deletes_nothing_and_the_owner_hears_once(
    house: House, thread: Thread
) -> None:
    finder = "mallory@evil.example"
    house.settings = house.settings.model_copy(update={"signup": "closed"})
    told = await thread.say("DELETE", sender=finder, whose=ANNA)
    assert sorted(letter.recipient for letter in told) == [ANNA, finder]
    again = await thread.say("DELETE C-1042", sender=finder, whose=ANNA)
    assert [letter.recipient for letter in again] == [finder]
    assert (await thread.now()).state is CaseState.OPEN
    async with house.database.read() as connection:
        assert await access.reviewer_of(connection, thread.case.id, finder) is None
