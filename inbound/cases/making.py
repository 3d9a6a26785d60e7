"""A version in the making: what each step of a mail's flow is handed, found by the mail's own row.

The mail of a new case brings its first version; a mail into the thread of an open case its next one.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from store.house import House, scan_object
from store.model import LIVE_CASES, Case, Mail, Scan, Version
from store.records import cases, mails


@dataclass(frozen=True)
class Making:
    """Attributes:
    scans: those that its mail brought, and behind them those carried from the version before.
    key: of the case.
    """

    mail: Mail
    case: Case
    version: Version
    scans: list[Scan]
    key: bytes

    @property
    def own(self) -> list[Scan]:
        """What the mail brought."""
        return [scan for scan in self.scans if not scan.is_carried]

    @property
    def surfaces(self) -> list[Scan]:
        return [scan for scan in self.scans if scan.is_surface]

    def place(self, scan: Scan, what: str) -> str:
        """Where an object of one of its scans lies."""
        return scan_object(self.case.id, scan, what)


async def making_of(house: House, mail_id: str) -> Making | None:
    """None where nothing is left to do: the case has ended meanwhile, or there is no such version."""
    async with house.database.read() as connection:
        mail = await mails.mail(connection, mail_id)
        case = await living_case_of(connection, mail)
        version = await cases.version(connection, cases.version_id_of(mail_id))
        if case is None or version is None:
            return None
        scans = await cases.scans_of(connection, version.id)
        return Making(mail, case, version, scans, await house.case_key(connection, case.id))


async def living_case_of(connection: AsyncConnection, mail: Mail) -> Case | None:
    """The case that a mail belongs to, unless it has ended: then its key is, or will be, destroyed."""
    case = await cases.find(connection, mail.case_id) if mail.case_id else None
    return case if case and case.state in LIVE_CASES else None
