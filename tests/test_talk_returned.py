"""What comes back of our letters: believed at a live token, told once, and nowhere else of any effect.

The reports are the fixtures in tests/talk/reports, with the token of a letter that really went out,
from a server that nobody vouches for.
"""

import re
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa

from inbound.auth.envelope import Envelope
from inbound.cases.facts import case_facts
from inbound.door.receive import Receiver
from inbound.flow import read_mail
from inbound.scans.child import Children
from store.clock import DAY, HOUR, SetClock
from store.errors import MailRefused
from store.house import House
from store.model import Person
from store.records import access, cases, outbox, suppressions
from store.records.schema import audit, letters
from store.states import CaseState, Suppression
from tests.fakes import ANNA, DOMAIN, KIM, mail, text_of
from tests.test_outbound_gate import Post, share_to_kim
from tests.test_talk_conversation import Thread, deliver, open_thread

FOLDER = Path(__file__).parent / "talk" / "reports"
ABROAD = "203.0.113.5"
_TOKEN = re.compile(rb"(?i)(bounce|share)\+k7m2abcdefghijklmnopqrstuv@scans\.example")


def report(number: str) -> bytes:
    (path,) = FOLDER.glob(f"{number}*.eml")
    return path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class Returns:
    """A case whose first letter to Kim is out, and what comes back of it."""

    def __init__(self, thread: Thread, post: Post, clock: SetClock) -> None:
        self.thread, self.house, self.post, self.clock = thread, thread.house, post, clock
        self.address = ""
        self.number = 0

    async def share(self) -> None:
        await self.post.write(await share_to_kim(self.thread))
        self.address = str(self.post.sent("share")[-1]["X-Envelope-From"])

    async def back(
        self, fixture: str | bytes, to: str = "", sender: str = "", peer: str = ABROAD
    ) -> None:
        """A report arrives by the real door, with a Message-ID of its own, and is read."""
        data = fixture
        if isinstance(data, str):
            data = report(data)
        self.number += 1
        data = _TOKEN.sub(self.address.encode(), data)
        data = re.sub(rb"Message-ID: <2026", b"Message-ID: <%d.2026" % self.number, data, count=1)
        receiver = Receiver(self.house)
        to = to or self.address
        arriving = None
        try:
            await receiver.check_recipient(to)
            arriving = receiver.open([to])
            arriving.sink.take(data)
            arriving.sink.end()
            mail_id = await receiver.commit(arriving, Envelope(peer, sender, [to]))
        finally:
            if arriving:
                arriving.abort()
            receiver.close()
        await read_mail(self.house, Children(), mail_id)
        await self.post.flush()

    async def kim(self) -> Person:
        async with self.house.database.read() as connection:
            found = await access.reviewer_of(connection, self.thread.case.id, KIM)
        assert found is not None
        return found

    async def seen(self) -> str:
        """What STATUS says of Kim."""
        async with self.house.database.read() as connection:
            case = await cases.case(connection, self.thread.case.id)
            facts = await case_facts(connection, case, self.clock.now())
        return str(facts["reviewers"][0]["sentence"])

    def told(self) -> list[str]:
        """What the owner was told."""
        letters = [*self.post.sent("undelivered", ANNA), *self.post.sent("notice", ANNA)]
        return [" ".join(text_of(one).split()) for one in letters]

    async def trail(self) -> list[str]:
        async with self.house.database.read() as connection:
            question = sa.select(audit.c.action).where(audit.c.actor == "mail system")
            return list((await connection.execute(question)).scalars())

    async def suppressed(self) -> Suppression | None:
        async with self.house.database.read() as connection:
            return await suppressions.reason_for(connection, self.thread.case.lab_id, KIM)


@pytest.fixture
async def returns(house: House, clock: SetClock) -> Returns:
    made = Returns(await open_thread(house), Post(house, clock), clock)
    await made.share()
    return made


# ---------------------------------------------------------------- believed


async def test_a_dead_address_is_marked_and_the_owner_told_with_the_lines_that_correct_it(
    returns: Returns,
) -> None:
    await returns.back("01")
    (told,) = returns.told()
    assert f"{KIM} could not be reached" in told
    assert "550 5.1.1 <kim@clinic.example>: Recipient address rejected: User unknown" in told
    assert "Reply “ADD” and the right address" in told
    assert f"reply “RESEND {KIM}” to try once more" in told
    assert "letters do not arrive (550 5.1.1" in await returns.seen()
    assert await returns.suppressed() is None
    assert await returns.trail() == ["letter came back: permanent"]


