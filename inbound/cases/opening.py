"""A mail that asks for a share becomes a case: waiting for a reviewer, or at once in preparation."""

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.letters import question_letter
from inbound.cases.subject import Reviewer, Subject
from inbound.mail.skeleton import Contents
from inbound.mail.text import note_of
from store.house import House
from store.model import LIFETIME, QUESTION_LIFETIME, Case, Mail, Member
from store.records import access, audit, cases, mails, outbox
from store.states import CaseState, MailState, PersonKind
from store.tokens import derived_id


def case_id_of(mail_id: str) -> str:
    return derived_id("case", mail_id)


async def open_case(
    house: House,
    connection: AsyncConnection,
    mail: Mail,
    owner: Member,
    contents: Contents,
    subject: Subject,
) -> Case:
    """Writes the case of a mail, its people and its key; without a reviewer, the question too."""
    now = house.clock.now()
    # Nobody is told while one address is unclear: a letter cannot be called back.
    waiting = bool(subject.unusable) or not subject.reviewers
    key, wrapped = house.keys.new()
    case = await cases.create(
        connection,
        cases.NewCase(
            id=case_id_of(mail.id),
            lab_id=owner.lab_id,
            owner_id=owner.id,
            code=subject.code,
            title=subject.title,
            note=note_of(contents.body),
            state=CaseState.WAITING if waiting else CaseState.PREPARING,
            created_at=now,
            expires_at=now + (QUESTION_LIFETIME if waiting else LIFETIME),
            # In preparation its mail moves it; when that is given up, `break_off` does.
            due_at=now + QUESTION_LIFETIME if waiting else None,
            subject=contents.subject,
            thread=[mail.message_id] if mail.message_id else [],
        ),
        wrapped,
    )
    await access.add_person(
        connection, case.id, PersonKind.OWNER, owner.address, owner.name, key, now
    )
    await add_reviewers(connection, case, subject.reviewers, key, now)
    await audit.record(
        connection, now, owner.address, "case opened", lab_id=owner.lab_id, case_id=case.id
    )
    await mails.belongs(connection, mail.id, case.id)
    if waiting:
        draft = await question_letter(connection, case, subject.unusable, now)
        await outbox.write(connection, draft, house.settings.domain, now)
        await mails.settle(connection, mail.id, MailState.WAITING, "no reviewer", case.id)
    return case


async def add_reviewers(
    connection: AsyncConnection, case: Case, reviewers: list[Reviewer], key: bytes, now: int
) -> None:
    for reviewer in reviewers:
        await access.add_person(
            connection,
            case.id,
            PersonKind.REVIEWER,
            reviewer.address,
            reviewer.name,
            key,
            now,
        )


async def name_reviewers(
    house: House, connection: AsyncConnection, case: Case, reviewers: list[Reviewer], actor: str
) -> None:
    """The answer to the question: the waiting mail goes on where it stopped, no file is sent again."""
    now = house.clock.now()
    key = await house.case_key(connection, case.id)
    await add_reviewers(connection, case, reviewers, key, now)
    await cases.move(connection, case.id, CaseState.PREPARING)
    await cases.set_times(connection, case.id, expires_at=now + LIFETIME, due_at=None)
    named = [reviewer.address for reviewer in reviewers]
    await audit.record(
        connection, now, actor, "reviewers named", lab_id=case.lab_id, case_id=case.id, named=named
    )
    mail_id = await mails.waiting_of_case(connection, case.id)
    assert mail_id is not None, "a waiting case has a waiting mail"
    await mails.work_again(connection, mail_id, now)
