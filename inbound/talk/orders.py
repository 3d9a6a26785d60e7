"""A command is carried out, or refused with a sentence: is it clear, and is it theirs to say?"""

from dataclasses import replace
from typing import Any

from inbound.commands.authority import Way, way_of
from inbound.commands.shape import Command, Desk, Order, Role, Speaker, Transcript
from inbound.commands.table import COMMANDS, verbs_of
from inbound.talk.answers import answer, end
from inbound.talk.proof import ask_click, has_codes, spend_code, with_code
from inbound.talk.talk import Talk
from store.errors import CommandRefused
from store.model import Case
from store.records import cases, labs

_SCANS_LEFT = (
    "The scans in your mail were not taken, since a command stands on its first line. Send them into the"
    " thread once more without it, and they are the next version."
)
_TAKES_WORDS = {"UPLOAD"}  # what would be a subject
_TELLS_OF_EACH = {"ADD", "ADDRESS"}  # they say of each address what is wrong with it


async def carry_out(talk: Talk, thread_case: Case | None, order: Order) -> None:
    """Raises CommandRefused where nothing was done; the sentence says why."""
    speaker = talk.speaker
    command = COMMANDS.get(order.verb)
    if command is None:
        raise CommandRefused(_not_alone(order, speaker))
    if not command.roles & speaker.roles:
        raise CommandRefused(_not_theirs(command, speaker))
    order = with_code(talk, thread_case, order, command)
    case = thread_case if command.in_thread else None
    if command.about_case:
        case = await _case_of(talk, thread_case, order)
    _check_words(order, command)
    desk = await desk_for(talk, case, thread_case)
    order = await command.keep(desk, order)
    way = way_of(command.weight, speaker.strength, has_codes=has_codes(speaker))
    if way is Way.CLICK:
        await ask_click(talk, desk, command, order, thread_case)
        return
    if way is Way.CODE:
        await command.describe(desk, order)  # a code is not spent on what cannot be done anyway
        await spend_code(talk, order)
    transcript = await command.run(desk, order)
    case = await cases.case(talk.connection, case.id) if case else None
    outcome = command.verb.lower()
    if transcript.answered:
        await end(talk, case, outcome, order.trail)
        return
    if talk.has_scans and case is not None and speaker.member:
        transcript = replace(transcript, done=[*transcript.done, _SCANS_LEFT])
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


# ---------------------------------------------------------------- is it clear


def _check_words(order: Order, command: Command) -> None:
    unknown = list(order.unknown)
    if command.verb in _TELLS_OF_EACH:
        unknown = [word for word in unknown if "@" not in word]
    if "reviewer" not in command.arguments and "address" not in command.arguments:
        unknown += order.recipients
    if unknown and command.verb not in _TAKES_WORDS:
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
            if order.verb == "PASSWORD":  # whose words might be a case's number
                raise CommandRefused("PASSWORD needs a case: reply in the case's thread.")
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
