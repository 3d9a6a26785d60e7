"""A device gets its session: written down, bound to the link, and named by a cookie."""

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from store.errors import Gone
from store.model import SESSION_LIFETIME, Session
from store.records import access, audit
from store.states import AccessMode, Proof
from store.tokens import Purpose, derive_for_page, fingerprint, has_shape, new_id
from viewer.forms import Form
from viewer.visit import HOUSE, Visit, cookie_name

ONCE = "once"  # the hidden field: new with each page that is shown
ONE_TAP = 60_000  # ms; a second tap on the same page's button comes within it


async def one_tap(
    connection: AsyncConnection, visit: Visit, form: Form, now: int
) -> tuple[str, Session | None]:
    """What the device will show, and the session if the first of two taps has opened it already.

    The secret follows from the page whose button was tapped: a browser waits for the answer to the
    second tap only, and that must not find the link taken by the first.
    """
    once = form.get(ONCE, "")
    if not has_shape(once):
        return new_id(), None
    secret = derive_for_page(visit.case_key, "session", visit.holder.person.id, once)
    found = await access.find_session(connection, fingerprint(secret))
    if found is None:
        return secret, None
    if found.is_awake(now) and now - found.opened_at < ONE_TAP:
        return secret, found
    return new_id(), None  # gone back to an old page


async def let_in(
    connection: AsyncConnection, visit: Visit, secret: str, proof: Proof, now: int
) -> None:
    """Opens a session with a fresh lifetime; what the device had before ends.

    Raises:
        Gone: the link ended in this very moment.
    """
    await _open(connection, visit, secret, proof, now, None)
    await access.bind(connection, visit.holder.person.id, now)


async def let_in_as_first(connection: AsyncConnection, visit: Visit, secret: str, now: int) -> bool:
    """Opens a session by a click alone; False where another device was quicker and the link is its."""
    first = await access.bind(connection, visit.holder.person.id, now)
    if not first and visit.holder.case.access is not AccessMode.LINK:
        return False
    await _open(connection, visit, secret, Proof.CLICK, now, None)
    return True


async def go_on(
    connection: AsyncConnection, visit: Visit, secret: str, before: Session, now: int
) -> None:
    """Opens a session that goes on from another: its proof, and the rest of its seven days."""
    await _open(connection, visit, secret, before.proof, now, before.created_at)


def admit(request: web.Request, visit: Visit, secret: str, since: int) -> web.Response:
    """To the case, with the cookie that opens it."""
    house = request.app[HOUSE]
    response = web.Response(status=303, headers={"Location": f"/r/{visit.token}"})
    response.set_cookie(
        cookie_name(house, visit.holder),
        secret,
        max_age=max(1, (since + SESSION_LIFETIME - house.clock.now()) // 1000),
        path="/",
        httponly=True,
        secure=house.settings.secure,
        samesite="Lax",  # Strict would drop it when the mail's link is followed again
    )
    return response


async def _open(
    connection: AsyncConnection,
    visit: Visit,
    secret: str,
    proof: Proof,
    now: int,
    since: int | None,
) -> None:
    holder = await access.holder(connection, visit.token, Purpose.LINK)
    if holder is None or not holder.may_look(now):
        raise Gone("This link has ended.")
    asked, asks = visit.holder.case, holder.case
    if (asked.access, asked.password) != (asks.access, asks.password):
        raise web.HTTPForbidden(text="The way in was changed just now. Open the link again.\n")
    if visit.device:
        await access.end_session(connection, visit.device.id, now)
    person = holder.person
    await access.open_session(connection, person.id, now, secret, proof, since)
    await audit.record(
        connection,
        now,
        person.address,
        "link opened",
        lab_id=holder.case.lab_id,
        case_id=person.case_id,
        kind=person.kind,
        proof=proof,
    )
