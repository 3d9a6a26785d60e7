"""The flow of a link that waited for a click: what the click permits, or the end of the waiting."""

from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.facts import case_facts
from inbound.commands.shape import Command, Desk, Order, Speaker, Transcript
from inbound.commands.table import COMMANDS
from inbound.talk import signup, version_click
from inbound.talk.orders import told
from inbound.talk.speakers import speaker_of
from store.engine import Step
from store.errors import CommandRefused, Refusal
from store.house import House
from store.model import Case, Confirmation, LetterDraft, Member
from store.records import access, audit, cases, codes, confirmations, labs, mails, outbox
from store.records.owners import reply_subject
from store.states import ConfirmationKind, ConfirmationState, MailState, Strength


async def confirmation_flow(house: House, step: Step, confirmation_id: str) -> None:
    waiting_mail = await step(act_on_click, house, confirmation_id)
    if waiting_mail:
        await step(_discard, house, waiting_mail)


async def act_on_click(house: House, confirmation_id: str) -> str:
    """Does what was confirmed, once; or ends what nobody confirmed. Returns a mail that is to go."""
    now = house.clock.now()
    async with house.database.write() as connection:
        found = await confirmations.find(connection, confirmation_id)
        assert found is not None
        if found.state is ConfirmationState.CONFIRMED:
            await _DOES[found.kind](house, connection, found)
            await confirmations.settle(connection, found.id, ConfirmationState.DONE)
        elif found.state is ConfirmationState.WAITING and now >= found.expires_at:
            await confirmations.settle(connection, found.id, ConfirmationState.OVER)
            if found.kind is ConfirmationKind.SIGNUP and found.mail_id:
                await mails.settle(connection, found.mail_id, MailState.DONE, "nobody clicked")
            if found.kind is ConfirmationKind.VERSION:
                await version_click.give_up(house, connection, found)
        unwanted = await _unwanted_mail(connection, found)
    house.poke()
    return unwanted


async def _unwanted_mail(connection: AsyncConnection, found: Confirmation) -> str:
    """A mail whose waiting for a click has ended without a share; empty if there is none."""
    if not found.kind.keeps_mail or not found.mail_id:
        return ""
    mail = await mails.mail(connection, found.mail_id)
    return mail.id if mail.state is MailState.DONE else ""


async def _discard(house: House, mail_id: str) -> None:
    await house.threads.run(house.spool.discard, mail_id)


async def _carry_out(house: House, connection: AsyncConnection, found: Confirmation) -> None:
    """The command, as it was written, by who has written it; in the words of a transcript."""
    now, order = house.clock.now(), Order(**found.context["order"])
    command = COMMANDS[order.verb]
    case = await cases.case(connection, found.case_id) if found.case_id else None
    speaker = await _speaker(connection, found, case)
    lab = await labs.lab(connection, await _lab_id(connection, found, case))
    desk = Desk(house, connection, lab, speaker, now, case, found.id)
    await audit.record(
        connection,
        now,
        speaker.address,
        "click",
        lab_id=lab.id,
        case_id=found.case_id,
        line=order.trail,
    )
    try:
        transcript = await _run(command, desk, order)
    except CommandRefused as refusal:
        transcript = Transcript([str(refusal)])
    if transcript.answered:
        return
    case = await cases.case(connection, case.id) if case else None
    context = told(order, command, transcript, case, speaker)
    context["case"] = await case_facts(connection, case, now) if case and speaker.member else None
    await _write(house, connection, found, speaker, context)


async def _run(command: Command, desk: Desk, order: Order) -> Transcript:
    """Raises CommandRefused where nothing was done; the sentence says why."""
    if not command.roles & desk.speaker.roles:
        raise CommandRefused("You may not say this any more, so nothing was done.")
    return await command.run(desk, order)


async def _lab_id(connection: AsyncConnection, found: Confirmation, case: Case | None) -> str:
    if case is not None:
        return case.lab_id
    return (await _member(connection, found)).lab_id


