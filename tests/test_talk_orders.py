"""Commands that need more than a mail: codes, clicks, addresses; and verdicts that bind files."""

import asyncio
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa

from store.clock import DAY, HOUR, MINUTE, SetClock
from store.errors import MailRefused
from store.house import House
from store.model import Letter
from store.records import access, cases, codes, labs, remarks, schema, suppressions
from store.records.schema import audit, confirmations, letters
from store.records.verdicts import SAYS
from store.states import CaseState, ConfirmationKind, RemarkKind, Strength, Suppression
from tests.clicks import (
    BACKUP,
    SECRET,
    Site,
    Thread,
    code_now,
    confirmation_of,
    deliver,
    letters_of,
    member_of,
    new_letters,
    open_thread,
    publish_domain,
    run_confirmation,
    said,
    set_up_codes,
    trail,
    wrong_code,
)
from tests.fakedns import FakeDns
from tests.fakes import ANNA, BEN, DOMAIN, KIM, STRANGER, mail

SENT, SIGNED = Strength.SENT, Strength.SIGNED
LEE = "lee@clinic.example"


async def state(thread: Thread) -> CaseState:
    return (await thread.now()).state


async def all_words(house: House) -> str:
    """Whatever letters, confirmations and the trail hold."""
    found = []
    async with house.database.read() as connection:
        for table in (letters, confirmations, audit):
            found += [repr(tuple(row)) for row in await connection.execute(sa.select(table))]
    return "\n".join(found)


# ---------------------------------------------------------------- codes in mails


@pytest.mark.parametrize(
    "line",
    [
        "DELETE C-1042\nCODE {}",
        "DELETE C-1042\n\nCODE {}\n\nSent from my iPhone",
        "DELETE\nCODE {}",
        "DELETE C-1042 {}",
        "DELETE C-1042 CODE {}",
        "DELETE {}",  # in the thread the case is known
        "delete c-1042\ncode: {}",
        "LÖSCHEN C-1042\nCODE {}",
    ],
)
async def test_with_a_code_harm_is_done_at_once(house: House, thread: Thread, line: str) -> None:
    await set_up_codes(house)
    code = code_now(house)
    assert await thread.say(line.format(code)) == []  # the receipt comes when all is gone
    assert await state(thread) is CaseState.DELETED
    assert code not in await all_words(house)


@pytest.mark.parametrize("shape", [str, str.upper])
async def test_a_backup_code_does_it_too_and_once(house: House, thread: Thread, shape: Any) -> None:
    await set_up_codes(house)
    other = await open_thread(house, "C-2")
    assert await thread.say(f"DELETE C-1042\nCODE {shape(BACKUP[3])}") == []
    assert await state(thread) is CaseState.DELETED
    [letter] = await other.say(f"DELETE C-2\nCODE {BACKUP[3]}")
    assert "does not count" in said(letter)
    assert await state(other) is CaseState.OPEN


@pytest.mark.parametrize("line", ["DELETE", "DELETE C-1042", "ADD lee@clinic.example"])
async def test_without_one_it_is_asked_for_and_nothing_is_done(
    house: House, thread: Thread, line: str
) -> None:
    await set_up_codes(house)
    [letter] = await thread.say(line)
    assert f"Write “{line}” once more, and below it “CODE” and the six digits." in said(letter)
    assert await state(thread) is CaseState.OPEN
    assert (await thread.reviewers()).keys() == {KIM}


async def test_a_full_width_code_is_refused_and_spends_nothing(
    house: House, thread: Thread
) -> None:
    await set_up_codes(house)
    code = code_now(house)
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code)
    for line in (f"DELETE C-1042\nCODE {wide}", f"DELETE C-1042 CODE {wide}", f"DELETE {wide}"):
        [letter] = await thread.say(line)
        assert letter.kind == "notice", line
        assert await state(thread) is CaseState.OPEN
    assert await thread.say(f"DELETE C-1042\nCODE {code}") == []


