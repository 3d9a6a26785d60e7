"""The web server as programs meet it: headers, sessions, refusals, ranges, names, caches."""

import asyncio
import gzip
import json
import re
import socket
from collections.abc import AsyncIterator
from email.message import Message
from urllib.parse import quote, unquote

import aiohttp
import brotli
import pytest
import sqlalchemy as sa
from yarl import URL

from store.blobs.sealed import CHUNK
from store.clock import DAY, HOUR, SECOND
from store.house import SealedObject, object_name
from store.records import access, cases
from store.records.schema import metadata
from store.states import LetterState
from tests.conftest import Running, jaw_stl
from tests.fakes import KIM, PATIENCE, link_of, mail, reply, text_of
from viewer.files import content_disposition
from viewer.headers import _ALWAYS
from viewer.templates import BUNDLE, STATIC

LEE = "lee@clinic.example"
UPPER = jaw_stl("upper")
FILES = {"C-1042-UpperJaw.stl": UPPER}
SUBJECT = f"{KIM} C-1042 crown #30"
SECURE = "https://scans.example"
NOWHERE = "/r/aaaaaaaaaaaaaaaaaaaaaaaaaa"
ROBOTS = [
    "Mozilla/5.0 (compatible; Proofpoint URL Defense)",
    "Mozilla/5.0 (Windows NT 10.0) SafeLinks",
    "Barracuda Sentinel",
    "Mimecast-URL-Scanner",
    "Slackbot-LinkExpanding 1.0",
    "facebookexternalhit/1.1",
    "WhatsApp/2.23",
    "Mozilla/5.0 (compatible; bingbot/2.0)",
    "curl/8.5.0",
    "",
]


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    """A client without a memory, that unpacks nothing: it sends only what a test gives it."""
    async with aiohttp.ClientSession(
        headers={"Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as client:
        yield client


async def share(running: Running, subject: str = SUBJECT) -> tuple[str, str]:
    """A case of one scan; returns the owner's link and Kim's."""
    await running.postman.send(mail(subject, "margins please", FILES))
    answer = await running.inbox.letter("answer")
    link = link_of(await running.inbox.letter("share", KIM))
    await settle(running)
    return link_of(answer), link


async def enter(
    running: Running, web: aiohttp.ClientSession, link: str, before: dict[str, str] | None = None
) -> dict[str, str]:
    """Presses the button, perhaps with an older cookie; returns the cookie as a request header."""
    headers = {"Origin": running.house.settings.base_url} | (before or {})
    async with web.post(f"{link}/open", headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303
        [(name, morsel)] = answer.cookies.items()
    return {"Cookie": f"{name}={morsel.value}"}


async def database(running: Running) -> dict[str, list[str]]:
    """Every row of every table."""
    rows = {}
    async with running.house.database.read() as connection:
        for table in metadata.sorted_tables:
            found = await connection.execute(sa.select(table))
            rows[table.name] = sorted(repr(tuple(row)) for row in found)
    return rows


async def settle(running: Running) -> None:
    """Waits until every letter is booked as sent: from then on only visitors change anything."""
    letters = metadata.tables["letters"]
    unsent = sa.select(sa.func.count()).where(letters.c.state != LetterState.SENT)
    async with asyncio.timeout(PATIENCE):
        while True:
            async with running.house.database.read() as connection:
                if (await connection.execute(unsent)).scalar_one() == 0:
                    return


async def status(web: aiohttp.ClientSession, url: str, **given: object) -> int:
    async with web.get(url, allow_redirects=False, **given) as answer:
        return answer.status


async def test_every_kind_of_answer_carries_the_policy_headers(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    cookie = await enter(running, web, link)
    origin = {"Origin": running.url}
    script = BUNDLE["outputs"]["app.js"]["file"]
    mesh = f"{link}/v/1/scan/1/full.glb"
    kinds = [
        ("GET", "/", {}, 200),
        ("GET", "/healthz", {}, 200),
        ("GET", link, {}, 200),
        ("HEAD", link, {}, 200),
        ("GET", link, cookie, 200),
        ("POST", f"{link}/open", origin, 303),
        ("POST", f"{link}/open", {}, 403),
        ("POST", f"{link}/seen", origin | cookie, 204),
        ("GET", mesh, {}, 403),
        ("GET", mesh, cookie, 200),
        ("GET", mesh, cookie | {"Range": "bytes=5-9"}, 206),
        ("GET", mesh, cookie | {"Range": "bytes=999999999-"}, 416),
        ("GET", f"{link}/v/1/poster.webp", cookie, 200),
        ("GET", f"{link}/v/1/scan/1/download", cookie, 200),
        ("GET", f"{link}/v/1/scan/9/full.glb", cookie, 404),
        ("GET", f"/static/{script}", {}, 200),
        ("GET", "/static/none.js", {}, 404),
        ("GET", "/none", {}, 404),
        ("GET", NOWHERE, {}, 404),
        ("OPTIONS", link, {}, 405),
    ]
    for method, path, headers, expected in kinds:
        url = path if path.startswith("http") else running.url + path
        async with web.request(method, url, headers=headers, allow_redirects=False) as answer:
            assert answer.status == expected, (method, path)
            for name, value in _ALWAYS.items():
                assert answer.headers.getall(name) == [value], (method, path, name)
            assert "Strict-Transport-Security" not in answer.headers
            assert "Access-Control-Allow-Origin" not in answer.headers
            if path == "/healthz":
                assert await answer.text() == "ok\n"


async def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    policy = _ALWAYS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    for forbidden in ("unsafe-inline", "unsafe-eval'", "*", "http:", "https:"):
        assert forbidden not in policy.replace("'wasm-unsafe-eval'", "")


async def test_behind_https_cookies_are_bound_to_the_host_and_transport_is_strict(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    settings = running.house.settings
    own = {"Origin": settings.base_url}
    async with web.post(f"{link}/open", headers=own, allow_redirects=False) as answer:
        [written] = answer.headers.getall("Set-Cookie")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(written.split("; "))
    assert "__Host-" not in written
    assert "Secure" not in written
    running.house.settings = settings.model_copy(update={"base_url": SECURE})
    assert await status(web, link) == 200
    url = f"{link}/open"
    again = {"Origin": SECURE, "Cookie": f"__Host-{written.partition(';')[0]}"}
    async with web.post(url, headers=again, allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
        [written] = answer.headers.getall("Set-Cookie")
    name, *attributes = (part.strip() for part in written.split(";"))
    assert name.startswith("__Host-")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
    assert not [one for one in attributes if one.lower().startswith("domain")]
    cookie = {"Cookie": name}
    assert await status(web, f"{link}/v/1/poster.webp", headers=cookie) == 200
    async with web.post(url, headers={"Origin": settings.base_url}) as answer:
        assert answer.status == 403


async def test_a_post_counts_only_from_our_own_pages(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    cookie = await enter(running, web, link)
    before = await database(running)
    foreign = [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": f"{running.url}.evil.example"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Referer": running.url},
    ]
    for headers in foreign:
        for action in ("open", "seen"):
            async with web.post(f"{link}/{action}", headers=headers | cookie) as answer:
                assert answer.status == 403, headers
                assert not answer.cookies
                assert "another site" in await answer.text()
    assert await database(running) == before
    own = {"Origin": "null", "Sec-Fetch-Site": "same-origin"} | cookie
    for action, expected in (("seen", 204), ("open", 303)):
        async with web.post(f"{link}/{action}", headers=own, allow_redirects=False) as answer:
            assert answer.status == expected


async def test_visits_of_robots_change_nothing_and_the_link_still_opens(
    running: Running, web: aiohttp.ClientSession
) -> None:
    owners, link = await share(running)
    before = await database(running)
    paths = [
        "",
        "/open",
        "/seen",
        "/v/1/poster.webp",
        "/v/1/scan/1/full.glb",
        "/v/1/scan/1/download",
    ]
    for number in range(20):
        headers = {"User-Agent": ROBOTS[number % len(ROBOTS)]}
        for method in ("GET", "HEAD", "OPTIONS"):
            for path in paths if number == 0 else [""]:
                for one in (link, owners):
                    async with web.request(method, one + path, headers=headers) as answer:
                        assert answer.status in (200, 403, 405)
                        assert not answer.cookies
                        assert b"C-1042" not in await answer.read()
    assert await database(running) == before
    async with running.house.database.read() as connection:
        [kim] = await access.reviewers_of(connection, (await running.only_case()).id)
    assert (kim.views, kim.first_view_at) == (0, None)
    cookie = await enter(running, web, link)
    async with web.get(link, headers=cookie) as answer:
        assert "C-1042" in await answer.text()


async def test_the_page_travels_packed_to_whoever_unpacks_it(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    cookie = await enter(running, web, link)
    bodies = {}
    for offer in ("gzip, deflate, br", "gzip;q=0", "identity"):
        async with web.get(link, headers=cookie | {"Accept-Encoding": offer}) as answer:
            assert {"Accept-Language", "Accept-Encoding"} <= set(answer.headers["Vary"].split(", "))
            assert answer.headers["Cache-Control"] == "no-store"
            packed = answer.headers.get("Content-Encoding") == "gzip"
            assert packed == (offer == "gzip, deflate, br")
            bodies[offer] = await answer.read()
    small, *plain = bodies.values()
    assert len(small) < len(plain[0]) / 3
    assert all(b"C-1042" in body for body in [gzip.decompress(small), *plain])


async def test_unknown_and_dead_links_are_the_same_plain_page(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    answer = await running.inbox.letter("answer")
    cookie = await enter(running, web, link)
    await running.postman.send(reply(answer, "REVOKE"))
    await running.inbox.letter("transcript")
    shapes = set()
    token = link.rsplit("/", 1)[1]
    wrong = [NOWHERE, f"/r/{token[:-1]}", f"/r/{token}a", f"/r/{token.upper()}", "/r/%00"]
    for path, expected in [(f"/r/{token}", 410)] + [(path, 404) for path in wrong]:
        for below in ("", "/v/1/poster.webp", "/v/1/scan/1/preview.glb", "/v/1/scan/1/download"):
            url = URL(running.url + path + below, encoded=True)
            async with web.get(url, headers=cookie) as page:
                assert page.status == expected, url
                html = await page.text()
                assert page.content_type == "text/html"
                assert page.headers["Cache-Control"] == "no-store"
        assert "C-1042" not in html
        assert "<script" not in html
        words = r"<(title|h1|p)>.*?</\1>"
        shapes.add(re.sub(words, r"<\1>", html))
        async with web.post(
            f"{running.url}{path}/open", headers={"Origin": running.url}, allow_redirects=False
        ) as refused:
            assert refused.status == expected
            assert not refused.cookies
    assert len(shapes) == 1


async def test_a_session_ends_after_8_idle_hours_and_after_7_days(
    running: Running, web: aiohttp.ClientSession, clock
) -> None:
    _, link = await share(running)
    picture = f"{link}/v/1/poster.webp"
    cookie = await enter(running, web, link)
    clock.advance(8 * HOUR - 1)
    assert await status(web, picture, headers=cookie) == 200
    clock.advance(1)
    assert await status(web, picture, headers=cookie) == 403
    async with web.get(link, headers=cookie) as answer:
        assert "Open the case" in await answer.text()

    await running.postman.send(reply(await running.inbox.letter("answer"), "EXTEND 14"))
    await running.inbox.letter("transcript")
    began = clock.now() - 8 * HOUR
    cookie = await enter(running, web, link, cookie)
    end = began + 7 * DAY  # a click wakes a session, and gives it no more days
    while clock.now() + 7 * HOUR < end:
        clock.advance(7 * HOUR)
        async with web.get(link, headers=cookie) as answer:  # a visit keeps the session awake
            assert "C-1042" in await answer.text()
    clock.time = end - 1
    assert await status(web, picture, headers=cookie) == 200
    clock.time = end
    assert await status(web, picture, headers=cookie) == 403


async def test_a_session_opens_no_other_persons_link(
    running: Running, web: aiohttp.ClientSession
) -> None:
    owners, kims = await share(running, f"{KIM}, {LEE} C-1042 crown #30")
    lees = link_of(await running.inbox.letter("share", LEE))
    secret = (await enter(running, web, kims))["Cookie"].partition("=")[2]
    for link in (lees, owners):
        name = (await enter(running, web, link))["Cookie"].partition("=")[0]
        stolen = {"Cookie": f"{name}={secret}"}
        async with web.get(link, headers=stolen) as answer:
            assert "C-1042" not in await answer.text()
        for path in (
            "/v/1/poster.webp",
            "/v/1/scan/1/preview.glb",
            "/v/1/scan/1/full.glb",
            "/v/1/scan/1/download",
        ):
            assert await status(web, link + path, headers=stolen) == 403
            assert await status(web, link + path) == 403


async def test_a_range_gives_exactly_those_bytes_or_is_refused_or_means_the_whole(
    running: Running, web: aiohttp.ClientSession
) -> None:
    owners, _ = await share(running)
    cookie = await enter(running, web, owners)
    url = f"{owners}/v/1/scan/1/download"
    ranges = {
        "bytes=100-199": (100, 200),
        "bytes=0-0": (0, 1),
        "bytes=100-": (100, len(UPPER)),
        "bytes=-84": (len(UPPER) - 84, len(UPPER)),
        "bytes=100-99999999999": (100, len(UPPER)),
    }
    for asked, (start, stop) in ranges.items():
        headers = cookie | {"Range": asked}
        async with web.get(url, headers=headers) as answer:
            assert answer.status == 206, asked
            assert await answer.read() == UPPER[start:stop]
            expected = f"bytes {start}-{stop - 1}/{len(UPPER)}"
            assert answer.headers["Content-Range"] == expected

    # Beyond the end is refused; what says nothing that one range can mean gets the whole.
    for asked in (f"bytes={len(UPPER)}-", "bytes=99999999999999999999-", "bytes=-0"):
        async with web.get(url, headers=cookie | {"Range": asked}) as answer:
            assert answer.status == 416, asked
            assert answer.headers["Content-Range"] == f"bytes */{len(UPPER)}"
            assert UPPER[:100] not in await answer.read()
    whole = [
        "bytes=5-2",
        "bytes=-",
        "bytes=a-b",
        "lines=0-9",
        "bytes=0-1,5-6",
        "bytes=" + "9" * 5000,
    ]
    for asked in whole:
        async with web.get(url, headers=cookie | {"Range": asked}) as answer:
            assert answer.status == 200, asked
            assert await answer.read() == UPPER
    async with web.head(url, headers=cookie) as answer:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) == len(UPPER)
        assert answer.headers["Accept-Ranges"] == "bytes"


async def test_every_download_is_in_the_trail_also_one_in_parts_and_a_look_at_its_head_is_not(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    url = f"{link}/v/1/scan/1/download"
    cookie = await enter(running, web, link)

    async def downloads() -> int:
        rows = (await database(running))["audit"]
        return sum("'downloaded'" in row and KIM in row for row in rows)

    async with web.head(url, headers=cookie) as answer:
        assert answer.status == 200
    assert await downloads() == 0
    assert await status(web, url) == 403
    assert await downloads() == 0
    for number, asked in enumerate(["", "bytes=1-", "bytes=-99999999", "lines=0-9"], 1):
        headers = cookie | ({"Range": asked} if asked else {})
        assert await status(web, url, headers=headers) in (200, 206)
        assert await downloads() == number


HOSTILE_NAMES = [
    'upper "final".stl',
    "back\\slash\\upper.stl",
    "Zähne 上颌 näher.stl",
    "upper\u202elts.exe",
    "a\u200fb; filename=evil.exe",
    "percent%22%0d%0aX-Evil: 1.stl",
    "line\r\nX-Evil: 1.stl",
    "it's 100% (fine).stl",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_file_name_cannot_break_out_of_its_header(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    message = Message()
    message["Content-Disposition"] = header
    parameters = dict(message.get_params(header="Content-Disposition", unquote=False)[1:])
    assert list(parameters) == ["filename", "filename*"] or list(parameters) == ["filename"]
    plain = re.match(r'attachment; filename="([^"\\%]*)"; filename\*=UTF-8\'\'(\S+)$', header)
    assert plain
    assert unquote(plain[2]) == name


async def test_the_owner_gets_the_file_under_the_name_it_came_with(
    running: Running, web: aiohttp.ClientSession
) -> None:
    owners, link = await share(running)
    scans = metadata.tables["scans"]
    theirs, kims = await enter(running, web, owners), await enter(running, web, link)
    for name in HOSTILE_NAMES:
        async with running.house.database.write() as connection:
            await connection.execute(sa.update(scans).values(original_name=name))
        async with web.get(f"{owners}/v/1/scan/1/download", headers=theirs) as answer:
            assert answer.status == 200
            assert "X-Evil" not in answer.headers
            header = answer.headers["Content-Disposition"]
            assert header.endswith(f"filename*=UTF-8''{quote(name, safe='')}")
            assert await answer.read() == UPPER
        async with web.get(f"{link}/v/1/scan/1/download", headers=kims) as answer:
            assert 'filename="C-1042_upper_1.stl"' in answer.headers["Content-Disposition"]
        async with web.get(link, headers=kims) as answer:
            assert quote(name) not in await answer.text()


async def test_pages_are_kept_by_no_cache_and_meshes_for_good_in_this_browser_only(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    cookie = await enter(running, web, link)
    async with web.get(link, headers=cookie) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        html = await answer.text()
    case = json.loads(re.search(r'id="case">(.*?)</script>', html)[1])
    [version] = case["versions"]
    for address in (version["scans"][0]["preview"], version["scans"][0]["full"]):
        assert "?v=" in address
        asked = cookie | {"Accept-Encoding": "br"}
        async with web.get(running.url + address, headers=asked) as answer:
            assert answer.headers["Cache-Control"] == "private, max-age=604800, immutable"
            assert answer.headers["Content-Encoding"] == "br"
            assert brotli.decompress(await answer.read()).startswith(b"glTF")
    for address in (version["poster"], version["views"][5]["url"]):
        asked = cookie | {"Accept-Encoding": "br"}
        async with web.get(running.url + address, headers=asked) as answer:
            assert answer.headers["Cache-Control"] == "private, max-age=604800, immutable"
            assert (await answer.read())[8:12] == b"WEBP"
    for path in ("", "/v/1/scan/1/download"):
        for headers in (cookie, {}):
            async with web.get(link + path, headers=headers) as answer:
                assert "no-store" in answer.headers["Cache-Control"], path


async def test_a_mesh_travels_packed_and_its_ranges_are_those_of_the_plain_file(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    cookie = await enter(running, web, link)
    mesh = f"{link}/v/1/scan/1/full.glb"
    async with web.get(mesh, headers=cookie | {"Accept-Encoding": "gzip, br"}) as answer:
        assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == (
            "br",
            "Accept-Encoding",
        )
        packed = await answer.read()
    async with web.get(mesh, headers=cookie | {"Accept-Encoding": "gzip, br;q=0"}) as answer:
        assert "Content-Encoding" not in answer.headers
        plain = await answer.read()
    assert brotli.decompress(packed) == plain
    assert len(packed) < len(plain)
    # A broken download goes on where the unpacked bytes ended.
    asked = {"Accept-Encoding": "gzip, br", "Range": "bytes=1000-"}
    async with web.get(mesh, headers=cookie | asked) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 1000-{len(plain) - 1}/{len(plain)}"
        assert "Content-Encoding" not in answer.headers
        assert await answer.read() == plain[1000:]


async def test_scripts_and_styles_come_by_their_hashed_names_alone_compressed_as_asked(
    running: Running, web: aiohttp.ClientSession
) -> None:
    for built in BUNDLE["outputs"].values():
        url = f"{running.url}/static/{built['file']}"
        plain = (STATIC / built["file"]).read_bytes()
        offers = {
            "": None,
            "identity": None,
            "br;q=0, gzip;q=0": None,
            "gzip, deflate": "gzip",
            "br;q=0, gzip;q=0.5": "gzip",
            "gzip, deflate, br, zstd": "br",
        }
        for offer, encoding in offers.items():
            async with web.get(url, headers={"Accept-Encoding": offer}) as answer:
                assert answer.status == 200
                assert answer.headers.get("Content-Encoding") == encoding, offer
                assert answer.headers["Vary"] == "Accept-Encoding"
                assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
                assert answer.charset == "utf-8"
                body = await answer.read()
            if encoding == "br":
                assert body == (STATIC / f"{built['file']}.br").read_bytes()
            else:
                assert (gzip.decompress(body) if encoding else body) == plain

    # Nothing else is in reach.
    names = [
        "app.js",
        f"{BUNDLE['outputs']['app.js']['file']}.br",
        "bundle.json",
        "THIRD_PARTY_LICENSES.txt",
        "../app.py",
        "..%2fapp.py",
        "%2e%2e%2fapp.py",
        "..%5capp.py",
        "%2e%2e/app.py",
        "....//app.py",
        "%2fetc%2fpasswd",
        "app.js%00",
    ]
    for name in names:
        async with web.get(URL(f"{running.url}/static/{name}", encoded=True)) as answer:
            assert answer.status == 404, name
            assert b"def " not in await answer.read()


async def test_a_forged_host_appears_in_no_page_and_no_redirect(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    forged = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "host=evil.example;proto=https",
    }
    async with web.get(link, headers=forged) as answer:
        assert "evil" not in await answer.text()
    headers = forged | {"Origin": running.url}
    async with web.post(f"{link}/open", headers=headers, allow_redirects=False) as answer:
        assert answer.headers["Location"] == link.removeprefix(running.url)
        [written] = answer.headers.getall("Set-Cookie")
        assert "evil" not in written
        assert "Secure" not in written
    async with web.get(link, headers=forged | {"Cookie": written.split(";")[0]}) as answer:
        html = await answer.text()
    assert "C-1042" in html
    assert "evil" not in html
    async with web.post(
        f"{link}/open", headers=forged | {"Origin": "http://evil.example"}
    ) as answer:
        assert answer.status == 403
    await running.postman.send(reply(await running.inbox.letter("answer"), f"RESEND {KIM}"))
    again = await running.inbox.letter("share", KIM, count=2)
    assert "evil" not in text_of(again)


async def store_large_copy(running: Running, size: int) -> None:
    """Puts a copy of many megabytes in the place of the scan's."""
    house, case = running.house, await running.only_case()
    async with house.database.read() as connection:
        version = await cases.latest_version(connection, case.id)
        key = await house.case_key(connection, case.id)
    sealed = SealedObject(house.blobs, key, object_name(case.id, version.id, 1, "copy"))
    for _ in range(size // CHUNK):
        sealed.write(bytes(CHUNK))
    sealed.commit()


class SlowDownload:
    """A client that takes the first bytes of a download and then waits."""

    async def start(self, running: Running, link: str, cookie: dict[str, str]) -> None:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.setblocking(False)
        address = ("127.0.0.1", running.server.web_port)
        await asyncio.get_running_loop().sock_connect(connection, address)
        self.reader, self.writer = await asyncio.open_connection(sock=connection, limit=64 * 1024)
        path = f"{link.removeprefix(running.url)}/v/1/scan/1/download"
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie['Cookie']}\r\n\r\n"
        self.writer.write(request.encode())
        self.head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        assert " 200 " in self.head.splitlines()[0]
        self.promised = int(re.search(r"Content-Length: (\d+)", self.head)[1])
        self.body = await self.reader.readexactly(32 * 1024)

    async def finish(self) -> bytes:
        """Reads what still comes."""
        pieces = [self.body]
        try:
            async with asyncio.timeout(PATIENCE):
                while piece := await self.reader.read(CHUNK):
                    pieces.append(piece)
                    if sum(map(len, pieces)) >= self.promised:
                        break
        except ConnectionError:
            pass
        self.writer.close()
        return b"".join(pieces)


async def test_revoke_cuts_a_running_download_short(
    running: Running, web: aiohttp.ClientSession, clock
) -> None:
    _, link = await share(running)
    await store_large_copy(running, 32 * CHUNK)
    cookie = await enter(running, web, link)
    undisturbed, cut = SlowDownload(), SlowDownload()
    await undisturbed.start(running, link, cookie)
    clock.advance(2 * SECOND)
    assert len(await undisturbed.finish()) == undisturbed.promised == 32 * CHUNK
    await cut.start(running, link, cookie)
    await running.postman.send(reply(await running.inbox.letter("answer"), "REVOKE"))
    await running.inbox.letter("transcript")
    clock.advance(2 * SECOND)
    received = await cut.finish()
    assert len(received) < cut.promised // 2
    assert not received.strip(b"\0")
    assert await status(web, f"{link}/v/1/scan/1/download", headers=cookie) == 410


async def test_a_download_whose_object_is_destroyed_breaks_and_carries_no_other_answer(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    await store_large_copy(running, 32 * CHUNK)
    cookie = await enter(running, web, link)
    download = SlowDownload()
    await download.start(running, link, cookie)
    for name in running.house.blobs.names("cases/"):
        running.house.blobs.delete(name)
    received = await download.finish()
    assert len(received) < download.promised
    assert not received.strip(b"\0")
