"""Labs and their members."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.errors import Refusal
from store.model import Lab, Member
from store.records import uploads
from store.records.schema import aliases, labs, members
from store.tokens import new_id


def canonical(address: str) -> str:
    """The form under which an address is known: case is ignored, everything else counts.

    Dots and +tags stay: whoever writes from another form is somebody else (docs/decisions.md).
    """
    return address.strip().lower()


async def add_lab(connection: AsyncConnection, name: str, now: int) -> Lab:
    """Raises Refusal when a lab of that name exists."""
    if await find_lab(connection, name):
        raise Refusal(f"There is a lab named {name} already. Choose another name.")
    lab = Lab(id=new_id(), name=name, created_at=now)
    await connection.execute(sa.insert(labs).values(id=lab.id, name=name, created_at=now))
    return lab


async def find_lab(connection: AsyncConnection, name: str) -> Lab | None:
    question = sa.select(labs).where(sa.func.lower(labs.c.name) == sa.func.lower(name))
    row = (await connection.execute(question)).mappings().first()
    return Lab.of(row) if row else None


async def lab(connection: AsyncConnection, lab_id: str) -> Lab:
    question = sa.select(labs).where(labs.c.id == lab_id)
    return Lab.of((await connection.execute(question)).mappings().one())


async def add_member(
    connection: AsyncConnection, lab_id: str, address: str, name: str, company: str, now: int
) -> Member:
    """Raises Refusal when the address is a member already; an old, disabled one is let in again."""
    address = canonical(address)
    known = await member_by_address(connection, address)
    if known and (known.disabled_at is None or known.lab_id != lab_id):
        raise Refusal(f"{address} is a member already.")
    if known:
        change = sa.update(members).where(members.c.id == known.id)
        await connection.execute(change.values(disabled_at=None, name=name, company=company))
        return await member(connection, known.id)
    new = Member(new_id(), lab_id, address, name, company, None, None)
    await connection.execute(
        sa.insert(members).values(
            id=new.id, lab_id=lab_id, address=address, name=name, company=company, created_at=now
        )
    )
    return new


async def record_consent(
    connection: AsyncConnection, member_id: str, version: str, by: str, now: int
) -> None:
    """Notes which text a member agreed to; `by` is their address, or "operator"."""
    await connection.execute(
        sa.update(members)
        .where(members.c.id == member_id)
        .values(consent_version=version, consent_by=by, consent_at=now)
    )


async def add_alias(connection: AsyncConnection, member_id: str, address: str, now: int) -> None:
    """Lets a member write from one more address. Raises Refusal when somebody has it."""
    address = canonical(address)
    if await member_by_address(connection, address):
        raise Refusal(f"{address} belongs to a member already.")
    await connection.execute(
        sa.insert(aliases).values(address=address, member_id=member_id, created_at=now)
    )


async def drop_alias(connection: AsyncConnection, address: str) -> Member:
    """Takes back an address from which a member may write besides. Raises Refusal when it is none."""
    address = canonical(address)
    found = await member_by_address(connection, address)
    if found is None or found.address == address:
        raise Refusal(f"{address} is nobody's other address. `scanpost account list` shows them.")
    await connection.execute(sa.delete(aliases).where(aliases.c.address == address))
    return found


async def aliases_of(connection: AsyncConnection, member_id: str) -> list[str]:
    question = sa.select(aliases.c.address).where(aliases.c.member_id == member_id)
    return list((await connection.execute(question.order_by(aliases.c.address))).scalars())


async def disable_member(connection: AsyncConnection, address: str, now: int) -> Member:
    """Raises Refusal when nobody has that address."""
    found = await member_by_address(connection, address)
    if found is None or found.address != canonical(address):
        raise Refusal(f"{address} is not a member. `scanpost account list` shows who is.")
    await connection.execute(
        sa.update(members).where(members.c.id == found.id).values(disabled_at=now)
    )
    await uploads.end_of_member(connection, found.id, now)
    return found


async def member(connection: AsyncConnection, member_id: str) -> Member:
    question = sa.select(members).where(members.c.id == member_id)
    return Member.of((await connection.execute(question)).mappings().one())


async def member_by_address(connection: AsyncConnection, address: str) -> Member | None:
    """Who has an address, disabled or not."""
    address = canonical(address)
    by_alias = sa.select(aliases.c.member_id).where(aliases.c.address == address)
    question = sa.select(members).where(
        sa.or_(members.c.address == address, members.c.id.in_(by_alias))
    )
    row = (await connection.execute(question)).mappings().first()
    return Member.of(row) if row else None


async def members_by_address(connection: AsyncConnection, addresses: set[str]) -> dict[str, Member]:
    """Those of some addresses who may act as members, by the address that was asked for."""
    wanted = {canonical(address): address for address in addresses}
    registered = sa.select(members.c.address.label("asked"), members).where(
        members.c.address.in_(wanted), members.c.disabled_at.is_(None)
    )
    other = (
        sa.select(aliases.c.address.label("asked"), members)
        .join(members, members.c.id == aliases.c.member_id)
        .where(aliases.c.address.in_(wanted), members.c.disabled_at.is_(None))
    )
    rows = (await connection.execute(sa.union_all(registered, other))).mappings()
    return {wanted[row["asked"]]: Member.of(row) for row in rows}


async def all_labs(connection: AsyncConnection) -> list[Lab]:
    rows = (await connection.execute(sa.select(labs).order_by(labs.c.name))).mappings()
    return [Lab.of(row) for row in rows]


async def all_members(connection: AsyncConnection) -> list[tuple[Lab, Member]]:
    found = []
    for of_lab in await all_labs(connection):
        question = sa.select(members).where(members.c.lab_id == of_lab.id)
        rows = (await connection.execute(question.order_by(members.c.address))).mappings()
        found += [(of_lab, Member.of(row)) for row in rows]
    return found
