"""The state of a case in words: what letters, transcripts and STATUS all say alike."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.changes import changes_in_words, gone, taken_as_before
from inbound.cases.gate import burned_in, findings, meetings_in_words
from store.clock import in_words
from store.model import Case, Person, Remark, Scan, Version
from store.records import access, cases, remarks, suppressions, versions
from store.states import AccessMode, CaseState, RemarkKind, ScanState

_WAYS = {
    AccessMode.LINK: "Links open with a click for whoever has them.",
    AccessMode.BOUND: "A link opens with a click on its first device, with a mailed code on others.",
    AccessMode.CODE: "Links open with a mailed code, on every device.",
}
_ENDED = {
    CaseState.FAILED: "Nothing was shared.",
    CaseState.BROKEN: "Nothing was shared: this server failed to prepare it.",
    CaseState.UNANSWERED: "Nothing was shared: our question was not answered in time.",
    CaseState.EXPIRED: "Ended. Links are dead; scans and key are destroyed.",
    CaseState.DELETED: "Deleted. Links are dead; scans and key are destroyed.",
}


async def case_facts(connection: AsyncConnection, case: Case, now: int) -> dict[str, Any]:
    """Plain values for a letter's context; no link and no token is among them."""
    version = await cases.latest_version(connection, case.id)
    scans = await cases.scans_of(connection, version.id) if version else []
    ready = [scan for scan in scans if scan.state is ScanState.READY]
    surfaces = [scan for scan in ready if scan.is_surface]
    meetings = (version.contacts if version and version.contacts else {}).get("meetings")
    return {
        "name": case.name,
        "short_name": case.short_name,
        "public_id": case.public_id,
        "note": case.note,
        "state": state_sentence(case, now),
        "open": case.is_open(now),
        "ways": ways_in(case),
        "ends": in_words(case.expires_at),
        **await _version_facts(connection, case, version, scans),
        "picture": bool(version and version.picture),
        "version_id": version.id if version else "",
        "scans": [scan_facts(scan) for scan in ready],
        "stripped": sum((scan.report or {}).get("stripped", 0) for scan in ready),
        "what": _what(ready, surfaces),
        "findings": [*findings(surfaces, meetings), *burned_in(ready)],
        "meetings": meetings_in_words(surfaces, meetings or []),
        "problems": problems(scans, version.left_out if version else []),
        "reviewers": await _people_facts(connection, case),
    }


async def _version_facts(
    connection: AsyncConnection, case: Case, version: Version | None, scans: list[Scan]
) -> dict[str, Any]:
    """Which version it is, and what is new in it; empty of a case's first one."""
    before = []
    if version and version.follows:
        before = await cases.scans_of(connection, version.follows)
    later = version is not None and version.number > 1
    return {
        "version": version.number if version else 0,
        "version_sentence": await _version_sentence(connection, case, version),
        "version_note": version.note if version and later else "",
        "changes": changes_in_words(scans),
        "gone": [scan_facts(scan) for scan in gone(scans, before)],
        "units": taken_as_before(scans) if later else [],
    }


async def _version_sentence(
    connection: AsyncConnection, case: Case, version: Version | None
) -> str:
    if version is None or version.shared_at is None:
        return ""
    since = f"Version {version.number}, shared on {in_words(version.shared_at)}."
    said = [since] if version.number > 1 else []
    if await versions.in_preparation(connection, case.id):
        said.append("The next version is being prepared.")
    return " ".join(said)


async def _people_facts(connection: AsyncConnection, case: Case) -> list[dict[str, Any]]:
    numbers = {one.id: one.number for one in await cases.shared_versions(connection, case.id)}
    verdicts = newest_verdicts(await remarks.of_case(connection, case.id), numbers)
    return [
        person_facts(
            person,
            verdicts.get(person.id),
            await suppressions.reason_for(connection, case.lab_id, person.address) is not None,
            numbers,
        )
        for person in await access.reviewers_of(connection, case.id)
    ]


def newest_verdicts(said: list[Remark], numbers: dict[str, int]) -> dict[str, Remark]:
    """What each reviewer said last, of the newest version that they have judged."""
    found: dict[str, Remark] = {}
    verdicts = [one for one in said if one.kind is not RemarkKind.COMMENT and one.person_id]
    for remark in sorted(verdicts, key=lambda one: numbers.get(one.version_id or "", 0)):
        found[remark.person_id or ""] = remark
    return found


def ways_in(case: Case) -> list[str]:
    """How links open, and what else the owner has said about looking."""
    said = [_WAYS[case.access]]
    if case.password:
        said.append("A password is asked for.")
    if not case.downloads:
        said.append("Reviewers cannot download the scans.")
    if case.tells_views:
        said.append("You are told when somebody looks for the first time.")
    return said


