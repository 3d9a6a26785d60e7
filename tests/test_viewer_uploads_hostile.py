"""The upload page and who means it ill: packed bytes, more of them than may be, all the places at once."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable

import brotli
import pytest
from yarl import URL

from store.blobs.sealed import CHUNK as SEALED
from store.house import House
from store.records import uploads
from store.uploads import LARGEST_PIECE, MOST_FILES
from tests.clicks import Site
from tests.fakes import BEN, PATIENCE
from tests.test_viewer_uploads import noise, taken_places, wait_for
from tests.uploading import Uploader, ask, id_of, link_of, open_uploader
from viewer import pieces

FILE = b'--XX\r\nContent-Disposition: form-data; name="files"; filename="big.stl"\r\n\r\n'
TWICE = ["Content-Encoding: identity", "Content-Encoding: br"]


@pytest.fixture
async def page(site: Site) -> Uploader:
    return await open_uploader(site)


class Line:
    """A connection of its own, on which everything may be said."""

    def __init__(self, page: Uploader) -> None:
        self.page, self.url = page, URL(page.link)

    async def post(self, below: str, *headers: str, method: str = "POST", length: int) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.url.host, self.url.port)
        lines = [
            f"{method} {self.url.path}{below} HTTP/1.1",
            f"Host: x\r\nOrigin: {self.page.site.url}\r\nConnection: close",
            f"Content-Length: {length}",
            *headers,
        ]
        self.writer.write("\r\n".join([*lines, "\r\n"]).encode())

    async def post_form(self, *headers: str, length: int) -> None:
        form = "Content-Type: multipart/form-data; boundary=XX"
        await self.post("", form, *headers, length=length)

    async def answer(self) -> tuple[int, str]:
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length is not None
            body = await self.reader.readexactly(int(length[1]))
        self.writer.close()
        return int(head.split()[1]), body.decode()


@pytest.mark.parametrize(
    "headers", [TWICE, TWICE[::-1], TWICE[1:], ["Content-Encoding: identity, br"]]
)
async def test_bytes_that_are_not_what_was_announced_are_refused(
    page: Uploader, headers: list[str]
) -> None:
    packed = brotli.compress(bytes(3 << 20))
    file = await page.add("a.stl", len(packed))
    line = Line(page)
    where = f"/files/{file}"
    await line.post(where, "Upload-Offset: 0", *headers, method="PATCH", length=len(packed))
    line.writer.write(packed)
    assert (await line.answer())[0] == 415
    form = brotli.compress(FILE + bytes(3 << 20) + b"\r\n--XX--\r\n")
    await line.post_form(*headers, length=len(form))
    line.writer.write(form)
    assert (await line.answer())[0] == 415
    asked = brotli.compress(b'{"name": "b.stl", "size": 1, "mark": "b"}')
    json = "Content-Type: application/json"
    await line.post("/files", json, *headers, length=len(asked))
    line.writer.write(asked)
    assert (await line.answer())[0] == 415
    assert [one.received for one in await page.files()] == [0]
    assert page.objects() == []


async def test_a_form_is_refused_at_the_byte_that_is_too_much(house: House, page: Uploader) -> None:
    """Long before it is here: what another file has announced is not there to be filled."""
    house.settings = house.settings.model_copy(update={"max_mail_mb": 12})
    limit = house.settings.max_mail_bytes
    await page.add("announced.stl", limit - 2 * SEALED)
    line = Line(page)
    await line.post_form(length=limit)
    line.writer.write(FILE + noise(2 * SEALED + 3 * pieces.CHUNK))
    status, text = await line.answer()
    assert (status, "12 MB" in text) == (413, True)
    assert [one.name for one in await page.files()] == ["announced.stl"]
    assert page.objects() == []
    assert not taken_places(page)


def stream(data: bytes, given: list[int]) -> Callable[[int], Awaitable[bytes]]:
    """What reads from a connection; notes how much it has given."""

    async def read(size: int) -> bytes:
        start = sum(given)
        given.append(len(data[start : start + size]))
        return data[start : start + size]

    return read


@pytest.mark.parametrize("most", [14, LARGEST_PIECE, LARGEST_PIECE + 14])
async def test_a_file_is_sealed_up_to_the_limit_and_no_further(page: Uploader, most: int) -> None:
    async with page.house.database.read() as connection:
        key = await page.house.upload_key(connection, page.id)
    given: list[int] = []
    with pytest.raises(pieces.TooLong):
        await pieces.take_file(page.house, key, page.id, stream(noise(most * 2), given), most)
    assert sum(given) <= most + pieces.CHUNK
    assert page.objects() == []
    data = noise(most)
    taken = await pieces.take_file(page.house, key, page.id, stream(data, []), most)
    assert sum(one["size"] for one in taken) == most
    assert len(page.objects()) == len(taken)
    assert taken[0]["sha256"] == hashlib.sha256(data[:LARGEST_PIECE]).hexdigest()


async def test_a_disk_that_fills_while_a_form_comes_in_is_left_room(
    house: House, page: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(page)
    await line.post_form(length=3 * LARGEST_PIECE)
    line.writer.write(FILE)
    await wait_for(lambda: bool(taken_places(page)))
    monkeypatch.setattr(house.spool, "free_bytes", lambda: 2 * house.settings.max_mail_bytes)
    line.writer.write(noise(LARGEST_PIECE + SEALED))
    status, text = await line.answer()
    assert (status, "disk is full" in text) == (507, True)
    assert page.objects() == []


async def test_a_file_is_sealed_for_a_page_that_ends_meanwhile_and_leaves_nothing(
    house: House, page: Uploader
) -> None:
    line = Line(page)
    rest = FILE + noise(2 * SEALED) + b"\r\n--XX--\r\n"
    await line.post_form(length=len(rest))
    line.writer.write(rest[:-SEALED])
    folder = house.settings.data_dir
    await wait_for(lambda: any(path.suffix == ".tmp" for path in folder.rglob("uploads/*/*")))
    async with house.database.write() as connection:
        await uploads.end_of_member(connection, (await page.row()).member_id, house.clock.now())
    line.writer.write(rest[-SEALED:])
    assert (await line.answer())[0] == 410
    assert await page.files() == []
    assert page.objects() == []


async def test_one_member_does_not_take_all_places(site: Site) -> None:
    """Of ten pages that a member may have, six full ones shut everybody else out."""
    own = [await open_uploader(site) for _ in range(3)]
    lines = [Line(page) for page in own for _ in range(pieces.MOST_OF_ONE)]
    places = site.app[pieces.PLACES]
    trickling, refused = lines[: pieces.MOST_OF_MEMBER], lines[pieces.MOST_OF_MEMBER :]
    for line in trickling:
        await line.post_form(length=1_000_000)
        line.writer.write(FILE + b"x")
    await wait_for(lambda: places.taken.total() == len(trickling))
    for line in refused:
        await line.post_form(length=1_000_000)
        assert (await line.answer())[0] == 503
    letter = await ask(site.house, sender=BEN)
    other = Uploader(site, link_of(site, letter), id_of(letter))
    await other.put("a.stl", b"solid")
    for line in trickling:
        line.writer.transport.abort()
    await wait_for(lambda: not places.taken and not places.members)


async def test_a_file_of_more_than_half_the_limit_may_be_announced_again(
    house: House, page: Uploader
) -> None:
    """The answer to the first was lost on its way; it is not counted twice."""
    given = {"name": "a.stl", "size": house.settings.max_mail_bytes * 6 // 10, "mark": "one"}
    found = [await page.ask("POST", "/files", json=given) for _ in range(2)]
    assert [status for status, _ in found] == [201, 201]
    assert found[0] == found[1]
    for number in range(MOST_FILES - 1):
        await page.add(f"{number}.stl", 0)
    assert (await page.ask("POST", "/files", json=given))[0] == 201
    assert len(await page.files()) == MOST_FILES
