"""Mails that were accepted, and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Mail, MailState
from store.records.schema import mails

_Sameness = tuple[str, str, str, tuple[str, ...]]


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
    source: str | None = None  # where it was fetched from, as "imap:folder/uidvalidity/uid"


async def accept_all(
    connection: AsyncConnection, arrivals: Sequence[Arrival]
) -> dict[str, MailState]:
    """Writes the rows of mails: RECEIVED and due at once, or DUPLICATE of one that came before.

    The same mail is one with the same Message-ID, author, recipients and body bytes: a relay that
    tries again may add trace lines to the header. Mails without a Message-ID are never the same.
    """
    before = await _same_mails(connection, arrivals)
    rows = [_row(arrival, before) for arrival in arrivals]
    if rows:
        await connection.execute(sa.insert(mails), rows)
    return {row["id"]: row["state"] for row in rows}


async def known_sources(connection: AsyncConnection, sources: Sequence[str]) -> set[str]:
    """Which of these places mails have been fetched from already."""
    question = sa.select(mails.c.source).where(mails.c.source.in_(sources))
    return set((await connection.execute(question)).scalars())


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


def _row(arrival: Arrival, before: dict[_Sameness, str]) -> dict[str, Any]:
    """The row of a mail; from then on the next one of the same batch may be its duplicate."""
    same = _sameness(arrival.message_id, arrival.author, arrival.body_sha256, arrival.recipients)
    first = before.get(same) if arrival.message_id else None
    before.setdefault(same, arrival.id)
    return {
        **arrival.__dict__,
        "state": MailState.DUPLICATE if first else MailState.RECEIVED,
        "duplicate_of": first,
        "due_at": None if first else arrival.received_at,
    }


async def _same_mails(
    connection: AsyncConnection, arrivals: Sequence[Arrival]
) -> dict[_Sameness, str]:
    message_ids = {arrival.message_id for arrival in arrivals} - {""}
    if not message_ids:
        return {}
    columns = (mails.c.id, mails.c.message_id, mails.c.author, mails.c.body_sha256)
    question = sa.select(*columns, mails.c.recipients).where(
        mails.c.message_id.in_(message_ids),
        mails.c.state.not_in([MailState.DUPLICATE, MailState.DEAD]),
    )
    return {_sameness(*facts): mail_id for mail_id, *facts in await connection.execute(question)}


def _sameness(message_id: str, author: str, body: str, recipients: list[str]) -> _Sameness:
    return message_id, author, body, tuple(sorted(recipients))
