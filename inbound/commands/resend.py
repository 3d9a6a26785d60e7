"""RESEND."""

from inbound.cases.letters import share_letter
from inbound.commands.people import addresses, chosen
from inbound.commands.shape import Command, Desk, Order, Transcript
from store.errors import CommandRefused
from store.records import access, outbox


async def run(desk: Desk, order: Order) -> Transcript:
    """Mails the link again to one reviewer, or to all. Who was revoked gets a new link."""
    case = desk.open_case()
    people = await chosen(desk, case, order)
    if not people:
        raise CommandRefused(f"{case.short_name} has no reviewer to send a link to.")
    key = await desk.house.case_key(desk.connection, case.id)
    for person in people:
        if person.revoked_at is not None:
            person = await access.renew(desk.connection, person, key)  # noqa: PLW2901
        draft = await share_letter(desk.connection, case, person, desk.now)
        await outbox.write(desk.connection, draft, desk.house.settings.domain, desk.now)
    word = "links go" if len(people) > 1 else "link goes"
    return Transcript(
        [f"The {word} out again to {addresses(people)}."],
        undo="To end a link, reply REVOKE and the address.",
    )


COMMAND = Command("RESEND", "[reviewer]", run, about_case=True, changes=True)
