"""The one shape that every command has."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from store.errors import CommandRefused
from store.house import House
from store.model import Case, CaseState, Lab, Member


@dataclass(frozen=True)
class Order:
    """A command as it was written: the verb, and its arguments by what they look like."""

    verb: str
    line: str  # as understood, for the transcript
    recipients: list[str] = field(default_factory=list)
    days: int | None = None
    cases: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # words that are none of these


@dataclass(frozen=True)
class Desk:
    """Where a command is carried out: in one transaction, for one member of one lab.

    Attributes:
        case: the case it is about; None for the commands that are about none.
    """

    house: House
    connection: AsyncConnection
    lab: Lab
    member: Member
    now: int
    case: Case | None

    def open_case(self) -> Case:
        """The case, if its links work. Raises CommandRefused when it has ended or not begun."""
        case = self.case
        assert case is not None
        if case.is_open(self.now):
            return case
        if case.state is CaseState.WAITING:
            raise CommandRefused(
                f"{case.short_name} is not shared yet: it waits for the address of a reviewer."
                " Reply with the address."
            )
        if case.state is CaseState.PREPARING:
            raise CommandRefused(f"{case.short_name} is being prepared. Try again in a minute.")
        raise CommandRefused(
            f"{case.short_name} has ended and its scans are destroyed. To share them again, send"
            f" them in a new mail to share@{self.house.settings.domain}."
        )


@dataclass(frozen=True)
class Transcript:
    """What a command did, in sentences, and how to undo it."""

    done: list[str]
    undo: str = ""


Run = Callable[[Desk, Order], Awaitable[Transcript]]


@dataclass(frozen=True)
class Command:
    """Attributes:
    arguments: as HELP shows them; a verb without any stands alone on its line.
    about_case: whether it needs a case; else it is about the lab.
    changes: whether it changes anything: then a mail that can be read in two ways is refused.
    """

    verb: str
    arguments: str
    run: Run
    about_case: bool
    changes: bool

    @property
    def help(self) -> str:
        return " ".join((self.run.__doc__ or "").split())
