"""What is said where a mail brought nothing that could be done, and why it could not."""

from typing import Any

from inbound.cases.subject import take_addresses
from inbound.talk.answers import answer
from inbound.talk.grammar import find_order_below
from inbound.talk.offering import links_seen, offer_page
from inbound.talk.orders import command_rows
from inbound.talk.talk import Talk
from store.clock import DAY
from store.model import Case
from store.records import labs
from store.states import CaseState

_ASKED = {
    CaseState.WAITING: "They wait for a reviewer: reply with the address on the first line.",
    CaseState.HELD: "They wait for their unit: reply MM, CM, INCH or M on the first line.",
}


async def say_already_here(talk: Talk, case: Case) -> None:
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


async def say_why_nothing(talk: Talk, case: Case | None) -> None:
    """Mail without anything for us, such as a rule that forwards it all, is told so once a day."""
    sentences = await _why_nothing_was_done(talk, case)
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


async def _why_nothing_was_done(talk: Talk, case: Case | None) -> list[str]:
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
    if talk.has_scans:
        return [await _why_scans_were_not_taken(talk, case, new_mail)]
    return _why_nothing_in_thread(talk, case, new_mail)


async def _why_scans_were_not_taken(talk: Talk, case: Case, new_mail: str) -> str:
    if talk.speaker.member is None:
        owner = await labs.member(talk.connection, case.owner_id)
        return (
            f"Only the lab adds scans to its case, so nothing was done. Send them to"
            f" {owner.name or owner.company or owner.address} yourself, or reply with what you want to say in words."
        )
    by_state = {
        CaseState.PREPARING: "The scans that you sent before are still being prepared, so these were"
        " not taken. Send them into this thread again when the answer has come.",
        CaseState.WAITING: "Reply first with the reviewer's e-mail address on the first line; these"
        " scans were not taken. Send them into this thread when the first ones are shared.",
        CaseState.HELD: "Reply first with the unit of the scans that you sent before: MM, CM, INCH or"
        " M; these were not taken. Send them into this thread when the first ones are shared.",
    }
    ended = f"This case is not open any more, so the scans were not taken. Send them {new_mail}."
    return by_state.get(case.state, ended)


def _why_nothing_in_thread(talk: Talk, case: Case, new_mail: str) -> list[str]:
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
