"""A designer mails a better design into the case's thread: the reviewer hears what is new in it."""

import asyncio
import functools
import hashlib
import io
import os
import zipfile
from email.message import EmailMessage
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from inbound.scans.mesh import Mesh
from scanpost import jaws
from store.clock import DAY, HOUR
from store.house import scan_object, version_prefix
from store.model import LIFETIME, Scan, Version
from store.records import cases, remarks, versions
from store.states import RemarkKind
from tests.conftest import Running, jaw_stl
from tests.fakes import (
    ANNA,
    BEN,
    KIM,
    PATIENCE,
    html_of,
    link_of,
    mail,
    picture_of,
    reply,
    reply_with,
    text_of,
)

UPPER, LOWER = jaw_stl("upper", 1_000), jaw_stl("lower", 1_000)
SUBJECT = f"{KIM} C-1042 crown #30"

LONG = bool(os.environ.get("SCANPOST_LONG_RUNS"))
ONLY_WORDS = [
    "Changes: the margin is lower now",
    "Added contact mesial",
    "Please extend your patience\n\nAnna",
]


@functools.cache
def crown(bump: float = 0.0, scale: float = 1.0) -> bytes:
    """A crown as STL, with a smooth bump of so many mm on the middle of its top."""
    mesh = jaws.make_crown(6_000)
    points = mesh.vertices.astype(np.float64)
    top = points[points[:, 2].argmax()]
    away = np.linalg.norm(points - top, axis=1)
    points[:, 2] += bump * np.clip(1 - (away / 1.5) ** 2, 0, 1) ** 2
    return jaws.stl_bytes(Mesh((points * scale).astype(np.float32), mesh.faces))


FIRST = {"UpperJaw.stl": UPPER, "LowerJaw.stl": LOWER, "crown30.stl": crown()}


def said(letter: EmailMessage) -> str:
    return " ".join(text_of(letter).split())


async def shared(running: Running, files: dict[str, bytes] | None = None) -> EmailMessage:
    """Version 1, told to everybody; the answer to its owner."""
    await running.postman.send(mail(SUBJECT, "margins please", files or FIRST))
    await running.inbox.letter("share", KIM)
    return await running.inbox.letter("answer", ANNA)


async def scans_shown(running: Running) -> tuple[Version, list[Scan]]:
    """What people see."""
    case = await running.only_case()
    async with running.house.database.read() as connection:
        version = await cases.latest_version(connection, case.id)
        assert version is not None
        return version, await cases.scans_of(connection, version.id)


def kinds(running: Running) -> list[tuple[str, str]]:
    return sorted(
        (str(one["X-Scanpost-Kind"]), str(one["X-Envelope-To"])) for one in running.inbox.letters
    )


# ---------------------------------------------------------------- the next version


async def test_a_new_design_in_the_thread_is_the_next_version(running: Running, clock) -> None:
    answer = await shared(running)
    first = await running.inbox.letter("share", KIM)
    clock.advance(HOUR)
    await running.postman.send(reply_with(answer, "Higher now.", {"crown30 v2.stl": crown(0.21)}))
    letter = await running.inbox.letter("version", KIM)
    words = said(letter)
    assert "Anna Berg of Acme Dental shares version 2 of C-1042 crown #30 with you." in words
    assert "Anna Berg writes: Higher now." in words
    assert "Design: changed by up to 0.21 mm against version 1." in words
    news, before = words.partition("New in version 2:")[2].split("As before:")
    assert "Design" in news
    assert "Upper jaw" not in news
    assert "Upper jaw" in before
    assert "Lower jaw" in before
    assert "margins please" not in words
    assert "crown30" not in words + html_of(letter)
    assert link_of(letter) == link_of(first)
    assert letter["References"] == first["References"]
    assert letter["Subject"] == first["Subject"]
    assert (picture_of(letter) or b"").startswith(b"\xff\xd8\xff")
    assert picture_of(letter) != picture_of(first)
    told = await running.inbox.letter("answer", ANNA, count=2)
    assert "Version 2 of C-1042 crown #30 is shared" in said(told)
    assert "Design: changed by up to 0.21 mm against version 1." in said(told)
    assert f"Told just now: {KIM}." in said(told)
    await running.all_done()
    assert kinds(running) == [("answer", ANNA)] * 2 + [("share", KIM), ("version", KIM)]


