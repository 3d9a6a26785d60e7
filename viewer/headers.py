"""The policy headers of every answer: nothing from elsewhere, nothing inline, no trace to elsewhere."""

from aiohttp import web

from store.settings import Settings
from viewer.visit import HOUSE

_POLICY = "; ".join(  # noqa: FLY002 -- one a line
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob: data:",
        "style-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_ALWAYS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Server": "scanpost",
}


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(policy(request.app[HOUSE].settings))


def policy(settings: Settings) -> dict[str, str]:
    if not settings.secure:
        return _ALWAYS
    return {**_ALWAYS, "Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
