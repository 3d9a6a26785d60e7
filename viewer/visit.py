"""Who is at the door: the token of the link, and the session of this device. Asked at every read."""

from dataclasses import dataclass, field

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from store import tokens
from store.errors import Gone, NotFound
from store.house import House
from store.model import Session
from store.records import access, labs
from store.records.access import Holder
from store.states import PersonKind
from store.tokens import Purpose

HOUSE = web.AppKey("house", House)
TOUCH_AFTER = 300_000  # ms; a session's last sign of life need not be newer than this


@dataclass(frozen=True)
class Visit:
    token: str
    holder: Holder
    case_key: bytes = field(repr=False)
    device: Session | None  # of this device and not ended; perhaps idle: then a click wakes it
    session: Session | None  # the same, awake; None before the click

    @property
    def is_owner(self) -> bool:
        return self.holder.person.kind is PersonKind.OWNER


async def visit_of(request: web.Request) -> Visit:
    """The visit behind a request.

    Raises:
        NotFound: the link was never issued.
        Gone: it was, and opens nothing any more.
    """
    house, token = request.app[HOUSE], request.match_info["token"]
    now = house.clock.now()
    async with house.database.read() as connection:
        holder = await access.holder(connection, token, Purpose.LINK)
        if holder is None:
            raise NotFound("There is nothing at this address. Look whether the link is complete.")
        if not holder.may_look(now):
            raise await _gone(connection, holder)
        secret = request.cookies.get(cookie_name(house, holder), "")
        device = await access.session_of_device(connection, secret, holder.person.id, now)
        if device and not device.satisfies(holder.case.access):
            device = None
        key = await house.case_key(connection, holder.case.id)
    awake = device if device and device.is_awake(now) else None
    return Visit(token, holder, key, device, awake)


async def visit_in_session(request: web.Request) -> Visit:
    """The same, for what only an open session may have. Raises HTTPForbidden without one."""
    visit = await visit_of(request)
    if visit.session is None:
        raise _not_in()
    if request.method == "POST":
        await touch(request, visit)
    return visit


async def require_live_link(connection: AsyncConnection, visit: Visit, now: int) -> Holder:
    """The first question of a transaction that writes what a visitor sent.

    A body may take minutes to come, and until the write another one may commit: the link has to be
    live in this very transaction, not only when the request began. Raises Gone.
    """
    holder = await access.holder(connection, visit.token, Purpose.LINK)
    if holder is None or not holder.may_look(now):
        raise await _gone(connection, holder or visit.holder)
    return holder


async def require_open_session(connection: AsyncConnection, visit: Visit, now: int) -> None:
    """The same for what only an open session may change. Raises Gone or HTTPForbidden."""
    holder = await require_live_link(connection, visit, now)
    known = visit.session and await access.find_session(connection, visit.session.id)
    if not known or not known.is_awake(now) or not known.satisfies(holder.case.access):
        raise _not_in()


async def touch(request: web.Request, visit: Visit) -> None:
    """Keeps a session awake while somebody works in it."""
    house = request.app[HOUSE]
    now = house.clock.now()
    assert visit.session is not None
    if now - visit.session.last_seen_at > TOUCH_AFTER:
        async with house.database.write() as connection:
            await access.touch_session(connection, visit.session.id, now)


def require_same_origin(request: web.Request, *, has_key: bool = False) -> None:
    """A POST counts only from our own pages (OWASP: verify the origin with standard headers).

    Args:
        has_key: whether the form brought back the key of its page (viewer/forms.py).
    """
    house = request.app[HOUSE]
    origin = request.headers.get("Origin")
    if origin == house.settings.base_url:
        return
    # From a page with Referrer-Policy no-referrer a form comes with "Origin: null" (Fetch 3.2); the
    # browser then says here where it comes from. Older ones, and plain HTTP, say neither.
    site = request.headers.get("Sec-Fetch-Site")
    if origin in (None, "null") and (site == "same-origin" or (site is None and has_key)):
        return
    raise web.HTTPForbidden(text="This request came from another site.\n")


def form_key(visit: Visit) -> str:
    """What our forms bring back in the hidden field "key"."""
    shown_to = visit.session.id if visit.session else visit.token
    return tokens.form_key(visit.case_key, shown_to)


def is_scripted(request: web.Request) -> bool:
    """Whether a script pressed the button: a mail scanner's browser opens pages and clicks.

    Chromium says `Sec-CH-UA` with every request to a secure origin since 89, and `Sec-Fetch-User: ?1`
    with what a hand or a key has brought about since 76, and with nothing else (Fetch Metadata 2.4).
    Whoever sends no Sec-CH-UA is not judged: Firefox, Safari and old web views do not all say who
    acted, and over plain HTTP nobody does; to refuse them would shut people out for sure to keep out
    a robot perhaps.
    """
    return "Sec-CH-UA" in request.headers and request.headers.get("Sec-Fetch-User") != "?1"


def cookie_name(house: House, holder: Holder) -> str:
    """One cookie a person of a case: two links in one browser do not disturb each other."""
    prefix = "__Host-" if house.settings.secure else ""
    return f"{prefix}scanpost-{holder.person.id[:10]}"


def _not_in() -> web.HTTPForbidden:
    return web.HTTPForbidden(text="Open the link and press the button first.\n")


async def _gone(connection: AsyncConnection, holder: Holder) -> Gone:
    owner = await labs.member(connection, holder.case.owner_id)
    return Gone(
        "This link has ended. Ask {owner} for a new one.", owner=owner.name or owner.company
    )
