"""Pages from templates/page, with the names of the built scripts and styles."""

import json
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from viewer.languages import (
    LANGUAGES,
    count,
    keep,
    listed,
    number,
    say_markup,
    spoken,
    switch,
    words_for_script,
)

STATIC = Path(__file__).parent / "static"
BUNDLE: dict[str, Any] = json.loads((STATIC / "bundle.json").read_text())
_ASSETS = {name: f"/static/{built['file']}" for name, built in BUNDLE["outputs"].items()}
_SCRIPTS_WORDS: dict[str, list[str | list[str]]] = json.loads((STATIC / "words.json").read_text())
_ADDRESSES = ("action", "back")  # values of a page that lead to another one of ours
_ENVIRONMENT = Environment(
    loader=PackageLoader("templates", "."),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
)
_ENVIRONMENT.globals |= {
    "_": say_markup,
    "ngettext": count,
    "bdi": Markup("<bdi>{}</bdi>").format,
    "keep": keep,
    "languages": LANGUAGES.values(),
    "listed": listed,
    "number": number,
    "switch": switch,
}


def page(name: str, status: int = 200, **values: Any) -> web.Response:
    """A page that no cache keeps, in the visitor's language."""
    template = _ENVIRONMENT.get_template(f"page/{name}.html")
    kept = {key: keep(value) if key in _ADDRESSES else value for key, value in values.items()}
    speech = spoken()
    html = template.render(speech=speech, product="scanpost", assets=_ASSETS, **kept)
    return web.Response(
        text=html,
        content_type="text/html",
        status=status,
        headers={
            "Cache-Control": "no-store",
            "Content-Language": speech.language.tag,
            "Vary": "Accept-Language",
        },
    )


def words_json(script: str) -> Markup:
    """What a page's script says in the visitor's language."""
    return json_for_script(words_for_script(_SCRIPTS_WORDS[script]))


def json_for_script(value: Any) -> Markup:
    """JSON that may stand inside a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=True)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 -- what HTML could read was escaped above
