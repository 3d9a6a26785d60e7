"""postmaster@, abuse@ and security@: a person's words reach the operator, as text; robots' do not."""

import re
from email.message import EmailMessage

import pytest
import sqlalchemy as sa

from inbound.auth.envelope import Envelope
from inbound.door.admission import MACHINE_MAIL
from inbound.door.receive import Receiver
from inbound.flow import read_mail
from inbound.scans.child import Children
from inbound.talk.to_operator import LONGEST
from store.clock import DAY, HOUR, SetClock
from store.errors import MailRefused
from store.house import House
from store.records.schema import mails
from store.states import LetterState
from tests.conftest import jaw_stl
from tests.fakes import ANNA, DOMAIN, KIM, html_of, mail, text_of
from tests.test_outbound_gate import Post
from tests.test_talk_returned import ABROAD, report

OPERATOR = f"operator@{DOMAIN}"
ABUSE = f"abuse@{DOMAIN}"
STRANGE = "someone@elsewhere.example"


class Desk:
    def __init__(self, house: House, post: Post) -> None:
        self.house, self.post = house, post

    async def write(
        self, message: EmailMessage | bytes, to: str = ABUSE, sender: str = STRANGE
    ) -> list[EmailMessage]:
        """A mail from somebody whom nobody vouches for; returns what went out for it."""
        data = message if isinstance(message, bytes) else message.as_bytes()
        before = len(self.post.gone)
        receiver = Receiver(self.house)
        await receiver.check_recipient(to)
        arriving = receiver.open([to])
        try:
            arriving.sink.take(data)
            arriving.sink.end()
            mail_id = await receiver.commit(arriving, Envelope(ABROAD, sender, [to]))
        finally:
            arriving.abort()
            receiver.close()
        await read_mail(self.house, Children(), mail_id)
        await self.post.flush()
        return self.post.gone[before:]


@pytest.fixture
async def desk(house: House, clock: SetClock) -> Desk:
    return Desk(house, Post(house, clock))


def words(subject: str, body: str, to: str = ABUSE, **more: str) -> EmailMessage:
    return mail(subject, body, sender=STRANGE, to=to, headers=dict(more))


@pytest.mark.parametrize("name", ["postmaster", "abuse", "security", "POSTMASTER"])
async def test_a_strangers_words_reach_the_operator(desk: Desk, name: str) -> None:
    to = f"{name}@{DOMAIN}"
    (letter,) = await desk.write(words("Your server", "It is open.\n\n> REVOKE\n> quoted", to), to)
    assert letter["X-Envelope-To"] == OPERATOR
    assert letter["X-Scanpost-Kind"] == "passed_on"
    assert letter["Subject"] == f"Mail to {to}: Your server"
    text = text_of(letter)
    assert f"A mail came to {to}. It says it is from {STRANGE}; nobody has verified that." in text
    assert "It is open." in text
    assert "> quoted" in text  # who reports abuse quotes it
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "share+" not in str(letter["Reply-To"])


async def test_nothing_is_done_and_the_writer_gets_no_answer(desk: Desk) -> None:
    scan = {"a.stl": jaw_stl("upper", 500)}
    message = mail(f"{KIM} C-1", "REVOKE C-1", scan, sender=ANNA, to=ABUSE)
    (letter,) = await desk.write(message, sender=ANNA)
    assert letter["X-Envelope-To"] == OPERATOR
    assert [part.get_content_type() for part in letter.walk()] == [
        "multipart/alternative", "text/plain", "text/html",
    ]  # fmt: skip
    assert desk.house.spool.mail_ids() == set()


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "auto-replied"},
        {"X-Autoreply": "yes"},
        {"X-Loop": f"share@{DOMAIN}"},
        {"Precedence": "auto_reply"},
    ],
)
async def test_robots_reach_nobody(desk: Desk, headers: dict[str, str]) -> None:
    assert await desk.write(words("Ticket 1", "We got your mail.", **headers)) == []


@pytest.mark.parametrize("fixture", ["01", "40", "03", "80", "A1", "A2", "B2", "B7"])
async def test_reports_and_away_notes_reach_nobody(desk: Desk, fixture: str) -> None:
    assert await desk.write(report(fixture), sender="") == []


async def test_an_invitation_reaches_nobody(desk: Desk) -> None:
    message = words("Invitation", "x")
    message.add_alternative("BEGIN:VCALENDAR", subtype="calendar", params={"method": "REQUEST"})
    assert await desk.write(message) == []


async def test_what_a_list_or_an_abuse_desk_sends_in_bulk_reaches_the_operator(desk: Desk) -> None:
    assert len(await desk.write(words("Abuse report", "x", Precedence="bulk"))) == 1


# ---------------------------------------------------------------- hostile


HOSTILE = [
    b"=?utf-8?q?hi=0D=0ABcc:_victim@elsewhere.example?=",
    b"=?utf-8?b?aGkNCkJjYzogdmljdGltQGVsc2V3aGVyZS5leGFtcGxl?=",
    "\u202egpj.exe".encode(),
    b"=?utf-8?q?=E2=80=AEgpj=2Eexe?= =?utf-8?q?=E2=80=A8Bcc:_x?=",
    b"folded\r\n Bcc: victim@elsewhere.example",
    b"=?x-unknown?q?abc?= =?utf-8?b?!!!?=",
    b"a" * 10_000,
    b"{{ 7 * 7 }} {% raw %} <script>alert(1)</script>",
    b"",
]


