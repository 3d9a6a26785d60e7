"""What a member's mail brings about: read by the real path, from the door's commit on."""

from dataclasses import dataclass
from email.message import EmailMessage

import pytest
import sqlalchemy as sa

from inbound.auth.envelope import Envelope
from inbound.cases.opening import case_id_of
from inbound.door.receive import Receiver
from inbound.flow import read_mail
from inbound.scans.child import Children
from store.house import House
from store.model import Case, Letter, Person
from store.records import access, cases, outbox
from store.records.schema import letters
from store.states import CaseState
from store.tokens import Purpose
from tests.conftest import jaw_stl
from tests.fakes import ANNA, DOMAIN, KIM, STRANGER, mail

SHARE = f"share@{DOMAIN}"


async def deliver(
    house: House, message: EmailMessage | bytes, to: str = SHARE, sender: str = ANNA
) -> tuple[str, bool]:
    """Takes a mail in as the door does, and reads it; its id, and whether a case is prepared."""
    data = message if isinstance(message, bytes) else message.as_bytes()
    mail_id = await take_in(house, data, to, sender)
    return mail_id, await read_mail(house, Children(), mail_id)


async def take_in(house: House, data: bytes, to: str = SHARE, sender: str = ANNA) -> str:
    """The id of a mail that the door has taken. Raises MailRefused."""
    receiver = Receiver(house)
    arriving = receiver.open([to])
    try:
        arriving.sink.take(data)
        arriving.sink.end()
        return await receiver.commit(arriving, Envelope("127.0.0.1", sender, [to]))
    finally:
        arriving.abort()
        receiver.close()


async def letters_of(house: House) -> list[Letter]:
    async with house.database.read() as connection:
        question = sa.select(letters.c.id).order_by(letters.c.created_at, sa.text("rowid"))
        ids = (await connection.execute(question)).scalars().all()
        return [await outbox.letter(connection, one) for one in ids]


@dataclass
class Thread:
    """An open case, and what its owner says in its thread."""

    house: House
    case: Case
    owner: Person
    address: str

    async def say(self, message: EmailMessage | bytes | str, subject: str = "") -> Letter:
        """The one letter that answers."""
        if isinstance(message, str):
            subject = subject or f"Re: [#{self.case.public_id}] {self.case.name}"
            message = mail(subject, message, to=self.address)
        before = {letter.id for letter in await letters_of(self.house)}
        await deliver(self.house, message, self.address)
        (letter,) = [one for one in await letters_of(self.house) if one.id not in before]
        return letter

    async def live(self) -> bool:
        async with self.house.database.read() as connection:
            people = await access.reviewers_of(connection, self.case.id)
        return all(person.revoked_at is None for person in people)


async def open_thread(house: House, code: str = "C-1042") -> Thread:
    share = mail(f"{KIM} {code} crown", "margins", {f"{code}.stl": jaw_stl("upper", 500)})
    mail_id, prepared = await deliver(house, share)
    assert prepared
    async with house.database.write() as connection:
        await cases.move(connection, case_id_of(mail_id), CaseState.OPEN)
        case = await cases.case(connection, case_id_of(mail_id))
        owner = await access.owner_of(connection, case.id)
        key = await house.case_key(connection, case.id)
    token = access.token_of(key, owner, Purpose.REPLY)
    return Thread(house, case, owner, f"share+{token}@{DOMAIN}")


@pytest.fixture
async def thread(house: House) -> Thread:
    return await open_thread(house)


def said(letter: Letter) -> str:
    context = letter.context or {}
    return " ".join([*context.get("sentences", []), *context.get("done", [])])


def understood(letter: Letter) -> str:
    return str((letter.context or {}).get("understood", ""))


def page(text: str, html: str, to: str) -> EmailMessage:
    message = mail("Re: x", text, to=to)
    message.add_alternative(html, subtype="html")
    return message


GERMAN = (
    "\n\nAm So., 22. Nov. 2026 um 09:00 Uhr schrieb scanpost <share@scans.example>:\n\n"
    "> To end the links, reply REVOKE\n> \n> REVOKE\n"
)


@pytest.mark.parametrize(
    "quote",
    [
        GERMAN,
        "\n\nLe dim. 22 nov. 2026 à 09:00, scanpost a écrit :\n> répondez REVOKE\n",
        "\n\n________________________________\nVon: scanpost\nBetreff: x\n\nREVOKE\n",
        "\n\n-- \nAnna DELETE Berg\nIf this is not for you, please delete this mail. REVOKE\n",
        "\n\nSent from my iPhone\n\nREVOKE\n",
    ],
)
async def test_status_over_a_quotation_full_of_verbs_is_status_only(
    thread: Thread, quote: str
) -> None:
    letter = await thread.say("STATUS" + quote)
    assert (letter.kind, understood(letter)) == ("transcript", "STATUS")
    assert await thread.live()