async def test_a_code_that_came_eleven_minutes_late_is_refused(
    house: House, thread: Thread, clock: SetClock
) -> None:
    await set_up_codes(house)
    code = code_now(house)
    clock.advance(11 * MINUTE)
    [letter] = await thread.say(f"DELETE C-1042\nCODE {code}")
    assert "does not count" in said(letter)
    assert await state(thread) is CaseState.OPEN


async def test_the_same_code_in_two_mails_at_once_does_one_of_two_deeds(
    house: House, thread: Thread
) -> None:
    other = await open_thread(house, "C-2")
    await set_up_codes(house)
    code = code_now(house)
    addresses = [await thread.address(), await other.address()]
    lines = [f"DELETE C-1042\nCODE {code}", f"DELETE C-2\nCODE {code}"]
    await asyncio.gather(
        *(
            deliver(house, mail("Re: x", line, to=to), to)
            for line, to in zip(lines, addresses, strict=True)
        )
    )
    states = [await state(thread), await state(other)]
    assert sorted(states) == [CaseState.DELETED, CaseState.OPEN]


async def test_a_code_is_not_spent_on_what_could_not_be_done_anyway(
    house: House, thread: Thread
) -> None:
    await set_up_codes(house)
    code = code_now(house)
    for line in (
        f"ADD {KIM}\nCODE {code}",
        f"ADDRESS {BEN}\nCODE {code}",
        f"2FA ON\nCODE {code}",
        f"DELETE C-4711\nCODE {code}",
    ):
        [letter] = await thread.say(line)
        assert letter.kind == "notice"
        assert "does not count" not in said(letter)
    assert await thread.say(f"DELETE C-1042\nCODE {code}") == []


async def test_a_code_that_was_not_spent_stands_in_no_answer_and_not_in_the_trail(
    house: House, thread: Thread
) -> None:
    await set_up_codes(house)
    await thread.say("REVOKE")
    for line in ("DELETE C-1042\nCODE {}", "DELETE {}", "DELETE C-1042 {}", "2FA ON {}"):
        code = wrong_code(house)
        [letter] = await thread.say(line.format(code))
        assert code not in said(letter), line
    assert wrong_code(house) not in await all_words(house)


async def test_after_five_wrong_codes_a_mailed_link_unlocks(
    house: House, thread: Thread, site: Site
) -> None:
    await set_up_codes(house)
    found: list[Letter] = []
    for _ in range(5):
        found = await thread.say(f"DELETE C-1042\nCODE {wrong_code(house)}")
    link, told = sorted(found, key=lambda letter: letter.kind)
    assert (link.kind, link.recipient, told.kind) == ("confirm", ANNA, "notice")
    assert "locked" in said(told)
    [letter] = await thread.say(f"DELETE C-1042\nCODE {code_now(house)}")  # one link an hour
    assert "locked" in said(letter)
    assert await state(thread) is CaseState.OPEN

    status, text = await site.get(site.link_of(link))
    assert status == 200
    assert "Unlock codes" in text
    assert "cannot be undone" not in text
    [letter] = await thread.say(f"DELETE C-1042\nCODE {code_now(house)}")  # looking unlocks nothing
    assert "locked" in said(letter)
    assert await site.click(link) == []
    assert (ANNA, "codes unlocked") in await trail(house)
    assert await thread.say(f"DELETE C-1042\nCODE {code_now(house)}") == []
    assert await state(thread) is CaseState.DELETED


async def test_a_lock_in_the_next_hour_has_a_link_of_its_own(
    house: House, thread: Thread, clock: SetClock
) -> None:
    await set_up_codes(house)
    for _ in range(5):
        await thread.say(f"DELETE C-1042\nCODE {wrong_code(house)}")
    clock.advance(HOUR)
    found = await thread.say(f"DELETE C-1042\nCODE {code_now(house)}")
    assert sorted(letter.kind for letter in found) == ["confirm", "notice"]


