"""How many may be in at once: in all, and of one client."""

from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

CONNECTIONS = 200  # half of them for whoever is trusted
CONNECTIONS_A_CLIENT = 20


class Turnstile:
    """Counts the connections that are in. One instance serves one listener.

    Args:
        trusted: whether a client is one whose mail is wanted in any case.
    """

    def __init__(self, trusted: Callable[[str], bool] = lambda _: True) -> None:
        self.trusted = trusted
        self.inside: Counter[str] = Counter()

    def enter(self, peer: str) -> bool:
        """False when there is no room: the client is told to come back."""
        client = _client_of(peer)
        # However many addresses strangers have, they never take all the seats.
        seats = CONNECTIONS if self.trusted(peer) else CONNECTIONS // 2
        if self.inside.total() >= seats or self.inside[client] >= CONNECTIONS_A_CLIENT:
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
