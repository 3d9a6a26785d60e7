"""REVOKE."""

from inbound.commands.people import addresses, chosen
from inbound.commands.shape import Command, Desk, Order, Transcript, Weight
from store.clock import in_words
from store.records import access, outbox


async def run(desk: Desk, order: Order) -> Transcript:
    """Ends the link of one reviewer, or of all, at once. The scans stay until the case ends, so
    that RESEND can undo it.
    """
    case = desk.open_case()
    people = await chosen(desk, case, order)
    live = [person for person in people if person.revoked_at is None]
    for person in live:
        await access.revoke(desk.connection, person.id, desk.now)
        await outbox.withdraw_of_person(desk.connection, person.id, desk.now)
    if not live:
        done = f"Nothing was left to revoke: no link to {case.short_name} was alive."
    elif len(live) == 1:
        done = f"The link of {live[0].address} to {case.short_name} is dead."
    else:
        done = f"The links of {addresses(live)} to {case.short_name} are dead."
    again = " ".join(["RESEND", *order.recipients])
    return Transcript(
        [done],
        undo=f"Reply {again} to send new links; possible until {in_words(case.expires_at)}.",
    )


COMMAND = Command("REVOKE", "[reviewer]", run, about_case=True, weight=Weight.SAFE)
