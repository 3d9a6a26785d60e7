"""The web server: all routes at a glance."""

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from store.errors import Gone, NotFound, TryAgain
from store.house import House
from viewer import (
    confirm,
    connections,
    entry,
    files,
    handover,
    knocking,
    page,
    remarks,
    stop,
    uploadform,
    uploads,
)
from viewer.formdata import NotRead, refuse_packed
from viewer.forms import LARGEST_FORM
from viewer.headers import add_headers
from viewer.languages import say, say_error, speak
from viewer.pieces import PLACES, Places
from viewer.remembered import REMEMBERED, Remembered
from viewer.static_files import send_static
from viewer.templates import page as render
from viewer.visit import HOUSE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_VERSION = r"/r/{token}/v/{version:\d{1,4}}"
_SCAN = _VERSION + r"/scan/{number:\d{1,4}}"
log = structlog.get_logger()


def make_app(house: House) -> web.Application:
    middlewares = [connections.busy, speak, plain_errors, refuse_packed, uploads.say_refusals]
    app = web.Application(middlewares=middlewares, client_max_size=LARGEST_FORM)
    app[HOUSE] = house
    app[PLACES] = Places()
    app[REMEMBERED] = Remembered()
    app[files.UNPACKED] = files.Unpacked()
    app.on_response_prepare.append(add_headers)
    # GET and HEAD change nothing; what changes something is a POST from our own page.
    app.add_routes(
        [
            web.get("/r/{token}", entry.show_link),
            web.post("/r/{token}/open", entry.open_link),
            web.get("/r/{token}/code", knocking.show_door),
            web.post("/r/{token}/ask", knocking.ask_for_code),
            web.post("/r/{token}/code", knocking.take_code),
            web.post("/r/{token}/handover", handover.show_picture),
            web.post("/r/{token}/leave", entry.leave),
            web.get("/r/{token}/stop", stop.show_stop),
            web.post("/r/{token}/stop", stop.take_stop),
            web.post("/r/{token}/seen", page.count_view),
            web.get("/r/{token}/remarks", remarks.list_remarks),
            web.post("/r/{token}/remarks", remarks.take_remark),
            web.get("/r/{token}/remarks/{id:[a-z2-7]{26}}/picture", files.send_remark_picture),
            web.post("/r/{token}/marks", remarks.keep_mark),
            web.post("/r/{token}/marks/{id:[a-z2-7]{26}}/remove", remarks.remove_mark),
            web.get(f"{_VERSION}/poster.webp", files.send_poster),
            web.get(f"{_VERSION}/view/{{side:[a-z]{{4,5}}}}.webp", files.send_view),
            web.get(f"{_SCAN}/preview.glb", files.send_preview),
            web.get(f"{_SCAN}/medium.glb", files.send_medium),
            web.get(f"{_SCAN}/full.glb", files.send_full),
            web.get(f"{_SCAN}/contacts.map", files.send_contacts),
            web.get(f"{_SCAN}/change.map", files.send_change),
            web.get(f"{_SCAN}/photo", files.send_photo),
            web.get(f"{_SCAN}/download", files.send_download),
            web.get("/c/{token}", confirm.show_confirmation),
            web.post("/c/{token}", confirm.take_click),
            web.get("/u/{token}", uploads.show_upload),
            web.post("/u/{token}", uploadform.take_form),
            web.get("/u/{token}/files", uploads.list_files),
            web.post("/u/{token}/files", uploads.add_file),
            web.get(r"/u/{token}/files/{number:\d{1,4}}", uploads.show_file),
            web.patch(r"/u/{token}/files/{number:\d{1,4}}", uploads.take_bytes),
            web.post(r"/u/{token}/files/{number:\d{1,4}}/remove", uploads.remove_file),
            web.post("/u/{token}/share", uploads.share),
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
    except NotRead as refusal:
        heading, sentence = say("Not this way"), say_error(refusal)
        return render("ended", refusal.status, heading=heading, sentence=sentence)
    except web.HTTPException:
        raise
    except TryAgain as outage:
        log.warning("request put off", error=str(outage))
        sentence = say("The store of the scans does not answer just now. Try again in a minute.")
        response = render("ended", 503, heading=say("A moment, please"), sentence=sentence)
        response.headers["Retry-After"] = "60"
        return response
    except Exception as fault:
        if isinstance(fault, ConnectionError) and _has_gone(request):
            return web.Response(status=499)  # nobody is there to read it, and nothing went wrong
        log.exception("request failed", route=str(request.match_info.route.name or request.method))
        sentence = say("This server has a problem of its own. Try again in a minute.")
        return render("ended", 500, heading=say("Something failed here"), sentence=sentence)


def _refusal(refusal: Exception) -> web.Response:
    if isinstance(refusal, Gone):
        return render("ended", 410, heading=say("This link has ended"), sentence=say_error(refusal))
    if isinstance(refusal, web.HTTPForbidden):
        sentence = say((refusal.text or "").strip())
        return render("ended", 403, heading=say("Not this way"), sentence=sentence)
    if isinstance(refusal, NotFound):
        return render("ended", 404, heading=say("Nothing here"), sentence=say_error(refusal))
    sentence = say("There is no such page.")
    return render("ended", 404, heading=say("Nothing here"), sentence=sentence)


def _has_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _health(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _front(request: web.Request) -> web.Response:
    settings = request.app[HOUSE].settings
    sentence = say(
        "Scans are shared by mail: write to {address}. Nothing to see here.",
        address=f"share@{settings.domain}",
    )
    return render("ended", 200, heading="scanpost", sentence=sentence)
