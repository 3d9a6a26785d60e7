"""The next version of a case, step by step: whatever dies when, and whoever is quicker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from inbound.cases.changes import (
    carried_on,
    changes_in_words,
    gone,
    labels_of,
    pairs,
    shows_the_same,
)
from inbound.cases.facts import case_facts
from inbound.cases.next_version import carry_scans
from inbound.cases.opening import case_id_of
from inbound.cases.outcome import Outcome
from inbound.flow import (
    announce,
    compare_scans,
    draw_picture,
    mail_flow,
    prepare_scans,
    read_mail,
    relate_scans,
    take_files,
)
from inbound.scans.child import Children
from scanpost import jaws
from store import ending
from store.errors import ChildLost
from store.house import House, version_prefix
from store.model import Case, Scan, Version
from store.records import access, cases, mails, versions
from store.records.work import Due
from store.states import CaseState, MailState, ScanState
from store.sweep import Sweep
from store.tokens import Purpose
from tests.conftest import jaw_stl
from tests.fakes import ANNA, BEN, DOMAIN, KIM, mail
from tests.journeys.test_versions import crown
from tests.test_talk_conversation import letters_of, said, take_in

FILES = {"UpperJaw.stl": jaw_stl("upper", 500), "crown30.stl": crown()}
OTHER_JAW = jaws.stl_bytes(jaws.make_jaw(4_000, "upper", seed=3))


async def undrawn(function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Each step but the drawing, which takes as long as all the others and is no reason not to share."""
    return None if function is draw_picture else await function(*arguments)


class Killed(Exception):
    """The process has died behind a step whose result nobody kept."""


