"""What people say about a case, passed on to the other side: a reviewer's words to the owner, a
member's to the reviewers.

What came by mail is passed on at once, in the transaction of the mail. What was said on the page is a
row that is due; its flow looks at the picture that came with it, and writes the letters.
"""

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.letters import remark_letter, remark_letter_to, verdict_letter
from inbound.cases.sealing import plain, seal_result
from inbound.scans.child import Children
from store.engine import Step
from store.errors import ChildLost, NotFound, ScanRefused
from store.house import House, remark_object
from store.measures import in_words
from store.model import Case, LetterDraft, Person, Remark
from store.records import access, audit, cases, labs, outbox, remarks, suppressions
from store.records.verdicts import Verdict
from store.states import PersonKind, Reason, RemarkKind
from store.tokens import derived_id


async def remark_flow(house: House, children: Children, step: Step, remark_id: str) -> None:
    """Takes a remark of the page to its letters."""
    checked = await step(check_picture, house, children, remark_id)
    await step(pass_on, house, remark_id, checked)


async def check_picture(house: House, children: Children, remark_id: str) -> bool:
    """Lets a child decode a stranger's PNG and write it anew; False if there is none to show."""
    async with house.database.read() as connection:
        remark = await remarks.find(connection, remark_id)
        if remark is None or remark.due_at is None or not remark.picture_size:
            return False
        key = await house.case_key(connection, remark.case_id)
    sent, checked = (remark_object(remark.case_id, remark_id, what) for what in ("sent", "checked"))
    run = house.object_threads.run
    try:
        async with children.room:
            with ExitStack() as inputs:
                loaded = inputs.enter_context(await run(plain, house, key, sent))
                _, (preview, copy) = await children.run("prepare_photo", [loaded], 2)
    except (ScanRefused, ChildLost, NotFound):
        await run(house.blobs.delete, sent)  # nobody will look at it again
        return False  # the words are worth more than the picture
    with preview, copy:
        await run(seal_result, house, key, checked, copy)
    await run(house.blobs.delete, sent)
    return True


async def pass_on(house: House, remark_id: str, has_picture: bool) -> None:
    """One transaction: the letters of a remark, and that they are written."""
    async with house.database.write() as connection:
        remark = await remarks.find(connection, remark_id)
        if remark is None or remark.due_at is None:
            return
        now, domain = house.clock.now(), house.settings.domain
        case = await cases.case(connection, remark.case_id)
        if case.is_open(now):
            for draft, once in await _letters(connection, case, remark, now):
                context = draft.context | await _more(connection, remark, has_picture)
                full = replace(draft, context=context)
                await outbox.write(connection, full, domain, now, once=once)
        await remarks.passed_on(connection, remark_id)
    house.poke()


async def _letters(
    connection: AsyncConnection, case: Case, remark: Remark, now: int
) -> list[tuple[LetterDraft, str]]:
    """The letters of a remark, each with the occasion that it is written for."""
    assert remark.person_id is not None
    assert remark.version_id is not None
    author = await access.person(connection, remark.person_id)
    version = await cases.version(connection, remark.version_id)
    assert author is not None
    assert version is not None
    once = f"remark|{remark.id}"
    if remark.kind is not RemarkKind.COMMENT:
        said = Verdict(remark.kind, remark.text).in_words(case, version)
        heading = f"{remark.author} {said}."
        return [(await verdict_letter(connection, case, heading, remark.text, now), once)]
    heading = f"{remark.author} wrote about {case.name}, version {version.number}:"
    if author.kind is PersonKind.REVIEWER:
        return [(await remark_letter(connection, case, heading, remark.text, now), once)]
    return [
        (
            await remark_letter_to(connection, case, person, heading, remark.text, now),
            f"{once}|{person.id}",
        )
        for person in await who_may_read(connection, case)
    ]


async def _more(connection: AsyncConnection, remark: Remark, has_picture: bool) -> dict[str, Any]:
    """What a remark of the page brings beside its words."""
    scans = await cases.scans_of(connection, remark.version_id or "")
    labels = {scan.number: scan.label for scan in scans}
    details = [Reason(one).label for one in remark.reasons or []]
    details += [in_words(mark, labels.get(mark["scan"], "")) for mark in remark.marks or []]
    return {"details": details, "seen": remark.id if has_picture else ""}


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