@pytest.mark.parametrize("subject", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_subject_makes_one_subject_and_no_other_header(
    desk: Desk, subject: bytes
) -> None:
    data = words("SUBJECT", "words").as_bytes().replace(b"SUBJECT", subject)
    (letter,) = await desk.write(data)
    assert letter["Bcc"] is None
    assert len(letter.get_all("Subject")) == 1
    assert len(str(letter["Subject"])) <= 200
    assert str(letter["Subject"]).strip().startswith(f"Mail to {ABUSE}: ")
    both = str(letter["Subject"]) + text_of(letter) + html_of(letter)
    assert "\u202e" not in both
    assert "\u2028" not in both
    assert "<script>" not in html_of(letter)
    assert "\r\nBcc:" not in letter.as_string()
    assert "49" not in str(letter["Subject"])
    assert "words" in text_of(letter)


async def test_a_hostile_from_and_envelope_are_one_plain_line(desk: Desk) -> None:
    data = words("x", "words").as_bytes()
    two = data.replace(b"From: ", b"From: ceo@lab.example, ", 1)
    (letter,) = await desk.write(two, sender="a\u202eb@elsewhere.example")
    assert "It says it is from ab@elsewhere.example; nobody" in text_of(letter)
    none = re.sub(rb"From: .*\r\n", b"", data).replace(b"Message-ID: <", b"Message-ID: <2")
    (letter,) = await desk.write(none, sender="") or [None]
    assert letter is None  # a null sender without From is no person's


async def test_a_text_that_turns_the_writing_round_or_looks_like_ours_is_only_text(
    desk: Desk,
) -> None:
    body = "good\u202eevil\x07\n\n-- \nafter the signature\n<b>bold</b> {{ 7 * 7 }}"
    (letter,) = await desk.write(words("x", body))
    text = text_of(letter)
    assert "goodevil" in text
    assert "after the signature" in text
    assert "{{ 7 * 7 }}" in text
    assert "&lt;b&gt;bold" in html_of(letter)


async def test_html_alone_is_passed_on_as_text(desk: Desk) -> None:
    message = words("x", "")
    message.clear_content()
    message.set_content(
        "<p>Your server <b>spams</b></p><img src='http://track.example/x'>"
        "<a href='http://evil.example'>us</a><script>alert(1)</script>",
        subtype="html",
    )
    (letter,) = await desk.write(message)
    assert "Your server spams" in text_of(letter)
    page = html_of(letter)
    assert "track.example" not in page
    assert "alert(1)" not in page
    assert 'href="http://evil.example' not in page


async def test_a_mail_without_a_word_says_so(desk: Desk) -> None:
    (letter,) = await desk.write(words("", ""))
    assert "(no text)" in text_of(letter)
    assert letter["Subject"] == f"Mail to {ABUSE}: (no subject)"


async def test_a_huge_text_is_cut_and_a_huge_mail_refused(desk: Desk) -> None:
    (letter,) = await desk.write(words("x", "word " * 100_000))
    assert len(text_of(letter)) < LONGEST + 1_000
    with pytest.raises(MailRefused) as refused:
        await desk.write(words("x", "word " * (MACHINE_MAIL // 5)))
    assert refused.value.code == 552


# ---------------------------------------------------------------- no loop


async def test_a_flood_is_one_letter_a_day_after_the_first_ones(desk: Desk) -> None:
    for number in range(30):
        await desk.write(words(f"Spam {number}", f"no {number}"))
    assert len(desk.post.sent("passed_on")) == 20
    desk.post.clock.advance(2 * HOUR)
    await desk.post.flush()
    (digest,) = desk.post.sent("digest")
    assert f"To {ABUSE}, it says from {STRANGE}:\r\n  no 29" in text_of(digest)
    desk.post.clock.advance(3 * DAY)
    await desk.post.flush()
    assert len(desk.post.gone) == 21


async def test_if_the_operators_mailbox_returns_letters_it_ends_there(desk: Desk) -> None:
    (letter,) = await desk.write(words("x", "words"))
    for fixture in ("01", "21", "22", "A1", "B2", "70"):
        back = str(letter["X-Envelope-From"])
        assert await desk.write(report(fixture), to=back, sender="") == []
    # Nor if it answers, to the envelope sender, to Reply-To or to postmaster@.
    answer = mail("Re: x", "I am a robot in hiding.", sender=OPERATOR)
    with pytest.raises(MailRefused):
        await desk.write(answer, to=f"share@{DOMAIN}", sender=OPERATOR)
    assert await desk.write(answer, to=str(letter["X-Envelope-From"]), sender=OPERATOR) == []


@pytest.mark.parametrize(("author", "most"), [(OPERATOR, 1), (f"op@{DOMAIN}", 83)])
async def test_an_operator_who_answers_every_letter_gets_few(
    desk: Desk, author: str, most: int
) -> None:
    """Their mailbox answers to postmaster@, at once, hiding that it is a robot."""
    await desk.write(words("x", "first"))
    answered = 0
    for _ in range(3):
        for _ in range(12):
            while answered < len(desk.post.gone):
                assert desk.post.gone[answered]["X-Envelope-To"] == OPERATOR
                answered += 1
                answer = mail(f"Re: {answered}", f"answer {answered}", sender=author, to=ABUSE)
                await desk.write(answer, sender=author)
            desk.post.clock.advance(2 * HOUR)
            await desk.post.flush()
    assert len(desk.post.sent("digest")) <= 3
    assert len(desk.post.gone) <= most  # twenty for the first and for each digest
    async with desk.house.database.read() as connection:
        open_mails = await connection.execute(
            sa.select(mails.c.id).where(mails.c.due_at.is_not(None))
        )
        assert list(open_mails) == []
    assert (await desk.post.states("passed_on"))[LetterState.DUE] == 0
