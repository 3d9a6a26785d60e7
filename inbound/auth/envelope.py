"""What is known of a mail beside its bytes: who brought it, from whom, for whom."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """Who stands on the other side of a door, and so what can be verified there."""

    MX = "mx"  # The whole Internet: SPF, DKIM, DMARC and ARC are verified by us.
    RELAY = "relay"  # A mail server of ours: DKIM by us, SPF from its Authentication-Results.
    IMAP = "imap"  # A mailbox: the same, by its provider's; what fails is filed away in silence.


@dataclass(frozen=True)
class Envelope:
    """Attributes:
    peer: the client's IP address, "unix:" or "imap".
    sender: MAIL FROM, empty for <>.
    source: the mail's place where it can be fetched again, if it was fetched; else empty.
    helo: what the client called itself.
    """

    peer: str
    sender: str
    recipients: list[str]
    source: str = ""
    helo: str = ""
    mode: Mode = Mode.MX