class Dying:
    """Runs so many steps, then dies."""

    def __init__(self, after: int) -> None:
        self.left = after

    async def step(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        found = await function(*arguments)
        self.left -= 1
        if not self.left:
            raise Killed
        return found


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    made = Children()
    yield made
    await made.stop()


@pytest.fixture
async def case(house: House, children: Children) -> Case:
    """An open case of two scans."""
    mail_id = await take_in(house, mail(f"{KIM} C-1 crown", "margins", FILES).as_bytes())
    await mail_flow(house, children, undrawn, mail_id)
    async with house.database.read() as connection:
        found = await cases.case(connection, case_id_of(mail_id))
    assert found.state is CaseState.OPEN
    return found


async def reply_with(
    house: House, case: Case, files: dict[str, bytes], note: str = "", sender: str = ANNA
) -> str:
    """The id of a mail into the case's thread."""
    async with house.database.read() as connection:
        owner = await access.owner_of(connection, case.id)
        key = await house.case_key(connection, case.id)
    to = f"share+{access.token_of(key, owner, Purpose.REPLY)}@{DOMAIN}"
    message = mail("Re: C-1", note, files, sender=sender, to=to)
    return await take_in(house, message.as_bytes(), to, sender)


async def shown(house: House, case: Case) -> list[tuple[Version, dict[str, str]]]:
    """Each version that people see, with the SHA-256 of what it shows by role."""
    async with house.database.read() as connection:
        return [
            (
                version,
                {
                    scan.role: scan.original_sha256
                    for scan in await cases.scans_of(connection, version.id)
                },
            )
            for version in await cases.shared_versions(connection, case.id)
        ]


async def all_but_the_last(house: House, children: Children, mail_id: str) -> None:
    """Everything up to the moment of sharing."""
    assert await read_mail(house, children, mail_id)
    await take_files(house, children, mail_id)
    await prepare_scans(house, children, mail_id)
    await measure(house, children, mail_id)


async def measure(house: House, children: Children, mail_id: str) -> None:
    await carry_scans(house, mail_id)
    await relate_scans(house, children, mail_id)
    await compare_scans(house, children, mail_id)


async def letters_to(house: House, kind: str, address: str) -> int:
    return sum((one.kind, one.recipient) == (kind, address) for one in await letters_of(house))


# ---------------------------------------------------------------- whatever dies when


async def test_a_flow_that_dies_behind_each_step_in_turn_doubles_nothing(
    house: House, children: Children, case: Case
) -> None:
    """The worst case: the engine has forgotten all, and every step runs anew each time."""
    mail_id = await reply_with(house, case, {"crown30.stl": crown(0.21)})
    for steps in range(1, 20):
        try:
            await mail_flow(house, children, Dying(steps).step, mail_id)
        except Killed:
            continue
        break
    assert steps > 8
    (first, _), (second, _) = await shown(house, case)
    assert (first.number, second.number) == (1, 2)
    async with house.database.read() as connection:
        scans = await cases.scans_of(connection, second.id)
        assert (await mails.mail(connection, mail_id)).state is MailState.DONE
    assert [(scan.number, scan.role, scan.is_carried) for scan in scans] == [
        (1, "design", False),
        (2, "upper", True),
    ]
    assert scans[0].change is not None
    assert await letters_to(house, "version", KIM) == 1
    assert await letters_to(house, "answer", ANNA) == 2


async def test_until_it_is_shared_everything_stands_on_the_version_before(
    house: House, children: Children, case: Case
) -> None:
    mail_id = await reply_with(house, case, {"crown30.stl": crown(0.21)}, "Higher.")
    await all_but_the_last(house, children, mail_id)
    async with house.database.read() as connection:
        before = await case_facts(connection, case, house.clock.now())
    assert (before["version"], before["version_note"], before["changes"]) == (1, "", [])
    assert before["version_sentence"] == "The next version is being prepared."
    assert [scan["file"] for scan in before["scans"]] == list(FILES)
    assert await announce(house, mail_id) is Outcome.DONE
    async with house.database.read() as connection:
        after = await case_facts(connection, case, house.clock.now())
    assert (after["version"], after["version_note"]) == (2, "Higher.")
    assert after["version_sentence"].startswith("Version 2, shared on ")
    assert after["changes"] == ["Design: changed by up to 0.21 mm against version 1."]


async def test_a_colleagues_broken_mail_is_told_to_both(
    house: House, children: Children, case: Case
) -> None:
    files = {"crown30.stl": crown(0.21)[:9_000]}
    await mail_flow(house, children, undrawn, await reply_with(house, case, files, sender=BEN))
    told = {one.recipient: said(one) for one in await letters_of(house) if one.kind == "notice"}
    assert "crown30.stl stops after" in told[BEN]
    assert f"{BEN} mailed scans for C-1 crown that could not be shared" in told[ANNA]


async def test_a_comparison_that_fails_does_not_hold_up_the_version(
    house: House, children: Children, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Children.run

    async def without_comparing(self: Children, job: str, *rest: Any, **named: Any) -> Any:
        if job == "compare_versions":
            raise ChildLost("killed")
        return await real(self, job, *rest, **named)

    monkeypatch.setattr(Children, "run", without_comparing)
    files = {"crown30.stl": crown(0.21)}
    await mail_flow(house, children, undrawn, await reply_with(house, case, files))
    assert [version.number for version, _ in await shown(house, case)] == [1, 2]
    assert await letters_to(house, "version", KIM) == 1


async def test_whoever_is_ready_first_is_the_next_version_and_the_other_follows_it(
    house: House, children: Children, case: Case
) -> None:
    slow = await reply_with(house, case, {"UpperJaw.stl": OTHER_JAW})
    quick = await reply_with(house, case, {"crown30.stl": crown(0.21)})
    await all_but_the_last(house, children, slow)
    await mail_flow(house, children, undrawn, quick)
    assert await announce(house, slow) is Outcome.OUTRUN
    await measure(house, children, slow)
    assert await announce(house, slow) is Outcome.DONE
    versions_shown = await shown(house, case)
    assert [(version.number, version.mail_id) for version, _ in versions_shown][1:] == [
        (2, quick),
        (3, slow),
    ]
    one, two, three = (by_role for _, by_role in versions_shown)
    assert three["design"] == two["design"] != one["design"]
    assert three["upper"] != two["upper"] == one["upper"]
    async with house.database.read() as connection:
        scans = await cases.scans_of(connection, versions_shown[2][0].id)
    assert [scan.number for scan in scans] == [1, 2]
    assert scans[0].change is not None
    assert scans[0].change["version"] == 2


async def test_the_number_of_a_version_that_came_to_nothing_is_used_by_the_next(
    house: House, children: Children, case: Case
) -> None:
    broken = await reply_with(house, case, {"crown30.stl": crown(0.21)[:9_000]})
    good = await reply_with(house, case, {"crown30.stl": crown(0.21)})
    await all_but_the_last(house, children, broken)
    await all_but_the_last(house, children, good)
    assert await announce(house, broken) is Outcome.DROPPED
    assert await announce(house, broken) is Outcome.DROPPED  # once more, after a crash
    assert await announce(house, good) is Outcome.DONE
    assert [version.number for version, _ in await shown(house, case)] == [1, 2]
    notices = [one for one in await letters_of(house) if one.kind == "notice"]
    assert len(notices) == 1
    assert "crown30.stl stops after" in said(notices[0])


async def test_a_case_that_is_deleted_meanwhile_keeps_nothing_of_the_version(
    house: House, children: Children, case: Case
) -> None:
    mail_id = await reply_with(house, case, {"crown30.stl": crown(0.21)})
    assert await read_mail(house, children, mail_id)
    await take_files(house, children, mail_id)
    async with house.database.write() as connection:
        await ending.delete(connection, case, ANNA, house.clock.now())
    await ending.destroy(house, case.id)
    await mail_flow(house, children, undrawn, mail_id)
    (notice,) = [one for one in await letters_of(house) if one.kind == "notice"]
    assert "C-1 has ended before your scans were ready" in said(notice)
    async with house.database.read() as connection:
        assert await cases.version(connection, cases.version_id_of(mail_id)) is None
    assert house.blobs.names("cases/") == []
    assert not house.spool.mail_ids()


async def test_what_was_sealed_when_the_case_had_just_ended_is_cleared_away(
    house: House, children: Children, case: Case
) -> None:
    """A child was at work while everything else was destroyed."""
    mail_id = await reply_with(house, case, {"crown30.stl": crown(0.21)})
    await all_but_the_last(house, children, mail_id)
    prefix = version_prefix(case.id, cases.version_id_of(mail_id))
    assert house.blobs.names(prefix)
    async with house.database.write() as connection:
        await cases.move(connection, case.id, CaseState.EXPIRED)
    await mail_flow(house, children, undrawn, mail_id)
    assert house.blobs.names(prefix) == []
    async with house.database.read() as connection:
        assert not await versions.in_preparation(connection, case.id)


async def test_a_mail_that_is_given_up_leaves_its_open_case_alone_and_its_sender_hears(
    house: House, children: Children, case: Case
) -> None:
    mail_id = await reply_with(house, case, {"crown30.stl": crown(0.21)})
    await all_but_the_last(house, children, mail_id)
    sweep = Sweep(house, None)  # type: ignore[arg-type]  # giving up needs no engine
    async with house.database.write() as connection:
        await sweep._give_up(connection, Due("mail", mail_id, 0, 2), house.clock.now())
    async with house.database.read() as connection:
        assert (await cases.case(connection, case.id)) == case
        assert (await mails.mail(connection, mail_id)).state is MailState.DEAD
        assert not await versions.in_preparation(connection, case.id)
    assert [version.number for version, _ in await shown(house, case)] == [1]
    (notice,) = [one for one in await letters_of(house) if one.kind == "notice"]
    assert "This server failed to prepare your scans for C-1." in said(notice)


# ---------------------------------------------------------------- what takes the place of what


def scan(number: int, role: str, name: str = "", **given: Any) -> Scan:
    """A surface as its row says it."""
    usual: dict[str, Any] = dict.fromkeys(Scan.__dataclass_fields__, "")
    usual |= {"state": ScanState.READY, "full_size": 9, "report": {"size_mm": [9, 9, 9]}}
    label = role.capitalize()
    own = {"id": f"{role}{number}{name}", "number": number, "role": role, "label": label}
    usual |= own | {"original_name": name, "original_sha256": f"{role}{name}", "change": None}
    return Scan(**{**usual, **given})


OLD = [scan(1, "upper"), scan(2, "design", "a.stl"), scan(3, "design", "b.stl"), scan(4, "scan")]


def test_of_one_role_a_name_decides_and_then_the_order() -> None:
    new = [scan(1, "design", "b.STL"), scan(2, "design", "c.stl"), scan(3, "lower")]
    found = [(one.number, old.number) for one, old in pairs(new, OLD)]
    assert found == [(1, 3), (2, 2)]


def test_what_a_mail_brings_anew_is_carried_no_more_and_an_unknown_scan_follows_an_unknown_one() -> (
    None
):
    assert [one.number for one in carried_on([scan(1, "design", "b.stl")], OLD)] == [1, 4]
    assert [one.number for one in carried_on([scan(1, "scan", "x")], OLD)] == [1, 2, 3]
    refused = scan(1, "upper", state=ScanState.REFUSED)
    assert carried_on([refused], OLD) == OLD
    photo = replace(scan(5, "photo"), full_size=0)
    assert carried_on([scan(1, "upper")], [photo]) == [photo]
    assert carried_on([photo], [photo]) == []


def test_gone_is_what_nothing_follows() -> None:
    new = [scan(1, "design", "b.stl"), scan(2, "upper", home_version="v1")]
    assert [one.original_name for one in gone(new, OLD)] == ["a.stl", ""]
    assert [one.role for one in gone(new, OLD)] == ["design", "scan"]


def test_the_same_files_are_the_same_version_whoever_carries_them() -> None:
    carried = replace(OLD[0], home_version="v1", number=7)
    assert shows_the_same([*OLD[1:], carried], OLD)
    assert not shows_the_same(OLD[1:], OLD)
    assert not shows_the_same([*OLD, OLD[1]], OLD)


def change(**given: Any) -> dict[str, Any]:
    nothing = {"largest_mm": 0.0, "new_mm2": 0.0, "moved": False, "part": False}
    return {"comparable": True, "version": 1, **nothing, **given}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Design is the same as in version 1."),
        ({"largest_mm": -0.213}, "Design: changed by up to 0.21 mm against version 1."),
        ({"largest_mm": 0.019}, "Design is the same as in version 1."),
        (
            {"largest_mm": 0.3, "new_mm2": 4.21},
            "Design: changed by up to 0.30 mm against version 1, and 4.2 mm² are new.",
        ),
        ({"new_mm2": 4.21}, "Design: 4.2 mm² are new against version 1, the rest is the same."),
        ({"part": True}, "Design shows a part of version 1, without a change."),
        ({"moved": True}, "Design is the same as in version 1. It lies in another place."),
        (
            {"comparable": False},
            "Design cannot be compared with version 1: it shows another place.",
        ),
    ],
)
def test_a_change_in_words(given: dict[str, Any], words: str) -> None:
    assert changes_in_words([scan(1, "design", change=change(**given))]) == [words]


def test_scans_of_one_kind_are_told_apart_by_their_number() -> None:
    assert labels_of([*OLD]) == ["Upper", "Design 1", "Design 2", "Scan"]
    carried = scan(1, "design", change=change(), home_version="v1")
    assert changes_in_words([carried, scan(2, "design")]) == []
