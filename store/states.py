"""The states of what scanpost knows, and the kinds of it, with a sentence each."""

from enum import IntEnum, StrEnum


class MailState(StrEnum):
    RECEIVED = "received"  # Durable; its flow runs or is about to.
    WAITING = (
        "waiting"  # Sealed in the spool until its sender answers a question, or presses a link.
    )
    DONE = "done"  # Everything it asked for is committed; the raw mail is gone.
    DUPLICATE = "duplicate"  # The same mail came before; nothing was done.
    DEAD = "dead"  # Its flow failed three times; the operator has been told, the raw mail is kept.


class Strength(IntEnum):
    """How well it is known who wrote a mail."""

    NONE = 0  # Nobody vouches for the author: refused, never answered.
    SENT = 1  # A server of the author's domain has sent it (SPF), or signed only a part of it.
    SIGNED = 2  # The author's domain has signed this very mail, to us (aligned DKIM).
    VOUCHED = 3  # It came by a client that the operator trusts.


class CaseState(StrEnum):
    WAITING = "waiting"  # Asked for a reviewer; dies after 24 hours without an answer.
    PREPARING = "preparing"  # The scans are being read.
    HELD = "held"  # Its owner was asked for the unit; dies after 24 hours without an answer.
    OPEN = "open"  # Links work.
    FAILED = "failed"  # Not one scan could be used; nothing was shared.
    UNANSWERED = "unanswered"  # Nobody answered our question in time; nothing was shared.
    BROKEN = "broken"  # A fault of ours: nothing was shared, the operator has been told.
    EXPIRED = "expired"  # Its time ran out: links dead, objects and key destroyed.
    DELETED = "deleted"  # Its lab asked for it: the same, at once.


class ScanState(StrEnum):
    STORED = "stored"  # The original is sealed; it has not been read yet.
    READY = "ready"  # Read, checked and packed for the browser.
    REFUSED = "refused"  # Cannot be used; `problem` says why.
    USED = "used"  # Belongs to another scan's surface: its material or its texture.


class LetterState(StrEnum):
    DUE = "due"  # Waits for its moment, or for the next attempt.
    SENT = "sent"  # The relay took it.
    REFUSED = "refused"  # The relay refused it for good.
    WITHDRAWN = "withdrawn"  # Its case ended before it could go out, or its reader wants none.
    JOINED = "joined"  # One of too many to one address: said in a digest instead.
    DEAD = "dead"  # Its flow failed three times; the operator has been told.


class ConfirmationKind(StrEnum):
    COMMAND = "command"  # A command that may do harm, or whose mail was not signed.
    SIGNUP = "signup"  # A stranger's first mail.
    ENROL = "enrol"  # A second factor is to be set up, on a page.
    UNLOCK = "unlock"  # Codes were wrong too often.
    ALIAS = "alias"  # A member wants to write from one more address: this is its mailbox.
    VERSION = "version"  # Scans for a case's thread, in a mail that was not signed.

    @property
    def keeps_mail(self) -> bool:
        """Whether a mail waits, sealed, for the click."""
        return self in (ConfirmationKind.SIGNUP, ConfirmationKind.VERSION)


class ConfirmationState(StrEnum):
    WAITING = "waiting"  # For the click.
    CONFIRMED = "confirmed"  # Clicked; its flow runs or is about to.
    DONE = "done"  # What it was about has happened, or could not, and the person was told.
    OVER = "over"  # Nobody clicked in time.
    DEAD = "dead"  # Its flow failed three times; the operator has been told.


class RemarkKind(StrEnum):
    COMMENT = "comment"  # Somebody wrote something.
    APPROVED = "approved"  # A reviewer approves the version.
    CHANGES = "changes"  # A reviewer asks for changes.


class Reason(StrEnum):
    """Why a reviewer asks for changes, in the trade's words."""

    MARGIN = "margin"
    CONTACTS = "contacts"
    OCCLUSION = "occlusion"
    CONTOUR = "contour"
    SHADE = "shade"
    FIT = "fit"
    THICKNESS = "thickness"
    SCAN = "scan"

    @property
    def label(self) -> str:
        return _REASONS[self]


_REASONS = {
    Reason.MARGIN: "Margin",
    Reason.CONTACTS: "Contacts",
    Reason.OCCLUSION: "Occlusion",
    Reason.CONTOUR: "Contour",
    Reason.SHADE: "Shade",
    Reason.FIT: "Fit",
    Reason.THICKNESS: "Thickness",
    Reason.SCAN: "Scan quality",
}


class Suppression(StrEnum):
    STOP = "stop"  # They asked for it.
    COMPLAINT = "complaint"  # They marked a letter as spam.


class AccessMode(StrEnum):
    """How a reviewer's link opens (ACCESS)."""

    LINK = "link"  # Whoever has it presses a button.
    BOUND = "bound"  # The first device presses a button; others need a code from the mailbox.
    CODE = "code"  # Every device needs a code from the mailbox.


class Proof(StrEnum):
    """How a session came to be."""

    CLICK = "click"  # The button was pressed.
    CODE = "code"  # A code came from the person's mailbox, or a picture from their other device.


class KnockKind(StrEnum):
    CODE = "code"  # An address was typed; if it is the person's own, a code was mailed to it.
    HANDOVER = "handover"  # An open session shows a picture that opens one on a phone.


class MarkKind(StrEnum):
    """What can be marked on the page; geometry is in mm, in the scans' own coordinates."""

    DISTANCE = "distance"  # two points
    ANGLE = "angle"  # three points, the second is the corner
    THICKNESS = "thickness"  # a point on the surface, and the one behind it
    PIN = "pin"  # one point


class PersonKind(StrEnum):
    OWNER = "owner"  # Sent the scans; has a link of their own, whose visits count no view.
    REVIEWER = "reviewer"  # Was named in the subject.
