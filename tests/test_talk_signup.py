"""Strangers: one letter, a mail that waits sealed, a click that makes a member, and no way round it."""

from collections.abc import AsyncIterator
from email.message import EmailMessage

import pytest
import sqlalchemy as sa

from inbound.talk.signup import Stranger
from outbound.compose import compose
from store import consent
from store.clock import DAY, HOUR, SetClock
from store.errors import MailRefused
from store.house import House
from store.model import Letter
from store.records import labs, mails
from store.records.schema import cases, members
from store.states import MailState, Strength
from tests.clicks import (
    OUTSIDE,
    Site,
    confirmation_of,
    count_confirmations,
    deliver,
    letters_of,
    open_site,
    publish_domain,
    read,
    run_confirmation,
    said,
    take_in,
    trail,
)
from tests.conftest import Running, jaw_stl
from tests.fakedns import FakeDns
from tests.fakes import DOMAIN, KIM, mail, text_of

NEW = "nora@new.example"
YES = {"agree": consent.VERSION, "company": "New Smile", "name": "Nora Ny"}


def set_signup(house: House, signup: str) -> None:
    house.settings = house.settings.model_copy(update={"signup": signup})


def share(sender: str = NEW, subject: str = f"{KIM} C-9", **headers: str) -> EmailMessage:
    scans = {"C-9.stl": jaw_stl("upper", 500)}
    return mail(subject, "margins", scans, sender=sender, headers=headers)


@pytest.fixture
async def site(house: House) -> AsyncIterator[Site]:
    set_signup(house, "open")
    async with open_site(house) as opened:
        yield opened


async def state_of(house: House, mail_id: str) -> MailState:
    async with house.database.read() as connection:
        return (await mails.mail(connection, mail_id)).state


async def row_of(house: House, address: str = NEW) -> dict[str, object] | None:
    async with house.database.read() as connection:
        question = sa.select(members).where(members.c.address == address)
        found = (await connection.execute(question)).mappings().first()
    return dict(found) if found else None


async def only_letter(house: House) -> Letter:
    [letter] = await letters_of(house)
    return letter


async def agree(site: Site, letter: Letter, **form: str) -> None:
    status, text = await site.post(site.link_of(letter), **{**YES, **form})
    assert status == 200, text
    await run_confirmation(site.house, (letter.context or {})["confirmation"])


# ---------------------------------------------------------------- who may come


@pytest.mark.parametrize("signup", ["closed", "domains:lab.example,clinic.example"])
async def test_a_stranger_is_refused_in_the_dialogue_and_told_whom_to_ask(
    house: House, signup: str
) -> None:
    set_signup(house, signup)
    with pytest.raises(MailRefused, match=f"operator@{DOMAIN}") as refused:
        await deliver(house, share())
    assert refused.value.code == 550
    assert await letters_of(house) == []
    assert house.spool.mail_ids() == set()


@pytest.mark.parametrize(
    ("signup", "sender"),
    [
        ("open", NEW),
        ("domains:new.example", NEW),
        ("domains:other.example, new.example", "Nora@NEW.example"),
    ],
)
async def test_a_stranger_who_may_come_gets_one_letter_and_nothing_is_shared(
    house: House, signup: str, sender: str
) -> None:
    set_signup(house, signup.replace(" ", ""))
    mail_id = await deliver(house, share(sender))
    letter = await only_letter(house)
    assert (letter.kind, letter.recipient) == ("signup", NEW)
    assert await state_of(house, mail_id) is MailState.WAITING
    assert house.spool.mail_ids() == {mail_id}
    assert await row_of(house) is None
    async with house.database.read() as connection:
        assert (await connection.execute(sa.select(cases))).first() is None


@pytest.mark.parametrize("sender", ["nora@sub.new.example", "nora@new.example.evil.example"])
async def test_a_domain_that_only_looks_named_is_not(house: House, sender: str) -> None:
    set_signup(house, "domains:new.example")
    with pytest.raises(MailRefused):
        await deliver(house, share(sender))


async def test_a_stranger_whom_nobody_proves_is_refused_and_gets_no_letter(
    house: House, dns: FakeDns
) -> None:
    set_signup(house, "open")
    with pytest.raises(MailRefused, match="Nothing proves"):
        await deliver(house, share(), strength=Strength.SENT)
    dns.add("new.example", "TXT", "v=spf1 ip4:198.51.100.7 -all")
    with pytest.raises(MailRefused, match=OUTSIDE):
        await deliver(house, share(), strength=Strength.SENT)
    assert await letters_of(house) == []
    assert await count_confirmations(house) == 0


@pytest.mark.parametrize("strength", [Strength.SENT, Strength.SIGNED])
async def test_a_stranger_whom_their_domain_proves_gets_the_letter(
    house: House, dns: FakeDns, strength: Strength
) -> None:
    set_signup(house, "open")
    publish_domain(dns, "new.example")
    await deliver(house, share(), strength=strength)
    assert (await only_letter(house)).kind == "signup"


