"""What a person's mail without new scans says, and what is done about it.

In a case's thread: a command, a comment, or the reviewer's address that was asked for. To share@
itself: a command that names its case. Nearly a command is asked back and relayed to nobody; whoever
is nothing to the case hears whom to ask. Everything a mail causes is one transaction: what was done,
the letter that says so, the trail, and the mail's own end.
"""

from inbound.cases.letters import notice_letter
from inbound.cases.opening import name_reviewers
from inbound.cases.remarks import relay_comment
from inbound.cases.subject import Reviewer, take_addresses
from inbound.cases.units import take_unit, unit_said
from inbound.commands.shape import Role
from inbound.mail.text import note_of
from inbound.talk.answers import answer, end
from inbound.talk.grammar import Reading, Said, find_order_below, first_line
from inbound.talk.next_version import with_version
from inbound.talk.nothing import say_already_here, say_why_nothing
from inbound.talk.orders import carry_out, command_rows
from inbound.talk.reading import reading_of
from inbound.talk.talk import Talk
from store.clock import DAY
from store.errors import CommandRefused
from store.model import LIVE_CASES, Case
from store.records import access, cases, labs, mails, outbox
from store.states import CaseState, MailState

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
    "ACCESS": "ACCESS CODE",
    "PASSWORD": "PASSWORD: and the words",
    "NOTIFY": "NOTIFY ON",
    "DOWNLOADS": "DOWNLOADS OFF",
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
    reading = reading_of(talk, case)
    if reading.said is Said.COMMAND and reading.order:
        await carry_out(talk, case, await with_version(talk, case, reading.order))
    elif case is not None and case.state is CaseState.WAITING and (named := _named(talk)):
        await _name(talk, case, named)
    elif case is not None and case.state is CaseState.HELD and (unit := _unit(talk)):
        await _take_unit(talk, case, unit)
    elif case is not None and case.is_open(talk.now) and (unit := _unit(talk)):
        raise CommandRefused(await _why_no_unit(talk, case, unit))
    elif _is_unsure(talk, reading):
        await _ask_back(talk, case, reading)
    elif case is not None and talk.known and case.state in LIVE_CASES:
        await say_already_here(talk, case)
    elif case is not None and case.is_open(talk.now) and (note := _note_of(talk, reading)):
        await _relay(talk, case, note)
    else:
        await say_why_nothing(talk, case)


# ---------------------------------------------------------------- what was said


def _is_unsure(talk: Talk, reading: Reading) -> bool:
    """Whether to ask what was meant; of a whole command further down it is known."""
    nearly = reading.said is Said.NEARLY and reading.order is not None
    return nearly and not talk.left_out and not find_order_below(talk.contents.body)


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
    if case is not None and verb != "PASSWORD":  # a comment would mail it to the reviewers
        sentences.append("To send your words as a comment, begin them with COMMENT.")
    if case is not None and talk.has_scans and talk.speaker.member:
        sentences.append("Your scans were not taken. Send them once more, without a command.")
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


async def _why_no_unit(talk: Talk, case: Case, unit: str) -> str:
    """A unit alone on its line is meant for us, and never passed on to reviewers."""
    version = await cases.latest_version(talk.connection, case.id)
    scans = await cases.scans_of(talk.connection, version.id) if version else []
    if any(scan.unit for scan in scans):
        return (
            f"The scans of {case.short_name} were shared in the unit that you said before, so nothing was"
            " done. To correct it, REVOKE the links and send the scans in a new mail."
        )
    return (
        f"No unit is asked for in {case.short_name}, so nothing was done and “{unit.upper()}” was passed on"
        f" to nobody. Send scans in millimetres into this thread; or send them in a new mail to"
        f" {talk.house.settings.addressing.share()}, where their unit is asked for."
    )


async def _take_unit(talk: Talk, case: Case, unit: str) -> None:
    """No letter now: the answer to the share comes when the scans are ready."""
    await take_unit(talk.house, talk.connection, case, unit, talk.speaker.address)
    await mails.settle(talk.connection, talk.mail.id, MailState.DONE, "unit said", case.id)
