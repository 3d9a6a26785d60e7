"""What a reviewer decides, and what anybody of a case says or measures on the page.

A remark is a row; its flow (inbound/cases/remarks.py) writes the letters that pass it on. Sending
the same remark twice, as a page does when it does not know whether it arrived, says it once.
"""

from dataclasses import dataclass
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from store.clock import HOUR
from store.errors import ScanpostError
from store.house import House, SealedObject, remark_object
from store.measures import NoMark, read_mark, read_marks
from store.model import Remark, Version
from store.records import access, audit, cases, marks, remarks, verdicts
from store.records.verdicts import Verdict
from store.states import PersonKind, Reason, RemarkKind
from store.tokens import derived_id, has_shape
from viewer.forms import KEY, require_own_form
from viewer.languages import moment, say, say_error
from viewer.pieces import NoRoom, check_room
from viewer.posted import NotSaid, Posted, read_posted
from viewer.templates import page
from viewer.visit import (
    HOUSE,
    Visit,
    form_key,
    require_open_session,
    require_same_origin,
    visit_in_session,
)

MOST_AN_HOUR = 60  # remarks of one person
_NO_STORE = {"Cache-Control": "no-store"}
_KINDS = {kind.value: kind for kind in RemarkKind}
_FARTHEST = 1e9  # of any number of a view; false for what is none, too
_VIEW_NUMBERS = ("azimuth", "polar", "across", "x", "y", "z")
_MOST_SHOWN = 100  # scans


class TooLate(NotSaid):
    """A newer version is there: what was said would be about another one."""


async def take_remark(request: web.Request) -> web.Response:
    """POST /r/<token>/remarks: a comment or a verdict, from the script or from a plain form."""
    visit = await visit_in_session(request)
    try:
        posted = await read_posted(request)
        require_own_form(request, {KEY: posted.one(KEY)}, form_key(visit))
        said = await _write(request.app[HOUSE], visit, posted)
    except (NotSaid, NoMark) as refusal:
        status = 409 if isinstance(refusal, TooLate) else 400
        return _refused(request, visit, status, refusal)
    request.app[HOUSE].poke()
    if not _is_script(request):
        return web.Response(status=303, headers={"Location": f"/r/{visit.token}#said"})
    return web.json_response({"remark": said}, headers=_NO_STORE)


async def list_remarks(request: web.Request) -> web.Response:
    """GET /r/<token>/remarks: what this person may read by now, and which version is newest."""
    visit = await visit_in_session(request)
    async with request.app[HOUSE].database.read() as connection:
        said = await remarks_for(connection, visit)
        newest = await cases.latest_version(connection, visit.holder.case.id)
        person = visit.holder.person
        verdict = newest and await remarks.verdict_of(connection, person.id, newest.id)
    value = {
        "remarks": said,
        "version": newest.number if newest else 0,
        "verdict": {"kind": verdict.kind} if verdict else None,
    }
    return web.json_response(value, headers=_NO_STORE)


async def keep_mark(request: web.Request) -> web.Response:
    """POST /r/<token>/marks: something was measured; it is there still after a reload."""
    require_same_origin(request)
    visit = await visit_in_session(request)
    try:
        posted = await read_posted(request)
        mark = read_mark(posted.json("mark"))
        house = request.app[HOUSE]
        async with house.database.write() as connection:
            person, now = visit.holder.person, house.clock.now()
            await require_open_session(connection, visit, now)
            wanted = posted.one("version")
            version = await _version(connection, visit, wanted, RemarkKind.COMMENT)
            mark_id = await marks.add(connection, person.id, version.id, mark, now)
    except (NotSaid, NoMark) as refusal:
        return _refused(request, visit, 400, refusal)
    return web.json_response({"id": mark_id, "mark": mark}, headers=_NO_STORE)


async def remove_mark(request: web.Request) -> web.Response:
    """POST /r/<token>/marks/<id>/remove."""
    require_same_origin(request)
    visit = await visit_in_session(request)
    house = request.app[HOUSE]
    async with house.database.write() as connection:
        await require_open_session(connection, visit, house.clock.now())
        await marks.remove(connection, visit.holder.person.id, request.match_info["id"])
    return web.Response(status=204)


async def remarks_for(connection: AsyncConnection, visit: Visit) -> list[dict[str, Any]]:
    """What a person may read: the owner all, a reviewer the lab's words and their own."""
    case = visit.holder.case
    owner = await access.owner_of(connection, case.id)
    numbers = {one.id: one.number for one in await cases.shared_versions(connection, case.id)}
    return [
        _values(visit, remark, numbers.get(remark.version_id or "", 0))
        for remark in await remarks.of_case(connection, case.id)
        if may_read(visit, remark, owner.id)
    ]


def may_read(visit: Visit, remark: Remark, owner_id: str) -> bool:
    return visit.is_owner or remark.person_id in (None, owner_id, visit.holder.person.id)


