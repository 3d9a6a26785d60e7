"""A jaw of 2.6 mm is a jaw in inches: its owner is asked before anybody sees it, and nothing is scaled
in silence.

STL, PLY, OBJ and OFF have no word for their unit; the trade means millimetres. What the owner answers
holds for every such scan of the mail but those that it would make larger than any jaw: a program
exports all in one unit, and what came from elsewhere is in millimetres already.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.cases.changes import UNIT_NAMES
from inbound.cases.letters import notice_letter
from inbound.cases.making import living_case_of
from inbound.mail.quotes import fold
from inbound.scans.check import likely_unit
from inbound.scans.roles import Role
from store.house import House
from store.model import LIFETIME, QUESTION_LIFETIME, Case, Scan
from store.records import audit, cases, mails, outbox, versions
from store.states import CaseState, MailState, ScanState

_JAWS = frozenset({Role.UPPER, Role.LOWER, Role.SITU, Role.ANTAGONIST, Role.MODEL})
_MAY_BE_SMALL = frozenset({"cm"})  # what a single crown, named like nothing, may look like
_LARGEST_MM = 130.0
MM_PER_UNIT = {"": 1.0, "mm": 1.0, "cm": 10.0, "inch": 25.4, "m": 1000.0}
_SAID = {
    "mm": "mm millimeter millimeters millimetre millimetres milímetro milímetros 毫米",
    "cm": "cm centimeter centimeters centimetre centimetres zentimeter centímetro centímetros 厘米",
    "inch": "inch inches in zoll pulgada pulgadas 英寸",
    "m": "m meter meters metre metres metro metros 米",
}
_UNITS = {fold(word): unit for unit, words in _SAID.items() for word in words.split()}


def doubtful(scans: list[Scan]) -> dict[str, Scan]:
    """The scans that cannot be in millimetres, by the unit that each was probably written in."""
    found: dict[str, Scan] = {}
    for scan in scans:
        unit = _probable(scan)
        if unit != "mm":
            found.setdefault(unit, scan)
    return found


def unit_said(line: str) -> str:
    """The unit that an answer names: "mm", "cm", "inch", "m", or nothing."""
    return _UNITS.get(fold(line.strip(" .!\"'“”")), "")


async def ask_for_unit(
    house: House, connection: AsyncConnection, case: Case, scans: list[Scan], mail_id: str
) -> None:
    """Holds a case: nobody is told until its owner has said what its numbers are."""
    now = house.clock.now()
    await cases.move(connection, case.id, CaseState.HELD)
    end = now + QUESTION_LIFETIME
    await cases.set_times(connection, case.id, expires_at=end, due_at=end)
    case = await cases.case(connection, case.id)
    sentences = doubts_in_words(scans)
    sentences.append(
        "Nobody has been told yet. Reply INCH, CM, M or MM on the first line: MM shares the scans as"
        " they are; INCH, CM and M convert them to millimetres first. Without an answer within 24"
        " hours the scans are destroyed."
    )
    heading = "In which unit are these scans?"
    draft = await notice_letter(connection, case, heading, sentences, now)
    await outbox.write(connection, draft, house.settings.domain, now)
    await audit.record(
        connection, now, "scanpost", "unit asked for", lab_id=case.lab_id, case_id=case.id
    )
    await mails.settle(connection, mail_id, MailState.WAITING, "which unit", case.id)


async def take_unit(
    house: House, connection: AsyncConnection, case: Case, unit: str, actor: str
) -> None:
    """The answer: the waiting mail goes on, and what was doubted is prepared anew."""
    now = house.clock.now()
    version = await cases.latest_version(connection, case.id)
    assert version is not None, "a held case has a version"
    scans = await cases.scans_of(connection, version.id)
    await _apply(connection, scans, dict.fromkeys(doubtful(scans), unit))
    if unit != "mm":
        await cases.forget_drawing(connection, version.id)
    await cases.move(connection, case.id, CaseState.PREPARING)
    await cases.set_times(connection, case.id, expires_at=now + LIFETIME, due_at=None)
    await audit.record(
        connection, now, actor, "unit said", lab_id=case.lab_id, case_id=case.id, unit=unit
    )
    mail_id = await mails.waiting_of_case(connection, case.id)
    assert mail_id is not None, "a held case has a waiting mail"
    await mails.work_again(connection, mail_id, now)


async def take_unit_as_before(house: House, mail_id: str) -> bool:
    """Step: the scans of a next version that raise the doubt which the owner has answered before are
    taken in the unit that was said then; True if any is to be prepared anew.
    """
    async with house.database.write() as connection:
        mail = await mails.mail(connection, mail_id)
        case = await living_case_of(connection, mail)
        if case is None or case.state is not CaseState.OPEN:
            return False
        own = await cases.scans_of(connection, cases.version_id_of(mail_id))
        own = [scan for scan in own if not scan.is_carried]
        answers = await _answers(connection, case)
        units = {doubt: _as_said(scan, doubt, answers) for doubt, scan in doubtful(own).items()}
        if units and all(units.values()):
            await _apply(connection, own, units)
            own = await cases.scans_of(connection, cases.version_id_of(mail_id))
        return any(scan.state is ScanState.STORED for scan in own)


def doubts_in_words(scans: list[Scan]) -> list[str]:
    return [_looks(scan, unit) for unit, scan in doubtful(scans).items()]


async def _answers(connection: AsyncConnection, case: Case) -> dict[str, str]:
    """What the owner has said in this case, by what the numbers looked like."""
    said = {}
    for scan in await versions.originals_of(connection, case.id):
        if scan.unit and scan.is_surface:
            x, y, z = (scan.report or {})["size_mm"]
            said[scan.unit if scan.unit != "mm" else likely_unit((x, y, z))] = scan.unit
    return said


def _as_said(scan: Scan, doubt: str, answers: dict[str, str]) -> str:
    """The unit of a scan that looks like `doubt`, by what was said before; empty if that tells nothing.

    A crown in inches looks like metres, but would then be larger than any jaw.
    """
    if doubt in answers:
        return answers[doubt]
    said = set(answers.values()) - {"mm"}
    alone = said.pop() if len(said) == 1 else ""
    return alone if alone and _fits(scan, alone) and not _fits(scan, doubt) else ""


async def _apply(connection: AsyncConnection, scans: list[Scan], units: dict[str, str]) -> None:
    """Notes the unit of each scan that does not declare one; what is converted is prepared anew.

    Args:
        units: what was said, by what the numbers look like. The first counts for all scans of the mail
            that it does not make larger than any jaw.
    """
    first = next(iter(units.values()))
    for scan in scans:
        if scan.is_surface and _is_open(scan):
            meant = units.get(_probable(scan)) or (first if _fits(scan, first) else "mm")
            anew = ScanState.READY if meant == "mm" else ScanState.STORED
            await cases.set_scan(connection, scan.id, anew, unit=meant)


def _is_open(scan: Scan) -> bool:
    """Whether nobody has said its unit yet, neither the file nor its owner."""
    return not scan.unit and not (scan.report or {}).get("unit")


def _fits(scan: Scan, unit: str) -> bool:
    """Whether a scan would still be no larger than a jaw."""
    return bool(max((scan.report or {})["size_mm"]) * MM_PER_UNIT[unit] <= _LARGEST_MM)


def _probable(scan: Scan) -> str:
    """The unit of a scan's numbers: declared by its file, said by its owner, or told by its size."""
    if not scan.is_surface or not _is_open(scan):
        return "mm"
    x, y, z = (scan.report or {})["size_mm"]
    unit = likely_unit((x, y, z))
    if unit == "m" or scan.role in _JAWS:
        return unit
    return "mm" if scan.role != Role.SCAN or unit in _MAY_BE_SMALL else unit


def _looks(scan: Scan, unit: str) -> str:
    sides = " × ".join(f"{side:.2g}" for side in (scan.report or {})["size_mm"])
    return f"{scan.original_name} measures {sides}: that looks like {UNIT_NAMES[unit]}, not millimetres."
