"""The end of a case: links dead first, then its objects, its key, its letters, and a receipt.

Runs twice without harm: the case's state says that it has ended, `due_at` that work is left.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from store.house import House, case_prefix
from store.model import Case
from store.records import access, audit, cases, confirmations, outbox, remarks, uploads, work
from store.states import CaseState

# What a case becomes when its time is over, by what it was.
AFTER = {
    CaseState.OPEN: CaseState.EXPIRED,
    CaseState.WAITING: CaseState.UNANSWERED,
    CaseState.HELD: CaseState.UNANSWERED,
    CaseState.PREPARING: CaseState.BROKEN,
}


async def close(house: House, case_id: str) -> bool:
    """Marks a case as ended, and the sessions of its people with it; False if it goes on."""
    now = house.clock.now()
    async with house.database.write() as connection:
        case = await cases.case(connection, case_id)
        if case.state not in AFTER:
            return True
        if not case.is_due(now):
            return False  # extended, or answered, since this flow was queued
        await cases.move(connection, case_id, AFTER[case.state], ended_at=now)
        owner = await access.owner_of(connection, case_id)
        for person in [owner, *await access.reviewers_of(connection, case_id)]:
            await access.end_sessions(connection, person.id, now)
        await outbox.withdraw_of_case(connection, case_id, now)
        await confirmations.end_of_case(connection, case_id)
        await uploads.end_of_case(connection, case_id, now)
        await audit.record(
            connection,
            now,
            "clock",
            f"case {AFTER[case.state]}",
            lab_id=case.lab_id,
            case_id=case_id,
        )
    return True


async def delete(connection: AsyncConnection, case: Case, actor: str, now: int) -> None:
    """Ends a case because its lab says so: in this transaction links, sessions and key are gone. Its
    objects, which nobody can open any more, follow in its flow, which is due at once.
    """
    await cases.move(connection, case.id, CaseState.DELETED, ended_at=now)
    owner = await access.owner_of(connection, case.id)
    for person in [owner, *await access.reviewers_of(connection, case.id)]:
        await access.end_sessions(connection, person.id, now)
    await outbox.withdraw_of_case(connection, case.id, now)
    await confirmations.end_of_case(connection, case.id)
    await uploads.end_of_case(connection, case.id, now)
    await cases.destroy_key(connection, case.id)
    await remarks.forget(connection, case.id)
    await work.reschedule(connection, "case", case.id, now)
    await audit.record(connection, now, actor, "case deleted", lab_id=case.lab_id, case_id=case.id)


async def destroy(house: House, case_id: str) -> int:
    """Destroys a case's key and objects and looks that they are gone; returns how many there were.

    The row stays due: whoever tells the owner takes it off.
    """
    async with house.database.write() as connection:
        case = await cases.case(connection, case_id)
        await cases.destroy_key(connection, case_id)
    await house.database.truncate_log()
    gone = await house.object_threads.run(_delete_objects, house, case_id)
    async with house.database.write() as connection:
        await audit.record(
            connection,
            house.clock.now(),
            "clock",
            "case destroyed",
            lab_id=case.lab_id,
            case_id=case_id,
            objects=gone,
        )
    return gone


def _delete_objects(house: House, case_id: str) -> int:
    prefix = case_prefix(case_id)
    names = house.blobs.names(prefix)
    for name in names:
        house.blobs.delete(name)
    left = house.blobs.names(prefix)
    if left:  # Raised, so that the flow tries again: a promise is a promise.
        raise RuntimeError(f"{len(left)} objects of a case are still there after their deletion")
    return len(names)
