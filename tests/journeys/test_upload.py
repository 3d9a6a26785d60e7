"""The upload page in a real browser: from UPLOAD by mail to the reviewer's case."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from store.records import uploads
from store.uploads import Upload, UploadState
from tests.conftest import Running, jaw_stl
from tests.fakes import ANNA, KIM, Inbox, Postman, link_of, mail, text_of
from tests.journeys.test_confirm_page import small_controls, violations
from tests.service import Service, free_port
from tests.uploading import WORDS

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
JAWS = {"C-1042-UpperJaw.stl": jaw_stl("upper"), "C-1042-LowerJaw.stl": jaw_stl("lower")}
LARGE = jaw_stl("upper", 100_000)  # 5 MB: several pieces
SEEN: Path | None = None  # a folder for screenshots, to be looked at
# Files that a hand drags from a desktop are made of bytes here.
DROP = """([files, folder]) => {
  DataTransferItem.prototype.webkitGetAsEntry = function () {
    const { name } = this.getAsFile();
    return { name, isDirectory: name === folder };
  };
  const carried = new DataTransfer();
  for (const [name, text] of files) carried.items.add(new File([text], name));
  const zone = document.querySelector(".drop");
  for (const type of ["dragover", "drop"]) {
    const event = new DragEvent(type, { dataTransfer: carried, bubbles: true, cancelable: true });
    zone.dispatchEvent(event);
    if (!event.defaultPrevented) throw new Error(`${type} was left to the browser`);
  }
}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a designer has on the disk."""
    folder = tmp_path / "export"
    folder.mkdir()
    for name, data in {**JAWS, "large.stl": LARGE}.items():
        (folder / name).write_bytes(data)
    return folder


@dataclass
class Asked:
    """An upload page that was asked for by mail."""

    running: Running
    link: str

    async def row(self) -> Upload:
        async with self.running.house.database.read() as connection:
            found = await uploads.by_token(connection, self.link.rpartition("/")[2])
        assert found is not None
        return found

    async def durable(self) -> int:
        async with self.running.house.database.read() as connection:
            files = await uploads.files_of(connection, (await self.row()).id)
        return sum(file.received for file in files)


def upload_link(text: str) -> str:
    found = re.search(r"http\S+/u/[a-z2-7]{26}", text)
    assert found, text
    return found[0]


async def ask(running: Running, line: str = f"UPLOAD {KIM} C-1042 crown #30") -> Asked:
    await running.postman.send(mail("scans", line))
    return Asked(running, upload_link(text_of(await running.inbox.letter("upload", ANNA))))


async def enter(context: BrowserContext, link: str) -> Page:
    """The page, which must not complain or ask anybody else for anything."""
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    page.complaints = complaints  # type: ignore[attr-defined]
    await page.goto(link)
    return page


def complaints_of(page: Page) -> list[str]:
    found: list[str] = page.complaints  # type: ignore[attr-defined]
    return found


async def choose(page: Page, *paths: Path) -> None:
    await page.set_input_files("#files", [str(path) for path in paths])


async def all_here(page: Page, count: int) -> None:
    states = page.locator(".upload-state")
    await expect(states).to_have_text(["Here"] * count, timeout=20_000)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await true():
            await asyncio.sleep(0.02)


async def see(page: Page, name: str) -> None:
    if SEEN is not None:
        await page.screenshot(path=SEEN / f"{name}.png", full_page=True)


async def test_two_jaws_go_up_and_the_case_opens_for_the_reviewer(
    running: Running, chromium: Browser, folder: Path
) -> None:
    asked = await ask(running)
    context = await chromium.new_context(**DESKTOP)
    page = await enter(context, asked.link)
    assert await page.input_value("[name=reviewers]") == KIM
    assert await page.input_value("[name=subject]") == "C-1042 crown #30"
    share = page.get_by_role("button", name="Share")
    await expect(share).to_be_disabled()
    await page.fill("[name=note]", "Is the margin closed?")
    await choose(page, *(folder / name for name in JAWS))
    await all_here(page, 2)
    await expect(page.locator(".upload-total")).to_have_text(re.compile(r"2 files, .* of 200\sMB"))
    await expect(page.locator(".upload-line")).to_have_text(re.compile("2 of 2 files"))
    await share.click()
    await expect(page.locator("h1")).to_have_text("Taken")
    await expect(page.locator("h1")).to_be_focused()
    answer = await running.inbox.letter("answer", ANNA)
    letter = await running.inbox.letter("share", KIM)
    assert "C-1042-UpperJaw.stl" in text_of(answer)
    assert "Is the margin closed?" in text_of(letter)
    case = await running.only_case()
    assert (case.code, case.title) == ("C-1042", "crown #30")
    await page.goto(link_of(letter))
    await page.click("button[type=submit]")
    await expect(page.locator("h1")).to_contain_text("C-1042")
    assert complaints_of(page) == []
    response = await page.goto(asked.link)
    assert response is not None
    assert response.status == 410
    await running.all_done()
    assert running.house.blobs.names("uploads/") == []
    await context.close()


async def test_a_lost_connection_is_said_and_the_file_goes_on(
    running: Running, chromium: Browser, folder: Path
) -> None:
    asked = await ask(running)
    context = await chromium.new_context(**PHONE)
    page = await enter(context, asked.link)
    first, offsets = asyncio.Event(), []

    async def note(route: Route) -> None:
        offsets.append(int(route.request.headers["upload-offset"]))
        if len(offsets) == 2:
            await context.set_offline(True)
            first.set()
            await route.abort("internetdisconnected")
            return
        await route.continue_()

    await page.route(
        "**/files/*", lambda route: note(route) if _is_piece(route) else route.continue_()
    )
    await choose(page, folder / "large.stl")
    await first.wait()
    await expect(page.locator(".upload-line")).to_contain_text("offline")
    await expect(page.locator(".upload-state")).to_contain_text("what is here is kept")
    assert 0 < await asked.durable() < len(LARGE)
    await see(page, "lost")
    await context.set_offline(False)
    await all_here(page, 1)
    assert offsets[0] == 0
    assert offsets[2] == offsets[1] > 0
    await page.get_by_role("button", name="Share").click()
    await expect(page.locator("h1")).to_have_text("Taken")
    await running.inbox.letter("answer", ANNA)
    await context.close()


def _is_later(route: Route) -> bool:
    return _is_piece(route) and route.request.headers["upload-offset"] != "0"


def _is_piece(route: Route) -> bool:
    return route.request.method == "PATCH"


async def test_after_a_reload_the_same_file_goes_on_and_another_of_its_name_does_not(
    running: Running, chromium: Browser, folder: Path
) -> None:
    asked = await ask(running)
    context = await chromium.new_context(**DESKTOP)
    page = await enter(context, asked.link)
    offsets: list[int] = []

    async def only_the_first(route: Route) -> None:
        offsets.append(int(route.request.headers["upload-offset"]))
        if offsets == [0]:
            await route.continue_()
        else:
            await route.abort()

    await page.route(
        "**/files/*", lambda route: only_the_first(route) if _is_piece(route) else route.continue_()
    )
    await choose(page, folder / "large.stl")
    await until(lambda: _more_than(asked, 0))
    page.on("dialog", lambda dialog: dialog.accept())
    await page.reload()
    await page.unroute_all(behavior="ignoreErrors")
    await expect(page.locator(".upload-state")).to_contain_text("Choose the file again")
    durable = await asked.durable()
    pieces: list[int] = []
    page.on("request", lambda one: _note_piece(one.method, one.headers, pieces))
    await choose(page, folder / "large.stl")
    await all_here(page, 1)
    assert pieces[0] == durable
    # The same name and size, other bytes: nothing of the two is mixed.
    other = folder / "other"
    other.mkdir()
    (other / "large.stl").write_bytes(LARGE[:-50] + bytes(50))
    await choose(page, other / "large.stl")
    await all_here(page, 2)
    await choose(page, other / "large.stl")
    await all_here(page, 2)
    await context.close()


def _note_piece(method: str, headers: dict[str, str], pieces: list[int]) -> None:
    if method == "PATCH":
        pieces.append(int(headers["upload-offset"]))


async def _more_than(asked: Asked, size: int) -> bool:
    return await asked.durable() > size


async def test_files_are_dropped_removed_and_refused_with_a_sentence(
    running: Running, chromium: Browser
) -> None:
    running.house.settings = running.house.settings.model_copy(update={"max_mail_mb": 1})
    asked = await ask(running)
    context = await chromium.new_context(**DESKTOP)
    page = await enter(context, asked.link)
    await page.evaluate(DROP, [[["a.stl", "x" * 400_000], ["b.stl", "y" * 400_000]], ""])
    await all_here(page, 2)
    await page.evaluate(DROP, [[["c.stl", "z" * 400_000]], ""])
    await expect(page.locator(".problem")).to_have_text(
        "c.stl was left out: all files together may have 1.0 MB."
    )
    await see(page, "too-large")
    await page.get_by_role("button", name="Remove a.stl").click()
    await expect(page.get_by_role("button", name="Remove b.stl")).to_be_focused()
    await page.evaluate(DROP, [[["c.stl", "z" * 400_000]], ""])
    await all_here(page, 2)
    await expect(page.locator(".upload-name")).to_have_text(["b.stl", "c.stl"])
    await page.evaluate(DROP, [[["case 1042", ""]], "case 1042"])
    await expect(page.locator(".problem")).to_contain_text("case 1042 is a folder. Pack it as ZIP")
    await expect(page.locator(".upload-name")).to_have_count(2)
    await until(lambda: _two_files(asked))
    await context.close()


async def _two_files(asked: Asked) -> bool:
    async with asked.running.house.database.read() as connection:
        files = await uploads.files_of(connection, (await asked.row()).id)
    return [file.name for file in files] == ["b.stl", "c.stl"]


async def test_a_busy_server_is_told_from_a_lost_connection(
    running: Running, chromium: Browser, folder: Path
) -> None:
    asked = await ask(running)
    context = await chromium.new_context(**DESKTOP)
    page = await enter(context, asked.link)
    turned_away: list[str] = []

    async def busy(route: Route) -> None:
        if turned_away or not _is_piece(route):
            await route.continue_()
            return
        turned_away.append(route.request.url)
        await route.fulfill(status=503, body="<h1>A moment, please</h1>")

    await page.route("**/files/*", busy)
    await choose(page, folder / "C-1042-UpperJaw.stl")
    await expect(page.locator(".upload-state")).to_contain_text("The server is busy")
    await all_here(page, 1)
    await context.close()


async def test_two_tabs_and_a_double_click_share_once(
    running: Running, chromium: Browser, folder: Path
) -> None:
    asked = await ask(running)
    context = await chromium.new_context(**DESKTOP)
    page = await enter(context, asked.link)
    await choose(page, folder / "C-1042-UpperJaw.stl")
    await all_here(page, 1)
    other = await enter(context, asked.link)
    await all_here(other, 1)
    await page.get_by_role("button", name="Share").dblclick()
    await expect(page.locator("h1")).to_have_text("Taken")
    await other.get_by_role("button", name="Share").click()
    await expect(other.locator("h1")).to_have_text("This link has ended")
    await running.inbox.letter("answer", ANNA)
    await running.all_done()
    kinds = sorted(letter["X-Scanpost-Kind"] for letter in running.inbox.letters)
    assert kinds == ["answer", "share", "upload"]
    await context.close()


async def test_without_a_script_a_form_does_it(
    running: Running, chromium: Browser, folder: Path
) -> None:
    asked = await ask(running, "UPLOAD")
    context = await chromium.new_context(**PHONE, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(asked.link)
    await see(page, "no-script")
    box = await page.locator(".drop").bounding_box()
    assert box is not None
    assert 0 < box["x"] < box["x"] + box["width"] < PHONE["viewport"]["width"]
    await page.fill("[name=reviewers]", "Kim")
    await page.fill("[name=subject]", "C-1042 crown #30")
    await choose(page, folder / "C-1042-UpperJaw.stl")
    await page.get_by_role("button", name="Share").click()
    assert "Write the reviewer’s e-mail address" in (await page.inner_text(".problem")).replace(
        "'", "’"
    )
    await page.fill("[name=reviewers]", KIM)
    await choose(page, folder / "C-1042-LowerJaw.stl", folder / "large.stl")
    await page.get_by_role("button", name="Share").click()
    assert await page.inner_text("h1") == "Taken"
    text = text_of(await running.inbox.letter("answer", ANNA))
    for name in (*JAWS, "large.stl"):
        assert name in text
    await context.close()


async def test_without_a_script_a_file_is_removed(
    running: Running, chromium: Browser, folder: Path
) -> None:
    asked = await ask(running, "UPLOAD")
    context = await chromium.new_context(**PHONE, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(asked.link)
    await page.fill("[name=reviewers]", "Kim")
    await choose(page, folder / "C-1042-UpperJaw.stl")
    await page.get_by_role("button", name="Share").click()
    await page.get_by_role("button", name="Remove C-1042-UpperJaw.stl").click()
    assert await page.locator(".upload-file").count() == 0
    assert (await asked.row()).state is UploadState.OPEN
    await context.close()


@pytest.mark.parametrize("device", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_the_page_is_for_everyone(
    running: Running, chromium: Browser, folder: Path, axe: Path, device: dict[str, Any]
) -> None:
    asked = await ask(running)
    context = await chromium.new_context(**device)
    await context.add_init_script(path=axe)
    page = await enter(context, asked.link)
    name = "phone" if device is PHONE else "desktop"
    await look(page, f"{name}-empty")
    await page.route("**/files/*", lambda route: None if _is_later(route) else route.continue_())
    await choose(page, folder / "large.stl", folder / "C-1042-UpperJaw.stl")
    await expect(page.locator(".upload-state").first).to_contain_text("1.0 of")
    await look(page, f"{name}-sending")
    page.on("dialog", lambda dialog: dialog.accept())
    await page.unroute_all(behavior="ignoreErrors")
    await page.reload()
    await look(page, f"{name}-again")
    await choose(page, folder / "large.stl", folder / "C-1042-UpperJaw.stl")
    await all_here(page, 2)
    await look(page, f"{name}-here")
    await page.get_by_role("button", name="Share").click()
    await expect(page.locator("h1")).to_have_text("Taken")
    await look(page, f"{name}-taken")
    await context.close()


async def look(page: Page, name: str) -> None:
    """What axe, a thumb and a narrow screen say about the page in light and in dark."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert await violations(page) == [], f"{name} {scheme}"
        await see(page, f"{name}-{scheme}")
    # With a script the label stands for the browser's own control.
    assert [one for one in await small_controls(page) if 'class="pick"' not in one] == [], name


