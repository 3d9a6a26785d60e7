"""Comments, verdicts and marks as programs meet them: what is taken, from whom, how often."""

import io
import json
from typing import Any

import aiohttp
import pytest
from PIL import Image

from store.clock import HOUR, SECOND
from store.house import case_prefix
from store.records import audit, cases, remarks
from store.states import RemarkKind
from tests.conftest import Running
from tests.fakes import ANNA, KIM, link_of, text_of
from tests.test_viewer_web import enter, settle, share, web

LEE = "lee@clinic.example"
__all__ = ["web"]  # the client without a memory


def png(width: int = 40, height: int = 30) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (width, height), (12, 200, 90)).save(target, "PNG")
    return target.getvalue()


class Person:
    """Somebody in an open session."""

    def __init__(
        self, running: Running, web: aiohttp.ClientSession, link: str, cookie: dict[str, str]
    ) -> None:
        self.web, self.link = web, link
        self.headers = cookie | {"Origin": running.url, "Accept": "application/json"}

    async def post(self, path: str, picture: bytes = b"", **fields: Any) -> tuple[int, Any]:
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in fields.items():
            for one in value if isinstance(value, list) else [value]:
                form.add_field(name, one if isinstance(one, str) else json.dumps(one))
        if picture:
            form.add_field(
                "picture", io.BytesIO(picture), filename="seen.png", content_type="image/png"
            )
        async with self.web.post(self.link + path, data=form, headers=self.headers) as answer:
            body = await answer.text()
            return answer.status, json.loads(body) if body else None

    async def say(self, kind: str, text: str, **fields: Any) -> tuple[int, Any]:
        return await self.post("/remarks", kind=kind, version="1", text=text, **fields)

    async def read(self) -> list[dict[str, Any]]:
        async with self.web.get(f"{self.link}/remarks", headers=self.headers) as answer:
            assert answer.status == 200
            return (await answer.json())["remarks"]


async def person(running: Running, web: aiohttp.ClientSession, link: str) -> Person:
    return Person(running, web, link, await enter(running, web, link))


