"""The web server: all routes at a glance."""

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from store.errors import Gone, NotFound, TryAgain
from store.house import House
from viewer import confirm, entry, files, page
from viewer.headers import add_headers
from viewer.remembered import REMEMBERED, Remembered
from viewer.static_files import send_static
from viewer.templates import page as render
from viewer.visit import HOUSE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger()


def make_app(house: House) -> web.Application:
    app = web.Application(middlewares=[plain_errors], client_max_size=64 * 1024)
    app[HOUSE] = house
    app[REMEMBERED] = Remembered()
    app.on_response_prepare.append(add_headers)
    # GET and HEAD change nothing; what changes something is a POST from our own page.
    app.add_routes(
        [
            web.get("/r/{token}", entry.show_link),
            web.post("/r/{token}/open", entry.open_link),
            web.post("/r/{token}/seen", page.count_view),
            web.get("/r/{token}/poster.webp", files.send_poster),
            web.get("/r/{token}/view/{side:[a-z]{4,5}}.webp", files.send_view),
            web.get(r"/r/{token}/scan/{number:\d{1,4}}/preview.glb", files.send_preview),
            web.get(r"/r/{token}/scan/{number:\d{1,4}}/full.glb", files.send_full),
            web.get(r"/r/{token}/scan/{number:\d{1,4}}/medium.glb", files.send_medium),
            web.get(r"/r/{token}/scan/{number:\d{1,4}}/photo", files.send_photo),
            web.get(r"/r/{token}/scan/{number:\d{1,4}}/download", files.send_download),
            web.get("/c/{token}", confirm.show_confirmation),
            web.post("/c/{token}", confirm.take_click),
            web.get("/static/{name}", send_static),
            web.get("/healthz", _health),
            web.get("/", _front),
        ]
    )
    return app


@web.middleware
async def plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal is one plain page; a fault of ours is logged and tells nothing."""
    try:
        return await handler(request)
    except (Gone, NotFound, web.HTTPNotFound, web.HTTPForbidden) as refusal:
        return _refusal(refusal)
    except web.HTTPException:
        raise
    except TryAgain as outage:
        log.warning("request put off", error=str(outage))
        sentence = "The store of the scans does not answer just now. Try again in a minute."
        response = render("ended", 503, heading="A moment, please", sentence=sentence)
        response.headers["Retry-After"] = "60"
        return response
    except Exception as fault:
        if isinstance(fault, ConnectionError) and _has_gone(request):
            return web.Response(status=499)  # nobody is there to read it, and nothing went wrong
        log.exception("request failed", route=str(request.match_info.route.name or request.method))
        sentence = "This server has a problem of its own. Try again in a minute."
        return render("ended", 500, heading="Something failed here", sentence=sentence)


def _refusal(refusal: Exception) -> web.Response:
    if isinstance(refusal, Gone):
        return render("ended", 410, heading="This link has ended", sentence=str(refusal))
    if isinstance(refusal, web.HTTPForbidden):
        sentence = (refusal.text or "").strip()
        return render("ended", 403, heading="Not this way", sentence=sentence)
    known = isinstance(refusal, NotFound)
    sentence = str(refusal) if known else "There is no such page."
    return render("ended", 404, heading="Nothing here", sentence=sentence)


def _has_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _health(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _front(request: web.Request) -> web.Response:
    settings = request.app[HOUSE].settings
    sentence = f"Scans are shared by mail: write to share@{settings.domain}. Nothing to see here."
    return render("ended", 200, heading="scanpost", sentence=sentence)
