"""The way in: who shares, one button, and the click that opens a session on this device.

What the click is good for depends on the case (ACCESS) and on the device: a device that was in within
seven days goes on with it; the first device of a link is let in by it; every other one must show that
the mailbox is its person's (viewer/knocking.py), or scan a picture from a device that is in
(viewer/handover.py).
"""

from aiohttp import web

from store.records import access, audit, labs
from store.states import AccessMode
from store.tokens import new_id
from viewer.devices import admit, go_on, let_in_as_first, one_tap
from viewer.forms import Form, own_form
from viewer.handover import arrive
from viewer.languages import say
from viewer.page import case_page
from viewer.password import judge_password
from viewer.templates import page
from viewer.visit import HOUSE, Visit, cookie_name, form_key, is_scripted, touch, visit_of


async def show_link(request: web.Request) -> web.Response:
    """GET /r/<token>: the case in an open session, else the button. Changes nothing for a robot."""
    visit = await visit_of(request)
    if visit.session is None or "from" in request.query:
        return await _entry_page(request, visit, scanned=request.query.get("from", ""))
    await touch(request, visit)
    return await case_page(request, visit)


async def open_link(request: web.Request) -> web.Response:
    """POST /r/<token>/open: a person pressed the button."""
    visit = await visit_of(request)
    form = await own_form(request, visit)
    scanned = form.get("from", "")
    if is_scripted(request):
        return await _entry_page(request, visit, scanned=scanned)
    if scanned:
        return await arrive(request, visit, form, scanned) or await _entry_page(
            request,
            visit,
            say(
                "The picture that was scanned has been used, or is older than ten minutes. Show a new"
                " one on the other device, or go on with the button."
            ),
        )
    if visit.device is None and _needs_code(visit):
        return await _second_tap(request, visit, form) or _to_code(visit)
    problem = ""
    if not _has_shown_password(visit):
        problem = await judge_password(request, visit, form.get("password", ""))
    return await (_entry_page(request, visit, problem) if problem else _open(request, visit, form))


async def _second_tap(request: web.Request, visit: Visit, form: Form) -> web.Response | None:
    """The browser heeds the answer to the second of two taps alone: it gets what the first has opened."""
    house = request.app[HOUSE]
    async with house.database.read() as connection:
        secret, opened = await one_tap(connection, visit, form, house.clock.now())
    if opened is None or not opened.satisfies(visit.holder.case.access):
        return None
    return admit(request, visit, secret, opened.created_at)


async def leave(request: web.Request) -> web.Response:
    """POST /r/<token>/leave: this device is not to be trusted any longer."""
    visit = await visit_of(request)
    await own_form(request, visit)
    house = request.app[HOUSE]
    if visit.device:
        now = house.clock.now()
        async with house.database.write() as connection:
            await access.end_session(connection, visit.device.id, now)
            await audit.record(
                connection,
                now,
                visit.holder.person.address,
                "device closed",
                lab_id=visit.holder.case.lab_id,
                case_id=visit.holder.case.id,
            )
    response = page(
        "ended",
        heading=say("Closed on this device"),
        sentence=say("To look again here, open the link in the letter; a code may be asked for."),
    )
    response.headers["Clear-Site-Data"] = '"cache"'  # what was drawn here stays with nobody else
    secure = house.settings.secure
    response.del_cookie(cookie_name(house, visit.holder), path="/", secure=secure, httponly=True)
    return response


def _needs_code(visit: Visit) -> bool:
    """Whether a click is not enough on a device that we do not know."""
    mode, bound = visit.holder.case.access, visit.holder.person.bound_at is not None
    return mode is AccessMode.CODE or (mode is AccessMode.BOUND and bound)


def _has_shown_password(visit: Visit) -> bool:
    """Whether this device goes on where it was: it was asked then, if there was something to ask."""
    return visit.device is not None and not visit.device.is_lulled


async def _open(request: web.Request, visit: Visit, form: Form) -> web.Response:
    house = request.app[HOUSE]
    now = house.clock.now()
    async with house.database.write() as connection:
        secret, opened = await one_tap(connection, visit, form, now)
        if opened is None and visit.device:
            await go_on(connection, visit, secret, visit.device, now)
        elif opened is None and not await let_in_as_first(connection, visit, secret, now):
            return _to_code(visit)
    before = opened or visit.device
    return admit(request, visit, secret, before.created_at if before else now)


def _to_code(visit: Visit) -> web.Response:
    return web.Response(status=303, headers={"Location": f"/r/{visit.token}/code"})


async def _entry_page(
    request: web.Request, visit: Visit, problem: str = "", scanned: str = ""
) -> web.Response:
    async with request.app[HOUSE].database.read() as connection:
        owner = await labs.member(connection, visit.holder.case.owner_id)
    by_click = (visit.device or not _needs_code(visit)) and not scanned
    return page(
        "entry",
        400 if problem else 200,
        sender_name=owner.name,
        company=owner.company,
        base=f"/r/{visit.token}",
        hidden={"key": form_key(visit), "once": new_id(), **({"from": scanned} if scanned else {})},
        asks_password=bool(
            visit.holder.case.password and by_click and not _has_shown_password(visit)
        ),
        is_owner=visit.is_owner,
        problem=problem,
    )