async def test_the_page_of_a_locked_member_takes_no_code(
    house: House, thread: Thread, dns: FakeDns, site: Site
) -> None:
    publish_domain(dns, "lab.example")
    await set_up_codes(house)
    [letter] = await thread.say("DELETE C-1042", SENT)
    for _ in range(5):
        status, text = await site.post(site.link_of(letter), sure="yes", code=wrong_code(house))
        assert status == 400
    assert "Codes are locked" in text
    status, text = await site.post(site.link_of(letter), sure="yes", code=code_now(house))
    assert (status, "Codes are locked" in text) == (400, True)
    assert await state(thread) is CaseState.OPEN

    # What the page says to do: the mail has no signature, so no code can come with it.
    link, told = sorted(await thread.say("DELETE C-1042", SENT), key=lambda one: one.kind)
    assert (link.kind, link.recipient, told.kind) == ("confirm", ANNA, "notice")
    assert "unlocks them" in said(told)
    await site.click(link)
    [letter] = await thread.say("DELETE C-1042", SENT)
    await site.click(letter, code=code_now(house))
    assert await state(thread) is CaseState.DELETED


# ---------------------------------------------------------------- 2FA


async def test_2fa_on_leads_to_a_page_and_codes_are_asked_for_from_then_on(
    house: House, thread: Thread, site: Site
) -> None:
    [letter] = await thread.say("2FA ON")
    found = await confirmation_of(house, letter)
    assert (letter.kind, letter.recipient, found.kind) == ("confirm", ANNA, ConfirmationKind.ENROL)
    link = site.link_of(letter)
    status, text = await site.get(link)
    assert (status, "QR code" in text) == (200, False)  # a scanner that looks sees no secret
    status, text = await site.post(link)
    assert (status, "QR code" in text) == (200, True)
    assert not (await member_of(house)).has_codes
    sealed = bytes.fromhex(found.context["secret"])
    secret = house.keys.unseal(sealed, (await member_of(house)).id).decode()
    status, text = await site.post(link, code="000000")
    assert status == 400
    status, text = await site.post(link, code=pyotp.TOTP(secret).at(house.clock.now() // 1000))
    assert (status, "Codes are on" in text) == (200, True)
    before = await letters_of(house)
    await run_confirmation(house, found.id)
    [told] = await new_letters(house, before)
    assert (told.recipient, "From now on" in said(told)) == (ANNA, True)
    assert (ANNA, "codes on") in await trail(house)
    assert secret not in await all_words(house)
    assert found.context["secret"] not in await all_words(house)
    assert (await site.post(link))[0] == 410
    [letter] = await thread.say("DELETE")
    assert "needs a code" in said(letter)


async def test_two_links_that_set_codes_up_are_not_a_way_round_them(
    house: House, thread: Thread, site: Site
) -> None:
    """Whoever has the mailbox alone must not put an app of their own in the place of the member's."""
    [first], [second] = [await thread.say("2FA ON") for _ in range(2)]
    await set_up_codes(house)
    for letter in (first, second):
        for form in ({}, {"code": code_now(house)}, {"code": "000000"}):
            status, text = await site.post(site.link_of(letter), **form)
            assert (status, "QR code" in text) == (410, False)
    assert (await member_of(house)).has_codes
    assert await thread.say(f"DELETE C-1042\nCODE {code_now(house)}") == []  # still the old app


@pytest.mark.parametrize("strength", [SENT, SIGNED])
async def test_2fa_on_is_refused_where_codes_are_on(
    house: House, thread: Thread, dns: FakeDns, strength: Strength
) -> None:
    publish_domain(dns, "lab.example")
    await set_up_codes(house)
    [letter] = await thread.say("2FA ON", strength)
    assert (letter.kind, "are on" in said(letter)) == ("notice", True)


async def test_2fa_off_by_a_mail_that_is_not_signed_needs_the_click_and_the_code(
    house: House, thread: Thread, dns: FakeDns, site: Site
) -> None:
    publish_domain(dns, "lab.example")
    await set_up_codes(house)
    [letter] = await thread.say("2FA OFF", SENT)
    assert (await confirmation_of(house, letter)).kind is ConfirmationKind.COMMAND
    status, text = await site.post(site.link_of(letter), sure="yes")
    assert (status, "QR code" in text) == (400, False)
    assert (await member_of(house)).has_codes
    [told] = await site.click(letter, code=code_now(house))
    assert "Codes are off" in said(told)
    assert not (await member_of(house)).has_codes


async def test_2fa_off_with_a_code_ends_it_at_once(house: House, thread: Thread) -> None:
    await set_up_codes(house)
    [letter] = await thread.say(f"2FA OFF\nCODE {code_now(house)}")
    assert "Codes are off" in said(letter)
    assert not (await member_of(house)).has_codes
    [letter] = await thread.say("DELETE")
    assert letter.kind == "confirm"


@pytest.mark.parametrize(
    ("line", "answer"),
    [("2FA", "2FA ON or 2FA OFF"), ("2FA OFF", "off for anna@lab.example already")],
)
async def test_other_words_about_codes_are_answered(thread: Thread, line: str, answer: str) -> None:
    [letter] = await thread.say(line)
    assert (letter.kind, answer in said(letter)) == ("notice", True)


# ---------------------------------------------------------------- ADDRESS


async def ask_address(site: Site, thread: Thread, address: str) -> Letter:
    """ADDRESS up to the letter to that address: the member has clicked, its mailbox has not."""
    [letter] = await thread.say(f"ADDRESS {address}")
    assert letter.recipient == ANNA
    found = {one.recipient: one for one in await site.click(letter)}
    assert found.keys() == {ANNA, address}
    assert f"A letter with a link is on its way to {address}" in said(found[ANNA])
    assert found[address].kind == "confirm"
    return found[address]


HOME = "anna@home.example"


async def test_an_address_counts_after_both_clicks_and_answers_go_to_the_registered_one(
    house: House, thread: Thread, site: Site
) -> None:
    letter = await ask_address(site, thread, HOME)
    with pytest.raises(MailRefused):
        await deliver(house, mail("LIST", "LIST", sender=HOME))
    await site.click(letter)
    before = await letters_of(house)
    await deliver(house, mail("LIST", "LIST", sender=HOME))
    [answer] = await new_letters(house, before)
    assert (answer.recipient, "C-1042" in said(answer)) == (ANNA, True)


@pytest.mark.parametrize("other", ["anna+scans@lab.example", "an.na@lab.example"])
async def test_a_form_of_the_address_is_somebody_else_until_then(
    house: House, thread: Thread, site: Site, other: str
) -> None:
    with pytest.raises(MailRefused, match="ADDRESS"):
        await deliver(house, mail("LIST", "LIST", sender=other))
    await site.click(await ask_address(site, thread, other))
    await deliver(house, mail("LIST", "LIST", sender=other))


async def test_nobody_takes_in_what_somebody_else_writes(
    house: House, thread: Thread, site: Site
) -> None:
    """Eve of another lab claims the dentist's address: without the dentist's click she has nothing."""
    before = await letters_of(house)
    await deliver(house, mail("x", f"ADDRESS {KIM}", sender=STRANGER))
    [asked] = await new_letters(house, before)
    kims = next(one for one in await site.click(asked) if one.recipient == KIM)
    for _ in range(10):
        assert (await site.get(site.link_of(kims)))[0] == 200  # Kim's scanner looks
    assert (await site.post(site.link_of(kims)))[0] == 400  # and presses the button
    found = await thread.say("APPROVE", sender=KIM)
    assert {one.recipient for one in found} == {KIM, ANNA}
    with pytest.raises(MailRefused, match="not a member"):
        await deliver(house, mail(f"{LEE} C-9", "x", sender=KIM))


async def test_a_link_to_an_address_ends_after_thirty_minutes(
    house: House, thread: Thread, site: Site, clock: SetClock
) -> None:
    letter = await ask_address(site, thread, HOME)
    clock.advance(31 * MINUTE)
    assert (await site.post(site.link_of(letter), sure="yes"))[0] == 410
    with pytest.raises(MailRefused):
        await deliver(house, mail("LIST", "LIST", sender=HOME))


async def test_where_codes_are_on_the_code_comes_with_the_command_and_not_with_the_address(
    house: House, thread: Thread, site: Site
) -> None:
    await set_up_codes(house)
    found = await thread.say(f"ADDRESS {HOME}\nCODE {code_now(house)}")
    [letter] = [one for one in found if one.recipient == HOME]
    _, text = await site.get(site.link_of(letter))
    assert 'name="code"' not in text
    await site.click(letter)
    await deliver(house, mail("LIST", "LIST", sender=HOME))


@pytest.mark.parametrize("meanwhile", ["disabled", "taken"])
async def test_an_address_of_who_is_no_member_any_more_or_that_was_taken_does_not_count(
    house: House, thread: Thread, site: Site, meanwhile: str
) -> None:
    letter = await ask_address(site, thread, HOME)
    now, bens = house.clock.now(), (await member_of(house, BEN)).id
    async with house.database.write() as connection:
        if meanwhile == "disabled":
            await labs.disable_member(connection, ANNA, now)
        else:
            await labs.add_alias(connection, bens, HOME, now)
    await site.post(site.link_of(letter), sure="yes")
    await run_confirmation(house, (letter.context or {})["confirmation"])
    async with house.database.read() as connection:
        found = await labs.members_by_address(connection, {HOME})
    assert [one.id for one in found.values()] == ([bens] if meanwhile == "taken" else [])


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("ADDRESS", "needs one address"),
        ("ADDRESS a@home.example, b@home.example", "needs one address"),
        (f"ADDRESS {BEN}", "belongs to a member"),
        (f"ADDRESS {STRANGER}", "belongs to a member"),
        (f"ADDRESS {ANNA}", "belongs to a member"),
        (f"ADDRESS share@{DOMAIN}", "is this service itself"),
        ("ADDRESS a..b@home.example", "cannot be used"),
        ("ADDRESS a@-home.example", "cannot be used"),
    ],
)
async def test_what_cannot_be_an_address_of_theirs_is_said_and_asks_for_no_click(
    thread: Thread, line: str, answer: str
) -> None:
    [letter] = await thread.say(line)
    assert (letter.kind, answer in said(letter)) == ("notice", True)


