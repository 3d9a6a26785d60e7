"""What a person's mail without new scans says, and what is done about it.

In a case's thread: a command, a comment, or the reviewer's address that was asked for. To share@
itself: a command that names its case. Nearly a command is asked back and relayed to nobody; whoever
is nothing to the case hears whom to ask. Everything a mail causes is one transaction: what was done,
the letter that says so, the trail, and the mail's own end.
"""

from typing import Any

from inbound.cases.letters import notice_letter
from inbound.cases.opening import name_reviewers
from inbound.cases.remarks import relay_comment
from inbound.cases.subject import Reviewer, take_addresses
from inbound.cases.units import take_unit, unit_said
from inbound.commands.shape import Order, Role
from inbound.commands.table import COMMANDS, verbs_of
from inbound.mail.skeleton import Contents
from inbound.mail.text import note_of
from inbound.talk.answers import answer, end
from inbound.talk.grammar import (
    Reading,
    Said,
    find_order_below,
    first_line,
    read_order,
    read_reply,
    same_order,
)
from inbound.talk.offering import links_seen, offer_page
from inbound.talk.orders import carry_out, command_rows
from inbound.talk.talk import Talk
from store.clock import DAY
from store.errors import CommandRefused
from store.model import LIVE_CASES, Case, CaseState, MailState
from store.records import access, cases, labs, mails, outbox

# Of verbs that more may stand behind. Never the bare verb: “REVOKE kim” meant one person, not all.
_EXAMPLES = {
    "EXTEND": "EXTEND 7",
    "RESEND": "RESEND kim@clinic.example",
    "REVOKE": "REVOKE kim@clinic.example",
    "ADD": "ADD kim@clinic.example",
    "ADDRESS": "ADDRESS anna@home.example",
    "CHANGES": "CHANGES: the margin of 14",
    "COMMENT": "COMMENT and your words",
    "2FA": "2FA ON",
}


async def converse(talk: Talk, case: Case | None) -> None:
    """Does what the mail says and answers it.

    Args:
        case: the case whose thread the mail came in by, None for a mail to share@ itself.
    """
    if not talk.speaker.roles:
        await _turn_away(talk, case)
        return
    try:
        await _hear(talk, case)
    except CommandRefused as refusal:
        context = {"heading": "Not done", "sentences": [str(refusal)]}
        await answer(talk, case, "refused", context)


async def _hear(talk: Talk, case: Case | None) -> None:
    """Raises CommandRefused where nothing was done; the sentence says why."""
    reading = _reading_of(talk, case)
    if reading.said is Said.COMMAND and reading.order:
        await carry_out(talk, case, reading.order)
    elif case is not None and case.state is CaseState.WAITING and (named := _named(talk)):
        await _name(talk, case, named)
    elif case is not None and case.state is CaseState.HELD and (unit := _unit(talk)):
        await _take_unit(talk, case, unit)
    elif (
        case is not None and case.is_open(talk.now) and _unit(talk) and await _was_asked(talk, case)
    ):
        raise CommandRefused(
            f"The scans of {case.short_name} were shared in the unit that you said before, so nothing was"
            " done. To correct it, REVOKE the links and send the scans in a new mail."
        )
    elif _is_unsure(talk, reading):
        await _ask_back(talk, case, reading)
    elif case is not None and talk.known and case.state in LIVE_CASES:
        await _say_already_here(talk, case)
    elif case is not None and case.is_open(talk.now) and (note := _note_of(talk, reading)):
        await _relay(talk, case, note)
    else:
        await _help(talk, case)


# ---------------------------------------------------------------- what was said


def _is_unsure(talk: Talk, reading: Reading) -> bool:
    """Whether to ask what was meant; of a whole command further down it is known."""
    nearly = reading.said is Said.NEARLY and reading.order is not None
    return nearly and not talk.left_out and not find_order_below(talk.contents.body)


def _reading_of(talk: Talk, case: Case | None) -> Reading:
    """What the first line is, or the subject of a prefilled mail whose body is empty.

    Raises:
        CommandRefused: its text and its HTML say different things, and one of them changes something.
    """
    contents, verbs = talk.contents, verbs_of(talk.speaker.roles)
    if talk.mail.is_upload:  # a note on a page: whoever was handed the link must not command by it
        return Reading(Said.NOTE)
    reading = read_reply(contents.body, verbs)
    if contents.has_html and contents.text.strip():
        other = read_reply(contents.html_text, verbs)
        if not same_order(reading, other) and _changes(reading, other):
            raise CommandRefused(
                "Your mail says one thing as plain text and another as HTML, so nothing was done."
                " Send the command once more as plain text."
            )
    if reading.said is Said.NOTHING and not first_line(contents.body):
        order = _order_in_subject(contents, case)
        return Reading(Said.COMMAND, order, order.line) if order else reading
    return reading


