"""Which case a mail means, who may say what in it, and what is passed on to the other side."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage

import aiohttp
import pytest
import sqlalchemy as sa

from inbound.auth.envelope import Envelope
from inbound.door.receive import Receiver
from inbound.flow import read_mail
from inbound.scans.child import Children
from scanpost.compose import Server, close_house, open_house
from store import ending
from store.clock import DAY, HOUR, SetClock
from store.errors import MailRefused
from store.house import House
from store.records import access, remarks, suppressions
from store.records.schema import cases, letters, mails
from store.settings import Settings
from store.states import LetterState, MailState, Suppression
from store.tokens import Purpose
from tests.conftest import Running, add_members, jaw_stl
from tests.fakedns import FakeDns
from tests.fakes import ANNA, BEN, DOMAIN, KIM, STRANGER, Inbox, Postman, mail, reply, text_of
from tests.test_outbound_gate import Post, share_to_kim
from tests.test_talk_conversation import GERMAN, Thread, letters_of, open_thread

SHARE = f"share@{DOMAIN}"
OUTSIDER = "lee@other.example"


@dataclass
class Talkers:
    """A case of Anna's with Kim as its reviewer, whose letters have gone out."""

    house: House
    thread: Thread
    post: Post

    async def write(
        self,
        body: str | EmailMessage,
        sender: str = ANNA,
        to: str = "",
        answers: str = "",
        subject: str = "Re: x",
    ) -> list[EmailMessage]:
        """A mail by somebody; returns what goes out for it."""
        message = body
        if isinstance(message, str):
            headers = {"In-Reply-To": answers} if answers else {}
            message = mail(subject, message, sender=sender, headers=headers)
        to = to or self.thread.address
        before = len(self.post.gone)
        receiver = Receiver(self.house)
        await receiver.check_recipient(to)
        arriving = receiver.open([to])
        try:
            arriving.sink.take(message.as_bytes())
            arriving.sink.end()
            mail_id = await receiver.commit(arriving, Envelope("127.0.0.1", sender, [to]))
        finally:
            arriving.abort()
            receiver.close()
        await read_mail(self.house, Children(), mail_id)
        await self.post.flush()
        return self.post.gone[before:]

    async def live(self) -> bool:
        return await self.thread.live()

    @property
    def share_id(self) -> str:
        return str(self.post.sent("share")[0]["Message-ID"])

    async def comments(self) -> list[tuple[str, str]]:
        async with self.house.database.read() as connection:
            found = await remarks.of_case(connection, self.thread.case.id)
        return [(one.author, one.text) for one in found]


@pytest.fixture
async def talkers(house: House, clock: SetClock) -> Talkers:
    made = Talkers(house, await open_thread(house), Post(house, clock))
    await made.post.write(await share_to_kim(made.thread))
    return made


def kinds(gone: list[EmailMessage]) -> list[tuple[str, str]]:
    return [(str(one["X-Scanpost-Kind"]), str(one["X-Envelope-To"])) for one in gone]


def said(letter: EmailMessage) -> str:
    return " ".join(text_of(letter).split())


# ---------------------------------------------------------------- the letter that is answered


async def test_a_reply_to_share_itself_finds_the_case_of_the_letter_it_answers(
    talkers: Talkers,
) -> None:
    (answer,) = await talkers.write("REVOKE", to=SHARE, answers=talkers.share_id)
    assert "is dead" in said(answer)
    assert not await talkers.live()
    assert str(answer["Reply-To"]) == talkers.thread.address


@pytest.mark.parametrize(
    "references", ["<other@lab.example> {id}", "{id} <other@lab.example>", "{id}<a@b>(c)"]
)
async def test_references_do_too(talkers: Talkers, references: str) -> None:
    message = mail("Re: x", "REVOKE")
    message["References"] = references.format(id=talkers.share_id)
    data = message.as_bytes()
    assert talkers.share_id.encode() in data
    await talkers.write(message, to=SHARE)
    assert not await talkers.live()