async def test_an_address_that_became_somebodys_before_the_click_is_refused_then(
    house: House, thread: Thread, site: Site
) -> None:
    [letter] = await thread.say("ADDRESS lee@home.example")
    async with house.database.write() as connection:
        lab_id = (await member_of(house, BEN)).lab_id
        await labs.add_member(connection, lab_id, "lee@home.example", "Lee", "", house.clock.now())
    [told] = await site.click(letter)
    assert "belongs to a member already" in said(told)


# ---------------------------------------------------------------- ADD


async def share_letters(house: House) -> list[str]:
    return [letter.recipient for letter in await letters_of(house) if letter.kind == "share"]


async def test_add_asks_shows_who_and_shares_after_the_click(
    house: House, thread: Thread, site: Site
) -> None:
    [letter] = await thread.say(f"ADD {LEE}")
    assert f"{LEE}: gets a link of their own." in said(letter)
    assert await share_letters(house) == []
    found = await site.click(letter)
    assert {(one.kind, one.recipient) for one in found} == {("share", LEE), ("transcript", ANNA)}
    assert (await thread.reviewers()).keys() == {KIM, LEE}


async def test_add_says_of_each_of_thirty_addresses_what_becomes_of_it(
    house: House, thread: Thread, site: Site
) -> None:
    async with house.database.write() as connection:
        lab_id, now = thread.case.lab_id, house.clock.now()
        gone = "gone@clinic.example"
        await suppressions.suppress(connection, lab_id, gone, Suppression.STOP, now)
    fine = [f"dr{number}@clinic.example" for number in range(25)]
    odd = [gone, KIM, "dr3@clinic.example", "lee@clinic", f"share@{DOMAIN}"]
    [letter] = await thread.say(f"ADD {', '.join([*fine, *odd])}")
    assert letter.kind == "confirm"
    found = await site.click(letter)
    [told] = [one for one in found if one.kind == "transcript"]
    for address in fine:
        assert f"{address}: gets a link of their own." in said(told)
    assert "gone@clinic.example: wants no letters of your lab" in said(told)
    assert f"{KIM}: is a reviewer already" in said(told)
    assert "dr3@clinic.example: named twice" in said(told)
    assert "lee@clinic: cannot be used as an e-mail address" in said(told)
    assert f"share@{DOMAIN}: is this service itself" in said(told)
    assert sorted(await share_letters(house)) == sorted(fine)
    assert (await thread.reviewers()).keys() == {KIM, *fine}


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("ADD", "needs a reviewer's address"),
        (f"ADD {KIM}", f"{KIM}: is a reviewer already"),
        ("ADD lee@clinic", "lee@clinic: cannot be used"),
        ("ADD a..b@clinic.example", "a..b@clinic.example: cannot be used"),
        (f"ADD share@{DOMAIN}", "is this service itself"),
        ("ADD " + " ".join(f"d{n}@clinic.example" for n in range(31)), "at most 30 addresses"),
    ],
)
async def test_add_of_nobody_new_says_why_and_asks_for_no_click(
    house: House, thread: Thread, line: str, answer: str
) -> None:
    [letter] = await thread.say(line)
    assert (letter.kind, answer in said(letter)) == ("notice", True), said(letter)
    assert (await thread.reviewers()).keys() == {KIM}


