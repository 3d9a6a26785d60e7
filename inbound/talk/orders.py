"""A command is carried out, or asked back: is it clear, is it theirs to say, and is it proved enough?"""

import textwrap
from dataclasses import asdict, replace
from typing import Any

from inbound.cases.letters import confirm_letter
from inbound.commands.authority import Way, way_of
from inbound.commands.shape import Command, Desk, Order, Role, Speaker, Transcript, Weight
from inbound.commands.table import COMMANDS, verbs_of
from inbound.talk.answers import answer, end
from inbound.talk.grammar import UNUSABLE_CODE
from inbound.talk.talk import Talk
from store.errors import CommandRefused
from store.model import CONFIRM_LIFETIME, Case, ConfirmationKind
from store.records import audit, cases, codes, confirmations, labs, outbox
from store.tokens import MasterPurpose, derived_id

_TELLS_OF_EACH = {"ADD", "ADDRESS"}  # they say of each address what is wrong with it
_LONGEST_HEADING = 60


async def carry_out(talk: Talk, thread_case: Case | None, order: Order) -> None:
    """Raises CommandRefused where nothing was done; the sentence says why."""
    speaker = talk.speaker
    command = COMMANDS.get(order.verb)
    if command is None:
        raise CommandRefused(_not_alone(order, speaker))
    if not command.roles & speaker.roles:
        raise CommandRefused(_not_theirs(command, speaker))
    order = _with_code(talk, thread_case, order, command)
    case = await _case_of(talk, thread_case, order) if command.about_case else None
    _check_words(order, command)
    desk = await desk_for(talk, case, thread_case)
    way = way_of(command.weight, speaker.strength, has_codes=_has_codes(speaker))
    if way is Way.CLICK:
        await _ask_for_click(talk, desk, command, order, thread_case)
        return
    if way is Way.CODE:
        await command.describe(desk, order)  # a code is not spent on what cannot be done anyway
        await _spend_code(talk, order)
    transcript = await command.run(desk, order)
    case = await cases.case(talk.connection, case.id) if case else None
    outcome = command.verb.lower()
    if transcript.answered:
        await end(talk, case, outcome, order.trail)
        return
    context = told(order, command, transcript, case, speaker)
    await answer(talk, case, outcome, context, thread_case, line=order.trail)


async def desk_for(talk: Talk, case: Case | None, thread_case: Case | None) -> Desk:
    lab = await labs.lab(talk.connection, _lab_id(talk, case or thread_case))
    return Desk(talk.house, talk.connection, lab, talk.speaker, talk.now, case, talk.mail.id)


def told(
    order: Order, command: Command, transcript: Transcript, case: Case | None, speaker: Speaker
) -> dict[str, Any]:
    """What a transcript is filled with."""
    wants_help = command.verb == "HELP" or case is None
    return {
        "kind": "transcript",
        "understood": order.line,
        "done": transcript.done,
        "undo": transcript.undo,
        "commands": command_rows(speaker.roles) if wants_help else [],
    }


def command_rows(roles: frozenset[Role]) -> list[dict[str, str]]:
    """What a person of these roles can say, as letters show it."""
    return [
        {"line": f"{command.verb} {command.arguments}".strip(), "help": command.help}
        for command in COMMANDS.values()
        if command.verb in verbs_of(roles)
    ]


def _shown(line: str) -> str:
    """A command as a heading: thirty addresses stand below it, each with a sentence."""
    return textwrap.shorten(line, _LONGEST_HEADING, placeholder=" …")


def _about(case: Case | None, command: Command, order: Order) -> list[str]:
    """What a click permits, of a command that can be changed back."""
    of = f"This is about {case.name} (#{case.public_id}). " if case else ""
    words = textwrap.shorten(order.text, 400, placeholder=" …")
    return [f"{of}{command.verb}: {command.help}", *([f"Your words: “{words}”"] if words else [])]


# ---------------------------------------------------------------- is it clear


def _check_words(order: Order, command: Command) -> None:
    unknown = list(order.unknown)
    if command.verb in _TELLS_OF_EACH:
        unknown = [word for word in unknown if "@" not in word]
    if "reviewer" not in command.arguments and "address" not in command.arguments:
        unknown += order.recipients
    if unknown:
        raise CommandRefused(
            f"“{' '.join(unknown)}” in “{order.line}” is not understood, so nothing was done."
            f" {command.verb} takes: {command.arguments or 'nothing'}; a reviewer is named by the"
            " whole address."
        )


async def _case_of(talk: Talk, thread_case: Case | None, order: Order) -> Case:
    """The case that a command is about. Raises CommandRefused when thread and words disagree."""
    if len(order.cases) > 1:
        raise CommandRefused(f"“{order.line}” names more than one case; nothing was done.")
    if not order.cases:
        if thread_case is None:
            raise CommandRefused(
                f"{order.verb} needs a case: reply in the case's thread, or write its number, as in"
                f" “{order.verb} C-1042”. LIST shows the open ones."
            )
        return thread_case
    lab_id = _lab_id(talk, thread_case)
    found = await cases.find_by_name(talk.connection, lab_id, order.cases[0])
    if thread_case is not None:
        if all(case.id != thread_case.id for case in found):
            raise CommandRefused(
                f"You wrote {order.cases[0]} in the thread of {thread_case.short_name}"
                f" (#{thread_case.public_id}). Nothing was done. Say it in the thread of the case"
                " you mean."
            )
        return thread_case
    if not found:
        raise CommandRefused(f"Your lab has no case {order.cases[0]}. LIST shows the open ones.")
    if len(found) > 1:
        named = ", ".join(f"#{case.public_id} {case.name}" for case in found[:5])
        raise CommandRefused(f"{order.cases[0]} may be any of these: {named}. Say which by its #.")
    return found[0]