@pytest.mark.parametrize(
    "headers",
    [
        {"List-Id": "<news.new.example>", "Precedence": "bulk"},
        {"List-Unsubscribe": "<mailto:u@new.example>", "Precedence": "list"},
        {"Auto-Submitted": "auto-replied"},
        {"Auto-Submitted": "auto-generated"},
        {"X-Autoreply": "yes"},
        {"Feedback-ID": "1:news:new", "Precedence": "bulk"},
    ],
)
async def test_newsletters_and_robots_get_no_letter_and_leave_nothing(
    house: House, headers: dict[str, str]
) -> None:
    set_signup(house, "open")
    mail_id = await deliver(house, share(**headers))
    assert await letters_of(house) == []
    assert await count_confirmations(house) == 0
    assert await state_of(house, mail_id) is MailState.DONE
    assert house.spool.mail_ids() == set()


async def test_a_strangers_mail_without_scans_gets_a_letter_that_says_nothing_untrue(
    house: House, site: Site
) -> None:
    mail_id = await deliver(house, mail("Hello", "How does this work?", sender=NEW))
    letter = await only_letter(house)
    assert "A mail from nora@new.example came to" in said(letter)
    assert "Scans were" not in said(letter)
    await agree(site, letter)
    assert await state_of(house, mail_id) is MailState.RECEIVED  # and is answered with a hint


# ---------------------------------------------------------------- the second mail


async def test_the_second_mail_is_put_off_in_the_dialogue_until_the_click(
    house: House, site: Site
) -> None:
    await deliver(house, share())
    with pytest.raises(MailRefused, match="Your first mail waits") as put_off:
        await deliver(house, share(subject=f"{KIM} C-10"))
    assert put_off.value.code == 451
    letter = await only_letter(house)
    await agree(site, letter)
    await deliver(house, share(subject=f"{KIM} C-10"))  # a member's now


async def test_of_mails_that_end_at_the_same_moment_one_waits_and_one_letter_goes_out(
    house: House,
) -> None:
    set_signup(house, "open")
    sent = [share(subject=f"{KIM} C-{number}").as_bytes() for number in range(3)]
    taken = await take_in(house, sent, NEW)
    for mail_id in taken:
        await read(house, mail_id)
    states = [await state_of(house, mail_id) for mail_id in taken]
    assert states == [MailState.WAITING, *[MailState.DONE] * (len(taken) - 1)]
    assert house.spool.mail_ids() == {taken[0]}
    assert await count_confirmations(house) == 1
    first, *others = await letters_of(house)
    assert first.kind == "signup"
    assert [letter.kind for letter in others] == (["notice"] if len(taken) > 1 else [])
    assert all("was not kept" in said(letter) for letter in others)


async def test_other_strangers_are_not_held_up_by_one_who_waits(house: House) -> None:
    set_signup(house, "open")
    await deliver(house, share())
    await deliver(house, share("olaf@new.example"))
    assert len(await letters_of(house)) == 2


# ---------------------------------------------------------------- the click


async def test_the_click_makes_a_member_stores_the_consent_and_lets_the_mail_go_on(
    house: House, clock: SetClock, site: Site
) -> None:
    mail_id = await deliver(house, share())
    letter = await only_letter(house)
    clock.advance(HOUR)
    await agree(site, letter)
    row = await row_of(house)
    assert row is not None
    assert (row["name"], row["company"]) == ("Nora Ny", "New Smile")
    agreed = (row["consent_version"], row["consent_by"], row["consent_at"])
    assert agreed == (consent.VERSION, NEW, clock.now())
    async with house.database.read() as connection:
        lab = await labs.lab(connection, str(row["lab_id"]))
        found = await mails.mail(connection, mail_id)
    assert lab.name == "New Smile"
    assert (found.state, found.member_id) == (MailState.RECEIVED, row["id"])
    assert house.spool.mail_ids() == {mail_id}
    assert (NEW, "member signed up") in await trail(house)
    assert (await site.post(site.link_of(letter), **YES))[0] == 410


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "Tick the box"),
        ({"company": "New Smile"}, "Tick the box"),
        ({"agree": "yes", "company": "New Smile"}, "Tick the box"),
        ({"agree": "2020-01", "company": "New Smile"}, "Tick the box"),  # an older text
        ({"agree": consent.VERSION}, "Write the name of your lab"),
        ({"agree": consent.VERSION, "company": "   "}, "Write the name of your lab"),
        ({"agree": consent.VERSION, "company": "\u202e\u200b\x00"}, "Write the name of your lab"),
    ],
)
async def test_a_click_without_the_box_or_a_lab_does_nothing(
    house: House, site: Site, form: dict[str, str], sentence: str
) -> None:
    mail_id = await deliver(house, share())
    letter = await only_letter(house)
    status, text = await site.post(site.link_of(letter), **form)
    assert (status, sentence in text) == (400, True)
    assert await row_of(house) is None
    assert await state_of(house, mail_id) is MailState.WAITING
    await agree(site, letter)


