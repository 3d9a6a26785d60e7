"""The next version of an open case: what it carries on, and the transaction that shares it or says why not.

A mail into the case's thread brings it. Until it is shared nobody sees it; if it cannot be, the version
before stays as it is and whoever sent the mail hears why.
"""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.changes import carried_on, shows_the_same
from inbound.cases.facts import problems
from inbound.cases.letters import answer_letter, reply_letter, version_letter
from inbound.cases.making import living_case_of
from inbound.cases.outcome import Outcome
from inbound.cases.remarks import who_may_read
from inbound.cases.units import doubts_in_words
from store.house import House, version_prefix
from store.model import LIFETIME, REMINDER_BEFORE_END, Case, LetterDraft, Mail, Scan, Version
from store.records import access, audit, cases, labs, mails, outbox, versions
from store.records.owners import reply_subject, to_owner
from store.states import CaseState, MailState, ScanState


async def carry_scans(house: House, mail_id: str) -> None:
    """Step: puts the version behind the newest that people see, with what its mail did not bring anew."""
    async with house.database.write() as connection:
        mail = await mails.mail(connection, mail_id)
        case = await living_case_of(connection, mail)
        version = await cases.version(connection, cases.version_id_of(mail_id))
        if case is None or version is None or case.state is not CaseState.OPEN:
            return
        base = await cases.newest_shared(connection, case.id)
        if base is None or version.shared_at is not None or version.follows == base.id:
            return
        scans = await cases.scans_of(connection, version.id)
        before = await cases.scans_of(connection, base.id)
        own = [scan for scan in scans if not scan.is_carried]
        await versions.follow(connection, version, base, carried_on(own, before))


async def announce_next(
    house: House, connection: AsyncConnection, mail: Mail, case: Case
) -> Outcome:
    """What became of the version that a mail into an open case brought."""
    version = await cases.version(connection, cases.version_id_of(mail.id))
    if mail.state is not MailState.RECEIVED:  # another run of this flow was quicker
        return Outcome.DONE if version else Outcome.DROPPED
    if version is None or not case.is_open(house.clock.now()):
        sentence = (
            f"{case.short_name} has ended before your scans were ready, so they were shared with nobody"
            f" and are destroyed. To share them, send them in a new mail to share@{house.settings.domain}."
        )
        return await _drop(house, connection, mail, case, [sentence], "too late")
    base = await cases.newest_shared(connection, case.id)
    scans = await cases.scans_of(connection, version.id)
    own = [scan for scan in scans if not scan.is_carried]
    before = await cases.scans_of(connection, base.id) if base else []
    if why := _why_not(case, version, own):
        sentences = [*why, _stays(case, base)]
        return await _drop(house, connection, mail, case, sentences, "no usable scan")
    if base and version.follows != base.id:
        return Outcome.OUTRUN
    if base and shows_the_same(scans, before):
        sentence = (
            f"These scans are version {base.number} of {case.name} (#{case.public_id}) already. Nothing"
            " was done and nobody was told."
        )
        return await _drop(house, connection, mail, case, [sentence], "already here")
    await _share(house, connection, mail, case, version)
    return Outcome.DONE


async def clear_away(house: House, mail_id: str) -> None:
    """Step: the objects of a version that was not shared are gone."""
    async with house.database.read() as connection:
        mail = await mails.mail(connection, mail_id)
        if await cases.version(connection, cases.version_id_of(mail_id)):
            return
    assert mail.case_id is not None
    prefix = version_prefix(mail.case_id, cases.version_id_of(mail_id))
    await house.object_threads.run(_delete, house, prefix)


def _delete(house: House, prefix: str) -> None:
    for name in house.blobs.names(prefix):
        house.blobs.delete(name)


def _why_not(case: Case, version: Version, own: list[Scan]) -> list[str]:
    """Sentences where the scans of a mail cannot be shared."""
    if not any(scan.state is ScanState.READY for scan in own):
        said = problems(own, version.left_out)
        return ["No scan in your mail could be used, so nobody was told.", *said]
    doubts = doubts_in_words(own)
    if not doubts:
        return []
    return [
        *doubts,
        f"Nothing was shared: a version in another unit than the one before would make every number of"
        f" {case.short_name} wrong. Send the scans in millimetres into this thread; or in a new mail,"
        " where their unit is asked for.",
    ]