@pytest.mark.parametrize(
    "line", ["*REVOKE*", "Revoke.", "\u200bREVOKE\u00a0", "“Revoke”", "ＲＥＶＯＫＥ"]
)
async def test_a_decorated_command_acts(thread: Thread, line: str) -> None:
    letter = await thread.say(f"{line}\n\nSent from my iPhone\n")
    assert "is dead" in said(letter)
    assert not await thread.live()


@pytest.mark.parametrize(
    "body",
    [
        "> reply REVOKE\n\nREVOKE\n",
        "On Sun, 22 Nov 2026, scanpost wrote:\n> x\n\nREVOKE\n",
        "Hello,\n\nREVOKE\n",
    ],
)
async def test_a_command_below_is_not_carried_out_and_the_answer_says_where_it_belongs(
    thread: Thread, body: str
) -> None:
    letter = await thread.say(body)
    assert letter.kind == "notice"
    assert "only on the first line" in said(letter)
    assert await thread.live()


@pytest.mark.parametrize(
    ("text", "html"),
    [("STATUS", "<p>REVOKE</p>"), ("REVOKE", "<p>STATUS</p>"), ("REVOKE", "<p>Hello</p>"),
     ("Hello", "<p>REVOKE</p>"), ("EXTEND 7", "<p>EXTEND 30</p>"),
     (f"REVOKE {KIM}", "<p>REVOKE</p>")],
)  # fmt: skip
async def test_text_and_html_that_differ_change_nothing(
    thread: Thread, text: str, html: str
) -> None:
    letter = await thread.say(page(text, html, thread.address))
    assert "one thing as plain text and another as HTML" in said(letter)
    assert await thread.live()


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("REVOKE", "<html><head><style>p{}</style></head><body><p>Revoke.</p></body></html>"),
        ("*REVOKE*", "<div><b>REVOKE</b></div><div class=gmail_quote>EXTEND</div>"),
        (f"REVOKE {KIM}<mailto:{KIM}>", f'<p>REVOKE <a href="mailto:{KIM}">{KIM}</a></p>'),
        ("", "<div>REVOKE</div><blockquote>STATUS</blockquote>"),
    ],
)
async def test_text_and_html_that_agree_and_html_alone_act(
    thread: Thread, text: str, html: str
) -> None:
    assert "is dead" in said(await thread.say(page(text, html, thread.address)))
    assert not await thread.live()


async def test_a_quotation_in_html_alone_does_not_act(thread: Thread) -> None:
    html = "<blockquote><p>REVOKE</p></blockquote><p>STATUS</p>"
    letter = await thread.say(page("", html, thread.address))
    assert letter.kind == "notice"
    assert await thread.live()


async def test_the_prefilled_subject_acts_with_an_empty_body(thread: Thread) -> None:
    letter = await thread.say("", subject=f"REVOKE #{thread.case.public_id}")
    assert "is dead" in said(letter)


@pytest.mark.parametrize(
    "subject", ["Re: [#{id}] REVOKE", "Re: REVOKE #{id}", "REVOKE", "REVOKE #ZZZZZZ", "AW: REVOKE"]
)
@pytest.mark.parametrize("body", ["", "> REVOKE", "\n\n-- \nAnna"])
async def test_other_subjects_never_act(thread: Thread, subject: str, body: str) -> None:
    letter = await thread.say(body, subject=subject.format(id=thread.case.public_id))
    assert letter.kind == "notice"
    assert await thread.live()


async def test_a_subject_acts_not_where_the_body_says_something(thread: Thread) -> None:
    await thread.say("Thank you!", subject=f"REVOKE #{thread.case.public_id}")
    assert await thread.live()


@pytest.mark.parametrize(("subject", "acts"), [("REVOKE #{id}", True), ("REVOKE C-1042", False)])
async def test_outside_of_the_thread_a_subject_acts_only_with_the_cases_own_number(
    thread: Thread, subject: str, acts: bool
) -> None:
    await deliver(thread.house, mail(subject.format(id=thread.case.public_id), ""))
    assert await thread.live() is not acts


async def test_outside_of_the_thread_a_first_line_names_its_case(thread: Thread) -> None:
    await deliver(thread.house, mail("x", "REVOKE C-1042"))
    assert not await thread.live()


async def test_a_command_that_names_another_case_names_both_and_does_nothing(
    thread: Thread,
) -> None:
    other = await open_thread(thread.house, "C-4712")
    letter = await thread.say("REVOKE C-4712")
    assert "C-4712" in said(letter)
    assert "C-1042" in said(letter)
    assert f"#{thread.case.public_id}" in said(letter)
    assert await thread.live()
    assert await other.live()


