"""Questions to the DNS (RFC 1035), of which mail from strangers may cause only so many.

A name that cannot exist (an empty or too long label) is answered without asking anybody. What
does not answer, or answers SERVFAIL, is trouble of the moment and never an answer: who asked must
not decide anything from it.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from store.errors import TryAgain

QUESTION_SECONDS = 3.0  # for one server's answer
TOTAL_SECONDS = 6.0  # for one question, other servers included
_CACHED = 5_000  # answers, each for as long as its zone says


class DnsTrouble(TryAgain):
    """The DNS has not answered; nothing is known."""


@dataclass(frozen=True)
class Answer:
    """What the DNS said.

    Attributes:
        records: TXT: the joined strings as bytes; A, AAAA: addresses; MX: host names, the most
            preferred first; PTR: host names. Host names are without their last dot.
        exists: False when the name itself does not exist (NXDOMAIN).
    """

    records: tuple[Any, ...]
    exists: bool


NOTHING = Answer((), exists=False)


class Resolver(Protocol):
    """The one way to the DNS; tests put a server of their own behind it. All raise DnsTrouble."""

    async def txt(self, name: str) -> Answer: ...

    async def a(self, name: str) -> Answer: ...

    async def aaaa(self, name: str) -> Answer: ...

    async def mx(self, name: str) -> Answer: ...

    async def ptr(self, address: str) -> Answer: ...


class DnsResolver:
    """The DNS by dnspython.

    Args:
        servers: (host, port) of resolving servers; none: those of the system.
    """

    def __init__(self, servers: list[tuple[str, int]] | None = None) -> None:
        self.resolver = _resolver(servers or [])
        self.resolver.timeout = QUESTION_SECONDS
        self.resolver.lifetime = TOTAL_SECONDS
        self.resolver.cache = dns.resolver.LRUCache(_CACHED)

    async def txt(self, name: str) -> Answer:
        return await self._ask(_name(name), "TXT", lambda found: b"".join(found.strings))

    async def a(self, name: str) -> Answer:
        return await self._ask(_name(name), "A", lambda found: found.address)

    async def aaaa(self, name: str) -> Answer:
        return await self._ask(_name(name), "AAAA", lambda found: found.address)

    async def mx(self, name: str) -> Answer:
        answer = await self._ask(
            _name(name), "MX", lambda found: (found.preference, _host(found.exchange))
        )
        return Answer(tuple(host for _, host in sorted(answer.records)), answer.exists)

    async def ptr(self, address: str) -> Answer:
        name = dns.name.from_text(ipaddress.ip_address(address).reverse_pointer)
        return await self._ask(name, "PTR", lambda found: _host(found.target))

    async def _ask(
        self, name: dns.name.Name | None, kind: str, read: Callable[[Any], Any]
    ) -> Answer:
        if name is None:
            return NOTHING
        try:
            answer = await self.resolver.resolve(name, kind, search=False)
        except dns.resolver.NXDOMAIN:
            return NOTHING
        except dns.resolver.NoAnswer:
            return Answer((), exists=True)
        except (dns.exception.DNSException, OSError) as error:
            raise DnsTrouble(f"The DNS does not answer for {name}: try again later.") from error
        return Answer(tuple(read(found) for found in answer), exists=True)


class CountedResolver:
    """A resolver that refuses more questions than one mail may cause.

    The count is for the whole mail; each check has limits of its own below it.
    """

    def __init__(self, resolver: Resolver, most: int) -> None:
        self.resolver = resolver
        self.left = most

    async def txt(self, name: str) -> Answer:
        return await self._counted(self.resolver.txt, name)

    async def a(self, name: str) -> Answer:
        return await self._counted(self.resolver.a, name)

    async def aaaa(self, name: str) -> Answer:
        return await self._counted(self.resolver.aaaa, name)

    async def mx(self, name: str) -> Answer:
        return await self._counted(self.resolver.mx, name)

    async def ptr(self, address: str) -> Answer:
        return await self._counted(self.resolver.ptr, address)

    async def _counted(self, ask: Callable[[str], Awaitable[Answer]], name: str) -> Answer:
        self.left -= 1
        if self.left < 0:  # "does not exist" would be an answer, and none was given
            raise DnsTrouble("This mail causes too many questions to the DNS.")
        return await ask(name)


def _resolver(servers: list[tuple[str, int]]) -> dns.asyncresolver.Resolver:
    if not servers:
        try:
            return dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            servers = [("127.0.0.1", 53)]
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in servers]
    return resolver


def _name(text: str) -> dns.name.Name | None:
    """The absolute name, letter for letter; None where there can be no such name (RFC 1035 2.3.4)."""
    labels = text.removesuffix(".").encode("ascii", "replace").split(b".")
    try:
        return dns.name.Name([*labels, b""])
    except dns.exception.DNSException:
        return None


def _host(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)
