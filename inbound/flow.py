"""The way of one mail, step by step: read this first.

    door        bytes become a durable mail, then 250                     inbound/door
    read_mail   whose mail is it, what does it want                       inbound/mail, inbound/talk
                  to bounce@       -> what came back of a letter          inbound/talk/returned
                  to postmaster@   -> the operator                        inbound/talk/to_operator
                  a robot's        -> filed, never answered
                  a stranger's     -> waits, sealed, for a click          inbound/talk/signup
                  a reply          -> a command, a comment, a name        inbound/talk/conversation
                  no reviewer      -> a case that waits, and a question
                  scans            -> a case in preparation               inbound/cases/opening
                  scans in a reply -> the next version of its case        inbound/talk/next_version
                    unsigned       -> waits, sealed, for a click          inbound/talk/version_click
    take_files  attachments into sealed originals                         inbound/cases/take
    prepare     each scan in a child of its own                           inbound/scans
    carry       what a next version goes on to show of the one before     inbound/cases/next_version
    draw        the picture
    relate      how the scans meet: contacts, the open bite
    compare     what has changed since the version before
    announce    one transaction: the case is open, the letters wait       -> outbound
                  a unit that cannot be millimetres -> held, a question   inbound/cases/units
    discard     the raw mail is gone

Every step may run twice. Which of them a crash cut short is the engine's knowledge; what is true is
in the rows.
"""

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.again import fingerprint_in
from inbound.cases.announce import announce
from inbound.cases.kinds import SHAREABLE, SHAREABLE_IF_ADDRESSED
from inbound.cases.letters import reply_letter
from inbound.cases.measure import compare_scans, draw_picture, relate_scans
from inbound.cases.next_version import carry_scans, clear_away
from inbound.cases.opening import case_id_of, open_case
from inbound.cases.outcome import Outcome
from inbound.cases.prepare import prepare_scans
from inbound.cases.subject import Subject, read_subject
from inbound.cases.take import left_out, take_files
from inbound.cases.units import take_unit_as_before
from inbound.cases.unpack import is_mere_formatting
from inbound.mail.attachments import Attachment
from inbound.mail.opened import OpenedMail
from inbound.mail.parts import HEADER_LIMIT, read_header
from inbound.mail.skeleton import Contents, contents_of
from inbound.scans.child import Children
from inbound.talk import signup
from inbound.talk.away import away_until
from inbound.talk.classify import Kind, classify
from inbound.talk.conversation import converse
from inbound.talk.grammar import first_line, read_order
from inbound.talk.next_version import becomes_version
from inbound.talk.returned import is_about_ours, note_away, read_returned, take_returned
from inbound.talk.speakers import speaker_of
from inbound.talk.talk import Talk
from inbound.talk.threads import case_answered
from inbound.talk.to_operator import pass_on
from store.addresses import Desk
from store.engine import Step
from store.errors import Refusal
from store.house import House
from store.model import Case, Mail
from store.records import access, cases, mails, outbox
from store.states import CaseState, MailState, Strength
from store.tokens import Purpose

log = structlog.get_logger()


async def mail_flow(house: House, children: Children, step: Step, mail_id: str) -> None:
    """Takes a mail from its spool file to its letters."""
    if not await step(read_mail, house, children, mail_id):
        return
    await step(take_files, house, children, mail_id)
    await step(prepare_scans, house, children, mail_id)
    if await step(take_unit_as_before, house, mail_id):
        await step(prepare_scans, house, children, mail_id)
    outcome = Outcome.OUTRUN
    while outcome == Outcome.OUTRUN:
        await step(carry_scans, house, mail_id)
        await step(draw_picture, house, children, mail_id)
        await step(relate_scans, house, children, mail_id)
        await step(compare_scans, house, children, mail_id)
        outcome = await step(announce, house, mail_id)
    if outcome == Outcome.DROPPED:
        await step(clear_away, house, mail_id)
    if outcome != Outcome.WAITS:
        await step(discard_mail, house, mail_id)


