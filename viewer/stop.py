"""Not me, no more: whoever has the link may refuse letters and give the link up, in a session or not.

A mail program's own button posts one line to the same address (RFC 8058), without a cookie and without
an origin: the token in the address is proof enough to refuse letters. That button is about letters, so
it leaves the link alive, as STOP by mail does; the page says that the link ends too.
"""

from aiohttp import web

from store.errors import NotFound
from store.records import labs
from store.refusing import refuse
from viewer.forms import own_form, typed
from viewer.languages import msgid, say
from viewer.templates import page
from viewer.visit import HOUSE, Visit, form_key, is_scripted, require_live_link, visit_of

# Said in the visitor's language; the owner's letter quotes them in English.
_REASONS = {
    "not me": msgid("This is not for me."),
    "no letters": msgid("I want no more letters of this lab."),
}
_ONE_CLICK = "They pressed the button of their mail program that ends letters."


async def show_stop(request: web.Request) -> web.Response:
    """GET /r/<token>/stop."""
    return await _page(request, await _reviewers_visit(request))


async def take_stop(request: web.Request) -> web.Response:
    """POST /r/<token>/stop."""
    visit = await _reviewers_visit(request)
    if (await typed(request)).get("List-Unsubscribe") == "One-Click":
        await _refuse(request, visit, _ONE_CLICK, with_link=False)
        sentence = say("None will be sent to you.")
        return page("ended", heading=say("No more letters"), sentence=sentence)
    form = await own_form(request, visit)
    if is_scripted(request):
        return await _page(request, visit)
    words = _REASONS.get(form.get("reason", ""))
    if words is None:
        return await _page(request, visit, say("Say which of the two it is."))
    await _refuse(request, visit, words, with_link=True)
    return page(
        "ended",
        heading=say("Your link has ended"),
        sentence=say(
            "You get no more letters of this lab by this service, and the lab has been told."
        ),
    )


async def _reviewers_visit(request: web.Request) -> Visit:
    """Raises NotFound at the owner's own link: nobody shares anything with them."""
    visit = await visit_of(request)
    if visit.is_owner:
        raise NotFound("There is nothing at this address. Look whether the link is complete.")
    return visit


async def _refuse(request: web.Request, visit: Visit, words: str, *, with_link: bool) -> None:
    house, holder = request.app[HOUSE], visit.holder
    domain, now = house.settings.domain, house.clock.now()
    async with house.database.write() as connection:
        await require_live_link(connection, visit, now)
        given = (holder.case, holder.person, words, domain, now)
        await refuse(connection, *given, with_link=with_link)
    house.poke()


async def _page(request: web.Request, visit: Visit, problem: str = "") -> web.Response:
    async with request.app[HOUSE].database.read() as connection:
        lab = await labs.lab(connection, visit.holder.case.lab_id)
    return page(
        "stop",
        400 if problem else 200,
        base=f"/r/{visit.token}",
        hidden={"key": form_key(visit)},
        lab=lab.name,
        reasons={reason: say(words) for reason, words in _REASONS.items()},
        problem=problem,
    )
