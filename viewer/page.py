"""The case as a page: useful without a script, a 3D viewer with one."""

import re
from typing import Any

from aiohttp import web

from store.clock import in_words
from store.model import Case, Scan, ScanState, Version
from store.records import access, audit, cases, labs, outbox, owners
from viewer.templates import json_for_script, page
from viewer.visit import HOUSE, Visit, require_same_origin, visit_in_session

SIDES = ("front", "left", "right", "back", "upper", "lower")
UPRIGHT = {"up": [0, 0, 1], "front": [0, 1, 0]}


async def case_page(request: web.Request, visit: Visit) -> web.Response:
    house = request.app[HOUSE]
    async with house.database.read() as connection:
        owner = await labs.member(connection, visit.holder.case.owner_id)
        version = await cases.latest_version(connection, visit.holder.case.id)
        assert version is not None, "an open case has a version"
        scans = await cases.scans_of(connection, version.id)
    sender = {"name": owner.name, "company": owner.company}
    shown = case_values(visit, version, scans, sender)
    return page("viewer", case=shown, case_json=json_for_script(shown))


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


def case_values(
    visit: Visit, version: Version, scans: list[Scan], sender: dict[str, str]
) -> dict[str, Any]:
    """What the page and its script are filled with."""
    case = visit.holder.case
    base = f"/r/{visit.token}"
    mark = _mark(version)
    views = [
        {"side": side, "url": f"{base}/view/{side}.webp{mark}"} for side in SIDES if version.picture
    ]
    ready = [scan for scan in scans if scan.state is ScanState.READY]
    others = [scan for scan in ready if not scan.is_surface]
    return {
        "id": case.public_id,
        "title": case.name,
        "version": version.number,
        "note": case.note,
        "expires": in_words(case.expires_at),
        "sender": sender,
        "kind": visit.holder.person.kind,
        "poster": f"{base}/poster.webp{mark}" if version.picture else "",
        "views": views,
        "seen": f"{base}/seen",
        "frame": version.frame or UPRIGHT,
        "scans": [_scan_values(visit, version, scan) for scan in ready if scan.is_surface],
        "others": [_other_values(visit, version, scan) for scan in others],
        "problems": _problems(version, scans) if visit.is_owner else [],
    }


def download_name(case: Case, scan: Scan) -> str:
    """The neutral name of a reviewer's copy, such as "C-1042_upper_1.stl"."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", case.short_name).strip("-")
    return f"{plain or case.public_id}_{scan.role}_{scan.number}.{scan.copy_suffix}"


def _scan_values(visit: Visit, version: Version, scan: Scan) -> dict[str, Any]:
    report = scan.report or {}
    place = f"/r/{visit.token}/scan/{scan.number}"
    mark = _mark(version)
    return {
        "n": scan.number,
        "role": scan.role,
        "label": scan.label,
        "triangles": report.get("triangles", 0),
        "size_mm": [round(side, 1) for side in report.get("size_mm", [])],
        "holes": report.get("holes", 0),
        "components": report.get("components", 1),
        "colours": report.get("colours", False),
        "preview": f"{place}/preview.glb{mark}",
        "preview_bytes": scan.preview_size,
        "medium": f"{place}/{'medium' if scan.medium_size else 'full'}.glb{mark}",
        "medium_bytes": scan.medium_size or scan.full_size,
        "full": f"{place}/full.glb{mark}",
        "full_bytes": scan.full_size,
        **_download_values(visit, scan),
    }


def _other_values(visit: Visit, version: Version, scan: Scan) -> dict[str, Any]:
    """A photo or a document: no mesh to draw, but to look at or to take home."""
    report = scan.report or {}
    place = f"/r/{visit.token}/scan/{scan.number}"
    photo = f"{place}/photo{_mark(version)}" if scan.preview_size else ""
    return {
        "n": scan.number,
        "label": scan.label,
        "photo": photo,
        "width": report.get("width", 0),
        "height": report.get("height", 0),
        "pages": report.get("pages", 0),
        **_download_values(visit, scan),
    }


def _mark(version: Version) -> str:
    """The version in an address lets a browser keep what is there for good."""
    return f"?v={version.id[:8]}"


def _download_values(visit: Visit, scan: Scan) -> dict[str, Any]:
    place = {"download": f"/r/{visit.token}/scan/{scan.number}/download"}
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


def _problems(version: Version, scans: list[Scan]) -> list[str]:
    refused = [scan for scan in scans if scan.state is ScanState.REFUSED]
    return [f"{scan.original_name} {scan.problem}" for scan in refused] + version.left_out
