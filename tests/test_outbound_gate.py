"""The gate that every letter passes on its way out: limits, digests, alarms, and that nothing is lost."""

import email
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default

import pytest
import sqlalchemy as sa

from outbound import gate
from outbound.flow import deliver
from outbound.posting import Posting
from store import ending
from store.clock import DAY, HOUR, MINUTE, SetClock
from store.errors import LetterRefused, RelayBusy
from store.house import House
from store.model import Letter, LetterDraft
from store.records import access, outbox, suppressions, work
from store.records.schema import letters
from store.states import LetterState, Suppression
from tests.fakes import ANNA, BEN, DOMAIN, KIM, STRANGER, text_of
from tests.test_talk_conversation import Thread, open_thread

OPERATOR = f"operator@{DOMAIN}"
NOBODY = "nobody@bots.example"


@dataclass
class Post:
    """The relay, and whoever writes letters: each is tried as the sweep would."""

    house: House
    clock: SetClock
    gone: list[EmailMessage] = field(default_factory=list)
    answers: list[Exception] = field(default_factory=list)  # to the next attempts

    async def send(self, posting: Posting) -> str:
        if self.answers:
            raise self.answers.pop(0)
        letter = email.message_from_bytes(posting.data, policy=default)
        assert isinstance(letter, EmailMessage)
        letter["X-Envelope-To"] = posting.recipient
        letter["X-Envelope-From"] = posting.sender
        self.gone.append(letter)
        return "250 2.0.0 kept"

    async def write(self, draft: LetterDraft) -> Letter:
        """Writes a letter and tries it once."""
        now = self.house.clock.now()
        async with self.house.database.write() as connection:
            message_id = await outbox.write(connection, draft, DOMAIN, now)
        letter_id = message_id.strip("<>").partition("@")[0]
        await deliver(self.house, self, letter_id)
        return await self.letter(letter_id)

    async def letter(self, letter_id: str) -> Letter:
        async with self.house.database.read() as connection:
            return await outbox.letter(connection, letter_id)

    async def flush(self) -> None:
        """Tries whatever is due now, and what comes of it."""
        tried: set[tuple[str, int]] = set()
        while True:
            async with self.house.database.read() as connection:
                due = await work.due(connection, self.house.clock.now())
            fresh = [
                row for row in due if row.kind == "letter" and (row.id, row.attempt) not in tried
            ]
            if not fresh:
                return
            for row in fresh:
                tried.add((row.id, row.attempt))
                await deliver(self.house, self, row.id)

    async def states(self, kind: str = "notice") -> Counter[LetterState]:
        async with self.house.database.read() as connection:
            question = sa.select(letters.c.state).where(letters.c.kind == kind)
            return Counter(map(LetterState, (await connection.execute(question)).scalars()))

    def sent(self, kind: str, to: str = "") -> list[EmailMessage]:
        return [
            letter
            for letter in self.gone
            if letter["X-Scanpost-Kind"] == kind and to in ("", letter["X-Envelope-To"])
        ]


def notice(number: int, to: str = ANNA, subject: str = "") -> LetterDraft:
    context = {"heading": f"Thing {number}", "sentences": [f"It is {number}."], "case": None}
    return LetterDraft("notice", to, subject or f"Subject {number}", context)


@pytest.fixture
async def post(house: House, clock: SetClock) -> AsyncIterator[Post]:
    return Post(house, clock)


@pytest.fixture
async def thread(house: House) -> Thread:
    return await open_thread(house)


# ---------------------------------------------------------------- to one address


async def test_the_21st_letter_in_two_hours_is_said_in_one_digest(post: Post) -> None:
    for number in range(25):
        await post.write(notice(number))
    assert len(post.sent("notice")) == 20
    assert (await post.states())[LetterState.JOINED] == 5
    post.clock.advance(2 * HOUR)
    await post.flush()
    (digest,) = post.sent("digest")
    text = text_of(digest)
    assert digest["Subject"] == "What else happened"
    assert digest["X-Envelope-To"] == ANNA
    for number in range(20, 25):
        assert f"Subject {number}\r\n  Thing {number}\r\n  It is {number}.\r\n" in text
    assert "Thing 19" not in text
    assert "belongs to no case" in text
    await post.flush()
    post.clock.advance(3 * DAY)
    await post.flush()
    assert len(post.sent("digest")) == 1  # and not another one about nothing


async def test_after_the_window_letters_flow_again(post: Post) -> None:
    for number in range(21):
        await post.write(notice(number))
    post.clock.advance(2 * HOUR + 1)
    assert (await post.write(notice(21))).state is LetterState.SENT


