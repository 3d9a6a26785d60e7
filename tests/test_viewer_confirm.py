"""The page behind a link that waits for a click: who looks changes nothing, and a person clicks once."""

import asyncio

import aiohttp
import pytest
import sqlalchemy as sa

from store.clock import MINUTE, SetClock
from store.house import House
from store.model import Letter
from store.records import access, codes
from store.records.schema import metadata
from store.states import CaseState, ConfirmationState, Strength
from tests.clicks import (
    BACKUP,
    Site,
    Thread,
    code_now,
    confirmation_of,
    member_of,
    open_thread,
    publish_domain,
    run_confirmation,
    said,
    set_up_codes,
    wrong_code,
)
from tests.fakedns import FakeDns
from tests.fakes import KIM
from tests.test_viewer_web import ROBOTS

LEE = "lee@clinic.example"
NOWHERE = "/c/" + "a" * 26


@pytest.fixture
async def asked(thread: Thread) -> Letter:
    """The letter that asks for the click on DELETE."""
    [letter] = await thread.say("DELETE")
    return letter


@pytest.fixture
async def asked_with_codes(house: House, thread: Thread, dns: FakeDns) -> Letter:
    """The same where codes are on, and the mail was not signed."""
    publish_domain(dns, "lab.example")
    await set_up_codes(house)
    [letter] = await thread.say("DELETE", Strength.SENT)
    return letter


async def state_of(house: House, letter: Letter) -> ConfirmationState:
    return (await confirmation_of(house, letter)).state


async def database(house: House) -> dict[str, list[str]]:
    """Every row of every table."""
    rows = {}
    async with house.database.read() as connection:
        for table in metadata.sorted_tables:
            found = await connection.execute(sa.select(table))
            rows[table.name] = sorted(repr(tuple(row)) for row in found)
    return rows


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_whatever_scanners_open_changes_nothing(
    house: House, site: Site, asked: Letter, method: str
) -> None:
    before = await database(house)
    for agent in [*ROBOTS, *ROBOTS]:
        status, text = await site.get(site.link_of(asked), method, **{"User-Agent": agent})
        assert status == 200
        assert ("<form" in text) is (method == "GET")
    assert await database(house) == before


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(
    house: House, site: Site, asked: Letter, method: str
) -> None:
    before = await database(house)
    status, _ = await site.get(site.link_of(asked), method, Origin=site.url)
    assert status == 405
    assert await database(house) == before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://evil.example", "Host": "evil.example"},
        {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
        {"Referer": "http://127.0.0.1/c/x"},
    ],
)
async def test_a_click_from_elsewhere_is_refused(
    house: House, site: Site, asked: Letter, headers: dict[str, str]
) -> None:
    async with site.client.post(
        site.link_of(asked), data={"sure": "yes"}, headers=headers
    ) as answer:
        assert answer.status == 403
        assert "came from another site" in await answer.text()
    assert await state_of(house, asked) is ConfirmationState.WAITING


async def test_a_click_of_a_browser_that_hides_its_origin_counts(
    house: House, site: Site, asked: Letter
) -> None:
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    async with site.client.post(
        site.link_of(asked), data={"sure": "yes"}, headers=headers
    ) as answer:
        assert answer.status == 200
    assert await state_of(house, asked) is ConfirmationState.CONFIRMED


async def test_the_key_of_its_page_makes_a_form_count_where_the_browser_says_nothing(
    house: House, site: Site, thread: Thread
) -> None:
    [one], [other] = await thread.say("DELETE"), await thread.say("ADD lee@clinic.example")
    keys = []
    for letter in (one, other):
        _, text = await site.get(site.link_of(letter))
        keys.append(text.partition('name="key" value="')[2][:26])
    assert keys[0] != keys[1]
    link = site.link_of(one)
    for key, headers in ((keys[1], {}), (keys[0], {"Origin": "https://evil.example"}), ("", {})):
        form = {"sure": "yes", "key": key}
        async with site.client.post(link, data=form, headers=headers) as answer:
            assert answer.status == 403
    assert (await confirmation_of(house, one)).is_waiting(house.clock.now())
    async with site.client.post(link, data={"sure": "yes", "key": keys[0]}) as answer:
        assert answer.status == 200
    assert not (await confirmation_of(house, one)).is_waiting(house.clock.now())


