"""Our own addresses: what a local part at DOMAIN stands for, and how we write one.

share@ takes new cases, share+<token>@ replies in a case, bounce+<token>@ what comes back of our
letters; postmaster@, abuse@ and security@ reach the operator (RFC 2142). Where a provider knows no
plus addresses the separator may be "-", or there are no tokens at all ("off"): replies then come to
share@ and their case is found by the Message-ID they answer.
"""

from dataclasses import dataclass
from enum import StrEnum

OPERATORS = frozenset({"postmaster", "abuse", "security"})


class Desk(StrEnum):
    """Where a mail to us goes."""

    SHARE = "share"  # New cases, and replies in a case.
    BOUNCE = "bounce"  # What comes back of a letter; believed for its token, whoever sends it.
    OPERATOR = "operator"  # A person reads it.


@dataclass(frozen=True)
class OwnAddress:
    desk: Desk
    token: str = ""


@dataclass(frozen=True)
class Addressing:
    """How addresses of this server are written.

    Attributes:
        separator: "+" or "-"; empty where tokens cannot stand in an address.
    """

    domain: str
    separator: str = "+"

    def read(self, address: str) -> OwnAddress | None:
        """What an address is to us; None if it is not ours. Whether its token is one is not looked at."""
        local, at, domain = address.strip().lower().rpartition("@")
        if not at or domain.rstrip(".") != self.domain:
            return None
        if local in OPERATORS:
            return OwnAddress(Desk.OPERATOR)
        if local == Desk.SHARE:
            return OwnAddress(Desk.SHARE)
        # What was printed before the setting was changed still stands in people's mailboxes.
        for separator in dict.fromkeys((self.separator or "+", "+", "-")):
            name, found, token = local.partition(separator)
            if found and name in (Desk.SHARE, Desk.BOUNCE) and token:
                return OwnAddress(Desk(name), token)
        return None

    def is_ours(self, address: str) -> bool:
        return self.read(address) is not None

    def share(self, token: str = "") -> str:
        return self._write(Desk.SHARE, token)

    def bounce(self, token: str) -> str:
        """The envelope sender of a letter; empty where no token can stand in it (RFC 5321 4.5.5)."""
        return self._write(Desk.BOUNCE, token) if self.separator else ""

    def _write(self, name: str, token: str) -> str:
        if not token or not self.separator:
            return f"{name}@{self.domain}"
        return f"{name}{self.separator}{token}@{self.domain}"