async def test_add_does_not_let_a_revoked_reviewer_in_again(house: House, thread: Thread) -> None:
    await thread.say("REVOKE")
    [letter] = await thread.say(f"ADD {KIM}")
    assert f"RESEND {KIM}" in said(letter)
    assert (await thread.reviewers())[KIM].revoked_at is not None


async def test_add_after_the_case_has_ended_is_refused_even_when_clicked_before(
    house: House, thread: Thread, site: Site
) -> None:
    [letter] = await thread.say(f"ADD {LEE}")
    assert (await site.post(site.link_of(letter), sure="yes"))[0] == 200
    async with house.database.write() as connection:
        await cases.move(connection, thread.case.id, CaseState.EXPIRED)
    await run_confirmation(house, (letter.context or {})["confirmation"])
    assert await share_letters(house) == []


# ---------------------------------------------------------------- clicks, and who clicks


async def test_a_member_who_was_disabled_before_the_click_does_nothing(
    house: House, thread: Thread, site: Site
) -> None:
    [letter] = await thread.say("DELETE")
    async with house.database.write() as connection:
        await labs.disable_member(connection, ANNA, house.clock.now())
    [told] = await site.click(letter)
    assert "may not say this any more" in said(told)
    assert await state(thread) is CaseState.OPEN


