"""On with the phone: a picture on the open page lets one more device in, once, within ten minutes.

It opens no more than the session that shows it: the same proof, and the rest of the same seven days.
"""

import segno
from aiohttp import web
from markupsafe import Markup

from store.model import Session
from store.records import access, knocks
from store.states import KnockKind
from viewer.devices import admit, go_on, one_tap
from viewer.forms import Form, own_form
from viewer.languages import msgid, say
from viewer.templates import page
from viewer.visit import HOUSE, Visit, require_open_session, visit_in_session

_TOO_MANY = msgid(
    "Twenty pictures in an hour are enough. Try again later, or open the letter on the phone."
)


async def show_picture(request: web.Request) -> web.Response:
    """POST /r/<token>/handover: as JSON for the page's script, else as a page."""
    visit = await visit_in_session(request)
    await own_form(request, visit)
    assert visit.session is not None
    house, person = request.app[HOUSE], visit.holder.person
    as_json = "application/json" in request.headers.get("Accept", "")
    now = house.clock.now()
    async with house.database.write() as connection:
        await require_open_session(connection, visit, now)
        may = await knocks.may_ask(connection, person.id, KnockKind.HANDOVER, now)
        secret = await knocks.offer(connection, person.id, visit.session.id, now) if may else ""
    if not may:
        if as_json:
            return _no_store(web.json_response({"sentence": say(_TOO_MANY)}, status=429))
        return page("ended", 429, heading=say("Enough for now"), sentence=say(_TOO_MANY))
    link = f"{house.settings.base_url}/r/{visit.token}?from={secret}"
    picture = _picture(link)
    if as_json:
        shown = {"svg": picture, "link": link, "seconds": knocks.LIFETIME // 1000}
        return _no_store(web.json_response(shown))
    return page(
        "handover",
        picture=Markup(picture),  # noqa: S704 -- drawn from our own words
        back=f"/r/{visit.token}",
    )


async def arrive(
    request: web.Request, visit: Visit, form: Form, scanned: str
) -> web.Response | None:
    """The click on the phone that scanned it; None if the picture opens nothing any more."""
    house = request.app[HOUSE]
    now = house.clock.now()
    async with house.database.write() as connection:
        secret, opened = await one_tap(connection, visit, form, now)
        if opened is None:
            knock = await knocks.offered(connection, scanned, visit.holder.person.id, now)
            before = await access.find_session(connection, (knock and knock.session_id) or "")
            if knock is None or before is None or not _still_opens(visit, before, now):
                return None
            await knocks.use(connection, knock.id, now)
            await go_on(connection, visit, secret, before, now)
            opened = before
    return admit(request, visit, secret, opened.created_at)


def _still_opens(visit: Visit, session: Session, now: int) -> bool:
    """Whether the device that shows the picture could itself go on."""
    return session.is_awake(now) and session.satisfies(visit.holder.case.access)


def _picture(address: str) -> str:
    return str(
        segno.make(address, error="m").svg_inline(scale=5, border=3, light="#fff", omitsize=True)
    )


def _no_store(response: web.Response) -> web.Response:
    response.headers["Cache-Control"] = "no-store"
    return response
