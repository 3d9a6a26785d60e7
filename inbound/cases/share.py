"""From a case in preparation to a shared one, step by step; each step may run twice.

Attachments are decoded straight into sealed objects; each scan is read in a child of its own; one
transaction writes what came of it together with the letters that say so.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.letters import answer_letter, notice_letter, share_letter
from inbound.cases.opening import case_id_of
from inbound.mail.attachments import HEAD, attachments, decoded
from inbound.mail.names import distinct, safe_name
from inbound.mail.parts import split
from inbound.scans.child import Children, Memory
from inbound.scans.roles import Role, role_from_name
from inbound.scans.sniff import Format, sniff
from store.errors import ChildLost, ScanRefused
from store.house import House, SealedObject, object_name, open_object
from store.model import (
    LIFETIME,
    REMINDER_BEFORE_END,
    Case,
    CaseState,
    MailState,
    Scan,
    ScanState,
    Version,
)
from store.records import access, audit, cases, mails, outbox, work
from store.sweep import TRIES
from store.tokens import derived_id

SCANS = frozenset({Format.STL, Format.PLY, Format.OBJ})
MOST_DRAWN = 12  # scans in the letter's picture
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


# ---------------------------------------------------------------- step: take the files


async def take_files(house: House, children: Children, mail_id: str) -> None:
    """Decodes the attachments of a mail into sealed originals and writes their rows."""
    case_id = case_id_of(mail_id)
    version_id = derived_id("version", mail_id)
    async with house.database.read() as connection:
        if await cases.version(connection, version_id):
            return
        key = await house.case_key(connection, case_id)
    shelf = _Shelf(house, children, key, case_id, version_id)
    taken = await shelf.take(mail_id)
    async with house.database.write() as connection:
        now = house.clock.now()
        await cases.add_version(connection, case_id, mail_id, now, taken.left_out, taken.stored)


class _Shelf:
    """Puts the files of one mail in their places."""

    def __init__(
        self, house: House, children: Children, key: bytes, case_id: str, version_id: str
    ) -> None:
        self.house = house
        self.children = children
        self.key = key
        self.case_id = case_id
        self.version_id = version_id
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
        async with self.children.room:
            await self._unpack_in_room(name, pieces)

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


# ---------------------------------------------------------------- step: prepare the scans


async def prepare_scans(house: House, children: Children, mail_id: str) -> None:
    """Reads each scan in a child; what is done already, by an earlier run, is not done again."""
    case, version, scans = await _load(house, mail_id)
    todo = [scan for scan in scans if scan.state is ScanState.STORED]
    if not todo:
        return
    async with house.database.read() as connection:
        key = await house.case_key(connection, case.id)
        mail = await mails.mail(connection, mail_id)
    # One after the other: other mails use the other cores, and one plaintext is in memory at a time.
    for scan in todo:
        await _prepare(house, children, key, version, scan, last_try=mail.failures + 1 >= TRIES)


async def _prepare(
    house: House,
    children: Children,
    key: bytes,
    version: Version,
    scan: Scan,
    *,
    last_try: bool,
) -> None:
    def place(what: str) -> str:
        return object_name(version.case_id, version.id, scan.number, what)

    try:
        async with children.room:
            with await house.threads.run(_plain, house, key, place("original")) as original:
                facts, results = await children.run(
                    "prepare_scan", [original], 3, format=scan.format
                )
    except ScanRefused as refusal:
        await _refuse(house, scan, str(refusal))
        return
    except ChildLost:
        if not last_try:
            raise
        await _refuse(
            house, scan, "could not be prepared: this server has too little memory for it."
        )
        return
    sealed = []
    for what, result in zip(("preview", "full", "copy"), results, strict=True):
        with result:
            sealed.append(await house.threads.run(_seal_result, house, key, place(what), result))
    role = role_from_name(scan.original_name) or Role(facts["role"] or Role.SCAN)
    async with house.database.write() as connection:
        await cases.set_scan(
            connection,
            scan.id,
            ScanState.READY,
            role=role.value,
            label=role.label,
            report=facts["report"],
            arch=facts["arch"],
            copy_suffix=facts["suffix"],
            preview_size=sealed[0][0],
            full_size=sealed[1][0],
            copy_size=sealed[2][0],
            copy_sha256=sealed[2][1],
        )


async def _refuse(house: House, scan: Scan, problem: str) -> None:
    async with house.database.write() as connection:
        await cases.set_scan(connection, scan.id, ScanState.REFUSED, problem=problem)


def _plain(house: House, key: bytes, name: str) -> Memory:
    return Memory.of(open_object(house.blobs, key, name).pieces())


def _seal_result(house: House, key: bytes, name: str, result: Memory) -> tuple[int, str]:
    size, digest, _ = seal(house, key, name, result.pieces())
    return size, digest


def seal(house: House, key: bytes, name: str, pieces: Iterable[bytes]) -> tuple[int, str, bytes]:
    """Seals bytes into an object; returns their size, their SHA-256 and the first of them. Blocks."""
    digest, size, head = hashlib.sha256(), 0, b""
    target = SealedObject(house.blobs, key, name)
    try:
        for piece in pieces:
            target.write(piece)
            digest.update(piece)
            size += len(piece)
            head = head if len(head) >= HEAD else (head + piece)[:HEAD]
        target.commit()
    finally:
        target.abort()
    return size, digest.hexdigest(), head


# ---------------------------------------------------------------- step: draw the picture


async def draw_picture(house: House, children: Children, mail_id: str) -> None:
    """Draws the case for letters and page; a case whose picture fails is shared without one."""
    case, version, scans = await _load(house, mail_id)
    ready = [scan for scan in scans if scan.state is ScanState.READY][:MOST_DRAWN]
    if not ready or version.picture:
        return
    async with house.database.read() as connection:
        key = await house.case_key(connection, case.id)
    names = [object_name(case.id, version.id, scan.number, "preview") for scan in ready]
    try:
        async with children.room:
            previews = [await house.threads.run(_plain, house, key, name) for name in names]
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
        await house.threads.run(_seal_result, house, key, place, picture)
    async with house.database.write() as connection:
        await cases.set_picture(connection, version.id, drawn=True, frame=facts["frame"])


# ---------------------------------------------------------------- step: announce


async def announce(house: House, mail_id: str) -> None:
    """One transaction: what became of the case, and the letters that say so."""
    async with house.database.write() as connection:
        # Read again here: another run of this flow, or the clock, may have been quicker.
        case = await cases.case(connection, case_id_of(mail_id))
        if case.state is not CaseState.PREPARING:
            return
        scans = await cases.scans_of(connection, derived_id("version", mail_id))
        hashes = [scan.original_sha256 for scan in scans]
        twin = await cases.live_case_with_same_scans(connection, case, hashes)
        if not any(scan.state is ScanState.READY for scan in scans):
            await _fail(house, connection, case, mail_id)
        elif twin and await _is_the_same(connection, case, twin):
            await _point_to(house, connection, case, twin, mail_id)
        else:
            await _share(house, connection, case, mail_id)
    house.poke()


async def _share(house: House, connection: AsyncConnection, case: Case, mail_id: str) -> None:
    now, domain = house.clock.now(), house.settings.domain
    await cases.move(connection, case.id, CaseState.OPEN)
    end = now + LIFETIME  # from now: reading may have taken its time
    await cases.set_times(connection, case.id, expires_at=end, due_at=end - REMINDER_BEFORE_END)
    case = await cases.case(connection, case.id)
    await outbox.write(connection, await answer_letter(connection, case, now), domain, now)
    reviewers = await access.reviewers_of(connection, case.id)
    for reviewer in reviewers:
        draft = await share_letter(connection, case, reviewer, now)
        await outbox.write(connection, draft, domain, now)
    owner = await access.owner_of(connection, case.id)
    await audit.record(
        connection,
        now,
        owner.address,
        "case shared",
        lab_id=case.lab_id,
        case_id=case.id,
        reviewers=[reviewer.address for reviewer in reviewers],
    )
    await mails.settle(connection, mail_id, MailState.DONE, "shared", case.id)


async def _fail(house: House, connection: AsyncConnection, case: Case, mail_id: str) -> None:
    """Not one usable scan: the owner hears why, nobody else hears anything, nothing is kept."""
    now = house.clock.now()
    await cases.move(connection, case.id, CaseState.FAILED, ended_at=now)
    case = await cases.case(connection, case.id)
    draft = await notice_letter(
        connection,
        case,
        "Nothing was shared",
        [
            "No scan in your mail could be used, so nobody was told and nothing was kept."
            f" Send the scans in a new mail to share@{house.settings.domain}."
        ],
        now,
    )
    await outbox.write(connection, draft, house.settings.domain, now)
    await _end_quietly(connection, case, mail_id, "no usable scan", now)


async def _point_to(
    house: House, connection: AsyncConnection, case: Case, twin: Case, mail_id: str
) -> None:
    """The same scans for the same people once more: somebody pressed Send twice."""
    now = house.clock.now()
    await cases.move(connection, case.id, CaseState.FAILED, ended_at=now)
    draft = await notice_letter(
        connection,
        twin,
        "Already here",
        [
            f"These scans are already shared as {twin.name} (#{twin.public_id}), with the same people."
            " Nobody was told a second time."
        ],
        now,
    )
    await outbox.write(connection, draft, house.settings.domain, now)
    await _end_quietly(connection, case, mail_id, "already here", now)


async def _end_quietly(
    connection: AsyncConnection, case: Case, mail_id: str, outcome: str, now: int
) -> None:
    """Lets the case's flow destroy what was stored of it."""
    await work.reschedule(connection, "case", case.id, now)
    await audit.record(
        connection, now, "scanpost", f"case failed: {outcome}", lab_id=case.lab_id, case_id=case.id
    )
    await mails.settle(connection, mail_id, MailState.DONE, outcome, case.id)


async def _is_the_same(connection: AsyncConnection, one: Case, other: Case) -> bool:
    """Whether two cases with the same scans also say the same to the same people."""
    sets = []
    for case in (one, other):
        people = await access.reviewers_of(connection, case.id)
        sets.append({person.address for person in people if person.revoked_at is None})
    return sets[0] == sets[1] and one.note == other.note


async def _load(house: House, mail_id: str) -> tuple[Case, Version, list[Scan]]:
    async with house.database.read() as connection:
        case = await cases.case(connection, case_id_of(mail_id))
        version = await cases.version(connection, derived_id("version", mail_id))
        assert version is not None
        return case, version, await cases.scans_of(connection, version.id)