async def test_a_reviewer_who_was_revoked_before_the_click_does_nothing(
    house: House, thread: Thread, dns: FakeDns, site: Site
) -> None:
    publish_domain(dns, "clinic.example")
    [letter] = await thread.say("APPROVE", SENT, sender=KIM)
    await thread.say("REVOKE")
    [told] = await site.click(letter)
    assert "may not say this any more" in said(told)


async def test_a_flow_that_runs_twice_does_it_once(
    house: House, thread: Thread, dns: FakeDns, site: Site
) -> None:
    publish_domain(dns, "lab.example")
    [letter] = await thread.say("EXTEND 2", SENT)
    assert len(await site.click(letter)) == 1
    before = await letters_of(house)
    await run_confirmation(house, (letter.context or {})["confirmation"])
    assert await new_letters(house, before) == []
    assert (await thread.now()).expires_at == thread.case.expires_at + 2 * DAY


async def test_a_long_command_is_shortened_in_headings(thread: Thread, site: Site) -> None:
    many = ", ".join(f"doctor.number.{n}@clinic.example" for n in range(30))
    [letter] = await thread.say(f"ADD {many}")
    assert len((letter.context or {})["heading"]) <= 100
    _, text = await site.get(site.link_of(letter))
    assert len(text.partition("<h1>")[2].partition("</h1>")[0]) <= 100


