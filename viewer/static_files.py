"""The built scripts and styles: by their hashed names only, already compressed, kept for good."""

from aiohttp import web

from store.errors import NotFound
from viewer.templates import BUNDLE, STATIC

_TYPES = {".js": "text/javascript", ".css": "text/css"}
_NAMES = {built["file"] for built in BUNDLE["outputs"].values()}
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))


async def send_static(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if name not in _NAMES:
        raise NotFound("There is no such file.")
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Content-Type": f"{_TYPES[name[name.rindex('.') :]]}; charset=utf-8",
        "Vary": "Accept-Encoding",
    }
    path = STATIC / name
    for encoding, suffix in _ENCODINGS:
        if accepts(request, encoding):
            path = STATIC / f"{name}{suffix}"
            headers["Content-Encoding"] = encoding
            break
    return web.Response(body=path.read_bytes(), headers=headers)


def accepts(request: web.Request, encoding: str) -> bool:
    """RFC 9110 12.5.3: listed by name, and not with a weight of nothing."""
    for offer in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, _, weight = offer.replace(" ", "").partition(";q=")
        if name == encoding:
            return weight.strip("0.") != "" or weight == ""
    return False
