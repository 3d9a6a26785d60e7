"""The upload page as programs meet it: pieces at their offsets, ends, limits, and what lies on the disk."""

import asyncio
import functools
import io
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from inbound.cases.uploads import upload_flow
from inbound.flow import read_mail
from inbound.mail.attachments import MOST_FILES as MOST_OF_A_MAIL
from inbound.scans.child import Children
from store import ending
from store.clock import DAY, MINUTE
from store.engine import Engine, Standing
from store.house import House
from store.records import cases, labs, mails, work
from store.states import MailState, Strength
from store.sweep import TRIES, Sweep
from store.uploads import (
    LARGEST_PIECE,
    LIFETIME,
    MOST_FILES,
    SMALLEST_PIECE,
    UploadState,
)
from tests.clicks import Site, letters_of, open_thread, said, trail
from tests.conftest import jaw_stl, on_both_stores
from tests.fakes import ANNA, DOMAIN, KIM
from tests.test_viewer_confirm import database
from tests.test_viewer_web import ROBOTS
from tests.uploading import Uploader, ask, digests, id_of, link_of, open_uploader
from viewer import pieces
from viewer.uploadwords import LONGEST_REVIEWERS

UPPER, LOWER = jaw_stl("upper"), jaw_stl("lower")
# All that a transport could not carry: line ends of any kind, NUL, what looks like a boundary.
AWKWARD = b"\n--\r\n.\r\n\0--boundary--\r\n\r\n--" + bytes(range(256)) + b"\r\n--x\r\n\r"
NOWHERE = "/u/" + "a" * 26


@pytest.fixture
async def page(site: Site) -> Uploader:
    return await open_uploader(site)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def on_disk(house: House) -> bytes:
    """Everything under the data folder, one file behind the other."""
    folder: Path = house.settings.data_dir
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# ---------------------------------------------------------------- from the page to the mail


@on_both_stores
async def test_what_is_shared_becomes_a_mail_of_the_member_byte_for_byte(
    house: House, page: Uploader
) -> None:
    files = {
        "upper.stl": UPPER,
        "große Lücke “a”.ply": AWKWARD,
        "upper (2).stl": noise(LARGEST_PIECE + 5),
        "empty.stl": b"",
    }
    for name, data in files.items():
        await page.put(name, data)
    assert (await page.share())[0] == 200
    row = await page.run()
    assert row.state is UploadState.TAKEN
    assert await page.mailed() == digests(files)
    async with house.database.read() as connection:
        mail = await mails.mail(connection, row.mail_id or "")
    anna = (ANNA, Strength.VOUCHED, MailState.RECEIVED, [f"share@{DOMAIN}"])
    assert (mail.author, mail.strength, mail.state, mail.recipients) == anna
    assert mail.is_upload
    assert sum(map(len, files.values())) < mail.size < sum(map(len, files.values())) + 4_000
    children = Children()
    assert await read_mail(house, children, mail.id)
    await children.stop()
    async with house.database.read() as connection:
        lab = (await labs.member(connection, mail.member_id or "")).lab_id
        (case,) = await cases.live_of_lab(connection, lab)
    assert (case.code, case.title, case.note) == ("C-1042", "crown #30", "Margins please")
    assert {"upload shared", "upload taken", "case opened"} <= {
        deed for _, deed in await trail(house)
    }


async def test_key_objects_and_words_of_an_upload_are_gone_once_it_is_a_mail(
    house: House, page: Uploader
) -> None:
    await page.put("upper.stl", UPPER)
    assert len(page.objects()) == 1
    await page.share(note="Patientin Müller")
    row = await page.run()
    assert (row.reviewers, row.subject, row.note, row.due_at) == ("", "", "", None)
    assert page.objects() == []
    assert await page.files() == []
    assert "Müller".encode() not in on_disk(house)


async def test_nothing_that_is_uploaded_lies_on_the_disk_in_plaintext(
    house: House, page: Uploader
) -> None:
    data = noise(3 * SMALLEST_PIECE)
    await page.put("upper.stl", data)
    for shared in (False, True):
        if shared:
            await page.share()
            await page.run()
        stored = on_disk(house)
        assert len(stored) > len(data)
        assert not any(data[at : at + 64] in stored for at in range(0, len(data), 4_096))