def _lab_id(talk: Talk, case: Case | None) -> str:
    if case is not None:
        return case.lab_id
    assert talk.speaker.member is not None, "only members speak outside of a thread"
    return talk.speaker.member.lab_id


def _not_alone(order: Order, speaker: Speaker) -> str:
    """Words that we know and that are no command: a code without one, and what is not built yet."""
    own = ", ".join(sorted(verbs_of(speaker.roles)))
    if order.verb == "CODE":
        return "A code counts only below the command that needs it. Write both in one mail."
    return f"{order.verb} cannot be done by mail yet, so nothing was done. You can say: {own}."


def _not_theirs(command: Command, speaker: Speaker) -> str:
    own = ", ".join(sorted(verbs_of(speaker.roles)))
    whose = "the reviewers of a case" if Role.REVIEWER in command.roles else "the lab itself"
    return f"{command.verb} is for {whose} to say, so nothing was done. You can say: {own}."


# ---------------------------------------------------------------- is it proved


def _has_codes(speaker: Speaker) -> bool:
    return speaker.member is not None and speaker.member.has_codes


def _with_code(talk: Talk, thread_case: Case | None, order: Order, command: Command) -> Order:
    """In a thread the case is known: six digits behind a verb that needs a code are the code."""
    if command.weight is not Weight.HARM or order.code or thread_case is None:
        return order
    if not _has_codes(talk.speaker) or len(order.cases) != 1:
        return order
    digits = order.cases[0]
    is_code = len(digits) == 6 and digits.isascii() and digits.isdigit()
    # As typed: full-width digits read as plain ones in the order, and are no code (RFC 6238 5.2).
    if not is_code or digits not in talk.contents.body or digits == thread_case.code:
        return order
    line = " ".join(word for word in order.line.split() if digits not in word)
    return replace(order, line=line, cases=[], code=digits)


async def _spend_code(talk: Talk, order: Order) -> None:
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
        await _offer_unlocking(talk)
        raise CommandRefused(
            "Codes are locked after too many wrong ones, so nothing was done. A letter with a link"
            " that unlocks them goes to you, one an hour."
        )
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


async def _offer_unlocking(talk: Talk) -> None:
    """Once an hour: the letter must not become a means to pester somebody."""
    member = talk.speaker.member
    assert member is not None
    hour = talk.now // CONFIRM_LIFETIME // 2
    confirmation_id = derived_id("unlock", f"{member.id}|{hour}")
    await confirmations.create(
        talk.connection,
        confirmation_id,
        talk.house.keys.token(MasterPurpose.CONFIRM, confirmation_id),
        ConfirmationKind.UNLOCK,
        member.address,
        {},
        talk.now,
        CONFIRM_LIFETIME,
        member_id=member.id,
    )
    sentences = [f"Codes were wrong too often for {member.address}, so they are locked."]
    draft = confirm_letter(
        member.address,
        member.name,
        "Codes are locked",
        sentences,
        "Unlock codes",
        confirmation_id,
        talk.now + CONFIRM_LIFETIME,
    )
    domain = talk.house.settings.domain
    await outbox.write(talk.connection, draft, domain, talk.now, once=f"unlock|{confirmation_id}")


async def _ask_for_click(
    talk: Talk, desk: Desk, command: Command, order: Order, thread_case: Case | None
) -> None:
    """Writes what waits for the click, and the letter with the link."""
    sentences = await command.describe(desk, order) or _about(desk.case, command, order)
    speaker, case = talk.speaker, desk.case
    confirmation_id = derived_id("confirmation", talk.mail.id)
    # Where codes are on, a click alone must not set up others: only OFF comes so far.
    has_codes = _has_codes(speaker)
    kind = ConfirmationKind.COMMAND if has_codes else command.click
    context: dict[str, Any] = {
        "order": {**asdict(order), "code": ""},
        "heading": _shown(order.line),
        "sentences": sentences,
        "harm": command.weight is Weight.HARM,
        "as_reviewer": speaker.member is None,
        "subject": talk.contents.subject,
    }
    if kind is ConfirmationKind.ENROL:
        assert speaker.member is not None
        secret = codes.new_secret().encode()
        context["secret"] = talk.house.keys.seal(secret, speaker.member.id).hex()
    await confirmations.create(
        talk.connection,
        confirmation_id,
        talk.house.keys.token(MasterPurpose.CONFIRM, confirmation_id),
        kind,
        speaker.address,
        context,
        talk.now,
        CONFIRM_LIFETIME,
        member_id=speaker.member.id if speaker.member else None,
        mail_id=talk.mail.id,
        case_id=case.id if case else None,
    )
    draft = confirm_letter(
        speaker.address,
        speaker.name,
        f"You wrote: {_shown(order.line)}",
        sentences,
        "Go on" if kind is ConfirmationKind.ENROL else "Look, then confirm",
        confirmation_id,
        talk.now + CONFIRM_LIFETIME,
        subject=talk.contents.subject or _shown(order.line),
        in_reply_to=talk.mail.message_id,
    )
    domain = talk.house.settings.domain
    once = f"confirm|{confirmation_id}"
    await outbox.write(talk.connection, draft, domain, talk.now, once=once)
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