async def test_what_was_not_mailed_again_is_carried_and_its_objects_stay_where_they_are(
    running: Running,
) -> None:
    answer = await shared(running)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21)}))
    await running.inbox.letter("version", KIM)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.1)}))
    await running.inbox.letter("version", KIM, count=2)
    version, scans = await scans_shown(running)
    assert (version.number, [scan.role for scan in scans]) == (3, ["design", "upper", "lower"])
    case = await running.only_case()
    async with running.house.database.read() as connection:
        one, two, three = await cases.shared_versions(connection, case.id)
        first = await cases.scans_of(connection, one.id)
    assert (three.follows, two.follows, one.follows) == (two.id, one.id, None)
    for scan in scans[1:]:
        assert scan.home_version == one.id  # the first home, not the version between
        brought = next(other for other in first if other.role == scan.role)
        assert scan_object(case.id, scan, "full") == scan_object(case.id, brought, "full")
        assert scan.original_sha256 == brought.original_sha256
        assert scan.change is None
    assert scans[0].change is not None
    assert scans[0].change["largest_mm"] == pytest.approx(-0.11, abs=0.01)
    assert scans[0].change["version"] == 2
    names = running.house.blobs.names(version_prefix(case.id, three.id))
    own = {name.removeprefix(version_prefix(case.id, three.id)) for name in names}
    assert {"1/change", "1/full", "2/map", "3/map", "0/picture"} <= own
    assert "2/full" not in own
    assert scans[0].change_size > 0
    assert version.contacts is not None
    assert version.contacts["meetings"]


async def test_the_page_shows_the_new_version_and_only_when_it_is_shared(running: Running) -> None:
    answer = await shared(running)
    before, _ = await scans_shown(running)
    held = running.server.children.room
    async with held:  # one of the places is taken; the other is enough to work
        await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21)}))
        version, _ = await scans_shown(running)
        assert version.id == before.id
    await running.inbox.letter("version", KIM)
    version, _ = await scans_shown(running)
    assert version.number == 2


async def test_reviewers_have_seven_days_to_look_at_a_version(running: Running, clock) -> None:
    answer = await shared(running)
    first = (await running.only_case()).expires_at
    clock.advance(5 * DAY)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21)}))
    await running.inbox.letter("version", KIM)
    end = (await running.only_case()).expires_at
    assert end == clock.now() + LIFETIME
    assert end > first
    await running.postman.send(reply(answer, "EXTEND 20"))
    await running.inbox.letter("transcript", ANNA)
    later = (await running.only_case()).expires_at
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.1)}))
    await running.inbox.letter("version", KIM, count=2)
    assert (await running.only_case()).expires_at == later


async def test_revoked_reviewers_are_not_told_and_keep_a_dead_link(running: Running) -> None:
    answer = await shared(running)
    await running.postman.send(reply(answer, "REVOKE"))
    await running.inbox.letter("transcript", ANNA)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21)}))
    told = await running.inbox.letter("answer", ANNA, count=2)
    assert "Nobody was told" in said(told)
    await running.all_done()
    assert ("version", KIM) not in kinds(running)


async def test_a_colleague_may_send_it_and_hears_who_has_the_answer(running: Running) -> None:
    answer = await shared(running)
    await running.postman.send(reply_with(answer, "", {"crown.stl": crown(0.21)}, sender=BEN))
    notice = await running.inbox.letter("notice", BEN)
    assert "Version 2 of C-1042 crown #30 is shared" in said(notice)
    assert "Anna Berg" in said(notice)
    await running.inbox.letter("answer", ANNA, count=2)


async def test_a_design_that_lies_elsewhere_is_not_compared(running: Running) -> None:
    answer = await shared(running)
    molar = jaws.stl_bytes(jaws.make_bite(6_000))
    await running.postman.send(reply_with(answer, "", {"crown30.stl": molar}))
    words = said(await running.inbox.letter("version", KIM))
    assert "Design cannot be compared with version 1: it shows another place." in words