async def test_a_flow_that_runs_twice_makes_one_mail(house: House, page: Uploader) -> None:
    await page.put("upper.stl", UPPER)
    await page.share()
    first = await page.run()
    again = await page.run()
    assert (again.state, again.mail_id) == (first.state, first.mail_id)
    async with house.database.read() as connection:
        assert first.mail_id in await mails.kept_in_spool(connection)
    assert house.spool.mail_ids() == {first.mail_id}


async def test_a_flow_that_died_behind_the_spool_file_writes_it_anew(
    house: House, page: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await page.put("upper.stl", UPPER)
    await page.share()
    with monkeypatch.context() as patched:
        patched.setattr(mails, "accept_all", _dies)
        with pytest.raises(RuntimeError):
            await page.run()
    assert (await page.row()).state is UploadState.SHARED
    assert (await page.run()).state is UploadState.TAKEN
    assert await page.mailed() == digests({"upper.stl": UPPER})


async def _dies(*_: object) -> None:
    raise RuntimeError("killed")


async def test_a_note_is_never_a_command_whoever_has_the_link(house: House, site: Site) -> None:
    thread = await open_thread(house)
    (letter,) = await thread.say("UPLOAD")
    page = Uploader(site, link_of(site, letter), id_of(letter))
    await page.put("notes.txt", b"hello")
    await page.share(note="REVOKE")
    row = await page.run()
    assert row.mail_id
    await read_mail(house, Children(), row.mail_id)
    people = await thread.reviewers()
    assert people[KIM].revoked_at is None


async def test_an_upload_of_a_case_goes_into_its_thread(house: House, site: Site) -> None:
    thread = await open_thread(house)
    (letter,) = await thread.say("UPLOAD")
    page = Uploader(site, link_of(site, letter), id_of(letter))
    async with site.client.get(page.link) as answer:
        text = await answer.text()
    assert "Next version of <bdi>C-1042 crown</bdi>" in text
    assert 'name="reviewers"' not in text
    await page.put("upper.stl", UPPER)
    assert (await page.share(reviewers="", subject=""))[0] == 200
    row = await page.run()
    async with house.database.read() as connection:
        mail = await mails.mail(connection, row.mail_id or "")
    assert mail.recipients == [await thread.address()]


# ---------------------------------------------------------------- pieces


async def test_a_piece_counts_only_at_the_durable_offset(page: Uploader) -> None:
    data = noise(SMALLEST_PIECE + 10)
    file = await page.add("a.stl", len(data))
    for offset in (1, SMALLEST_PIECE, 10**12):
        assert await page.send(file, offset, data[:SMALLEST_PIECE]) == (
            409,
            {"sentence": "The next piece begins elsewhere.", "received": 0},
        )
    assert await page.send(file, 0, data[:SMALLEST_PIECE]) == (200, {"received": SMALLEST_PIECE})
    status, again = await page.send(file, 0, data[:SMALLEST_PIECE])
    assert (status, again["received"]) == (409, SMALLEST_PIECE)
    for method in ("GET", "HEAD"):
        async with page.site.client.request(method, f"{page.link}/files/{file}") as answer:
            assert answer.headers["Upload-Offset"] == str(SMALLEST_PIECE)
    assert (await page.send(file, SMALLEST_PIECE, data[SMALLEST_PIECE:]))[0] == 200
    assert (await page.files())[0].is_whole
    assert (await page.send(file, len(data), b"x"))[0] == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Upload-Offset": "-1"}, 400),
        ({"Upload-Offset": "０"}, 400),
        ({"Upload-Offset": "0x0"}, 400),
        ({"Upload-Offset": "0", "Content-Encoding": "gzip"}, 415),
        ({"Upload-Offset": "0", "Origin": "https://evil.example"}, 403),
    ],
)
async def test_a_piece_that_says_nothing_usable_is_refused(
    page: Uploader, headers: dict[str, str], status: int
) -> None:
    file = await page.add("a.stl", 10)
    written = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    got, _ = await page.ask("PATCH", f"/files/{file}", data=b"0123456789", headers=written)
    assert got == status
    assert page.objects() == []