async def test_resend_clears_the_mark_and_a_late_copy_of_the_old_report_does_not_set_it_again(
    returns: Returns,
) -> None:
    await returns.back("01")
    resend = mail("Re: x", f"RESEND {KIM}", to=returns.thread.address)
    await deliver(returns.house, resend, returns.thread.address)
    assert (await returns.kim()).trouble_at is None
    await returns.back("01")
    assert (await returns.kim()).trouble_at is None
    await returns.post.flush()
    assert len(returns.post.sent("share")) == 2
    returns.address = str(returns.post.sent("share")[-1]["X-Envelope-From"])
    await returns.back("01")  # of the new letter
    assert (await returns.kim()).trouble_at is not None
    assert len(returns.told()) == 2


@pytest.mark.parametrize("fixture", ["60", "23", "24", "64", "11"])
async def test_other_ways_to_say_so_count_too(returns: Returns, fixture: str) -> None:
    await returns.back(fixture)
    assert (await returns.kim()).trouble_at is not None
    assert len(returns.told()) == 1


async def test_the_same_report_again_is_told_once(returns: Returns) -> None:
    for fixture in ("01", "01", "20", "45"):
        await returns.back(fixture)
    assert len(returns.told()) == 1
    assert len(await returns.trail()) == 4


async def test_a_full_mailbox_that_turns_out_dead_is_told_too(returns: Returns) -> None:
    await returns.back("21")
    await returns.back("01")
    first, second = returns.told()
    assert "Their mailbox is full." in first
    assert "does not exist" in second
    assert (await returns.kim()).trouble_at is not None


@pytest.mark.parametrize(
    ("fixture", "words"),
    [("12", "mailbox is full"), ("21", "mailbox is full"), ("22", "does not take our letters"),
     ("31", "does not take our letters"), ("52", "does not take our letters"),
     ("41", "does not take our letters"), ("04", "given up on its way"), ("54", "given up")],
)  # fmt: skip
async def test_full_mailboxes_policies_and_passing_trouble_mark_nobody(
    returns: Returns, fixture: str, words: str
) -> None:
    await returns.back(fixture)
    (told,) = returns.told()
    assert words in told
    assert f"RESEND {KIM}" in told
    assert (await returns.kim()).trouble_at is None
    assert await returns.suppressed() is None
    # The next letter goes there.
    await returns.share()
    assert len(returns.post.sent("share")) == 2


@pytest.mark.parametrize("fixture", ["03", "05", "06", "07", "13", "61"])
async def test_delays_and_success_say_nothing(returns: Returns, fixture: str) -> None:
    await returns.back(fixture)
    assert returns.told() == []
    assert (await returns.kim()).trouble_at is None
    assert await returns.trail() != []


@pytest.mark.parametrize("fixture", ["09", "43", "44", "65", "66", "68", "80", "81", "76"])
async def test_what_cannot_be_read_or_is_no_bounce_is_recorded_and_does_nothing(
    returns: Returns, fixture: str
) -> None:
    await returns.back(fixture)
    assert returns.told() == []
    assert (await returns.kim()).trouble_at is None
    assert len(await returns.trail()) == 1


async def test_a_remark_goes_to_nobody_whose_address_is_dead(returns: Returns) -> None:
    await returns.back("01")
    letter = await returns.thread.say("Please look at the margin of 14.")
    assert "No reviewer could be told" in " ".join(letter.context["sentences"])  # type: ignore[index]


# ---------------------------------------------------------------- not believed


async def test_a_forged_report_to_share_is_refused_and_does_nothing(returns: Returns) -> None:
    with pytest.raises(MailRefused) as refused:
        await returns.back("01", to=f"share@{DOMAIN}")
    assert refused.value.code == 550
    assert (await returns.kim()).trouble_at is None


