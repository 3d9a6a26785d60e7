"""The things scanpost knows, and the rules that need no database; store/states.py has their states.

Times are milliseconds (store/clock.py), sizes bytes, lengths millimetres.
"""

from dataclasses import dataclass, field
from typing import Any, Self

from store.clock import DAY, HOUR, MINUTE
from store.states import (
    AccessMode,
    CaseState,
    ConfirmationKind,
    ConfirmationState,
    KnockKind,
    LetterState,
    MailState,
    MarkKind,
    PersonKind,
    Proof,
    RemarkKind,
    ScanState,
    Strength,
)

LIFETIME = 7 * DAY  # links die after it
REMINDER_BEFORE_END = DAY
LONGEST_EXTENSION = 30 * DAY  # from now
QUESTION_LIFETIME = DAY  # a mail that names no reviewer waits as long, sealed
CONFIRM_LIFETIME = 30 * MINUTE  # a link that permits harm
SIGNUP_LIFETIME = DAY  # a stranger's first mail waits as long, sealed
VERSION_LIFETIME = DAY  # and so does a next version that only a server vouches for
BOUNCE_LIFETIME = 14 * DAY  # relays give a letter up after five


# What a reviewer gets of a lab without having written: not after REVOKE, nor against their will.
UNASKED_LETTERS = frozenset({"share", "version", "remark"})
INVITATIONS = frozenset({"share", "version"})  # of these, what says that there is something to see
LONGEST_SUBJECT = 200
# From where a case is drawn for those who cannot turn it; the order in which a child writes them.
SIDES = ("front", "left", "right", "back", "upper", "lower")
UPLOADED = "upload"  # the proof of a mail that came by an upload page
LIVE_CASES = frozenset({CaseState.WAITING, CaseState.PREPARING, CaseState.HELD, CaseState.OPEN})


@dataclass(frozen=True)
class Row:
    """A record that is read from a database row of the same column names."""

    @classmethod
    def of(cls, row: Any) -> Self:
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Lab(Row):
    id: str
    name: str
    created_at: int


@dataclass(frozen=True)
class Member(Row):
    id: str
    lab_id: str
    address: str
    name: str
    company: str
    disabled_at: int | None
    code_since: int | None  # a second factor is asked for from then on

    @property
    def has_codes(self) -> bool:
        return self.code_since is not None


@dataclass(frozen=True)
class Mail(Row):
    id: str
    received_at: int
    state: MailState
    sender: str  # the envelope's, may be empty
    author: str  # the address in From, as verified at the door
    proof: str  # in a few words; UPLOADED where it came by an upload page
    member_id: str | None  # None: of no lab; perhaps a reviewer
    strength: Strength
    recipients: list[str]
    message_id: str
    size: int
    case_id: str | None
    due_at: int | None
    attempt: int
    failures: int

    @property
    def is_upload(self) -> bool:
        """Whether it was written down from an upload page, where nobody gives commands."""
        return self.proof == UPLOADED


@dataclass(frozen=True)
class Case(Row):
    id: str
    public_id: str
    lab_id: str
    owner_id: str  # a member
    code: str  # the lab's own number, "C-1042"; may be empty
    title: str  # the rest of the subject, "crown #30"
    note: str
    state: CaseState
    created_at: int
    expires_at: int
    reminded_at: int | None
    subject: str  # of the first mail, for the owner's thread
    thread: list[str]  # Message-IDs, oldest first, for References
    access: AccessMode
    password: str  # its hash; empty if none is asked for
    downloads: bool  # whether reviewers may take scans home
    tells_views: bool  # whether the owner is told of first views
    due_at: int | None
    attempt: int

    def is_due(self, now: int) -> bool:
        """Whether something is to be done about it now; a command may have moved the moment."""
        return self.due_at is not None and self.due_at <= now

    def is_open(self, now: int) -> bool:
        """Whether links of this case work: asked again at every read."""
        return self.state is CaseState.OPEN and now < self.expires_at

    @property
    def name(self) -> str:
        """What people call it: the lab's number and title, else our own id."""
        return (
            " ".join(part for part in (self.code, self.title) if part) or f"Case {self.public_id}"
        )

    @property
    def short_name(self) -> str:
        return self.code or f"#{self.public_id}"


@dataclass(frozen=True)
class Version(Row):
    id: str
    case_id: str
    number: int
    mail_id: str
    picture: bool
    frame: dict[str, Any] | None  # unit vectors {"up": …, "front": …}
    contacts: dict[str, Any] | None  # how the jaws meet
    left_out: list[str]  # a sentence for each attachment that is not a scan
    note: str  # what its mail said
    follows: (
        str | None
    )  # the version before it, from which it carries and with which it is compared
    shared_at: int | None  # None: it is being prepared, and nobody sees it yet