async def test_pieces_have_a_least_and_a_largest_size_and_say_it(page: Uploader) -> None:
    file = await page.add("a.stl", 3 * LARGEST_PIECE)
    for size in (1, SMALLEST_PIECE - 1, LARGEST_PIECE + 1):
        assert (await page.send(file, 0, noise(size)))[0] == 413

    async def unknown() -> AsyncIterator[bytes]:
        yield noise(SMALLEST_PIECE)

    given = {"data": unknown(), "headers": {"Upload-Offset": "0"}}
    assert (await page.ask("PATCH", f"/files/{file}", **given))[0] == 411
    assert page.objects() == []


@on_both_stores
async def test_a_connection_that_breaks_in_a_piece_leaves_nothing_and_goes_on_there(
    page: Uploader,
) -> None:
    data = noise(2 * SMALLEST_PIECE)
    file = await page.add("a.stl", len(data))
    await page.send(file, 0, data[:SMALLEST_PIECE])
    url = URL(f"{page.link}/files/{file}")
    assert url.host
    head = (
        f"PATCH {url.path} HTTP/1.1\r\nHost: x\r\nOrigin: {page.site.url}\r\n"
        f"Upload-Offset: {SMALLEST_PIECE}\r\nContent-Length: {SMALLEST_PIECE}\r\n\r\n"
    )
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(head.encode() + data[SMALLEST_PIECE : SMALLEST_PIECE + 100_000])
    await writer.drain()
    await wait_for(lambda: bool(taken_places(page)))
    writer.transport.abort()
    await wait_for(lambda: not taken_places(page))
    assert len(page.objects()) == 1
    assert (await page.files())[0].received == SMALLEST_PIECE
    assert (await page.send(file, SMALLEST_PIECE, data[SMALLEST_PIECE:]))[0] == 200
    await page.share()
    await page.run()
    assert await page.mailed() == digests({"a.stl": data})


def taken_places(page: Uploader) -> int:
    return page.site.app[pieces.PLACES].taken.total()


async def wait_for(true: object) -> None:
    async with asyncio.timeout(10):
        while not true():  # type: ignore[operator]
            await asyncio.sleep(0.005)


async def test_two_tabs_that_send_the_same_piece_leave_one(page: Uploader) -> None:
    data = noise(SMALLEST_PIECE)
    file = await page.add("a.stl", len(data))
    found = await asyncio.gather(*(page.send(file, 0, data) for _ in range(4)))
    assert sorted(status for status, _ in found) == [200, 409, 409, 409]
    assert all(one["received"] == len(data) for _, one in found)
    assert len(page.objects()) == 1


async def test_a_file_that_was_announced_twice_is_one(page: Uploader) -> None:
    """The answer to the first was lost on its way."""
    given = {"name": "a.stl", "size": 5, "mark": "one"}
    numbers = {(await page.ask("POST", "/files", json=given))[1]["number"] for _ in range(2)}
    assert len(numbers) == len(await page.files()) == 1


async def test_the_list_names_each_piece_by_its_hash_so_that_a_reload_can_compare(
    page: Uploader,
) -> None:
    data = noise(SMALLEST_PIECE + 1)
    file = await page.add("a.stl", len(data))
    await page.send(file, 0, data[:SMALLEST_PIECE])
    _, listed = await page.ask("GET", "/files")
    (one,) = listed["files"]
    assert (one["name"], one["size"], one["received"]) == ("a.stl", len(data), SMALLEST_PIECE)
    (digest,) = digests({"": data[:SMALLEST_PIECE]}).values()
    assert one["pieces"] == [{"size": SMALLEST_PIECE, "sha256": digest}]


async def test_a_removed_file_is_gone_with_its_objects(page: Uploader) -> None:
    file = await page.put("a.stl", UPPER)
    await page.put("b.stl", LOWER)
    async with page.site.client.post(
        f"{page.link}/files/{file}/remove",
        headers={"Origin": page.site.url},
        allow_redirects=False,
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, URL(page.link).path)
    assert (await page.send(file, 0, b""))[0] == 404
    assert len(page.objects()) == 1
    await page.share()
    await page.run()
    assert await page.mailed() == digests({"b.stl": LOWER})


# ---------------------------------------------------------------- Share


