"""The table of commands, in the order in which HELP shows them."""

from inbound.commands import extend, help_, list_, resend, revoke, status
from inbound.commands.shape import Command

COMMANDS: dict[str, Command] = {
    module.COMMAND.verb: module.COMMAND for module in (status, list_, extend, resend, revoke, help_)
}
