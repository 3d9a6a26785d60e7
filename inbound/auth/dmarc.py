"""What a domain's owner asks for mail in its name, and who may vouch for it: DMARC (RFC 9989).

The organizational domain comes from the DNS tree walk (section 4.10), at most eight questions. A
transient failure of any of them is raised and never taken for "no record": what stands above the name
that does not answer may change both the policy and the organization.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from inbound.auth.dns import Resolver

_LONGEST_NAME = 253  # RFC 1035 2.3.4, as text
_MOST_LABELS = 7  # RFC 9989 4.10 step 4: what is longer is cut to these after the first question
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*+")
# RFC 9989 4.8: "v" comes first, and DMARC1 is the only value that tells upper case from lower case.
_VERSION = re.compile(rb"[Vv][ \t]*+=[ \t]*+DMARC1[ \t]*+(?:;|\Z)")
_URI = re.compile(r"[a-z][a-z0-9+.-]*+:[!-~]++")


class DmarcPolicy(StrEnum):
    NONE = "none"  # The owner asks for nothing.
    QUARANTINE = "quarantine"  # The owner finds mail suspicious that does not pass.
    REJECT = "reject"  # The owner says that mail which does not pass is not his.


@dataclass(frozen=True)
class Dmarc:
    """What the DNS says about mail in a domain's name.

    Attributes:
        domain: the author's, as the DNS knows it.
        organization: its organizational domain; the domain itself where no record is found.
        policy: what applies to this very domain (p, sp or np); None: no record, or one that asks for
            nothing that can be read.
        testing: the owner would like to see the next milder policy applied (t=y).
    """

    domain: str
    organization: str
    policy: DmarcPolicy | None
    strict_dkim: bool = False
    strict_spf: bool = False
    testing: bool = False


async def discover(resolver: Resolver, domain: str) -> Dmarc:
    """The record that applies to mail from this domain: at most nine questions.

    Raises:
        DnsTrouble: one of them was not answered.
    """
    name = ascii_name(domain)
    if name is None:
        return Dmarc(domain.lower(), domain.lower(), None)
    walk = await _walk(resolver, name)
    record = walk.applied
    if record is None:
        return Dmarc(name, walk.organization, None)
    return Dmarc(
        domain=name,
        organization=walk.organization,
        policy=await _policy(resolver, walk, record),
        strict_dkim=record.tags.get("adkim") == "s",
        strict_spf=record.tags.get("aspf") == "s",
        testing=record.tags.get("t") == "y",
    )


async def is_aligned(resolver: Resolver, dmarc: Dmarc, domain: str, *, strict: bool) -> bool:
    """Whether a domain that has authenticated itself may vouch for the author (RFC 9989 4.4).

    Nobody is asked where the names alone tell; otherwise it takes at most eight questions.

    Args:
        domain: that of a good DKIM signature (d=), or that of a good SPF result.

    Raises:
        DnsTrouble: a question was not answered.
    """
    author, other = ascii_name(dmarc.domain), ascii_name(domain)
    # A top-level domain vouches for nobody, whatever stands there: d=org is not every organization.
    if author is None or other is None or "." not in other:
        return False
    if other == author:
        return True
    if strict:
        return False
    if other == dmarc.organization:  # the walk from there sees what decided already
        return True
    if not other.endswith("." + dmarc.organization):
        return False
    return (await _walk(resolver, other)).organization == dmarc.organization


def ascii_name(domain: str) -> str | None:
    """The name as the DNS knows it (A-labels, lower case); None where there can be no such name.

    RFC 9989 5.3.1 asks for A-labels. The library's codec follows the older IDNA, which changes some
    letters into others ("ß" into "ss") and so leads to somebody else's domain: only a name that comes
    back unchanged is taken.
    """
    name = domain.lower().removesuffix(".")
    if len(name) > _LONGEST_NAME:
        return None
    if not name.isascii():
        try:
            encoded = name.encode("idna")
            if encoded.decode("idna") != name:
                return None
        except UnicodeError:
            return None
        name = encoded.decode("ascii").lower()
    return name if len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) else None


@dataclass(frozen=True)
class _Record:
    """A DMARC record; the values of its tags are in lower case."""

    name: str
    tags: Mapping[str, str]

    @property
    def psd(self) -> str:
        """Whether the name is a public suffix: y, n or u (unsaid).

        Unlike RFC 9989 4.10.2, a top-level domain that says nothing counts as one: otherwise a
        record there without psd=y would make one organization of all that is registered below it.
        """
        said = self.tags.get("psd")
        if said in ("y", "n"):
            return said
        return "u" if "." in self.name else "y"


@dataclass(frozen=True)
class _Walk:
    """What the tree walk from a name has found.

    Attributes:
        records: one for each name that has exactly one, the longest name first.
        exists: the name exists for certain, for something below it does (RFC 8020).
    """

    start: str
    records: tuple[_Record, ...]
    exists: bool

    @property
    def organization(self) -> str:
        """RFC 9989 4.10.2."""
        for record in self.records:
            if record.psd == "n":
                return record.name
            if record.psd == "y":  # one label below it; at the very start that is the start
                labels = record.name.count(".") + 2
                return ".".join(self.start.split(".")[-labels:])
        return self.records[-1].name if self.records else self.start

    @property
    def applied(self) -> _Record | None:
        """RFC 9989 4.10.1: the author's own, else the organization's, else the public suffix's."""
        by_name = {record.name: record for record in self.records}
        suffixes = (record for record in self.records if record.psd == "y")
        return by_name.get(self.start) or by_name.get(self.organization) or next(suffixes, None)


