"""Cases, their versions and scans, and their keys."""

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from store.errors import Gone
from store.model import LIVE_CASES, Case, Scan, Version
from store.records.schema import case_keys, cases, people, scans, versions
from store.states import AccessMode, CaseState, ScanState
from store.tokens import derived_id, public_id


@dataclass(frozen=True)
class NewCase:
    """What is known of a case before it has a row; `id` follows from its first mail's."""

    id: str
    lab_id: str
    owner_id: str
    code: str
    title: str
    note: str
    state: CaseState
    created_at: int
    expires_at: int
    due_at: int | None
    subject: str
    thread: list[str]


async def create(connection: AsyncConnection, new: NewCase, wrapped_key: bytes) -> Case:
    await connection.execute(
        sa.insert(cases).values(**asdict(new), public_id=await _free_public_id(connection, new.id))
    )
    await connection.execute(sa.insert(case_keys).values(case_id=new.id, wrapped=wrapped_key))
    return await case(connection, new.id)


async def case(connection: AsyncConnection, case_id: str) -> Case:
    found = await find(connection, case_id)
    assert found is not None, case_id
    return found


async def find(connection: AsyncConnection, case_id: str) -> Case | None:
    row = (
        (await connection.execute(sa.select(cases).where(cases.c.id == case_id))).mappings().first()
    )
    return _case(row) if row else None


async def find_by_public_id(connection: AsyncConnection, public: str) -> Case | None:
    question = sa.select(cases).where(cases.c.public_id == public)
    row = (await connection.execute(question)).mappings().first()
    return _case(row) if row else None


async def find_by_name(connection: AsyncConnection, lab_id: str, name: str) -> list[Case]:
    """The cases of a lab that a person may mean by "C-1042" or "#7F3KQ2": live ones win, newest first."""
    plain = name.lstrip("#")
    # Both sides by the database: its lower() knows ASCII only, and so does not disagree with itself.
    same_code = sa.func.lower(cases.c.code).in_([sa.func.lower(name), sa.func.lower(plain)])
    question = (
        sa.select(cases)
        .where(
            cases.c.lab_id == lab_id,
            sa.or_(cases.c.public_id == plain.upper(), same_code),
        )
        .order_by(cases.c.created_at.desc())
    )
    found = [_case(row) for row in (await connection.execute(question)).mappings()]
    return [case for case in found if case.state in LIVE_CASES] or found


async def live_of_lab(connection: AsyncConnection, lab_id: str, limit: int = 200) -> list[Case]:
    question = (
        sa.select(cases)
        .where(cases.c.lab_id == lab_id, cases.c.state.in_(LIVE_CASES))
        .order_by(cases.c.created_at.desc())
        .limit(limit)
    )
    return [_case(row) for row in (await connection.execute(question)).mappings()]


async def move(connection: AsyncConnection, case_id: str, state: CaseState, **values: Any) -> None:
    """Puts a case into a state, with other columns that change with it."""
    change = sa.update(cases).where(cases.c.id == case_id).values(state=state, **values)
    await connection.execute(change)


async def set_times(
    connection: AsyncConnection, case_id: str, *, expires_at: int, due_at: int | None
) -> None:
    """Moves the end of a case, and the moment at which its flow looks again."""
    await connection.execute(
        sa.update(cases)
        .where(cases.c.id == case_id)
        .values(
            expires_at=expires_at,
            due_at=due_at,
            attempt=cases.c.attempt + 1,
            failures=0,
            reminded_at=None,
        )
    )


async def set_way_in(connection: AsyncConnection, case_id: str, **values: Any) -> None:
    """Changes who gets in and how: access, password (its hash), downloads, tells_views."""
    await connection.execute(sa.update(cases).where(cases.c.id == case_id).values(**values))


async def break_off(connection: AsyncConnection, mail_id: str, now: int) -> bool:
    """The mail of a case in preparation was given up: the case's flow ends it and says so.

    False if the mail has no such case; an open case whose next version it brought stays as it is.
    """
    case_id = derived_id("case", mail_id)
    changed = await connection.execute(
        sa.update(cases)
        .where(cases.c.id == case_id, cases.c.state == CaseState.PREPARING)
        .values(due_at=now, attempt=cases.c.attempt + 1, failures=0)
    )
    return changed.rowcount > 0