async def test_share_waits_until_all_is_there_and_says_what_is_missing(page: Uploader) -> None:
    assert (await page.share())[1]["sentence"] == "Choose the scans first."
    file = await page.add("lower.stl", 10)
    status, told = await page.share()
    assert status == 409
    assert "lower.stl is not here completely" in told["sentence"]
    await page.send(file, 0, b"0123456789")
    for reviewers in ("", "Kim", "x@y " * LONGEST_REVIEWERS):
        status, told = await page.share(reviewers=reviewers)
        assert (status, "reviewer" in told["sentence"]) == (409, True)
    assert (await page.row()).state is UploadState.OPEN
    status, told = await page.share()
    assert told == {"heading": "Taken", "sentence": "A letter with the link is on its way."}


async def test_however_often_share_is_pressed_there_is_one_mail_and_then_410(
    house: House, page: Uploader
) -> None:
    file = await page.put("a.stl", UPPER)
    found = await asyncio.gather(*(page.share() for _ in range(5)))
    assert sorted(status for status, _ in found) == [200, 410, 410, 410, 410]
    for when in ("shared", "taken"):
        for method, path in [
            ("GET", ""), ("HEAD", ""), ("GET", "/files"), ("GET", f"/files/{file}"),
            ("PATCH", f"/files/{file}"), ("POST", "/files"), ("POST", f"/files/{file}/remove"),
            ("POST", "/share"), ("POST", ""),
        ]:  # fmt: skip
            status, _ = await page.ask(method, path)
            assert status == 410, (when, method, path)
        await page.run()
    assert len(house.spool.mail_ids()) == 1


async def test_a_piece_that_is_running_when_share_comes_changes_nothing(page: Uploader) -> None:
    data = noise(2 * SMALLEST_PIECE)
    first = await page.add("a.stl", SMALLEST_PIECE)
    halfway = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield data[:100_000]
        await halfway.wait()
        yield data[100_000:SMALLEST_PIECE]

    headers = {"Upload-Offset": "0", "Content-Length": str(SMALLEST_PIECE)}
    given = {"data": slowly(), "headers": headers}
    running = asyncio.create_task(page.ask("PATCH", f"/files/{first}", **given))
    await wait_for(lambda: bool(taken_places(page)))
    assert (await page.share())[0] == 409
    await page.send(first, 0, data[:SMALLEST_PIECE])  # another tab is quicker
    assert (await page.share())[0] == 200
    await page.run()
    halfway.set()
    status, _ = await running
    assert status == 410
    assert page.objects() == []
    assert await page.mailed() == digests({"a.stl": data[:SMALLEST_PIECE]})


async def test_words_that_were_typed_make_no_header_of_their_own(
    house: House, page: Uploader
) -> None:
    await page.put("a\r\nBcc: eve@other.example\u202elts.exe", UPPER)
    await page.share(
        reviewers=f"{KIM}\r\nBcc: eve@other.example",
        subject="C-1\u2028X: y =?utf-8?q?=0d=0a?=\ud800",
        note="one\r\n\r\n--x\r\ntwo \ud800",
    )
    row = await page.run()
    assert row.mail_id
    with house.spool.open(row.mail_id) as mail:
        header = mail.read(0, 4_000).partition(b"\r\n\r\n")[0].lower()
    names = [line.partition(b":")[0] for line in header.splitlines() if not line.startswith(b" ")]
    expected = [
        b"from",
        b"to",
        b"subject",
        b"date",
        b"message-id",
        b"mime-version",
        b"content-type",
    ]
    assert names == expected
    assert len(await page.mailed()) == 1


# ---------------------------------------------------------------- who may, and how long


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_whatever_scanners_open_changes_nothing(
    house: House, page: Uploader, method: str
) -> None:
    await page.put("a.stl", UPPER)
    before = await database(house)
    for agent in ROBOTS:
        for path in ("", "/files", "/files/1"):
            status, _ = await page.ask(method, path, headers={"User-Agent": agent})
            assert status == 200
    assert await database(house) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", ""), ("POST", "/files"), ("PATCH", "/files/1"), ("POST", "/files/1/remove"),
     ("POST", "/share")],
)  # fmt: skip
async def test_what_changes_something_must_come_from_our_own_page(
    house: House, page: Uploader, method: str, path: str
) -> None:
    await page.put("a.stl", UPPER)
    before = await database(house)
    for origin in ("https://evil.example", "null", ""):
        status, _ = await page.ask(method, path, origin, json={"name": "x", "size": 1, "mark": "m"})
        assert status == 403
    assert await database(house) == before


