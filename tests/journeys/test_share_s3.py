"""The promise of the whole product with objects in an S3: shared, seen, and gone from the bucket."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from scanpost.compose import Server, close_house, open_house
from store.blobs import privacy
from store.errors import SettingsError
from tests.conftest import Running, jaw_stl, on_s3
from tests.fakes import ANNA, KIM, link_of, mail, text_of
from tests.seaweed import Seaweed

FILES = {"C-1042-UpperJaw.stl": jaw_stl("upper"), "C-1042-LowerJaw.stl": jaw_stl("lower")}
SUBJECT = f"{KIM} C-1042 crown #30"
OBJECTS = [
    *("picture", "poster"),
    *(f"view-{side}" for side in ("back", "front", "left", "lower", "right", "upper")),
    *(what for _ in FILES for what in ("copy", "full", "map", "original", "preview")),
]
NOTICED = "object store does not answer"


async def open_link(running: Running, link: str) -> None:
    headers = {"Origin": running.url}
    async with running.browser.post(f"{link}/open", headers=headers) as response:
        assert response.status == 200


async def fetch(running: Running, url: str, **headers: str) -> bytes:
    async with running.browser.get(url, headers=headers) as response:
        assert response.status == (206 if headers else 200)
        return await response.read()


@on_s3
async def test_scans_go_through_the_bucket_to_the_reviewer_and_leave_nothing_in_it(
    running: Running, seaweed: Seaweed, blobs_url: str, clock
) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    owners = link_of(await running.inbox.letter("answer"))
    reviewers = link_of(await running.inbox.letter("share"))
    assert [key.rpartition("/")[2] for key in seaweed.below(blobs_url)] == OBJECTS
    assert not (running.house.settings.data_dir / "objects").exists()
    await open_link(running, reviewers)
    assert (await fetch(running, f"{reviewers}/v/1/scan/1/full.glb")).startswith(b"glTF")
    part = await fetch(running, f"{reviewers}/v/1/scan/2/preview.glb", Range="bytes=0-3")
    assert part == b"glTF"
    await open_link(running, owners)
    original = await fetch(running, f"{owners}/v/1/scan/2/download")
    assert original == FILES["C-1042-LowerJaw.stl"]
    clock.time = (await running.only_case()).expires_at
    running.house.poke()
    assert "C-1042 has ended" in text_of(await running.inbox.letter("notice", ANNA))
    assert seaweed.below(blobs_url) == []


@on_s3
async def test_mail_is_taken_while_the_bucket_is_away_and_answered_when_it_is_back(
    running: Running, seaweed: Seaweed, blobs_url: str
) -> None:
    with capture_logs() as logs, seaweed.dead():
        await running.postman.send(mail(SUBJECT, "", FILES))
        while not any(line["event"] == NOTICED for line in logs):
            await asyncio.sleep(0.01)
    await running.inbox.letter("answer")
    link = link_of(await running.inbox.letter("share"))
    found = [key.rpartition("/")[2] for key in seaweed.below(blobs_url)]
    # The store may have forgotten, when it was killed, that the start's test object was deleted.
    assert [name for name in found if not name.startswith(privacy.PROBE)] == OBJECTS
    await open_link(running, link)
    assert (await fetch(running, f"{link}/v/1/scan/1/full.glb")).startswith(b"glTF")


async def test_a_server_does_not_start_with_a_bucket_that_is_not_there(
    make_settings: Callable[..., object], seaweed: Seaweed
) -> None:
    house = await open_house(make_settings(blobs_url=seaweed.url("nosuchbucket")))
    server = Server(house)
    with pytest.raises(SettingsError, match="There is no bucket nosuchbucket"):
        await server.start()
    await server.stop()
    await close_house(house)
