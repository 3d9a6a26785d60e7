"""Links that wait for a click: what they permit happens after it, and only once.

The page shows what will be done and takes the click; the flow does it. The token is derived from the
row (store/blobs/keys.py), so that every attempt at the letter prints the same one.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Confirmation
from store.records.schema import confirmations
from store.states import ConfirmationKind, ConfirmationState
from store.tokens import fingerprint, has_shape


async def create(
    connection: AsyncConnection,
    confirmation_id: str,
    token: str,
    kind: ConfirmationKind,
    address: str,
    context: dict[str, Any],
    now: int,
    lifetime: int,
    *,
    member_id: str | None = None,
    mail_id: str | None = None,
    case_id: str | None = None,
) -> None:
    """Writes a row that is due when its time is over, clicked or not. Ids come from the caller, so
    that a step that runs twice writes one.
    """
    if await find(connection, confirmation_id):
        return
    await connection.execute(
        sa.insert(confirmations).values(
            id=confirmation_id,
            token=fingerprint(token),
            kind=kind,
            state=ConfirmationState.WAITING,
            member_id=member_id,
            mail_id=mail_id,
            case_id=case_id,
            address=address,
            context=context,
            created_at=now,
            expires_at=now + lifetime,
            due_at=now + lifetime,
        )
    )


async def find(connection: AsyncConnection, confirmation_id: str) -> Confirmation | None:
    return await _one(connection, confirmations.c.id == confirmation_id)


async def by_token(connection: AsyncConnection, token: str) -> Confirmation | None:
    """None if it was never issued."""
    if not has_shape(token):
        return None
    return await _one(connection, confirmations.c.token == fingerprint(token))


async def confirm(
    connection: AsyncConnection, confirmation_id: str, context: dict[str, Any], now: int
) -> bool:
    """Takes the click; False if it was taken before, or comes too late."""
    change = (
        sa.update(confirmations)
        .where(
            confirmations.c.id == confirmation_id,
            confirmations.c.state == ConfirmationState.WAITING,
            confirmations.c.expires_at > now,
        )
        .values(
            state=ConfirmationState.CONFIRMED,
            confirmed_at=now,
            context=context,
            due_at=now,
            attempt=confirmations.c.attempt + 1,
            failures=0,
        )
    )
    return (await connection.execute(change)).rowcount == 1


async def settle(
    connection: AsyncConnection, confirmation_id: str, state: ConfirmationState
) -> None:
    """Ends the work; what was typed on the page is forgotten."""
    change = sa.update(confirmations).where(confirmations.c.id == confirmation_id)
    await connection.execute(change.values(state=state, due_at=None, context={}))


async def end_of_case(connection: AsyncConnection, case_id: str) -> None:
    """A case has ended: nothing that waits for a click about it can happen any more."""
    change = sa.update(confirmations).where(
        confirmations.c.case_id == case_id,
        confirmations.c.state == ConfirmationState.WAITING,
    )
    await connection.execute(change.values(state=ConfirmationState.OVER, due_at=None, context={}))


async def _one(connection: AsyncConnection, which: sa.ColumnElement[bool]) -> Confirmation | None:
    row = (await connection.execute(sa.select(confirmations).where(which))).mappings().first()
    if row is None:
        return None
    kind, state = ConfirmationKind(row["kind"]), ConfirmationState(row["state"])
    return Confirmation.of({**row, "kind": kind, "state": state})
