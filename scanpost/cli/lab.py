"""`scanpost lab`."""

import click

from scanpost.cli.run import in_house
from store.house import House
from store.records import audit, labs


@click.group
def command() -> None:
    """Labs: the members of one act on its cases."""


@command.command("add")
@click.argument("name")
def add(name: str) -> None:
    """Add a lab."""

    async def work(house: House) -> None:
        async with house.database.write() as connection:
            lab = await labs.add_lab(connection, name, house.clock.now())
            await audit.record(
                connection, house.clock.now(), "operator", "lab added", lab_id=lab.id
            )
        click.echo(f"Added the lab {name}.")

    in_house(work)


@command.command("list")
def list_() -> None:
    """List the labs and their members."""

    async def work(house: House) -> None:
        async with house.database.read() as connection:
            found = await labs.all_labs(connection)
            members = await labs.all_members(connection)
        for lab in found:
            count = sum(1 for of, _ in members if of.id == lab.id)
            click.echo(f"{lab.name}: {count} member{'' if count == 1 else 's'}")

    in_house(work)