async def test_a_comment_goes_to_the_owner_once_however_often_it_is_sent(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    kim = await person(running, web, link)
    once = "a" * 26
    for _ in range(3):
        status, said = await kim.say("comment", "Is 14 closed?\u202e", once=once)
        assert status == 200
        assert said["remark"]["text"] == "Is 14 closed?"
    await running.all_done()
    letters = [one for one in running.inbox.letters if one["X-Scanpost-Kind"] == "remark"]
    assert len(letters) == 1
    assert "Is 14 closed?" in text_of(letters[0])
    assert letters[0]["X-Envelope-To"] == ANNA
    assert [one["text"] for one in await kim.read()] == ["Is 14 closed?"]


async def test_the_owners_words_go_to_the_reviewers_who_do_not_read_each_other(
    running: Running, web: aiohttp.ClientSession
) -> None:
    owners, link = await share(running, f"{KIM} {LEE} C-1042 crown")
    lees = link_of(await running.inbox.letter("share", LEE))
    anna, kim, lee = [await person(running, web, one) for one in (owners, link, lees)]
    await kim.say("comment", "from kim")
    await lee.say("comment", "from lee")
    await anna.say("comment", "from anna")
    for to in (KIM, LEE):
        assert "from anna" in text_of(await running.inbox.letter("remark", to))
    assert [one["text"] for one in await anna.read()] == ["from kim", "from lee", "from anna"]
    assert [one["text"] for one in await kim.read()] == ["from kim", "from anna"]
    assert [one["text"] for one in await lee.read()] == ["from lee", "from anna"]
    status, answer = await anna.say("approved", "fine")
    assert (status, answer["sentence"]) == (
        400,
        "Only a reviewer decides. Write a comment instead.",
    )


async def test_a_verdict_binds_the_files_and_is_in_the_trail(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    kim = await person(running, web, link)
    status, _ = await kim.say("changes", "", reason=["margin", "hacked", "shade"])
    assert status == 200
    status, _ = await kim.say("approved", "fine now")
    assert status == 200
    case = await running.only_case()
    async with running.house.database.read() as connection:
        version = await cases.latest_version(connection, case.id)
        [scan] = await cases.scans_of(connection, version.id)
        changes, approved = await remarks.of_case(connection, case.id)
        lines = await audit.lines_of_case(connection, case.id)
        assert await audit.first_broken_line(connection) is None
    assert changes.reasons == ["margin", "shade"]
    assert approved.kind is RemarkKind.APPROVED
    assert approved.files == [scan.original_sha256, scan.copy_sha256]
    assert [line.action for line in lines][-2:] == ["verdict changes", "verdict approved"]
    assert "fine now" not in str([line.detail for line in lines])


async def test_a_picture_is_checked_by_a_child_and_shown_to_who_may_read(
    running: Running, web: aiohttp.ClientSession
) -> None:
    owners, link = await share(running, f"{KIM} {LEE} C-1042 crown")
    lees = link_of(await running.inbox.letter("share", LEE))
    anna, kim, lee = [await person(running, web, one) for one in (owners, link, lees)]
    _, said = await kim.say("comment", "see", picture=png())
    await running.all_done()
    place = f"/remarks/{said['remark']['id']}/picture"
    seen = {}
    for one in (anna, kim, lee):
        async with web.get(one.link + place, headers=one.headers) as answer:
            seen[one.link] = answer.status
            if answer.status == 200:
                assert answer.headers["Content-Type"] == "image/png"
                assert Image.open(io.BytesIO(await answer.read())).size == (40, 30)
    assert list(seen.values()) == [200, 200, 404]

    # A PNG in name only: the words go out, the picture does not.
    await kim.say("comment", "broken", picture=b"\x89PNG\r\n\x1a\n" + b"x" * 500)
    letter = await running.inbox.letter("remark", ANNA, count=2)
    assert "broken" in text_of(letter)
    assert not [part for part in letter.walk() if part.get_content_maintype() == "image"]
    await running.all_done()
    names = running.house.blobs.names(f"{case_prefix((await running.only_case()).id)}remarks/")
    assert [name.rpartition("/")[2] for name in names] == ["checked"], "nor is it kept"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"kind": "comment", "text": " \n "}, "Write a few words first."),
        ({"kind": "comment", "text": "x" * 4001}, "4,001 letters"),
        ({"kind": "shout", "text": "x"}, "cannot be read"),
        ({"kind": "changes", "text": ""}, "choose a reason"),
        ({"kind": "comment", "text": "x", "version": "2"}, "not in the case any more"),
        ({"kind": "comment", "text": "x", "version": "1e0"}, "not in the case any more"),
        ({"kind": "comment", "text": "x", "marks": "[" * 50_000}, "cannot be read"),
        ({"kind": "comment", "text": "x", "marks": {"a": 1}}, "At most 50 marks"),
        ({"kind": "comment", "text": "x" * 70_000}, "more than 65 kB"),
        ({"kind": "comment", "text": "x", "more": ["1"] * 3, "picture": b"GIF89a"}, "no PNG"),
        (
            {"kind": "comment", "text": "x", "picture": b"\x89PNG\r\n\x1a\n" + bytes(6_000_000)},
            "more than 6,000 kB",
        ),
        ({"kind": "comment", "text": "x", **{f"f{n}": "1" for n in range(60)}}, "cannot be read"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_taken_is_refused_with_a_sentence_and_nothing_is_kept(
    running: Running, web: aiohttp.ClientSession, fields: dict[str, Any], sentence: str
) -> None:
    _, link = await share(running)
    kim = await person(running, web, link)
    status, answer = await kim.post("/remarks", **{"version": "1", **fields})
    assert status == 400
    assert sentence in answer["sentence"]
    assert await kim.read() == []


async def test_only_a_session_of_the_same_origin_may_speak(
    running: Running, web: aiohttp.ClientSession
) -> None:
    owners, link = await share(running)
    kim = await person(running, web, link)
    for path in ("/remarks", "/marks", f"/marks/{'a' * 26}/remove"):
        without = {"Origin": running.url}
        async with web.post(link + path, data={"kind": "approved"}, headers=without) as answer:
            assert answer.status == 403
        elsewhere = kim.headers | {"Origin": "https://evil.example"}
        async with web.post(link + path, data={"kind": "approved"}, headers=elsewhere) as answer:
            assert answer.status == 403
        async with web.post(owners + path, data={}, headers=kim.headers) as answer:
            assert answer.status == 403, "Kim's session opens no other link"
    assert await kim.read() == []


async def test_an_hour_has_room_for_sixty_remarks(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    kim = await person(running, web, link)
    for number in range(60):
        status, _ = await kim.say("comment", f"number {number}")
        assert status == 200
    status, answer = await kim.say("comment", "one more")
    assert (status, "a lot for one hour" in answer["sentence"]) == (400, True)
    running.house.clock.advance(HOUR + SECOND)
    assert (await kim.say("comment", "one more"))[0] == 200


async def test_marks_are_a_persons_own_and_end_with_the_case(
    running: Running, web: aiohttp.ClientSession
) -> None:
    owners, link = await share(running)
    anna, kim = [await person(running, web, one) for one in (owners, link)]
    mark = {"kind": "distance", "points": [[0, 0, 0], [0, 0, 2]], "value": 99}
    status, kept = await kim.post("/marks", version="1", mark=mark)
    assert (status, kept["mark"]["value"]) == (200, 2.0)
    assert (await anna.post(f"/marks/{kept['id']}/remove"))[0] == 204
    async with web.get(link, headers=kim.headers) as answer:
        assert kept["id"] in await answer.text(), "somebody else's mark stays"
    for _ in range(49):
        assert (await kim.post("/marks", version="1", mark=mark))[1]["id"]
    assert (await kim.post("/marks", version="1", mark=mark))[1]["id"] is None, "there is an end"
    assert (await kim.post(f"/marks/{kept['id']}/remove"))[0] == 204
    async with web.get(link, headers=kim.headers) as answer:
        assert kept["id"] not in await answer.text()


async def test_a_plain_form_without_a_script_does_the_same(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    kim = await person(running, web, link)
    headers = {name: value for name, value in kim.headers.items() if name != "Accept"}
    form = {"kind": "approved", "version": "1", "text": "good"}
    for _ in range(2):
        async with web.post(
            f"{link}/remarks", data=form, headers=headers, allow_redirects=False
        ) as answer:
            assert answer.status == 303
            assert answer.headers["Location"].endswith("#said")
    form["text"], form["version"] = "", "7"
    async with web.post(f"{link}/remarks", data=form, headers=headers) as answer:
        assert answer.status == 400
        html = await answer.text()
    assert "Back to the case" in html
    await settle(running)
    assert len(await kim.read()) == 1


async def test_what_was_refused_leaves_no_picture_behind(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    kim = await person(running, web, link)
    case = await running.only_case()
    for version in ("77", "1"):
        fields = {"kind": "approved", "version": version, "text": "fine"}
        await kim.post("/remarks", picture=png(), **fields)
    await running.all_done()
    await kim.post(
        "/remarks", picture=png(), kind="approved", version="1", text="fine", once="b" * 26
    )
    names = running.house.blobs.names(f"{case_prefix(case.id)}remarks/")
    assert [name.rpartition("/")[2] for name in names] == ["checked"], "of the one that counts"


async def test_a_form_without_end_is_not_read_to_its_end(
    running: Running, web: aiohttp.ClientSession
) -> None:
    _, link = await share(running)
    kim = await person(running, web, link)
    status, answer = await kim.post(
        "/remarks", kind="comment", version="1", text=["x" * 60_000] * 200
    )
    assert (status, "more than 7,000 kB" in answer["sentence"]) == (400, True)
    status, answer = await kim.post("/remarks", kind="comment", version="1", text=["x"] * 60)
    assert (status, "cannot be read" in answer["sentence"]) == (400, True)
    assert await kim.read() == []
    for view in ({"azimuth": 10**400}, {"azimuth": "1"}, [], "x"):
        assert (await kim.say("comment", f"view {view}"[:20], view=json.dumps(view)))[0] == 200
    camera = dict.fromkeys(("azimuth", "polar", "across", "x", "y", "z"), 1.5)
    for number, (given, kept) in enumerate(
        (
            ({"shown": [1, 3], "cut": [1, 0, 0, 7.5]}, {"shown": [1, 3], "cut": [1, 0, 0, 7.5]}),
            ({"shown": [1, True, "2", 10**9], "cut": [1, 0, 0]}, {"shown": [1], "cut": None}),
            ({"shown": [1] * 200, "cut": [1, 0, 0, 10**30]}, {"shown": [], "cut": None}),
            ({"shown": {}, "more": "x" * 900}, {"shown": [], "cut": None}),
        )
    ):
        await kim.say("comment", f"seen {number}", view=json.dumps({**camera, **given}))
        assert (await kim.read())[-1]["view"] == {**camera, **kept}