@pytest.mark.parametrize("path", ["/files", "/share"])
async def test_only_json_counts_there_which_no_form_of_another_site_can_send(
    page: Uploader, path: str
) -> None:
    for kind, data in [
        ("text/plain", b'{"name": "x"}'),
        ("application/json", b"["),
        ("application/json", b"[" * 30_000),
        ("application/json", b"[]"),
        ("application/json; charset=nowhere", b"{}"),
    ]:
        status, _ = await page.ask("POST", path, data=data, headers={"Content-Type": kind})
        assert status in (400, 415)


@pytest.mark.parametrize(
    "given",
    [{}, {"name": "x"}, {"name": 1, "size": 1, "mark": "m"}, {"name": "x", "size": "1", "mark": "m"},
     {"name": "x", "size": -1, "mark": "m"}, {"name": "x", "size": True, "mark": "m"},
     {"name": "x", "size": 1.5, "mark": "m"}, {"name": "x", "size": 1, "mark": "m" * 101}],
)  # fmt: skip
async def test_a_file_that_cannot_be_one_is_refused(
    page: Uploader, given: dict[str, object]
) -> None:
    assert (await page.ask("POST", "/files", json=given))[0] == 400
    assert await page.files() == []


async def test_a_link_that_was_never_issued_is_404(site: Site) -> None:
    for path in ("", "/files", "/files/1"):
        assert (await site.get(site.url + NOWHERE + path))[0] == 404
    assert (await site.get(f"{site.url}/u/x"))[0] == 404


async def test_when_its_time_is_over_the_page_is_gone_and_its_files_destroyed(
    house: House, page: Uploader, clock
) -> None:
    await page.put("a.stl", UPPER)
    clock.advance(LIFETIME - 1)
    assert (await page.ask("GET"))[0] == 200
    assert (await page.run()).state is UploadState.OPEN
    clock.advance(1)
    assert (await page.ask("GET"))[0] == (await page.share())[0] == 410
    async with house.database.read() as connection:
        assert page.id in [row.id for row in await work.due(connection, clock.now())]
    row = await page.run()
    assert (row.state, row.due_at) == (UploadState.OVER, None)
    assert page.objects() == []
    assert house.spool.mail_ids() == set()


async def test_a_member_who_may_not_share_any_more_has_no_page(
    house: House, page: Uploader
) -> None:
    await page.put("a.stl", UPPER)
    async with house.database.write() as connection:
        await labs.disable_member(connection, ANNA, house.clock.now())
    assert (await page.ask("GET"))[0] == (await page.share())[0] == 410
    assert (await page.run()).state is UploadState.OVER
    assert page.objects() == []


async def test_a_member_who_was_disabled_behind_share_shares_nothing(
    house: House, page: Uploader
) -> None:
    await page.put("a.stl", UPPER)
    await page.share()
    async with house.database.write() as connection:
        await labs.disable_member(connection, ANNA, house.clock.now())
    assert (await page.run()).state is UploadState.OVER
    assert house.spool.mail_ids() == set()


@pytest.mark.parametrize("shared", [False, True])
async def test_an_upload_ends_with_its_case(house: House, site: Site, shared: bool) -> None:
    thread = await open_thread(house)
    (letter,) = await thread.say("UPLOAD")
    page = Uploader(site, link_of(site, letter), id_of(letter))
    await page.put("a.stl", UPPER)
    if shared:
        assert (await page.share())[0] == 200
    before = house.spool.mail_ids()
    async with house.database.write() as connection:
        await ending.delete(connection, await cases.case(connection, thread.case.id), ANNA, 1)
    assert (await page.ask("GET"))[0] == 410
    assert (await page.run()).state is UploadState.OVER
    assert page.objects() == []
    assert house.spool.mail_ids() == before


async def test_a_shared_upload_that_outlives_its_day_is_taken_all_the_same(
    page: Uploader, clock
) -> None:
    """The engine was down for a day."""
    await page.put("a.stl", UPPER)
    await page.share()
    clock.advance(2 * DAY)
    assert (await page.run()).state is UploadState.TAKEN


# ---------------------------------------------------------------- limits