@dataclass(frozen=True)
class Scan(Row):
    id: str
    version_id: str
    number: int  # 1, 2, … within its version
    state: ScanState
    format: str
    original_name: str  # as its sender named it; never leaves the lab
    path: str  # the archive that it came in and its place there, if it came in one: "a.zip/upper/a.obj"
    original_size: int
    original_sha256: str
    role: str
    label: str
    problem: str
    report: dict[str, Any] | None
    arch: dict[str, Any] | None  # what its shape says about the jaw
    copy_suffix: str
    copy_size: int
    copy_sha256: str
    preview_size: int  # as sealed, packed; 0 where there is none
    medium_size: int
    full_size: int
    map_size: int  # of its distances to the other jaw
    unit: str  # what its owner said its numbers are, when we asked; empty else
    home_version: str  # the version whose objects it shows; empty: its own
    home_number: int
    change: dict[str, Any] | None  # how it differs from its predecessor
    change_size: int  # of the map of that

    @property
    def is_carried(self) -> bool:
        """Whether an earlier version brought it, and this one only shows it again."""
        return bool(self.home_version)

    @property
    def is_surface(self) -> bool:
        """Whether there is a mesh of it to look at; photos and documents have none."""
        return self.state is ScanState.READY and self.full_size > 0


@dataclass(frozen=True)
class Person(Row):
    id: str
    case_id: str
    kind: PersonKind
    address: str
    name: str
    generation: int  # of their tokens: counts up when a revoked link is sent anew
    revoked_at: int | None
    views: int
    first_view_at: int | None
    last_view_at: int | None
    trouble: str  # why letters do not reach them; empty if they do
    trouble_at: int | None
    away: str  # what their out-of-office reply said
    away_at: int | None
    bound_at: int | None  # when a first device opened their present link
    wrong_tries: int  # passwords, since the last right one
    locked_until: int | None

    @property
    def called(self) -> str:
        return self.name or self.address


@dataclass(frozen=True)
class Letter(Row):
    id: str
    kind: str  # the template's name
    case_id: str | None
    person_id: str | None
    version: int | None  # the newest when it was written: an answer to it is about that one
    recipient: str
    recipient_name: str
    message_id: str
    subject: str
    in_reply_to: str
    thread: list[str]
    context: dict[str, Any] | None  # what the template is filled with; gone once it was sent
    state: LetterState
    created_at: int
    sent_at: int | None
    due_at: int | None
    attempt: int
    tries: int


@dataclass(frozen=True)
class LetterDraft:
    """A letter before it has a row."""

    kind: str
    recipient: str
    subject: str
    context: dict[str, Any]
    recipient_name: str = ""
    case_id: str | None = None
    person_id: str | None = None
    version: int | None = None
    in_reply_to: str = ""
    thread: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Confirmation(Row):
    id: str
    kind: ConfirmationKind
    state: ConfirmationState
    member_id: str | None
    mail_id: str | None
    case_id: str | None
    address: str  # of the mailbox that got the link
    context: dict[str, Any]
    created_at: int
    expires_at: int
    confirmed_at: int | None
    attempt: int

    def is_waiting(self, now: int) -> bool:
        return self.state is ConfirmationState.WAITING and now < self.expires_at


@dataclass(frozen=True)
class Remark(Row):
    id: str
    case_id: str
    person_id: str | None
    version_id: str | None
    kind: RemarkKind
    author: str
    text: str
    files: list[str]  # SHA-256 of the originals and copies that a verdict binds
    at: int
    reasons: list[str] | None  # why changes are asked for, by the trade's words
    marks: list[dict[str, Any]] | None  # what was measured or pinned with it
    view: dict[str, Any] | None  # how the scans were seen
    picture_size: int  # of what was seen, sealed; 0 if none
    due_at: int | None  # its letters are not written yet
    attempt: int


@dataclass(frozen=True)
class Mark(Row):
    id: str
    person_id: str
    version_id: str
    kind: MarkKind
    geometry: dict[str, Any]
    created_at: int


@dataclass(frozen=True)
class Session(Row):
    id: str
    person_id: str
    created_at: int
    last_seen_at: int
    ended_at: int | None
    viewed_at: int | None
    proof: Proof
    opened_at: int  # on this device: behind created_at where it goes on from another session

    def is_alive(self, now: int) -> bool:
        """Whether it was not ended and is not 7 days old; it may be idle."""
        return self.ended_at is None and self.created_at > now - SESSION_LIFETIME

    def is_awake(self, now: int) -> bool:
        """Whether it is alive and was used in the last 8 hours; else it needs a click."""
        return self.is_alive(now) and self.last_seen_at > now - SESSION_IDLE

    @property
    def is_lulled(self) -> bool:
        """Whether only the password wakes it, which was set after it was opened."""
        return self.last_seen_at == 0

    def satisfies(self, mode: AccessMode) -> bool:
        """Whether it counts in a case: asked at every read, so that ACCESS acts at once."""
        return mode is not AccessMode.CODE or self.proof is Proof.CODE


@dataclass(frozen=True)
class Knock(Row):
    id: str
    person_id: str  # whose link it was
    kind: KnockKind
    right: bool  # the address was theirs, so a code is under way
    created_at: int
    expires_at: int
    used_at: int | None
    tries: int
    session_id: str | None  # the session that shows the picture


SESSION_IDLE = 8 * HOUR
SESSION_LIFETIME = 7 * DAY


@dataclass(frozen=True)
class AuditLine(Row):
    number: int
    at: int
    actor: str
    action: str
    lab_id: str | None
    case_id: str | None
    detail: dict[str, Any]
    previous: str
    hash: str
