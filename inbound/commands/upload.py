"""UPLOAD: READ, although it opens a page by which somebody may share in the member's name. The link goes
to the registered mailbox and is itself the click that a heavier command would wait for.
"""

from dataclasses import replace

from inbound.cases.subject import read_subject
from inbound.cases.upload_pages import occasion_of, open_page, page_letter
from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.errors import CommandRefused
from store.model import Case
from store.records import access, cases, mails, outbox
from store.records.uploads import Words
from store.tokens import derived_id
from store.uploads import MOST_OPEN


async def run(desk: Desk, order: Order) -> Transcript:
    """Sends you a page that takes scans too large for mail. In a case's thread they become its next
    version; elsewhere write what would be the subject, or nothing.
    """
    case = await _case(desk, order)
    words = Words() if case else _words(desk, order)
    upload_id = derived_id("upload", desk.occasion)
    page = await open_page(
        desk.house,
        desk.connection,
        upload_id,
        desk.member,
        words,
        case_id=case.id if case else None,
    )
    if page is None:
        raise CommandRefused(
            f"You have {MOST_OPEN} upload pages already, so no other was made. Use the link in one of"
            " those letters; each lives for a day."
        )
    mail = await mails.mail(desk.connection, desk.occasion)
    subject = (case.subject or case.name) if case else order.line
    name = f"{case.name} (#{case.public_id})" if case else ""
    draft = page_letter(desk.member, page, subject, mail.message_id, name)
    if case is not None:
        owner = await access.owner_of(desk.connection, case.id)
        person = owner.id if owner.address == desk.member.address else None
        thread = [*case.thread, *draft.thread]
        draft = replace(draft, case_id=case.id, person_id=person, thread=thread)
    domain = desk.house.settings.domain
    await outbox.write(desk.connection, draft, domain, desk.now, once=occasion_of(upload_id))
    return Transcript([], answered=True)


async def _case(desk: Desk, order: Order) -> Case | None:
    """The case whose next version is meant: that of the thread, or one that is named by its #.

    Raises:
        CommandRefused: its links do not work, or the words say something else than the thread does.
    """
    if desk.case is not None:
        own = {desk.case.code.lower(), f"#{desk.case.public_id}".lower()}
        others = [name for name in order.cases if name.lower() not in own]
        if order.recipients or order.unknown or others:
            raise CommandRefused(
                f"In the thread of {desk.case.short_name} what you upload becomes its next version, so"
                " write UPLOAD alone. For a new case write the same line in a new mail to"
                f" {desk.house.settings.addressing.share()}."
            )
        return desk.open_case()
    if [name[:1] for name in order.cases] != ["#"] or order.recipients or order.unknown:
        return None
    found = await cases.find_by_name(desk.connection, desk.lab.id, order.cases[0])
    if len(found) != 1:
        raise CommandRefused(f"Your lab has no case {order.cases[0]}. LIST shows the open ones.")
    return replace(desk, case=found[0]).open_case()


def _words(desk: Desk, order: Order) -> Words:
    """The page shows them, to be corrected there."""
    said = order.line.partition(" ")[2]
    subject = read_subject(said, desk.house.settings.domain)
    named = [
        f"{one.name} <{one.address}>" if one.name else one.address for one in subject.reviewers
    ]
    return Words(", ".join([*named, *subject.unusable]), f"{subject.code} {subject.title}".strip())


COMMAND = Command(
    "UPLOAD", "[reviewer case work]", run, about_case=False, weight=Weight.READ, in_thread=True
)
