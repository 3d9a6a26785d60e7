"""What was typed into one of our forms, and whether the form was ours."""

import hmac

from aiohttp import web

from viewer.visit import Visit, form_key, require_same_origin

LONGEST = 254  # of a field: an address (RFC 5321 4.5.3.1.3)
KEY = "key"  # the hidden field
Form = dict[str, str]


async def typed(request: web.Request) -> Form:
    """The fields: plain letters on one line, without marks that turn the writing round."""
    try:
        posted = await request.post()
    except (ValueError, LookupError):  # no browser sends such a form
        return {}
    words = {name: value for name, value in posted.items() if isinstance(value, str)}
    return {name: on_one_line(value) for name, value in words.items()}


async def own_form(request: web.Request, visit: Visit) -> Form:
    """The fields of a form on a page of this link. Raises HTTPForbidden for any other."""
    form = await typed(request)
    require_own_form(request, form, form_key(visit))
    return form


def require_own_form(request: web.Request, form: Form, key: str) -> None:
    """A POST counts only from our own pages: the browser says so, or the form knows its key."""
    has_key = hmac.compare_digest(form.get(KEY, "").encode(errors="replace"), key.encode())
    require_same_origin(request, has_key=has_key)


def on_one_line(value: str, longest: int = LONGEST) -> str:
    words = "".join(letter if letter.isprintable() else " " for letter in value).split()
    return " ".join(words)[:longest].strip()