async def read_mail(house: House, children: Children, mail_id: str) -> bool:
    """Decides what a mail is and does all that needs no scan; True if a case is to be prepared."""
    async with house.database.read() as connection:
        mail = await mails.mail(connection, mail_id)
    if mail.state is not MailState.RECEIVED:
        return False
    try:
        opened = await house.threads.run(OpenedMail, house.spool, mail_id)
    except Refusal as refusal:
        await _refuse(house, mail, str(refusal))
        await discard_mail(house, mail_id)
        return False
    with opened:
        state = await _read(house, children, mail, opened)
    house.poke()
    if state is MailState.DONE:
        await discard_mail(house, mail_id)
    return state is MailState.RECEIVED


async def discard_mail(house: House, mail_id: str) -> None:
    """The raw mail is needed no more."""
    await house.threads.run(house.spool.discard, mail_id)


async def _read(house: House, children: Children, mail: Mail, opened: OpenedMail) -> MailState:
    own = house.settings.addressing.read(mail.recipients[0])
    desk = own.desk if own else Desk.SHARE
    try:
        contents = await house.threads.run(opened.contents)
        files = await house.threads.run(opened.files) if desk is Desk.SHARE else []
    except Refusal as refusal:
        await _refuse(house, mail, str(refusal))
        return MailState.DONE
    kind = classify(contents, mail.sender, house.settings.domain)
    if desk is Desk.BOUNCE and own:
        said = await house.threads.run(read_returned, opened, contents, kind, mail.sender)
        await take_returned(house, mail, said, own.token)
        return MailState.DONE
    if desk is Desk.OPERATOR:
        await _for_operator(house, mail, opened, contents, kind)
        return MailState.DONE
    if kind is not Kind.HUMAN:
        await _file_away(house, mail, contents, kind)
        return MailState.DONE
    files = [file for file in files if not await is_mere_formatting(house.threads, children, file)]
    return await _act(house, mail, contents, files)


async def _act(house: House, mail: Mail, contents: Contents, files: list[Attachment]) -> MailState:
    """Acts on a person's mail in one transaction; returns the state that the mail has then."""
    subject = read_subject(contents.subject, house.settings.domain)
    async with house.database.read() as connection:
        answered = await _case_of(house, connection, mail, contents, has_scans=False)
        alone = all(file.format in SHAREABLE_IF_ADDRESSED for file in files)
        besides = alone and _is_for_somebody(contents, subject, answered)
        shareable = SHAREABLE | (SHAREABLE_IF_ADDRESSED if besides else frozenset())
        scans = sum(file.format in shareable for file in files)
        in_thread = answered
        if scans:
            in_thread = await _case_of(house, connection, mail, contents, has_scans=True)
    # Before the transaction: it takes as long as reading the files does.
    known = await fingerprint_in(house, in_thread.id, files) if in_thread and scans else ""
    async with house.database.write() as connection:
        mail = await mails.mail(connection, mail.id)
        if mail.case_id is not None:
            return await _go_on(connection, mail, mail.case_id)
        # As it is now: a REVOKE or an answer may have come meanwhile.
        case = await cases.case(connection, in_thread.id) if in_thread else None
        speaker = await speaker_of(connection, mail, case)
        if case is None and mail.member_id is None and house.settings.may_sign_up(mail.author):
            return await signup.ask(house, connection, mail, contents)
        if case is None and scans and speaker.member:
            opened = await open_case(house, connection, mail, speaker.member, contents, subject)
            waiting = opened.state is CaseState.WAITING
            return MailState.WAITING if waiting else MailState.RECEIVED
        no_scans = [
            left_out(file.name, file.format) for file in files if file.format not in shareable
        ]
        now = house.clock.now()
        talk = Talk(house, connection, mail, speaker, contents, no_scans, scans, now, known)
        if case is not None and (state := await becomes_version(talk, case)):
            return state
        await converse(talk, case)
        return MailState.DONE