def _order_in_subject(contents: Contents, case: Case | None) -> Order | None:
    """Only the form that our buttons write: it names the case, and is no answer to anything.

    Outside of a thread a subject may ask; to change something it must name the case by its #.
    """
    order = read_order(first_line(contents.subject))
    if order is None:
        return None
    if case is not None:
        return order if f"#{case.public_id}" in order.cases else None
    named = any(name.startswith("#") for name in order.cases)
    return order if named or not _may_change(order) else None


def _changes(*readings: Reading) -> bool:
    return any(
        reading.said is Said.COMMAND and reading.order and _may_change(reading.order)
        for reading in readings
    )


def _may_change(order: Order) -> bool:
    return order.verb not in COMMANDS or COMMANDS[order.verb].changes


def _note_of(talk: Talk, reading: Reading) -> str:
    """The comment that a mail is; nothing if it brings scans or asks for something else."""
    if reading.said is not Said.NOTE or talk.has_scans:
        return ""
    # A command in an unexpected place was meant for us, not for the other side.
    if find_order_below(talk.contents.body):
        return ""
    return note_of(talk.contents.body)


async def _relay(talk: Talk, case: Case, note: str) -> None:
    """A comment needs no answer: an answer to each would make two robots talk for ever."""
    speaker = talk.speaker
    as_reviewer = speaker.reviewer if speaker.member is None else None
    told = await relay_comment(
        talk.house, talk.connection, case, speaker.called, as_reviewer, note, talk.mail.id
    )
    if told and talk.left_out:
        sentences = [
            "Your words were passed on; files in a reply are not. Mail them with the scans in a new mail.",
        ]
        await answer(talk, case, "comment", {"heading": "Passed on", "sentences": sentences})
        return
    if told:
        await end(talk, case, "comment")
        return
    sentence = "No reviewer could be told: their links are revoked, or they want no letters. STATUS shows it."
    await answer(talk, case, "comment", {"heading": "Kept", "sentences": [sentence]})


async def _ask_back(talk: Talk, case: Case | None, reading: Reading) -> None:
    assert reading.order is not None
    # Never the bare verb as an advice: “REVOKE kim” meant one person, REVOKE means all.
    verb = reading.order.verb
    meant = _EXAMPLES.get(verb, verb)
    sentences = [
        f"You wrote “{reading.line[:200]}”. We are not sure what you mean, so nothing was done and it"
        " was passed on to nobody.",
        f"If you meant {verb}, reply with it alone on the first line, as in “{meant}”.",
    ]
    if case is not None:
        sentences.append("To send your words as a comment, begin them with COMMENT.")
    rows = command_rows(talk.speaker.roles)
    context = {"heading": f"Did you mean {verb}?", "sentences": sentences, "commands": rows}
    await answer(talk, case, "asked back", context)


# ---------------------------------------------------------------- somebody else


async def _turn_away(talk: Talk, case: Case | None) -> None:
    """Who has only the address of a case gets nothing by it; its owner hears that somebody has it.

    The words are the same whether the case lives, has ended or was deleted.
    """
    house, connection = talk.house, talk.connection
    if case is None:
        sentence = (
            "Your mail answers no letter that was sent to you, so nothing was done. Answer the letter"
            " itself, or ask whoever sent you the scans."
        )
        context = {"heading": "Not done", "sentences": [sentence]}
        once = f"no case|{talk.mail.author}|{talk.now // DAY}"
        await answer(talk, None, "no case", context, once=once)
        return
    owner = await labs.member(connection, case.owner_id)
    whom = " of ".join(part for part in (owner.name, owner.company) if part) or "the lab"
    sentence = (
        f"You are none of the people of this case, so nothing was done. Ask {whom}; or write from the"
        " address that its letters came to."
    )
    await answer(talk, None, "not theirs", {"heading": "Not done", "sentences": [sentence]})
    if not case.is_open(talk.now):
        return
    told = (
        f"{talk.mail.author} has written to an address of this case and is none of its people, so"
        " nothing was done and nothing was shown. A letter was probably passed on: “ADD"
        f" {talk.mail.author}” lets them look. If that address is your own, “ADDRESS"
        f" {talk.mail.author}” lets you write from it."
    )
    once = f"somebody else|{case.id}"
    if revoked := await access.reviewer_of(connection, case.id, talk.mail.author):
        told = (
            f"{revoked.address}, whose link is revoked, has written to this case. Nothing was done and"
            f" nothing was passed on. RESEND {revoked.address} lets them in again."
        )
        once = f"somebody else|{case.id}|{revoked.id}"
    draft = await notice_letter(connection, case, "Somebody else replied", [told], talk.now)
    await outbox.write(connection, draft, house.settings.domain, talk.now, once=once)


# ---------------------------------------------------------------- the reviewer who was asked for


def _named(talk: Talk) -> list[Reviewer]:
    """Raises CommandRefused when something was meant as an address and cannot be used."""
    if Role.MEMBER not in talk.speaker.roles:
        return []
    named = take_addresses(first_line(talk.contents.body))
    if named.unusable:
        raise CommandRefused(
            f"“{named.unusable[0]}” cannot be used as an e-mail address, so nobody was told. Reply"
            " with the reviewer's address on the first line."
        )
    addressing = talk.house.settings.addressing
    return [one for one in named.reviewers if not addressing.is_ours(one.address)]