async def test_files_have_the_limits_of_a_mail(house: House, page: Uploader) -> None:
    assert MOST_FILES == MOST_OF_A_MAIL
    limit = house.settings.max_mail_bytes
    given = {"name": "a.stl", "size": limit + 1, "mark": "m"}
    status, told = await page.ask("POST", "/files", json=given)
    assert (status, "200 MB" in told["sentence"]) == (413, True)
    await page.add("a.stl", limit - 1)
    assert (await page.ask("POST", "/files", json={**given, "size": 2}))[0] == 413
    await page.ask("POST", "/files/1/remove")
    for number in range(MOST_FILES):
        await page.add(f"{number}.stl", 0)
    status, told = await page.ask("POST", "/files", json={**given, "size": 0})
    assert (status, "ZIP" in told["sentence"]) == (413, True)


async def test_a_full_disk_is_said_and_what_is_here_is_kept(
    house: House, page: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await page.put("a.stl", UPPER)
    monkeypatch.setattr(house.spool, "free_bytes", lambda: 2 * house.settings.max_mail_bytes)
    given = {"name": "b.stl", "size": 1, "mark": "m"}
    status, told = await page.ask("POST", "/files", json=given)
    assert (status, "disk is full" in told["sentence"]) == (507, True)
    assert [file.name for file in await page.files()] == ["a.stl"]


async def test_slow_clients_take_a_bounded_number_of_places(page: Uploader) -> None:
    file, over = await page.add("a.stl", LARGEST_PIECE), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x"
        await over.wait()

    headers = {"Upload-Offset": "0", "Content-Length": str(LARGEST_PIECE)}
    slow = [
        asyncio.create_task(page.ask("PATCH", f"/files/{file}", data=slowly(), headers=headers))
        for _ in range(pieces.MOST_OF_ONE)
    ]
    await wait_for(lambda: taken_places(page) == pieces.MOST_OF_ONE)
    async with page.site.client.patch(
        f"{page.link}/files/{file}",
        data=io.BytesIO(noise(SMALLEST_PIECE)),
        headers={"Origin": page.site.url, "Upload-Offset": "0"},
    ) as answer:
        assert answer.status == 503
        assert "Retry-After" in answer.headers
    for one in slow:
        one.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    await wait_for(lambda: not taken_places(page))
    assert page.objects() == []


async def test_a_client_that_falls_silent_loses_its_place(
    page: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "IDLE", 0.05)
    file, over = await page.add("a.stl", LARGEST_PIECE), asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        yield b"x"
        await over.wait()

    headers = {"Upload-Offset": "0", "Content-Length": str(LARGEST_PIECE)}
    status, _ = await page.ask("PATCH", f"/files/{file}", data=silent(), headers=headers)
    assert status == 408
    assert page.objects() == []


# ---------------------------------------------------------------- without a script


def form(page: Uploader, files: dict[str, bytes], **words: str) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for name, value in {"reviewers": KIM, "subject": "C-1042", "note": "", **words}.items():
        data.add_field(name, value)
    for name, content in files.items():
        data.add_field(
            "files", io.BytesIO(content), filename=name, content_type="application/octet-stream"
        )
    return data


async def post_form(page: Uploader, data: object, **headers: str) -> tuple[int, str]:
    given = {"Origin": page.site.url, **headers}
    async with page.site.client.post(page.link, data=data, headers=given) as answer:
        return answer.status, await answer.text()


@on_both_stores
async def test_a_form_brings_words_and_files_at_once(page: Uploader) -> None:
    files = {"upper.stl": UPPER, "awkward.ply": AWKWARD, "large.stl": noise(LARGEST_PIECE + 77)}
    status, text = await post_form(page, form(page, files))
    assert (status, "on its way" in text) == (200, True)
    await page.run()
    assert await page.mailed() == digests(files)


async def test_a_form_without_a_reviewer_keeps_what_came_and_what_was_typed(
    page: Uploader,
) -> None:
    data = form(page, {"upper.stl": UPPER}, reviewers="", note="<b>thin</b>")
    status, text = await post_form(page, data)
    assert status == 409
    assert "Write the reviewer&#39;s e-mail address." in text
    assert "&lt;b&gt;thin&lt;/b&gt;" in text
    assert "upper.stl" in text
    status, _ = await post_form(page, form(page, {"": b""}))
    assert status == 200
    await page.run()
    assert await page.mailed() == digests({"upper.stl": UPPER})


async def test_a_form_that_is_too_large_is_refused_before_it_is_read(
    house: House, page: Uploader
) -> None:
    house.settings = house.settings.model_copy(update={"max_mail_mb": 1})
    status, text = await post_form(page, form(page, {"a.stl": noise(3 << 20)}))
    assert (status, "1 MB" in text) == (413, True)
    status, text = await post_form(
        page, form(page, {"a.stl": noise(700_000), "b.stl": noise(700_001)})
    )
    assert (status, "1 MB" in text) == (413, True)
    assert [file.name for file in await page.files()] == ["a.stl"]
    assert len(page.objects()) == 1


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("application/x-www-form-urlencoded", b"reviewers=x"),
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="files";'
         b' filename="a.stl"\r\n\r\nabc'),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n"
         b"--y\r\n\r\n--y--\r\n--x--\r\n"),
        ("multipart/form-data; boundary=" + "x" * 300, b"--x"),
    ],
)  # fmt: skip
async def test_a_form_that_no_browser_writes_changes_nothing(
    page: Uploader, kind: str, data: bytes
) -> None:
    status, _ = await post_form(page, data, **{"Content-Type": kind})
    assert 400 <= status < 500
    assert (await page.row()).state is UploadState.OPEN
    assert await page.files() == []
    assert page.objects() == []