async def test_what_a_mail_answers_counts_before_what_that_one_answered(
    talkers: Talkers,
) -> None:
    """References may name newer letters of another case: a REVOKE must not end that one."""
    other = Talkers(talkers.house, await open_thread(talkers.house, "C-4712"), talkers.post)
    await other.post.write(await share_to_kim(other.thread))
    other_id = str(other.post.sent("share")[-1]["Message-ID"])
    message = mail("Re: x", "REVOKE")
    message["In-Reply-To"] = talkers.share_id
    message["References"] = f"{talkers.share_id} {other_id}"
    await talkers.write(message, to=SHARE)
    assert not await talkers.live()
    assert await other.live()


async def test_a_colleague_of_the_lab_may_answer_too_and_another_lab_finds_nothing(
    talkers: Talkers,
) -> None:
    (letter,) = await talkers.write("REVOKE", STRANGER, to=SHARE, answers=talkers.share_id)
    assert letter["X-Envelope-To"] == STRANGER
    assert "needs a case" in said(letter)
    assert talkers.thread.case.public_id not in letter.as_string()
    assert await talkers.live()
    await talkers.write("REVOKE", BEN, to=SHARE, answers=talkers.share_id)
    assert not await talkers.live()


@pytest.mark.parametrize("author", [KIM, OUTSIDER])
async def test_who_is_no_member_needs_the_token_where_there_are_tokens(
    talkers: Talkers, author: str
) -> None:
    with pytest.raises(MailRefused) as refused:
        await talkers.write("good", author, to=SHARE, answers=talkers.share_id)
    assert refused.value.code == 550


async def test_a_number_in_the_subject_counts_only_in_an_answer(talkers: Talkers) -> None:
    subject = f"Re: crown [#{talkers.thread.case.public_id}]"
    await talkers.write(mail(subject, "REVOKE"), to=SHARE)
    assert await talkers.live()
    await talkers.write(mail(subject, "REVOKE", headers={"In-Reply-To": "<x@y>"}), to=SHARE)
    assert not await talkers.live()


async def test_scans_that_answer_a_letter_are_a_new_case(talkers: Talkers) -> None:
    message = mail(f"{KIM} C-2", "x", {"a.stl": jaw_stl("lower", 500)})
    message["In-Reply-To"] = talkers.share_id
    await talkers.write(message, to=SHARE)
    async with talkers.house.database.read() as connection:
        assert (await connection.execute(sa.text("select count(*) from cases"))).scalar_one() == 2


@pytest.mark.parametrize(
    "named", ["<>", "<" + "a" * 400 + ">", "<x@y>" * 5_000, "share-id", "<%s>"]
)
async def test_ids_that_are_none_of_ours_find_nothing_and_cost_nothing(
    talkers: Talkers, named: str
) -> None:
    message = mail("Re: x", "STATUS")
    message["In-Reply-To"] = named[:900]
    message["References"] = named[:900]
    (letter,) = await talkers.write(message, to=SHARE)
    assert "needs a case" in said(letter)


# ---------------------------------------------------------------- how addresses are written


async def test_with_minus_addresses_all_is_written_with_a_minus(talkers: Talkers) -> None:
    house = talkers.house
    house.settings = house.settings.model_copy(update={"plus_addressing": "-"})
    (answer,) = await talkers.write("STATUS")  # to the old address, with a plus
    minus = talkers.thread.address.replace("+", "-")
    assert str(answer["Reply-To"]) == minus
    assert re.fullmatch(rf"bounce-[a-z2-7]{{26}}@{DOMAIN}", str(answer["X-Envelope-From"]))
    assert f"mailto:{minus}?" in answer.get_body(("html",)).get_content()  # type: ignore[union-attr]
    await talkers.write("REVOKE", to=minus)
    assert not await talkers.live()


async def test_a_member_whose_name_has_a_minus_is_not_mistaken(talkers: Talkers) -> None:
    for wrong in (f"share-x@{DOMAIN}", f"share-@{DOMAIN}", f"bounce-{'b' * 26}@{DOMAIN}"):
        with pytest.raises(MailRefused):
            await talkers.write("STATUS", to=wrong)