async def _walk(resolver: Resolver, start: str) -> _Walk:
    records = []
    exists = False
    for name in _steps(start):
        answer = await resolver.txt(f"_dmarc.{name}")
        exists = exists or (name == start and answer.exists)
        found = [text for text in answer.records if _VERSION.match(text)]
        if len(found) != 1:  # RFC 9989 4.10 step 2: several are discarded, all of them
            continue
        record = _Record(name, _tags(found[0]))
        records.append(record)
        if record.psd != "u":
            break
    return _Walk(start, tuple(records), exists)


def _steps(start: str) -> list[str]:
    """The names to ask, eight at most (RFC 9989 4.10 steps 3, 4 and 7)."""
    labels = start.split(".")
    first = max(1, len(labels) - _MOST_LABELS)
    return [start, *(".".join(labels[at:]) for at in range(first, len(labels)))]


def _tags(text: bytes) -> dict[str, str]:
    """What comes after the version; a tag that is written twice, or without "=", has no value."""
    tags: dict[str, str] = {}
    for part in text.decode("ascii", "replace").split(";")[1:]:
        name, _, value = part.partition("=")
        name = name.strip(" \t").lower()
        tags[name] = "" if name in tags else value.strip(" \t").lower()
    return tags


async def _policy(resolver: Resolver, walk: _Walk, record: _Record) -> DmarcPolicy | None:
    policies = _policies(record.tags)
    if policies is None:
        return None
    if record.name == walk.start:
        return policies["p"]
    # RFC 9989 4.7: np is for names that do not exist, by RFC 8020; only then it takes a question.
    if "np" in policies and not walk.exists and not (await resolver.a(walk.start)).exists:
        return policies["np"]
    return policies.get("sp", policies["p"])


def _policies(tags: Mapping[str, str]) -> dict[str, DmarcPolicy] | None:
    """RFC 9989 4.10.1: one that cannot be read spoils all, but whoever wants reports has p=none."""
    written = {tag: tags[tag] for tag in ("p", "sp", "np") if tag in tags}
    if set(written.values()) <= set(DmarcPolicy):
        read = {tag: DmarcPolicy(value) for tag, value in written.items()}
        return {"p": DmarcPolicy.NONE, **read}  # 4.7: a record without p counts as p=none
    wants_reports = any(_URI.fullmatch(uri.strip(" \t")) for uri in tags.get("rua", "").split(","))
    return {"p": DmarcPolicy.NONE} if wants_reports else None