@pytest.mark.parametrize("fixture", ["01", "70"])
async def test_a_report_from_a_trusted_client_to_share_or_into_a_thread_does_nothing(
    returns: Returns, fixture: str
) -> None:
    """An owner's rule may forward everything, bounces too."""
    for to in (f"share@{DOMAIN}", returns.thread.address):
        data = re.sub(rb"From: [^\r]*", f"From: {ANNA}".encode(), report(fixture), count=1)
        await returns.back(data, to=to, sender=ANNA, peer="127.0.0.1")
    assert returns.told() == []
    assert (await returns.kim()).trouble_at is None
    assert await returns.suppressed() is None


@pytest.mark.parametrize("token", ["b" * 26, "x", "1" * 26, "b" * 25, "b" * 27, ""])
async def test_a_token_that_was_never_issued_is_refused(returns: Returns, token: str) -> None:
    with pytest.raises(MailRefused) as refused:
        await returns.back("01", to=f"bounce+{token}@{DOMAIN}")
    assert (refused.value.code, refused.value.enhanced) == (550, "5.1.1")


async def test_bounce_without_a_token_is_no_address(returns: Returns) -> None:
    with pytest.raises(MailRefused):
        await returns.back("01", to=f"bounce@{DOMAIN}")


async def test_a_reply_token_is_no_bounce_token_nor_the_other_way_round(returns: Returns) -> None:
    reply_token = returns.thread.address.partition("+")[2].partition("@")[0]
    bounce_token = returns.address.partition("+")[2].partition("@")[0]
    for wrong in (f"bounce+{reply_token}@{DOMAIN}", f"share+{bounce_token}@{DOMAIN}"):
        with pytest.raises(MailRefused):
            await returns.back("01", to=wrong)


async def test_capitals_in_the_returned_address_do_not_matter(returns: Returns) -> None:
    await returns.back("01", to=returns.address.upper())
    assert len(returns.told()) == 1


async def late(returns: Returns, how: str) -> None:
    if how == "two weeks later":
        async with returns.house.database.write() as connection:  # the case lives on
            await cases.move(connection, returns.thread.case.id, CaseState.OPEN)
            change = sa.text("update cases set expires_at = expires_at + :more")
            await connection.execute(change, {"more": 30 * DAY})
        returns.clock.advance(14 * DAY)
    elif how == "expired":
        returns.clock.time = returns.thread.case.expires_at
    else:
        await returns.thread.say(how)
        await returns.post.flush()


@pytest.mark.parametrize("how", ["two weeks later", "expired", "REVOKE", f"REVOKE {KIM}"])
async def test_a_late_report_is_recorded_and_the_owner_is_not_bothered(
    returns: Returns, how: str
) -> None:
    await late(returns, how)
    before = len(returns.post.gone)
    await returns.back("01")
    assert len(returns.post.gone) == before
    assert (await returns.kim()).trouble_at is None
    assert await returns.trail() == ["letter came back late: bounce"]


async def test_just_before_two_weeks_it_still_counts(returns: Returns) -> None:
    await late(returns, "two weeks later")
    returns.clock.advance(-HOUR)
    await returns.back("01")
    assert len(returns.told()) == 1


@pytest.mark.parametrize("fixture", ["H1", "H2", "H3", "H4", "H6", "H9"])
async def test_a_bounce_that_a_person_pastes_does_nothing(returns: Returns, fixture: str) -> None:
    for sender in (KIM, ANNA):
        await returns.back(fixture, sender=sender)
    assert returns.told() == []
    assert (await returns.kim()).trouble_at is None


async def test_what_comes_back_of_a_letter_to_the_owner_tells_nobody(returns: Returns) -> None:
    await returns.thread.say("STATUS")
    await returns.post.flush()
    returns.address = str(returns.post.sent("transcript", ANNA)[-1]["X-Envelope-From"])
    before = len(returns.post.gone)
    for fixture in ("01", "A1", "70", "B2"):
        await returns.back(fixture)
    assert len(returns.post.gone) == before
    assert (await returns.kim()).trouble_at is None
    assert await returns.suppressed() is None


async def test_a_report_never_gets_an_answer_and_makes_no_case(returns: Returns) -> None:
    before = len(returns.post.gone)
    for path in sorted(FOLDER.glob("*.eml")):
        await returns.back(path.stem[:2], sender="mailer-daemon@mx.clinic.example")
    async with returns.house.database.read() as connection:
        recipients = set((await connection.execute(sa.select(letters.c.recipient))).scalars())
        count = (await connection.execute(sa.text("select count(*) from cases"))).scalar_one()
    assert recipients <= {KIM, ANNA}
    assert count == 1
    # One for each fate, one complaint, one who is away.
    assert len(returns.post.gone) - before <= 6


