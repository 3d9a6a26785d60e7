"""What APPROVE and CHANGES share: a verdict binds the files of one version."""

from inbound.cases.letters import verdict_letter
from inbound.commands.shape import Desk, Transcript
from store.errors import CommandRefused
from store.model import RemarkKind, ScanState
from store.records import audit, cases, outbox, remarks
from store.tokens import derived_id

SAYS = {RemarkKind.APPROVED: "approved", RemarkKind.CHANGES: "asked for changes to"}


async def give(desk: Desk, kind: RemarkKind, note: str) -> Transcript:
    """Writes the verdict, once, and the letter to the owner. Raises CommandRefused where there is
    nothing to judge.
    """
    case, person = desk.open_case(), desk.reviewer
    version = await cases.latest_version(desk.connection, case.id)
    if version is None:
        raise CommandRefused(f"{case.short_name} has no version to judge yet.")
    last = await remarks.verdict_of(desk.connection, person.id, version.id)
    what = f"{SAYS[kind]} version {version.number} of {case.name}"
    if last and last.kind is kind and last.text == note:
        return Transcript([f"You {what} already; nothing was sent twice."])
    scans = await cases.scans_of(desk.connection, version.id)
    ready = [scan for scan in scans if scan.state is ScanState.READY]
    files = [digest for scan in ready for digest in (scan.original_sha256, scan.copy_sha256)]
    remark_id = derived_id("remark", desk.occasion)
    await remarks.add(
        desk.connection,
        remark_id,
        case.id,
        kind,
        person.called,
        note,
        desk.now,
        person_id=person.id,
        version_id=version.id,
        files=files,
    )
    remark = f"{person.called} {what}."
    draft = await verdict_letter(desk.connection, case, remark, note, desk.now)
    domain = desk.house.settings.domain
    await outbox.write(desk.connection, draft, domain, desk.now, once=f"remark|{remark_id}")
    await audit.record(
        desk.connection,
        desk.now,
        person.address,
        f"verdict {kind}",
        lab_id=case.lab_id,
        case_id=case.id,
        version=version.number,
        files=files,
    )
    return Transcript([f"You {what}. {desk.lab.name} has been told."])
