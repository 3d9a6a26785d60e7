"""The flow of an upload page: what was shared on it becomes a mail, or its time is over.

The mail goes into the spool as the doors write it, with a row as they write it, so that everything
after is the way of a mail. Then the upload's own copy of the files is destroyed, key and objects.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.upload_pages import occasion_of
from inbound.mail.written import File, Written, write
from store.engine import Step
from store.errors import Gone
from store.house import House, open_object, piece_name, upload_prefix
from store.model import UPLOADED, LetterDraft, Member
from store.records import access, audit, cases, labs, mails, outbox, uploads, work
from store.records.mails import Arrival
from store.states import Strength
from store.tokens import Purpose, derived_id
from store.uploads import Upload, UploadFile, UploadState


async def upload_flow(house: House, step: Step, upload_id: str) -> None:
    if await step(become_mail, house, upload_id):
        await step(destroy, house, upload_id)


async def become_mail(house: House, upload_id: str) -> bool:
    """Writes the mail of an upload that was shared, or ends one whose time is over; False if it goes on."""
    now = house.clock.now()
    async with house.database.write() as connection:
        upload = await _found(connection, upload_id)
        if upload.state is UploadState.OPEN:
            if upload.is_open(now):
                return False
            await uploads.settle(connection, upload_id, UploadState.OVER)
        if upload.state is not UploadState.SHARED:
            return True
        plan = await _plan(house, connection, upload)
        if plan is None:
            await _say_too_late(house, connection, upload)
            return True
    written = await house.object_threads.run(_write, house, plan)
    async with house.database.write() as connection:
        await _accept(connection, upload, plan, written)
    house.poke()
    return True


async def destroy(house: House, upload_id: str) -> None:
    """Destroys the key and the objects of an upload that has ended, and looks that they are gone."""
    async with house.database.write() as connection:
        await uploads.destroy_key(connection, upload_id)
    await house.database.truncate_log()  # the key, and what was typed, would still stand in it
    await house.object_threads.run(_delete_objects, house, upload_id)
    async with house.database.write() as connection:
        await work.reschedule(connection, "upload", upload_id, None)


@dataclass(frozen=True)
class _Plan:
    """All that the mail is made of."""

    mail_id: str
    upload: Upload
    member: Member
    recipient: str
    in_reply_to: str
    key: bytes
    files: list[UploadFile]
    message_id: str
    at: int


@dataclass(frozen=True)
class _Sums:
    """What the doors note of a mail while it comes."""

    header_sha256: str
    body_sha256: str
    size: int


async def _found(connection: AsyncConnection, upload_id: str) -> Upload:
    upload = await uploads.find(connection, upload_id)
    assert upload is not None, upload_id
    return upload


async def _plan(house: House, connection: AsyncConnection, upload: Upload) -> _Plan | None:
    """None if whoever shared may not any more, or the case has ended since."""
    member = await labs.member(connection, upload.member_id)
    if member.disabled_at is not None:
        return None
    try:
        recipient = await _recipient(house, connection, upload)
        key = await house.upload_key(connection, upload.id)
    except Gone:
        return None
    mail_id = derived_id("uploaded mail", upload.id)
    domain = house.settings.domain
    return _Plan(
        mail_id,
        upload,
        member,
        recipient,
        # Where no token can stand in an address, the letter that brought the link says which case.
        outbox.message_id_of(occasion_of(upload.id), domain) if upload.case_id else "",
        key,
        await uploads.files_of(connection, upload.id),
        # With a dot: a local part in the shape of a token would be one of our own letters.
        f"<upload.{mail_id}@{domain}>",
        house.clock.now(),
    )


async def _recipient(house: House, connection: AsyncConnection, upload: Upload) -> str:
    """Raises Gone when the case has ended."""
    if upload.case_id is None:
        return house.settings.addressing.share()
    case = await cases.case(connection, upload.case_id)
    if not case.is_open(house.clock.now()):
        raise Gone("The case has ended.")
    key = await house.case_key(connection, case.id)
    owner = await access.owner_of(connection, case.id)
    return house.settings.addressing.share(access.token_of(key, owner, Purpose.REPLY))


def _write(house: House, plan: _Plan) -> _Sums:
    """Writes the mail into the spool, durable when this returns. Blocks."""
    upload = plan.upload
    said = Written(
        sender=plan.member.address,
        sender_name=plan.member.name,
        recipient=plan.recipient,
        subject=f"{upload.reviewers} {upload.subject}".strip(),
        note=upload.note,
        message_id=plan.message_id,
        at=plan.at,
        in_reply_to=plan.in_reply_to,
    )
    header, body = write(said, (File(one.name, _pieces(house, plan, one)) for one in plan.files))
    writing = house.spool.create(plan.mail_id)
    try:
        writing.write(header)
        digest, size = hashlib.sha256(), len(header)
        for piece in body:
            writing.write(piece)
            digest.update(piece)
            size += len(piece)
        [error] = house.spool.commit_all([writing])
        if error:
            raise error
    finally:
        writing.abort()
    return _Sums(hashlib.sha256(header.removesuffix(b"\r\n")).hexdigest(), digest.hexdigest(), size)


def _pieces(house: House, plan: _Plan, file: UploadFile) -> Iterator[bytes]:
    for piece in file.pieces:
        name = piece_name(plan.upload.id, piece["name"])
        yield from open_object(house.blobs, plan.key, name).pieces()


async def _accept(connection: AsyncConnection, upload: Upload, plan: _Plan, sums: _Sums) -> None:
    """The row of the mail, once, and the upload's own end."""
    if (await _found(connection, upload.id)).state is not UploadState.SHARED:
        return
    member = plan.member
    arrival = Arrival(
        id=plan.mail_id,
        received_at=plan.at,
        sender=member.address,
        author=member.address,
        member_id=member.id,
        strength=Strength.VOUCHED,  # the link went to the member's own mailbox
        proof=UPLOADED,
        signature=None,
        recipients=[plan.recipient],
        message_id=plan.message_id,
        header_sha256=sums.header_sha256,
        body_sha256=sums.body_sha256,
        size=sums.size,
    )
    await mails.accept_all(connection, [arrival])
    await uploads.settle(connection, upload.id, UploadState.TAKEN, mail_id=plan.mail_id)
    await audit.record(
        connection,
        plan.at,
        member.address,
        "upload taken",
        lab_id=member.lab_id,
        case_id=upload.case_id,
        files=len(plan.files),
        size=sums.size,
    )


async def _say_too_late(house: House, connection: AsyncConnection, upload: Upload) -> None:
    """Only if the end came between the click and this moment: the page itself asks before it takes it."""
    await uploads.settle(connection, upload.id, UploadState.OVER)
    member = await labs.member(connection, upload.member_id)
    if member.disabled_at is not None:
        return
    sentence = (
        "The case ended before your files could become its next version, so nothing was shared and they"
        f" are destroyed. Send the scans in a new mail to {house.settings.addressing.share()}, or write"
        " UPLOAD there."
    )
    draft = LetterDraft(
        kind="notice",
        recipient=member.address,
        recipient_name=member.name,
        subject="Your upload",
        context={"heading": "Nothing was shared", "sentences": [sentence], "case": None},
    )
    await outbox.write(connection, draft, house.settings.domain, house.clock.now())


def _delete_objects(house: House, upload_id: str) -> None:
    prefix = upload_prefix(upload_id)
    for name in house.blobs.names(prefix):
        house.blobs.delete(name)
    if left := house.blobs.names(prefix):  # raised, so that the flow tries again
        raise RuntimeError(f"{len(left)} objects of an upload are still there after their deletion")
