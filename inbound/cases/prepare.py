"""Steps: each file is read in a child of its own, and the case is drawn. May run twice.

Surfaces come first, for some are made of others of the files (materials, textures); what no surface
has used is a photo or a document of the case.
"""

import hmac
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from inbound.cases.kinds import PHOTOS, SCANS
from inbound.cases.opening import case_id_of
from inbound.cases.sealing import plain, seal_result
from inbound.cases.units import MM_PER_UNIT
from inbound.scans.beside import alike, base_name, folder_of
from inbound.scans.child import Children, Memory
from inbound.scans.levels import PREVIEW
from inbound.scans.relate import MEETING
from inbound.scans.roles import Role, role_from_name
from inbound.scans.sniff import Format
from store.errors import ChildLost, ScanRefused
from store.house import House, object_name
from store.model import SIDES, Case, Scan, ScanState, Version
from store.records import cases, mails
from store.sweep import TRIES
from store.tokens import derived_id

# Files that a surface may be made of; bytes of a material.
MOST_BESIDE, LONGEST_MATERIAL = 60, 1 << 20
MOST_DRAWN = 12  # scans in the letter's picture
PICTURES = ("picture", "poster", *(f"view-{side}" for side in SIDES))
MOST_MET, MOST_TRIANGLES = 8, 6_000_000  # of scans whose distances are measured
LOOKED_AT = 150_000  # triangles of all first looks together, so that they come in a second
LEAST = 5_000  # of one of them
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
    await bench.find_textures(scans)
    # One after the other: other mails use the other cores.
    surfaces = [scan for scan in scans if scan.format in SCANS]
    for scan in surfaces:
        if scan.state is ScanState.STORED:
            await bench.prepare_surface(scan, len(surfaces))
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
        self.beside: list[Scan] = []

    async def find_textures(self, scans: list[Scan]) -> None:
        """The materials of the mail, and the images that one of them names: those are no photos."""
        materials = [one for one in scans if one.format == Format.MTL][:MOST_BESIDE]
        said = ""
        for one in materials:
            with await self._plain(one) as plain_text:
                head = next(plain_text.pieces(LONGEST_MATERIAL), b"")
            said += alike(head.decode("utf-8", "replace")) + alike(head.decode("latin-1"))
        images = [
            one for one in scans if one.format in PHOTOS and alike(base_name(one.path)) in said
        ]
        self.beside = [*materials, *images[: MOST_BESIDE - len(materials)]]

    async def prepare_surface(self, scan: Scan, surfaces: int) -> None:
        beside = self._beside(scan)
        arguments = {
            "format": scan.format,
            "beside": list(beside),
            "preview": max(LEAST, min(PREVIEW, LOOKED_AT // surfaces)),
            "mm_per_unit": MM_PER_UNIT[scan.unit],
        }
        await self._run(scan, _SCAN, beside, arguments)

    async def prepare_other(self, scan: Scan) -> None:
        work = _WORK.get(Format(scan.format))
        if work is None or any(one.id == scan.id for one in self.beside):
            async with self.house.database.write() as connection:
                await cases.set_scan(connection, scan.id, ScanState.USED)
            return
        # Secret, and one for all files of a case: its series stay together, and no other's are near.
        salt = hmac.digest(self.key, b"names of DICOM objects", "sha256")
        await self._run(scan, work, {}, {"salt": salt.hex()})

    def _beside(self, scan: Scan) -> dict[str, Scan]:
        """What a surface may be made of, by name; of two of one name the one in its own folder."""
        if scan.format not in _MADE_OF_OTHERS:
            return {}
        folder = folder_of(scan.path)
        nearest = sorted(self.beside, key=lambda one: folder_of(one.path) != folder)
        return {base_name(one.path): one for one in reversed(nearest)}

    async def _run(
        self, scan: Scan, work: _Work, beside: dict[str, Scan], arguments: dict[str, Any]
    ) -> None:
        """Runs the job and writes down what it found, or why the file cannot be used."""
        try:
            async with self.children.room:
                with ExitStack() as inputs:
                    loaded = [
                        inputs.enter_context(await self._plain(one))
                        for one in (scan, *beside.values())
                    ]
                    facts, results = await self.children.run(
                        work.job, loaded, len(work.outputs), **arguments
                    )
        except ScanRefused as refusal:
            await self._refuse(scan, str(refusal))
            return
        except ChildLost:
            if not self.last_try:
                raise
            await self._refuse(
                scan, "could not be prepared: this server has too little memory for it."
            )
            return
        sealed = await self._seal(scan, work, results)
        used = [beside[name] for name in facts.get("used", [])]
        await self._note(scan, work, facts, sealed, used)

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
        self,
        scan: Scan,
        work: _Work,
        facts: dict[str, Any],
        sealed: dict[str, tuple[int, str]],
        used: list[Scan],
    ) -> None:
        role = work.role
        if work is _SCAN:
            role = role_from_name(scan.path) or Role(facts["role"] or Role.SCAN)
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
            for one in used:
                await cases.set_scan(connection, one.id, ScanState.USED)

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
    levels = [(scan.number, "medium" if scan.medium_size else "full") for scan in ready]
    names = [object_name(case.id, version.id, number, level) for number, level in levels]
    run = house.object_threads.run
    try:
        async with children.room:
            with ExitStack() as inputs:
                loaded = [
                    inputs.enter_context(await run(plain, house, key, name)) for name in names
                ]
                facts, pictures = await children.run(
                    "draw_case",
                    loaded,
                    len(PICTURES),
                    roles=[scan.role for scan in ready],
                    arches=[scan.arch for scan in ready],
                )
    except (ScanRefused, ChildLost):
        return
    for what, picture in zip(PICTURES, pictures, strict=True):
        with picture:
            place = object_name(case.id, version.id, 0, what)
            await run(seal_result, house, key, place, picture)
    async with house.database.write() as connection:
        await cases.set_picture(connection, version.id, drawn=True, frame=facts["frame"])


async def relate_scans(house: House, children: Children, mail_id: str) -> None:
    """Measures how the scans meet; a case of which that cannot be told is shared without it."""
    case, version, scans = await _load(house, mail_id)
    met = [scan for scan in scans if scan.is_surface and scan.role in MEETING][:MOST_MET]
    triangles = sum((scan.report or {}).get("triangles", 0) for scan in met)
    if version.contacts is not None or triangles > MOST_TRIANGLES:
        return
    if len(met) < 2:
        async with house.database.write() as connection:
            await cases.set_contacts(connection, version.id, {"meetings": []})
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
