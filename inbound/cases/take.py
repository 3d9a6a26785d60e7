"""Step: the attachments of a mail become sealed originals, with a row for each scan. May run twice."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from inbound.cases.opening import case_id_of
from inbound.cases.sealing import seal
from inbound.mail.attachments import attachments, decoded
from inbound.mail.names import distinct, safe_name
from inbound.mail.parts import split
from inbound.scans.child import Children, Memory
from inbound.scans.sniff import Format, sniff
from store.errors import ChildLost, ScanRefused
from store.house import House, object_name
from store.model import ScanState
from store.records import cases, mails
from store.sweep import TRIES
from store.tokens import derived_id

SCANS = frozenset({Format.STL, Format.PLY, Format.OBJ})
_NOT_SHARED = "It was left out; STL, PLY, OBJ and ZIP of these are shared."
_LEFT_OUT = {
    Format.HPS: "is a 3Shape scan that only 3Shape's own programs open. Export it as STL or PLY and"
    " send it again.",
    Format.THREEMF: "is a 3MF file. Export it as STL, PLY or OBJ and send it again.",
    Format.GLB: "is a GLB file. Export it as STL, PLY or OBJ and send it again.",
    Format.DICOM: f"is a DICOM file. {_NOT_SHARED}",
    Format.PDF: f"is a PDF. {_NOT_SHARED}",
    Format.EMPTY: "is empty. Export it again and send it in a new mail.",
}


@dataclass
class _Taken:
    """What the attachments of a mail gave: stored scans, and a sentence for all that is none."""

    stored: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def left_out(name: str, kind: Format) -> str:
    """The sentence about an attachment that is no scan."""
    return f"{name} {_LEFT_OUT.get(kind, f'is not a scan. {_NOT_SHARED}')}"


async def take_files(house: House, children: Children, mail_id: str) -> None:
    """Decodes the attachments of a mail into sealed originals and writes their rows."""
    case_id = case_id_of(mail_id)
    version_id = derived_id("version", mail_id)
    async with house.database.read() as connection:
        if await cases.version(connection, version_id):
            return
        key = await house.case_key(connection, case_id)
        mail = await mails.mail(connection, mail_id)
    last_try = mail.failures + 1 >= TRIES
    shelf = _Shelf(house, children, key, case_id, version_id, last_try=last_try)
    taken = await shelf.take(mail_id)
    async with house.database.write() as connection:
        now = house.clock.now()
        await cases.add_version(connection, case_id, mail_id, now, taken.left_out, taken.stored)


class _Shelf:
    """Puts the files of one mail in their places."""

    def __init__(
        self,
        house: House,
        children: Children,
        key: bytes,
        case_id: str,
        version_id: str,
        *,
        last_try: bool,
    ) -> None:
        self.house = house
        self.children = children
        self.key = key
        self.case_id = case_id
        self.version_id = version_id
        self.last_try = last_try
        self.taken = _Taken()

    async def take(self, mail_id: str) -> _Taken:
        run = self.house.threads.run
        with self.house.spool.open(mail_id) as mail:
            root = await run(split, mail)
            for attachment in await run(attachments, mail, root):
                pieces = decoded(mail, attachment.part)
                if attachment.format in SCANS:
                    await self._store(attachment.name, pieces)
                elif attachment.format is Format.ZIP:
                    await self._unpack(attachment.name, pieces)
                else:
                    self._leave_out(attachment.name, attachment.format)
        self._make_names_distinct()
        return self.taken

    async def _store(self, name: str, pieces: Iterable[bytes]) -> None:
        number = len(self.taken.stored) + 1
        place = object_name(self.case_id, self.version_id, number, "original")
        size, digest, head = await self.house.threads.run(seal, self.house, self.key, place, pieces)
        kind = sniff(head, size)
        if kind not in SCANS:
            await self.house.threads.run(self.house.blobs.delete, place)
            self._leave_out(name, kind)
            return
        self.taken.stored.append(
            {
                "number": number,
                "state": ScanState.STORED,
                "format": kind.value,
                "original_name": name,
                "original_size": size,
                "original_sha256": digest,
            }
        )

    async def _unpack(self, name: str, pieces: Iterable[bytes]) -> None:
        try:
            async with self.children.room:
                await self._unpack_in_room(name, pieces)
        except ChildLost:
            if not self.last_try:
                raise
            self.taken.left_out.append(
                f"{name} could not be unpacked: this server lacks the memory."
            )

    async def _unpack_in_room(self, name: str, pieces: Iterable[bytes]) -> None:
        with await self.house.threads.run(Memory.of, pieces) as packed:
            try:
                listed, _ = await self.children.run("list_members", [packed], 0)
            except ScanRefused as refusal:
                self.taken.left_out.append(f"{name} {refusal}")
                return
            for place, member in enumerate(listed["members"]):
                await self._unpack_member(packed, place, member, name)

    async def _unpack_member(
        self, packed: Memory, place: int, member: dict[str, Any], archive: str
    ) -> None:
        name = safe_name(member["name"], f"file {place + 1} of {archive}")
        try:
            _, (out,) = await self.children.run("extract_member", [packed], 1, place=place)
        except ScanRefused as refusal:
            self.taken.left_out.append(f"{name} {refusal}")
            return
        with out:
            await self._store(name, out.pieces())

    def _leave_out(self, name: str, kind: Format) -> None:
        self.taken.left_out.append(left_out(name, kind))

    def _make_names_distinct(self) -> None:
        names = distinct([scan["original_name"] for scan in self.taken.stored])
        for scan, name in zip(self.taken.stored, names, strict=True):
            scan["original_name"] = name