async def _name(talk: Talk, case: Case, reviewers: list[Reviewer]) -> None:
    """No letter now: the answer to the share comes when the scans are ready."""
    await name_reviewers(talk.house, talk.connection, case, reviewers, talk.speaker.address)
    await mails.settle(talk.connection, talk.mail.id, MailState.DONE, "reviewers named", case.id)


# ---------------------------------------------------------------- the unit that was asked for


def _unit(talk: Talk) -> str:
    return unit_said(first_line(talk.contents.body)) if Role.MEMBER in talk.speaker.roles else ""


async def _was_asked(talk: Talk, case: Case) -> bool:
    version = await cases.latest_version(talk.connection, case.id)
    scans = await cases.scans_of(talk.connection, version.id) if version else []
    return any(scan.unit for scan in scans)


async def _take_unit(talk: Talk, case: Case, unit: str) -> None:
    """No letter now: the answer to the share comes when the scans are ready."""
    await take_unit(talk.house, talk.connection, case, unit, talk.speaker.address)
    await mails.settle(talk.connection, talk.mail.id, MailState.DONE, "unit said", case.id)


# ---------------------------------------------------------------- nothing to do


_ASKED = {
    CaseState.WAITING: "They wait for a reviewer: reply with the address on the first line.",
    CaseState.HELD: "They wait for their unit: reply MM, CM, INCH or M on the first line.",
}


async def _say_already_here(talk: Talk, case: Case) -> None:
    """The same scans once more: said once, and nothing is done."""
    waits = _ASKED.get(case.state, "")
    again = (
        "RESEND sends the reviewers their link once more. To show the scans to somebody else, reply"
        " ADD and that person's address."
    )
    sentences = [
        f"These scans are in {case.name} (#{case.public_id}) already. Nothing was done and nobody was"
        " told.",
        waits if case.state in _ASKED else again,
    ]
    context = {"heading": "Already here", "sentences": sentences}
    once = f"already here|{case.id}|{talk.known}"
    await answer(talk, case, "already here", context, once=once)


async def _help(talk: Talk, case: Case | None) -> None:
    """Mail without anything for us, such as a rule that forwards it all, is told so once a day."""
    sentences = _why_nothing_was_done(talk, case)
    once = _hint(talk) if case is None else ""
    page = await offer_page(talk, once) if case is None else None
    nothing_shared = case is None and (talk.left_out or talk.contents.places)
    context: dict[str, Any] = {
        "heading": "Nothing was shared" if nothing_shared else "What you can say",
        "sentences": sentences,
        "commands": command_rows(talk.speaker.roles),
        "upload": page,
    }
    await answer(talk, case, "help", context, once=once)


def _hint(talk: Talk) -> str:
    """The same advice once a day: a rule that forwards invoices brings a hundred PDFs.

    Who names a reviewer has meant to share, and is answered each time.
    """
    if take_addresses(talk.contents.subject).reviewers:
        return ""
    # The end of a sentence says what to do; the file's name before it is another one each time.
    advice = "|".join(
        sorted({sentence[-60:] for sentence in talk.left_out} | set(links_seen(talk)))
    )
    return f"hint|{talk.speaker.address}|{talk.now // DAY}|{advice}"


def _why_nothing_was_done(talk: Talk, case: Case | None) -> list[str]:
    new_mail = f"in a new mail to {talk.house.settings.addressing.share()}"
    if find_order_below(talk.contents.body):
        return ["A command counts only on the first line. Put it there and send it again."]
    if case is None:
        return [
            *links_seen(talk),
            *talk.left_out,
            "No scan was found in your mail. Attach STL, PLY, OBJ, 3MF, GLB, OFF, or a ZIP of these, and"
            " write the reviewer's address and the case number in the subject.",
        ]
    return _why_nothing_in_thread(talk, case, new_mail)


def _why_nothing_in_thread(talk: Talk, case: Case, new_mail: str) -> list[str]:
    if talk.has_scans:
        return [
            f"Scans in a reply are not added to a case, so nothing was done. Send them {new_mail}."
        ]
    if talk.left_out:
        return ["Files in a reply are not passed on, so nothing was done.", *talk.left_out]
    by_state = {
        CaseState.WAITING: "Reply with the reviewer's e-mail address on the first line.",
        CaseState.HELD: "Reply with the unit of the scans on the first line: MM, CM, INCH or M.",
        CaseState.UNANSWERED: "The day for an answer is over and your mail was destroyed. Send the"
        f" scans {new_mail}.",
        CaseState.PREPARING: "The scans are being prepared, so nothing was done. Say it again in a"
        " minute.",
    }
    if case.state in by_state:
        return [by_state[case.state]]
    if not case.is_open(talk.now):
        return ["This case has ended, so your words were passed on to nobody."]
    return ["Your reply says nothing that we could do or pass on."]