# ---------------------------------------------------------------- writing


@dataclass(frozen=True)
class _Said:
    """What was posted, as far as it can be read."""

    remark_id: str
    kind: RemarkKind
    version: str  # the number of the version that the page shows
    text: str
    reasons: list[str]
    marks: list[dict[str, Any]]
    view: dict[str, Any] | None
    picture: bytes


async def _write(house: House, visit: Visit, posted: Posted) -> dict[str, Any]:
    """Keeps a remark, once, with its picture; returns it as the page shows it.

    Raises:
        NotSaid: it cannot be taken.
        Gone, HTTPForbidden: the link or the session has ended since the request began.
    """
    said = _read(visit, posted)
    async with house.database.read() as connection:
        version, known = await _judge(connection, visit, said, house.clock.now())
    if known is not None:
        return _values(visit, known, version.number)
    # The picture first: a remark must never point to one that is not there.
    await _seal_picture(house, visit, said)
    kept = None
    try:
        async with house.database.write() as connection:
            now = house.clock.now()
            version, kept = await _judge(connection, visit, said, now)
            kept = kept or await _add(connection, visit, version, said, now)
    finally:
        # Refused in this very moment, or said already in other words: nobody will ask for it.
        if said.picture and (kept is None or kept.id != said.remark_id):
            name = remark_object(visit.holder.case.id, said.remark_id, "sent")
            await house.object_threads.run(house.blobs.delete, name)
    return _values(visit, kept, version.number)


def _read(visit: Visit, posted: Posted) -> _Said:
    """Raises NotSaid."""
    kind = _KINDS.get(posted.one("kind"))
    if kind is None:
        raise NotSaid("The page sent something that cannot be read. Reload it.")
    text, reasons = posted.text(), _reasons(posted)
    pinned = read_marks(posted.json("marks") or [])
    _require_words(kind, text, reasons, pinned, posted)
    person = visit.holder.person
    return _Said(
        remark_id=derived_id("remark", f"page|{person.id}|{_once(posted, text)}|{reasons}"),
        kind=kind,
        version=posted.one("version"),
        text=text,
        reasons=reasons,
        marks=pinned,
        view=_view(posted.json("view")),
        picture=posted.picture,
    )


async def _judge(
    connection: AsyncConnection, visit: Visit, said: _Said, now: int
) -> tuple[Version, Remark | None]:
    """The version that it is about, and the remark if it was said before.

    Raises NotSaid, and as `require_open_session`: a REVOKE holds against what came in behind it.
    """
    await require_open_session(connection, visit, now)
    version = await _version(connection, visit, said.version, said.kind)
    known = await remarks.find(connection, said.remark_id)
    if known is None and said.kind is not RemarkKind.COMMENT:
        known = await _said_before(connection, visit, version, said)
    if known is None:
        await _require_room(connection, visit, now)
    return version, known


async def _add(
    connection: AsyncConnection, visit: Visit, version: Version, said: _Said, now: int
) -> Remark:
    case, person = visit.holder.case, visit.holder.person
    verdict = said.kind is not RemarkKind.COMMENT
    files = await verdicts.files_of(connection, version) if verdict else []
    await remarks.add(
        connection,
        said.remark_id,
        case.id,
        said.kind,
        person.called,
        said.text,
        now,
        person_id=person.id,
        version_id=version.id,
        files=files,
        reasons=said.reasons,
        marks=said.marks,
        view=said.view,
        picture_size=len(said.picture),
        due_at=now,
    )
    await _write_trail(connection, visit, version, said.kind, files, now)
    added = await remarks.find(connection, said.remark_id)
    assert added is not None
    return added


def _require_words(
    kind: RemarkKind, text: str, reasons: list[str], pinned: list[Any], posted: Posted
) -> None:
    if kind is RemarkKind.CHANGES and not text and not reasons:
        raise NotSaid("Say what shall be changed: choose a reason, or write a few words.")
    drawn = posted.picture and posted.one("drawn")  # a picture goes with every comment
    if kind is RemarkKind.COMMENT and not (text or pinned or drawn):
        raise NotSaid("Write a few words first.")


async def _version(
    connection: AsyncConnection, visit: Visit, wanted: str, kind: RemarkKind
) -> Version:
    """The version that the page shows. A verdict is about the newest only. Raises NotSaid."""
    shared = await cases.shared_versions(connection, visit.holder.case.id)
    found = next((one for one in shared if str(one.number) == wanted), None)
    if found is None:
        raise NotSaid("This version is not in the case any more. Reload the page.")
    verdict = kind is not RemarkKind.COMMENT
    if verdict and visit.holder.person.kind is PersonKind.OWNER:
        raise NotSaid("Only a reviewer decides. Write a comment instead.")
    if verdict and found.number != shared[-1].number:
        assert shared[-1].shared_at is not None
        raise TooLate(
            "Nothing was sent: version {n} is here since {when}. Look at it and decide about that one.",
            n=shared[-1].number,
            when=moment(shared[-1].shared_at),
        )
    return found


