"""Steps: each scan is read in a child of its own, and the case is drawn. May run twice."""

from inbound.cases.opening import case_id_of
from inbound.cases.sealing import plain, seal_result
from inbound.scans.child import Children
from inbound.scans.roles import Role, role_from_name
from store.errors import ChildLost, ScanRefused
from store.house import House, object_name
from store.model import Case, Scan, ScanState, Version
from store.records import cases, mails
from store.sweep import TRIES
from store.tokens import derived_id

MOST_DRAWN = 12  # scans in the letter's picture


async def prepare_scans(house: House, children: Children, mail_id: str) -> None:
    """Reads each scan in a child; what is done already, by an earlier run, is not done again."""
    case, version, scans = await _load(house, mail_id)
    todo = [scan for scan in scans if scan.state is ScanState.STORED]
    if not todo:
        return
    async with house.database.read() as connection:
        key = await house.case_key(connection, case.id)
        mail = await mails.mail(connection, mail_id)
    # One after the other: other mails use the other cores, and one plaintext is in memory at a time.
    for scan in todo:
        await _prepare(house, children, key, version, scan, last_try=mail.failures + 1 >= TRIES)


async def _prepare(
    house: House,
    children: Children,
    key: bytes,
    version: Version,
    scan: Scan,
    *,
    last_try: bool,
) -> None:
    def place(what: str) -> str:
        return object_name(version.case_id, version.id, scan.number, what)

    try:
        async with children.room:
            with await house.object_threads.run(plain, house, key, place("original")) as original:
                facts, results = await children.run(
                    "prepare_scan", [original], 3, format=scan.format
                )
    except ScanRefused as refusal:
        await _refuse(house, scan, str(refusal))
        return
    except ChildLost:
        if not last_try:
            raise
        await _refuse(
            house, scan, "could not be prepared: this server has too little memory for it."
        )
        return
    sealed = []
    for what, result in zip(("preview", "full", "copy"), results, strict=True):
        with result:
            sealed.append(
                await house.object_threads.run(seal_result, house, key, place(what), result)
            )
    role = role_from_name(scan.original_name) or Role(facts["role"] or Role.SCAN)
    async with house.database.write() as connection:
        await cases.set_scan(
            connection,
            scan.id,
            ScanState.READY,
            role=role.value,
            label=role.label,
            report=facts["report"],
            arch=facts["arch"],
            copy_suffix=facts["suffix"],
            preview_size=sealed[0][0],
            full_size=sealed[1][0],
            copy_size=sealed[2][0],
            copy_sha256=sealed[2][1],
        )


async def _refuse(house: House, scan: Scan, problem: str) -> None:
    async with house.database.write() as connection:
        await cases.set_scan(connection, scan.id, ScanState.REFUSED, problem=problem)


async def draw_picture(house: House, children: Children, mail_id: str) -> None:
    """Draws the case for letters and page; a case whose picture fails is shared without one."""
    case, version, scans = await _load(house, mail_id)
    ready = [scan for scan in scans if scan.state is ScanState.READY][:MOST_DRAWN]
    if not ready or version.picture:
        return
    async with house.database.read() as connection:
        key = await house.case_key(connection, case.id)
    names = [object_name(case.id, version.id, scan.number, "preview") for scan in ready]
    try:
        async with children.room:
            previews = [await house.object_threads.run(plain, house, key, name) for name in names]
            facts, (picture,) = await children.run(
                "draw_case",
                previews,
                1,
                roles=[scan.role for scan in ready],
                arches=[scan.arch for scan in ready],
            )
    except (ScanRefused, ChildLost):
        return
    with picture:
        place = object_name(case.id, version.id, 0, "picture")
        await house.object_threads.run(seal_result, house, key, place, picture)
    async with house.database.write() as connection:
        await cases.set_picture(connection, version.id, drawn=True, frame=facts["frame"])


async def _load(house: House, mail_id: str) -> tuple[Case, Version, list[Scan]]:
    async with house.database.read() as connection:
        case = await cases.case(connection, case_id_of(mail_id))
        version = await cases.version(connection, derived_id("version", mail_id))
        assert version is not None
        return case, version, await cases.scans_of(connection, version.id)
