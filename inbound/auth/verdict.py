"""One verdict on who wrote a mail, whatever it was made from; the one thing that policy reads."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from store.states import Strength


@dataclass(frozen=True)
class Verdict:
    """Attributes:
    author: the one address in From, in lower case.
    proof: what proves it, in a few words: "DKIM lab.example"; empty if nothing does.
    missing: why nothing does, as the rest of a sentence.
    temporary: nothing proves it, and the DNS did not answer: nothing is known.
    rejects: the author's domain asks the world to refuse such mail (DMARC p=reject).
    sender_proved: the envelope's sender may be answered: a bounce would reach who sent it.
    signature: the fingerprint of what the signature that counted is over, or of itself where that
        is not enough to know it by; a mail played again has the same.
    forged: how many results of checks the mail brought that claim to be ours.
    """

    author: str
    strength: Strength
    proof: str = ""
    missing: str = ""
    temporary: bool = False
    rejects: bool = False
    sender_proved: bool = False
    signature: str | None = None
    forged: int = 0


@dataclass(frozen=True)
class Trust:
    """Whose mail counts as authenticated: that host has checked its users (_TRUSTED_CLIENTS).

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