async def _said_before(
    connection: AsyncConnection, visit: Visit, version: Version, said: _Said
) -> Remark | None:
    """The verdict, if they have given the very same one already: two taps are one."""
    person = visit.holder.person
    verdict = Verdict(said.kind, said.text, tuple(said.reasons))
    if not await verdicts.was_said(connection, person, version, verdict):
        return None
    return await remarks.verdict_of(connection, person.id, version.id)


async def _require_room(connection: AsyncConnection, visit: Visit, now: int) -> None:
    """Raises NotSaid: each remark is a letter to somebody."""
    case, person = visit.holder.case, visit.holder.person
    lately = [
        one
        for one in await remarks.of_case(connection, case.id)
        if one.person_id == person.id and one.at > now - HOUR
    ]
    if len(lately) >= MOST_AN_HOUR:
        raise NotSaid("That is a lot for one hour. Your words were not sent; try again later.")


async def _write_trail(
    connection: AsyncConnection,
    visit: Visit,
    version: Version,
    kind: RemarkKind,
    files: list[str],
    now: int,
) -> None:
    case, person = visit.holder.case, visit.holder.person
    if kind is not RemarkKind.COMMENT:
        await verdicts.write_trail(connection, case, person, version, kind, files, now)
        return
    await audit.record(
        connection, now, person.address, "comment", lab_id=case.lab_id, case_id=case.id
    )


async def _seal_picture(house: House, visit: Visit, said: _Said) -> None:
    """As it was sent; the flow lets a child look at it before anybody gets it."""
    if not said.picture:
        return
    case = visit.holder.case
    try:
        check_room(house, len(said.picture))
    except NoRoom:
        raise NotSaid("This server's disk is full, so nothing was sent. Try again later.") from None
    async with house.database.read() as connection:
        key = await house.case_key(connection, case.id)
    name = remark_object(case.id, said.remark_id, "sent")
    await house.object_threads.run(_seal, house, key, name, said.picture)


def _seal(house: House, key: bytes, name: str, data: bytes) -> None:
    target = SealedObject(house.blobs, key, name)
    try:
        target.write(data)
        target.commit()
    finally:
        target.abort()


def _reasons(posted: Posted) -> list[str]:
    known = {reason.value for reason in Reason}
    return [one for one in dict.fromkeys(posted.all("reason")) if one in known]


def _once(posted: Posted, text: str) -> str:
    """What names the occasion: the same words about the same version, of the same state of the page."""
    once = posted.one("once")
    said = f"{posted.one('kind')}|{posted.one('version')}|{text}"
    return f"{once}|{said}" if has_shape(once) else said


def _view(said: Any) -> dict[str, Any] | None:
    """How the scans were seen: where the camera stood, which were shown, and where they were cut open."""
    if not isinstance(said, dict):
        return None
    numbers = {name: said.get(name) for name in _VIEW_NUMBERS}
    if not all(_is_number(one) for one in numbers.values()):
        return None
    shown, cut = said.get("shown"), said.get("cut")
    if not isinstance(shown, list) or len(shown) > _MOST_SHOWN:
        shown = []
    if not isinstance(cut, list) or len(cut) != 4 or not all(_is_number(one) for one in cut):
        cut = None
    return {
        **numbers,
        "shown": [one for one in shown if type(one) is int and one < 10_000],
        "cut": cut,
    }


def _is_number(said: Any) -> bool:
    return isinstance(said, int | float) and not isinstance(said, bool) and abs(said) < _FARTHEST


# ---------------------------------------------------------------- answering


def _values(visit: Visit, remark: Remark, version: int) -> dict[str, Any]:
    return {
        "id": remark.id,
        "kind": remark.kind,
        "author": remark.author,
        "text": remark.text,
        "reasons": [say(Reason(one).label) for one in remark.reasons or []],
        "marks": remark.marks or [],
        "view": remark.view,
        "version": version,
        "at": remark.at,
        "when": moment(remark.at),
        "picture": f"/r/{visit.token}/remarks/{remark.id}/picture" if remark.picture_size else "",
    }


def _refused(
    request: web.Request, visit: Visit, status: int, refusal: ScanpostError
) -> web.Response:
    sentence = say_error(refusal)
    if _is_script(request):
        return web.json_response({"sentence": sentence}, status=status, headers=_NO_STORE)
    back = f"/r/{visit.token}"
    return page("ended", status, heading=say("Not sent"), sentence=sentence, back=back)


def _is_script(request: web.Request) -> bool:
    return "application/json" in request.headers.get("Accept", "")
