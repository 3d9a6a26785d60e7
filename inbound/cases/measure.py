"""Steps: the scans of a version together: drawn, measured against each other, and against the version
before. May run twice. What cannot be drawn or measured is no reason not to share.
"""

from contextlib import ExitStack
from typing import Any

from inbound.cases.changes import is_part_of, pairs, told_without_looking
from inbound.cases.making import Making, making_of
from inbound.cases.sealing import plain, seal_result
from inbound.scans.child import Children
from inbound.scans.relate import MEETING
from store.errors import ChildLost, ScanRefused
from store.house import House, object_name
from store.model import SIDES, Scan, Version
from store.records import cases
from store.states import ScanState

MOST_DRAWN = 12  # scans in the letter's picture
PICTURES = ("picture", "poster", *(f"view-{side}" for side in SIDES))
MOST_MET, MOST_TRIANGLES = 8, 6_000_000  # of scans whose distances are measured


async def draw_picture(house: House, children: Children, mail_id: str) -> None:
    """Draws the case for letters and page."""
    making = await making_of(house, mail_id)
    drawn = making.surfaces[:MOST_DRAWN] if making else []
    if making is None or not drawn or making.version.picture:
        return
    levels = [making.place(scan, "medium" if scan.medium_size else "full") for scan in drawn]
    places = [object_name(making.case.id, making.version.id, 0, what) for what in PICTURES]
    done = await _run(
        house,
        children,
        making,
        "draw_case",
        levels,
        places,
        roles=[scan.role for scan in drawn],
        arches=[scan.arch for scan in drawn],
    )
    if done is None:
        return
    async with house.database.write() as connection:
        frame = done[0]["frame"]
        await cases.set_picture(connection, making.version.id, drawn=True, frame=frame)


async def relate_scans(house: House, children: Children, mail_id: str) -> None:
    """Measures how the scans meet."""
    making = await making_of(house, mail_id)
    if making is None or making.version.contacts is not None:
        return
    met = [scan for scan in making.surfaces if scan.role in MEETING][:MOST_MET]
    if _triangles(*met) > MOST_TRIANGLES:
        return
    if len(met) < 2:
        async with house.database.write() as connection:
            await cases.set_contacts(connection, making.version.id, {"meetings": []})
        return
    full = [making.place(scan, "full") for scan in met]
    maps = [making.place(scan, "map") for scan in met]
    roles = [scan.role for scan in met]
    done = await _run(house, children, making, "relate_scans", full, maps, roles=roles)
    if done is None:
        return
    facts, sizes = done
    numbers = [scan.number for scan in met]
    meetings = [
        {**meeting, "one": numbers[meeting["one"]], "other": numbers[meeting["other"]]}
        for meeting in facts["meetings"]
    ]
    async with house.database.write() as connection:
        for scan, size in zip(met, sizes, strict=True):
            await cases.set_scan(connection, scan.id, ScanState.READY, map_size=size)
        await cases.set_contacts(connection, making.version.id, {"meetings": meetings})


async def compare_scans(house: House, children: Children, mail_id: str) -> None:
    """Measures what has changed in each scan that the version before showed in another form."""
    making = await making_of(house, mail_id)
    if making is None or making.version.follows is None:
        return
    async with house.database.read() as connection:
        base = await cases.version(connection, making.version.follows)
        assert base is not None, "what was shared stays"
        before = await cases.scans_of(connection, base.id)
    for new, old in pairs(making.own, before):
        if new.change is None and _triangles(new, old) <= MOST_TRIANGLES:
            await _compare(house, children, making, new, old, base)


async def _compare(
    house: House, children: Children, making: Making, new: Scan, old: Scan, base: Version
) -> None:
    facts, size = told_without_looking(new, old), 0
    if facts is None:
        full = [making.place(scan, "full") for scan in (new, old)]
        place = making.place(new, "change")
        done = await _run(house, children, making, "compare_versions", full, [place])
        if done is None:
            return
        facts, (size,) = done
        facts["part"] = is_part_of(new, old, facts)
    change = {**facts, "version": base.number, "scan": old.number}
    async with house.database.write() as connection:
        await cases.set_scan(connection, new.id, ScanState.READY, change=change, change_size=size)


async def _run(
    house: House,
    children: Children,
    making: Making,
    job: str,
    inputs: list[str],
    outputs: list[str],
    **arguments: Any,
) -> tuple[dict[str, Any], list[int]] | None:
    """Runs a job on sealed objects and seals what it makes; what it found, and the sizes of what it
    made, 0 where that is nothing. None if it cannot be done.
    """
    run = house.object_threads.run
    try:
        async with children.room:
            with ExitStack() as opened:
                loaded = [
                    opened.enter_context(await run(plain, house, making.key, place))
                    for place in inputs
                ]
                facts, results = await children.run(job, loaded, len(outputs), **arguments)
    except (ScanRefused, ChildLost):
        return None
    sizes = []
    for place, result in zip(outputs, results, strict=True):
        with result:
            if result.size:
                sizes.append((await run(seal_result, house, making.key, place, result))[0])
            else:
                sizes.append(0)
    return facts, sizes


def _triangles(*scans: Scan) -> int:
    return sum((scan.report or {}).get("triangles", 0) for scan in scans)
