"""Steps: each file is read in a child of its own, and the case is drawn. May run twice.

Surfaces come first, for some are made of others of the files (materials, textures); what no surface
has used is a photo or a document of the case.
"""

import hmac
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from inbound.cases.again import BESIDE, PHOTOS, SCANS
from inbound.cases.opening import case_id_of
from inbound.cases.sealing import plain, seal_result
from inbound.scans.child import Children, Memory
from inbound.scans.levels import PREVIEW
from inbound.scans.relate import MEETING
from inbound.scans.roles import Role, role_from_name
from inbound.scans.sniff import Format
from store.errors import ChildLost, ScanRefused
from store.house import House, object_name
from store.model import Case, Scan, ScanState, Version
from store.records import cases, mails
from store.sweep import TRIES
from store.tokens import derived_id

MOST_DRAWN = 12  # scans in the letter's picture
MOST_MET, MOST_TRIANGLES = 8, 6_000_000  # of scans whose distances are measured
LOOKED_AT = 150_000  # triangles of all first looks together, so that they come in a second
LEAST = 5_000  # of one of them
MM_PER_UNIT = {"": 1.0, "mm": 1.0, "cm": 10.0, "inch": 25.4, "m": 1000.0}
_MADE_OF_OTHERS = frozenset({Format.OBJ, Format.GLTF})


@dataclass(frozen=True)
class _Work:
    """What a kind of file is prepared by: the job, and what it writes."""

    job: str
    outputs: tuple[str, ...]
    role: Role


_SCAN = _Work("prepare_scan", ("preview", "medium", "full", "copy"), Role.SCAN)
_WORK = {
    **dict.fromkeys(SCANS, _SCAN),
    **dict.fromkeys(PHOTOS, _Work("prepare_photo", ("preview", "copy"), Role.PHOTO)),
    Format.PDF: _Work("prepare_document", ("copy",), Role.DOCUMENT),
    Format.DICOM: _Work("prepare_volume", ("copy",), Role.VOLUME),
}


async def prepare_scans(house: House, children: Children, mail_id: str) -> None:
    """Reads each file in a child; what is done already, by an earlier run, is not done again."""
    case, version, scans = await _load(house, mail_id)
    if all(scan.state is not ScanState.STORED for scan in scans):
        return
    async with house.database.read() as connection:
        key = await house.case_key(connection, case.id)
        mail = await mails.mail(connection, mail_id)
    bench = _Bench(house, children, key, version, last_try=mail.failures + 1 >= TRIES)
    # One after the other: other mails use the other cores, and one plaintext is in memory at a time.
    surfaces = [scan for scan in scans if scan.format in SCANS]
    for scan in surfaces:
        if scan.state is ScanState.STORED:
            await bench.prepare_surface(scan, scans, len(surfaces))
    _, _, scans = await _load(house, mail_id)
    for scan in scans:
        if scan.state is ScanState.STORED:
            await bench.prepare_other(scan)


