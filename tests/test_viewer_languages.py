"""Every page in four languages: whole catalogues, the right choice, and pages that hold their words."""

import os
import re
import string
import time
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path

import aiohttp
import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.axe import violations
from tests.conftest import Running, jaw_stl
from tests.fakes import ANNA, KIM, link_of, mail, reply, text_of
from tests.journeys.test_upload import ask, choose
from tests.reviewing import Watch, enter, fully_drawn, share
from tests.sentences import Sentence, all_sentences, glued_sentences
from viewer import languages
from viewer.languages import ENGLISH, LANGUAGES, LOCALE, Speech, accepted

TRANSLATED = [code for code in LANGUAGES if code != "en"]
LONG = bool(os.environ.get("SCANPOST_LONG_RUNS"))
# In a browser: one language that runs long, one in other letters; `make judges` looks at all.
LOOKED_AT = TRANSLATED if LONG else ["de"]
SIZES = [("de", 360), ("zh", 390), ("es", 360), ("de", 1440)]
SUBJECT = f"{KIM} C-1042 crown #30"
# These stand where there is little room.
BUTTONS = (
    *("Approve", "Ask for changes", "Send", "Cancel", "Close", "Undo", "Use it", "Confirm"),
    *("Front", "Back", "Left", "Right", "Upper", "Lower", "Fit in", "Distance", "Angle"),
    *("Thickness", "Section", "Contacts", "Changes", "Pin", "Arrow", "Colour", "Mesh", "Depth"),
    *("Phone", "Print", "Flip", "Face it", "Across", "Level", "As seen", "Show all", "Show it"),
    *("Try again", "Open it again", "shown", "hidden", "Agree and share", "Switch codes on"),
)
ROOMY = 12  # letters, for which there is room everywhere
SEEN = os.environ.get("SCANPOST_SCREENSHOTS", "")  # a folder, to look at the pages


# ---------------------------------------------------------------- catalogues


def catalogue(code: str) -> Catalog:
    with (LOCALE / f"{code}.po").open("rb") as written:
        return read_po(written, locale=code, abort_invalid=True)


def forms(said: Sentence | list[str]) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said)


def places(sentence: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None)


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_holds_every_sentence_of_the_pages_and_no_other(code: str) -> None:
    wanted = all_sentences()
    entries = {entry.id: entry for entry in catalogue(code) if entry.id}
    missing = [f"{place}: {said}" for said, place in wanted.items() if said not in entries]
    assert not missing, f"add these to templates/locale/{code}.po:\n" + "\n".join(missing)
    superfluous = [str(said) for said in entries if said not in wanted]
    assert not superfluous, f"nobody says these any more, see {code}.po: {superfluous}"
    for said, entry in entries.items():
        assert not entry.fuzzy, f"{code}.po: {said} is marked as fuzzy"
        assert all(forms(entry.string)), f"{code}.po: {said} is not translated"
    assert not catalogue(code).obsolete, f"{code}.po holds entries that are commented out"


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_has_the_places_of_its_sentence_and_its_manners(code: str) -> None:
    found = catalogue(code)
    for entry in found:
        if not entry.id:
            continue
        expected = places(forms(entry.id)[-1])
        translated = forms(entry.string)
        if len(forms(entry.id)) > 1:
            assert len(translated) == found.num_plurals, entry.id
        for form in translated:
            left_out = set(expected) - set(places(form))
            one_of_many = left_out <= {"n"} and len(translated) > 1 and form == translated[0]
            assert places(form) == expected or one_of_many, f"{code}.po: {entry.id}"
            assert "!" not in form, f"{code}.po shouts: {form}"
            assert "！" not in form, f"{code}.po shouts: {form}"
            alike = ends(form) == ends(forms(entry.id)[-1])
            assert alike or code == "zh", f"{code}.po: {form}"


def ends(sentence: str) -> str:
    return sentence[-1:] if sentence[-1:] in ".:?" else ""


@pytest.mark.parametrize("code", TRANSLATED)
def test_words_on_buttons_stay_short(code: str) -> None:
    found = catalogue(code)
    for said in BUTTONS:
        assert said in found, f"{said} is on no page any more"
        length = len(found[said].string)
        assert length <= max(ROOMY, 1.6 * len(said)), f"{code}.po: {found[said].string}"


def test_a_sentence_is_translated_before_its_values_are_put_in() -> None:
    glued = glued_sentences()
    assert not glued, "write {named} places and give their values: " + ", ".join(glued)


