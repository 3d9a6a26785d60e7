"""The promise of the whole product with its objects in an S3: shared, seen, and gone from the bucket."""

import asyncio

import pytest

from store.errors import SettingsError
from store.house import House
from tests.conftest import Running, jaw_stl, on_s3
from tests.fakes import ANNA, KIM, link_of, mail, reply, text_of
from tests.seaweed import Seaweed

pytestmark = on_s3
FILES = {"C-1042-UpperJaw.stl": jaw_stl("upper"), "C-1042-LowerJaw.stl": jaw_stl("lower")}
SUBJECT = f"{KIM} C-1042 crown #30"


async def open_link(running: Running, link: str) -> None:
    headers = {"Origin": running.url}
    async with running.browser.post(f"{link}/open", headers=headers) as response:
        assert response.status == 200


async def test_scans_go_through_the_bucket_to_the_reviewer_and_leave_nothing_in_it(
    running: Running, seaweed: Seaweed, blobs_url: str, clock
) -> None:
    await running.postman.send(mail(SUBJECT, "", FILES))
    owners = link_of(await running.inbox.letter("answer"))
    link = link_of(await running.inbox.letter("share"))
    kept = seaweed.below(blobs_url)
    assert {key.rpartition("/")[2] for key in kept} == {
        "original",
        "preview",
        "full",
        "copy",
        "picture",
    }
    assert not (running.house.settings.data_dir / "objects").exists()
    await open_link(running, link)
    async with running.browser.get(f"{link}/scan/1/full.glb") as response:
        assert (await response.read()).startswith(b"glTF")
    async with running.browser.get(
        f"{link}/scan/1/preview.glb", headers={"Range": "bytes=4-7"}
    ) as part:
        assert (part.status, await part.read()) == (206, b"\2\0\0\0")
    await open_link(running, owners)
    async with running.browser.get(f"{owners}/scan/2/download") as response:
        assert await response.read() == FILES["C-1042-LowerJaw.stl"]
    clock.time = (await running.only_case()).expires_at
    running.house.poke()
    receipt = await running.inbox.letter("notice", ANNA)
    assert "C-1042 has ended" in text_of(receipt)
    assert seaweed.below(blobs_url) == []


async def test_mail_is_taken_while_the_bucket_is_away_and_answered_when_it_is_back(
    running: Running, seaweed: Seaweed, blobs_url: str
) -> None:
    with seaweed.dead():
        await running.postman.send(mail(SUBJECT, "", FILES))
        assert len(running.house.spool.mail_ids()) == 1
    await running.inbox.letter("answer")
    share = await running.inbox.letter("share")
    assert len(seaweed.below(blobs_url)) == 9
    await open_link(running, link_of(share))