async def test_without_tokens_the_case_is_found_by_what_is_answered(talkers: Talkers) -> None:
    house = talkers.house
    house.settings = house.settings.model_copy(update={"plus_addressing": "off"})
    (answer,) = await talkers.write("STATUS", to=SHARE, answers=talkers.share_id)
    assert (str(answer["Reply-To"]), str(answer["X-Envelope-From"])) == (SHARE, "")
    await talkers.write("The margin is open.", KIM, to=SHARE, answers=talkers.share_id)
    assert await talkers.comments() == [(KIM, "The margin is open.")]
    (old,) = await talkers.write("STATUS")  # letters from before the switch still work
    assert "C-1042" in text_of(old)
    await talkers.write("REVOKE", to=SHARE, answers=str(answer["Message-ID"]))
    assert not await talkers.live()


async def test_without_tokens_a_reviewer_is_heard_in_their_own_cases_only(
    talkers: Talkers,
) -> None:
    house = talkers.house
    house.settings = house.settings.model_copy(update={"plus_addressing": "off"})
    before = await talkers.comments()
    (letter,) = await talkers.write("good", KIM, to=SHARE)  # answers nothing
    assert "answers no letter" in said(letter)
    assert await talkers.write("again", KIM, to=SHARE) == []  # said once a day
    with pytest.raises(MailRefused):
        await talkers.write("good", OUTSIDER, to=SHARE, answers=talkers.share_id)
    assert await talkers.comments() == before


async def test_without_tokens_the_buttons_of_a_letter_name_their_case(talkers: Talkers) -> None:
    house, case = talkers.house, talkers.thread.case
    house.settings = house.settings.model_copy(update={"plus_addressing": "off"})
    line = f"APPROVE #{case.public_id} v1"
    (letter,) = await talkers.write(line, KIM, to=SHARE, subject=line)
    assert "C-1042 has no version to judge yet" in said(letter)
    (letter,) = await talkers.write(line, STRANGER, to=SHARE, subject=line)  # none of its people
    assert "C-1042" not in said(letter)
    line = f"STOP #{case.public_id}"
    gone = await talkers.write(line, KIM, to=SHARE, subject=line)
    assert sorted(kinds(gone)) == [("notice", ANNA), ("transcript", KIM)]


async def test_without_tokens_a_scan_in_an_answer_is_no_new_case_behind_ones_back(
    talkers: Talkers,
) -> None:
    house = talkers.house
    house.settings = house.settings.model_copy(update={"plus_addressing": "off"})
    message = mail("Re: x", "look", {"a.stl": jaw_stl("lower", 500)})
    message["In-Reply-To"] = talkers.share_id
    assert await talkers.write(message, to=SHARE) == []  # the answer comes with the version
    async with house.database.read() as connection:
        count = sa.select(sa.func.count()).select_from(cases)
        assert (await connection.execute(count)).scalar_one() == 1
        taken = sa.select(mails.c.case_id).where(mails.c.state == MailState.RECEIVED)
        taken = taken.where(mails.c.message_id == str(message["Message-ID"]))
        assert (await connection.execute(taken)).scalar_one() == talkers.thread.case.id


@pytest.mark.parametrize("addressing", ["-", "off"])
async def test_a_whole_case_without_plus_addresses(
    make_settings: Callable[..., Settings], clock: SetClock, dns: FakeDns, addressing: str
) -> None:
    inbox = Inbox()
    await inbox.open()
    relay = f"smtp://127.0.0.1:{inbox.port}"
    given = make_settings(relay_url=relay, dns_servers=dns.address, plus_addressing=addressing)
    house = await open_house(given)
    house.clock = clock
    await add_members(house)
    server = Server(house)
    await server.start()
    async with aiohttp.ClientSession() as browser:
        running = Running(house, server, inbox, Postman(server.smtp.port), browser)
        scan = {"C-1042.stl": jaw_stl("upper", 500)}
        await running.postman.send(mail(f"{KIM} C-1042", "margins", scan))
        share, answer = await inbox.letter("share", KIM), await inbox.letter("answer", ANNA)
        for letter in (share, answer):
            if addressing == "off":
                assert (letter["Reply-To"], letter["X-Envelope-From"]) == (SHARE, "<>")
            else:
                assert re.fullmatch(rf"share-[a-z2-7]{{26}}@{DOMAIN}", str(letter["Reply-To"]))
                assert str(letter["X-Envelope-From"]).startswith("bounce-")
        await running.postman.send(reply(share, "Margin 14 is open.", KIM))
        remark = await inbox.letter("remark", ANNA)
        assert "Margin 14 is open." in text_of(remark)
        await running.postman.send(reply(remark, "I will mend it.", ANNA))
        theirs = await inbox.letter("remark", KIM)
        assert "I will mend it." in text_of(theirs)
        await running.postman.send(reply(theirs, "APPROVE", KIM))
        await inbox.letter("verdict", ANNA)
        await running.postman.send(reply(answer, "REVOKE", ANNA))
        assert "is dead" in text_of(await inbox.letter("transcript", ANNA))
        await running.all_done()
        assert len([one for one in inbox.letters if one["X-Scanpost-Kind"] == "share"]) == 1
    await server.stop()
    await close_house(house)
    await inbox.close()