async def test_the_page_says_what_is_here(page: Uploader) -> None:
    await page.put("<b>upper</b>.stl", UPPER)
    await page.add("lower.stl", 10)
    async with page.site.client.get(page.link) as answer:
        text = await answer.text()
        assert answer.headers["Cache-Control"] == "no-store"
    assert "<b>upper" not in text
    assert "&lt;b&gt;upper&lt;/b&gt;.stl" in text
    assert "Not complete" in text
    assert "Shared in the name of <bdi>Anna Berg</bdi>" in text


async def test_the_page_is_filled_with_what_the_command_said(house: House, site: Site) -> None:
    letter = await ask(house, f"UPLOAD Kim Lee <{KIM}> C-1042 crown #30")
    assert said(letter) == ""
    _, text = await site.get(link_of(site, letter))
    assert 'value="Kim Lee &lt;kim@clinic.example&gt;"' in text
    assert 'value="C-1042 crown #30"' in text


# ---------------------------------------------------------------- when its flow fails


async def test_an_upload_that_fails_three_times_is_told_and_destroyed_a_day_later(
    house: House, page: Uploader, clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await page.put("a.stl", UPPER)
    await page.share()
    engine = Engine(house.settings.data_dir)
    flow = functools.partial(upload_flow, house)
    for kind in work.TABLES:
        engine.add_flow(kind, flow if kind == "upload" else _nothing, 2)
    engine.take_lock()
    await engine.start()
    sweep = Sweep(house, engine)
    with monkeypatch.context() as patched:
        patched.setattr(mails, "accept_all", _dies)
        for _ in range(TRIES):
            await sweep.once(clock.now())
            await wait_for(lambda: not engine.running)
            await _failed(engine, page)
            await sweep.once(clock.now())
            clock.advance(2 * MINUTE)
    assert (await page.row()).state is UploadState.DEAD
    told = {letter.kind: letter for letter in await letters_of(house)}
    assert "upload" in told["operator"].subject
    assert "Nothing was shared" in said(told["notice"])
    assert told["notice"].recipient == ANNA
    assert page.objects() != []
    clock.advance(DAY)
    await sweep.once(clock.now())
    async with asyncio.timeout(10):
        while page.objects() or (await page.row()).due_at:
            await asyncio.sleep(0.01)
    assert (await page.row()).state is UploadState.DEAD
    await engine.stop()


async def _failed(engine: Engine, page: Uploader) -> None:
    flow_id = f"upload-{page.id}-{(await page.row()).attempt}"
    async with asyncio.timeout(10):
        while await engine.standing("upload", page.id, flow_id) is not Standing.FAILED:
            await asyncio.sleep(0.01)


async def _nothing(_step: object, _row: str) -> None:
    """Letters are not this test's affair."""
