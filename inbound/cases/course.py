"""The flow of a case after it was opened: the reminder, then the end."""

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.letters import notice_letter, reminder_letter
from store import ending
from store.clock import in_words
from store.engine import Step
from store.house import House
from store.model import Case
from store.records import cases, mails, outbox, remarks, versions, work
from store.states import CaseState


async def case_flow(house: House, step: Step, case_id: str) -> None:
    if await step(remind, house, case_id):
        return
    if not await step(ending.close, house, case_id):
        return
    await step(discard_waiting_mail, house, case_id)
    await step(ending.destroy, house, case_id)
    await step(send_receipt, house, case_id)


async def remind(house: House, case_id: str) -> bool:
    """Reminds the owner if the end has not come yet; False when it has."""
    now = house.clock.now()
    async with house.database.write() as connection:
        case = await cases.case(connection, case_id)
        if not case.is_open(now):
            return False
        if not case.is_due(now):
            return True  # extended since this flow was queued: another one will come
        if case.reminded_at is None:
            draft = await reminder_letter(connection, case, now)
            await outbox.write(connection, draft, house.settings.domain, now)
            await cases.mark_reminded(connection, case_id, now)
        await work.reschedule(connection, "case", case_id, case.expires_at)
    house.poke()
    return True


async def discard_waiting_mail(house: House, case_id: str) -> None:
    """Mails that waited for an answer, or for a click, die with their case."""
    async with house.database.write() as connection:
        dropped = await mails.drop_waiting(connection, case_id)
    for mail_id in dropped:
        await house.threads.run(house.spool.discard, mail_id)


async def send_receipt(house: House, case_id: str) -> None:
    """Tells the owner what was destroyed, and forgets what was known of it."""
    now = house.clock.now()
    async with house.database.write() as connection:
        case = await cases.case(connection, case_id)
        if case.state is not CaseState.FAILED:  # which has had its letter
            heading, sentences = await _receipt(house, connection, case, now)
            draft = await notice_letter(connection, case, heading, sentences, now)
            domain = house.settings.domain
            await outbox.write(connection, draft, domain, now, once=f"receipt {case_id}")
        await cases.forget_contents(connection, case_id)
        await remarks.forget(connection, case_id)
        await work.reschedule(connection, "case", case_id, None)
    await house.database.truncate_log()  # what was blanked would still stand in it
    house.poke()


async def _receipt(
    house: House, connection: AsyncConnection, case: Case, now: int
) -> tuple[str, list[str]]:
    again = f"To share again, send the scans in a new mail to share@{house.settings.domain}."
    if case.state is CaseState.UNANSWERED:
        return f"{case.short_name} was not shared", [
            "Our question was not answered within 24 hours, so your mail and its scans were destroyed.",
            again,
        ]
    if case.state is CaseState.BROKEN:
        return f"{case.short_name} was not shared", [
            "This server failed to prepare your scans. Its operator has been told, and nobody else"
            " was. Nothing is kept but the mail itself, sealed, for the operator.",
            again,
        ]
    scans = await versions.originals_of(connection, case.id)
    count = "1 file" if len(scans) == 1 else f"{len(scans)} files"
    if case.state is CaseState.DELETED:
        return f"{case.short_name} is deleted", [
            f"Its links are dead. On {in_words(now)} everything was destroyed, as you asked: {count},"
            " all that was made of them, all comments, and the key they were sealed with.",
            *(f"{scan.original_name}: SHA-256 {scan.original_sha256}" for scan in scans),
            again,
        ]
    return f"{case.short_name} has ended", [
        f"Its links are dead. On {in_words(now)} everything was destroyed: {count}, all that was made"
        " of them, and the key they were sealed with.",
        *(f"{scan.original_name}: SHA-256 {scan.original_sha256}" for scan in scans),
        again,
    ]
