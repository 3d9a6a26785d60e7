"""One mail of one person, at work: what every part of a conversation is handed."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.commands.shape import Speaker
from inbound.mail.skeleton import Contents
from store.house import House
from store.model import Mail


@dataclass(frozen=True)
class Talk:
    """Attributes:
    left_out: a sentence for each attached file that is no scan.
    scans: how many of the attached files are scans, or hold some.
    known: what names the attached scans, where the case holds all of them already.
    """

    house: House
    connection: AsyncConnection
    mail: Mail
    speaker: Speaker
    contents: Contents
    left_out: list[str]
    scans: int
    now: int
    known: str = ""

    @property
    def has_scans(self) -> bool:
        return self.scans > 0
