"""Scans for a case's thread whose sender only a server vouches for: they wait for the member's click."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from inbound.cases.course import case_flow
from inbound.flow import mail_flow
from inbound.scans.child import Children
from inbound.talk.confirmed import act_on_click
from outbound.compose import compose
from store import ending
from store.clock import DAY, SetClock
from store.house import House
from store.model import Letter
from store.records import cases, labs, mails, schema
from store.records.schema import audit, members
from store.records.work import Due
from store.states import CaseState, ConfirmationKind, ConfirmationState, MailState, Strength
from store.sweep import Sweep
from tests.clicks import (
    Site,
    Thread,
    confirmation_of,
    count_confirmations,
    deliver,
    letters_of,
    new_letters,
    open_site,
    open_thread,
    publish_domain,
    run_confirmation,
    said,
    step_at_once,
)
from tests.conftest import jaw_stl
from tests.fakedns import FakeDns
from tests.fakes import ANNA, BEN, KIM, mail
from tests.test_cases_versions import Dying, Killed, undrawn

SENT = Strength.SENT
NEW_SCAN = {"C-1042 v2.stl": jaw_stl("upper", 4_000)}


@dataclass
class Room:
    """A house whose members only SPF vouches for, an open case, and the pages behind links."""

    house: House
    site: Site
    thread: Thread
    children: Children

    async def send(
        self,
        note: str = "Higher now.",
        strength: Strength = SENT,
        sender: str = ANNA,
        files: dict[str, bytes] | None = None,
    ) -> tuple[str, list[Letter]]:
        """A mail with scans into the case's thread; its id, and the letters it brings about."""
        to, before = await self.thread.address(), await letters_of(self.house)
        message = mail("Re: C-1042", note, files or NEW_SCAN, sender=sender, to=to)
        mail_id = await deliver(self.house, message, to, strength)
        return mail_id, await new_letters(self.house, before)

    async def run(self, mail_id: str) -> list[Letter]:
        before = await letters_of(self.house)
        await mail_flow(self.house, self.children, undrawn, mail_id)
        return await new_letters(self.house, before)

    async def state(self, mail_id: str) -> MailState:
        async with self.house.database.read() as connection:
            return (await mails.mail(connection, mail_id)).state

    async def numbers(self) -> list[int]:
        """Of the versions that people see."""
        async with self.house.database.read() as connection:
            shared = await cases.shared_versions(connection, self.thread.case.id)
        return [version.number for version in shared]

    async def press(self, letter: Letter) -> None:
        """The click alone: its flow has not run."""
        status, text = await self.site.post(self.site.link_of(letter))
        assert status == 200, text

    async def end_case(self) -> list[Letter]:
        before = await letters_of(self.house)
        await case_flow(self.house, step_at_once, self.thread.case.id)
        return await new_letters(self.house, before)

    async def delete_case(self) -> None:
        async with self.house.database.write() as connection:
            case = await cases.case(connection, self.thread.case.id)
            await ending.delete(connection, case, ANNA, self.house.clock.now())

    async def trail(self) -> list[tuple[str, str]]:
        """What the case's trail says of the click."""
        async with self.house.database.read() as connection:
            question = sa.select(audit.c.actor, audit.c.action).order_by(audit.c.number)
            rows = await connection.execute(question.where(audit.c.case_id == self.thread.case.id))
            return [(row.actor, row.action) for row in rows]


@pytest.fixture
async def room(house: House, dns: FakeDns) -> AsyncIterator[Room]:
    publish_domain(dns, "lab.example", "clinic.example")
    children = Children()
    async with open_site(house) as site:
        yield Room(house, site, await open_thread(house), children)
    await children.stop()


async def test_the_mail_waits_and_the_member_is_asked(room: Room) -> None:
    mail_id, [letter] = await room.send(files={**NEW_SCAN, "b.stl": jaw_stl("lower", 300)})
    assert (letter.kind, letter.recipient, letter.case_id) == ("confirm", ANNA, None)
    found = await confirmation_of(room.house, letter)
    assert (found.kind, found.mail_id) == (ConfirmationKind.VERSION, mail_id)
    assert found.expires_at == room.house.clock.now() + DAY
    public_id = room.thread.case.public_id
    assert (
        f"A mail from {ANNA} with scans in 2 files came for C-1042 crown (#{public_id})."
        in said(letter)
    )
    assert "proved only by the server that sent it" in said(letter)
    assert "destroyed after 24 hours" in said(letter)
    assert await room.state(mail_id) is MailState.WAITING
    assert room.house.spool.mail_ids() == {mail_id, *await first_mail(room)}
    assert await room.run(mail_id) == []  # its flow has nothing to do until the click
    assert await room.numbers() == [1]
    assert (await room.trail())[-1] == (ANNA, "click asked for")


