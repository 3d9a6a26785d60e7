"""One verdict on who wrote a mail, read by one policy.

In this release a mail counts as authenticated when it comes from a trusted client (_TRUSTED_CLIENTS),
as Postfix does with mynetworks: that host has checked its users. Verifying strangers on the open
Internet (SPF, DKIM, DMARC, ARC) will give the same verdict from files beside this one.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from inbound.auth.fromheader import author_of


class Proof(StrEnum):
    TRUSTED_CLIENT = "trusted client"  # Sent by a host that vouches for its users.
    NONE = "none"  # Nobody vouches for the author.


@dataclass(frozen=True)
class Verdict:
    author: str  # the one address in From, as written but for case
    proof: Proof


@dataclass(frozen=True)
class Trust:
    """Whose mail counts as authenticated.

    Attributes:
        sources: ways of coming that have no address: "unix:" (LMTP by socket), "imap".
    """

    networks: list[IPv4Network | IPv6Network]
    sources: frozenset[str]

    def covers(self, peer: str) -> bool:
        """Whether a peer is trusted; an IPv4 address inside IPv6 counts as IPv4."""
        if peer in self.sources:
            return True
        try:
            address: IPv4Address | IPv6Address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((mapped or address) in network for network in self.networks)


def judge(header: bytes, peer: str, trust: Trust) -> Verdict:
    """Who wrote the mail with this header block, and how that is known.

    Raises:
        MailRefused: From does not name exactly one author.
    """
    author = author_of(header)
    return Verdict(author, Proof.TRUSTED_CLIENT if trust.covers(peer) else Proof.NONE)
