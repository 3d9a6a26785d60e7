"""Is a command proved enough: codes that come with a mail, and clicks that are asked for."""

import textwrap
from dataclasses import asdict, replace
from typing import Any

from inbound.cases.clicks import Click, ask_for_click
from inbound.commands.shape import Command, Desk, Order, Speaker, Weight
from inbound.talk.answers import end
from inbound.talk.talk import Talk
from inbound.talk.typed_codes import UNUSABLE_CODE
from store.clock import HOUR
from store.errors import CommandRefused
from store.model import Case, Member
from store.records import audit, codes
from store.states import ConfirmationKind
from store.tokens import derived_id

_LONGEST_HEADING = 60
_LOCKED = (
    "Codes are locked after too many wrong ones, so nothing was done. A letter with a link that"
    " unlocks them goes to you, one an hour."
)


def has_codes(speaker: Speaker) -> bool:
    return speaker.member is not None and speaker.member.has_codes


def with_code(talk: Talk, thread_case: Case | None, order: Order, command: Command) -> Order:
    """In a thread the case is known: six digits behind a verb that needs a code are the code."""
    if command.weight is not Weight.HARM or order.code or thread_case is None:
        return order
    if not has_codes(talk.speaker) or len(order.cases) != 1:
        return order
    digits = order.cases[0]
    is_code = len(digits) == 6 and digits.isascii() and digits.isdigit()
    # As typed: full-width digits read as plain ones in the order, and are no code (RFC 6238 5.2).
    if not is_code or digits not in talk.contents.body or digits == thread_case.code:
        return order
    line = " ".join(word for word in order.line.split() if digits not in word)
    return replace(order, line=line, cases=[], code=digits)


async def spend_code(talk: Talk, order: Order) -> None:
    """Raises CommandRefused unless the mail brings a code that counts."""
    member = talk.speaker.member
    assert member is not None
    if not order.code:
        raise CommandRefused(
            f"{order.verb} needs a code of your authenticator app, so nothing was done. Write"
            f" “{order.line}” once more, and below it “CODE” and the six digits."
        )
    keys, code = talk.house.keys, order.code
    spent = codes.Spent.WRONG
    if code != UNUSABLE_CODE:
        spent = await codes.spend(talk.connection, keys, member.id, code, talk.mail.received_at)
    if spent is codes.Spent.LOCKED:
        await _offer_unlocking(talk, member)
        raise CommandRefused(_LOCKED)
    if code == UNUSABLE_CODE:
        raise CommandRefused(
            f"A code is six plain digits, so nothing was done. Write “{order.line}” once more, and below"
            " it “CODE” and the digits that your app shows."
        )
    if spent is codes.Spent.WRONG:
        raise CommandRefused(
            f"This code does not count, so nothing was done: each counts once, for five minutes."
            f" Write “{order.line}” with a new one."
        )


async def ask_click(
    talk: Talk, desk: Desk, command: Command, order: Order, thread_case: Case | None
) -> None:
    """Writes what waits for the click, and the letter with the link. Raises CommandRefused where the
    command could not be carried out anyway, or the page would take no code.
    """
    member = talk.speaker.member
    if (
        member
        and command.weight is Weight.HARM
        and await codes.are_locked(talk.connection, member.id)
    ):
        await _offer_unlocking(talk, member)
        raise CommandRefused(_LOCKED)
    sentences = await command.describe(desk, order) or _about(desk.case, command, order)
    speaker, case = talk.speaker, desk.case
    # Where codes are on, a click alone must not set up others: only OFF comes so far.
    kind = ConfirmationKind.COMMAND if has_codes(speaker) else command.click
    click = Click(
        derived_id("confirmation", talk.mail.id),
        kind,
        speaker.address,
        f"You wrote: {_shown(order.line)}",
        sentences,
        "Go on" if kind is ConfirmationKind.ENROL else "Look, then confirm",
        name=speaker.name,
        context=_context(talk, command, order, sentences, kind),
        member_id=speaker.member.id if speaker.member else None,
        mail_id=talk.mail.id,
        case_id=case.id if case else None,
        subject=talk.contents.subject or _shown(order.line),
        in_reply_to=talk.mail.message_id,
    )
    await ask_for_click(talk.house, talk.connection, click)
    await audit.record(
        talk.connection,
        talk.now,
        talk.mail.author,
        "click asked for",
        lab_id=desk.lab.id,
        case_id=case.id if case else None,
        line=order.trail,
    )
    await end(talk, case or thread_case, "waits for a click", order.trail)


async def _offer_unlocking(talk: Talk, member: Member) -> None:
    """Once an hour: the letter must not become a means to pester somebody."""
    click = Click(
        derived_id("unlock", f"{member.id}|{talk.now // HOUR}"),
        ConfirmationKind.UNLOCK,
        member.address,
        "Codes are locked",
        [f"Codes were wrong too often for {member.address}, so they are locked."],
        "Unlock codes",
        name=member.name,
        member_id=member.id,
    )
    await ask_for_click(talk.house, talk.connection, click)


def _context(
    talk: Talk, command: Command, order: Order, sentences: list[str], kind: ConfirmationKind
) -> dict[str, Any]:
    """What the page shows, and the flow behind the click needs."""
    context: dict[str, Any] = {
        "order": {**asdict(order), "code": ""},
        "heading": _shown(order.line),
        "sentences": sentences,
        "harm": command.weight is Weight.HARM,
        "subject": talk.contents.subject,
    }
    if kind is ConfirmationKind.ENROL:
        assert talk.speaker.member is not None
        secret = codes.new_secret().encode()
        context["secret"] = talk.house.keys.seal(secret, talk.speaker.member.id).hex()
    return context


def _about(case: Case | None, command: Command, order: Order) -> list[str]:
    """What a click permits, of a command that can be changed back."""
    of = f"This is about {case.name} (#{case.public_id}). " if case else ""
    words = textwrap.shorten(order.text, 400, placeholder=" …")
    return [f"{of}{command.verb}: {command.help}", *([f"Your words: “{words}”"] if words else [])]


def _shown(line: str) -> str:
    """A command as a heading: thirty addresses stand below it, each with a sentence."""
    return textwrap.shorten(line, _LONGEST_HEADING, placeholder=" …")
