"""SPF records as they are published (RFC 7208 3, 4.5, 4.6.1, 5, 6 and 12).

A record is read whole before anything of it is carried out: an error anywhere spoils all of it
(RFC 7208 4.6).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from inbound.auth.spfmacro import BadPolicy, Spec, read_domain, read_text

# RFC 7208 3.4 asks for records that fit into 512 bytes with all around them. Nobody has to read on
# for ever; this is more than the longest that honest domains were seen to publish.
LONGEST_RECORD = 8_192

_VERSION = re.compile(rb"v=spf1(?: |\Z)", re.IGNORECASE)
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*+)=(.*+)", re.DOTALL)
_MECHANISM = re.compile(r"([-+?~]?)([A-Za-z][A-Za-z0-9]*+)(.*+)", re.DOTALL)
_LENGTH = "(0|[1-9][0-9]{0,2})"
_PREFIX6 = re.compile(rf"//{_LENGTH}\Z")
_PREFIX4 = re.compile(rf"/{_LENGTH}\Z")


class Kind(StrEnum):
    ALL = "all"  # Every client matches.
    INCLUDE = "include"  # Whoever passes another domain's policy matches.
    A = "a"  # A host matches that has one of the domain's addresses.
    MX = "mx"  # A host matches that takes the domain's mail.
    PTR = "ptr"  # A host matches whose name is below the domain.
    IP4 = "ip4"  # A host matches whose IPv4 address is in the network.
    IP6 = "ip6"  # A host matches whose IPv6 address is in the network.
    EXISTS = "exists"  # A client matches when the name, made for it by macros, has an address.


@dataclass(frozen=True)
class Directive:
    """A mechanism with the result it stands for.

    Attributes:
        qualifier: "+", "-", "~" or "?".
        spec: the domain to look at; empty: the one whose record this is.
        prefix4: of so many bits of an IPv4 address A and MX compare; prefix6 likewise.
        network: of IP4 and IP6.
    """

    qualifier: str
    kind: Kind
    spec: Spec = ()
    prefix4: int = 32
    prefix6: int = 128
    network: IPv4Network | IPv6Network | None = None


@dataclass(frozen=True)
class Record:
    directives: tuple[Directive, ...]
    redirect: Spec = ()  # the domain whose policy is asked when nothing matches; empty: none
    explanation: Spec = ()  # where to ask for an explanation of a refusal; empty: nowhere


def published(texts: Iterable[bytes]) -> str | None:
    """The one SPF record among a domain's TXT records (RFC 7208 4.5); None if there is none.

    Raises:
        BadPolicy: there is more than one, or it is too long or not ASCII (RFC 7208 3.1).
    """
    records = [text for text in texts if _VERSION.match(text)]
    if not records:
        return None
    if len(records) > 1:
        raise BadPolicy("A domain may have one SPF record only.")
    if len(records[0]) > LONGEST_RECORD or not records[0].isascii():
        raise BadPolicy("An SPF record is short and ASCII.")
    return records[0].decode("ascii")


def read_record(text: str) -> Record:
    """What a record says, its first term being the version.

    Raises:
        BadPolicy: any of it is written wrongly.
    """
    directives = []
    modifiers: dict[str, Spec] = {}
    for term in text.split(" ")[1:]:  # nothing but spaces parts terms (RFC 7208 4.6.1)
        if modifier := _MODIFIER.fullmatch(term):
            _read_modifier(modifier[1].lower(), modifier[2], modifiers)
        elif term:
            directives.append(_read_directive(term))
    return Record(tuple(directives), modifiers.get("redirect", ()), modifiers.get("exp", ()))


def _read_modifier(name: str, value: str, known: dict[str, Spec]) -> None:
    if name not in ("redirect", "exp"):
        read_text(value)  # RFC 7208 6: ignored, but it has to be written as the grammar says
        return
    if name in known:
        raise BadPolicy(f"The modifier {name} stands twice in a record.")
    known[name] = read_domain(value)


def _read_directive(term: str) -> Directive:
    found = _MECHANISM.fullmatch(term)
    name = found[2].lower() if found else ""
    if found is None or name not in set(Kind):
        raise BadPolicy(f"There is no such mechanism: {term[:100]!r}.")
    qualifier, kind, rest = found[1] or "+", Kind(name), found[3]
    match kind:
        case Kind.ALL:
            if rest:
                raise BadPolicy(f"Nothing may follow here: {term[:100]!r}.")
            return Directive(qualifier, kind)
        case Kind.IP4 | Kind.IP6:
            return Directive(qualifier, kind, network=_network(kind, rest))
        case Kind.A | Kind.MX:
            rest, prefix6 = _cut_prefix(_PREFIX6, rest, 128)
            rest, prefix4 = _cut_prefix(_PREFIX4, rest, 32)
            return Directive(qualifier, kind, _domain(rest), prefix4, prefix6)
        case Kind.PTR:
            return Directive(qualifier, kind, _domain(rest))
        case Kind.INCLUDE | Kind.EXISTS:
            return Directive(qualifier, kind, read_domain(_after_colon(rest)))


def _domain(rest: str) -> Spec:
    return read_domain(_after_colon(rest)) if rest else ()


def _after_colon(rest: str) -> str:
    if not rest.startswith(":"):
        raise BadPolicy(f"Here a colon and a value are needed: {rest[:100]!r}.")
    return rest[1:]


def _cut_prefix(pattern: re.Pattern[str], rest: str, longest: int) -> tuple[str, int]:
    """The text before a length of prefix, and that length."""
    found = pattern.search(rest)
    if found is None:
        return rest, longest
    if int(found[1]) > longest:
        raise BadPolicy(f"No address has so many bits: {found[0]}.")
    return rest[: found.start()], int(found[1])


def _network(kind: Kind, rest: str) -> IPv4Network | IPv6Network:
    text, prefix = _cut_prefix(_PREFIX4, _after_colon(rest), 32 if kind is Kind.IP4 else 128)
    try:
        if kind is Kind.IP4:
            return IPv4Network((IPv4Address(text), prefix), strict=False)
        address = IPv6Address(text)
    except ValueError:
        raise BadPolicy(f"This is no {kind} address: {text[:100]!r}.") from None
    if address.scope_id is not None:  # "fe80::1%eth0" is Python's, not the grammar's
        raise BadPolicy("A policy knows no interfaces.")
    return IPv6Network((address, prefix), strict=False)
