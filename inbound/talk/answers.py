"""The letter that answers a mail, with its line in the trail and the mail's end: one transaction.

It goes to the address under which the speaker is known here, never to a Reply-To.
"""

from dataclasses import replace
from typing import Any

from inbound.cases.facts import case_facts
from inbound.cases.letters import reply_letter
from inbound.talk.talk import Talk
from store.model import Case
from store.records import access, audit, cases, mails, outbox
from store.states import MailState


async def answer(
    talk: Talk,
    case: Case | None,
    outcome: str,
    context: dict[str, Any],
    thread: Case | None = None,
    once: str = "",
    line: str = "",
) -> None:
    """Writes the letter, the line in the trail and the mail's end.

    `thread` is the case whose conversation the letter belongs to, where the letter is about none;
    `once` names what is said one time only; `line` is the command, for the trail.
    """
    speaker = talk.speaker
    facts = await _facts(talk, case)
    draft = reply_letter(
        talk.mail,
        talk.contents.subject,
        speaker.address,
        speaker.name,
        context.get("kind", "notice"),
        {**context, "case": facts},
    )
    if (thread := case or thread) is not None and speaker.roles:
        person = speaker.reviewer or await access.owner_of(talk.connection, thread.id)
        newest = await cases.newest_shared(talk.connection, thread.id)
        draft = replace(
            draft,
            case_id=thread.id,
            person_id=person.id if person.address == speaker.address else None,
            version=newest.number if newest else None,
            thread=[*(thread.thread if speaker.member else []), *draft.thread],
        )
    await outbox.write(talk.connection, draft, talk.house.settings.domain, talk.now, once)
    await end(talk, case, outcome, line)


async def end(talk: Talk, case: Case | None, outcome: str, line: str = "") -> None:
    """The line in the trail and the mail's end, where another letter answers it, or none."""
    await audit.record(
        talk.connection,
        talk.now,
        talk.mail.author,
        f"command {outcome}",
        lab_id=_lab_of(talk, case),
        case_id=case.id if case else None,
        line=line,
    )
    case_id = case.id if case else None
    await mails.settle(talk.connection, talk.mail.id, MailState.DONE, outcome, case_id)


async def _facts(talk: Talk, case: Case | None) -> dict[str, Any] | None:
    """The state of the case, for members; a reviewer is shown what concerns them."""
    if case is None or talk.speaker.member is None:
        return None
    return await case_facts(talk.connection, case, talk.now)


def _lab_of(talk: Talk, case: Case | None) -> str | None:
    if case is not None:
        return case.lab_id
    return talk.speaker.member.lab_id if talk.speaker.member else None
