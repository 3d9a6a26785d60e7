"""The case as a page: useful without a script, a 3D viewer with one."""

import re
from collections import Counter
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import SIDES, Case, Mark, Scan, Version
from store.records import access, audit, cases, labs, marks, outbox, owners, remarks
from store.states import PersonKind, Reason, ScanState
from viewer.languages import moment, say
from viewer.remarks import remarks_for
from viewer.static_files import accepts
from viewer.templates import json_for_script, page, words_json
from viewer.visit import (
    HOUSE,
    Visit,
    form_key,
    require_open_session,
    require_same_origin,
    visit_in_session,
)

UPRIGHT = {"up": [0, 0, 1], "front": [0, 1, 0]}
_FIRST = ("upper", "lower")  # roles
MOST_VERSIONS = 5  # that the page shows; the newest


async def case_page(request: web.Request, visit: Visit) -> web.Response:
    async with request.app[HOUSE].database.read() as connection:
        shown = await _case_values(connection, visit)
    answer = page(
        "viewer", case=shown, case_json=json_for_script(shown), words_json=words_json("app.js")
    )
    answer.headers["Vary"] += ", Accept-Encoding"
    # What else the page says cannot be guessed from its size: nothing of a request is repeated in it.
    if accepts(request, "gzip"):
        answer.enable_compression(web.ContentCoding.gzip)
    return answer


async def count_view(request: web.Request) -> web.Response:
    """POST /r/<token>/seen: a person's session has drawn the first scan. The owner's counts nothing."""
    require_same_origin(request)
    visit = await visit_in_session(request)
    assert visit.session is not None
    house, person = request.app[HOUSE], visit.holder.person
    if visit.is_owner:
        return web.Response(status=204)
    now = house.clock.now()
    async with house.database.write() as connection:
        await require_open_session(connection, visit, now)
        if await access.count_view(connection, visit.session.id, person.id, now):
            await audit.record(
                connection,
                now,
                person.address,
                "viewed",
                lab_id=visit.holder.case.lab_id,
                case_id=person.case_id,
            )
            case = visit.holder.case
            if case.tells_views and person.first_view_at is None:
                draft = await owners.viewed_letter(connection, case, person)
                once = f"viewed|{person.id}"
                await outbox.write(connection, draft, house.settings.domain, now, once)
    house.poke()
    return web.Response(status=204)