# ---------------------------------------------------------------- verdicts and STOP


@pytest.mark.parametrize(
    ("line", "kind"), [("APPROVE", RemarkKind.APPROVED), ("CHANGES thinner", RemarkKind.CHANGES)]
)
async def test_a_verdict_binds_the_files_and_is_given_once(
    house: House, thread: Thread, line: str, kind: RemarkKind
) -> None:
    found = await thread.say(line, sender=KIM)
    assert {one.kind for one in found} == {"verdict", "transcript"}
    [again] = await thread.say(line, sender=KIM)
    assert "already; nothing was sent twice" in said(again)
    async with house.database.read() as connection:
        [remark] = await remarks.of_case(connection, thread.case.id)
        version = await cases.latest_version(connection, thread.case.id)
        assert version is not None
        [scan] = await cases.scans_of(connection, version.id)
        rows = await connection.execute(sa.select(audit).where(audit.c.action == f"verdict {kind}"))
        [line_of_trail] = rows.mappings().all()
    assert (remark.kind, remark.files) == (kind, [scan.original_sha256, scan.copy_sha256])
    assert line_of_trail["detail"]["files"] == remark.files
    assert line_of_trail["actor"] == KIM
    assert SAYS[kind] in said(found[-1])


async def test_a_reviewer_may_change_their_mind(
    house: House, thread: Thread, clock: SetClock
) -> None:
    await thread.say("CHANGES thinner", sender=KIM)
    clock.advance(MINUTE)
    found = await thread.say("APPROVE", sender=KIM)
    assert "verdict" in {one.kind for one in found}
    [status] = await thread.say("STATUS")
    [kim] = (status.context or {})["case"]["reviewers"]
    assert kim["sentence"].startswith("approved on")


async def test_changes_without_words_are_refused(thread: Thread) -> None:
    [letter] = await thread.say("CHANGES", sender=KIM)
    assert "needs words" in said(letter)


async def add_second_version(house: House, thread: Thread) -> None:
    """Version 2, as a reply with scans makes it; its own mail is not what is asked here."""
    async with house.database.write() as connection:
        copy = sa.select(schema.mails).where(schema.mails.c.case_id == thread.case.id)
        row = dict((await connection.execute(copy)).mappings().first() or {})
        await connection.execute(sa.insert(schema.mails).values({**row, "id": "second"}))
        now = house.clock.now()
        version = await cases.add_version(connection, thread.case.id, "second", now, [], [])
        assert await cases.share_version(connection, version.id, now) == 2