async def mark_reminded(connection: AsyncConnection, case_id: str, now: int) -> None:
    change = sa.update(cases).where(cases.c.id == case_id).values(reminded_at=now)
    await connection.execute(change)


async def wrapped_key(connection: AsyncConnection, case_id: str) -> bytes:
    """Raises Gone when the key has been destroyed."""
    question = sa.select(case_keys.c.wrapped).where(case_keys.c.case_id == case_id)
    found: bytes | None = (await connection.execute(question)).scalar()
    if found is None:
        raise Gone("This case has ended and its key is destroyed.")
    return found


async def destroy_key(connection: AsyncConnection, case_id: str) -> None:
    await connection.execute(sa.delete(case_keys).where(case_keys.c.case_id == case_id))


async def forget_contents(connection: AsyncConnection, case_id: str) -> None:
    """Blanks what a destroyed case still said about its scans; its name stays, for the lab's lists."""
    await connection.execute(sa.update(cases).where(cases.c.id == case_id).values(note=""))
    unsaid = {"away": "", "trouble": ""}
    await connection.execute(sa.update(people).where(people.c.case_id == case_id).values(**unsaid))
    own = sa.select(versions.c.id).where(versions.c.case_id == case_id)
    blank: dict[str, Any] = {
        "original_name": "",
        "path": "",
        "problem": "",
        "report": None,
        "arch": None,
    }
    blank |= {"unit": "", "map_size": 0, "change": None, "change_size": 0}
    await connection.execute(sa.update(scans).where(scans.c.version_id.in_(own)).values(**blank))
    await connection.execute(
        sa.update(versions)
        .where(versions.c.case_id == case_id)
        .values(left_out=[], note="", frame=None, contacts=None)
    )


# ---------------------------------------------------------------- versions and scans


async def add_version(
    connection: AsyncConnection,
    case_id: str,
    mail_id: str,
    now: int,
    left_out: list[str],
    stored: list[dict[str, Any]],
    note: str = "",
) -> Version:
    """Writes a version and its stored scans; free to call twice for one mail.

    Its number may change until it is shared: `share_version` says which it is.
    """
    version_id = version_id_of(mail_id)
    known = await version(connection, version_id)
    if known:
        return known
    last = sa.select(sa.func.max(versions.c.number)).where(versions.c.case_id == case_id)
    number = ((await connection.execute(last)).scalar() or 0) + 1
    await connection.execute(
        sa.insert(versions).values(
            id=version_id,
            case_id=case_id,
            number=number,
            mail_id=mail_id,
            created_at=now,
            left_out=left_out,
            note=note,
        )
    )
    for scan in stored:
        scan_id = derived_id("scan", f"{version_id}|{scan['number']}")
        row = {**scan, "id": scan_id, "version_id": version_id}
        await connection.execute(sa.insert(scans).values(**row))
    added = await version(connection, version_id)
    assert added is not None
    return added


def version_id_of(mail_id: str) -> str:
    """The version that a mail brings."""
    return derived_id("version", mail_id)


async def version(connection: AsyncConnection, version_id: str) -> Version | None:
    question = sa.select(versions).where(versions.c.id == version_id)
    row = (await connection.execute(question)).mappings().first()
    return Version.of(row) if row else None


async def latest_version(connection: AsyncConnection, case_id: str) -> Version | None:
    """The newest that people see; of a case that nobody sees yet, the one in preparation."""
    question = (
        sa.select(versions)
        .where(versions.c.case_id == case_id)
        .order_by(versions.c.shared_at.is_(None), versions.c.number.desc())
        .limit(1)
    )
    row = (await connection.execute(question)).mappings().first()
    return Version.of(row) if row else None