# ---------------------------------------------------------------- the choice


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("zh-Hans-CN", "zh"),
        ("zh-TW, en;q=0.5", "zh"),
        ("ES-419", "es"),
        ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", "en"),
        ("fr, de;q=0.3", "de"),
        ("en;q=0.4, es;q=0.6", "es"),
        ("de;q=0, es;q=0.001", "es"),
        ("de;q=0", "en"),
        ("en, de", "en"),
        ("*", "en"),
        ("de ; q=0.7 ,\tes;q=0.2", "de"),
        ("de;q=nan, es;q=inf, zh;q=1.5", "en"),
        ("deutsch, d, \u0000, ;;;q=, de_AT", "en"),
    ],
)
def test_a_browser_is_answered_in_what_it_asks_for_most(header: str, code: str) -> None:
    assert accepted(header).code == code


@pytest.mark.parametrize(
    "header",
    ["," * 8000, "de;q=" * 1600, "a-" * 4000, "de;" + " " * 8000, "9" * 8000, "de-" + "a-" * 4000],
)
def test_hostile_offers_cost_nothing(header: str) -> None:
    before = time.process_time()
    for _ in range(200):
        assert accepted(header) is ENGLISH
    assert time.process_time() - before < 1


def test_numbers_and_moments_are_written_as_they_are_there() -> None:
    at = 1_795_946_400_000
    said = {}
    for code, language in LANGUAGES.items():
        languages._SPEECH.set(Speech(language))
        triangles = languages.count("{n} triangle", "{n} triangles", 12_345)
        said[code] = (languages.moment(at), triangles, languages.number(3.25, 1))
    languages._SPEECH.set(Speech())
    assert said == {
        "en": ("29 November 2026, 10:00 UTC", "12,345 triangles", "3.2"),
        "es": ("29 de noviembre de 2026, 10:00 UTC", "12.345 triángulos", "3,2"),
        "de": ("29. November 2026, 10:00 UTC", "12.345 Dreiecke", "3,2"),
        "zh": ("2026年11月29日 10:00 UTC", "12,345 个三角面", "3.2"),
    }


def test_values_in_a_translated_page_stay_text() -> None:
    languages._SPEECH.set(Speech(LANGUAGES["de"]))
    said = languages.say_markup("Note from {name}", name="<b>{0.__class__}</b>")
    languages._SPEECH.set(Speech())
    assert said == f"Notiz von {escape('<b>{0.__class__}</b>')}"


# ---------------------------------------------------------------- over the wire


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        yield client


@pytest.mark.parametrize(
    ("asked", "query", "tag", "heading"),
    [
        ("en-GB", "", "en", "Nothing here"),
        ("es", "", "es", "Aquí no hay nada"),
        ("de-AT,en;q=0.5", "", "de", "Hier ist nichts"),
        ("zh-TW", "", "zh-Hans", "此处没有内容"),
        ("de", "?lang=es", "es", "Aquí no hay nada"),
        ("de", "?lang=../x", "de", "Hier ist nichts"),
        ("x" * 4000, "", "en", "Nothing here"),
    ],
)
async def test_a_page_says_its_language_and_that_another_may_be_asked_for(
    running: Running,
    web: aiohttp.ClientSession,
    asked: str,
    query: str,
    tag: str,
    heading: str,
) -> None:
    headers = {"Accept-Language": asked}
    async with web.get(f"{running.url}/r/none{query}", headers=headers) as answer:
        html = await answer.text()
        assert answer.status == 404
        assert answer.headers["Content-Language"] == tag
        assert answer.headers["Vary"] == "Accept-Language"
        assert "Set-Cookie" not in answer.headers
    assert f'<html lang="{tag}">' in html
    assert f"<h1>{heading}</h1>" in html
    links = re.findall(r'<a href="([^"]*)" lang="([^"]*)"', html)
    assert links == [(f"?lang={one.code}", one.tag) for one in LANGUAGES.values()]