# ---------------------------------------------------------------- complaints


@pytest.mark.parametrize("fixture", ["70", "71", "72", "74", "75"])
async def test_a_complaint_ends_this_labs_letters_and_the_owner_hears_it(
    returns: Returns, fixture: str
) -> None:
    await returns.back(fixture)
    await returns.back(fixture)
    (told,) = returns.told()
    assert f"{KIM} marked a letter of C-1042 crown as spam" in told
    assert await returns.suppressed() is Suppression.COMPLAINT
    await returns.share()
    assert len(returns.post.sent("share")) == 1
    await returns.post.flush()
    (withheld,) = returns.post.sent("undelivered", ANNA)
    assert "marked a letter of your lab as spam" in " ".join(text_of(withheld).split())


async def test_the_opposite_of_a_complaint_does_nothing(returns: Returns) -> None:
    await returns.back("73")
    assert returns.told() == []
    assert await returns.suppressed() is None


@pytest.mark.parametrize("desk", ["abuse", "postmaster"])
async def test_a_complaint_to_abuse_is_known_by_the_returned_letter(
    returns: Returns, desk: str
) -> None:
    await returns.back("72", to=f"{desk}@{DOMAIN}")
    assert await returns.suppressed() is Suppression.COMPLAINT
    assert len(returns.told()) == 1


async def test_a_complaint_to_abuse_about_no_letter_of_ours_reaches_the_operator(
    returns: Returns,
) -> None:
    returns.address = f"bounce+{'c' * 26}@{DOMAIN}"
    await returns.back("72", to=f"abuse@{DOMAIN}")
    assert await returns.suppressed() is None
    (passed_on,) = returns.post.sent("passed_on")
    assert passed_on["X-Envelope-To"] == f"operator@{DOMAIN}"


@pytest.mark.parametrize("how", ["expired", "REVOKE"])
async def test_a_complaint_after_the_end_counts_and_bothers_nobody(
    returns: Returns, how: str
) -> None:
    await late(returns, how)
    before = len(returns.post.gone)
    await returns.back("70")
    assert len(returns.post.gone) == before
    assert await returns.suppressed() is Suppression.COMPLAINT


async def test_a_complaint_after_two_weeks_does_nothing(returns: Returns) -> None:
    await late(returns, "two weeks later")
    await returns.back("70")
    assert await returns.suppressed() is None


# ---------------------------------------------------------------- away


async def test_an_out_of_office_reply_at_the_envelope_sender_is_a_line_and_one_note(
    returns: Returns,
) -> None:
    for fixture in ("A1", "A1", "A3", "B2"):
        await returns.back(fixture, sender=KIM)
    (told,) = returns.told()
    assert "I am out of the office and will be back on 30 November 2026." in told
    assert "EXTEND" in told
    assert "away: I am out of the office and will be back on 30 November" in await returns.seen()
    assert returns.post.sent("notice", KIM) == []


async def test_an_out_of_office_reply_in_the_thread_is_the_same(returns: Returns) -> None:
    for _ in range(2):
        await returns.back("A1", to=returns.thread.address, sender=KIM, peer="127.0.0.1")
    assert len(returns.told()) == 1
    assert "away: I am out" in await returns.seen()
    assert len(returns.post.gone) == 2  # the share, the note


@pytest.mark.parametrize("how", ["expired", "REVOKE"])
async def test_who_is_away_when_it_is_over_is_nobodys_news(returns: Returns, how: str) -> None:
    await late(returns, how)
    before = len(returns.post.gone)
    await returns.back("A1", sender=KIM)
    await returns.back("A1", to=returns.thread.address, sender=KIM, peer="127.0.0.1")
    assert len(returns.post.gone) == before
    assert (await returns.kim()).away_at is None


async def test_somebody_elses_out_of_office_reply_is_nobodys_news(returns: Returns) -> None:
    for author in (ANNA, "lee@other.example"):
        theirs = report("A1").replace(b"kim@clinic.example", author.encode())
        await returns.back(theirs, to=returns.thread.address, sender=author, peer="127.0.0.1")
    assert returns.told() == []
    assert len(returns.post.gone) == 1