def _stays(case: Case, base: Version | None) -> str:
    number = f"Version {base.number} of " if base else ""
    return f"{number}{case.short_name} stays as it is."


async def _share(
    house: House, connection: AsyncConnection, mail: Mail, case: Case, version: Version
) -> None:
    now, domain = house.clock.now(), house.settings.domain
    number = await cases.share_version(connection, version.id, now)
    # Reviewers get as many days to look as they had for the first one.
    end = max(case.expires_at, now + LIFETIME)
    await cases.set_times(connection, case.id, expires_at=end, due_at=end - REMINDER_BEFORE_END)
    case = await cases.case(connection, case.id)
    readers = await who_may_read(connection, case)
    told = [reader.address for reader in readers]
    answer = await answer_letter(connection, case, now, told)
    await outbox.write(connection, _answering(answer, mail), domain, now)
    for reader in readers:
        draft = await version_letter(connection, case, reader, now)
        await outbox.write(connection, draft, domain, now)
    await _tell_colleague(house, connection, mail, case, number)
    await audit.record(
        connection,
        now,
        mail.author,
        "version shared",
        lab_id=case.lab_id,
        case_id=case.id,
        version=number,
        reviewers=told,
    )
    await mails.settle(connection, mail.id, MailState.DONE, "version shared", case.id)


async def _tell_colleague(
    house: House, connection: AsyncConnection, mail: Mail, case: Case, number: int
) -> None:
    """A member who sent scans for somebody else's case: the picture and the link go to its owner."""
    if mail.member_id in (None, case.owner_id):
        return
    owner = await labs.member(connection, case.owner_id)
    sentences = [
        f"Version {number} of {case.name} is shared. The answer with what was found went to"
        f" {owner.name or owner.address}, whose case it is."
    ]
    draft = await _to_sender(connection, mail, case, "Shared", sentences)
    await outbox.write(connection, draft, house.settings.domain, house.clock.now())


async def _drop(
    house: House,
    connection: AsyncConnection,
    mail: Mail,
    case: Case,
    sentences: list[str],
    outcome: str,
) -> Outcome:
    """Nobody but the lab hears of it; its files may be mailed again."""
    now, domain = house.clock.now(), house.settings.domain
    await versions.drop(connection, cases.version_id_of(mail.id))
    await mails.note_files(connection, mail.id, [])
    heading = "Already here" if outcome == "already here" else "Nothing was shared"
    draft = await _to_sender(connection, mail, case, heading, sentences)
    await outbox.write(connection, draft, domain, now)
    if mail.member_id != case.owner_id and outcome != "already here":
        sentence = (
            f"{mail.author} mailed scans for {case.name} that could not be shared, and has been told why."
            " Nobody else was told, and nothing has changed."
        )
        context = {"heading": heading, "sentences": [sentence], "case": None}
        about_it = await to_owner(connection, case, "notice", context)
        await outbox.write(connection, about_it, domain, now)
    await audit.record(
        connection,
        now,
        "scanpost",
        f"version not shared: {outcome}",
        lab_id=case.lab_id,
        case_id=case.id,
    )
    await mails.settle(connection, mail.id, MailState.DONE, outcome, case.id)
    return Outcome.DROPPED


async def _to_sender(
    connection: AsyncConnection, mail: Mail, case: Case, heading: str, sentences: list[str]
) -> LetterDraft:
    """To the member who sent the scans, owner or not, in the case's thread."""
    context = {"heading": heading, "sentences": sentences, "case": None}
    assert mail.member_id is not None, "only members bring versions"
    member = await labs.member(connection, mail.member_id)
    draft = reply_letter(mail, case.subject, member.address, member.name, "notice", context)
    owner = await access.owner_of(connection, case.id)
    draft = replace(draft, case_id=case.id, subject=reply_subject(case.subject))
    person_id = owner.id if owner.address == member.address else None
    return _answering(replace(draft, person_id=person_id, thread=case.thread), mail)


def _answering(draft: LetterDraft, mail: Mail) -> LetterDraft:
    """The letter as the answer to that mail, further down in the case's thread."""
    if not mail.message_id:
        return draft
    thread = [one for one in draft.thread if one != mail.message_id]
    return replace(draft, in_reply_to=mail.message_id, thread=[*thread, mail.message_id])
