"""Step: one transaction writes what became of a case, with the letters that say so. May run twice."""

import hashlib

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.letters import answer_letter, notice_letter, share_letter
from inbound.cases.next_version import announce_next
from inbound.cases.opening import case_id_of
from inbound.cases.outcome import Outcome
from inbound.cases.units import ask_for_unit, doubtful
from store.house import House
from store.model import LIFETIME, REMINDER_BEFORE_END, Case
from store.records import access, audit, cases, mails, outbox, work
from store.states import CaseState, MailState, ScanState


async def announce(house: House, mail_id: str) -> Outcome:
    """One transaction: what became of the scans of a mail, and the letters that say so."""
    async with house.database.write() as connection:
        # Read again here: another run of this flow, or the clock, may have been quicker.
        mail = await mails.mail(connection, mail_id)
        assert mail.case_id is not None, "a mail with scans belongs to a case"
        case = await cases.case(connection, mail.case_id)
        if case.id == case_id_of(mail_id):
            outcome = await _announce_first(house, connection, case, mail_id)
        else:
            outcome = await announce_next(house, connection, mail, case)
    house.poke()
    return outcome


async def _announce_first(
    house: House, connection: AsyncConnection, case: Case, mail_id: str
) -> Outcome:
    if case.state is CaseState.HELD:
        return Outcome.WAITS
    if case.state is not CaseState.PREPARING:
        await mails.settle(connection, mail_id, MailState.DONE, case.state, case.id)
        return Outcome.DONE
    scans = await cases.scans_of(connection, cases.version_id_of(mail_id))
    hashes = [scan.original_sha256 for scan in scans]
    twin = await cases.live_case_with_same_scans(connection, case, hashes)
    if not any(scan.state is ScanState.READY for scan in scans):
        await _fail(house, connection, case, mail_id)
    elif twin and await _is_the_same(connection, case, twin):
        known = hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()
        await _point_to(house, connection, case, twin, mail_id, known)
    elif doubtful(scans):
        await ask_for_unit(house, connection, case, scans, mail_id)
        return Outcome.WAITS
    else:
        await _share(house, connection, case, mail_id)
    return Outcome.DONE


async def _share(house: House, connection: AsyncConnection, case: Case, mail_id: str) -> None:
    now, domain = house.clock.now(), house.settings.domain
    await cases.move(connection, case.id, CaseState.OPEN)
    await cases.share_version(connection, cases.version_id_of(mail_id), now)
    end = now + LIFETIME  # from now: reading may have taken its time
    await cases.set_times(connection, case.id, expires_at=end, due_at=end - REMINDER_BEFORE_END)
    case = await cases.case(connection, case.id)
    reviewers = await access.reviewers_of(connection, case.id)
    told = [reviewer.address for reviewer in reviewers]
    await outbox.write(connection, await answer_letter(connection, case, now, told), domain, now)
    for reviewer in reviewers:
        draft = await share_letter(connection, case, reviewer, now)
        await outbox.write(connection, draft, domain, now)
    owner = await access.owner_of(connection, case.id)
    await audit.record(
        connection,
        now,
        owner.address,
        "case shared",
        lab_id=case.lab_id,
        case_id=case.id,
        reviewers=told,
    )
    await mails.settle(connection, mail_id, MailState.DONE, "shared", case.id)


async def _fail(house: House, connection: AsyncConnection, case: Case, mail_id: str) -> None:
    """Not one usable scan: the owner hears why, nobody else hears anything, nothing is kept."""
    now = house.clock.now()
    await cases.move(connection, case.id, CaseState.FAILED, ended_at=now)
    case = await cases.case(connection, case.id)
    draft = await notice_letter(
        connection,
        case,
        "Nothing was shared",
        [
            "No scan in your mail could be used, so nobody was told and nothing was kept."
            f" Send the scans in a new mail to share@{house.settings.domain}."
        ],
        now,
    )
    await outbox.write(connection, draft, house.settings.domain, now)
    await _end_quietly(connection, case, mail_id, "no usable scan", now)


async def _point_to(
    house: House, connection: AsyncConnection, case: Case, twin: Case, mail_id: str, known: str
) -> None:
    """The same scans for the same people once more: somebody pressed Send twice. Said once."""
    now = house.clock.now()
    await cases.move(connection, case.id, CaseState.FAILED, ended_at=now)
    draft = await notice_letter(
        connection,
        twin,
        "Already here",
        [
            f"These scans are already shared as {twin.name} (#{twin.public_id}), with the same people."
            " Nobody was told a second time."
        ],
        now,
    )
    once = f"already here|{twin.id}|{known}"
    await outbox.write(connection, draft, house.settings.domain, now, once)
    await _end_quietly(connection, case, mail_id, "already here", now)


async def _end_quietly(
    connection: AsyncConnection, case: Case, mail_id: str, outcome: str, now: int
) -> None:
    """Lets the case's flow destroy what was stored of it."""
    await work.reschedule(connection, "case", case.id, now)
    await audit.record(
        connection, now, "scanpost", f"case failed: {outcome}", lab_id=case.lab_id, case_id=case.id
    )
    await mails.settle(connection, mail_id, MailState.DONE, outcome, case.id)


async def _is_the_same(connection: AsyncConnection, one: Case, other: Case) -> bool:
    """Whether two cases with the same scans also say the same to the same people."""
    sets = []
    for case in (one, other):
        people = await access.reviewers_of(connection, case.id)
        sets.append({person.address for person in people if person.revoked_at is None})
    return sets[0] == sets[1] and one.note == other.note
