"""Mails that were accepted, and what became of them."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Mail, MailState
from store.records.schema import mails


@dataclass(frozen=True)
class Arrival:
    """What the door knows of a mail whose spool file is durable."""

    id: str
    received_at: int
    sender: str
    author: str
    member_id: str
    recipients: list[str]
    message_id: str
    header_sha256: str
    body_sha256: str
    size: int


async def accept(connection: AsyncConnection, arrival: Arrival) -> Mail:
    """Writes the row of a mail: RECEIVED and due at once, or DUPLICATE of one that came before.

    The same mail is one with the same Message-ID, author, recipients and body bytes: a relay that
    tries again may add trace lines to the header. Without a Message-ID the header counts as well.
    """
    before = await _same_mail(connection, arrival)
    state = MailState.DUPLICATE if before else MailState.RECEIVED
    await connection.execute(
        sa.insert(mails).values(
            **arrival.__dict__,
            state=state,
            duplicate_of=before,
            due_at=None if before else arrival.received_at,
        )
    )
    return await mail(connection, arrival.id)


async def mail(connection: AsyncConnection, mail_id: str) -> Mail:
    question = sa.select(mails).where(mails.c.id == mail_id)
    row = (await connection.execute(question)).mappings().one()
    return Mail.of({**row, "state": MailState(row["state"])})


async def settle(
    connection: AsyncConnection,
    mail_id: str,
    state: MailState,
    outcome: str,
    case_id: str | None = None,
) -> None:
    """Ends the work on a mail; `outcome` is a word for the operator, never personal data."""
    values: dict[str, object] = {"state": state, "outcome": outcome, "due_at": None}
    if case_id:
        values["case_id"] = case_id
    await connection.execute(sa.update(mails).where(mails.c.id == mail_id).values(**values))


async def work_again(connection: AsyncConnection, mail_id: str, now: int) -> None:
    """A waiting mail has got its answer: its flow starts anew."""
    await connection.execute(
        sa.update(mails)
        .where(mails.c.id == mail_id, mails.c.state == MailState.WAITING)
        .values(state=MailState.RECEIVED, due_at=now, attempt=mails.c.attempt + 1, failures=0)
    )


async def waiting_of_case(connection: AsyncConnection, case_id: str) -> str | None:
    """The id of the mail that waits for a case's answer."""
    waiting = sa.select(mails.c.id).where(
        mails.c.case_id == case_id, mails.c.state == MailState.WAITING
    )
    return (await connection.execute(waiting)).scalars().first()


async def drop_waiting(connection: AsyncConnection, case_id: str) -> str | None:
    """Gives up the mail that waits for a case's answer; returns its id if there is one."""
    mail_id = await waiting_of_case(connection, case_id)
    if mail_id:
        await settle(connection, mail_id, MailState.DONE, "no answer in time")
    return mail_id


async def kept_in_spool(connection: AsyncConnection) -> set[str]:
    """The ids of all mails whose raw form is still needed."""
    keeping = [MailState.RECEIVED, MailState.WAITING, MailState.DEAD]
    question = sa.select(mails.c.id).where(mails.c.state.in_(keeping))
    return set((await connection.execute(question)).scalars())


async def _same_mail(connection: AsyncConnection, arrival: Arrival) -> str | None:
    question = sa.select(mails.c.id, mails.c.recipients).where(
        mails.c.message_id == arrival.message_id,
        mails.c.author == arrival.author,
        mails.c.body_sha256 == arrival.body_sha256,
        mails.c.state.not_in([MailState.DUPLICATE, MailState.DEAD]),
    )
    if not arrival.message_id:
        question = question.where(mails.c.header_sha256 == arrival.header_sha256)
    for mail_id, recipients in await connection.execute(question):
        if sorted(recipients) == sorted(arrival.recipients):
            found: str = mail_id
            return found
    return None
