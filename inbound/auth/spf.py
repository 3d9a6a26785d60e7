"""SPF (RFC 7208): may this client send for the domain in MAIL FROM or HELO?

check_spf asks for the domain's record, reads it whole (spfrecord.py) and goes through its terms,
which may name more domains by macros (spfmacro.py). Everything a stranger's record can cause is
counted (RFC 7208 4.6.4): at most 10 terms that ask the DNS, each of at most 11 questions; the
client's own names are asked for once in a check.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from inbound.auth.dns import NOTHING, Answer, DnsTrouble, Resolver
from inbound.auth.spfmacro import (
    BadPolicy,
    Spec,
    as_name,
    can_be_asked,
    expand,
    letters,
    read_text,
)
from inbound.auth.spfrecord import Directive, Kind, Record, published, read_record
from store.clock import SECOND, SystemClock

MOST_TERMS = 10  # that ask the DNS, in one check
MOST_HOSTS = 10  # whose addresses one mechanism asks for
MOST_VOID = 2  # terms that were answered with nothing
MOST_SECONDS = 20.0  # RFC 7208 4.6.4: at least so many
LONGEST_SENDER = 1_000  # RFC 5321 4.5.3.1.3 knows no more than 256
LONGEST_HELO = 255
LONGEST_EXPLANATION = 400  # characters; more does not fit into one SMTP reply (RFC 5321 4.5.3.1.5)

_LABEL = re.compile(r"[a-z0-9_-]{1,63}")


class SpfResult(StrEnum):
    NONE = "none"  # There is no domain to ask, or it has published nothing.
    NEUTRAL = "neutral"  # The domain says nothing about this client.
    PASS = "pass"  # noqa: S105 - The client may send for the domain.
    FAIL = "fail"  # The client may not send for the domain.
    SOFTFAIL = "softfail"  # The client probably may not, says the domain.
    TEMPERROR = "temperror"  # The DNS has not answered; later it may.
    PERMERROR = "permerror"  # What the domain has published cannot be used until somebody mends it.


@dataclass(frozen=True)
class Spf:
    """What SPF says about one client.

    Attributes:
        domain: whose policy was asked, in lower case: of MAIL FROM, or of HELO for the sender <>;
            "" when neither is a domain.
        explanation: what the domain says to those it refuses, in one line of ASCII; "" if nothing.
            A stranger has written it: whoever shows it says whose words they are.
    """

    result: SpfResult
    domain: str
    explanation: str = ""


async def check_spf(resolver: Resolver, address: str, sender: str, helo: str) -> Spf:
    """Asks the sender's domain about the client.

    Args:
        address: the client's; an IPv4 address inside IPv6 counts as IPv4 (RFC 7208 5).
        sender: MAIL FROM without brackets; "": postmaster at HELO (RFC 7208 2.4).
        helo: what the client called itself, whatever that is.
    """
    client = _client(address)
    local, _, domain = (sender or f"postmaster@{helo}").rpartition("@")
    domain = domain.removesuffix(".")
    if client is None or len(sender) > LONGEST_SENDER or not _is_domain(domain):
        return Spf(SpfResult.NONE, "")
    domain = domain.lower()
    check = _Check(resolver, client, local or "postmaster", domain, helo[:LONGEST_HELO])
    result, explanation = SpfResult.TEMPERROR, ""
    try:
        async with asyncio.timeout(MOST_SECONDS):
            answer = await check.policy(domain)
            result = answer.result  # stands, even when the time ends before the explanation comes
            explanation = await check.explanation(answer)
    except BadPolicy:
        result = SpfResult.PERMERROR
    except (DnsTrouble, TimeoutError):
        pass
    return Spf(result, domain, explanation)


@dataclass(frozen=True)
class _Answer:
    """The result of one policy, with where its domain keeps an explanation."""

    result: SpfResult
    explanation: Spec = ()
    domain: str = ""


class _Check:
    """One check_host() of RFC 7208 4, with all it includes: the limits are for all of it."""

    def __init__(
        self,
        resolver: Resolver,
        client: IPv4Address | IPv6Address,
        local: str,
        origin: str,
        helo: str,
    ) -> None:
        self.resolver = resolver
        self.client = client
        self.values = _values(client, local, origin, helo)
        self.terms = 0
        self.void_terms: set[int] = set()  # by number
        self.names: list[str] | None = None  # the client's, once they were asked for

    async def policy(self, domain: str) -> _Answer:
        """What a domain's policy says.

        Raises:
            BadPolicy: it cannot be used, or asks for too much.
            DnsTrouble: the DNS does not answer.
        """
        record = await self._record(domain)
        if record is None:
            return _Answer(SpfResult.NONE)
        for directive in record.directives:
            if await self._matches(directive, domain):
                return _Answer(_RESULTS[directive.qualifier], record.explanation, domain)
        if not record.redirect:
            return _Answer(SpfResult.NEUTRAL)  # RFC 7208 4.7
        self._count_term()
        answer = await self.policy(await self._name(record.redirect, domain))
        if answer.result is SpfResult.NONE:
            raise BadPolicy(f"{domain} redirects to a domain without a policy.")  # RFC 7208 6.1
        return answer

    async def explanation(self, answer: _Answer) -> str:
        """What the domain says to those it refuses; any trouble with it makes it nothing (6.2)."""
        if answer.result is not SpfResult.FAIL or not answer.explanation:
            return ""
        try:
            name = await self._name(answer.explanation, answer.domain)
            texts = (await self.resolver.txt(name)).records if can_be_asked(name) else ()
            if len(texts) != 1 or len(texts[0]) > LONGEST_EXPLANATION:
                return ""
            text = await self._text(read_text(texts[0].decode("ascii")), answer.domain)
        except (BadPolicy, DnsTrouble, UnicodeDecodeError):
            return ""
        return _printable(text) if len(text) <= LONGEST_EXPLANATION else ""

    async def _record(self, domain: str) -> Record | None:
        # RFC 7208 4.3: without a dot it is no domain, and nobody is asked.
        if "." not in domain or not can_be_asked(domain):
            return None
        text = published((await self.resolver.txt(domain)).records)
        return None if text is None else read_record(text)

    async def _matches(self, directive: Directive, domain: str) -> bool:
        if directive.kind is Kind.ALL:
            return True
        if directive.network is not None:
            return self.client in directive.network
        self._count_term()
        target = await self._name(directive.spec, domain) if directive.spec else domain
        return await self._matches_by_dns(directive, target)

    async def _matches_by_dns(self, directive: Directive, target: str) -> bool:
        match directive.kind:
            case Kind.INCLUDE:
                return await self._includes(target)
            case Kind.A:
                return await self._is_host(target, directive)
            case Kind.MX:
                return await self._is_mail_host(target, directive)
            case Kind.PTR:
                return any(_is_below(name, target) for name in await self._client_names())
            case _:  # RFC 7208 5.7: for the type A, however the client came
                return bool((await self._ask(self.resolver.a, target)).records)

    async def _includes(self, domain: str) -> bool:
        """RFC 7208 5.2: fail, softfail and neutral there mean nothing here."""
        answer = await self.policy(domain)
        if answer.result is SpfResult.NONE:
            raise BadPolicy(f"A domain without a policy is included: {domain}.")
        return answer.result is SpfResult.PASS

    async def _is_host(self, name: str, directive: Directive) -> bool:
        answer = await self._ask(self._addresses, name)
        return self._is_near(answer, directive.prefix4, directive.prefix6)

    async def _is_mail_host(self, domain: str, directive: Directive) -> bool:
        hosts = (await self._ask(self.resolver.mx, domain)).records
        if len(hosts) > MOST_HOSTS:
            raise BadPolicy(f"{domain} has more mail hosts than may be asked for.")
        for host in hosts:  # a lone dot, for "no mail here" (RFC 7505 3), is no name to ask for
            if await self._is_host(host, directive):
                return True
        return False

    async def _client_names(self) -> list[str]:
        """The client's names that lead back to its address (RFC 7208 5.5), in lower case.

        They are the client's doing and not the policy's: of too many the first ten count, and one
        that does not answer, or answers with nothing, is left out and not held against the domain.
        """
        if self.names is not None:
            return self.names
        self.names = []
        try:
            found = (await self.resolver.ptr(str(self.client))).records
        except DnsTrouble:
            return self.names
        for name in found[:MOST_HOSTS]:
            if await self._leads_back(name):
                self.names.append(name.removesuffix(".").lower())
        return self.names

    async def _leads_back(self, name: str) -> bool:
        try:
            return can_be_asked(name.removesuffix(".")) and self._is_near(
                await self._addresses(name), 32, 128
            )
        except DnsTrouble:
            return False

    async def _addresses(self, name: str) -> Answer:
        ask = self.resolver.a if self.client.version == 4 else self.resolver.aaaa
        return await ask(name)

    def _is_near(self, answer: Answer, prefix4: int, prefix6: int) -> bool:
        """Whether the client shares its first bits with any of these addresses."""
        others = self.client.max_prefixlen - (prefix4 if self.client.version == 4 else prefix6)
        ours = int(self.client) >> others
        return any(int(ip_address(found)) >> others == ours for found in answer.records)

    async def _ask(self, question: Callable[[str], Awaitable[Answer]], name: str) -> Answer:
        if not can_be_asked(name):
            return NOTHING
        answer = await question(name)
        if not answer.records:
            # RFC 7208 4.6.4 counts the terms that get such answers: a mail host without an IPv6
            # address is nothing unusual, and five of them are one term.
            self.void_terms.add(self.terms)
            if len(self.void_terms) > MOST_VOID:
                raise BadPolicy("Too much of what this policy names does not exist.")
        return answer

    def _count_term(self) -> None:
        self.terms += 1
        if self.terms > MOST_TERMS:
            raise BadPolicy("This policy asks the DNS for too much.")

    async def _name(self, spec: Spec, domain: str) -> str:
        return as_name(await self._text(spec, domain))

    async def _text(self, spec: Spec, domain: str) -> str:
        used = letters(spec)
        values = {**self.values, "d": domain}
        if "p" in used:
            values["p"] = _best_name(await self._client_names(), domain)
        if "t" in used:
            values["t"] = str(SystemClock().now() // SECOND)
        return expand(spec, values)


_RESULTS = {
    "+": SpfResult.PASS,
    "-": SpfResult.FAIL,
    "~": SpfResult.SOFTFAIL,
    "?": SpfResult.NEUTRAL,
}


def _client(address: str) -> IPv4Address | IPv6Address | None:
    try:
        client = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = client.ipv4_mapped if isinstance(client, IPv6Address) else None
    return mapped or client


def _is_domain(text: str) -> bool:
    """Whether mail could come from there: RFC 7208 4.3 asks for whole names of hosts only."""
    if not text.isascii() or len(text) > 253:
        return False
    *others, last = text.lower().split(".")
    return bool(others) and not last.isdigit() and all(map(_LABEL.fullmatch, [*others, last]))


def _values(
    client: IPv4Address | IPv6Address, local: str, origin: str, helo: str
) -> dict[str, str]:
    """What each macro stands for (RFC 7208 7.2), but for those that have to be asked for."""
    is_ipv4 = client.version == 4
    # Nibbles in upper case, as the public test suite has them; the DNS does not care.
    nibbles = ".".join(client.exploded.replace(":", "").upper())
    return {
        "s": f"{local}@{origin}",
        "l": local,
        "o": origin,
        "i": str(client) if is_ipv4 else nibbles,
        "c": str(client),
        "v": "in-addr" if is_ipv4 else "ip6",
        "h": helo,
        "r": "unknown",  # RFC 7208 7.3: our own name is nothing that a stranger's policy needs
    }


def _best_name(names: list[str], domain: str) -> str:
    """RFC 7208 7.3: the domain itself, or else one below it, or else any."""
    domain = domain.lower()
    below = [name for name in names if _is_below(name, domain)]
    return domain if domain in names else next(iter([*below, *names]), "unknown")


def _is_below(name: str, domain: str) -> bool:
    return f".{name}".endswith(f".{domain.lower()}")


def _printable(text: str) -> str:
    return "".join(char if " " <= char <= "~" else "?" for char in text)
