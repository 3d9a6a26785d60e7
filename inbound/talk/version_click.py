"""A next version whose mail only a server vouches for: it waits, sealed, for the member's click.

What reviewers approve must not be replaced by whoever can send from the same provider. The mail is
none of the mails that wait for a question's answer: its case stands in the confirmation, not in its
own row, and its flow begins anew with the click.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.clicks import Click, ask_for_click
from inbound.commands.authority import Way, way_of
from inbound.commands.shape import Weight
from inbound.talk.talk import Talk
from store.errors import CommandRefused
from store.house import House
from store.model import VERSION_LIFETIME, Case, Confirmation, Mail, Member
from store.records import audit, cases, confirmations, mails
from store.states import ConfirmationKind, ConfirmationState, MailState
from store.tokens import derived_id

_CLICKED = frozenset({ConfirmationState.CONFIRMED, ConfirmationState.DONE})
_LINE = "next version"  # in the trail


async def must_be_clicked(connection: AsyncConnection, mail: Mail) -> bool:
    """Whether its proof is too weak for what changes a case, and no click has made up for it."""
    if way_of(Weight.CHANGE, mail.strength, has_codes=False) is Way.NOW:
        return False
    asked = await confirmations.find(connection, _confirmation_of(mail))
    return asked is None or asked.state not in _CLICKED


async def ask(talk: Talk, case: Case, member: Member) -> None:
    """Writes the letter with the link, and lets the mail wait."""
    files = "one file" if talk.scans == 1 else f"{talk.scans} files"
    sentences = [
        f"A mail from {talk.mail.author} with scans in {files} came for {case.name}"
        f" (#{case.public_id}). It waits, sealed, and nobody has been told.",
        "Its sender was proved only by the server that sent it. If you sent it, press the button: its"
        " scans are shared as the next version. If you did not, do nothing: it is destroyed after 24"
        " hours.",
    ]
    heading = f"Are these scans for {case.short_name} yours?"
    click = Click(
        _confirmation_of(talk.mail),
        ConfirmationKind.VERSION,
        member.address,
        heading,
        sentences,
        "Look, then confirm",
        name=member.name,
        lifetime=VERSION_LIFETIME,
        context={
            "heading": heading,
            "sentences": sentences,
            "subject": talk.contents.subject,
        },
        member_id=member.id,
        mail_id=talk.mail.id,
        case_id=case.id,
        subject=talk.contents.subject,
        in_reply_to=talk.mail.message_id,
    )
    await ask_for_click(talk.house, talk.connection, click)
    await _record(talk.connection, talk.now, talk.mail.author, "click asked for", case)
    await mails.settle(talk.connection, talk.mail.id, MailState.WAITING, "waits for a click")


async def go_on(
    house: House, connection: AsyncConnection, confirmation: Confirmation, member: Member
) -> None:
    """The click came: the mail's flow begins anew.

    Raises:
        CommandRefused: it comes too late for its case or its member; the mail is wanted no more.
    """
    assert confirmation.mail_id is not None
    assert confirmation.case_id is not None
    now = house.clock.now()
    case = await cases.case(connection, confirmation.case_id)
    await _record(connection, now, member.address, "click", case)
    why = ""
    if member.disabled_at is not None:
        why = "You may not share here any more, so nothing was done."
    elif not case.is_open(now):
        share = house.settings.addressing.share()
        why = (
            f"{case.short_name} has ended, so your scans were not shared. Their mail is destroyed. To"
            f" share them, send them in a new mail to {share}."
        )
    if why:
        await mails.settle(connection, confirmation.mail_id, MailState.DONE, "too late")
        raise CommandRefused(why)
    await mails.work_again(connection, confirmation.mail_id, now)


async def give_up(house: House, connection: AsyncConnection, confirmation: Confirmation) -> None:
    """Nobody clicked in time."""
    assert confirmation.mail_id is not None
    assert confirmation.case_id is not None
    case = await cases.case(connection, confirmation.case_id)
    await mails.settle(connection, confirmation.mail_id, MailState.DONE, "nobody clicked")
    await _record(connection, house.clock.now(), "clock", "nobody clicked", case)


def _confirmation_of(mail: Mail) -> str:
    return derived_id("next version", mail.id)


async def _record(
    connection: AsyncConnection, now: int, actor: str, action: str, case: Case
) -> None:
    await audit.record(
        connection, now, actor, action, lab_id=case.lab_id, case_id=case.id, line=_LINE
    )
