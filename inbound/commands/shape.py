"""The one shape that every command has."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from store.errors import CommandRefused
from store.house import House
from store.model import Case, Lab, Member, Person
from store.states import CaseState, ConfirmationKind, Strength


class Weight(StrEnum):
    """What a command can do to people, and so how sure we must be who speaks (authority.py)."""

    READ = "read"  # Shows something, to the registered address.
    SAFE = "safe"  # Ends something that can be begun again: better once too often.
    CHANGE = "change"  # Changes something that can be changed back.
    HARM = "harm"  # Cannot be undone, or lets others see.


class Role(StrEnum):
    MEMBER = "member"  # of the case's lab
    REVIEWER = "reviewer"  # of the case


@dataclass(frozen=True)
class Order:
    """A command as it was written: the verb, and its arguments by what they look like."""

    verb: str
    line: str  # as understood, for the transcript
    recipients: list[str] = field(default_factory=list)
    days: int | None = None
    cases: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # words that are none of these
    code: str = ""  # the second factor that came with it, as it was typed
    text: str = ""  # what a verb that takes free text was given
    version: int | None = None  # which one a verdict is about, as far as its mail tells

    @property
    def trail(self) -> str:
        """The line for the trail, which outlives the case and so keeps nobody's own words."""
        return self.verb if self.text else self.line


@dataclass(frozen=True)
class Speaker:
    """Who speaks in a mail, and what they are to its case.

    Attributes:
        address: where answers go: the registered one, whatever the mail itself says.
        member: of the case's lab, or of any where the mail is about no case.
        reviewer: as whom they were asked to look at the case, and still may.
    """

    address: str
    name: str
    strength: Strength
    member: Member | None = None
    reviewer: Person | None = None

    @property
    def roles(self) -> frozenset[Role]:
        found = {Role.MEMBER} if self.member else set()
        return frozenset(found | ({Role.REVIEWER} if self.reviewer else set()))

    @property
    def called(self) -> str:
        return self.name or self.address


@dataclass(frozen=True)
class Desk:
    """Where a command is carried out: in one transaction, for one person.

    Attributes:
        case: the case it is about; None for the commands that are about none.
    """

    house: House
    connection: AsyncConnection
    lab: Lab
    speaker: Speaker
    now: int
    case: Case | None
    occasion: str = ""  # names the mail that is answered: what is written for it is written once

    @property
    def member(self) -> Member:
        """Who speaks, where only members may."""
        assert self.speaker.member is not None
        return self.speaker.member

    @property
    def reviewer(self) -> Person:
        """Who speaks, where only reviewers may."""
        assert self.speaker.reviewer is not None
        return self.speaker.reviewer

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
        if case.state is CaseState.HELD:
            raise CommandRefused(
                f"{case.short_name} is not shared yet: it waits for the unit of its scans. Reply MM,"
                " CM, INCH or M."
            )
        if case.state is CaseState.PREPARING:
            raise CommandRefused(f"{case.short_name} is being prepared. Try again in a minute.")
        raise CommandRefused(
            f"{case.short_name} has ended and its scans are destroyed. To share them again, send"
            f" them in a new mail to share@{self.house.settings.domain}."
        )


@dataclass(frozen=True)
class Transcript:
    """What a command did, in sentences, and how to undo it.

    Attributes:
        answered: another letter says it all: none is to be written for this.
    """

    done: list[str]
    undo: str = ""
    answered: bool = False


Run = Callable[[Desk, Order], Awaitable[Transcript]]
Describe = Callable[[Desk, Order], Awaitable[list[str]]]


Keep = Callable[[Desk, Order], Awaitable[Order]]


async def say_nothing_more(_desk: Desk, _order: Order) -> list[str]:
    return []


async def keep_as_it_is(_desk: Desk, order: Order) -> Order:
    return order


@dataclass(frozen=True)
class Command:
    """Attributes:
    arguments: as HELP shows them; a verb without any stands alone on its line.
    about_case: whether it needs a case; else it is about the lab.
    describe: what it would do, for the page on which a click permits it. Raises CommandRefused
        where it could not be carried out.
    click: what a click permits: the command, or the setting up of codes.
    keep: what of an order may be written down; asked before anything else is done with it. Raises
        CommandRefused where it could not be carried out.
    in_thread: whether it is about the case in whose thread it stands, and elsewhere about none.
    """

    verb: str
    arguments: str
    run: Run
    about_case: bool
    weight: Weight
    roles: frozenset[Role] = frozenset({Role.MEMBER})
    describe: Describe = say_nothing_more
    click: ConfirmationKind = ConfirmationKind.COMMAND
    keep: Keep = keep_as_it_is
    in_thread: bool = False

    @property
    def changes(self) -> bool:
        """Whether a mail that can be read in two ways is refused."""
        return self.weight is not Weight.READ

    @property
    def help(self) -> str:
        return " ".join((self.run.__doc__ or "").split())