async def test_an_unchanged_jaw_mailed_once_more_is_said_to_be_the_same(running: Running) -> None:
    answer = await shared(running)
    files = {"UpperJaw.stl": UPPER, "crown30.stl": crown(0.21)}
    await running.postman.send(reply_with(answer, "", files))
    words = said(await running.inbox.letter("version", KIM))
    assert "Upper jaw is the same as in version 1." in words
    assert "Design: changed by up to 0.21 mm against version 1." in words


async def test_of_two_designs_the_one_that_nothing_follows_is_named(running: Running) -> None:
    two = {"lower.stl": LOWER, "crown30.stl": crown(), "crown31.stl": crown(0.1)}
    answer = await shared(running, two)
    await running.postman.send(reply_with(answer, "", {"crown31.stl": crown(0.31)}))
    words = said(await running.inbox.letter("answer", ANNA, count=2))
    assert "Design: changed by up to 0.21 mm against version 1." in words  # by its name
    assert "No longer shown: Design (crown30.stl)" in words
    letter = said(await running.inbox.letter("version", KIM))
    assert "No longer shown: Design." in letter
    _, scans = await scans_shown(running)
    assert [scan.original_name for scan in scans] == ["crown31.stl", "lower.stl"]


# ---------------------------------------------------------------- what is no next version


async def test_a_broken_file_alone_leaves_the_version_before_and_its_number_free(
    running: Running,
) -> None:
    answer = await shared(running)
    case = await running.only_case()
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21)[:10_000]}))
    notice = await running.inbox.letter("notice", ANNA)
    assert "crown30.stl stops after" in said(notice)
    assert "Version 1 of C-1042 stays as it is." in said(notice)
    await running.all_done()
    async with running.house.database.read() as connection:
        assert not await versions.in_preparation(connection, case.id)
        (one,) = await cases.shared_versions(connection, case.id)
    prefix = version_prefix(case.id, one.id)
    async with asyncio.timeout(PATIENCE):  # the last steps of the flow: nobody waits for them
        while running.house.spool.mail_ids():
            await asyncio.sleep(0.02)
    assert all(name.startswith(prefix) for name in running.house.blobs.names("cases/"))
    assert ("version", KIM) not in kinds(running)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21)}))
    assert "version 2" in said(await running.inbox.letter("version", KIM))


async def test_the_same_scans_are_already_here_and_an_older_version_comes_back(
    running: Running,
) -> None:
    answer = await shared(running)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown()}))
    assert "Already here" in said(await running.inbox.letter("notice", ANNA))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("crown30.stl", crown())
    await running.postman.send(reply_with(answer, "", {"crown.zip": packed.getvalue()}))
    notice = await running.inbox.letter("notice", ANNA, count=2)
    assert "These scans are version 1 of C-1042 crown #30" in said(notice)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21)}))
    await running.inbox.letter("version", KIM)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown()}))
    letter = await running.inbox.letter("version", KIM, count=2)
    assert "Design: changed by up to 0.2" in said(letter)
    assert "against version 2" in said(letter)


async def test_a_reviewers_scans_are_no_version(running: Running) -> None:
    await shared(running)
    share = await running.inbox.letter("share", KIM)
    await running.postman.send(reply_with(share, "", {"mine.stl": crown(0.21)}, sender=KIM))
    notice = await running.inbox.letter("notice", KIM)
    assert "Only the lab adds scans to its case" in said(notice)
    assert "Anna Berg" in said(notice)
    version, _ = await scans_shown(running)
    assert version.number == 1


async def test_a_command_beside_scans_is_obeyed_and_says_that_they_were_not_taken(
    running: Running,
) -> None:
    answer = await shared(running)
    await running.postman.send(reply_with(answer, "REVOKE", {"crown.stl": crown(0.21)}))
    transcript = await running.inbox.letter("transcript", ANNA)
    assert "is dead" in said(transcript)
    assert "The scans in your mail were not taken" in said(transcript)
    again = reply_with(answer, "Please revoke kim first", {"crown.stl": crown(0.21)})
    await running.postman.send(again)
    assert "Your scans were not taken" in said(await running.inbox.letter("notice", ANNA))
    version, _ = await scans_shown(running)
    assert version.number == 1


@pytest.mark.parametrize("note", ONLY_WORDS if LONG else ONLY_WORDS[:1])
async def test_words_that_only_look_like_commands_are_the_note(running: Running, note: str) -> None:
    answer = await shared(running)
    await running.postman.send(reply_with(answer, note, {"crown.stl": crown(0.21)}))
    letter = await running.inbox.letter("version", KIM)
    assert note.split("\n", maxsplit=1)[0] in said(letter)