async def _write(
    house: House,
    connection: AsyncConnection,
    found: Confirmation,
    speaker: Speaker,
    context: dict[str, Any],
) -> None:
    draft = LetterDraft(
        kind=context.get("kind", "notice"),
        recipient=speaker.address,
        recipient_name=speaker.name,
        subject=reply_subject(str(found.context.get("subject", "")) or "scanpost"),
        context=context,
        case_id=found.case_id,
    )
    if found.case_id:
        owner = await access.owner_of(connection, found.case_id)
        person = speaker.reviewer or (owner if owner.address == speaker.address else None)
        newest = await cases.newest_shared(connection, found.case_id)
        version = newest.number if newest else None
        draft = replace(draft, person_id=person.id if person else None, version=version)
    once = f"confirmed|{found.id}"
    await outbox.write(connection, draft, house.settings.domain, house.clock.now(), once)


async def _speaker(connection: AsyncConnection, found: Confirmation, case: Case | None) -> Speaker:
    """Who clicked, as they are now: rights may have ended since the mail."""
    assert found.mail_id is not None
    mail = await mails.mail(connection, found.mail_id)
    speaker = replace(await speaker_of(connection, mail, case), strength=Strength.SIGNED)
    disabled = speaker.member is not None and speaker.member.disabled_at is not None
    return replace(speaker, member=None) if disabled else speaker


async def _say_codes_are_on(house: House, connection: AsyncConnection, found: Confirmation) -> None:
    member = await _member(connection, found)
    sentence = (
        "From now on DELETE, ADD and whatever else cannot be undone needs a code: write “CODE” and the"
        " six digits below the command. 2FA OFF, with a code, ends that."
    )
    await audit.record(
        connection, house.clock.now(), member.address, "codes on", lab_id=member.lab_id
    )
    context = {"heading": "Codes are on", "sentences": [sentence], "case": None}
    speaker = Speaker(member.address, member.name, Strength.SIGNED, member)
    await _write(house, connection, found, speaker, context)


async def _unlock(house: House, connection: AsyncConnection, found: Confirmation) -> None:
    member = await _member(connection, found)
    await codes.unlock(connection, member.id)
    await audit.record(
        connection, house.clock.now(), member.address, "codes unlocked", lab_id=member.lab_id
    )


async def _add_alias(house: House, connection: AsyncConnection, found: Confirmation) -> None:
    """The new address has agreed; the member hears of it where they are registered."""
    now, member = house.clock.now(), await _member(connection, found)
    speaker = Speaker(member.address, member.name, Strength.SIGNED, member)
    sentences = [f"You may write from {found.address} now. Answers go to {member.address}."]
    try:
        if member.disabled_at is not None:
            raise CommandRefused("You may not say this any more, so nothing was done.")
        await labs.add_alias(connection, member.id, found.address, now)
    except Refusal as refusal:
        sentences = [str(refusal)]
    else:
        await audit.record(
            connection,
            now,
            member.address,
            "address added",
            lab_id=member.lab_id,
            address=found.address,
        )
    context = {"heading": "One address more", "sentences": sentences, "case": None}
    await _write(house, connection, found, speaker, context)


async def _share_version(house: House, connection: AsyncConnection, found: Confirmation) -> None:
    """The answer comes when the scans are ready; a letter now only where they cannot be shared."""
    member = await _member(connection, found)
    try:
        await version_click.go_on(house, connection, found, member)
    except CommandRefused as refusal:
        context = {"heading": "Not done", "sentences": [str(refusal)], "case": None}
        speaker = Speaker(member.address, member.name, Strength.SIGNED, member)
        await _write(house, connection, found, speaker, context)


async def _member(connection: AsyncConnection, found: Confirmation) -> Member:
    assert found.member_id is not None
    return await labs.member(connection, found.member_id)


_DOES = {
    ConfirmationKind.COMMAND: _carry_out,
    ConfirmationKind.SIGNUP: signup.admit,
    ConfirmationKind.ENROL: _say_codes_are_on,
    ConfirmationKind.UNLOCK: _unlock,
    ConfirmationKind.ALIAS: _add_alias,
    ConfirmationKind.VERSION: _share_version,
}
