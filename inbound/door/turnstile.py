"""How many may be in at once: in all, and of one client."""

from collections import Counter
from ipaddress import IPv6Address, ip_address

CONNECTIONS = 200
CONNECTIONS_A_CLIENT = 20


class Turnstile:
    """Counts the connections that are in. One instance serves one listener."""

    def __init__(self) -> None:
        self.inside: Counter[str] = Counter()

    def enter(self, peer: str) -> bool:
        """False when there is no room: the client is told to come back."""
        client = _client_of(peer)
        if self.inside.total() >= CONNECTIONS or self.inside[client] >= CONNECTIONS_A_CLIENT:
            return False
        self.inside[client] += 1
        return True

    def leave(self, peer: str) -> None:
        client = _client_of(peer)
        self.inside[client] -= 1
        if not self.inside[client]:
            del self.inside[client]


def _client_of(peer: str) -> str:
    """One client is one IPv4 address, but a whole /64 of IPv6: that is what one host is given."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if not isinstance(address, IPv6Address):
        return peer
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))