async def test_what_was_typed_stays_in_the_form_that_comes_back(house: House, site: Site) -> None:
    await deliver(house, share())
    link = site.link_of(await only_letter(house))
    _, text = await site.post(link, name="Nora “N” <b>", company="New & Smile")
    assert 'value="Nora “N” &lt;b&gt;"' in text
    assert 'value="New &amp; Smile"' in text


async def test_names_are_one_line_of_plain_letters(house: House, site: Site) -> None:
    await deliver(house, share())
    evil = "Nora\r\nBcc: eve@evil.example\u202e\u2028 " + "x" * 500
    await agree(site, await only_letter(house), name=evil, company=f"Acme\x00{evil}")
    row = await row_of(house)
    assert row is not None
    for shown in (str(row["name"]), str(row["company"])):
        assert shown.isprintable()
        assert len(shown) <= 80


async def test_the_text_is_on_the_page_with_its_version(house: House, site: Site) -> None:
    await deliver(house, share())
    _, text = await site.get(site.link_of(await only_letter(house)))
    for sentence in consent.TEXT:
        assert sentence.replace("'", "&#39;") in text
    assert f'value="{consent.VERSION}"' in text


async def test_scanners_that_look_change_nothing(house: House, site: Site) -> None:
    mail_id = await deliver(house, share())
    letter = await only_letter(house)
    for number in range(20):
        method = ("GET", "HEAD")[number % 2]
        status, _ = await site.get(site.link_of(letter), method, **{"User-Agent": "SafeLinks"})
        assert status == 200
    assert (await site.get(site.link_of(letter), "OPTIONS"))[0] == 405
    assert (await site.post(site.link_of(letter), origin="https://evil.example", **YES))[0] == 403
    assert await state_of(house, mail_id) is MailState.WAITING
    assert await row_of(house) is None
    await agree(site, letter)


async def test_nobody_clicked_for_a_day_and_all_is_destroyed(
    house: House, clock: SetClock, site: Site
) -> None:
    mail_id = await deliver(house, share())
    letter = await only_letter(house)
    found = await confirmation_of(house, letter)
    clock.advance(DAY - 1)
    assert (await site.get(site.link_of(letter)))[0] == 200
    clock.advance(1)
    status, text = await site.post(site.link_of(letter), **YES)
    assert (status, "send the scans once more" in text) == (410, True)
    await run_confirmation(house, found.id)
    assert await state_of(house, mail_id) is MailState.DONE
    assert house.spool.mail_ids() == set()
    assert await row_of(house) is None
    assert await letters_of(house) == [letter]
    await deliver(house, share(subject=f"{KIM} C-10"))  # and they may begin anew
    assert len(await letters_of(house)) == 2


async def test_who_became_a_member_meanwhile_keeps_their_lab(house: House, site: Site) -> None:
    mail_id = await deliver(house, share())
    letter = await only_letter(house)
    async with house.database.write() as connection:
        lab = await labs.add_lab(connection, "Real Lab", house.clock.now())
        await labs.add_member(connection, lab.id, NEW, "Nora", "Real Lab", house.clock.now())
    await agree(site, letter)
    row = await row_of(house)
    assert row is not None
    assert (row["lab_id"], row["company"]) == (lab.id, "Real Lab")
    assert await state_of(house, mail_id) is MailState.RECEIVED


# ---------------------------------------------------------------- whom the operator has shut out


async def disabled_member(house: House, domain: str = "new.example") -> None:
    async with house.database.write() as connection:
        now = house.clock.now()
        lab = await labs.add_lab(connection, domain, now)
        await labs.add_member(connection, lab.id, NEW, "Nora", "", now)
        await labs.disable_member(connection, NEW, now)


@pytest.mark.parametrize("signup", ["open", "domains:new.example"])
async def test_a_member_whom_the_operator_disabled_does_not_come_back_by_signing_up(
    house: House, signup: str
) -> None:
    set_signup(house, signup)
    await disabled_member(house)
    try:
        mail_id = await deliver(house, share())
    except MailRefused as refused:
        assert refused.code == 550  # noqa: PT017 -- the door may say so too
    else:
        letter = await only_letter(house)
        assert (letter.kind, "may not share here any more" in said(letter)) == ("notice", True)
        assert await state_of(house, mail_id) is MailState.DONE
    assert house.spool.mail_ids() == set()
    assert await count_confirmations(house) == 0
    row = await row_of(house)
    assert row is not None
    assert row["disabled_at"] is not None