class _Bench:
    """Where the files of one version are worked on."""

    def __init__(
        self, house: House, children: Children, key: bytes, version: Version, *, last_try: bool
    ) -> None:
        self.house = house
        self.children = children
        self.key = key
        self.version = version
        self.last_try = last_try

    async def prepare_surface(self, scan: Scan, all_scans: list[Scan], surfaces: int) -> None:
        made_of_others = scan.format in _MADE_OF_OTHERS
        beside = [one for one in all_scans if made_of_others and one.format in BESIDE]
        arguments = {
            "format": scan.format,
            "beside": [one.original_name for one in beside],
            "preview": max(LEAST, min(PREVIEW, LOOKED_AT // surfaces)),
            "mm_per_unit": MM_PER_UNIT[scan.unit],
        }
        facts = await self._run(scan, _SCAN, beside, arguments)
        if facts is None:
            return
        used = [one.id for one in beside if one.original_name in facts["used"]]
        if used:
            async with self.house.database.write() as connection:
                for scan_id in used:
                    await cases.set_scan(connection, scan_id, ScanState.USED)

    async def prepare_other(self, scan: Scan) -> None:
        work = _WORK.get(Format(scan.format))
        if work is None:  # a material that no surface asked for
            async with self.house.database.write() as connection:
                await cases.set_scan(connection, scan.id, ScanState.USED)
            return
        # Secret, and one for all files of a case: its series stay together, and no other's are near.
        salt = hmac.digest(self.key, b"names of DICOM objects", "sha256")
        await self._run(scan, work, [], {"salt": salt.hex()})

    async def _run(
        self, scan: Scan, work: _Work, beside: list[Scan], arguments: dict[str, Any]
    ) -> dict[str, Any] | None:
        """What the job found out, once it is written down; None if the file was refused."""
        try:
            async with self.children.room:
                with ExitStack() as inputs:
                    loaded = [
                        inputs.enter_context(await self._plain(one)) for one in [scan, *beside]
                    ]
                    facts, results = await self.children.run(
                        work.job, loaded, len(work.outputs), **arguments
                    )
        except ScanRefused as refusal:
            await self._refuse(scan, str(refusal))
            return None
        except ChildLost:
            if not self.last_try:
                raise
            await self._refuse(
                scan, "could not be prepared: this server has too little memory for it."
            )
            return None
        sealed = await self._seal(scan, work, results)
        await self._note(scan, work, facts, sealed)
        return facts

    async def _plain(self, scan: Scan) -> Memory:
        place = self._place(scan, "original")
        return await self.house.object_threads.run(plain, self.house, self.key, place)

    async def _seal(
        self, scan: Scan, work: _Work, results: list[Memory]
    ) -> dict[str, tuple[int, str]]:
        """Size and SHA-256 of each result; an empty one is none."""
        sealed = {}
        run = self.house.object_threads.run
        for what, result in zip(work.outputs, results, strict=True):
            with result:
                place = self._place(scan, what)
                empty = result.size == 0
                sealed[what] = (
                    (0, "")
                    if empty
                    else await run(seal_result, self.house, self.key, place, result)
                )
        return sealed

    async def _note(
        self, scan: Scan, work: _Work, facts: dict[str, Any], sealed: dict[str, tuple[int, str]]
    ) -> None:
        role = work.role
        if work is _SCAN:
            role = role_from_name(scan.original_name) or Role(facts["role"] or Role.SCAN)
        sizes = {f"{what}_size": size for what, (size, _) in sealed.items()}
        async with self.house.database.write() as connection:
            await cases.set_scan(
                connection,
                scan.id,
                ScanState.READY,
                role=role.value,
                label=role.label,
                report=facts["report"],
                arch=facts.get("arch"),
                copy_suffix=facts["suffix"],
                copy_sha256=sealed["copy"][1],
                **sizes,
            )

    async def _refuse(self, scan: Scan, problem: str) -> None:
        async with self.house.database.write() as connection:
            await cases.set_scan(connection, scan.id, ScanState.REFUSED, problem=problem)

    def _place(self, scan: Scan, what: str) -> str:
        return object_name(self.version.case_id, self.version.id, scan.number, what)


async def draw_picture(house: House, children: Children, mail_id: str) -> None:
    """Draws the case for letters and page; a case whose picture fails is shared without one."""
    case, version, scans = await _load(house, mail_id)
    ready = [scan for scan in scans if scan.is_surface][:MOST_DRAWN]
    if not ready or version.picture:
        return
    async with house.database.read() as connection:
        key = await house.case_key(connection, case.id)
    names = [object_name(case.id, version.id, scan.number, "preview") for scan in ready]
    try:
        async with children.room:
            previews = [await house.object_threads.run(plain, house, key, name) for name in names]
            facts, (picture,) = await children.run(
                "draw_case",
                previews,
                1,
                roles=[scan.role for scan in ready],
                arches=[scan.arch for scan in ready],
            )
    except (ScanRefused, ChildLost):
        return
    with picture:
        place = object_name(case.id, version.id, 0, "picture")
        await house.object_threads.run(seal_result, house, key, place, picture)
    async with house.database.write() as connection:
        await cases.set_picture(connection, version.id, drawn=True, frame=facts["frame"])


async def relate_scans(house: House, children: Children, mail_id: str) -> None:
    """Measures how the scans meet; a case of which that cannot be told is shared without it."""
    case, version, scans = await _load(house, mail_id)
    met = [scan for scan in scans if scan.is_surface and scan.role in MEETING][:MOST_MET]
    triangles = sum((scan.report or {}).get("triangles", 0) for scan in met)
    if version.contacts is not None or len(met) < 2 or triangles > MOST_TRIANGLES:
        return
    async with house.database.read() as connection:
        key = await house.case_key(connection, case.id)
    names = [object_name(case.id, version.id, scan.number, "full") for scan in met]
    run = house.object_threads.run
    try:
        async with children.room:
            with ExitStack() as inputs:
                loaded = [
                    inputs.enter_context(await run(plain, house, key, name)) for name in names
                ]
                facts, maps = await children.run(
                    "relate_scans", loaded, len(met), roles=[scan.role for scan in met]
                )
    except (ScanRefused, ChildLost):
        return
    sizes = []
    for scan, found in zip(met, maps, strict=True):
        with found:
            place = object_name(case.id, version.id, scan.number, "map")
            sizes.append(
                await run(seal_result, house, key, place, found) if found.size else (0, "")
            )
    numbers = [scan.number for scan in met]
    meetings = [
        {**meeting, "one": numbers[meeting["one"]], "other": numbers[meeting["other"]]}
        for meeting in facts["meetings"]
    ]
    async with house.database.write() as connection:
        for scan, (size, _) in zip(met, sizes, strict=True):
            await cases.set_scan(connection, scan.id, ScanState.READY, map_size=size)
        await cases.set_contacts(connection, version.id, {"meetings": meetings})


async def _load(house: House, mail_id: str) -> tuple[Case, Version, list[Scan]]:
    async with house.database.read() as connection:
        case = await cases.case(connection, case_id_of(mail_id))
        version = await cases.version(connection, derived_id("version", mail_id))
        assert version is not None
        return case, version, await cases.scans_of(connection, version.id)