async def test_a_case_that_waits_for_its_reviewer_takes_no_second_mail(running: Running) -> None:
    await running.postman.send(mail("C-1046 crown", "", FIRST))
    question = await running.inbox.letter("question", ANNA)
    await running.postman.send(reply_with(question, "", {"crown30.stl": crown(0.21)}))
    notice = await running.inbox.letter("notice", ANNA)
    assert "Reply first with the reviewer's e-mail address" in said(notice)
    await running.postman.send(reply(question, KIM))
    await running.inbox.letter("share", KIM)


# ---------------------------------------------------------------- units


async def test_inches_do_not_follow_millimetres(running: Running) -> None:
    answer = await shared(running)
    inches = jaws.stl_bytes(_scaled(jaws.make_jaw(1_000, "upper"), 1 / 25.4))
    await running.postman.send(reply_with(answer, "", {"UpperJaw.stl": inches}))
    notice = said(await running.inbox.letter("notice", ANNA))
    assert "UpperJaw.stl measures" in notice
    assert "that looks like inches, not millimetres" in notice
    assert "Send the scans in millimetres into this thread" in notice
    version, _ = await scans_shown(running)
    assert version.number == 1
    await running.postman.send(reply(answer, "INCH"))
    told = said(await running.inbox.letter("notice", ANNA, count=2))
    assert "“INCH” was passed on to nobody" in told


async def test_the_unit_that_was_said_before_counts_again(running: Running) -> None:
    jaw = jaws.stl_bytes(_scaled(jaws.make_jaw(1_000, "upper"), 1 / 25.4))
    files = {"UpperJaw.stl": jaw, "crown30.stl": crown(0, 1 / 25.4)}
    await running.postman.send(mail(SUBJECT, "", files))
    await running.postman.send(reply(await running.inbox.letter("notice", ANNA), "INCH"))
    answer = await running.inbox.letter("answer", ANNA)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21, 1 / 25.4)}))
    told = said(await running.inbox.letter("answer", ANNA, count=2))
    assert "crown30.stl is taken as inches, as you said before." in told
    assert "Design: changed by up to 0.21 mm against version 1." in told
    assert "taken as" not in said(await running.inbox.letter("version", KIM))


def _scaled(mesh: Mesh, factor: float) -> Mesh:
    return Mesh((mesh.vertices * factor).astype(np.float32), mesh.faces)


# ---------------------------------------------------------------- at the same time, and too late


async def test_two_replies_at_once_are_two_versions_and_the_later_one_shows_both(
    running: Running,
) -> None:
    answer = await shared(running)
    await asyncio.gather(
        running.postman.send(reply_with(answer, "a", {"crown30.stl": crown(0.21)})),
        running.postman.send(reply_with(answer, "b", {"UpperJaw.stl": jaw_stl("upper", 4_000)})),
    )
    two = await running.inbox.letter("version", KIM)
    three = await running.inbox.letter("version", KIM, count=2)
    assert "version 2" in said(two)
    assert "version 3" in said(three)
    version, scans = await scans_shown(running)
    assert version.number == 3
    by_role = {scan.role: scan for scan in scans}
    assert by_role["upper"].original_size == len(jaw_stl("upper", 4_000))
    assert by_role["design"].original_size == len(crown())
    async with running.house.database.read() as connection:
        _, second, third = await cases.shared_versions(connection, version.case_id)
    assert third.follows == second.id
    changed = crown(0.21)
    assert {scan.original_sha256 for scan in scans} >= {_sha256(changed)}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------- verdicts


def button(letter: EmailMessage, verb: str) -> EmailMessage:
    """The mail that a tap on a button of a letter writes."""
    found = next(
        part.split('"')[0]
        for part in html_of(letter).split('href="')
        if part.startswith("mailto:") and f"subject={verb}" in part
    ).replace("&amp;", "&")
    asked = parse_qs(urlsplit(found).query)
    return mail(asked["subject"][0], asked["body"][0], sender=KIM, to=urlsplit(found).path)


