"""Which reviewers a command means."""

from inbound.commands.shape import Desk, Order
from store.errors import CommandRefused
from store.model import Case, Person
from store.records import access


async def chosen(desk: Desk, case: Case, order: Order) -> list[Person]:
    """The reviewers that the order names, or all of them.

    Raises:
        CommandRefused: somebody who was named is not a reviewer of this case.
    """
    everybody = await access.reviewers_of(desk.connection, case.id)
    if not order.recipients:
        return everybody
    by_address = {person.address: person for person in everybody}
    strangers = [address for address in order.recipients if address not in by_address]
    if strangers:
        known = ", ".join(by_address) or "nobody"
        raise CommandRefused(
            f"Not among the reviewers of {case.short_name}: {', '.join(strangers)}. They are: {known}."
            " Nothing was changed. To share with somebody else, reply ADD and the address."
        )
    return [by_address[address] for address in dict.fromkeys(order.recipients)]


def addresses(people: list[Person]) -> str:
    return ", ".join(person.address for person in people)