@pytest.mark.parametrize("verb", ["APPROVE", "CHANGES thinner"])
async def test_a_verdict_that_names_no_version_of_several_is_asked_back(
    house: House, thread: Thread, verb: str
) -> None:
    await add_second_version(house, thread)
    [letter] = await thread.say(verb, sender=KIM)  # it answers no letter that we know
    assert "has 2 versions, and your mail does not say which it is about" in said(letter)
    assert "v2" in said(letter)
    word = verb.split(maxsplit=1)[0]
    [letter] = await thread.say(f"{word} v3: thinner", sender=KIM)
    assert "has no version 3 yet" in said(letter)
    assert "“thinner”" in said(letter)
    [letter] = await thread.say(f"{word} v1: thinner", sender=KIM)
    assert "about version 1 of C-1042" in said(letter)
    async with house.database.read() as connection:
        assert await remarks.of_case(connection, thread.case.id) == []
    found = await thread.say(f"{word} v2: thinner", sender=KIM)
    assert {one.kind for one in found} == {"verdict", "transcript"}


async def test_a_click_permits_the_verdict_on_the_version_that_was_meant_and_no_other(
    house: House, thread: Thread, dns: FakeDns, site: Site
) -> None:
    publish_domain(dns, "clinic.example")
    [asked] = await thread.say("APPROVE v1", SENT, sender=KIM)
    assert asked.kind == "confirm"
    await add_second_version(house, thread)
    found = await site.click(asked)
    assert "about version 1 of C-1042" in said(found[-1])
    [refused] = await thread.say("APPROVE v1", SENT, sender=KIM)  # before a click is asked for
    assert refused.kind == "notice"
    [asked] = await thread.say("APPROVE v2", SENT, sender=KIM)
    assert {one.kind for one in await site.click(asked)} == {"verdict", "transcript"}
    async with house.database.read() as connection:
        [remark] = await remarks.of_case(connection, thread.case.id)
        newest = await cases.newest_shared(connection, thread.case.id)
    assert newest is not None
    assert remark.version_id == newest.id


async def test_the_answer_to_a_question_is_about_the_version_that_it_named(
    house: House, thread: Thread
) -> None:
    await add_second_version(house, thread)
    [asked] = await thread.say("APPROVE", sender=KIM)
    to, before = await thread.address(KIM), await letters_of(house)
    answer = mail("Re: x", "APPROVE", sender=KIM, to=to, headers={"In-Reply-To": asked.message_id})
    await deliver(house, answer, to)
    assert {one.kind for one in await new_letters(house, before)} == {"verdict", "transcript"}


async def test_stop_ends_a_labs_letters_to_one_reviewer_and_tells_the_owner_once(
    house: House, thread: Thread
) -> None:
    first = await thread.say("STOP", sender=KIM)
    assert {one.recipient for one in first} == {KIM, ANNA}
    [again] = await thread.say("STOP", sender=KIM)
    assert "already" in said(again)
    async with house.database.read() as connection:
        found = await suppressions.reason_for(connection, thread.case.lab_id, KIM)
        other = await suppressions.reason_for(connection, thread.case.lab_id, LEE)
    assert (found, other) == (Suppression.STOP, None)
    [letter] = await thread.say("COMMENT hello")
    assert "nobody" in said(letter)


async def test_stop_of_somebody_without_codes_locks_and_spends_nothing(
    house: House, thread: Thread
) -> None:
    await set_up_codes(house)
    await thread.say("STOP", sender=KIM)
    async with house.database.read() as connection:
        assert await codes.backup_codes_left(connection, (await member_of(house)).id) == 10
        assert await access.reviewer_of(connection, thread.case.id, KIM)
    assert SECRET


async def test_resend_does_not_promise_a_letter_to_who_wants_none(
    house: House, thread: Thread
) -> None:
    await thread.say("STOP", sender=KIM)
    before = await letters_of(house)
    [letter] = await thread.say(f"RESEND {KIM}")
    assert said(letter) == f"Not to {KIM}: they want no letters of Acme Dental."
    assert "share" not in [one.kind for one in await new_letters(house, before)]
    [status] = await thread.say("STATUS")
    [shown] = (status.context or {})["case"]["reviewers"]
    assert "wants no letters of your lab" in shown["sentence"]