async def test_a_killed_server_loses_no_piece(
    tmp_path: Path, chromium: Browser, folder: Path
) -> None:
    """kill -9 between two pieces, and once more behind Share."""
    inbox = Inbox()
    await inbox.open()
    service = Service(tmp_path / "data", f"smtp://127.0.0.1:{inbox.port}", free_port())
    await service.command("lab", "add", "Acme Dental")
    await service.command("account", "add", ANNA, "--lab", "Acme Dental", "--name", "Anna Berg")
    await service.start()
    await Postman(service.smtp_port).send(mail("scans", f"UPLOAD {KIM} C-1042"))
    link = upload_link(text_of(await inbox.letter("upload", ANNA)))
    context = await chromium.new_context(**DESKTOP)
    page = await context.new_page()
    await page.goto(link)
    second, alive = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async def hold(route: Route) -> None:
        seen.append(int(route.request.headers["upload-offset"]))
        if len(seen) == 2:
            second.set()
            await alive.wait()
        await route.continue_()

    await page.route(
        "**/files/*", lambda route: hold(route) if _is_piece(route) else route.continue_()
    )
    await choose(page, folder / "large.stl")
    await second.wait()
    service.kill(group=True)
    await service.ended()
    alive.set()
    await expect(page.locator(".upload-line")).to_contain_text("The connection is lost")
    await service.start()
    await all_here(page, 1)
    assert seen[2] == seen[1] > 0
    await page.get_by_role("button", name="Share").click()
    await expect(page.locator("h1")).to_have_text("Taken")
    service.kill(group=True)
    await service.ended()
    await service.start()
    await inbox.letter("answer", ANNA)
    service.kill(group=True)
    await service.ended()
    await context.close()
    await inbox.close()


def test_the_words_of_the_page_are_those_of_the_form() -> None:
    assert set(WORDS) == {"reviewers", "subject", "note"}
