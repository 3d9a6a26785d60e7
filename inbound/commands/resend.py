"""RESEND."""

from inbound.cases.letters import share_letter
from inbound.commands.people import addresses, chosen
from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.errors import CommandRefused
from store.model import Person
from store.records import access, outbox, suppressions


async def run(desk: Desk, order: Order) -> Transcript:
    """Mails the link again to one reviewer, or to all. Who was revoked gets a new link when named,
    or when all were.
    """
    case = desk.open_case()
    named = await chosen(desk, case, order)
    # A forgotten REVOKE of one person must not be undone by a reminder to the others.
    live = [person for person in named if person.revoked_at is None]
    people = named if order.recipients or not live else live
    if not people:
        raise CommandRefused(f"{case.short_name} has no reviewer to send a link to.")
    people, unwanted = await _who_wants_letters(desk, people)
    key = await desk.house.case_key(desk.connection, case.id)
    for person in people:
        current = person
        if person.revoked_at is not None:
            current = await access.renew(desk.connection, person, key)
        await access.note_trouble(desk.connection, person.id, "", desk.now)  # it is tried anew
        draft = await share_letter(desk.connection, case, current, desk.now)
        await outbox.write(desk.connection, draft, desk.house.settings.domain, desk.now)
    word = "links go" if len(people) > 1 else "link goes"
    done = [f"The {word} out again to {addresses(people)}."] if people else []
    left_out = [person for person in named if person not in [*people, *unwanted]]
    if unwanted:
        done.append(f"Not to {addresses(unwanted)}: they want no letters of {desk.lab.name}.")
    if left_out:
        done.append(f"Not to {addresses(left_out)}: revoked. RESEND and the address lets them in.")
    return Transcript(
        done,
        undo="To end a link, reply REVOKE and the address.",
    )


async def _who_wants_letters(desk: Desk, people: list[Person]) -> tuple[list[Person], list[Person]]:
    """Those of some people who may be written to, and those who asked for no letters of the lab."""
    stopped = [
        person
        for person in people
        if await suppressions.reason_for(desk.connection, desk.lab.id, person.address)
    ]
    return [person for person in people if person not in stopped], stopped


COMMAND = Command("RESEND", "[reviewer]", run, about_case=True, weight=Weight.CHANGE)