# ---------------------------------------------------------------- comments


async def test_an_owners_words_go_to_the_live_reviewers_and_a_reviewers_to_the_owner(
    talkers: Talkers,
) -> None:
    gone = await talkers.write("Is 14 fine?")
    assert kinds(gone) == [("remark", KIM)]
    assert "Anna Berg wrote about C-1042 crown:" in said(gone[0])
    assert "Is 14 fine?" in said(gone[0])
    assert str(gone[0]["Reply-To"]) != talkers.thread.address  # a token of their own
    theirs = str(gone[0]["Reply-To"])
    gone = await talkers.write("Yes.", KIM, to=theirs)
    assert kinds(gone) == [("remark", ANNA)]
    assert f"{KIM} wrote about C-1042 crown:" in said(gone[0])
    assert await talkers.comments() == [("Anna Berg", "Is 14 fine?"), (KIM, "Yes.")]


async def test_who_speaks_is_the_author_and_not_the_token(talkers: Talkers) -> None:
    """Kim answers with the owner's token, Anna with Kim's: each stays who they are."""
    share = talkers.post.sent("share")[0]
    gone = await talkers.write("Yes.", KIM)
    assert kinds(gone) == [("remark", ANNA)]
    gone = await talkers.write("No.", ANNA, to=str(share["Reply-To"]))
    assert kinds(gone) == [("remark", KIM)]


async def test_revoked_reviewers_and_those_who_want_no_letters_are_not_told(
    talkers: Talkers,
) -> None:
    async with talkers.house.database.write() as connection:
        lab = talkers.thread.case.lab_id
        await suppressions.suppress(connection, lab, KIM, Suppression.STOP, 0)
    (letter,) = await talkers.write("Is 14 fine?")
    assert kinds([letter]) == [("notice", ANNA)]
    assert "No reviewer could be told" in said(letter)


async def test_a_revoked_reviewer_is_nobody(talkers: Talkers) -> None:
    await talkers.write("REVOKE")
    before = await talkers.comments()
    theirs = str(talkers.post.sent("share")[0]["Reply-To"])
    gone = await talkers.write("Let me in.", KIM, to=theirs)
    assert kinds(gone) == [("notice", KIM), ("notice", ANNA)]
    assert "You are none of the people of this case" in said(gone[0])
    assert f"{KIM}, whose link is revoked, has written" in said(gone[1])
    assert f"RESEND {KIM} lets them in again" in said(gone[1])
    assert "Let me in" not in said(gone[1])
    assert kinds(await talkers.write("APPROVE", KIM, to=theirs)) == [("notice", KIM)]
    assert await talkers.comments() == before
    (letter,) = await talkers.write("Is 14 fine?")
    assert "No reviewer could be told" in said(letter)


@pytest.mark.parametrize(
    "below",
    [
        GERMAN,
        "\n\nOn Sun, 22 Nov 2026 at 09:00, scanpost <share@scans.example> wrote:\n> secret quote\n",
        "\n\n-- \nKim Lee\nsecret signature\n",
        "\n\nSent from my iPhone\n",
        "\n\n________________________________\nFrom: scanpost\nSubject: x\n\nsecret\n",
    ],
)
async def test_quotes_and_signatures_are_not_passed_on(talkers: Talkers, below: str) -> None:
    (letter,) = await talkers.write(f"The margin is open.{below}", KIM)
    assert await talkers.comments() == [(KIM, "The margin is open.")]
    assert "secret" not in letter.as_string()
    assert "REVOKE" not in said(letter).partition("The margin")[2].partition("Reply to")[0]


