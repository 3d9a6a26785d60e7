"""A link that waits for a click: its row, and the letter that brings it to the mailbox that must prove
itself. Both are written once, however often a step runs.
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from store.clock import in_words
from store.house import House
from store.model import CONFIRM_LIFETIME, LetterDraft
from store.records import confirmations, outbox
from store.records.owners import reply_subject
from store.states import ConfirmationKind
from store.tokens import MasterPurpose


@dataclass(frozen=True)
class Click:
    """What is asked, and of whom.

    Attributes:
        id: of the row; follows from what is answered.
        address: of the mailbox.
        heading, sentences, button: what the letter says.
        context: what the page and the flow behind it need.
        template: the letter's.
        in_reply_to: the mail that is answered; empty for none.
    """

    id: str
    kind: ConfirmationKind
    address: str
    heading: str
    sentences: list[str]
    button: str
    name: str = ""
    lifetime: int = CONFIRM_LIFETIME
    context: dict[str, Any] = field(default_factory=dict)
    member_id: str | None = None
    mail_id: str | None = None
    case_id: str | None = None
    template: str = "confirm"
    subject: str = ""
    in_reply_to: str = ""


async def ask_for_click(house: House, connection: AsyncConnection, click: Click) -> None:
    now = house.clock.now()
    await confirmations.create(
        connection,
        click.id,
        house.keys.token(MasterPurpose.CONFIRM, click.id),
        click.kind,
        click.address,
        click.context,
        now,
        click.lifetime,
        member_id=click.member_id,
        mail_id=click.mail_id,
        case_id=click.case_id,
    )
    draft = _letter(click, now + click.lifetime)
    await outbox.write(connection, draft, house.settings.domain, now, once=f"click|{click.id}")


def _letter(click: Click, until: int) -> LetterDraft:
    """It belongs to no case's thread: whoever answers it says nothing in one."""
    subject = click.subject or click.heading
    return LetterDraft(
        kind=click.template,
        recipient=click.address,
        recipient_name=click.name,
        subject=reply_subject(subject) if click.in_reply_to else subject,
        context={
            "heading": click.heading,
            "sentences": click.sentences,
            "button": click.button,
            "confirmation": click.id,
            "until": in_words(until),
        },
        in_reply_to=click.in_reply_to,
        thread=[click.in_reply_to] if click.in_reply_to else [],
    )
