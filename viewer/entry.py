"""The way in: who shares, one button, and the click that opens a session on this device."""

from aiohttp import web

from store.model import SESSION_LIFETIME
from store.records import access, audit, labs
from viewer.page import case_page
from viewer.templates import page
from viewer.visit import HOUSE, Visit, cookie_name, require_same_origin, visit_of

TOUCH_AFTER = 300_000  # ms; a session's last sign of life need not be newer than this


async def show_link(request: web.Request) -> web.Response:
    """GET /r/<token>: the case in an open session, else the button. Changes nothing for a robot."""
    visit = await visit_of(request)
    if visit.session is None:
        return await _entry_page(request, visit)
    await _touch(request, visit)
    return await case_page(request, visit)


async def open_link(request: web.Request) -> web.Response:
    """POST /r/<token>/open: a person pressed the button."""
    require_same_origin(request)
    visit = await visit_of(request)
    house, person = request.app[HOUSE], visit.holder.person
    now = house.clock.now()
    async with house.database.write() as connection:
        secret = await access.open_session(connection, person.id, now)
        await audit.record(
            connection,
            now,
            person.address,
            "link opened",
            lab_id=visit.holder.case.lab_id,
            case_id=person.case_id,
            kind=person.kind,
        )
    response = web.Response(status=303, headers={"Location": f"/r/{visit.token}"})
    response.set_cookie(
        cookie_name(house, visit.holder),
        secret,
        max_age=SESSION_LIFETIME // 1000,
        path="/",
        httponly=True,
        secure=house.settings.secure,
        samesite="Lax",  # Strict would drop it when the mail's link is followed again
    )
    return response


async def _entry_page(request: web.Request, visit: Visit) -> web.Response:
    async with request.app[HOUSE].database.read() as connection:
        owner = await labs.member(connection, visit.holder.case.owner_id)
    return page(
        "entry",
        sender_name=owner.name,
        company=owner.company,
        action=f"/r/{visit.token}/open",
    )


async def _touch(request: web.Request, visit: Visit) -> None:
    house = request.app[HOUSE]
    now = house.clock.now()
    assert visit.session is not None
    if now - visit.session.last_seen_at > TOUCH_AFTER:
        async with house.database.write() as connection:
            await access.touch_session(connection, visit.session.id, now)