def download_name(case: Case, scan: Scan) -> str:
    """The neutral name of a reviewer's copy, such as "C-1042_upper_1.stl"."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", case.short_name).strip("-")
    return f"{plain or case.public_id}_{scan.role}_{scan.number}.{scan.copy_suffix}"


async def _case_values(connection: AsyncConnection, visit: Visit) -> dict[str, Any]:
    """What the page and its script are filled with."""
    case, person = visit.holder.case, visit.holder.person
    owner = await labs.member(connection, case.owner_id)
    shared = (await cases.shared_versions(connection, case.id))[-MOST_VERSIONS:]
    versions = [
        _version_values(visit, version, await cases.scans_of(connection, version.id))
        for version in shared
    ]
    newest = shared[-1]
    verdict = await remarks.verdict_of(connection, person.id, newest.id)
    kept = await marks.of_person(connection, person.id)
    base = f"/r/{visit.token}"
    return {
        "id": case.public_id,
        "title": case.name,
        "version": newest.number,
        "versions": versions,
        "expires": moment(case.expires_at),
        "sender": {"name": owner.name, "company": owner.company},
        "kind": person.kind,
        "decides": person.kind is PersonKind.REVIEWER,
        "verdict": {"kind": verdict.kind} if verdict else None,
        "reasons": [{"key": reason.value, "label": say(reason.label)} for reason in Reason],
        "remarks": await remarks_for(connection, visit),
        "marks": [_mark_values(mark, shared) for mark in kept],
        "seen": f"{base}/seen",
        "say": f"{base}/remarks",
        "keep": f"{base}/marks",
        "handover": f"{base}/handover",
        "leave": f"{base}/leave",
        "stop": "" if visit.is_owner else f"{base}/stop",
        "key": form_key(visit),
    }


def _version_values(visit: Visit, version: Version, scans: list[Scan]) -> dict[str, Any]:
    base = f"/r/{visit.token}/v/{version.number}"
    mark = _mark(version)
    views = [
        {"side": side, "url": f"{base}/view/{side}.webp{mark}"} for side in SIDES if version.picture
    ]
    ready = [scan for scan in scans if scan.state is ScanState.READY]
    surfaces = sorted((scan for scan in ready if scan.is_surface), key=_rank)
    labels = _labels(surfaces)
    return {
        "number": version.number,
        "shared": moment(version.shared_at or 0),
        "note": version.note or (visit.holder.case.note if version.number == 1 else ""),
        "poster": f"{base}/poster.webp{mark}" if version.picture else "",
        "views": views,
        "frame": version.frame or UPRIGHT,
        "meetings": (version.contacts or {}).get("meetings", []),
        "scans": [_scan_values(visit, version, scan, labels[scan.number]) for scan in surfaces],
        "others": [_other_values(visit, version, scan) for scan in ready if not scan.is_surface],
        "problems": _problems(version, scans) if visit.is_owner else [],
        "unread": 0 if visit.is_owner else _unread(scans),
    }


def _rank(scan: Scan) -> tuple[int, int]:
    """The jaws first, in every version, whatever was mailed when."""
    return _FIRST.index(scan.role) if scan.role in _FIRST else len(_FIRST), scan.number


def _labels(scans: list[Scan]) -> dict[int, str]:
    """What each scan is called on the page, by its number: with a number of its own where several are the same."""
    labels = {scan.number: say(scan.label) for scan in scans}
    for label, count in Counter(labels.values()).items():
        same = [number for number, one in labels.items() if one == label]
        if count > 1:
            labels |= {number: f"{label} {place}" for place, number in enumerate(same, 1)}
    return labels


def _scan_values(visit: Visit, version: Version, scan: Scan, label: str) -> dict[str, Any]:
    report = scan.report or {}
    place, mark = _place(visit, version, scan), _mark(version)
    return {
        "n": scan.number,
        "role": scan.role,
        "label": label,
        "home": f"{(scan.home_version or version.id)[:8]}/{scan.home_number or scan.number}",
        "triangles": report.get("triangles", 0),
        "size_mm": [round(side, 1) for side in report.get("size_mm", [])],
        "holes": report.get("holes", 0),
        "components": report.get("components", 1),
        "colours": report.get("colours", False),
        "unit": scan.unit or report.get("unit") or "",
        "changed_mm": (scan.change or {}).get("largest_mm") or 0,
        "preview": f"{place}/preview.glb{mark}",
        "preview_bytes": scan.preview_size,
        "medium": f"{place}/{'medium' if scan.medium_size else 'full'}.glb{mark}",
        "medium_bytes": scan.medium_size or scan.full_size,
        "full": f"{place}/full.glb{mark}",
        "full_bytes": scan.full_size,
        "contacts": f"{place}/contacts.map{mark}" if scan.map_size else "",
        "change": f"{place}/change.map{mark}" if scan.change_size else "",
        **_download_values(visit, version, scan),
    }


def _other_values(visit: Visit, version: Version, scan: Scan) -> dict[str, Any]:
    """A photo or a document: no mesh to draw, but to look at or to take home."""
    report = scan.report or {}
    place = _place(visit, version, scan)
    photo = f"{place}/photo{_mark(version)}" if scan.preview_size else ""
    return {
        "n": scan.number,
        "label": say(scan.label),
        "photo": photo,
        "width": report.get("width", 0),
        "height": report.get("height", 0),
        "pages": report.get("pages", 0),
        **_download_values(visit, version, scan),
    }


def _place(visit: Visit, version: Version, scan: Scan) -> str:
    return f"/r/{visit.token}/v/{version.number}/scan/{scan.number}"


def _mark(version: Version) -> str:
    """The version's id in an address lets a browser keep what is there for good."""
    return f"?v={version.id[:8]}"


def _download_values(visit: Visit, version: Version, scan: Scan) -> dict[str, Any]:
    if not visit.is_owner and not visit.holder.case.downloads:
        return {"download": ""}
    place = {"download": f"{_place(visit, version, scan)}/download"}
    if visit.is_owner:
        return {
            **place,
            "download_name": scan.original_name,
            "download_bytes": scan.original_size,
            "sha256": scan.original_sha256,
        }
    return {
        **place,
        "download_name": download_name(visit.holder.case, scan),
        "download_bytes": scan.copy_size,
        "sha256": scan.copy_sha256,
    }


def _mark_values(mark: Mark, shared: list[Version]) -> dict[str, Any]:
    number = next((one.number for one in shared if one.id == mark.version_id), 0)
    return {"id": mark.id, "version": number, **mark.geometry}


def _unread(scans: list[Scan]) -> int:
    """How many files a reviewer would look for in vain. Their names, and what is wrong, are the lab's."""
    return sum(scan.state is ScanState.REFUSED for scan in scans)


def _problems(version: Version, scans: list[Scan]) -> list[str]:
    refused = [scan for scan in scans if scan.state is ScanState.REFUSED]
    return [f"{scan.original_name} {scan.problem}" for scan in refused] + version.left_out
