"""What was typed into one of our forms, and whether the form was ours."""

import hmac

from aiohttp import web

from viewer.formdata import read_form
from viewer.visit import Visit, form_key, require_same_origin

LONGEST = 254  # of a field: an address (RFC 5321 4.5.3.1.3)
LARGEST_FORM = 64 * 1024  # bytes
_SECONDS = 30.0  # until all of it must be here
KEY = "key"  # the hidden field
Form = dict[str, str]
_TYPED = web.RequestKey("typed", Form)


async def typed(request: web.Request) -> Form:
    """The fields: plain letters on one line, without marks that turn the writing round.

    Raises:
        NotRead: no form, or more than one of ours can be.
    """
    if _TYPED not in request:
        fields = await read_form(request, LARGEST_FORM, _SECONDS)
        request[_TYPED] = {
            field.name: on_one_line(field.text) for field in fields if not field.is_file
        }
    return request[_TYPED]


async def own_form(request: web.Request, visit: Visit) -> Form:
    """The fields of a form on a page of this link. Raises HTTPForbidden for any other."""
    refuse_other_sites(request)
    form = await typed(request)
    require_own_form(request, form, form_key(visit))
    return form


def refuse_other_sites(request: web.Request) -> None:
    """Raises HTTPForbidden where no key could help: nothing of such a body needs to be read."""
    require_same_origin(request, has_key=True)


def require_own_form(request: web.Request, form: Form, key: str) -> None:
    """A POST counts only from our own pages: the browser says so, or the form knows its key."""
    has_key = hmac.compare_digest(form.get(KEY, "").encode(errors="replace"), key.encode())
    require_same_origin(request, has_key=has_key)


def on_one_line(value: str, longest: int = LONGEST) -> str:
    words = "".join(letter if letter.isprintable() else " " for letter in value).split()
    return " ".join(words)[:longest].strip()
