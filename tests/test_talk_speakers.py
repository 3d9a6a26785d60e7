"""Who speaks to a case, and what of their words is kept and goes out."""

import sqlalchemy as sa

from inbound.talk.speakers import speaker_of
from outbound.gate import Passage, decide
from store.house import House
from store.records import access, labs, mails, outbox, remarks
from store.records.schema import audit
from store.states import LetterState, RemarkKind
from tests.clicks import deliver, letters_of, new_letters, open_thread, said
from tests.fakes import ANNA, BEN, KIM, STRANGER, mail


async def test_a_reviewers_help_names_what_they_can_say(house: House) -> None:
    thread = await open_thread(house)
    [letter] = await thread.say("HELP", sender=KIM)
    rows = [row["line"].split()[0] for row in (letter.context or {})["commands"]]
    assert rows == ["APPROVE", "CHANGES", "COMMENT", "STOP", "HELP"]
    assert letter.recipient == KIM


async def test_a_member_of_another_lab_who_reviews_speaks_and_is_answered_as_the_reviewer(
    house: House,
) -> None:
    """Even where another lab's member has made the reviewer's address an alias of theirs."""
    thread = await open_thread(house)
    async with house.database.write() as connection:
        eve = await labs.member_by_address(connection, STRANGER)
        assert eve is not None
        await labs.add_alias(connection, eve.id, KIM, house.clock.now())
    to = await thread.address(KIM)
    mail_id = await deliver(house, mail("Re: x", "the margin is open", sender=KIM, to=to), to)
    async with house.database.read() as connection:
        taken = await mails.mail(connection, mail_id)
        speaker = await speaker_of(connection, taken, thread.case)
        [remark] = await remarks.of_case(connection, thread.case.id)
    assert (speaker.address, speaker.member) == (KIM, None)
    assert (remark.kind, remark.author) == (RemarkKind.COMMENT, KIM)
    answers = await thread.say("APPROVE", sender=KIM)
    assert [one.recipient for one in answers if one.kind == "transcript"] == [KIM]


async def test_the_trail_keeps_that_something_was_said_and_not_what(house: House) -> None:
    thread = await open_thread(house)
    await thread.say("COMMENT Mrs Miller was born in 1950", sender=KIM)
    await thread.say("CHANGES Mrs Miller is too tight", sender=KIM)
    await thread.say("Mrs Miller called", sender=KIM)
    async with house.database.read() as connection:
        rows = (await connection.execute(sa.select(audit.c.action, audit.c.detail))).all()
    assert "Miller" not in str(rows)
    assert [row.detail["line"] for row in rows if row.action == "command changes"] == ["CHANGES"]


async def test_what_a_lab_wrote_does_not_go_out_after_revoke(house: House) -> None:
    thread = await open_thread(house)
    before = await letters_of(house)
    await thread.say("the margin is closed now")
    [remark] = [one for one in await new_letters(house, before) if one.kind == "remark"]
    assert remark.recipient == KIM
    await thread.say("REVOKE")
    async with house.database.read() as connection:
        assert (await outbox.letter(connection, remark.id)).state is LetterState.WITHDRAWN
        person = await access.reviewer_of(connection, thread.case.id, KIM)
        assert person is not None
        assert (await decide(house, connection, remark)).passage is Passage.REVOKED


async def test_colleagues_of_a_lab_speak_for_its_cases(house: House) -> None:
    thread = await open_thread(house)
    [letter] = await thread.say("REVOKE", sender=BEN, whose=ANNA)
    assert letter.recipient == BEN
    assert "is dead" in said(letter)
