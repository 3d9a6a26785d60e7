"""Step: each file is read in a child of its own. May run twice.

Surfaces come first, for some are made of others of the files (materials, textures); what no surface
has used is a photo or a document of the case.
"""

import hmac
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from inbound.cases.kinds import PHOTOS, SCANS
from inbound.cases.making import Making, making_of
from inbound.cases.sealing import plain, seal_result
from inbound.cases.units import MM_PER_UNIT
from inbound.scans.beside import alike, base_name, folder_of
from inbound.scans.child import Children, Memory
from inbound.scans.levels import PREVIEW
from inbound.scans.roles import Role, role_from_name
from inbound.scans.sniff import Format
from store.errors import ChildLost, ScanRefused
from store.house import House
from store.model import Scan
from store.records import cases
from store.states import ScanState
from store.sweep import TRIES

# Files that a surface may be made of; bytes of a material.
MOST_BESIDE, LONGEST_MATERIAL = 60, 1 << 20
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
    making = await making_of(house, mail_id)
    if making is None or all(scan.state is not ScanState.STORED for scan in making.scans):
        return
    bench = _Bench(house, children, making)
    await bench.find_textures()
    # One after the other: other mails use the other cores.
    surfaces = [scan for scan in making.own if scan.format in SCANS]
    for scan in surfaces:
        if scan.state is ScanState.STORED:
            await bench.prepare_surface(scan, len(surfaces))
    left = await making_of(house, mail_id)  # what no surface has used
    for scan in left.scans if left else []:
        if scan.state is ScanState.STORED:
            await bench.prepare_other(scan)


class _Bench:
    """Where the files of one version are worked on."""

    def __init__(self, house: House, children: Children, making: Making) -> None:
        self.house = house
        self.children = children
        self.making = making
        self.key = making.key
        self.last_try = making.mail.failures + 1 >= TRIES
        self.beside: list[Scan] = []

    async def find_textures(self) -> None:
        """The materials of the mail, and the images that one of them names: those are no photos."""
        scans = self.making.own
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
        place = self.making.place(scan, "original")
        return await self.house.object_threads.run(plain, self.house, self.key, place)

    async def _seal(
        self, scan: Scan, work: _Work, results: list[Memory]
    ) -> dict[str, tuple[int, str]]:
        """Size and SHA-256 of each result; an empty one is none."""
        sealed = {}
        run = self.house.object_threads.run
        for what, result in zip(work.outputs, results, strict=True):
            with result:
                place = self.making.place(scan, what)
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
