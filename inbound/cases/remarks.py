"""What people write about a case, passed on to the other side: a reviewer's words to the owner, a
member's to the reviewers.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.letters import remark_letter, remark_letter_to
from store.house import House
from store.model import Case, Person, RemarkKind
from store.records import access, audit, cases, labs, outbox, remarks, suppressions
from store.tokens import derived_id


async def relay_comment(
    house: House,
    connection: AsyncConnection,
    case: Case,
    author: str,
    reviewer: Person | None,
    text: str,
    occasion: str,
) -> list[str]:
    """Writes a comment and its letters, once for an occasion; returns who is told.

    Args:
        author: as the others read it.
        reviewer: who wrote it; None for a member of the lab.
    """
    now, domain = house.clock.now(), house.settings.domain
    version = await cases.latest_version(connection, case.id)
    remark_id = derived_id("remark", occasion)
    await remarks.add(
        connection,
        remark_id,
        case.id,
        RemarkKind.COMMENT,
        author,
        text,
        now,
        person_id=reviewer.id if reviewer else None,
        version_id=version.id if version else None,
    )
    heading = f"{author} wrote about {case.name}:"
    told = []
    if reviewer:
        owner = await labs.member(connection, case.owner_id)
        draft = await remark_letter(connection, case, heading, text, now)
        await outbox.write(connection, draft, domain, now, once=f"remark|{remark_id}")
        told.append(owner.name or owner.address)
    for person in [] if reviewer else await who_may_read(connection, case):
        draft = await remark_letter_to(connection, case, person, heading, text, now)
        once = f"remark|{remark_id}|{person.id}"
        await outbox.write(connection, draft, domain, now, once=once)
        told.append(person.called)
    await audit.record(
        connection, now, author, "comment", lab_id=case.lab_id, case_id=case.id, told=len(told)
    )
    return told


async def who_may_read(connection: AsyncConnection, case: Case) -> list[Person]:
    """The reviewers to whom something new may be written."""
    everybody = await access.reviewers_of(connection, case.id)
    return [
        person
        for person in everybody
        if person.revoked_at is None
        and person.trouble_at is None  # RESEND tries the address anew
        and not await suppressions.reason_for(connection, case.lab_id, person.address)
    ]