@pytest.mark.parametrize("body", ["Hello,\n\nREVOKE\n", "Thanks!\nDELETE\n", "REVOKE please"])
async def test_a_command_in_an_unexpected_place_is_passed_on_to_nobody(
    talkers: Talkers, body: str
) -> None:
    gone = await talkers.write(body)
    assert kinds(gone) == [("notice", ANNA)]
    assert await talkers.comments() == []
    assert await talkers.live()


@pytest.mark.parametrize("author", [ANNA, KIM])
async def test_words_beside_a_file_are_passed_on_and_their_writer_hears_that_the_file_is_not(
    talkers: Talkers, author: str
) -> None:
    message = mail("Re: x", "See the photo.", {"photo.pdf": b"%PDF-1.7 x"}, sender=author)
    letters = await talkers.write(message, author)
    other = KIM if author == ANNA else ANNA
    assert sorted(kinds(letters)) == [("notice", author), ("remark", other)]
    told = next(one for one in letters if one["X-Scanpost-Kind"] == "notice")
    assert "Your words were passed on; files in a reply are not" in said(told)
    assert [words for _, words in await talkers.comments()] == ["See the photo."]


async def test_a_comment_is_text_and_nothing_else(talkers: Talkers) -> None:
    body = "<b>x</b> {{ 7 * 7 }} http://evil.example"
    (letter,) = await talkers.write(body, KIM)
    page = letter.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "&lt;b&gt;x" in page
    assert "{{ 7 * 7 }}" in page
    assert 'href="http://evil.example' not in page


async def test_a_comment_is_no_longer_than_is_read(talkers: Talkers) -> None:
    (letter,) = await talkers.write("word " * 60_000, KIM)
    assert len(letter.as_bytes()) < 100_000


async def test_the_same_comment_twice_in_one_mail_is_one(talkers: Talkers) -> None:
    message = mail("Re: x", "Once.", sender=KIM)
    assert len(await talkers.write(message, KIM)) == 1
    assert await talkers.write(message, KIM) == []


async def test_a_comment_after_the_end_is_passed_on_to_nobody(talkers: Talkers) -> None:
    talkers.house.clock.time = talkers.thread.case.expires_at  # type: ignore[attr-defined]
    for author in (ANNA, KIM):
        (letter,) = await talkers.write("Late.", author)
        assert letter["X-Envelope-To"] == author
        assert "has ended" in said(letter)
    assert await talkers.comments() == []


# ---------------------------------------------------------------- neutral answers


async def end_it(talkers: Talkers, how: str) -> None:
    if how == "expired":
        talkers.house.clock.time = talkers.thread.case.expires_at  # type: ignore[attr-defined]
    if how == "deleted":
        async with talkers.house.database.write() as connection:
            now = talkers.house.clock.now()
            await ending.delete(connection, talkers.thread.case, ANNA, now)
    if how == "revoked":
        await talkers.write("REVOKE")


async def test_a_stranger_gets_the_same_words_whatever_became_of_the_case(
    talkers: Talkers,
) -> None:
    answers = set()
    for number, how in enumerate(("live", "revoked", "expired", "deleted")):
        await end_it(talkers, how)
        author = f"a{number}@other.example"
        for body in ("STATUS", "REVOKE", "DELETE", "hello"):
            (letter, *rest) = await talkers.write(body, author)
            assert letter["X-Envelope-To"] == author
            assert all(one["X-Envelope-To"] == ANNA for one in rest)
            plain = letter.as_string().replace(author, "")
            for name in ("Message-ID", "Date", "In-Reply-To", "References", "X-Envelope-From"):
                plain = re.sub(rf"(?m)^{name}: .*(?:\n[ \t].*)*\n", "", plain)
            plain = re.sub(r"={10,}\d+==", "", plain)
            answers.add(plain)
    assert len(answers) == 1
    (words,) = answers
    for secret in ("C-1042", "crown", KIM, talkers.thread.case.public_id, "share+", "/r/"):
        assert secret not in words