async def test_a_click_that_no_hand_made_permits_nothing(
    house: House, site: Site, asked: Letter
) -> None:
    brand = {"Origin": site.url, "Sec-CH-UA": '"Chromium";v="140"'}
    for hand, waits in (({}, True), ({"Sec-Fetch-User": "?1"}, False)):
        form = {"sure": "yes"}
        async with site.client.post(site.link_of(asked), data=form, headers=brand | hand) as answer:
            assert answer.status == 200
        assert (await confirmation_of(house, asked)).is_waiting(house.clock.now()) is waits


@pytest.mark.parametrize(
    "form", [{}, {"sure": "no"}, {"sure": ""}, {"agree": "yes"}, {"Sure": "yes"}]
)
async def test_without_the_box_nothing_is_permitted(
    house: House, site: Site, asked: Letter, form: dict[str, str]
) -> None:
    status, text = await site.post(site.link_of(asked), **form)
    assert (status, "Tick the box to go on." in text) == (400, True)
    assert await state_of(house, asked) is ConfirmationState.WAITING


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"sure": "yes"}'),
        ("text/plain", b"sure=yes"),
        ("application/x-www-form-urlencoded", b"sure=%ff%fe&\xff\xfe=1"),
        ("application/x-www-form-urlencoded; charset=none", b"sure=yes"),
        ("application/x-www-form-urlencoded; charset=utf-16", b"sure=yes"),
        ("multipart/form-data", b"sure=yes"),
        ("multipart/form-data; boundary=x", b"sure=yes"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nyes\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x",
         b'--x\r\nContent-Disposition: form-data; name="sure"; filename="f"\r\n\r\nyes\r\n--x--\r\n'),
    ],
)  # fmt: skip
async def test_forms_that_no_browser_sends_are_no_click_and_no_fault(
    house: House, site: Site, asked: Letter, kind: str, body: bytes
) -> None:
    headers = {"Origin": site.url, "Content-Type": kind}
    async with site.client.post(site.link_of(asked), data=body, headers=headers) as answer:
        assert answer.status in (400, 415)
    assert await state_of(house, asked) is ConfirmationState.WAITING


async def test_a_form_of_a_megabyte_is_refused(house: House, site: Site, asked: Letter) -> None:
    async with site.client.post(
        site.link_of(asked), data={"sure": "y" * 1_000_000}, headers={"Origin": site.url}
    ) as answer:
        assert answer.status == 413
    assert await state_of(house, asked) is ConfirmationState.WAITING


async def test_a_click_counts_once(house: House, site: Site, asked: Letter) -> None:
    status, text = await site.post(site.link_of(asked), sure="yes")
    assert (status, "It is being done now" in text) == (200, True)
    for status, text in [
        await site.post(site.link_of(asked), sure="yes"),
        await site.get(site.link_of(asked)),
    ]:
        assert (status, "This link has ended" in text) == (410, True)
        assert "Write the command once more" in text


async def test_of_two_clicks_at_once_one_counts(house: House, site: Site, asked: Letter) -> None:
    link = site.link_of(asked)
    found = await asyncio.gather(*(site.post(link, sure="yes") for _ in range(4)))
    assert sorted(status for status, _ in found) == [200, 410, 410, 410]


@pytest.mark.parametrize(("minutes", "status"), [(29, 200), (30, 410), (31, 410)])
async def test_a_link_ends_after_thirty_minutes(
    house: House, site: Site, clock: SetClock, thread: Thread, asked: Letter,
    minutes: int, status: int,
) -> None:  # fmt: skip
    clock.advance(minutes * MINUTE)
    assert (await site.get(site.link_of(asked)))[0] == status
    assert (await site.post(site.link_of(asked), sure="yes"))[0] == status
    await run_confirmation(house, (asked.context or {})["confirmation"])
    expected = CaseState.DELETED if status == 200 else CaseState.OPEN
    assert (await thread.now()).state is expected


@pytest.mark.parametrize(
    "path", [NOWHERE, NOWHERE.upper(), "/c/x", "/c/", "/c/..%2f", f"{NOWHERE}/", "/c/%00", "/c"]
)
async def test_an_address_that_was_never_mailed_is_no_page(site: Site, path: str) -> None:
    for status, text in (await site.get(site.url + path), await site.post(site.url + path)):
        assert status in (404, 405)
        assert "<form" not in text