@pytest.mark.parametrize("clicked_first", [False, True])
async def test_nor_when_it_happened_before_or_just_after_the_click(
    house: House, site: Site, clicked_first: bool
) -> None:
    mail_id = await deliver(house, share())
    letter = await only_letter(house)
    if clicked_first:
        assert (await site.post(site.link_of(letter), **YES))[0] == 200
    await disabled_member(house)
    if not clicked_first:
        status, text = await site.post(site.link_of(letter), **YES)
        assert (status, "may not share here" in text) == (410, True)
        return
    await run_confirmation(house, (letter.context or {})["confirmation"])
    assert await state_of(house, mail_id) is MailState.DONE
    assert house.spool.mail_ids() == set()


async def test_a_door_that_was_closed_since_stays_closed_for_who_waits(
    house: House, site: Site
) -> None:
    await deliver(house, share())
    set_signup(house, "closed")
    assert (await site.post(site.link_of(await only_letter(house)), **YES))[0] == 410


# ---------------------------------------------------------------- labs, and names that deceive


async def lab_names(house: House) -> list[str]:
    async with house.database.read() as connection:
        return [lab.name for lab in await labs.all_labs(connection)]


async def test_the_people_of_a_named_domain_are_one_lab(house: House, site: Site) -> None:
    set_signup(house, "domains:new.example")
    for who in (NEW, "olaf@new.example"):
        await deliver(house, share(who))
        await agree(site, (await letters_of(house))[-1])
    assert (await lab_names(house)).count("new.example") == 1
    nora, olaf = await row_of(house), await row_of(house, "olaf@new.example")
    assert nora is not None
    assert olaf is not None
    assert nora["lab_id"] == olaf["lab_id"]


@pytest.mark.parametrize(
    ("company", "name"),
    [
        ("Acme Dental", "Acme Dental (nora@new.example)"),
        ("acme dental", "acme dental (nora@new.example)"),
        ("lab.example", "lab.example (nora@new.example)"),
        ("Dr. Ny", "Dr. Ny"),
    ],
)
async def test_nobody_signs_up_into_a_lab_that_is_there_or_may_come(
    house: House, site: Site, company: str, name: str
) -> None:
    await deliver(house, share())
    await agree(site, await only_letter(house), company=company)
    assert name in await lab_names(house)
    row = await row_of(house)
    assert row is not None
    async with house.database.read() as connection:
        assert (await labs.lab(connection, str(row["lab_id"]))).name == name


@pytest.mark.parametrize(
    ("author", "shown"),
    [
        ("owner@\u043bab.example", "owner@xn--ab-2kc.example"),  # a Cyrillic l
        ("owner@xn--ab-2kc.example", "owner@xn--ab-2kc.example"),
        ("owner@lab.example", "owner@lab.example"),
        ("owner@stra\u00dfe.example", "owner@stra\\xdfe.example"),  # two standards disagree
    ],
)
def test_a_domain_that_looks_like_another_is_shown_as_punycode(author: str, shown: str) -> None:
    assert Stranger.of(author).address.isascii()
    if "xn--" not in shown or "xn--" in author:
        assert Stranger.of(author).address == shown
    else:
        assert Stranger.of(author).address.startswith("owner@xn--")


async def test_the_letter_and_the_page_of_a_look_alike_show_punycode(
    house: House, site: Site
) -> None:
    author = "owner@\u043bab.example"
    message = share("owner@lab.example").as_bytes().replace(b"owner@lab", author[:9].encode())
    [mail_id] = await take_in(house, [message], author)
    await read(house, mail_id)
    letter = await only_letter(house)
    posting = await compose(house, letter)
    _, text = await site.get(site.link_of(letter))
    shown = Stranger.of(author).address
    assert shown in said(letter)
    assert shown in text
    assert "\u043b" not in text
    assert "\u043b".encode() not in posting.data


# ---------------------------------------------------------------- from end to end


async def test_a_strangers_scans_are_shared_by_themselves_after_the_click(
    running: Running,
) -> None:
    set_signup(running.house, "open")
    await running.postman.send(share())
    letter = await running.inbox.letter("signup", NEW)
    await running.all_done()
    assert [one["X-Envelope-To"] for one in running.inbox.letters] == [NEW]
    link = next(word for word in text_of(letter).split() if "/c/" in word)
    async with running.browser.get(link) as answer:
        assert answer.status == 200
    headers = {"Origin": running.url}
    async with running.browser.post(link, data=YES, headers=headers) as answer:
        assert answer.status == 200
    await running.inbox.letter("answer", NEW)
    shared = await running.inbox.letter("share", KIM)
    assert "New Smile" in str(shared["From"])
    assert "Nora Ny" in text_of(shared)
    await running.all_done()
    assert running.house.spool.mail_ids() == set()
