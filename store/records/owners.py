"""Letters to the owner of a case, as drafts; both ends of the house write them."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import LONGEST_SUBJECT, Case, Letter, LetterDraft, Person
from store.records import access, cases, labs
from store.states import Suppression
from store.statuses import Fate

_LONGEST_REASON = 300
_WHY = {
    Fate.PERMANENT: "The address does not exist or takes no mail. No more letters go there.",
    Fate.FULL: "Their mailbox is full.",
    Fate.POLICY: "A mail system on the way does not take our letters; the address itself may be right."
    " Tell the person another way that a letter is waiting.",
    Fate.TROUBLE: "The letter was given up on its way.",
    Suppression.COMPLAINT: "They have marked a letter of your lab as spam, so none is sent there any"
    " more.",
    Suppression.STOP: "They have asked for no more letters of your lab.",
}


async def to_owner(
    connection: AsyncConnection, case: Case, kind: str, context: dict[str, Any]
) -> LetterDraft:
    """A letter in the case's thread."""
    owner = await labs.member(connection, case.owner_id)
    person = await access.owner_of(connection, case.id)
    return LetterDraft(
        kind=kind,
        recipient=owner.address,
        recipient_name=owner.name,
        subject=reply_subject(case.subject),
        context=context,
        case_id=case.id,
        person_id=person.id,
        in_reply_to=case.thread[-1] if case.thread else "",
        thread=case.thread,
    )


async def undelivered_letter(
    connection: AsyncConnection, letter: Letter, why: Fate | Suppression, said: str = ""
) -> LetterDraft:
    """A reviewer who was never reached is the most important thing that the owner can hear.

    Args:
        letter: the one that did not arrive; it belongs to a case.
        said: the words of the mail system that did not take it.
    """
    assert letter.case_id is not None
    case = await cases.case(connection, letter.case_id)
    context = {
        "name": case.name,
        "reviewer": letter.recipient,
        "sentence": _WHY[why],
        "unwanted": isinstance(why, Suppression),
        "address_is_dead": why is Fate.PERMANENT,
        "said": said[:_LONGEST_REASON],
    }
    return await to_owner(connection, case, "undelivered", context)


async def viewed_letter(connection: AsyncConnection, case: Case, reviewer: Person) -> LetterDraft:
    """Somebody has looked for the first time, and the owner wanted to know (NOTIFY)."""
    sentence = f"{_in_full(reviewer)} looked at {_named(case)} for the first time just now."
    return await _short(connection, case, f"{reviewer.called} has looked", [sentence])


async def locked_letter(connection: AsyncConnection, case: Case, person: Person) -> LetterDraft:
    """Somebody has tried passwords at a link."""
    sentences = [
        f"The password of {_named(case)} was wrong five times at the link of {_in_full(person)}, so for"
        " 15 minutes none counts there. This is said once a day.",
        f"If they have forgotten it, tell it once more, or reply PASSWORD: and new words. If it was not"
        f" they, reply REVOKE {person.address}.",
    ]
    return await _short(connection, case, "A password was wrong five times", sentences)


async def stopped_letter(
    connection: AsyncConnection, case: Case, person: Person, words: str, *, with_link: bool
) -> LetterDraft:
    """A reviewer has said, not by mail, that they want none of it."""
    ended = (
        "Their link has ended, and no letters of your lab go to them any more."
        if with_link
        else "No letters of your lab go to them any more. Their link works until the case ends."
    )
    sentences = [
        f"{_in_full(person)} wants no more letters. In their words, of {_named(case)}: “{words}”"
        if with_link
        else f"{_in_full(person)} wants no more letters. {words}",
        f"{ended} If somebody else should look, reply ADD and that person's address.",
    ]
    return await _short(connection, case, "No more letters", sentences)


def _in_full(person: Person) -> str:
    return f"{person.name} ({person.address})" if person.name else person.address


def _named(case: Case) -> str:
    own = f"Case {case.public_id}"
    return case.name if case.name == own else f"{case.name} (#{case.public_id})"


async def _short(
    connection: AsyncConnection, case: Case, heading: str, sentences: list[str]
) -> LetterDraft:
    context = {"heading": heading, "sentences": sentences, "case": None}
    return await to_owner(connection, case, "notice", context)


def reply_subject(subject: str) -> str:
    """The subject of an answer: mail programs keep a thread together by it."""
    plain = subject or "your mail"
    return (plain if plain.lower().startswith("re:") else f"Re: {plain}")[:LONGEST_SUBJECT]
