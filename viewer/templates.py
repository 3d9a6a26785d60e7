"""Pages from templates/page, with the names of the built scripts and styles."""

import json
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

STATIC = Path(__file__).parent / "static"
BUNDLE: dict[str, Any] = json.loads((STATIC / "bundle.json").read_text())
_ASSETS = {name: f"/static/{built['file']}" for name, built in BUNDLE["outputs"].items()}
_ENVIRONMENT = Environment(
    loader=PackageLoader("templates", "."),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
)


def page(name: str, status: int = 200, **values: Any) -> web.Response:
    """A page that no cache keeps."""
    template = _ENVIRONMENT.get_template(f"page/{name}.html")
    html = template.render(lang="en", product="scanpost", assets=_ASSETS, **values)
    return web.Response(
        text=html,
        content_type="text/html",
        status=status,
        headers={"Cache-Control": "no-store"},
    )


def json_for_script(value: Any) -> Markup:
    """JSON that may stand inside a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=True)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 -- what HTML could read was escaped above
