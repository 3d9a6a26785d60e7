"""Mails as programs write them, and beside each what is read out of it and what comes back.

A new one: put NN-name.eml into tests/mails, run with SCANPOST_UPDATE_GOLDEN=1, read what it wrote.
Mails to share+thread@ go into the thread of an open case, C-1000.
"""

import hashlib
import os
import re
from pathlib import Path

import pytest

from inbound.cases.opening import case_id_of
from inbound.cases.subject import read_subject
from inbound.door.receive import Envelope, Receiver
from inbound.flow import read_mail
from inbound.mail.attachments import attachments, decoded
from inbound.mail.parts import split
from inbound.mail.skeleton import read_contents
from inbound.mail.text import note_of
from inbound.talk.classify import classify
from store.errors import MailRefused, Refusal
from store.house import House
from store.model import Letter
from store.records import cases, mails
from store.records.database import Database
from tests.fakes import ANNA, DOMAIN
from tests.test_talk_conversation import Thread, letters_of, open_thread, said

FOLDER = Path(__file__).parent / "mails"
MAILS = sorted(path.name for path in FOLDER.glob("*.eml"))
UPDATE = bool(os.environ.get("SCANPOST_UPDATE_GOLDEN"))


def test_there_are_golden_mails_with_the_line_ends_of_rfc_5322() -> None:
    assert len(MAILS) >= 14
    for name in MAILS:
        data = (FOLDER / name).read_bytes()
        assert data.count(b"\r\n") == data.count(b"\n"), name


def test_nothing_is_expected_of_a_mail_that_is_not_there() -> None:
    assert {path.stem for path in FOLDER.glob("*.expected")} <= {name[:-4] for name in MAILS}


@pytest.mark.parametrize("name", MAILS)
async def test_a_golden_mail_is_read_as_it_is_written_down(name: str, house: House) -> None:
    found = await account_of(house, (FOLDER / name).read_bytes())
    expected = (FOLDER / name).with_suffix(".expected")
    if UPDATE:
        expected.write_text(found)
    assert found == expected.read_text()


async def account_of(house: House, data: bytes) -> str:
    """What a mail says and does, as text."""
    thread = await open_thread(house, "C-1000")
    before = {letter.id for letter in await letters_of(house)}
    to = thread.address if b"share+thread@" in data else f"share@{DOMAIN}"
    receiver = Receiver(house)
    arriving = receiver.open()
    try:
        arriving.sink.feed(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
        mail_id = await receiver.commit(arriving, Envelope("127.0.0.1", ANNA, [to]))
    except MailRefused as refusal:
        return f"refused: {refusal.reply}\n"
    finally:
        arriving.spool.abort()
    lines = _contents(house, mail_id)
    prepared = await read_mail(house, mail_id)
    lines += await _outcome(house, mail_id, prepared)
    lines += [_told(one) for one in await letters_of(house) if one.id not in before]
    return _without_ids("\n".join(lines) + "\n", thread)


def _contents(house: House, mail_id: str) -> list[str]:
    with house.spool.open(mail_id) as mail:
        try:
            root = split(mail)
        except Refusal as refusal:
            return [f"unreadable: {refusal}"]
        contents = read_contents(mail, root)
        subject = read_subject(contents.subject)
        people = ", ".join(f"{one.name} <{one.address}>".strip() for one in subject.reviewers)
        lines = [
            f"kind: {classify(contents, ANNA, DOMAIN)}",
            f"subject: {contents.subject}",
            f"reviewers: {people}",
            f"code: {subject.code}",
            f"title: {subject.title}",
            *(f"note: {line}" for line in note_of(contents.body).splitlines()),
        ]
        for file in attachments(mail, root):
            content = b"".join(decoded(mail, file.part))
            digest = hashlib.sha256(content).hexdigest()
            lines.append(f"file: {file.name} | {file.format} | {len(content)} | {digest}")
    return lines


async def _outcome(house: House, mail_id: str, prepared: bool) -> list[str]:
    database: Database = house.database
    async with database.read() as connection:
        row = await mails.mail(connection, mail_id)
        case = await cases.find(connection, case_id_of(mail_id))
    lines = [f"mail: {row.state}"]
    if case is not None:
        lines.append(f"case: {case.name}, {case.state}")
    return [*lines, "scans are being prepared"] if prepared else lines


def _told(letter: Letter) -> str:
    words = said(letter) or (letter.context or {}).get("understood", "")
    return f"letter: {letter.kind} to {letter.recipient} | {letter.subject} | {words}"


def _without_ids(text: str, thread: Thread) -> str:
    text = text.replace(thread.case.public_id, "THREAD")
    return re.sub(r"#[0-9A-HJKMNP-TV-Z]{6,10}\b", "#ID", text)
