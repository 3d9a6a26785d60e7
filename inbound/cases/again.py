"""Scans in a reply that its case holds already: a quoted attachment, or a second click on Send.

What counts is the decoded files: mail programs write other boundaries each time. (A new mail with the
same scans for the same people is found when its case is announced.)
"""

import hashlib
from collections.abc import Iterable, Sequence

from inbound.cases.kinds import PACKED, SCANS
from inbound.mail.attachments import Attachment
from inbound.mail.opened import OpenedMail
from store.errors import NotFound, Refusal
from store.house import House
from store.records import cases, mails

DAMAGED = ""  # in the place of a digest: equal to no other, and never noted


async def fingerprint_in(house: House, case_id: str, files: Sequence[Attachment]) -> str:
    """What names these scans, if its newest version shows all of them or one in preparation will; else
    nothing. What an older version showed may be mailed again: then it is to be shown once more.
    """
    ours = await house.threads.run(digests_of, files)
    async with house.database.read() as connection:
        sent = await mails.files_of_case(connection, case_id)
        shared = await cases.shared_versions(connection, case_id)
        shown = await cases.scans_of(connection, shared[-1].id) if shared else []
    for old in shared[:-1]:
        sent.pop(old.mail_id, None)
    theirs = {scan.original_sha256 for scan in shown}
    for mail_id, digests in sent.items():
        if digests is None:
            theirs |= await house.threads.run(_digests_in_spool, house, mail_id)
        else:
            theirs |= set(digests)
    if not ours or DAMAGED in ours or not ours <= theirs:
        return ""
    return hashlib.sha256("".join(sorted(ours)).encode()).hexdigest()


def digests_of(files: Iterable[Attachment]) -> set[str]:
    """SHA-256 of each file that may be a scan or hold some, as it was sent. Blocks."""
    return {_digest(file) for file in files if file.format in SCANS | PACKED}


def _digest(file: Attachment) -> str:
    digest = hashlib.sha256()
    try:
        for piece in file.pieces():
            digest.update(piece)
    except Refusal:
        return DAMAGED
    return digest.hexdigest()


def _digests_in_spool(house: House, mail_id: str) -> set[str]:
    """Of a mail whose files have not been taken yet."""
    try:
        with OpenedMail(house.spool, mail_id) as opened:
            return digests_of(opened.files())
    except (NotFound, Refusal):
        return set()
