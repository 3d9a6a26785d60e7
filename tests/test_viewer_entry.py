"""The ways in, as two devices without a memory meet them: clicks, codes, passwords, pictures, and out."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
import segno
import sqlalchemy as sa

from outbound.compose import compose
from outbound.gate import Passage, decide
from store import passwords
from store.clock import DAY, HOUR, MINUTE, SetClock
from store.house import House
from store.model import Letter, Person
from store.records import access, cases, knocks, suppressions
from store.records.schema import metadata
from store.states import AccessMode, LetterState, Proof, Suppression
from store.tokens import Purpose
from tests.clicks import Site, Thread, letters_of, trail
from tests.fakes import ANNA, KIM

WRONG = "eve@elsewhere.example"
WORDS = "three odd words"
CHROME = {"Sec-CH-UA": '"Chromium";v="140"', "Sec-Fetch-Site": "same-origin"}
SENT_CODE = "If this is the address that the letter came to, a code is on its way."


@dataclass
class Answer:
    status: int
    text: str
    headers: dict[str, str]
    cookies: dict[str, str]

    @property
    def opened(self) -> bool:
        return self.status == 303 and any("knock" not in name for name in self.cookies)


@dataclass
class Device:
    """A browser that keeps its cookies, fills the hidden fields in, and follows nothing by itself."""

    site: Site
    link: str
    jar: dict[str, str] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, below: str = "", data: Any = None, **headers: str) -> Answer:
        cookie = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        sent = {**({"Cookie": cookie} if cookie else {}), **self.says, **headers}
        url = self.link + below
        given = {"data": data, "headers": sent, "allow_redirects": False}
        async with self.site.client.request(method, url, **given) as found:
            written = {name: morsel.value for name, morsel in found.cookies.items()}
            self.jar |= written
            self.jar = {name: value for name, value in self.jar.items() if value}
            return Answer(found.status, await found.text(), dict(found.headers), written)

    async def get(self, below: str = "") -> Answer:
        return await self.ask("GET", below)

    async def post(self, below: str, **form: str) -> Answer:
        return await self.ask("POST", below, form, Origin=self.site.url)

    async def press(self, page: str, below: str, **form: str) -> Answer:
        """Looks at a page and posts its form, with all that is hidden in it."""
        shown = await self.get(page)
        return await self.post(below, **hidden_in(shown.text), **form)

    async def open(self, **form: str) -> Answer:
        return await self.press("", "/open", **form)

    async def is_in(self) -> bool:
        return "C-1042" in (await self.get()).text

    async def type_code(self, code: str, **form: str) -> Answer:
        return await self.press("/code", "/code", code=code, **form)

    async def come_in_by_code(self, address: str = KIM) -> Answer:
        assert (await self.press("/code?again=1", "/ask", address=address)).status == 303
        return await self.type_code(await newest_code(self.site.house))


def hidden_in(html: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html))


def problem_in(answer: Answer) -> str:
    found = re.search(r'role="alert">([^<]*)<', answer.text)
    return found[1] if found else ""


async def link_of(site: Site, thread: Thread, whose: str = KIM) -> str:
    async with site.house.database.read() as connection:
        owner = await access.owner_of(connection, thread.case.id)
        person = await access.reviewer_of(connection, thread.case.id, whose) or owner
        key = await site.house.case_key(connection, thread.case.id)
    return f"{site.url}/r/{access.token_of(key, person, Purpose.LINK)}"


async def devices(site: Site, thread: Thread, count: int = 2, whose: str = KIM) -> list[Device]:
    link = await link_of(site, thread, whose)
    return [Device(site, link) for _ in range(count)]


async def codes_sent(house: House) -> list[Letter]:
    """The letters with a code that somebody gets."""
    counting = []
    for letter in [letter for letter in await letters_of(house) if letter.kind == "code"]:
        async with house.database.read() as connection:
            knock = await knocks.find(connection, (letter.context or {})["knock"])
        assert knock is not None
        assert letter.recipient in (KIM, ANNA)
        counting += [letter] if knock.right else []
    return counting


async def newest_code(house: House) -> str:
    """The digits of the newest letter, as it would go out."""
    text = (await compose(house, (await codes_sent(house))[-1])).data.decode()
    found = re.search(r"^(\d{3} \d{3})\r$", text, re.MULTILINE)
    assert found, text
    return found[1]


async def kim_of(thread: Thread) -> Person:
    return (await thread.reviewers())[KIM]


async def change(thread: Thread, **values: Any) -> None:
    async with thread.house.database.write() as connection:
        await cases.set_way_in(connection, thread.case.id, **values)


async def set_password(thread: Thread) -> None:
    await change(thread, password=passwords.hash_of(WORDS))


async def every_row(house: House) -> dict[str, list[str]]:
    rows = {}
    async with house.database.read() as connection:
        for table in metadata.sorted_tables:
            found = await connection.execute(sa.select(table))
            rows[table.name] = sorted(repr(tuple(row)) for row in found)
    return rows


# ---------------------------------------------------------------- bound: one device, and others by code


async def test_the_first_device_gets_in_by_a_click_and_any_other_is_asked_for_an_address(
    site: Site, thread: Thread
) -> None:
    first, second = await devices(site, thread)
    assert (await kim_of(thread)).bound_at is None
    assert (await first.open()).opened
    assert await first.is_in()
    assert (await kim_of(thread)).bound_at == site.house.clock.now()
    answer = await second.open()
    assert (answer.status, answer.cookies) == (303, {})
    assert answer.headers["Location"].endswith("/code")
    door = await second.get("/code")
    assert "Which address" in door.text
    assert "C-1042" not in door.text
    assert KIM not in door.text
    assert not await second.is_in()
    assert await first.is_in()


async def test_the_right_code_lets_a_second_device_in_with_or_without_the_blank(
    site: Site, thread: Thread
) -> None:
    first, second, third = await devices(site, thread, 3)
    await first.open()
    assert (await second.press("/code", "/ask", address=KIM.upper())).status == 303
    assert SENT_CODE in (await second.get("/code")).text
    code = await newest_code(site.house)
    assert (await second.type_code(code.replace(" ", ""))).opened
    assert await second.is_in()
    assert await first.is_in()
    assert (await third.come_in_by_code()).opened
    assert not any("knock" in name for name in third.jar)


async def test_the_letter_says_who_asked_and_the_digits_are_kept_nowhere(
    site: Site, thread: Thread
) -> None:
    first, second = await devices(site, thread)
    await first.open()
    await second.press("/code", "/ask", address=KIM)
    [letter] = await codes_sent(site.house)
    code = await newest_code(site.house)
    sent = (await compose(site.house, letter)).data.decode()
    assert (letter.recipient, letter.subject) == (KIM, "A code for C-1042")
    assert "Somebody, probably you, opened the link to C-1042 on another device" in sent.replace(
        "=\r\n", ""
    ).replace("\r\n", " ")
    assert "List-Unsubscribe" not in sent
    everything = repr(await every_row(site.house))
    assert code not in everything
    assert code.replace(" ", "") not in everything


async def test_a_right_and_a_wrong_address_get_the_same_answers_byte_for_byte(
    site: Site, thread: Thread
) -> None:
    link = await link_of(site, thread)
    await Device(site, link).open()
    shown: dict[str, list[Answer]] = {}
    for address in (KIM, WRONG):
        device = Device(site, link)
        answers = [
            await device.open(),
            await device.get("/code"),
            await device.press("/code", "/ask", address=address),
            await device.get("/code"),
            await device.get(),
        ]
        # Both get a code that is wrong: nobody types a right one for an address that is not Kim's.
        answers += [await device.type_code("000 00x") for _ in range(6)]
        answers += [await device.get("/code"), await device.type_code("1")]
        shown[address] = answers
    assert len(await codes_sent(site.house)) == 1
    plain = {address: [without_ids(one) for one in answers] for address, answers in shown.items()}
    assert plain[KIM] == plain[WRONG]
    assert not any(one.opened for answers in shown.values() for one in answers)
    for address in (KIM, WRONG):
        assert address not in repr(list(plain.values()))


def without_ids(answer: Answer) -> tuple[object, ...]:
    """All that a browser gets, without what is random and the second in which it came."""
    headers = {name: value for name, value in answer.headers.items() if name != "Date"}
    return answer.status, *(
        re.sub(r"[a-z2-7]{26}", "ID", said)
        for said in (answer.text, repr(headers), repr(answer.cookies))
    )


async def test_no_code_is_right_for_a_wrong_address(site: Site, thread: Thread) -> None:
    first, second = await devices(site, thread)
    await first.open()
    await second.press("/code", "/ask", address=WRONG)
    [knock_id] = second.jar.values()
    async with site.house.database.read() as connection:
        key = await site.house.case_key(connection, thread.case.id)
    answer = await second.type_code(knocks.digits_of(key, knock_id))
    assert "does not count" in problem_in(answer)
    assert await codes_sent(site.house) == []


async def test_the_same_work_is_done_for_a_wrong_address(site: Site, thread: Thread) -> None:
    first, second, third = await devices(site, thread, 3)
    await first.open()
    counts = []
    for device, address in ((second, KIM), (third, WRONG)):
        before = {name: len(rows) for name, rows in (await every_row(site.house)).items()}
        await device.press("/code", "/ask", address=address)
        after = {name: len(rows) for name, rows in (await every_row(site.house)).items()}
        counts.append(
            {name: after[name] - before[name] for name in after if after[name] != before[name]}
        )
    assert counts == [{"knocks": 1, "audit": 1, "letters": 1}] * 2
    [*_, unsent] = await letters_of(site.house)
    async with site.house.database.read() as connection:
        assert (await decide(site.house, connection, unsent)).passage is Passage.USELESS
    assert WRONG not in repr(await every_row(site.house))


async def test_a_code_counts_five_tries_ten_minutes_once_and_only_where_it_was_asked_for(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    first, second, third = await devices(site, thread, 3)
    await first.open()
    await second.press("/code", "/ask", address=KIM)
    code = await newest_code(site.house)
    await third.press("/code", "/ask", address=KIM)
    assert not (await third.type_code(code)).opened  # asked for elsewhere
    third.jar.clear()
    assert not (await third.type_code(code)).opened  # asked for nowhere
    clock.advance(10 * MINUTE - 1)
    for wrong in ("000000", "", "482113 1", "abc"):
        assert not (await second.type_code(wrong if wrong != code else "111111")).opened
    assert (await second.type_code(code)).opened  # three were spent: an empty one is none
    again = Device(site, second.link, {})
    await again.press("/code", "/ask", address=KIM)
    late = await newest_code(site.house)
    clock.advance(10 * MINUTE)
    answer = await again.type_code(late)
    assert (answer.status, answer.cookies) == (400, {})
    assert "does not count" in problem_in(answer)
    await again.press("/code?again=1", "/ask", address=KIM)
    right = await newest_code(site.house)
    for _ in range(5):
        await again.type_code("12")
    assert not (await again.type_code(right)).opened
    assert "Which address" in (await again.get("/code")).text


async def test_a_code_is_spent_once_by_two_browsers_that_share_a_cookie(
    site: Site, thread: Thread
) -> None:
    first, second = await devices(site, thread)
    await first.open()
    await second.press("/code", "/ask", address=KIM)
    twin = Device(site, second.link, dict(second.jar))
    code = await newest_code(site.house)
    assert (await second.type_code(code)).opened
    assert not (await twin.type_code(code)).opened


async def test_a_hundred_tries_at_the_same_moment_are_five(site: Site, thread: Thread) -> None:
    first, second = await devices(site, thread)
    await first.open()
    await second.press("/code", "/ask", address=KIM)
    right = (await newest_code(site.house)).replace(" ", "")
    hidden = hidden_in((await second.get("/code")).text)
    hidden.pop("once")
    tried = [f"{number:06d}" for number in range(40) if f"{number:06d}" != right]
    await asyncio.gather(*(second.post("/code", code=one, **hidden) for one in tried))
    async with site.house.database.read() as connection:
        question = sa.select(sa.func.max(metadata.tables["knocks"].c.tries))
        assert (await connection.execute(question)).scalar_one() == knocks.MOST_TRIES
    assert not (await second.type_code(right)).opened


async def test_five_codes_an_hour_and_twenty_a_day_whatever_the_address(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    [device] = await devices(site, thread, 1)
    await device.open()
    statuses = []
    for hour in range(5):
        for number in range(6):
            address = KIM if (hour + number) % 2 else WRONG
            stranger = Device(site, device.link)
            answer = await stranger.press("/code", "/ask", address=address)
            statuses.append(answer.status)
        assert "in an hour" in problem_in(answer)
        clock.advance(HOUR)
    assert statuses == [*[303] * 5, 429] * 4 + [429] * 6
    clock.advance(DAY)
    assert (await device.press("/code?again=1", "/ask", address=KIM)).status == 303


async def test_what_is_no_address_is_asked_for_again_and_no_knock(
    site: Site, thread: Thread
) -> None:
    [device] = await devices(site, thread, 1)
    before = await every_row(site.house)
    for typed in ("", "kim", "kim@", f"Kim <{KIM}>", f"{KIM},{WRONG}", "<script>"):
        answer = await device.press("/code", "/ask", address=typed)
        assert answer.status == 400
        assert "Write the whole address" in problem_in(answer)
        assert "script>" not in answer.text
    assert await every_row(site.house) == before


async def test_two_taps_on_one_button_are_one(site: Site, thread: Thread) -> None:
    first, second = await devices(site, thread)
    hidden = hidden_in((await first.get()).text)
    twins = [Device(site, first.link), Device(site, first.link)]
    answers = await asyncio.gather(*(one.post("/open", **hidden) for one in twins))
    assert [one.opened for one in answers] == [True, True]
    assert twins[0].jar == twins[1].jar
    hidden = hidden_in((await second.get("/code")).text)
    for _ in range(2):
        await second.post("/ask", address=KIM, **hidden)
    assert len(await codes_sent(site.house)) == 1
    code = await newest_code(site.house)
    hidden = hidden_in((await second.get("/code")).text)
    for _ in range(2):
        assert (await second.post("/code", code=code, **hidden)).opened


async def test_the_button_of_an_old_page_is_no_way_in(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    first, second = await devices(site, thread)
    hidden = hidden_in((await first.get()).text)
    await first.post("/open", **hidden)
    clock.advance(MINUTE)
    answer = await second.post("/open", **hidden)
    assert not answer.opened
    # Nor in the minute after the first device was used again.
    clock.advance(30 * MINUTE)
    assert await first.is_in()
    assert not (await second.post("/open", **hidden)).opened
    assert (await first.post("/open", **hidden)).opened  # gone back, on the same device
    assert await first.is_in()


async def test_two_taps_that_wake_an_idle_session_are_one(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    [first] = await devices(site, thread, 1)
    await first.open()
    clock.advance(9 * HOUR)
    hidden = hidden_in((await first.get()).text)
    twins = [Device(site, first.link, dict(first.jar)) for _ in range(2)]
    answers = [await one.post("/open", **hidden) for one in twins]
    assert [one.opened for one in answers] == [True, True]
    assert twins[0].jar == twins[1].jar


# ---------------------------------------------------------------- idle, seven days, revoked, resent


async def test_after_8_idle_hours_a_click_and_after_7_days_a_code(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    await thread.say("EXTEND 20")
    [device] = await devices(site, thread, 1)
    began = clock.now()
    old = (await device.open()).cookies
    clock.advance(8 * HOUR)
    assert not await device.is_in()
    woken = await device.open()
    assert woken.opened
    assert woken.cookies != old
    assert f"Max-Age={(7 * DAY - 8 * HOUR) // 1000}" in woken.headers["Set-Cookie"]
    assert not await Device(site, device.link, old).is_in()  # rotated
    clock.time = began + 7 * DAY - 1
    assert (await device.open()).opened
    assert await device.is_in()
    clock.time = began + 7 * DAY
    assert not await device.is_in()
    assert not (await device.open()).opened
    assert (await device.come_in_by_code()).opened
    clock.advance(7 * DAY - 1)
    assert (await device.open()).opened


async def test_work_keeps_a_session_awake(site: Site, thread: Thread, clock: SetClock) -> None:
    [device] = await devices(site, thread, 1)
    await device.open()
    for _ in range(3):
        clock.advance(7 * HOUR)
        assert (await device.post("/seen")).status == 204
    clock.advance(7 * HOUR)
    assert await device.is_in()


async def test_revoke_ends_all_and_resend_binds_anew(site: Site, thread: Thread) -> None:
    first, second = await devices(site, thread)
    await first.open()
    shown = await first.ask("POST", "/handover", {}, Origin=site.url, Accept="application/json")
    assert shown.status == 200
    await second.press("/code", "/ask", address=KIM)
    code = await newest_code(site.house)
    hidden = hidden_in((await second.get("/code")).text)
    await thread.say(f"REVOKE {KIM}")
    for device in (first, second):
        assert (await device.get()).status == 410
        assert (await device.post("/code", code=code, **hidden)).status == 410
    await thread.say(f"RESEND {KIM}")
    assert (await first.get()).status == 410
    anew = await link_of(site, thread)
    assert anew != first.link
    for device in (first, second):
        device.link = anew
    assert not await first.is_in()
    assert not (await second.type_code(code)).opened
    assert (await kim_of(thread)).bound_at is None
    assert (await second.open()).opened
    assert not (await first.open()).opened


async def test_who_closes_the_case_on_a_device_needs_a_code_there(
    site: Site, thread: Thread
) -> None:
    [device] = await devices(site, thread, 1)
    await device.open()
    before = dict(device.jar)
    answer = await device.press("/stop", "/leave")
    assert (answer.status, device.jar) == (200, {})
    assert "Closed on this device" in answer.text
    for jar in ({}, before):
        device.jar = dict(jar)
        assert not await device.is_in()
        assert not (await device.open()).opened
    assert (KIM, "device closed") in await trail(site.house)


# ---------------------------------------------------------------- link, code, owner


async def test_access_link_lets_everybody_in_who_has_it(site: Site, thread: Thread) -> None:
    await change(thread, access=AccessMode.LINK)
    for device in await devices(site, thread, 3):
        assert (await device.open()).opened
    await change(thread, access=AccessMode.BOUND)
    [stranger] = await devices(site, thread, 1)
    assert not (await stranger.open()).opened


async def test_access_code_shuts_clicks_out_at_once_and_needs_a_code_of_everybody(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    first, second = await devices(site, thread)
    await first.open()
    await change(thread, access=AccessMode.CODE)
    assert not await first.is_in()
    assert (await first.get("/v/1/poster.webp")).status == 403
    assert not (await first.open()).opened
    assert (await second.come_in_by_code()).opened
    clock.advance(8 * HOUR)
    assert (await second.open()).opened  # idle: a click, for it has shown a code
    assert await second.is_in()
    async with site.house.database.read() as connection:
        person = await kim_of(thread)
        secret = next(iter(second.jar.values()))
        found = await access.session_of_device(connection, secret, person.id, clock.now())
    assert found is not None
    assert found.proof is Proof.CODE


async def test_the_owners_own_link_follows_the_same_ways(site: Site, thread: Thread) -> None:
    first, second = await devices(site, thread, whose=ANNA)
    assert (await first.open()).opened
    assert not (await second.open()).opened
    assert (await second.come_in_by_code(ANNA)).opened
    assert (await second.get("/stop")).status == 404  # nobody shares anything with them


async def test_nobodys_cookie_opens_another_persons_link(site: Site, thread: Thread) -> None:
    kims, annas = (await devices(site, thread, 1))[0], (await devices(site, thread, 1, ANNA))[0]
    await kims.open()
    await annas.open()
    [(name, _)], [(_, secret)] = kims.jar.items(), annas.jar.items()
    stolen = Device(site, kims.link, {name: secret})
    assert not await stolen.is_in()
    assert not (await stolen.open()).opened


# ---------------------------------------------------------------- robots and forgeries


async def test_looking_and_scripts_change_nothing(site: Site, thread: Thread) -> None:
    first, robot = await devices(site, thread)
    before = await every_row(site.house)
    for method in ("GET", "HEAD", "OPTIONS"):
        for below in ("", "/code", "/code?again=1", "/stop", "?from=" + "a" * 26, "/open", "/ask"):
            answer = await robot.ask(method, below)
            assert answer.status in (200, 405)
            assert answer.cookies == {}
            assert "C-1042" not in answer.text
    robot.says = CHROME
    for below, form in (
        ("/open", {}),
        ("/ask", {"address": KIM}),
        ("/code", {"code": "123456"}),
        ("/stop", {"reason": "not me"}),
    ):
        answer = await robot.press("/stop" if below == "/stop" else "", below, **form)
        assert (answer.status, answer.cookies) == (200, {}), below
        assert 'method="post"' in answer.text  # the page again
    assert await every_row(site.house) == before
    first.says = {**CHROME, "Sec-Fetch-User": "?1"}
    assert (await first.open()).opened


async def test_browsers_that_say_no_brand_are_not_judged(site: Site, thread: Thread) -> None:
    [device] = await devices(site, thread, 1)
    device.says = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
    assert (await device.open()).opened


async def test_a_form_counts_by_its_origin_or_by_what_the_browser_says_or_by_its_key(
    site: Site, thread: Thread
) -> None:
    [device] = await devices(site, thread, 1)
    key = hidden_in((await device.get()).text)["key"]
    other = hidden_in((await Device(site, await link_of(site, thread, ANNA)).get()).text)["key"]
    refused: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"key": other}, {}),
        ({"key": key[:-1]}, {}),
        ({"key": "ä"}, {}),
        ({"key": key}, {"Origin": "https://evil.example"}),
        ({"key": key}, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}),
        ({"key": key}, {"Sec-Fetch-Site": "same-site"}),
        ({}, {"Origin": "null"}),
        ({}, {"Origin": f"{site.url}.evil.example"}),
    ]
    before = await every_row(site.house)
    for below in ("/open", "/ask", "/code", "/leave", "/stop"):
        for form, headers in refused:
            answer = await device.ask("POST", below, form, **headers)
            assert answer.status == 403, (below, form, headers)
            assert "another site" in answer.text
    assert await every_row(site.house) == before
    for form, headers in (
        ({"key": key}, {}),
        ({"key": key}, {"Origin": "null"}),
        ({}, {"Origin": "null", "Sec-Fetch-Site": "same-origin"}),
        ({}, {"Sec-Fetch-Site": "same-origin"}),
        ({}, {"Origin": site.url}),
    ):
        assert (await device.ask("POST", "/open", form, **headers)).opened, headers
        device.jar.clear()
        await change(thread, access=AccessMode.LINK)


async def test_in_a_session_the_key_is_another_one(site: Site, thread: Thread) -> None:
    [device] = await devices(site, thread, 1)
    before = hidden_in((await device.get()).text)["key"]
    await device.open()
    inside = hidden_in((await device.get("/stop")).text)["key"]
    assert inside != before
    assert (await device.ask("POST", "/handover", {"key": before})).status == 403
    assert (await device.ask("POST", "/handover", {"key": inside})).status == 200


async def test_hostile_forms_are_refused_and_never_an_error(site: Site, thread: Thread) -> None:
    [device] = await devices(site, thread, 1)
    long = "a" * 100_000
    for data in (b"\xff\xfe=\x00", long, {"address": long[:30_000]}, {"once": "'; DROP"}):
        for below in ("/open", "/ask", "/code", "/stop"):
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            headers = {"Origin": site.url} | (kind if isinstance(data, bytes | str) else {})
            answer = await device.ask("POST", below, data, **headers)
            assert answer.status in (200, 303, 400, 403, 413), (below, answer.status)


async def test_links_that_were_never_issued_and_dead_ones_are_alike_on_every_page(
    site: Site, thread: Thread
) -> None:
    async with site.house.database.read() as connection:
        key = await site.house.case_key(connection, thread.case.id)
    reply = access.token_of(key, await kim_of(thread), Purpose.REPLY)
    never = [f"{site.url}/r/{'a' * 26}", f"{site.url}/r/{reply}"]
    [dead] = await devices(site, thread, 1)
    await thread.say(f"REVOKE {KIM}")
    for below in ("/code", "/stop", ""):
        assert (await dead.get(below)).status == 410
        assert {(await Device(site, link).get(below)).status for link in never} == {404}
    for below in ("/open", "/ask", "/code", "/stop", "/leave", "/handover"):
        assert (await dead.post(below, address=KIM)).status == 410
        assert {(await Device(site, link).post(below)).status for link in never} == {404}
    unsubscribe = {"List-Unsubscribe": "One-Click"}
    assert (await dead.ask("POST", "/stop", unsubscribe)).status == 410


# ---------------------------------------------------------------- password


async def test_the_password_is_asked_for_with_the_button_and_not_again_after_idle_hours(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    await set_password(thread)
    [device] = await devices(site, thread, 1)
    assert 'type="password"' in (await device.get()).text
    for typed, problem in (("", "Type the password"), ("three odd wards", "does not count")):
        answer = await device.open(password=typed)
        assert answer.status == 400
        assert problem in problem_in(answer)
    assert (await kim_of(thread)).wrong_tries == 1
    assert (await device.open(password="  three  odd words ")).opened
    assert (await kim_of(thread)).wrong_tries == 0
    clock.advance(8 * HOUR)
    assert 'type="password"' not in (await device.get()).text
    assert (await device.open()).opened


async def test_after_the_code_the_password_is_asked_for_and_a_wrong_one_spends_no_code(
    site: Site, thread: Thread
) -> None:
    first, second = await devices(site, thread)
    await set_password(thread)
    await first.open(password=WORDS)
    assert 'type="password"' not in (await second.get()).text
    await second.press("/code", "/ask", address=KIM)
    code = await newest_code(site.house)
    assert 'type="password"' in (await second.get("/code")).text
    assert not (await second.type_code("1", password=WORDS)).opened
    assert (await kim_of(thread)).wrong_tries == 0  # nobody is locked out without the code
    answer = await second.type_code(code, password="three odd wards")
    assert "password does not count" in problem_in(answer)
    assert (await second.type_code(code, password=WORDS)).opened


async def test_five_wrong_passwords_lock_for_a_quarter_of_an_hour_and_the_owner_hears_once(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    await set_password(thread)
    [device] = await devices(site, thread, 1)
    said = [problem_in(await device.open(password=f"wrong number {n}")) for n in range(5)]
    assert (await kim_of(thread)).locked_until == clock.now() + 15 * MINUTE
    said.append(problem_in(await device.open(password=WORDS)))
    assert len(set(said)) == 1
    clock.advance(15 * MINUTE - 1)
    assert not (await device.open(password=WORDS)).opened
    clock.advance(1)
    for number in range(5):
        await device.open(password=f"wrong again {number}")
    told = [
        one
        for one in await letters_of(site.house)
        if "wrong five times" in one.subject + str(one.context)
    ]
    assert [letter.recipient for letter in told] == [ANNA]
    assert b"wrong five times" in (await compose(site.house, told[0])).data
    annas = (await devices(site, thread, 1, ANNA))[0]
    assert (await annas.open(password=WORDS)).opened  # locked at Kim's link only
    clock.advance(15 * MINUTE)
    assert (await device.open(password=WORDS)).opened


async def test_forty_passwords_at_the_same_moment_are_five(site: Site, thread: Thread) -> None:
    await set_password(thread)
    [device] = await devices(site, thread, 1)
    guesses = [device.post("/open", password=f"guess number {n}") for n in range(40)]
    answers = await asyncio.gather(*guesses)
    assert {one.status for one in answers} == {400}
    assert (await kim_of(thread)).wrong_tries == 5
    assert not (await device.open(password=WORDS)).opened


async def test_a_password_ends_the_reviewers_sessions_and_not_the_owners(
    site: Site, thread: Thread
) -> None:
    [kims], [annas] = await devices(site, thread, 1), await devices(site, thread, 1, ANNA)
    await kims.open()
    await annas.open()
    await thread.say(f"PASSWORD: {WORDS}")
    assert not await kims.is_in()
    assert await annas.is_in()
    assert not (await kims.open()).opened
    assert (await kims.open(password=WORDS)).opened  # the device is known: no code
    await thread.say("PASSWORD: other odd words")
    assert not (await kims.open(password=WORDS)).opened
    await thread.say("PASSWORD OFF")
    assert (await kims.open()).opened


async def test_two_hashes_of_one_password_differ_and_say_what_they_cost() -> None:
    one, other = passwords.hash_of(WORDS), passwords.hash_of(WORDS)
    assert one != other
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.is_right("three  odd words ", one)
    assert not passwords.is_right("Three odd words", one)
    assert passwords.is_right("kim’s “tooth” – 14", passwords.hash_of('kim\'s "tooth" - 14'))


# ---------------------------------------------------------------- on with the phone


async def picture_of(device: Device) -> dict[str, Any]:
    """What the script of the page gets."""
    headers = {"Origin": device.site.url, "Accept": "application/json"}
    answer = await device.ask("POST", "/handover", {}, **headers)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = json.loads(answer.text)
    return found


async def test_a_picture_lets_a_phone_in_once_with_neither_code_nor_password(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    laptop, phone, third = await devices(site, thread, 3)
    await set_password(thread)
    began = clock.now()
    await laptop.open(password=WORDS)
    clock.advance(DAY)
    await laptop.open()
    shown = await picture_of(laptop)
    drawn = segno.make(shown["link"], error="m").svg_inline(
        scale=5, border=3, light="#fff", omitsize=True
    )
    assert shown["svg"] == drawn
    assert "style=" not in shown["svg"]
    below = shown["link"].removeprefix(phone.link)
    assert below.partition("=")[2] not in repr(await every_row(site.house))
    for method in ("GET", "HEAD"):
        looked = await phone.ask(method, below)
        assert (looked.status, looked.cookies) == (200, {})
    assert "password" not in (await phone.get(below)).text
    answer = await phone.press(below, "/open")
    assert answer.opened
    assert f"Max-Age={(began + 7 * DAY - clock.now()) // 1000}" in answer.headers["Set-Cookie"]
    assert await phone.is_in()
    assert await laptop.is_in()
    again = await third.press(below, "/open")
    assert (again.status, again.cookies) == (400, {})
    assert "has been used" in problem_in(again)
    clock.time = began + 7 * DAY
    assert not await phone.is_in()


async def test_a_picture_opens_nothing_after_ten_minutes_or_when_its_session_is_gone(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    laptop, phone = await devices(site, thread)
    await laptop.open()
    older, newer = await picture_of(laptop), await picture_of(laptop)
    assert not (await phone.press(older["link"].removeprefix(phone.link), "/open")).opened
    clock.advance(10 * MINUTE)
    assert not (await phone.press(newer["link"].removeprefix(phone.link), "/open")).opened
    last = (await picture_of(laptop))["link"].removeprefix(phone.link)
    await laptop.post("/leave")
    assert not (await phone.press(last, "/open")).opened
    for secret in ("x", "a" * 26, "a" * 5_000):
        assert not (await phone.press(f"?from={secret}", "/open")).opened


async def test_a_picture_gives_no_more_than_the_session_that_shows_it(
    site: Site, thread: Thread
) -> None:
    laptop, phone = await devices(site, thread)
    await laptop.open()
    shown = (await picture_of(laptop))["link"].removeprefix(phone.link)
    await change(thread, access=AccessMode.CODE)
    assert (await laptop.post("/handover")).status == 403
    assert not (await phone.press(shown, "/open")).opened
    await laptop.come_in_by_code()
    shown = (await picture_of(laptop))["link"].removeprefix(phone.link)
    assert (await phone.press(shown, "/open")).opened
    annas = (await devices(site, thread, 1, ANNA))[0]
    other = (await picture_of(laptop))["link"].partition("?")[2]
    assert not (await annas.press(f"?{other}", "/open")).opened


async def test_pictures_are_asked_for_twenty_times_an_hour_and_shown_without_a_script_too(
    site: Site, thread: Thread
) -> None:
    [laptop] = await devices(site, thread, 1)
    assert (await laptop.post("/handover")).status == 403
    await laptop.open()
    for _ in range(20):
        answer = await laptop.post("/handover")
        assert answer.status == 200
    assert "<svg" in answer.text
    assert "Continue on a phone" in answer.text
    assert (await laptop.post("/handover")).status == 429


# ---------------------------------------------------------------- not me, no more


@pytest.mark.parametrize("reason", ["not me", "no letters"])
async def test_a_reviewer_refuses_without_a_session_and_the_owner_hears_of_it(
    site: Site, thread: Thread, reason: str
) -> None:
    [device] = await devices(site, thread, 1)
    await thread.say("RESEND")  # a letter to Kim that waits
    page = await device.get("/stop")
    assert page.status == 200
    assert "C-1042" not in page.text
    assert (await device.press("/stop", "/stop")).status == 400
    assert (await device.press("/stop", "/stop", reason="anything")).status == 400
    await device.open()
    answer = await device.press("/stop", "/stop", reason=reason)
    assert answer.status == 200
    assert "Your link has ended" in answer.text
    assert (await device.get()).status == 410
    letters = await letters_of(site.house)
    kims = [one for one in letters if one.recipient == KIM]
    assert kims
    assert {one.state for one in kims} == {LetterState.WITHDRAWN}
    told = letters[-1]
    assert (told.recipient, told.kind) == (ANNA, "notice")
    words = {"not me": "This is not for me.", "no letters": "no more letters of this lab."}
    assert words[reason] in repr(told.context)
    assert b"kim@clinic.example" in (await compose(site.house, told)).data
    async with site.house.database.read() as connection:
        stopped = await suppressions.reason_for(connection, thread.case.lab_id, KIM)
    assert stopped is Suppression.STOP
    assert (KIM, "letters stopped") in await trail(site.house)
    [answered] = await thread.say("STATUS")
    assert "link revoked" in repr(answered.context)
    assert "wants no letters" in repr(answered.context)


async def test_a_mail_programs_button_ends_letters_and_leaves_the_link(
    site: Site, thread: Thread
) -> None:
    [device] = await devices(site, thread, 1)
    await device.open()
    stranger = Device(site, device.link)
    for _ in range(2):  # RFC 8058 3.1: no cookie, no origin
        answer = await stranger.ask("POST", "/stop", {"List-Unsubscribe": "One-Click"})
        assert answer.status == 200
    assert await device.is_in()
    told = [one for one in await letters_of(site.house) if one.kind == "notice"]
    assert [one.recipient for one in told] == [ANNA]
    async with site.house.database.read() as connection:
        assert await suppressions.reason_for(connection, thread.case.lab_id, KIM)


async def test_letters_that_nobody_asked_for_name_the_page_that_refuses_them(
    site: Site, thread: Thread
) -> None:
    await thread.say("RESEND")
    house = site.house
    house.settings = house.settings.model_copy(update={"base_url": "https://scans.example"})
    for letter in await letters_of(house):
        data = (await compose(house, letter)).data.decode()
        head = data.partition("\r\n\r\n")[0].replace("\r\n ", " ")
        if letter.recipient == KIM:
            [field_] = re.findall(r"^List-Unsubscribe: (.*)$", head, re.MULTILINE)
            token = (await link_of(site, thread)).rpartition("/")[2]
            assert field_.strip() == f"<https://scans.example/r/{token}/stop>"
            assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in head
        else:
            assert "List-Unsubscribe" not in head


# ---------------------------------------------------------------- letters at the gate


async def test_a_code_goes_to_those_who_want_no_letters_and_not_late_and_not_to_the_revoked(
    site: Site, thread: Thread, clock: SetClock
) -> None:
    first, second = await devices(site, thread)
    await first.open()
    async with site.house.database.write() as connection:
        lab, now = thread.case.lab_id, clock.now()
        await suppressions.suppress(connection, lab, KIM, Suppression.STOP, now)
    await second.press("/code", "/ask", address=KIM)
    assert await passage(site.house) is Passage.OPEN
    clock.advance(10 * MINUTE)
    assert await passage(site.house) is Passage.USELESS
    await second.press("/code", "/ask", address=KIM)
    assert await passage(site.house) is Passage.OPEN
    await second.type_code(await newest_code(site.house))
    assert await passage(site.house) is Passage.USELESS
    await second.press("/stop", "/ask", address=KIM)
    await thread.say("REVOKE")
    assert await passage(site.house) is Passage.REVOKED


async def passage(house: House) -> Passage:
    [*_, letter] = await codes_sent(house)
    async with house.database.read() as connection:
        return (await decide(house, connection, letter)).passage


# ---------------------------------------------------------------- first looks


async def test_the_owner_hears_of_a_first_look_if_they_asked(site: Site, thread: Thread) -> None:
    first, second = await devices(site, thread)
    await change(thread, tells_views=True)
    await first.open()
    assert not [one for one in await letters_of(site.house) if one.kind == "notice"]
    await first.post("/seen")
    await first.post("/seen")
    await second.come_in_by_code()
    await second.post("/seen")
    annas = (await devices(site, thread, 1, ANNA))[0]
    await annas.open()
    await annas.post("/seen")
    [told] = [one for one in await letters_of(site.house) if one.kind == "notice"]
    assert (told.recipient, (told.context or {})["heading"]) == (ANNA, f"{KIM} has looked")
    assert (await kim_of(thread)).views == 2


async def test_nobody_hears_of_first_looks_who_did_not_ask(site: Site, thread: Thread) -> None:
    [device] = await devices(site, thread, 1)
    await device.open()
    await device.post("/seen")
    assert not [one for one in await letters_of(site.house) if one.kind == "notice"]
