"""Mails that were accepted, and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Mail
from store.records.schema import confirmations, mails
from store.states import ConfirmationKind, MailState, Strength

_Sameness = tuple[str, str, str, tuple[str, ...]]


@dataclass(frozen=True)
class Arrival:
    """What the door knows of a mail whose spool file is durable."""

    id: str
    received_at: int
    sender: str
    author: str
    member_id: str | None
    strength: Strength
    proof: str  # in a few words, for the trail: "DKIM lab.example"
    signature: str | None  # the fingerprint of the signature that counted
    recipients: list[str]
    message_id: str
    header_sha256: str
    body_sha256: str
    size: int
    source: str | None = (
        None  # where it was fetched from, as "imap:user@host/folder/uidvalidity/uid"
    )


async def accept_all(
    connection: AsyncConnection, arrivals: Sequence[Arrival]
) -> dict[str, MailState]:
    """Writes the rows of mails: RECEIVED and due at once, or DUPLICATE of one that came before.

    The same mail is one with the same Message-ID, author, recipients and body bytes: a relay that
    tries again may add trace lines to the header. Mails without a Message-ID are never the same,
    unless both were fetched from a mailbox, where the header stays as it is too. And one signature
    counts once at each address, whatever else was changed around it: that is a mail played again.
    """
    before = await _same_mails(connection, arrivals)
    signed = await _signed_mails(connection, arrivals)
    rows = [_row(arrival, before, signed) for arrival in arrivals]
    if rows:
        await connection.execute(sa.insert(mails), rows)
    return {row["id"]: row["state"] for row in rows}


async def states(connection: AsyncConnection, mail_ids: Sequence[str]) -> dict[str, MailState]:
    """The states of those mails that there are."""
    question = sa.select(mails.c.id, mails.c.state).where(mails.c.id.in_(mail_ids))
    return {row.id: MailState(row.state) for row in await connection.execute(question)}


async def known_sources(connection: AsyncConnection, sources: Sequence[str]) -> set[str]:
    """Which of these places mails have been fetched from already."""
    question = sa.select(mails.c.source).where(mails.c.source.in_(sources))
    return set((await connection.execute(question)).scalars())


async def mail(connection: AsyncConnection, mail_id: str) -> Mail:
    question = sa.select(mails).where(mails.c.id == mail_id)
    row = (await connection.execute(question)).mappings().one()
    return Mail.of(
        {**row, "state": MailState(row["state"]), "strength": _strength(row["strength"])}
    )


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


async def belongs(connection: AsyncConnection, mail_id: str, case_id: str) -> None:
    """Notes the case that a mail has become, while the work on it goes on."""
    await connection.execute(sa.update(mails).where(mails.c.id == mail_id).values(case_id=case_id))


async def note_files(connection: AsyncConnection, mail_id: str, digests: list[str]) -> None:
    """Notes the SHA-256 of each scan or archive as it was sent, by which it is known again."""
    await connection.execute(sa.update(mails).where(mails.c.id == mail_id).values(files=digests))


async def files_of_case(connection: AsyncConnection, case_id: str) -> dict[str, list[str] | None]:
    """By mail: what `note_files` has noted for a case, None where its files are not taken yet."""
    question = sa.select(mails.c.id, mails.c.files).where(mails.c.case_id == case_id)
    return {row.id: row.files for row in await connection.execute(question)}


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


async def drop_waiting(connection: AsyncConnection, case_id: str) -> list[str]:
    """Gives up the mail that waits for a case's answer, and those that wait for a click to become its
    next version; returns their ids.
    """
    mail_id = await waiting_of_case(connection, case_id)
    if mail_id:
        await settle(connection, mail_id, MailState.DONE, "no answer in time")
    unclicked = await _waiting_for_click(connection, case_id)
    for one in unclicked:
        await settle(connection, one, MailState.DONE, "its case has ended")
    return [*([mail_id] if mail_id else []), *unclicked]


async def waiting_strangers(connection: AsyncConnection, *, unread: bool = False) -> dict[str, int]:
    """Authors whose first mail waits for their click, with its size in bytes.

    Args:
        unread: those too whose mail was accepted and not looked at yet.
    """
    states = [MailState.WAITING, *([MailState.RECEIVED] if unread else [])]
    question = sa.select(mails.c.author, mails.c.size).where(
        mails.c.member_id.is_(None),
        mails.c.state.in_(states),
        mails.c.strength != Strength.NONE.name,  # returned mail, and what is for the operator
    )
    return {row.author: row.size for row in await connection.execute(question)}


async def adopt(connection: AsyncConnection, mail_id: str, member_id: str, now: int) -> None:
    """A stranger has become a member: their first mail is a member's from now on, and runs."""
    await connection.execute(
        sa.update(mails).where(mails.c.id == mail_id).values(member_id=member_id)
    )
    await work_again(connection, mail_id, now)


