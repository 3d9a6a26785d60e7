"""An upload page is opened for a member, and the letter that brings its link is filled.

Whoever has the link shares in the member's name: it goes to the registered mailbox and nowhere else.
"""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from store.clock import in_words
from store.house import House
from store.model import LetterDraft, Member
from store.records import uploads
from store.records.owners import reply_subject
from store.records.uploads import Words
from store.tokens import MasterPurpose
from store.uploads import LIFETIME, MOST_OPEN

MOST_OFFERED = 3  # live pages of a member, beyond which none is offered unasked


async def open_page(
    house: House,
    connection: AsyncConnection,
    upload_id: str,
    member: Member,
    words: Words,
    *,
    case_id: str | None = None,
    most: int = MOST_OPEN,
) -> dict[str, Any] | None:
    """Writes the row of a page, once; what a letter needs to show it, or None if there are too many."""
    now = house.clock.now()
    known = await uploads.find(connection, upload_id)
    if known is None:
        if await uploads.count_open(connection, member.id, now) >= most:
            return None
        _, wrapped = house.keys.new()
        token = house.keys.token(MasterPurpose.UPLOAD, upload_id)
        await uploads.create(
            connection, upload_id, token, member.id, wrapped, words, now, case_id=case_id
        )
    until = (known.created_at if known else now) + LIFETIME
    return {
        "id": upload_id,
        "until": in_words(until),
        "limit": f"{house.settings.max_mail_mb} MB",
    }


def page_letter(
    member: Member, upload: dict[str, Any], subject: str, in_reply_to: str, case_name: str
) -> LetterDraft:
    """The letter that was asked for."""
    return LetterDraft(
        kind="upload",
        recipient=member.address,
        recipient_name=member.name,
        subject=reply_subject(subject) if in_reply_to else subject,
        context={"upload": upload, "case_name": case_name, "case": None},
        in_reply_to=in_reply_to,
        thread=[in_reply_to] if in_reply_to else [],
    )


def occasion_of(upload_id: str) -> str:
    """Names that letter (outbox.write, `once`), so that its Message-ID follows from the upload."""
    return f"upload|{upload_id}"
