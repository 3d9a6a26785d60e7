"""`scanpost account`."""

import re

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from scanpost.cli.run import in_house
from store import consent
from store.errors import Refusal
from store.house import House
from store.records import audit, codes, labs, suppressions

_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+\.[^\s@<>,;\"]+")


@click.group
def command() -> None:
    """Members of labs: whose mail is acted on."""


@command.command("add")
@click.argument("address")
@click.option("--name", default="", help="The person's name, as reviewers read it.")
@click.option("--company", default="", help="The lab's name, as reviewers read it.")
@click.option("--lab", "lab_name", default="", help="The lab; made from --company when not named.")
def add(address: str, name: str, company: str, lab_name: str) -> None:
    """Add a member, for example: scanpost account add anna@lab.example --name "Anna Berg" --company "Acme Dental"."""
    if not _ADDRESS.fullmatch(address):
        raise Refusal(f"{address} is not an e-mail address.")
    if not (company or lab_name):
        raise Refusal(
            "Say which lab: --company makes one of that name, --lab takes one that exists."
        )

    async def work(house: House) -> None:
        now = house.clock.now()
        async with house.database.write() as connection:
            lab = await labs.find_lab(connection, lab_name or company)
            if lab is None and lab_name:
                raise Refusal(f"There is no lab named {lab_name}. Add it: scanpost lab add.")
            if lab is None:
                lab = await labs.add_lab(connection, company, now)
            member = await labs.add_member(
                connection, lab.id, address, name, company or lab.name, now
            )
            # Nobody asks them by mail: whoever adds a member answers for what they are told.
            await labs.record_consent(connection, member.id, consent.VERSION, "operator", now)
            await _record(
                house,
                connection,
                "member added",
                lab.id,
                member=member.address,
                consent=consent.VERSION,
            )
        click.echo(f"{member.address} is now a member of {lab.name}.")
        click.echo(f"\nYou answer for it that they know this (text of {consent.VERSION}):")
        for sentence in consent.TEXT:
            click.echo(f"  {sentence}")

    in_house(work)


@command.command("list")
def list_() -> None:
    """List the members of all labs."""

    async def work(house: House) -> None:
        async with house.database.read() as connection:
            for lab, member in await labs.all_members(connection):
                other = await labs.aliases_of(connection, member.id)
                also = f"  (also {', '.join(other)})" if other else ""
                spare = await codes.backup_codes_left(connection, member.id)
                secured = f"  (codes on, {spare} backup codes left)" if member.has_codes else ""
                disabled = "  (disabled)" if member.disabled_at is not None else ""
                click.echo(f"{lab.name}: {member.address}  {member.name}{also}{secured}{disabled}")

    in_house(work)


@command.command("disable")
@click.argument("address")
def disable(address: str) -> None:
    """Take a member's right to send and command; the lab's cases stay."""

    async def work(house: House) -> None:
        now = house.clock.now()
        async with house.database.write() as connection:
            member = await labs.disable_member(connection, address, now)
            await _record(
                house, connection, "member disabled", member.lab_id, member=member.address
            )
        click.echo(f"{member.address} can no longer send or command.")

    in_house(work)


@command.command("reset-codes")
@click.argument("address")
def reset_codes(address: str) -> None:
    """Forget a member's codes (2FA): for who has lost phone and backup codes. Make sure it is them."""

    async def work(house: House) -> None:
        async with house.database.write() as connection:
            member = await labs.member_by_address(connection, address)
            if member is None:
                raise Refusal(f"{address} is not a member. `scanpost account list` shows who is.")
            if not member.has_codes:
                raise Refusal(f"{member.address} has no codes to forget.")
            await codes.forget(connection, member.id)
            await _record(house, connection, "codes reset", member.lab_id, member=member.address)
        click.echo(
            f"Codes of {member.address} are forgotten: a click on a link permits harm again."
            " They set up new ones with 2FA ON."
        )

    in_house(work)


@command.command("forget-address")
@click.argument("address")
def forget_address(address: str) -> None:
    """Take back another address of a member, which ADDRESS has let in."""

    async def work(house: House) -> None:
        async with house.database.write() as connection:
            member = await labs.drop_alias(connection, address)
            await _record(
                house,
                connection,
                "address taken back",
                member.lab_id,
                member=member.address,
                address=address,
            )
        click.echo(f"{address} no longer counts as {member.address}.")

    in_house(work)


@command.command("allow-letters")
@click.argument("lab_name", metavar="LAB")
@click.argument("address")
def allow_letters(lab_name: str, address: str) -> None:
    """Let a lab write to somebody again who said STOP or marked a letter as spam, and asks for it."""

    async def work(house: House) -> None:
        async with house.database.write() as connection:
            lab = await labs.find_lab(connection, lab_name)
            if lab is None:
                raise Refusal(f"There is no lab named {lab_name}. `scanpost lab list` shows them.")
            if not await suppressions.lift(connection, lab.id, address):
                raise Refusal(f"Nothing stands against letters of {lab.name} to {address}.")
            await _record(house, connection, "letters allowed", lab.id, address=address)
        click.echo(f"{lab.name} may write to {address} again.")

    in_house(work)


async def _record(
    house: House, connection: AsyncConnection, what: str, lab_id: str, **about: str
) -> None:
    """What the operator has done, for the trail."""
    now = house.clock.now()
    await audit.record(connection, now, "operator", what, lab_id=lab_id, **about)