async def test_no_other_token_opens_the_page(house: House, site: Site, thread: Thread) -> None:
    """A link or an address of the case is no confirmation, and a confirmation is no link."""
    [letter] = await thread.say("DELETE")
    address = (await thread.address()).partition("+")[2].partition("@")[0]
    assert (await site.get(f"{site.url}/c/{address}"))[0] == 404
    token = site.link_of(letter).rpartition("/")[2]
    assert (await site.get(f"{site.url}/r/{token}"))[0] == 404


async def test_the_page_says_what_will_happen_and_tells_robots_and_caches_to_keep_off(
    site: Site, asked: Letter
) -> None:
    async with site.client.get(site.link_of(asked)) as answer:
        text = await answer.text()
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    for said_there in ("DELETE", "C-1042 crown", KIM, "for good", "1 file"):
        assert said_there in text
    assert "<script" not in text
    assert "authenticator" not in text


async def test_what_a_stranger_wrote_is_shown_as_text(house: House, site: Site) -> None:
    thread = await open_thread(house, "C-1")
    async with house.database.write() as connection:
        title = metadata.tables["cases"].update().values(title='<script>alert("1")</script>')
        await connection.execute(title)
    [letter] = await thread.say("DELETE")
    _, text = await site.get(site.link_of(letter))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


async def test_what_can_be_changed_back_needs_the_button_alone(
    house: House, site: Site, thread: Thread, dns: FakeDns
) -> None:
    publish_domain(dns, "lab.example")
    await set_up_codes(house)
    [letter] = await thread.say("EXTEND 3", Strength.SENT)
    _, text = await site.get(site.link_of(letter))
    assert "checkbox" not in text
    assert 'name="code"' not in text
    assert "This is about C-1042 crown" in text
    assert "This is about C-1042 crown" in said(letter)
    status, _ = await site.post(site.link_of(letter))
    assert status == 200


# ---------------------------------------------------------------- codes on the page


@pytest.mark.parametrize("form", [{"sure": "yes"}, {"sure": "yes", "code": "  "}, {}])
async def test_where_codes_are_on_the_click_alone_is_not_enough_and_locks_nobody(
    house: House, site: Site, asked_with_codes: Letter, form: dict[str, str]
) -> None:
    _, text = await site.get(site.link_of(asked_with_codes))
    assert 'name="code"' in text
    for _ in range(12):
        status, _ = await site.post(site.link_of(asked_with_codes), **form)
        assert status == 400
    assert await state_of(house, asked_with_codes) is ConfirmationState.WAITING
    good = await site.post(site.link_of(asked_with_codes), sure="yes", code=code_now(house))
    assert good[0] == 200


@pytest.mark.parametrize("shape", ["plain", "in two", "with blanks", "backup", "BACKUP"])
async def test_a_code_with_the_box_counts_however_it_is_typed(
    house: House, site: Site, thread: Thread, asked_with_codes: Letter, shape: str
) -> None:
    code = code_now(house)
    typed = {
        "plain": code,
        "in two": f"{code[:3]} {code[3:]}",
        "with blanks": f" {code}\u00a0",
        "backup": BACKUP[2],
        "BACKUP": BACKUP[2].upper().replace("-", " "),
    }[shape]
    assert (await site.post(site.link_of(asked_with_codes), sure="yes", code=typed))[0] == 200
    await run_confirmation(house, (asked_with_codes.context or {})["confirmation"])
    assert (await thread.now()).state is CaseState.DELETED


async def test_a_code_without_the_box_is_not_spent(
    house: House, site: Site, asked_with_codes: Letter
) -> None:
    link, code = site.link_of(asked_with_codes), code_now(house)
    assert (await site.post(link, code=code))[0] == 400
    assert (await site.post(link, sure="yes", code=code))[0] == 200