async def first_mail(room: Room) -> set[str]:
    """What opened the case lies in the spool still: nobody ran its flow to the end."""
    async with room.house.database.read() as connection:
        [version] = await cases.shared_versions(connection, room.thread.case.id)
    return {version.mail_id} & room.house.spool.mail_ids()


async def test_letter_and_page_say_the_same_and_looking_changes_nothing(room: Room) -> None:
    mail_id, [letter] = await room.send()
    posting = await compose(room.house, letter)
    assert posting.recipient == ANNA
    link = room.site.link_of(letter)
    for _ in range(3):
        status, text = await room.site.get(link)
        assert status == 200
        assert "scans in one file came for C-1042 crown" in text
        assert "Higher now." not in text  # whoever wrote it is not proved
        assert (await room.site.get(link, "HEAD"))[0] == 200
    assert (await room.site.post(link, origin="https://evil.example"))[0] == 403
    assert await room.state(mail_id) is MailState.WAITING


async def test_the_click_makes_it_the_next_version(room: Room) -> None:
    mail_id, [letter] = await room.send()
    assert await room.site.click(letter) == []  # the answer comes when the scans are ready
    assert await room.state(mail_id) is MailState.RECEIVED
    told = {(one.kind, one.recipient) for one in await room.run(mail_id)}
    assert told == {("version", KIM), ("answer", ANNA)}
    assert await room.numbers() == [1, 2]
    assert await room.state(mail_id) is MailState.DONE
    assert mail_id not in room.house.spool.mail_ids()
    actions = [action for _, action in await room.trail()]
    at = actions.index("click asked for")
    assert actions[at : at + 3] == ["click asked for", "click", "version begun"]
    async with room.house.database.read() as connection:
        assert (await mails.mail(connection, mail_id)).strength is SENT  # what the door saw stays
    status, text = await room.site.get(room.site.link_of(letter))
    assert (status, "If the scans were not shared, send them once more." in text) == (410, True)


@pytest.mark.parametrize("strength", [Strength.SIGNED, Strength.VOUCHED])
async def test_a_better_proof_needs_no_click(room: Room, strength: Strength) -> None:
    mail_id, letters = await room.send(strength=strength)
    assert letters == []
    assert await room.state(mail_id) is MailState.RECEIVED
    assert (ANNA, "version begun") in await room.trail()
    assert await count_confirmations(room.house) == 0


@pytest.mark.parametrize(
    ("note", "sender", "files"),
    [
        ("REVOKE", ANNA, NEW_SCAN),  # is obeyed, and the scans are not taken
        ("revoke kim please", ANNA, NEW_SCAN),  # is asked back
        ("mine is better", KIM, NEW_SCAN),  # a reviewer's
        ("", ANNA, {"again.stl": jaw_stl("upper", 500)}),  # already here
    ],
)
async def test_what_would_be_no_version_asks_for_no_click(
    room: Room, note: str, sender: str, files: dict[str, bytes]
) -> None:
    mail_id, [letter] = await room.send(note, sender=sender, files=files)
    assert letter.kind != "confirm"
    assert await room.state(mail_id) is MailState.DONE
    assert await count_confirmations(room.house) == 0


async def test_nobody_clicked_for_a_day_and_it_is_destroyed(room: Room, clock: SetClock) -> None:
    mail_id, [letter] = await room.send()
    clock.advance(DAY - 1)
    assert (await room.site.get(room.site.link_of(letter)))[0] == 200
    clock.advance(1)
    assert (await room.site.post(room.site.link_of(letter)))[0] == 410
    found = await confirmation_of(room.house, letter)
    for _ in range(2):  # the second time after a crash
        await run_confirmation(room.house, found.id)
    assert await room.state(mail_id) is MailState.DONE
    assert mail_id not in room.house.spool.mail_ids()
    assert await room.numbers() == [1]
    assert (await letters_of(room.house))[-1] == letter
    assert [line for line in await room.trail() if line[0] == "clock"] == [
        ("clock", "nobody clicked")
    ]


async def test_a_second_mail_waits_for_a_click_of_its_own(room: Room) -> None:
    one, [first] = await room.send("a")
    two, [second] = await room.send("b")
    await room.site.click(second)
    await room.run(two)
    assert await room.numbers() == [1, 2]
    assert await room.state(one) is MailState.WAITING
    await room.site.click(first)  # the same scans: nothing is shared twice
    [letter] = await room.run(one)
    assert "already" in said(letter)
    assert await room.numbers() == [1, 2]
    assert await room.state(one) is MailState.DONE


async def test_the_same_mail_played_again_asks_once(room: Room) -> None:
    to, before = await room.thread.address(), await letters_of(room.house)
    message = mail("Re: C-1042", "x", NEW_SCAN, to=to)
    message.replace_header("Message-ID", "<once@lab.example>")
    first = await deliver(room.house, message, to, SENT)
    again = await deliver(room.house, message, to, SENT)
    assert await room.state(first) is MailState.WAITING
    assert await room.state(again) is MailState.DUPLICATE
    assert len(await new_letters(room.house, before)) == 1