@pytest.mark.parametrize("fixture", ["B7", "B8"])
async def test_a_robot_that_says_nothing_of_an_absence_is_no_news(
    returns: Returns, fixture: str
) -> None:
    await returns.back(fixture, sender=KIM)
    await returns.back(fixture, to=returns.thread.address, sender=KIM, peer="127.0.0.1")
    assert returns.told() == []


# ---------------------------------------------------------------- what is forwarded by a rule


def forwarded(number: int, files: dict[str, bytes] | None = None) -> EmailMessage:
    return mail(f"Fwd: Offer {number}", f"Buy {number} now", files)


async def rule(returns: Returns, message: EmailMessage) -> None:
    await returns.back(message.as_bytes(), to=f"share@{DOMAIN}", sender=ANNA, peer="127.0.0.1")


async def test_a_rule_that_forwards_everything_is_told_once_a_day(returns: Returns) -> None:
    for number in range(5):
        await rule(returns, forwarded(number))
        await rule(returns, forwarded(number, {f"invoice {number}.pdf": b"%PDF-1.7 x"}))
    assert len(returns.told()) == 2  # one says what to attach, one what a PDF is
    returns.clock.advance(DAY)
    await rule(returns, forwarded(9))
    assert len(returns.told()) == 3


async def test_who_names_a_reviewer_and_attaches_no_scan_is_told_each_time(
    returns: Returns,
) -> None:
    for number in range(2):
        message = mail(f"{KIM} C-{number}", "look", {"case.bin": b"\x01" * 99})
        await rule(returns, message)
    assert len(returns.told()) == 2


async def test_an_invitation_is_ignored_and_a_newsletter_too(returns: Returns) -> None:
    invitation = mail("Invitation: crown", "REVOKE")
    invitation.add_alternative("BEGIN:VCALENDAR", subtype="calendar", params={"method": "REQUEST"})
    await rule(returns, invitation)
    await rule(returns, mail("News", "x", headers={"List-Unsubscribe": "<mailto:x@y.example>"}))
    await rule(returns, mail("News", "x", headers={"List-Id": "<x.example>"}))
    assert returns.told() == []


# ---------------------------------------------------------------- our own letters


async def test_our_own_letters_that_come_back_are_dropped(returns: Returns) -> None:
    """However they come: each of the three marks alone is enough."""
    own = returns.post.sent("share")[0]
    whole = own.as_bytes()
    bare = mail("Re: x", "STATUS", headers={"X-Loop": f"share@{DOMAIN}"})
    by_id = mail("Re: x", "STATUS")
    by_id.replace_header("Message-ID", str(own["Message-ID"]))
    again = whole.replace(
        f"From: Acme Dental via scanpost <share@{DOMAIN}>".encode(), b"From: " + ANNA.encode()
    )
    assert again != whole
    before = len(returns.post.gone)
    for data in (bare.as_bytes(), by_id.as_bytes(), again):
        for to in (f"share@{DOMAIN}", returns.thread.address, returns.address):
            clean = re.sub(rb"(?m)^X-Envelope.*\r?\n", b"", data)
            clean = clean.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            await returns.back(clean, to=to, sender=ANNA, peer="127.0.0.1")
    assert len(returns.post.gone) == before


async def test_every_letter_carries_the_marks_by_which_it_is_known(returns: Returns) -> None:
    await returns.thread.say("STATUS")
    await returns.post.flush()
    for letter in returns.post.gone:
        assert letter["X-Loop"] == f"share@{DOMAIN}"
        assert letter["Auto-Submitted"] in ("auto-generated", "auto-replied")
        assert letter["X-Auto-Response-Suppress"] == "All"
        assert re.fullmatch(rf"<[a-z2-7]{{26}}@{re.escape(DOMAIN)}>", letter["Message-ID"])
        assert re.fullmatch(
            rf"bounce\+[a-z2-7]{{26}}@{re.escape(DOMAIN)}", letter["X-Envelope-From"]
        )
    async with returns.house.database.read() as connection:
        first = returns.post.gone[0]["X-Envelope-From"].partition("+")[2].partition("@")[0]
        assert await outbox.by_bounce_token(connection, first) is not None
