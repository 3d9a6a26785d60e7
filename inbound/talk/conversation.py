"""What a member's mail without new scans says, and what is done about it.

In a case's thread: a command, or the reviewer's address that was asked for. To share@ itself: a
command that names its case. Whatever is neither gets help, never a guess. Everything a mail causes
is one transaction: what was done, the letter that says so, the trail, and the mail's own end.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.facts import case_facts
from inbound.cases.letters import reply_letter
from inbound.cases.opening import name_reviewers
from inbound.cases.subject import Reviewer, take_addresses
from inbound.commands.shape import Command, Desk, Order, Transcript
from inbound.commands.table import COMMANDS
from inbound.mail.skeleton import Contents
from inbound.talk.grammar import find_order_below, first_line, read_order
from store.errors import CommandRefused
from store.house import House
from store.model import LIVE_CASES, Case, CaseState, Mail, MailState, Member
from store.records import access, audit, cases, labs, mails, outbox


@dataclass(frozen=True)
class Talk:
    """One mail of one member, at work."""

    house: House
    connection: AsyncConnection
    mail: Mail
    member: Member
    contents: Contents
    left_out: list[str]  # a sentence for each attached file that is no scan
    has_scans: bool
    now: int
    known: str = ""  # what names the attached scans, where the case holds all of them already


async def converse(talk: Talk, case: Case | None) -> None:
    """Does what the mail says and answers it.

    Args:
        case: the case whose thread the mail came in by, None for a mail to share@ itself.
    """
    if case is not None and case.lab_id != talk.member.lab_id:
        await _answer(talk, None, "not yours", _NOT_YOURS)
        return
    try:
        order = _order_of(talk.contents, case)
        if order is not None:
            await _carry_out(talk, case, order)
            return
        if case is not None and case.state is CaseState.WAITING and (named := _named(talk)):
            await _name(talk, case, named)
            return
    except CommandRefused as refusal:
        await _answer(talk, case, "refused", {"heading": "Not done", "sentences": [str(refusal)]})
        return
    if case is not None and talk.known and case.state in LIVE_CASES:
        await _say_already_here(talk, case)
        return
    await _answer(talk, case, "help", _help(talk, case))


# ---------------------------------------------------------------- commands


def _order_of(contents: Contents, case: Case | None) -> Order | None:
    """The command on the first line, or in the subject of a prefilled mail whose body is empty.

    Raises:
        CommandRefused: its text and its HTML say different things, and one of them changes something.
    """
    order = read_order(first_line(contents.body))
    other = read_order(first_line(contents.html_text)) if contents.html_text else order
    if _differ(order, other) and _changes(order, other):
        raise CommandRefused(
            "Your mail says one thing as plain text and another as HTML, so nothing was done."
            " Send the command once more as plain text."
        )
    if order is None and not first_line(contents.body) and case is not None:
        return _order_in_subject(contents.subject, case)
    if order is None and case is None and not first_line(contents.body):
        return _order_in_subject_to_all(contents.subject)
    return order


def _order_in_subject(subject: str, case: Case) -> Order | None:
    """Only the form that our buttons write: it names the case, and is no answer to anything."""
    order = read_order(first_line(subject))
    if order and f"#{case.public_id}" in order.cases:
        return order
    return None


def _order_in_subject_to_all(subject: str) -> Order | None:
    """Outside of a thread a subject may ask; to change something it must name the case by its #."""
    order = read_order(first_line(subject))
    named = order is not None and any(case.startswith("#") for case in order.cases)
    return order if named or not _changes(order) else None


def _differ(one: Order | None, other: Order | None) -> bool:
    return (one and one.line.upper()) != (other and other.line.upper())


def _changes(*orders: Order | None) -> bool:
    return any(order is not None and COMMANDS[order.verb].changes for order in orders)


async def _carry_out(talk: Talk, thread_case: Case | None, order: Order) -> None:
    command = COMMANDS[order.verb]
    case = await _case_of(talk, thread_case, order) if command.about_case else None
    unknown = list(order.unknown)
    if "reviewer" not in command.arguments:
        unknown += order.recipients
    if unknown:
        raise CommandRefused(
            f"“{' '.join(unknown)}” in “{order.line}” is not understood, so nothing was done."
            f" {command.verb} takes: {command.arguments or 'nothing'}; a reviewer is named by the"
            " whole address."
        )
    lab = await labs.lab(talk.connection, talk.member.lab_id)
    desk = Desk(talk.house, talk.connection, lab, talk.member, talk.now, case)
    transcript = await command.run(desk, order)
    case = await cases.case(talk.connection, case.id) if case else None
    told = _told(order, command, transcript, case)
    await _answer(talk, case, command.verb.lower(), told, thread=thread_case)


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
    found = await cases.find_by_name(talk.connection, talk.member.lab_id, order.cases[0])
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