async def shared_versions(connection: AsyncConnection, case_id: str) -> list[Version]:
    """What people see of a case, oldest first."""
    question = (
        sa.select(versions)
        .where(versions.c.case_id == case_id, versions.c.shared_at.is_not(None))
        .order_by(versions.c.number)
    )
    return [Version.of(row) for row in (await connection.execute(question)).mappings()]


async def newest_shared(connection: AsyncConnection, case_id: str) -> Version | None:
    shared = await shared_versions(connection, case_id)
    return shared[-1] if shared else None


async def share_version(connection: AsyncConnection, version_id: str, now: int) -> int:
    """From now on people see it; returns its number, the one after the newest that they saw before.

    Of versions that were mailed at the same time the first that is ready comes first.
    """
    wanted = await version(connection, version_id)
    assert wanted is not None
    newest = await newest_shared(connection, wanted.case_id)
    number = (newest.number if newest else 0) + 1
    if number != wanted.number:
        # Another one, not ready yet, may have this number: it goes to the end for now.
        of_case = versions.c.case_id == wanted.case_id
        last = sa.select(sa.func.max(versions.c.number)).where(of_case)
        free = ((await connection.execute(last)).scalar() or 0) + 1
        holder = sa.update(versions).where(of_case, versions.c.number == number)
        await connection.execute(holder.values(number=free))
    change = sa.update(versions).where(versions.c.id == version_id)
    await connection.execute(change.values(number=number, shared_at=now))
    return number


async def set_picture(
    connection: AsyncConnection, version_id: str, *, drawn: bool, frame: dict[str, Any] | None
) -> None:
    change = sa.update(versions).where(versions.c.id == version_id)
    await connection.execute(change.values(picture=drawn, frame=frame))


async def set_contacts(
    connection: AsyncConnection, version_id: str, contacts: dict[str, Any]
) -> None:
    change = sa.update(versions).where(versions.c.id == version_id)
    await connection.execute(change.values(contacts=contacts))


async def forget_drawing(connection: AsyncConnection, version_id: str) -> None:
    """What was drawn and measured of a version's scans no longer holds."""
    change = sa.update(versions).where(versions.c.id == version_id)
    await connection.execute(change.values(picture=False, frame=None, contacts=None))


async def scans_of(connection: AsyncConnection, version_id: str) -> list[Scan]:
    question = sa.select(scans).where(scans.c.version_id == version_id).order_by(scans.c.number)
    return [scan_of(row) for row in (await connection.execute(question)).mappings()]


async def set_scan(
    connection: AsyncConnection, scan_id: str, state: ScanState, **values: Any
) -> None:
    change = sa.update(scans).where(scans.c.id == scan_id).values(state=state, **values)
    await connection.execute(change)


async def live_case_with_same_scans(
    connection: AsyncConnection, case: Case, hashes: list[str]
) -> Case | None:
    """Another live case of the same owner and number that holds exactly these originals."""
    same_name = sa.select(cases).where(
        cases.c.owner_id == case.owner_id,
        cases.c.id != case.id,
        cases.c.code == case.code,
        cases.c.title == case.title,
        cases.c.state.in_([CaseState.OPEN, CaseState.PREPARING]),
        cases.c.created_at <= case.created_at,
    )
    for row in (await connection.execute(same_name)).mappings().all():
        other = await latest_version(connection, row["id"])
        held = await scans_of(connection, other.id) if other else []
        if held and sorted(scan.original_sha256 for scan in held) == sorted(hashes):
            return _case(row)
    return None


async def _free_public_id(connection: AsyncConnection, case_id: str) -> str:
    for length in range(6, 26):
        wanted = public_id(case_id, length)
        taken = sa.select(cases.c.id).where(cases.c.public_id == wanted)
        if (await connection.execute(taken)).first() is None:
            return wanted
    raise AssertionError(case_id)


def _case(row: Any) -> Case:
    states = {"state": CaseState(row["state"]), "access": AccessMode(row["access"])}
    return Case.of({**row, **states})


def scan_of(row: Any) -> Scan:
    return Scan.of({**row, "state": ScanState(row["state"])})
