"""A reviewer wants none of it: no letters of this lab, and perhaps no link either."""

from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Case, Person
from store.records import access, audit, labs, outbox, owners, suppressions
from store.states import Suppression


async def refuse(
    connection: AsyncConnection,
    case: Case,
    person: Person,
    words: str,
    domain: str,
    now: int,
    *,
    with_link: bool,
) -> None:
    """Ends the lab's letters to a reviewer, and tells the owner, once.

    Args:
        words: what they said, for the owner.
        with_link: whether their link and their sessions end too.
    """
    lab = await labs.lab(connection, case.lab_id)
    fresh = await suppressions.suppress(connection, lab.id, person.address, Suppression.STOP, now)
    if with_link:
        await access.revoke(connection, person.id, now)
    elif not fresh:
        return
    await outbox.withdraw_of_person(connection, person.id, now)
    draft = await owners.stopped_letter(connection, case, person, words, with_link=with_link)
    once = f"refused|{person.id}|{person.generation}|{with_link}"
    await outbox.write(connection, draft, domain, now, once)
    await audit.record(
        connection,
        now,
        person.address,
        "letters stopped",
        lab_id=lab.id,
        case_id=case.id,
        link="ended" if with_link else "alive",
    )
