"""The table of commands, in the order in which HELP shows them."""

from inbound.commands import (
    access,
    add,
    address,
    approve,
    changes,
    comment,
    delete,
    downloads,
    extend,
    help_,
    list_,
    notify,
    password,
    resend,
    revoke,
    status,
    stop,
    twofa,
    upload,
)
from inbound.commands.shape import Command, Role

COMMANDS: dict[str, Command] = {
    module.COMMAND.verb: module.COMMAND
    for module in (
        status,
        list_,
        extend,
        resend,
        revoke,
        add,
        access,
        password,
        downloads,
        notify,
        upload,
        delete,
        approve,
        changes,
        comment,
        stop,
        twofa,
        address,
        help_,
    )
}


def verbs_of(roles: frozenset[Role]) -> frozenset[str]:
    """What a person of these roles may say."""
    return frozenset(verb for verb, command in COMMANDS.items() if command.roles & roles)