async def verdicts(running: Running) -> list[tuple[str, int]]:
    case = await running.only_case()
    async with running.house.database.read() as connection:
        numbers = {one.id: one.number for one in await cases.shared_versions(connection, case.id)}
        found = await remarks.of_case(connection, case.id)
    return [
        (one.kind.value, numbers[one.version_id or ""])
        for one in found
        if one.kind is not RemarkKind.COMMENT
    ]


async def test_an_approval_of_the_letter_before_is_asked_back(running: Running) -> None:
    """Acceptance, cases 25."""
    answer = await shared(running)
    first = await running.inbox.letter("share", KIM)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21)}))
    second = await running.inbox.letter("version", KIM)
    for count, old in enumerate((reply(first, "Approve", KIM), button(first, "APPROVE")), 1):
        await running.postman.send(old)
        asked = said(await running.inbox.letter("notice", KIM, count=count))
        assert "What you wrote is about version 1 of C-1042, so nothing was done" in asked
        assert "Version 2 is here since" in asked
        assert "“APPROVE v2”" in asked
    await running.postman.send(reply(first, "CHANGES the margin of 30 is open", KIM))
    asked = said(await running.inbox.letter("notice", KIM, count=3))
    assert "Your words, which were passed on to nobody: “the margin of 30 is open”" in asked
    await running.all_done()
    assert await verdicts(running) == []
    assert ("verdict", ANNA) not in kinds(running)
    await running.postman.send(button(second, "APPROVE"))
    told = await running.inbox.letter("verdict", ANNA)
    assert f"{KIM} approved version 2 of C-1042" in said(told)
    await running.postman.send(button(second, "APPROVE"))
    again = await running.inbox.letter("transcript", KIM, count=2)
    assert "already; nothing was sent twice" in said(again)
    assert await verdicts(running) == [("approved", 2)]


async def test_a_verdict_binds_what_was_carried_too(running: Running) -> None:
    answer = await shared(running)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21)}))
    await running.postman.send(reply(await running.inbox.letter("version", KIM), "APPROVE", KIM))
    await running.inbox.letter("verdict", ANNA)
    _, scans = await scans_shown(running)
    async with running.house.database.read() as connection:
        (verdict,) = await remarks.of_case(connection, (await running.only_case()).id)
    assert len(verdict.files) == 6
    assert {_sha256(data) for data in (UPPER, LOWER, crown(0.21))} <= set(verdict.files)
    assert {scan.copy_sha256 for scan in scans} <= set(verdict.files)


async def test_status_and_list_show_the_version_and_what_was_said_of_it(running: Running) -> None:
    answer = await shared(running)
    first = await running.inbox.letter("share", KIM)
    await running.postman.send(reply(first, "APPROVE", KIM))
    await running.inbox.letter("verdict", ANNA)
    await running.postman.send(reply(answer, "STATUS"))
    assert f"{KIM}: approved on" in said(await running.inbox.letter("transcript", ANNA))
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21)}))
    second = await running.inbox.letter("version", KIM)
    await running.postman.send(reply(answer, "STATUS"))
    status = said(await running.inbox.letter("transcript", ANNA, count=2))
    assert "Version 2, shared on" in status
    assert f"{KIM}: approved version 1 on" in status
    await running.postman.send(reply(answer, "LIST"))
    listed = said(await running.inbox.letter("transcript", ANNA, count=3))
    assert "version 2, " in listed
    assert "approved by" not in listed
    await running.postman.send(reply(second, "APPROVE v2: lovely", KIM))
    await running.inbox.letter("verdict", ANNA, count=2)
    await running.postman.send(reply(answer, "LIST"))
    assert "approved by 1" in said(await running.inbox.letter("transcript", ANNA, count=4))


async def test_everything_that_was_mailed_is_named_when_it_is_destroyed(
    running: Running, clock
) -> None:
    answer = await shared(running)
    await running.postman.send(reply_with(answer, "", {"crown30.stl": crown(0.21)}))
    await running.inbox.letter("version", KIM)
    clock.time = (await running.only_case()).expires_at
    running.house.poke()
    receipt = said(await running.inbox.letter("notice", ANNA))
    assert "4 files" in receipt
    for data in (*FIRST.values(), crown(0.21)):
        assert _sha256(data) in receipt
    assert running.house.blobs.names("cases/") == []