async def test_a_second_flood_waits_for_the_next_days_digest(post: Post) -> None:
    for number in range(21):
        await post.write(notice(number))
    post.clock.advance(2 * HOUR + 1)
    await post.flush()
    for number in range(100, 122):
        await post.write(notice(number))
    post.clock.advance(3 * HOUR)
    await post.flush()
    assert len(post.sent("digest")) == 1
    post.clock.advance(DAY)
    await post.flush()
    first, second = post.sent("digest")
    assert "Thing 20" in text_of(first)
    assert "Thing 121" in text_of(second)
    assert "Thing 20\r\n" not in text_of(second)


async def test_time_counts_from_when_letters_go_and_not_from_when_they_were_written(
    post: Post,
) -> None:
    """What the relay has put off for hours goes at once when it is back, and counts then."""
    post.answers = [RelayBusy("451 later")] * 20
    first = [await post.write(notice(number)) for number in range(20)]
    assert {letter.state for letter in first} == {LetterState.DUE}
    post.clock.advance(3 * HOUR)
    await post.flush()
    assert len(post.sent("notice")) == 20
    assert (await post.write(notice(20))).state is LetterState.JOINED


async def test_a_letter_that_is_tried_again_does_not_count_against_itself(post: Post) -> None:
    for number in range(19):
        await post.write(notice(number))
    post.answers = [RelayBusy("451 later")]
    letter = await post.write(notice(19))
    post.clock.advance(5 * MINUTE)
    await post.flush()
    assert (await post.letter(letter.id)).state is LetterState.SENT


async def test_ten_of_one_subject_in_three_hours_are_enough(post: Post) -> None:
    forms = ["Re: crown", "crown", "RE: Re: crown", "AW: crown", "回复：crown"]
    for number in range(10):
        draft = notice(number, subject=forms[number % len(forms)])
        assert (await post.write(draft)).state is LetterState.SENT
    assert (await post.write(notice(10, subject="Re: crown"))).state is LetterState.JOINED
    assert (await post.write(notice(11, subject="Re: bridge"))).state is LetterState.SENT
    assert (await post.write(notice(12, BEN, "Re: crown"))).state is LetterState.SENT
    post.clock.advance(3 * HOUR + 1)
    assert (await post.write(notice(13, subject="Re: crown"))).state is LetterState.SENT


# ---------------------------------------------------------------- to a domain, to all


async def test_sixty_to_a_domain_are_enough_and_a_robot_with_many_addresses_gets_no_digest(
    post: Post,
) -> None:
    for number in range(60):
        draft = notice(number, f"a{number}@bots.example", subject=f"{number // 9}")
        assert (await post.write(draft)).state is LetterState.SENT
    for number in range(60, 75):
        letter = await post.write(notice(number, f"a{number}@bots.example"))
        assert (letter.state, letter.context) == (LetterState.WITHDRAWN, None)
    assert (await post.write(notice(75, "a@other-bots.example"))).state is LetterState.SENT
    assert (await post.write(notice(76, "a@sub.bots.example"))).state is LetterState.SENT
    await post.flush()
    post.clock.advance(2 * DAY)
    await post.flush()
    assert post.sent("digest") == []
    (alarm,) = post.sent("alarm")
    assert alarm["X-Envelope-To"] == OPERATOR
    assert "60 to bots.example in two hours" in " ".join(text_of(alarm).split())
    assert "so the rest is not sent" in " ".join(text_of(alarm).split())


async def test_there_is_a_limit_for_all_together(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "IN_ALL", 30)
    for number in range(30):
        assert (await post.write(notice(number, f"a@d{number}.example"))).state is LetterState.SENT
    assert (await post.write(notice(30))).state is LetterState.JOINED
    assert (await post.write(notice(31, NOBODY))).state is LetterState.WITHDRAWN
    await post.flush()
    assert "30 in all in two hours" in text_of(post.sent("alarm")[0])


async def test_a_share_goes_out_while_others_are_joined(
    post: Post, thread: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "IN_ALL", 0)
    assert (await post.write(notice(1))).state is LetterState.JOINED
    draft = LetterDraft("verdict", ANNA, "Re: x", {"heading": "h", "text": "t", "case": None})
    assert (await post.write(draft)).state is LetterState.SENT


# ---------------------------------------------------------------- what is paced