async def test_the_owner_hears_of_a_stranger_once_and_not_after_the_end(talkers: Talkers) -> None:
    gone = await talkers.write("DELETE", OUTSIDER)
    assert kinds(gone) == [("notice", OUTSIDER), ("notice", ANNA)]
    assert OUTSIDER in said(gone[1])
    assert kinds(await talkers.write("DELETE", OUTSIDER)) == [("notice", OUTSIDER)]
    other = await open_thread(talkers.house, "C-2")
    talkers.house.clock.time = other.case.expires_at  # type: ignore[attr-defined]
    gone = await talkers.write("DELETE", OUTSIDER, to=other.address)
    assert kinds(gone) == [("notice", OUTSIDER)]


async def test_the_token_of_another_labs_case_says_no_more(talkers: Talkers) -> None:
    """Eve is a member, of another lab: for this case she is nobody."""
    for body in ("STATUS", f"DELETE #{talkers.thread.case.public_id}", "EXTEND 7", "COMMENT x"):
        letter = (await talkers.write(body, STRANGER))[0]
        assert letter["X-Envelope-To"] == STRANGER
        assert "none of the people of this case" in said(letter)
        assert letter["X-Scanpost-Case"] == "none"
    assert await talkers.comments() == []
    assert await talkers.live()


async def test_a_stranger_who_goes_on_gets_silence_and_no_digest(talkers: Talkers) -> None:
    for number in range(30):
        await talkers.write(f"STATUS {number}", OUTSIDER, subject=f"try {number}")
    to_them = [one for one in talkers.post.gone if one["X-Envelope-To"] == OUTSIDER]
    assert 1 <= len(to_them) <= 20
    talkers.house.clock.advance(2 * DAY)  # type: ignore[attr-defined]
    await talkers.post.flush()
    assert [one for one in talkers.post.sent("digest") if one["X-Envelope-To"] == OUTSIDER] == []
    async with talkers.house.database.read() as connection:
        question = sa.select(letters.c.state).where(letters.c.recipient == OUTSIDER)
        states = list((await connection.execute(question)).scalars())
    assert states.count(LetterState.WITHDRAWN) == 30 - len(to_them)


@pytest.mark.parametrize("change", ["guess", "cut", "longer", "other letters"])
async def test_a_token_that_is_none_is_refused_in_the_dialogue(
    talkers: Talkers, change: str
) -> None:
    token = talkers.thread.address.partition("+")[2].partition("@")[0]
    wrong = {
        "guess": "b" * 26,
        "cut": token[:-1],
        "longer": token + "a",
        "other letters": token[:-1] + ("a" if token[-1] != "a" else "b"),
    }[change]
    with pytest.raises(MailRefused) as refused:
        await talkers.write("STATUS", to=f"share+{wrong}@{DOMAIN}")
    assert (refused.value.code, refused.value.enhanced) == (550, "5.1.1")


async def test_capitals_in_a_reply_address_do_not_matter(talkers: Talkers) -> None:
    await talkers.write("REVOKE", to=talkers.thread.address.upper())
    assert not await talkers.live()


async def test_the_token_of_a_former_generation_still_names_the_case(talkers: Talkers) -> None:
    """Revoked and let in again: the old letter's address still says which case."""
    await talkers.write("REVOKE")
    await talkers.write(f"RESEND {KIM}")
    old = str(talkers.post.sent("share")[0]["Reply-To"])
    new = str(talkers.post.sent("share")[-1]["Reply-To"])
    assert old != new
    assert kinds(await talkers.write("Good.", KIM, to=old)) == [("remark", ANNA)]
    async with talkers.house.database.read() as connection:
        token = new.partition("+")[2].partition("@")[0]
        holder = await access.holder(connection, token, Purpose.REPLY)
    assert holder is not None
    assert holder.current
    talkers.house.clock.advance(HOUR)  # type: ignore[attr-defined]
    assert len(await letters_of(talkers.house)) > 0
