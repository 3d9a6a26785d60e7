"""Step: the attachments of a mail become sealed originals, with a row for each. May run twice."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from inbound.cases.again import DAMAGED
from inbound.cases.kinds import KEPT, PACKED, PHOTOS, SCANS
from inbound.cases.making import living_case_of
from inbound.cases.sealing import seal
from inbound.cases.unpack import Unpacker
from inbound.mail.attachments import Attachment
from inbound.mail.names import distinct
from inbound.mail.opened import OpenedMail
from inbound.mail.text import note_of
from inbound.scans.child import Children
from inbound.scans.sniff import Format, sniff
from store.errors import ChildLost, Refusal
from store.house import House, object_name
from store.records import cases, mails
from store.states import ScanState
from store.sweep import TRIES

_NOT_SHARED = "It was left out. Scans are STL, PLY, OBJ, 3MF, GLB or OFF, or a ZIP of these."
_WITH_A_SCAN = "was not shared: a photo or a document goes with a scan, or in a mail whose subject names a reviewer."
_LEFT_OUT = {
    **dict.fromkeys((*PHOTOS, Format.PDF), _WITH_A_SCAN),
    Format.HPS: "is a 3Shape scan that only 3Shape's own programs open. Export it as STL or PLY and"
    " send it again.",
    Format.HEIC: "is an iPhone photo in HEIC, which few can open. Send it as JPEG (in the iPhone's"
    " settings: Camera, Formats, Most Compatible).",
    Format.MAIL: "was searched for files, and none was found. It was left out; if a scan should be in"
    " it, attach the scan itself.",
    Format.YENC: "is encoded as yEnc, which mail programs cannot read. Attach the file and send it"
    " again.",
    Format.EMPTY: "is empty. Export it again and send it in a new mail.",
}


@dataclass
class _Taken:
    """What a mail gave: stored scans, a sentence for every file that is none, and its words."""

    note: str = ""
    stored: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)  # of the files as they were sent


def left_out(name: str, kind: Format) -> str:
    """The sentence about an attachment that is no scan."""
    return f"{name} {_LEFT_OUT.get(kind, f'is not a scan. {_NOT_SHARED}')}"


async def take_files(house: House, children: Children, mail_id: str) -> None:
    """Decodes the attachments of a mail into sealed originals and writes their rows."""
    version_id = cases.version_id_of(mail_id)
    async with house.database.read() as connection:
        mail = await mails.mail(connection, mail_id)
        case = await living_case_of(connection, mail)
        if case is None or await cases.version(connection, version_id):
            return
        key = await house.case_key(connection, case.id)
    last_try = mail.failures + 1 >= TRIES
    shelf = _Shelf(house, children, key, case.id, version_id, last_try=last_try)
    taken = await shelf.take(mail_id)
    async with house.database.write() as connection:
        if await living_case_of(connection, mail) is None:
            return  # it ended meanwhile: whoever announces clears away what was sealed
        now, known = house.clock.now(), sorted(taken.digests - {DAMAGED})
        await cases.add_version(
            connection, case.id, mail_id, now, taken.left_out, taken.stored, taken.note
        )
        await mails.note_files(connection, mail_id, known)


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
        self.key = key
        self.case_id = case_id
        self.version_id = version_id
        self.last_try = last_try
        self.taken = _Taken()
        self.unpacker = Unpacker(house.threads, children, self._store, self.taken.left_out.append)

    async def take(self, mail_id: str) -> _Taken:
        run = self.house.threads.run
        with await run(OpenedMail, self.house.spool, mail_id) as mail:
            self.taken.note = note_of((await run(mail.contents)).body)
            for file in await run(mail.files):
                if file.format in KEPT:
                    digest = await self._store(file.name, file.pieces)
                    self.taken.digests |= {digest} if file.format in SCANS else set()
                elif file.format in PACKED:
                    await self._unpack(file)
                else:
                    self._leave_out(file.name, file.format)
        self._make_names_distinct()
        return self.taken

    async def _store(self, name: str, pieces: Callable[[], Iterable[bytes]], path: str = "") -> str:
        """Seals a file and notes it, if it is one of KEPT; returns its SHA-256 in any case."""
        number = len(self.taken.stored) + 1
        place = object_name(self.case_id, self.version_id, number, "original")
        try:
            size, digest, head = await self.house.object_threads.run(
                lambda: seal(self.house, self.key, place, pieces())
            )
        except Refusal as refusal:  # uuencoded, and damaged on its way
            self.taken.left_out.append(str(refusal))
            return DAMAGED
        kind = sniff(head, size)
        if kind not in KEPT:
            await self.house.object_threads.run(self.house.blobs.delete, place)
            self._leave_out(name, kind)
            return digest
        self.taken.stored.append(
            {
                "number": number,
                "state": ScanState.STORED,
                "format": kind.value,
                "original_name": name,
                "path": path or name,
                "original_size": size,
                "original_sha256": digest,
            }
        )
        return digest

    async def _unpack(self, file: Attachment) -> None:
        try:
            self.taken.digests.add(await self.unpacker.unpack(file))
        except ChildLost:
            if not self.last_try:
                raise
            self.taken.left_out.append(
                f"{file.name} could not be unpacked: this server lacks the memory."
            )

    def _leave_out(self, name: str, kind: Format) -> None:
        self.taken.left_out.append(left_out(name, kind))

    def _make_names_distinct(self) -> None:
        names = distinct([scan["original_name"] for scan in self.taken.stored])
        for scan, name in zip(self.taken.stored, names, strict=True):
            scan["original_name"] = name
