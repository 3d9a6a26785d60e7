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
from inbound.flow import read_mail
from inbound.mail.attachments import Attachment
from inbound.mail.opened import OpenedMail
from inbound.mail.text import note_of
from inbound.scans.child import Children
from inbound.talk.classify import classify
from store.errors import MailRefused, Refusal
from store.house import House
from store.model import Letter
from store.records import cases, mails
from store.records.database import Database
from tests.fakes import ANNA, DOMAIN
from tests.test_talk_conversation import Thread, letters_of, open_thread, said, take_in

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
    try:
        mail_id = await take_in(house, data, to)
    except MailRefused as refusal:
        return f"refused: {refusal.reply}\n"
    lines = _contents(house, mail_id)
    children = Children()
    prepared = await read_mail(house, children, mail_id)
    await children.stop()
    lines += await _outcome(house, mail_id, prepared)
    lines += [_told(one) for one in await letters_of(house) if one.id not in before]
    return _without_ids("\n".join(lines) + "\n", thread)


def _contents(house: House, mail_id: str) -> list[str]:
    try:
        opened = OpenedMail(house.spool, mail_id)
    except Refusal as refusal:
        return [f"unreadable: {refusal}"]
    with opened:
        contents = opened.contents()
        subject = read_subject(contents.subject)
        people = ", ".join(f"{one.name} <{one.address}>".strip() for one in subject.reviewers)
        return [
            f"kind: {classify(contents, ANNA, DOMAIN)}",
            f"subject: {contents.subject}",
            f"reviewers: {people}",
            f"code: {subject.code}",
            f"title: {subject.title}",
            *(f"note: {line}" for line in note_of(contents.body).splitlines()),
            *(_file(file) for file in opened.files()),
        ]


def _file(file: Attachment) -> str:
    try:
        content = b"".join(file.pieces())
    except Refusal as refusal:
        return f"file: {file.name} | {file.format} | {refusal}"
    digest = hashlib.sha256(content).hexdigest()
    return f"file: {file.name} | {file.format} | {len(content)} | {digest}"


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