async def kept_in_spool(connection: AsyncConnection) -> set[str]:
    """The ids of all mails whose raw form is still needed."""
    keeping = [MailState.RECEIVED, MailState.WAITING, MailState.DEAD]
    question = sa.select(mails.c.id).where(mails.c.state.in_(keeping))
    return set((await connection.execute(question)).scalars())


async def _waiting_for_click(connection: AsyncConnection, case_id: str) -> list[str]:
    """They are no mails of the case yet: only what asks for the click names both."""
    question = (
        sa.select(mails.c.id)
        .join(confirmations, confirmations.c.mail_id == mails.c.id)
        .where(
            confirmations.c.case_id == case_id,
            confirmations.c.kind == ConfirmationKind.VERSION,
            mails.c.state == MailState.WAITING,
        )
        .order_by(mails.c.id)
    )
    return list((await connection.execute(question)).scalars())


def _strength(name: str) -> Strength:
    return Strength[name] if name else Strength.VOUCHED  # rows of releases that knew no other


def _row(
    arrival: Arrival, before: dict[_Sameness, str], signed: dict[tuple[str, str], str]
) -> dict[str, Any]:
    """The row of a mail; from then on the next one of the same batch may be its duplicate."""
    same = _sameness(**arrival.__dict__)
    first = before.get(same) if same else None
    if same:
        before.setdefault(same, arrival.id)
    for address in arrival.recipients if arrival.signature else []:
        played = (arrival.signature or "", address.lower())  # "SHARE@" is no other address
        first = first or signed.get(played)
        signed.setdefault(played, arrival.id)
    return {
        **arrival.__dict__,
        "strength": arrival.strength.name,
        "state": MailState.DUPLICATE if first else MailState.RECEIVED,
        "duplicate_of": first,
        "due_at": None if first else arrival.received_at,
    }


async def _same_mails(
    connection: AsyncConnection, arrivals: Sequence[Arrival]
) -> dict[_Sameness, str]:
    """What of these came before, by what makes a mail the same."""
    message_ids = {arrival.message_id for arrival in arrivals} - {""}
    headers = {a.header_sha256 for a in arrivals if a.source and not a.message_id}
    alike: list[sa.ColumnElement[bool]] = []
    if message_ids:
        alike.append(mails.c.message_id.in_(message_ids))
    if headers:
        alike.append(sa.and_(mails.c.message_id == "", mails.c.header_sha256.in_(headers)))
    if not alike:
        return {}
    ended = [MailState.DUPLICATE, MailState.DEAD]
    question = sa.select(mails).where(sa.or_(*alike), mails.c.state.not_in(ended))
    found = (await connection.execute(question)).mappings()
    by_sameness = {_sameness(**row): str(row["id"]) for row in found}
    return {same: mail_id for same, mail_id in by_sameness.items() if same}


async def _signed_mails(
    connection: AsyncConnection, arrivals: Sequence[Arrival]
) -> dict[tuple[str, str], str]:
    """Which mail came first with a signature, by signature and address."""
    signatures = {arrival.signature for arrival in arrivals} - {None}
    if not signatures:
        return {}
    question = sa.select(mails.c.id, mails.c.signature, mails.c.recipients).where(
        mails.c.signature.in_(signatures), mails.c.state != MailState.DEAD
    )
    rows = (await connection.execute(question)).all()
    return {(row.signature, address.lower()): row.id for row in rows for address in row.recipients}


def _sameness(
    message_id: str,
    author: str,
    body_sha256: str,
    header_sha256: str,
    recipients: list[str],
    source: str | None,
    **_others: object,
) -> _Sameness | None:
    if not message_id and not source:
        return None
    known_by = message_id or header_sha256
    return known_by, author, body_sha256, tuple(sorted(recipients))
