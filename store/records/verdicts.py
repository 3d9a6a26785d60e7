"""Verdicts: each binds the files of one version, and only the newest can be judged."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Case, Person, Version
from store.records import audit, cases, remarks
from store.states import RemarkKind, ScanState

SAYS = {RemarkKind.APPROVED: "approved", RemarkKind.CHANGES: "asked for changes to"}


@dataclass(frozen=True)
class Verdict:
    """What a reviewer says about a version, by mail or on the page."""

    kind: RemarkKind
    note: str
    reasons: tuple[str, ...] = ()

    def in_words(self, case: Case, version: Version) -> str:
        """Such as "approved version 2 of C-1042 crown"; who it was stands before."""
        return f"{SAYS[self.kind]} version {version.number} of {case.name}"


async def was_said(
    connection: AsyncConnection, person: Person, version: Version, verdict: Verdict
) -> bool:
    """Whether this is what they have said last: whoever taps twice says it once."""
    last = await remarks.verdict_of(connection, person.id, version.id)
    return last is not None and (last.kind, last.text, tuple(last.reasons or ())) == (
        verdict.kind,
        verdict.note,
        verdict.reasons,
    )


async def files_of(connection: AsyncConnection, version: Version) -> list[str]:
    """SHA-256 of all that a verdict binds: originals, and the copies that reviewers see."""
    scans = await cases.scans_of(connection, version.id)
    ready = [scan for scan in scans if scan.state is ScanState.READY]
    return [digest for scan in ready for digest in (scan.original_sha256, scan.copy_sha256)]


async def write_trail(
    connection: AsyncConnection,
    case: Case,
    person: Person,
    version: Version,
    kind: RemarkKind,
    files: list[str],
    now: int,
) -> None:
    await audit.record(
        connection,
        now,
        person.address,
        f"verdict {kind}",
        lab_id=case.lab_id,
        case_id=case.id,
        version=version.number,
        files=files,
    )