def state_sentence(case: Case, now: int) -> str:
    if case.is_open(now):
        return f"Open until {in_words(case.expires_at)}."
    if case.state is CaseState.WAITING:
        return f"Waits for the address of a reviewer until {in_words(case.expires_at)}."
    if case.state is CaseState.HELD:
        return f"Waits for the unit of its scans until {in_words(case.expires_at)}."
    if case.state is CaseState.PREPARING:
        return "The scans are being prepared."
    return _ENDED.get(case.state, _ENDED[CaseState.EXPIRED])


def scan_facts(scan: Scan) -> dict[str, Any]:
    report = scan.report or {}
    return {
        "number": scan.number,
        "label": scan.label,
        "carried": scan.is_carried,
        "file": scan.original_name,
        "size": _size(report),
        "detail": _detail(report),
        "found": found_in(report) if scan.is_surface else "",
    }


def found_in(report: dict[str, Any]) -> str:
    """What the check found, in a few words: "1 hole (13 mm around), 3 pieces"."""
    words = []
    holes, pieces = report.get("holes", 0), report.get("components", 1)
    if holes:
        around = f"{report['longest_hole_mm']:.0f} mm around"
        words.append(f"1 hole ({around})" if holes == 1 else f"{holes} holes (largest {around})")
    if pieces > 1:
        words.append(f"{pieces} separate pieces")
    if report.get("nonmanifold_edges"):
        words.append(f"{report['nonmanifold_edges']:,} edges with more than two faces")
    if report.get("inconsistent_edges"):
        words.append("faces that point both ways")
    return ", ".join(words) or "no holes, one piece"


def problems(scans: list[Scan], left_out: list[str]) -> list[str]:
    """A sentence for each file that is not shared."""
    refused = [scan for scan in scans if scan.state is ScanState.REFUSED and scan.problem]
    return [f"{scan.original_name} {scan.problem}" for scan in refused] + left_out


def person_facts(
    person: Person, verdict: Remark | None, stopped: bool, numbers: dict[str, int]
) -> dict[str, Any]:
    said = [_verdict(verdict, numbers)] if verdict else []
    sentence = "; ".join([*said, _seen(person), *_reached(person, stopped)])
    return {"address": person.address, "name": person.name, "sentence": sentence}


def _verdict(verdict: Remark, numbers: dict[str, int]) -> str:
    """With its version where there are several: to have approved version 1 says nothing of version 2."""
    words = _VERDICTS[verdict.kind][len(numbers) > 1]
    return words.format(numbers.get(verdict.version_id or "", 1), in_words(verdict.at))


def _seen(person: Person) -> str:
    if person.revoked_at is not None:
        return f"link revoked {in_words(person.revoked_at)}"
    if not person.views:
        return "has not looked yet"
    assert person.last_view_at is not None
    if person.views == 1:
        return f"looked on {in_words(person.last_view_at)}"
    return f"looked {person.views} times, last on {in_words(person.last_view_at)}"


def _reached(person: Person, stopped: bool) -> list[str]:
    """Why they may not answer."""
    found = ["wants no letters of your lab"] if stopped else []
    if person.trouble_at is not None:
        found.append(f"letters do not arrive ({person.trouble})")
    if person.away_at is not None:
        found.append(f"away: {person.away}")
    return found


_VERDICTS = {
    RemarkKind.APPROVED: ("approved on {1}", "approved version {0} on {1}"),
    RemarkKind.CHANGES: ("asked for changes on {1}", "asked for changes to version {0} on {1}"),
}


def _size(report: dict[str, Any]) -> str:
    if "width" in report:
        return f"{report['width']:,} × {report['height']:,} pixels"
    if "pages" in report:
        return "1 page" if report["pages"] == 1 else f"{report['pages']} pages"
    if "frames" in report:
        return f"{report['columns']} × {report['rows']} pixels"
    sides = report.get("size_mm") or []
    return " × ".join(f"{side:.1f}" for side in sides) + " mm" if sides else ""


def _detail(report: dict[str, Any]) -> str:
    if "triangles" in report:
        count = report["triangles"]
        return f"{count:,} triangle{'s' if count != 1 else ''}"
    if "frames" in report:
        pictures = "1 picture" if report["frames"] == 1 else f"{report['frames']} pictures"
        return f"{report['modality']}, {pictures}".removeprefix(", ")
    return ""


def _what(ready: list[Scan], surfaces: list[Scan]) -> str:
    """What is shared, in the sentence that says who shares it."""
    if surfaces:
        return "a 3D scan" if len(surfaces) == 1 else "3D scans"
    if all(scan.preview_size for scan in ready):
        return "a photo" if len(ready) == 1 else "photos"
    return "a file" if len(ready) == 1 else "files"