async def test_a_deleted_case_takes_every_waiting_mail_with_it(room: Room) -> None:
    waiting = {(await room.send(str(number)))[0] for number in range(2)}
    letter = (await letters_of(room.house))[-1]
    await room.delete_case()
    assert (await room.site.post(room.site.link_of(letter)))[0] == 410
    [receipt] = await room.end_case()
    assert "is deleted" in str(receipt.context)
    assert not waiting & room.house.spool.mail_ids()
    assert {await room.state(one) for one in waiting} == {MailState.DONE}


async def test_a_case_that_expires_takes_it_too(room: Room, clock: SetClock) -> None:
    clock.time = (await room.thread.now()).expires_at - 1
    mail_id, [letter] = await room.send()
    clock.advance(1)
    await room.end_case()
    assert (await room.thread.now()).state is CaseState.EXPIRED
    assert mail_id not in room.house.spool.mail_ids()
    found = await confirmation_of(room.house, letter)
    assert found.state is ConfirmationState.OVER


async def test_a_click_whose_case_ends_first_is_answered_with_a_sentence(room: Room) -> None:
    mail_id, [letter] = await room.send()
    await room.press(letter)
    await room.delete_case()
    before = await letters_of(room.house)
    found = await confirmation_of(room.house, letter)
    for _ in range(2):
        await run_confirmation(room.house, found.id)
    [told] = await new_letters(room.house, before)
    assert "C-1042 has ended, so your scans were not shared." in said(told)
    assert (await compose(room.house, told)).recipient == ANNA  # of a case without a key
    assert await room.state(mail_id) is MailState.DONE
    assert mail_id not in room.house.spool.mail_ids()


async def test_a_case_that_ends_between_click_and_version_shares_nothing(room: Room) -> None:
    mail_id, [letter] = await room.send()
    await room.site.click(letter)
    await room.delete_case()
    await room.end_case()
    [told] = await room.run(mail_id)
    assert "is not open any more, so the scans were not taken" in said(told)
    assert await room.numbers() == [1]
    assert await room.state(mail_id) is MailState.DONE
    assert mail_id not in room.house.spool.mail_ids()
    async with room.house.database.read() as connection:
        question = sa.select(sa.func.count()).select_from(schema.cases)
        assert (await connection.execute(question)).scalar_one() == 1


async def test_whoever_is_no_member_any_more_shares_nothing(room: Room, clock: SetClock) -> None:
    mail_id, [letter] = await room.send(sender=BEN)
    assert letter.recipient == BEN
    async with room.house.database.write() as connection:
        ben = await labs.member_by_address(connection, BEN)
        assert ben is not None
        change = sa.update(members).where(members.c.id == ben.id)
        await connection.execute(change.values(disabled_at=clock.now()))
    [told] = await room.site.click(letter)
    assert "You may not share here any more" in said(told)
    assert mail_id not in room.house.spool.mail_ids()
    assert await room.numbers() == [1]


async def test_a_flow_that_dies_behind_each_step_in_turn_doubles_nothing(room: Room) -> None:
    mail_id, [letter] = await room.send()
    await room.press(letter)
    found = await confirmation_of(room.house, letter)
    before = await letters_of(room.house)
    await act_on_click(room.house, found.id)
    for steps in range(1, 20):
        await run_confirmation(room.house, found.id)  # nobody kept that it had run
        try:
            await mail_flow(room.house, room.children, Dying(steps).step, mail_id)
        except Killed:
            continue
        break
    await run_confirmation(room.house, found.id)
    assert await room.numbers() == [1, 2]
    kinds = sorted(one.kind for one in await new_letters(room.house, before))
    assert kinds == ["answer", "version"]
    assert [action for _, action in await room.trail()].count("click") == 1


async def test_a_click_that_can_do_nothing_any_more_keeps_the_mail_for_the_operator(
    room: Room,
) -> None:
    mail_id, [letter] = await room.send()
    await room.press(letter)
    found = await confirmation_of(room.house, letter)
    sweep = Sweep(room.house, None)  # type: ignore[arg-type]  # giving up needs no engine
    async with room.house.database.write() as connection:
        row = Due("confirmation", found.id, 1, 2)
        await sweep._give_up(connection, row, room.house.clock.now())
    assert await room.state(mail_id) is MailState.DEAD
    assert mail_id in room.house.spool.mail_ids()
    assert await room.numbers() == [1]


async def test_until_the_click_it_is_no_mail_of_its_case(room: Room) -> None:
    """Or the answer to a question of ours would let it run."""
    mail_id, _ = await room.send()
    async with room.house.database.read() as connection:
        assert await mails.waiting_of_case(connection, room.thread.case.id) is None
        assert mail_id not in await mails.files_of_case(connection, room.thread.case.id)
        assert mail_id in await mails.kept_in_spool(connection)
        assert await mails.waiting_strangers(connection) == {}