def _told(
    order: Order, command: Command, transcript: Transcript, case: Case | None
) -> dict[str, Any]:
    return {
        "kind": "transcript",
        "understood": order.line,
        "done": transcript.done,
        "undo": transcript.undo,
        "commands": _command_rows() if command.verb == "HELP" or case is None else [],
    }


# ---------------------------------------------------------------- the reviewer who was asked for


def _named(talk: Talk) -> list[Reviewer]:
    """Raises CommandRefused when something was meant as an address and cannot be used."""
    named = take_addresses(first_line(talk.contents.body))
    if named.unusable:
        raise CommandRefused(
            f"“{named.unusable[0]}” cannot be used as an e-mail address, so nobody was told. Reply"
            " with the reviewer's address on the first line."
        )
    ours = f"@{talk.house.settings.domain}"
    return [one for one in named.reviewers if not one.address.endswith(ours)]


async def _name(talk: Talk, case: Case, reviewers: list[Reviewer]) -> None:
    """No letter now: the answer to the share comes when the scans are ready."""
    await name_reviewers(talk.house, talk.connection, case, reviewers, talk.member.address)
    await mails.settle(talk.connection, talk.mail.id, MailState.DONE, "reviewers named", case.id)


# ---------------------------------------------------------------- answers


async def _answer(
    talk: Talk,
    case: Case | None,
    outcome: str,
    context: dict[str, Any],
    thread: Case | None = None,
    once: str = "",
) -> None:
    """Writes the letter, the line in the trail and the mail's end.

    `thread` is the case whose conversation the letter belongs to, where the letter is about none;
    `once` names what is said one time only.
    """
    facts = await case_facts(talk.connection, case, talk.now) if case else None
    draft = reply_letter(
        talk.mail,
        talk.contents.subject,
        talk.member.address,
        talk.member.name,
        context.get("kind", "notice"),
        {**context, "case": facts},
    )
    if (thread := case or thread) is not None:
        person = await access.owner_of(talk.connection, thread.id)
        draft = replace(
            draft,
            case_id=thread.id,
            person_id=person.id if person.address == talk.member.address else None,
            thread=[*thread.thread, *draft.thread],
        )
    await outbox.write(talk.connection, draft, talk.house.settings.domain, talk.now, once)
    await audit.record(
        talk.connection,
        talk.now,
        talk.member.address,
        f"command {outcome}",
        lab_id=talk.member.lab_id,
        case_id=case.id if case else None,
        line=context.get("understood", ""),
    )
    case_id = case.id if case else None
    await mails.settle(talk.connection, talk.mail.id, MailState.DONE, outcome, case_id)


async def _say_already_here(talk: Talk, case: Case) -> None:
    """The same scans once more: said once, and nothing is done."""
    waits = "They wait for a reviewer: reply with the address on the first line."
    again = (
        "RESEND sends the reviewers their link once more. To show the scans to somebody else, send"
        " them in a new mail with that person's address in the subject."
    )
    sentences = [
        f"These scans are in {case.name} (#{case.public_id}) already. Nothing was done and nobody was"
        " told.",
        waits if case.state is CaseState.WAITING else again,
    ]
    context = {"heading": "Already here", "sentences": sentences}
    once = f"already here|{case.id}|{talk.known}"
    await _answer(talk, case, "already here", context, once=once)


def _help(talk: Talk, case: Case | None) -> dict[str, Any]:
    nothing_shared = case is None and talk.left_out
    return {
        "heading": "Nothing was shared" if nothing_shared else "What you can say",
        "sentences": _why_nothing_was_done(talk, case),
        "commands": _command_rows(),
    }


def _why_nothing_was_done(talk: Talk, case: Case | None) -> list[str]:
    new_mail = f"in a new mail to share@{talk.house.settings.domain}"
    if find_order_below(talk.contents.body):
        return ["A command counts only on the first line. Put it there and send it again."]
    if case is None:
        return [
            *talk.left_out,
            "No scan was found in your mail. Attach STL, PLY, OBJ, or ZIP of these, and write the"
            " reviewer's address and the case number in the subject.",
        ]
    if talk.has_scans:
        return [
            f"Scans in a reply are not added to a case, so nothing was done. Send them {new_mail}."
        ]
    if case.state is CaseState.WAITING:
        return ["Reply with the reviewer's e-mail address on the first line."]
    if case.state is CaseState.UNANSWERED:
        return [
            f"The day for an answer is over and your mail was destroyed. Send the scans {new_mail}."
        ]
    return ["Your reply begins with no command, so nothing was done and nobody was told."]


def _command_rows() -> list[dict[str, str]]:
    return [
        {"line": f"{command.verb} {command.arguments}".strip(), "help": command.help}
        for command in COMMANDS.values()
    ]


_NOT_YOURS = {
    "heading": "Not done",
    "sentences": [
        "This address belongs to a case of another lab, so nothing was done. Ask the person who sent"
        " you the link."
    ],
}
