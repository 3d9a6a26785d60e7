"""Who is at the door: the token of the link, and the session of this device. Asked at every read."""

from dataclasses import dataclass

from aiohttp import web

from store.errors import Gone, NotFound
from store.house import House
from store.model import PersonKind, Session
from store.records import access, labs
from store.records.access import Holder
from store.tokens import Purpose

HOUSE = web.AppKey("house", House)


@dataclass(frozen=True)
class Visit:
    token: str
    holder: Holder
    session: Session | None  # of this device, alive; None before the click

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
            owner = await labs.member(connection, holder.case.owner_id)
            raise Gone(f"This link has ended. Ask {owner.name or owner.company} for a new one.")
        secret = request.cookies.get(cookie_name(house, holder), "")
        session = await access.session(connection, secret, holder.person.id, now)
    return Visit(token, holder, session)


async def visit_in_session(request: web.Request) -> Visit:
    """The same, for what only an open session may have. Raises HTTPForbidden without one."""
    visit = await visit_of(request)
    if visit.session is None:
        raise web.HTTPForbidden(text="Open the link and press the button first.\n")
    return visit


def require_same_origin(request: web.Request) -> None:
    """A POST counts only from our own pages (OWASP: verify the origin with standard headers)."""
    house = request.app[HOUSE]
    origin = request.headers.get("Origin")
    if origin == house.settings.base_url:
        return
    # A page with Referrer-Policy no-referrer sends "Origin: null"; the browser then says it here.
    if origin in (None, "null") and request.headers.get("Sec-Fetch-Site") == "same-origin":
        return
    raise web.HTTPForbidden(text="This request came from another site.\n")


def cookie_name(house: House, holder: Holder) -> str:
    """One cookie a person of a case: two links in one browser do not disturb each other."""
    prefix = "__Host-" if house.settings.secure else ""
    return f"{prefix}scanpost-{holder.person.id[:10]}"