async def test_wrong_codes_on_the_page_are_counted_and_the_typed_code_is_not_shown_again(
    house: House, site: Site, asked_with_codes: Letter
) -> None:
    link, wrong = site.link_of(asked_with_codes), wrong_code(house)
    for number in range(1, 6):
        status, text = await site.post(link, sure="yes", code=wrong)
        assert status == 400
        assert wrong not in text
        assert ("This code does not count." in text) is (number < 5)
        assert ("Codes are locked" in text) is (number == 5)
    assert await state_of(house, asked_with_codes) is ConfirmationState.WAITING


@pytest.mark.parametrize(
    "wide", ["\uff11\uff12\uff13\uff14\uff15\uff16", "\u0661\u0662\u0663\u0664\u0665\u0666"]
)
async def test_digits_of_other_scripts_are_refused_on_the_page(
    house: House, site: Site, asked_with_codes: Letter, wide: str
) -> None:
    assert (await site.post(site.link_of(asked_with_codes), sure="yes", code=wide))[0] == 400


async def test_one_code_on_two_pages_at_once_counts_on_one(
    house: House, site: Site, dns: FakeDns, thread: Thread
) -> None:
    publish_domain(dns, "lab.example")
    other = await open_thread(house, "C-2")
    await set_up_codes(house)
    [first] = await thread.say("DELETE", Strength.SENT)
    [second] = await other.say("DELETE", Strength.SENT)
    code = code_now(house)
    links = [site.link_of(first), site.link_of(second)]
    found = await asyncio.gather(*(site.post(link, sure="yes", code=code) for link in links))
    assert sorted(status for status, _ in found) == [200, 400]


async def test_codes_that_were_set_up_after_the_mail_are_asked_for(
    house: House, site: Site, asked: Letter
) -> None:
    await set_up_codes(house)
    assert (await site.post(site.link_of(asked), sure="yes"))[0] == 400
    assert (await site.post(site.link_of(asked), sure="yes", code=code_now(house)))[0] == 200


async def test_codes_that_were_ended_since_are_asked_for_no_more(
    house: House, site: Site, asked_with_codes: Letter
) -> None:
    async with house.database.write() as connection:
        await codes.forget(connection, (await member_of(house)).id)
    assert (await site.post(site.link_of(asked_with_codes), sure="yes"))[0] == 200


# ---------------------------------------------------------------- setting codes up


async def test_of_two_clicks_that_set_codes_up_one_shows_the_ten(
    house: House, site: Site, thread: Thread
) -> None:
    """The second would make the ten that the first has shown worthless."""
    import pyotp  # noqa: PLC0415

    [letter] = await thread.say("2FA ON")
    found = await confirmation_of(house, letter)
    whose = await member_of(house)
    secret = house.keys.unseal(bytes.fromhex(found.context["secret"]), whose.id).decode()
    code = pyotp.TOTP(secret).at(house.clock.now() // 1000)
    link = site.link_of(letter)
    answers = await asyncio.gather(*(site.post(link, code=code) for _ in range(3)))
    assert sorted(status for status, _ in answers) == [200, 410, 410]
    [shown] = [text for status, text in answers if status == 200]
    async with house.database.write() as connection:
        for one in [line.split("</code>")[0] for line in shown.split("<code>")[1:]]:
            spent = await codes.spend(connection, house.keys, whose.id, one, house.clock.now())
            assert spent is codes.Spent.RIGHT


async def test_the_page_of_a_case_that_was_deleted_meanwhile_has_ended(
    house: House, site: Site, thread: Thread, asked: Letter
) -> None:
    [other] = await thread.say(f"ADD {LEE}")
    await site.click(asked)
    status, text = await site.post(site.link_of(other), sure="yes")
    assert (status, "This link has ended" in text) == (410, True)
    async with house.database.read() as connection:
        assert await access.reviewer_of(connection, thread.case.id, LEE) is None


async def test_the_letter_says_until_when_and_that_nothing_was_done(asked: Letter) -> None:
    context = asked.context or {}
    assert context["heading"] == "You wrote: DELETE"
    assert "14:43 UTC" in context["until"]
    assert "The links of these people will die: kim@clinic.example." in said(asked)


async def test_the_links_of_letters_hold_the_configured_address(
    house: House, site: Site, asked: Letter
) -> None:
    async with site.client.get(
        site.link_of(asked), headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    ) as answer:
        assert "evil.example" not in await answer.text()
        assert isinstance(answer, aiohttp.ClientResponse)
