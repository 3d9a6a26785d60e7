"""Letters: headers that cannot be broken, two complete bodies, links derived at the last moment."""

import email
import re
from email.message import EmailMessage
from email.policy import default

import pytest

from outbound.compose import clean, compose
from store.house import House
from store.model import LetterDraft
from store.records import access, cases, outbox
from store.tokens import Purpose
from tests.fakes import ANNA, DOMAIN, KIM, html_of, text_of
from tests.test_store_records import make_case

OURS = {
    "X-Loop",
    "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References",
    "Auto-Submitted", "X-Auto-Response-Suppress", "X-Scanpost-Case", "X-Scanpost-Kind",
    "MIME-Version", "Content-Type",
}  # fmt: skip
NOTICE = {"heading": "Not done", "sentences": ["Nothing."], "case": None}
HOSTILE = [
    "x\r\nBcc: eve@evil.example",
    "x\nBcc: eve@evil.example",
    "x\u2028Bcc: eve",
    "x\x00y",
    "a" * 10_000,
    "=?utf-8?q?x=0D=0ABcc:_eve?=",
    "\u202egnp.exe",
]


async def composed(house: House, draft: LetterDraft) -> EmailMessage:
    async with house.database.write() as connection:
        message_id = await outbox.write(connection, draft, DOMAIN, house.clock.now())
        letter = await outbox.letter(connection, message_id.strip("<>").partition("@")[0])
    posting = await compose(house, letter)
    mail = email.message_from_bytes(posting.data, policy=default)
    assert isinstance(mail, EmailMessage)
    mail["X-Envelope-From"] = posting.sender
    return mail


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_came_from_outside_makes_no_header_of_its_own(house: House, text: str) -> None:
    draft = LetterDraft(
        "notice", KIM, text, NOTICE, recipient_name=text, in_reply_to=text, thread=[text, "<a@b>"]
    )
    mail = await composed(house, draft)
    assert set(mail.keys()) - {"X-Envelope-From"} <= OURS
    assert len(mail.keys()) == len(set(mail.keys()))
    assert len(str(mail["Subject"])) <= 200
    assert str(mail["To"]).endswith(f"<{KIM}>") or str(mail["To"]) == KIM


@pytest.mark.parametrize("text", HOSTILE)
def test_cleaned_text_is_one_line(text: str) -> None:
    assert not {"\r", "\n", "\0", "\u2028", "\u202e"} & set(clean(text))


async def test_a_letter_without_a_case_has_no_reply_token_and_hears_of_its_bounce(
    house: House,
) -> None:
    mail = await composed(house, LetterDraft("notice", ANNA, "Re: x", NOTICE))
    assert mail["Reply-To"] == f"share@{DOMAIN}"
    assert re.fullmatch(rf"bounce\+[a-z2-7]{{26}}@{DOMAIN}", mail["X-Envelope-From"])
    assert mail["X-Scanpost-Case"] == "none"
    assert mail["Auto-Submitted"] == "auto-generated"


async def test_links_and_addresses_follow_from_the_cases_key(house: House) -> None:
    case_id = await make_case(house)
    async with house.database.read() as connection:
        case = await cases.case(connection, case_id)
        key = await house.case_key(connection, case_id)
        owner = await access.owner_of(connection, case_id)
    shown = {
        "name": "C-1", "short_name": "C-1", "public_id": case.public_id, "note": "", "ends": "then",
        "picture": False, "version_id": "", "findings": [], "meetings": [], "stripped": 0, "scans": [],
        "problems": [], "reviewers": [], "version": 1,
    }  # fmt: skip
    draft = LetterDraft(
        "answer", ANNA, "Re: x", {"case": shown, "told": []}, case_id=case_id, person_id=owner.id
    )
    mail = await composed(house, draft)
    link = access.token_of(key, owner, Purpose.LINK)
    assert f"http://127.0.0.1:1/r/{link}" in text_of(mail)
    assert f"http://127.0.0.1:1/r/{link}" in html_of(mail)
    reply = access.token_of(key, owner, Purpose.REPLY)
    assert mail["Reply-To"] == f"share+{reply}@{DOMAIN}"
    assert re.fullmatch(rf"bounce\+[a-z2-7]{{26}}@{DOMAIN}", mail["X-Envelope-From"])
    command = f"mailto:share+{reply}@{DOMAIN}?subject=EXTEND%207%20%23{case.public_id}"
    assert f"{command}&amp;body=EXTEND%207%0D%0A" in html_of(mail)
    assert mail["X-Scanpost-Case"] == case.public_id
    async with house.database.write() as connection:
        await cases.destroy_key(connection, case_id)
    mail = await composed(house, draft)
    assert "/r/" not in text_of(mail)
    assert mail["Reply-To"] == f"share@{DOMAIN}"


async def test_what_people_wrote_is_escaped_in_html(house: House) -> None:
    context = {**NOTICE, "heading": "<script>alert(1)</script>"}
    mail = await composed(house, LetterDraft("notice", ANNA, "x", context))
    assert "<script>alert" not in html_of(mail)
    assert "&lt;script&gt;" in html_of(mail)


async def test_html_stays_below_what_mail_programs_cut_off(house: House) -> None:
    mail = await composed(house, LetterDraft("notice", ANNA, "x", NOTICE))
    assert len(html_of(mail)) < 100_000
    assert "prefers-color-scheme" in html_of(mail)