async def test_a_chosen_language_stays_over_the_click_and_no_other_site_gets_it(
    running: Running, web: aiohttp.ClientSession
) -> None:
    await running.postman.send(mail(SUBJECT, "x", {"upper.stl": jaw_stl()}))
    link = link_of(await running.inbox.letter("share", KIM))
    async with web.get(f"{link}?lang=es") as answer:
        html = await answer.text()
    action = re.search(r'action="([^"]+)"', html)[1]
    assert action == f"{link.removeprefix(running.url)}/open?lang=es"
    headers = {"Origin": running.house.settings.base_url, "Accept-Language": "de"}
    async with web.post(running.url + action, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == f"{link.removeprefix(running.url)}?lang=es"
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    headers["Cookie"] = cookie
    async with web.get(f"{link}?lang=es", headers=headers) as answer:
        html = await answer.text()
    assert 'action="' in html
    assert set(re.findall(r'action="[^"]*/remarks([^"]*)"', html)) == {"?lang=es"}
    form = aiohttp.FormData({"kind": "comment", "version": "7", "text": "hola"})
    form.add_field("none", b"", filename="none")
    where = f"{link}/remarks?lang=es"
    async with web.post(where, data=form, headers=headers, allow_redirects=False) as answer:
        html = await answer.text()
        assert answer.status == 400
    assert "Esta versión ya no está en el caso." in html
    assert f'href="{link.removeprefix(running.url)}?lang=es"' in html
    assert "?lang=de" not in html, "what a POST has answered cannot be asked for again"


# ---------------------------------------------------------------- in a browser


# What may be read in every language: names, units, the product, the commands of letters.
SHARED_WORDS = re.compile(
    r"C-1042 crown #30|Is the margin closed\?|C-1042_\S+|SHA-256 ?[0-9a-f]*|[A-Z0-9]{4}-[A-Z0-9]{4}\S*|scanpost|UTC|mm|MB|v\d"
    r"|Anna Berg|Berg Dental|Kim|English|Español|Deutsch|中文|\S+@\S+|EXTEND|DELETE|STL|OBJ|ZIP|\S+\.stl|\d{4}-\d\d|PDF"
)
SEEN_AND_HEARD = """() => {
  const words = [document.body.innerText];
  const {lang} = document.documentElement;
  // What says itself that it is in another language.
  for (const one of document.querySelectorAll(`body [lang]:not([lang="${lang}"])`))
    words[0] = words[0].replace(one.innerText, "");
  for (const one of document.querySelectorAll("[aria-label], img[alt]"))
    if (!one.hidden) words.push(one.getAttribute("aria-label") ?? one.alt);
  for (const one of document.querySelectorAll(".for-ears, dialog")) words.push(one.textContent);
  return words.join("\\n");
}"""


def english_words() -> set[str]:
    """Words that are in our English sentences, and in no translation into German or Spanish."""
    said = {word for one in all_sentences() for form in forms(one) for word in words_of(form)}
    elsewhere = {
        word
        for code in TRANSLATED
        for entry in catalogue(code)
        for form in forms(entry.string)
        for word in words_of(form)
    }
    return said - elsewhere


def words_of(text: str) -> set[str]:
    plain = re.sub(r"\{\w+\}", " ", text)
    return {word.lower() for word in re.findall(r"[^\W\d_]{2,}", plain)}


async def look(page: Page, name: str, tag: str) -> None:
    """No English is left, nothing hangs over the edge, and axe finds nothing wrong."""
    assert await page.evaluate("document.documentElement.lang") == tag
    seen = SHARED_WORDS.sub(" ", await page.evaluate(SEEN_AND_HEARD))
    left = words_of(seen) & english_words()
    assert not left, f"{name} says in English: {left}"
    await fits(page, name)
    assert await violations(page) == [], name


async def fits(page: Page, name: str) -> None:
    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{name} is {wide} pixels too wide"
    cut = await page.evaluate("""() => [...document.querySelectorAll("button, .part-name, h2, .line, .card-row, .card-row > *")]
      .filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1)
      .map((e) => e.textContent.trim())""")
    assert not cut, f"{name} cuts {cut}"
    if SEEN:
        await page.screenshot(path=Path(SEEN) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("code", "width"), SIZES if LONG else SIZES[:1])
async def test_the_review_page_speaks_and_fits(
    running: Running, chromium: Browser, axe: Path, code: str, width: int
) -> None:
    shared = await share(running)
    link = shared.reviewers
    tag, phone = LANGUAGES[code].tag, width < 800
    context = await chromium.new_context(
        viewport={"width": width, "height": 844 if phone else 900},
        locale={"zh": "zh-CN"}.get(code, code),
        has_touch=phone,
    )
    await context.add_init_script(path=axe)
    page = await context.new_page()
    watch = Watch(running.url)
    watch.over(page)
    await page.goto(link)
    assert await page.evaluate("document.documentElement.lang") == tag
    assert await page.locator(".languages [aria-current]").inner_text() == LANGUAGES[code].name
    await fits(page, f"{code}-{width}-entry")
    assert await violations(page) == []

    await page.click("button[type=submit]")
    await fully_drawn(page)
    await look(page, f"{code}-{width}-page", tag)
    await page.click("[data-view=lower]")
    await page.wait_for_selector(".line-action:visible")
    for tool in ("section", "distance"):
        await page.click(f"[data-tool={tool}]")
    await look(page, f"{code}-{width}-tools", tag)
    comma = "," if code in ("de", "es") else "."
    assert re.fullmatch(rf"\d+{comma}\d mm", await page.locator(".card output").inner_text())
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    for sheet in ("changes", "approved"):
        await page.click(f"[data-decide={sheet}]")
        await look(page, f"{code}-{width}-{sheet}", tag)
        await page.click(f"#decide-{sheet} button[type=submit]")
        if sheet == "changes":  # without a reason it is refused, in words
            await page.wait_for_selector("#decide-changes .sheet-problem:not(:empty)")
            await look(page, f"{code}-{width}-refused", tag)
            watch.complaints.clear()  # the browser's own note of the 400
            await page.click("#decide-changes [data-close]")
    await page.wait_for_selector(".decide-state:not(:empty)")
    await page.locator(".languages").scroll_into_view_if_needed()
    await look(page, f"{code}-{width}-decided", tag)
    assert watch.complaints == []
    await context.close()
    assert await english_again(chromium, shared.owners)


async def english_again(chromium: Browser, link: str) -> bool:
    """The links in the foot switch, and stay switched over the click."""
    context = await chromium.new_context(locale="de")
    page = await context.new_page()
    await page.goto(link)
    await page.click(".languages a[lang=en]")
    await page.click("button[type=submit]")
    await page.wait_for_selector(".workplace")
    said = await page.inner_text(".say .secondary")
    await context.close()
    return page.url == f"{link}?lang=en" and said == "Send"


@pytest.mark.parametrize("code", ["de", "zh"] if LONG else ["zh"])
async def test_the_owners_pages_speak_too(
    running: Running, chromium: Browser, axe: Path, code: str
) -> None:
    shared = await share(running)
    await running.postman.send(reply(await running.inbox.letter("answer", ANNA), "2FA ON"))
    letter = text_of(await running.inbox.letter("confirm", ANNA))
    tag = LANGUAGES[code].tag
    context = await chromium.new_context(
        viewport={"width": 360, "height": 740}, locale={"zh": "zh-CN"}.get(code, code)
    )
    await context.add_init_script(path=axe)
    page = await context.new_page()
    await page.goto(next(word for word in letter.split() if "/c/" in word))
    await look(page, f"{code}-enrol", tag)
    await page.click("button[type=submit]")
    await page.wait_for_selector(".qr svg")
    await look(page, f"{code}-picture", tag)
    await page.fill("[name=code]", "123456")
    await page.click("button[type=submit]")
    await page.wait_for_selector("[role=alert]")
    await look(page, f"{code}-wrong", tag)
    await page.goto(f"{running.url}/c/none")
    await look(page, f"{code}-ended", tag)
    owner = await enter(context, shared.owners)
    await fully_drawn(owner)
    await owner.wait_for_selector(".problems")
    await look(owner, f"{code}-owner", tag)
    await context.close()


async def small_phone(browser: Browser, axe: Path, code: str, **options: bool) -> BrowserContext:
    context = await browser.new_context(
        viewport={"width": 360, "height": 740}, locale={"zh": "zh-CN"}.get(code, code), **options
    )
    await context.add_init_script(path=axe)
    return context


@pytest.mark.parametrize("code", LOOKED_AT)
async def test_the_ways_in_and_out_speak(
    running: Running, chromium: Browser, axe: Path, code: str
) -> None:
    shared, tag = await share(running), LANGUAGES[code].tag
    await running.postman.send(
        reply(await running.inbox.letter("answer", ANNA), "PASSWORD: gull teapot 4711")
    )
    await running.inbox.letter("transcript", ANNA)
    first = await small_phone(chromium, axe, code, java_script_enabled=False)
    page = await first.new_page()
    await page.goto(shared.reviewers)
    await page.fill("[name=password]", "gull teapot 4711")
    await page.click("button[type=submit]")
    await page.click(".ways-out button")
    await page.wait_for_selector(".ended")
    left = page.url
    await first.close()

    context = await small_phone(chromium, axe, code)
    page = await context.new_page()
    await page.goto(f"{shared.reviewers}?from={'a' * 52}")
    await look(page, f"{code}-scanned", tag)
    await page.click(f".languages a[lang={tag}]")
    assert await page.locator("[name=from]").count() == 1, (
        "the language link keeps what was scanned"
    )
    await page.click("button[type=submit]")
    await page.wait_for_selector("[role=alert]")
    await look(page, f"{code}-scanned-late", tag)
    await page.goto(left.removesuffix("/leave"))
    await page.click("button[type=submit]")
    await page.wait_for_selector("[name=address]")
    await look(page, f"{code}-address", tag)
    await page.evaluate("document.querySelector('form').noValidate = true")
    await page.fill("[name=address]", "kim")
    await page.click("button[type=submit]")
    await page.wait_for_selector("[role=alert]")
    await look(page, f"{code}-address-wrong", tag)
    await page.fill("[name=address]", KIM)
    await page.click("button[type=submit]")
    await page.wait_for_selector("[name=code]")
    await look(page, f"{code}-code", tag)
    await page.fill("[name=code]", "000000")
    await page.fill("[name=password]", "wrong")
    await page.click("button[type=submit]")
    await page.wait_for_selector("[role=alert]")
    await look(page, f"{code}-code-wrong", tag)
    await page.goto(f"{shared.reviewers}/stop")
    await look(page, f"{code}-stop", tag)
    await page.check("[value='not me']")
    await page.click("button[type=submit]")
    await page.wait_for_selector(".ended")
    await look(page, f"{code}-stopped", tag)
    await page.goto(shared.reviewers)
    await look(page, f"{code}-dead", tag)
    told = text_of(await running.inbox.letter("notice", ANNA))
    assert "This is not for me." in told, "letters are English"
    await context.close()


@pytest.mark.parametrize("code", LOOKED_AT)
async def test_the_upload_page_speaks(
    running: Running, chromium: Browser, axe: Path, tmp_path: Path, code: str
) -> None:
    running.house.settings = running.house.settings.model_copy(update={"max_mail_mb": 2})
    asked, tag = await ask(running), LANGUAGES[code].tag
    found = catalogue(code)

    def said(sentence: str) -> str:
        return str(found[sentence].string)

    for name, size in {"small": 500, "huge": 45_000}.items():
        (tmp_path / f"{name}.stl").write_bytes(jaw_stl("upper", size))
    context = await small_phone(chromium, axe, code)
    page = await context.new_page()
    await page.goto(asked.link)
    await look(page, f"{code}-upload", tag)
    await choose(page, tmp_path / "small.stl", tmp_path / "huge.stl")
    state = page.locator(".upload-state")
    await expect(state).to_have_text(said("Here"))
    await page.wait_for_selector(".problem:visible")
    await look(page, f"{code}-upload-here", tag)
    await page.fill("[name=reviewers]", "kim")
    await page.click("form .primary")
    refused = said("Write the reviewer's e-mail address.")
    await expect(page.locator(".problem")).to_have_text(refused)
    await look(page, f"{code}-upload-refused", tag)
    await page.fill("[name=reviewers]", KIM)
    await page.click("form .primary")
    await page.wait_for_selector("h1[tabindex]")
    await look(page, f"{code}-upload-taken", tag)
    await page.reload()
    await look(page, f"{code}-upload-gone", tag)
    await context.close()


async def test_a_chosen_language_stays_on_the_upload_page_without_a_script(
    running: Running, web: aiohttp.ClientSession
) -> None:
    link = (await ask(running)).link
    path = link.removeprefix(running.url)
    headers = {"Origin": running.house.settings.base_url, "Accept-Language": "de"}
    form = aiohttp.FormData({"reviewers": ""})
    form.add_field("files", jaw_stl("upper", 50), filename="a.stl")
    async with web.post(f"{link}?lang=es", data=form, headers=headers) as answer:
        html = await answer.text()
        assert answer.status == 409
    assert "Escriba la dirección de correo de quien revisa." in html
    assert f'action="{path}?lang=es"' in html
    remove = re.search(r'formaction="([^"]+)"', html)
    assert remove
    assert remove[1] == f"{path}/files/1/remove?lang=es"
    async with web.post(running.url + remove[1], headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == f"{path}?lang=es"
    asks = {"Origin": headers["Origin"], "Accept-Language": "zh-Hans"}
    async with web.post(f"{link}/share", json={}, headers=asks) as answer:
        assert (await answer.json())["sentence"] == "请先选择扫描。"


async def test_a_language_link_keeps_the_rest_of_the_address(
    running: Running, web: aiohttp.ClientSession
) -> None:
    async with web.get(f"{running.url}/r/none?again=1&lang=de&x=%22%3E%26") as answer:
        html = await answer.text()
    hrefs = re.findall(r'<a href="([^"]*)" lang=', html)
    assert hrefs == [f"?again=1&amp;x=%22%3E%26&amp;lang={code}" for code in LANGUAGES]
