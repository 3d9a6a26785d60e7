"""Who may look: people of a case, their tokens, sessions and views.

A token only says which case and which person a link or an address belongs to. It is live while its
person is not revoked, its generation is the person's, and the case is open; asked at every use.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import LIVE_CASES, Case, Person, Session
from store.records import cases as case_records
from store.records import knocks
from store.records.schema import cases, people, sessions, tokens
from store.states import PersonKind, Proof
from store.tokens import Purpose, derive, derived_id, fingerprint, has_shape


@dataclass(frozen=True)
class Holder:
    """Whose token it is, and whether it still opens anything."""

    person: Person
    case: Case
    current: bool  # of the person's present generation, and the person is not revoked

    def may_look(self, now: int) -> bool:
        return self.current and self.case.is_open(now)


# ---------------------------------------------------------------- people and tokens


async def add_person(
    connection: AsyncConnection,
    case_id: str,
    kind: PersonKind,
    address: str,
    name: str,
    key: bytes,
    now: int,
) -> Person:
    """Adds a person and their tokens; somebody who is there already stays as they are."""
    person_id = derived_id("person", f"{case_id}|{kind}|{address.lower()}")
    known = await person(connection, person_id)
    if known:
        return known
    await connection.execute(
        sa.insert(people).values(
            id=person_id, case_id=case_id, kind=kind, address=address, name=name, created_at=now
        )
    )
    added = await person(connection, person_id)
    assert added is not None
    await _issue(connection, added, key)
    return added


async def person(connection: AsyncConnection, person_id: str) -> Person | None:
    question = sa.select(people).where(people.c.id == person_id)
    row = (await connection.execute(question)).mappings().first()
    return _person(row) if row else None


async def owner_of(connection: AsyncConnection, case_id: str) -> Person:
    question = sa.select(people).where(
        people.c.case_id == case_id, people.c.kind == PersonKind.OWNER
    )
    return _person((await connection.execute(question)).mappings().one())


async def reviewers_of(connection: AsyncConnection, case_id: str) -> list[Person]:
    question = (
        sa.select(people)
        .where(people.c.case_id == case_id, people.c.kind == PersonKind.REVIEWER)
        .order_by(people.c.created_at, people.c.address)
    )
    return [_person(row) for row in (await connection.execute(question)).mappings()]


async def reviewer_of(connection: AsyncConnection, case_id: str, address: str) -> Person | None:
    """The reviewer of a case who has this address, revoked or not."""
    everybody = await reviewers_of(connection, case_id)
    return next((one for one in everybody if one.address.lower() == address.lower()), None)


async def reviews_any(connection: AsyncConnection, address: str) -> bool:
    """Whether somebody has been asked to look at any case that lives."""
    question = (
        sa.select(people.c.id)
        .join(cases, cases.c.id == people.c.case_id)
        .where(
            sa.func.lower(people.c.address) == address.lower(),
            people.c.kind == PersonKind.REVIEWER,
            cases.c.state.in_(LIVE_CASES),
        )
        .limit(1)
    )
    return (await connection.execute(question)).first() is not None


async def note_trouble(connection: AsyncConnection, person_id: str, why: str, now: int) -> None:
    """Letters do not reach a person; empty: they do again."""
    change = sa.update(people).where(people.c.id == person_id)
    await connection.execute(change.values(trouble=why, trouble_at=now if why else None))


async def note_away(connection: AsyncConnection, person_id: str, words: str, now: int) -> bool:
    """Notes what an out-of-office reply said; False if one was noted before."""
    change = sa.update(people).where(people.c.id == person_id, people.c.away_at.is_(None))
    return (await connection.execute(change.values(away=words, away_at=now))).rowcount == 1


async def revoke(connection: AsyncConnection, person_id: str, now: int) -> None:
    """Kills a person's link and sessions from this moment on."""
    await connection.execute(
        sa.update(people).where(people.c.id == person_id).values(revoked_at=now)
    )
    await end_sessions(connection, person_id, now)


async def renew(connection: AsyncConnection, revoked: Person, key: bytes) -> Person:
    """Lets a revoked person in again, under a new link: the old one stays dead, and the first device
    that opens the new one is theirs.
    """
    anew = {"revoked_at": None, "bound_at": None, "wrong_tries": 0, "locked_until": None}
    generation = revoked.generation + 1
    await connection.execute(
        sa.update(people).where(people.c.id == revoked.id).values(generation=generation, **anew)
    )
    renewed = await person(connection, revoked.id)
    assert renewed is not None
    await _issue(connection, renewed, key)
    return renewed


