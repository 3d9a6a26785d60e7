"""The languages of the pages: which one a visitor reads, and a sentence, a number or a moment in it.

A sentence stands in the code in English, whole, with {named} places; the catalogues in templates/locale
(GNU gettext) hold what it is called elsewhere. What has no translation is said in English.
"""

import io
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web
from babel.dates import format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from markupsafe import Markup, escape

import templates
from store.clock import SECOND, in_words
from store.errors import ScanpostError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOCALE = Path(templates.__file__).parent / "locale"
MOST_OFFERS = 20  # of an Accept-Language that are looked at; browsers send up to ten
_OFFER = re.compile(r"([a-z]{2,3})(?:-[a-z0-9-]{0,30})?(?:;q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?")


@dataclass(frozen=True)
class Language:
    """Attributes:
    code: as catalogue and address name it.
    tag: as HTML and HTTP name it (RFC 5646), so that a browser chooses the right letters.
    name: as its own speakers call it.
    moment: a day and a minute, in the letters of Unicode's date patterns; empty for English.
    """

    code: str
    tag: str
    name: str
    moment: str


LANGUAGES = {
    language.code: language
    for language in (
        Language("en", "en", "English", ""),
        Language("es", "es", "Español", "d 'de' MMMM 'de' y, HH:mm 'UTC'"),
        Language("de", "de", "Deutsch", "d. MMMM y, HH:mm 'UTC'"),
        Language("zh", "zh-Hans", "中文", "y年M月d日 HH:mm 'UTC'"),
    )
}
ENGLISH = LANGUAGES["en"]


@dataclass(frozen=True)
class Speech:
    """How one request is answered.

    Attributes:
        chosen: by a link of ours, and so to be kept from page to page.
        can_switch: whether the page may be asked for again in another language; what a POST has
            answered may not.
        query: what the address says besides the language.
    """

    language: Language = ENGLISH
    chosen: bool = False
    can_switch: bool = False
    query: tuple[tuple[str, str], ...] = ()


_NOBODY = Speech()
_SPEECH: ContextVar[Speech] = ContextVar("speech", default=_NOBODY)


@web.middleware
async def speak(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers in the visitor's language; a redirect keeps the one that was chosen."""
    language, chosen = language_of(request)
    query = tuple((name, value) for name, value in request.query.items() if name != "lang")
    _SPEECH.set(Speech(language, chosen, request.method in ("GET", "HEAD"), query))
    response = await handler(request)
    if "Location" in response.headers:
        response.headers["Location"] = keep(response.headers["Location"])
    return response


def language_of(request: web.Request) -> tuple[Language, bool]:
    """The language to answer in, and whether it was chosen on a page of ours."""
    chosen = LANGUAGES.get(request.query.get("lang", ""))
    if chosen:
        return chosen, True
    return accepted(",".join(request.headers.getall("Accept-Language", []))), False


def accepted(header: str) -> Language:
    """What an Accept-Language asks for most of ours (RFC 9110 12.5.4, lookup by the primary subtag)."""
    best, weight = ENGLISH, 0.0
    for offer in header[:1_000].lower().split(",")[:MOST_OFFERS]:
        found = _OFFER.fullmatch(offer.replace(" ", "").replace("\t", ""))
        if not found or found[1] not in LANGUAGES:
            continue
        asked = float(found[2] or 1)
        if asked > weight:
            best, weight = LANGUAGES[found[1]], asked
    return best


def spoken() -> Speech:
    return _SPEECH.get()


def language() -> Language:
    return _SPEECH.get().language


def keep(address: str) -> str:
    """An address of ours, in the language that was chosen."""
    if not spoken().chosen or not address.startswith("/"):
        return address
    parts = urlsplit(address)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "lang"]
    query.append(("lang", language().code))
    return urlunsplit(parts._replace(query=urlencode(query)))


def switch(to: Language) -> str:
    """Where a link of this page leads to the same page in another language."""
    return f"?{urlencode([*spoken().query, ('lang', to.code)])}"


# ---------------------------------------------------------------- words


def msgid(sentence: str) -> str:
    """Marks a sentence that stands in a table and is said later."""
    return sentence


def say(sentence: str, **values: object) -> str:
    """A sentence in the visitor's language, its {named} places filled."""
    said = _translations().gettext(sentence) if sentence else ""
    return said.format(**values) if values else said


def count(one: str, many: str, n: int, **values: object) -> str:
    """The same of a sentence with a number, {n}, in it."""
    said = _translations().ngettext(one, many, n)
    return said.format(n=number(n), **values)


def say_error(error: ScanpostError) -> str:
    return say(error.sentence, **error.values)


def say_markup(sentence: str, **values: object) -> Markup:
    """For templates: values are escaped, and markup among them stays markup."""
    return Markup(escape(say(sentence))).format(**values)  # noqa: S704 -- escaped just here


def listed(things: Iterable[str]) -> Markup:
    """Things of a kind, one after the other."""
    return Markup(escape(say(", "))).join(things)  # noqa: S704 -- escaped just here


def number(value: float, digits: int = 0) -> str:
    """As it is written there: "1,234.5" is "1.234,5" in German."""
    if language() is ENGLISH:
        return f"{value:,.{digits}f}"
    decimals = f".{'0' * digits}" if digits else ""
    return format_decimal(value, f"#,##0{decimals}", locale=language().code)


def moment(at: int) -> str:
    """A moment, in UTC as everywhere: "29. November 2026, 10:00 UTC"."""
    if language() is ENGLISH:
        return in_words(at)
    when = datetime.fromtimestamp(at / SECOND, UTC)
    return format_datetime(when, language().moment, tzinfo=UTC, locale=language().code)


def words_for_script(sentences: Iterable[str | list[str]]) -> dict[str, str | list[str]]:
    """What the script says, by its English; of a sentence with a number its forms. Nothing for English."""
    if language() is ENGLISH:
        return {}
    return dict(_for_script(sentences))


def _for_script(
    sentences: Iterable[str | list[str]],
) -> Iterator[tuple[str, str | list[str]]]:
    translations = _translations()
    for sentence in sentences:
        if isinstance(sentence, str):
            yield sentence, translations.gettext(sentence)
        else:
            one, many = sentence
            yield one, [translations.ngettext(one, many, n) for n in (1, 2)]


def _translations() -> NullTranslations:
    return _CATALOGUES[language().code]


def _read(code: str) -> NullTranslations:
    path = LOCALE / f"{code}.po"
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as written:
        catalogue = read_po(written, locale=code)
    packed = io.BytesIO()
    write_mo(packed, catalogue)
    packed.seek(0)
    return GNUTranslations(packed)


_CATALOGUES = {code: _read(code) for code in LANGUAGES}
