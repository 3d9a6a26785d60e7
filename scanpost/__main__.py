"""The command `scanpost`.

Subcommands are loaded when they are called: a mesh child imports this module again, and every
millisecond here is one for each scan.
"""

import importlib
import sys

import click

SUBCOMMANDS = {
    "serve": "Run the service.",
    "demo": "Try it: mail yourself a case and look at it.",
    "lab": "Labs: add, list.",
    "account": "Members of labs: add, list, disable.",
    "receive": "Take in a mail from a file.",
}


class _Lazy(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in SUBCOMMANDS:
            return None
        module = importlib.import_module(f"scanpost.cli.{name}")
        command: click.Command = module.command
        command.short_help = SUBCOMMANDS[name]
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="scanpost", prog_name="scanpost")
def scanpost() -> None:
    """Share dental 3D scans by mail; review them in one tap.

    Settings come from SCANPOST_* in the environment or from scanpost.toml: docs/settings.md.
    """


def main() -> None:
    from store.errors import ScanpostError  # noqa: PLC0415 -- see above

    try:
        scanpost()
    except ScanpostError as error:
        click.echo(str(error), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