def _is_for_somebody(contents: Contents, subject: Subject, answered: Case | None) -> bool:
    """Whether photos alone are meant to be shared: logos and snapshots stand in any mail."""
    commands = (read_order(first_line(said)) for said in (contents.body, contents.subject))
    return bool(subject.reviewers) and not answered and not any(commands)


async def _go_on(connection: AsyncConnection, mail: Mail, case_id: str) -> MailState:
    """A mail whose scans were taken in before this step died, or that was asked for its reviewer."""
    case = await cases.case(connection, case_id)
    if case.state is CaseState.PREPARING or case.id != case_id_of(mail.id):
        return MailState.RECEIVED
    await mails.settle(connection, mail.id, MailState.DONE, case.state, case.id)
    return MailState.DONE


async def _case_of(
    house: House,
    connection: AsyncConnection,
    mail: Mail,
    contents: Contents,
    *,
    has_scans: bool,
) -> Case | None:
    """The case that a mail is about: its address says so, or else the letter that it answers.

    Neither says who speaks. A mail to share@ itself with scans is always a new case.
    """
    addressing = house.settings.addressing
    for recipient in mail.recipients:
        own = addressing.read(recipient)
        if own and own.desk is Desk.SHARE and own.token:
            holder = await access.holder(connection, own.token, Purpose.REPLY)
            if holder is not None:
                return holder.case
    if has_scans and addressing.separator:
        return None
    return await case_answered(connection, mail, contents)


async def _for_operator(
    house: House, mail: Mail, opened: OpenedMail, contents: Contents, kind: Kind
) -> None:
    """Complaints often come to abuse@ with the letter in them: its envelope sender has the token."""
    if kind is Kind.COMPLAINT:
        said = await house.threads.run(read_returned, opened, contents, kind, mail.sender)
        sender = said.complaint.token_address if said.complaint else ""
        own = house.settings.addressing.read(sender)
        if own and own.desk is Desk.BOUNCE and await is_about_ours(house, own.token):
            await take_returned(house, mail, said, own.token)
            return
    await pass_on(house, mail, contents, kind)


async def _refuse(house: House, mail: Mail, sentence: str) -> None:
    """A mail that cannot be read as it is: its author hears why if proved; a robot does not."""
    now = house.clock.now()
    contents = await house.threads.run(_header_of, house, mail.id)
    kind = classify(contents, mail.sender, house.settings.domain)
    if kind is not Kind.HUMAN or mail.strength is Strength.NONE:
        await _file_away(house, mail, contents, kind)
        return
    async with house.database.write() as connection:
        speaker = await speaker_of(connection, mail, None)
        context = {"heading": "Not done", "sentences": [sentence], "case": None}
        draft = reply_letter(
            mail, contents.subject, speaker.address, speaker.name, "notice", context
        )
        await outbox.write(connection, draft, house.settings.domain, now)
        await mails.settle(connection, mail.id, MailState.DONE, "refused")
    house.poke()


def _header_of(house: House, mail_id: str) -> Contents:
    """What the header alone says, of a mail whose parts cannot be read."""
    with house.spool.open(mail_id) as mail:
        block = mail.read(0, HEADER_LIMIT).partition(b"\r\n\r\n")[0]
    return contents_of(read_header(block))


async def _file_away(house: House, mail: Mail, contents: Contents, kind: Kind) -> None:
    """A robot's mail is never obeyed and never answered; that a reviewer is away is worth a line."""
    log.info("mail filed away", mail=mail.id, kind=kind.value)
    if kind is Kind.AUTO_REPLY:
        async with house.database.read() as connection:
            case = await _case_of(house, connection, mail, contents, has_scans=False)
        if case is not None and (words := away_until(contents)):
            await note_away(house, mail, case, words)
            return
    async with house.database.write() as connection:
        await mails.settle(connection, mail.id, MailState.DONE, kind.value)