async def test_what_matters_is_paced_and_never_joined(post: Post) -> None:
    context = {"heading": "Kim approved", "text": "good", "case": None}
    for number in range(130):
        letter = await post.write(
            LetterDraft("verdict", ANNA, "Re: x", {**context, "text": f"{number}"})
        )
        assert letter.state is (LetterState.SENT if number < 60 else LetterState.DUE)
    went = []
    for _ in range(40):
        post.clock.advance(10 * MINUTE)
        before = len(post.gone)
        await post.flush()
        went.append(len(post.gone) - before)
    # Sixty in two hours: not all seventy at once when the first sixty are over.
    assert [count for count in went if count] == [60, 10]
    assert len(post.sent("verdict")) == 130
    assert (await post.states("verdict"))[LetterState.SENT] == 130
    assert post.sent("digest") == []


async def test_letters_that_are_paced_take_no_room_from_others(post: Post) -> None:
    for number in range(60):
        context = {"heading": "h", "text": f"{number}", "case": None}
        await post.write(LetterDraft("verdict", ANNA, "Re: x", context))
    assert (await post.write(notice(1, subject="Re: x"))).state is LetterState.SENT


# ---------------------------------------------------------------- the operator


async def test_the_operator_is_alarmed_once_a_day_for_a_domain(post: Post) -> None:
    for number in range(23):
        await post.write(notice(number))
        await post.write(notice(number, STRANGER))
    await post.flush()
    alarms = post.sent("alarm")
    assert len(alarms) == 2
    said = " ".join(text_of(alarms[0]).split())
    assert f"Too many letters go to {ANNA}: 20 in two hours." in said
    assert "joined into one letter a day" in said
    post.clock.advance(DAY)
    for number in range(23):
        await post.write(notice(number))
    await post.flush()
    assert len(post.sent("alarm")) == 3


async def test_too_many_letters_to_the_operator_are_one_a_day_and_alarm_nobody(post: Post) -> None:
    """If the operator's own mailbox is a robot, it ends there."""
    for number in range(30):
        context = {
            "addressed": "abuse@x",
            "author": f"a{number}@x",
            "about": "x",
            "text": f"no {number}",
        }
        await post.write(LetterDraft("passed_on", OPERATOR, f"Mail to abuse@x: {number}", context))
    await post.flush()
    post.clock.advance(2 * HOUR)
    await post.flush()
    assert len(post.sent("passed_on")) == 20
    assert post.sent("alarm") == []
    (digest,) = post.sent("digest")
    assert digest["X-Envelope-To"] == OPERATOR
    assert "To abuse@x, it says from a29@x:\r\n  no 29" in text_of(digest)


# ---------------------------------------------------------------- digests


async def test_a_digest_says_the_same_thing_once_and_what_people_wrote_is_in_it(post: Post) -> None:
    for number in range(20):
        await post.write(notice(number))
    for _ in range(60):
        await post.write(notice(99, subject="robot"))
    remark = {"heading": "Kim wrote:", "text": "first line\nsecond line", "link": "", "case": None}
    await post.write(LetterDraft("remark", ANNA, "Re: crown", remark))
    shown = {"name": "C-1", "public_id": "7F3KQ2", "state": "Open until then."}
    transcript = {"understood": "STATUS", "done": [], "undo": "", "commands": [], "case": shown}
    await post.write(LetterDraft("transcript", ANNA, "Re: C-1", transcript))
    post.clock.advance(2 * HOUR)
    await post.flush()
    (digest,) = post.sent("digest")
    text = text_of(digest)
    assert text.count("robot (60 times)") == 1
    assert "Kim wrote:\r\n  first line\r\n  second line" in text
    assert "You wrote: STATUS\r\n  C-1 (#7F3KQ2) Open until then." in text


async def test_a_digest_is_bounded(post: Post) -> None:
    for number in range(80):
        draft = notice(number)
        draft.context["sentences"] = [f"{number} " + "x" * 9_000]
        await post.write(draft)
    post.clock.advance(2 * HOUR)
    await post.flush()
    (digest,) = post.sent("digest")
    assert "And 10 more" in text_of(digest)
    assert len(digest.as_bytes()) < 200_000


async def test_a_digest_that_is_refused_loses_nothing(post: Post) -> None:
    for number in range(21):
        await post.write(notice(number))
    await post.flush()
    post.clock.advance(2 * HOUR + 1)
    post.answers = [LetterRefused("550 5.2.2 full")]
    await post.flush()
    assert post.sent("digest") == []
    for number in range(30, 51):
        await post.write(notice(number))
    post.clock.advance(2 * DAY)
    await post.flush()
    (digest,) = post.sent("digest")
    assert "Thing 20\r\n" in text_of(digest)
    assert "Thing 50\r\n" in text_of(digest)


