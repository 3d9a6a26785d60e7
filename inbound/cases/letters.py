"""The letters of a case, as drafts: whom they go to and what they are filled with.

Links and addresses with tokens are no part of a draft: they are derived when the letter goes out, so
that the database holds none.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.facts import case_facts
from store.model import LONGEST_SUBJECT, Case, LetterDraft, Mail, Person
from store.records import labs
from store.records.owners import reply_subject, to_owner


async def answer_letter(
    connection: AsyncConnection, case: Case, now: int, told: list[str]
) -> LetterDraft:
    """To the owner, when a version has been shared: link, picture, what was found, what to say next.

    Args:
        told: the reviewers who get a letter.
    """
    return await _about(connection, case, "answer", {"told": told}, now)


async def question_letter(
    connection: AsyncConnection, case: Case, unusable: list[str], now: int
) -> LetterDraft:
    """To the owner: who shall see this? Names the addresses that could not be understood."""
    return await _about(connection, case, "question", {"unusable": unusable}, now)


async def reminder_letter(connection: AsyncConnection, case: Case, now: int) -> LetterDraft:
    """To the owner, a day before the end."""
    return await _about(connection, case, "reminder", {}, now)


async def notice_letter(
    connection: AsyncConnection, case: Case, heading: str, sentences: list[str], now: int
) -> LetterDraft:
    """To the owner: something short about the case."""
    context = {"heading": heading, "sentences": sentences}
    return await _about(connection, case, "notice", context, now)


async def remark_letter(
    connection: AsyncConnection, case: Case, heading: str, text: str, now: int
) -> LetterDraft:
    """To the owner: what somebody said about the case."""
    return await _about(connection, case, "remark", {"heading": heading, "text": text}, now)


async def verdict_letter(
    connection: AsyncConnection, case: Case, heading: str, text: str, now: int
) -> LetterDraft:
    """To the owner: a reviewer has decided."""
    return await _about(connection, case, "verdict", {"heading": heading, "text": text}, now)


async def remark_letter_to(
    connection: AsyncConnection, case: Case, reviewer: Person, heading: str, text: str, now: int
) -> LetterDraft:
    """To a reviewer: what the lab said."""
    draft = await share_letter(connection, case, reviewer, now)
    context = {**draft.context, "heading": heading, "text": text}
    return replace(draft, kind="remark", context=context)


async def share_letter(
    connection: AsyncConnection, case: Case, reviewer: Person, now: int
) -> LetterDraft:
    """To a reviewer: their own link, the picture, and what the owner wrote."""
    owner = await labs.member(connection, case.owner_id)
    facts = await case_facts(connection, case, now)
    # What concerns the lab alone stays there: file names, faults, who else was asked.
    shown = {name: facts[name] for name in _FOR_REVIEWERS}
    for name in ("scans", "gone"):
        shown[name] = [{**scan, "file": "", "found": ""} for scan in facts[name]]
    sender = {"name": owner.name, "company": owner.company}
    return LetterDraft(
        kind="share",
        recipient=reviewer.address,
        recipient_name=reviewer.name,
        subject=f"{case.name} [#{case.public_id}]"[:LONGEST_SUBJECT],
        context={"case": shown, "sender": sender, "greeting": reviewer.name},
        case_id=case.id,
        person_id=reviewer.id,
        version=facts["version"],
        thread=[root_of(case)],
    )


async def version_letter(
    connection: AsyncConnection, case: Case, reviewer: Person, now: int
) -> LetterDraft:
    """To a reviewer: the next version is there, under the link that they have."""
    return replace(await share_letter(connection, case, reviewer, now), kind="version")


def reply_letter(
    mail: Mail, subject: str, recipient: str, name: str, kind: str, context: dict[str, Any]
) -> LetterDraft:
    """An answer to a mail that belongs to no case."""
    return LetterDraft(
        kind=kind,
        recipient=recipient,
        recipient_name=name,
        subject=reply_subject(subject),
        context=context,
        in_reply_to=mail.message_id,
        thread=[mail.message_id] if mail.message_id else [],
    )


def root_of(case: Case) -> str:
    """A Message-ID that no mail has: it holds the letters of a case to one reviewer together."""
    return f"<case.{case.id}@scanpost.invalid>"


_FOR_REVIEWERS = (
    "name",
    "short_name",
    "public_id",
    "note",
    "ends",
    "picture",
    "version_id",
    "meetings",
    "what",
    "version",
    "version_note",
    "changes",
    "gone",
)


async def _about(
    connection: AsyncConnection, case: Case, kind: str, context: dict[str, Any], now: int
) -> LetterDraft:
    facts = await case_facts(connection, case, now)
    return await to_owner(connection, case, kind, {"case": facts, **context})
