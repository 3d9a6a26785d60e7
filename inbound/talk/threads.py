"""Which case a mail means that came to share@ without a token: the letter that it answers says so.

Some mail programs answer From instead of Reply-To, and some providers know no plus addresses. A
Message-ID or a number in a subject is no secret; what may be done is decided by who speaks.
"""

import re

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.mail.skeleton import Contents
from inbound.talk.grammar import first_line, read_order
from store.model import Case, Letter, Mail
from store.records import access, cases, labs, outbox

_BUTTONS = frozenset({"APPROVE", "CHANGES", "STOP"})
_MOST = 20  # Message-IDs that are looked at
_MESSAGE_ID = re.compile(r"<[^<>\s]{3,300}>")
_TAG = re.compile(r"\[#([0-9A-HJKMNP-TV-Z]{6,10})\]")


async def case_answered(connection: AsyncConnection, mail: Mail, contents: Contents) -> Case | None:
    """The case of the letter that a mail answers, if its author is one of the case's people."""
    case = await _case_of_letter(connection, contents) or await _case_in_subject(
        connection, contents
    )
    return case if case and await _is_theirs(connection, mail, case) else None


async def letter_answered(connection: AsyncConnection, contents: Contents) -> Letter | None:
    """What it answers counts before what that one answered: a thread may have touched other cases."""
    for name in ("in-reply-to", "references"):
        ids = _MESSAGE_ID.findall(contents.header(name)[:8_000])
        letter = await outbox.by_message_ids(connection, ids[:1] + ids[1:][-_MOST:])
        if letter is not None:
            return letter
    return None


async def _case_of_letter(connection: AsyncConnection, contents: Contents) -> Case | None:
    letter = await letter_answered(connection, contents)
    return await cases.case(connection, letter.case_id) if letter and letter.case_id else None


async def _case_in_subject(connection: AsyncConnection, contents: Contents) -> Case | None:
    """In an answer "Re: … [#7F3KQ2]" is how our letters to reviewers are called; in a mail of its own
    "APPROVE #7F3KQ2 v2" is what their buttons write.
    """
    found = _TAG.search(contents.subject[:500])
    if found and contents.header("in-reply-to"):
        return await cases.find_by_public_id(connection, found[1])
    order = read_order(first_line(contents.subject))
    if order is None or order.verb not in _BUTTONS or len(order.cases) != 1:
        return None
    return await cases.find_by_public_id(connection, order.cases[0].lstrip("#"))


async def _is_theirs(connection: AsyncConnection, mail: Mail, case: Case) -> bool:
    if mail.member_id is not None:
        member = await labs.member(connection, mail.member_id)
        if member.lab_id == case.lab_id:
            return True
    person = await access.reviewer_of(connection, case.id, mail.author)
    return person is not None