async def test_a_case_that_is_deleted_takes_its_joined_words_with_it(
    post: Post, thread: Thread
) -> None:
    for number in range(20):
        await post.write(notice(number))
    secret = {"heading": "Kim wrote:", "text": "secret words", "link": "", "case": None}
    draft = LetterDraft("remark", ANNA, "Re: crown", secret, case_id=thread.case.id)
    assert (await post.write(draft)).state is LetterState.JOINED
    async with post.house.database.write() as connection:
        await ending.delete(connection, thread.case, ANNA, post.house.clock.now())
    async with post.house.database.read() as connection:
        assert not [c for c in await _contexts(connection) if "secret words" in str(c)]
    post.clock.advance(3 * HOUR)
    await post.flush()
    assert post.sent("digest") == []  # nothing was left to say


async def _contexts(connection: sa.ext.asyncio.AsyncConnection) -> list[object]:
    return list((await connection.execute(sa.select(letters.c.context))).scalars())


# ---------------------------------------------------------------- who wants none


async def share_to_kim(thread: Thread) -> LetterDraft:
    async with thread.house.database.read() as connection:
        kim = await access.reviewer_of(connection, thread.case.id, KIM)
    assert kim is not None
    facts = {"name": "C-1042", "public_id": thread.case.public_id, "note": "", "ends": "then",
             "picture": False, "version_id": "", "meetings": [], "what": "3D scans", "scans": [], "short_name": "C-1042",
             "version": 1, "version_note": ""}  # fmt: skip
    context = {"case": facts, "sender": {"name": "Anna", "company": "Acme"}, "greeting": ""}
    return LetterDraft("share", KIM, "x", context, case_id=thread.case.id, person_id=kim.id)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Suppression.STOP, "asked for no more letters"),
        (Suppression.COMPLAINT, "letter of your lab as spam"),
    ],
)
async def test_who_wants_no_letters_gets_none_and_the_owner_hears_it(
    post: Post, thread: Thread, reason: Suppression, words: str
) -> None:
    async with post.house.database.write() as connection:
        await suppressions.suppress(connection, thread.case.lab_id, KIM.upper(), reason, 0)
    assert (await post.write(await share_to_kim(thread))).state is LetterState.WITHDRAWN
    await post.flush()
    (told,) = post.sent("undelivered", ANNA)
    said = " ".join(text_of(told).split())
    assert f"{KIM} got no letter about C-1042" in said
    assert words in said
    assert f"ask {OPERATOR}" in said
    assert "RESEND" not in said  # it would be withheld again
    assert post.sent("share") == []


async def test_another_labs_letters_still_go_there(post: Post, thread: Thread) -> None:
    async with post.house.database.write() as connection:
        question = sa.text("select id from labs where name = 'Other Lab'")
        other = (await connection.execute(question)).scalar_one()
        await suppressions.suppress(connection, other, KIM, Suppression.COMPLAINT, 0)
    assert (await post.write(await share_to_kim(thread))).state is LetterState.SENT


async def test_whoever_said_stop_is_still_answered(post: Post, thread: Thread) -> None:
    """Also when their mail had no Message-ID to answer to."""
    async with post.house.database.write() as connection:
        await suppressions.suppress(connection, thread.case.lab_id, KIM, Suppression.STOP, 0)
        kim = await access.reviewer_of(connection, thread.case.id, KIM)
    assert kim is not None
    context = {"understood": "STOP", "done": ["You get no more letters."], "undo": "", "commands": [],
               "case": None}  # fmt: skip
    draft = LetterDraft(
        "transcript", KIM, "Re: x", context, case_id=thread.case.id, person_id=kim.id
    )
    assert (await post.write(draft)).state is LetterState.SENT


@pytest.mark.parametrize(
    ("answer", "marked"),
    [("550 5.1.1 no such user", True), ("554 5.7.1 blocked", False), ("552 5.2.2 full", False)],
)
async def test_what_the_relay_refuses_at_once_is_told_and_only_a_dead_address_marked(
    post: Post, thread: Thread, answer: str, *, marked: bool
) -> None:
    post.answers = [LetterRefused(answer)]
    await post.write(await share_to_kim(thread))
    await post.flush()
    (told,) = post.sent("undelivered", ANNA)
    said = " ".join(text_of(told).split())
    assert answer in said
    assert f"could not be reached. The letter about {thread.case.name} did not arrive" in said
    assert "eply “ADD” and the right" in said
    assert f"eply “RESEND {KIM}” to try once more" in said
    assert ("does not exist" in said) is marked
    async with post.house.database.read() as connection:
        kim = await access.reviewer_of(connection, thread.case.id, KIM)
    assert kim is not None
    assert bool(kim.trouble) is marked