async def holder(connection: AsyncConnection, token: str, purpose: Purpose) -> Holder | None:
    """Whose token this is or was; None if it was never issued."""
    if not has_shape(token):
        return None
    question = sa.select(tokens).where(
        tokens.c.hash == fingerprint(token), tokens.c.purpose == purpose
    )
    row = (await connection.execute(question)).mappings().first()
    if row is None:
        return None
    whose = await person(connection, row["person_id"])
    assert whose is not None
    current = whose.revoked_at is None and whose.generation == row["generation"]
    return Holder(whose, await case_records.case(connection, whose.case_id), current)


def token_of(key: bytes, person: Person, purpose: Purpose) -> str:
    """A person's present token, derived anew."""
    return derive(key, purpose, person.id, person.generation)


# ---------------------------------------------------------------- sessions and views


async def open_session(
    connection: AsyncConnection,
    person_id: str,
    now: int,
    secret: str,
    proof: Proof = Proof.CLICK,
    since: int | None = None,
) -> None:
    """Opens a session on one device.

    Args:
        secret: what the device will show; only its hash is kept.
        since: when the first of the sessions began that this one goes on from: its days count.
    """
    await connection.execute(
        sa.insert(sessions).values(
            id=fingerprint(secret),
            person_id=person_id,
            created_at=now if since is None else since,
            last_seen_at=now,
            proof=proof,
            opened_at=now,
        )
    )


async def session_of_device(
    connection: AsyncConnection, secret: str, person_id: str, now: int
) -> Session | None:
    """The session that a device has, if it is this person's, not ended, and not 7 days old.

    It may be idle: whether it is awake the session says itself.
    """
    found = await find_session(connection, fingerprint(secret))
    return found if found and found.person_id == person_id and found.is_alive(now) else None


async def find_session(connection: AsyncConnection, session_id: str) -> Session | None:
    """Any session, ended or not."""
    question = sa.select(sessions).where(sessions.c.id == session_id)
    row = (await connection.execute(question)).mappings().first()
    return Session.of({**row, "proof": Proof(row["proof"])}) if row else None


async def bind(connection: AsyncConnection, person_id: str, now: int) -> bool:
    """Notes the first device that opens a person's link; False if there was one before."""
    change = sa.update(people).where(people.c.id == person_id, people.c.bound_at.is_(None))
    return (await connection.execute(change.values(bound_at=now))).rowcount == 1


async def end_session(connection: AsyncConnection, session_id: str, now: int) -> None:
    """The device is shut out, and so is what it shows to be let in elsewhere."""
    change = sa.update(sessions).where(sessions.c.id == session_id, sessions.c.ended_at.is_(None))
    await connection.execute(change.values(ended_at=now))


async def touch_session(connection: AsyncConnection, session_id: str, now: int) -> None:
    """Notes that a session is in use. One that was ended or lulled meanwhile stays so: a request that
    had read it before must not wake it behind the owner's back.
    """
    change = sa.update(sessions).where(
        sessions.c.id == session_id, sessions.c.ended_at.is_(None), sessions.c.last_seen_at > 0
    )
    await connection.execute(change.values(last_seen_at=now))


async def end_sessions(connection: AsyncConnection, person_id: str, now: int) -> None:
    await connection.execute(
        sa.update(sessions)
        .where(sessions.c.person_id == person_id, sessions.c.ended_at.is_(None))
        .values(ended_at=now)
    )
    await knocks.end_of(connection, person_id, now)


async def lull_reviewers(connection: AsyncConnection, case_id: str, now: int) -> None:
    """What opened their sessions is not enough any more: each needs the password to be woken.

    Their devices stay known, and the owner, who says so, stays in.
    """
    for reviewer in await reviewers_of(connection, case_id):
        mine = sessions.c.person_id == reviewer.id, sessions.c.ended_at.is_(None)
        await connection.execute(sa.update(sessions).where(*mine).values(last_seen_at=0))
        await knocks.end_of(connection, reviewer.id, now)


async def count_view(
    connection: AsyncConnection, session_id: str, person_id: str, now: int
) -> bool:
    """Counts the first picture that a session has drawn; False if it was counted before."""
    first = (
        sa.update(sessions)
        .where(sessions.c.id == session_id, sessions.c.viewed_at.is_(None))
        .values(viewed_at=now)
    )
    if (await connection.execute(first)).rowcount == 0:
        return False
    await connection.execute(
        sa.update(people)
        .where(people.c.id == person_id)
        .values(
            views=people.c.views + 1,
            first_view_at=sa.func.coalesce(people.c.first_view_at, now),
            last_view_at=now,
        )
    )
    return True


async def _issue(connection: AsyncConnection, whose: Person, key: bytes) -> None:
    for purpose in Purpose:
        await connection.execute(
            sa.insert(tokens).values(
                hash=fingerprint(token_of(key, whose, purpose)),
                purpose=purpose,
                person_id=whose.id,
                generation=whose.generation,
            )
        )


def _person(row: Any) -> Person:
    return Person.of({**row, "kind": PersonKind(row["kind"])})