@pytest.mark.parametrize("body", ["REVOKE C-1042", "REVOKE c-1042", "REVOKE #{id}"])
async def test_a_command_that_names_its_own_case_acts(thread: Thread, body: str) -> None:
    assert "is dead" in said(await thread.say(body.format(id=thread.case.public_id)))


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("EXTEND 9999", "at most 30 days"),
        ("EXTEND -1", "from 1 to 30"),
        ("EXTEND 0", "from 1 to 30"),
        ("EXTEND 0 days", "from 1 to 30"),
        ("EXTEND soon", "not sure what you mean"),
        ("REVOKE lee@other.example", "lee@other.example"),
        ("REVOKE kim", "not sure what you mean"),
    ],
)
async def test_what_cannot_be_done_is_said_with_the_limit(
    thread: Thread, line: str, answer: str
) -> None:
    letter = await thread.say(line)
    assert letter.kind == "notice"
    assert answer in said(letter)
    assert await thread.live()


async def test_extend_of_a_case_that_has_ended_says_so(thread: Thread) -> None:
    thread.house.clock.time = thread.case.expires_at  # type: ignore[attr-defined]
    assert "has ended" in said(await thread.say("EXTEND 7"))


async def test_a_colleague_of_another_lab_does_nothing_and_learns_nothing(thread: Thread) -> None:
    message = mail("Re: x", "REVOKE", sender=STRANGER, to=thread.address)
    before = len(await letters_of(thread.house))
    await deliver(thread.house, message, thread.address)
    letter, told = (await letters_of(thread.house))[before:]
    assert "none of the people of this case" in said(letter)
    assert (letter.recipient, letter.case_id) == (STRANGER, None)
    assert told.recipient == ANNA
    assert STRANGER in said(told)
    assert await thread.live()


ROBOTS = [
    {"Auto-Submitted": "auto-replied", "X-Auto-Response-Suppress": "All"},
    {"List-Id": "<news.example>", "Precedence": "bulk"},
    {"X-Autoreply": "yes"},
]


@pytest.mark.parametrize("headers", ROBOTS)
async def test_robots_are_neither_obeyed_nor_answered(
    thread: Thread, headers: dict[str, str]
) -> None:
    before = len(await letters_of(thread.house))
    away = mail("Automatic reply", "REVOKE", to=thread.address, headers=headers)
    await deliver(thread.house, away, thread.address)
    assert len(await letters_of(thread.house)) == before
    assert await thread.live()
    assert len(thread.house.spool.mail_ids()) == 1  # the share whose files are still to be taken


@pytest.mark.parametrize("headers", ROBOTS)
async def test_newsletters_make_no_case_even_with_a_file(
    house: House, headers: dict[str, str]
) -> None:
    scan = {"a.stl": jaw_stl("upper", 500)}
    _, prepared = await deliver(house, mail(f"{KIM} C-1", "x", scan, headers=headers))
    assert not prepared
    assert await letters_of(house) == []


async def test_an_invitation_is_no_command_and_gets_no_answer(thread: Thread) -> None:
    message = mail("Invitation: REVOKE", "REVOKE", to=thread.address)
    message.add_alternative("BEGIN:VCALENDAR", subtype="calendar", params={"method": "REQUEST"})
    before = len(await letters_of(thread.house))
    await deliver(thread.house, message, thread.address)
    assert len(await letters_of(thread.house)) == before
    assert await thread.live()


async def test_an_attached_mail_does_not_speak_for_its_sender(thread: Thread) -> None:
    message = mail("Re: x", "", to=thread.address)
    message.add_attachment(mail("x", "REVOKE"))
    assert (await thread.say(message)).kind == "notice"
    assert await thread.live()


async def test_the_question_is_answered_by_an_address_as_outlook_writes_it(house: House) -> None:
    mail_id, _ = await deliver(house, mail("C-1046", "x", {"a.stl": jaw_stl("upper", 500)}))
    async with house.database.read() as connection:
        owner = await access.owner_of(connection, case_id_of(mail_id))
        key = await house.case_key(connection, case_id_of(mail_id))
    to = f"share+{access.token_of(key, owner, Purpose.REPLY)}@{DOMAIN}"
    await deliver(house, mail("Re: C-1046", f"Dr Kim <{KIM}<mailto:{KIM}>>\n", to=to), to)
    async with house.database.read() as connection:
        case = await cases.case(connection, case_id_of(mail_id))
        (kim,) = await access.reviewers_of(connection, case.id)
    assert (case.state, kim.address) == (CaseState.PREPARING, KIM)
