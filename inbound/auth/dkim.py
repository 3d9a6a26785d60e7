"""Who signed a mail: DKIM (RFC 6376), with what RFC 8301 and RFC 8463 changed.

The body was hashed while it came (bodyhash.py), so this costs one question to the DNS and one look at
the header for each signature. What can be said without a key is said first: a signature that does not
fit the mail causes no question.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum, auto

from inbound.auth.bodyhash import RELAXED, SIMPLE
from inbound.auth.canonical import Header, RawField
from inbound.auth.dns import Resolver
from inbound.auth.fromheader import author_of
from inbound.auth.keys import ALGORITHMS, look_up, usable_key
from inbound.auth.tags import WHITE, Unreadable, decoded, host_name, listed, needed, read_tags
from store.errors import MailRefused

MOST_VERIFIED = 5  # key lookups; whoever needs more is not helped by the ones behind
MOST_READ = 20  # as many as the body is hashed for
_CLOCK_SLACK = 600  # seconds that a signer's clock may be ahead of ours
_FIELD, _FROM = b"dkim-signature", b"from"
_SECONDS = re.compile(r"[0-9]{1,12}")
_FORMS = re.compile(rf"({SIMPLE}|{RELAXED})(?:/({SIMPLE}|{RELAXED}))?")


class DkimResult(StrEnum):
    PASS = auto()  # The domain signed this mail as it is.
    FAIL = auto()  # It does not fit the mail, the author or the time.
    PERMERROR = auto()  # The signature or its key is not as the RFC asks.
    TEMPERROR = auto()  # The DNS does not answer: nothing is known yet.
    POLICY = auto()  # Not counted, even if it verifies: l=, or a key that is only tried out.


@dataclass(frozen=True)
class Signed:
    """One signature, looked at.

    Attributes:
        domain: d=, in lower case and ASCII; empty if it cannot be read.
        selector: s=, likewise.
        why: in a few words.
        headers: the names, in lower case, of which this signature covers every field there is in
            the mail, or that there is none; empty unless it passes.
        signed_at: t=, in seconds.
        fingerprint: of d= and what stands in b=: the same signature again.
        body: the body that it is over, by form and hash; empty unless it passes.
    """

    result: DkimResult
    domain: str
    selector: str
    why: str
    headers: frozenset[str] = frozenset()
    signed_at: int | None = None
    fingerprint: str = ""
    body: bytes = b""


@dataclass(frozen=True)
class Signature:
    """What every signature says of itself, those of ARC too (RFC 6376 3.5, RFC 8617 4.1)."""

    field: RawField
    domain: str
    selector: str
    algorithm: str
    value: bytes
    signed_at: int | None
    expires: int | None

    @property
    def key_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True)
class Coverage:
    """What a signature says of the mail under it."""

    names: tuple[bytes, ...]
    body_hash: bytes
    relaxed: bool
    body_form: str


@dataclass(frozen=True)
class _Claim:
    """A signature that only its key can decide."""

    signature: Signature
    coverage: Coverage
    identity: str


async def verify_dkim(
    header: bytes, body_hashes: Mapping[str, bytes], resolver: Resolver, now: int
) -> list[Signed]:
    """The signatures of a mail, from the top; those beyond the limits are left out.

    Args:
        header: the header block, without the empty line that ends it.
        body_hashes: SHA-256 of the body by the name of its canonical form.
        now: in seconds.
    """
    mail = Header(header)
    fields = mail.named.get(_FIELD, [])[:MOST_READ]
    if not fields:
        return []
    clear = _author_is_clear(header)
    looked = [_first_look(field, mail, body_hashes, now, clear) for field in fields]
    kept = list(_affordable(looked))
    claims = [item for item in kept if isinstance(item, _Claim)]
    records = await look_up((claim.signature.key_name for claim in claims), resolver)
    return [
        _judged(item, mail, records[item.signature.key_name]) if isinstance(item, _Claim) else item
        for item in kept
    ]


def read_signature(field: RawField, tags: dict[str, str]) -> Signature:
    """What every signature must have.

    Raises:
        Unreadable: it has not.
    """
    # RFC 6376 3.5, domain-name: at least one dot, so that no registry signs for all below it.
    domain = host_name("d", needed(tags, "d"), dots=1)
    selector = host_name("s", needed(tags, "s"))
    signature = Signature(
        field=field,
        domain=domain,
        selector=selector,
        algorithm=needed(tags, "a"),
        value=decoded("b", needed(tags, "b")),
        signed_at=_seconds(tags, "t"),
        expires=_seconds(tags, "x"),
    )
    host_name("s= with d", signature.key_name)  # each may be short enough and both together not
    if signature.algorithm not in ALGORITHMS:  # RFC 8301 3.1: rsa-sha1 too
        raise Unreadable("a= is neither rsa-sha256 nor ed25519-sha256")
    return signature


def read_coverage(tags: dict[str, str], unnamed: str = f"{SIMPLE}/{SIMPLE}") -> Coverage:
    """What a signature over a mail must have.

    Args:
        unnamed: the canonical forms where there is no c=.

    Raises:
        Unreadable: it has not.
    """
    if "h" not in tags:
        raise Unreadable("h= is missing")
    forms = _FORMS.fullmatch(tags.get("c", unnamed))
    if not forms:
        raise Unreadable("c= names no canonical form")
    return Coverage(
        names=tuple(name.encode().lower() for name in listed(tags["h"]) if name),
        body_hash=decoded("bh", needed(tags, "bh")),
        relaxed=forms[1] == RELAXED,
        body_form=forms[2] or SIMPLE,
    )


def untimely(signature: Signature, now: int) -> str:
    """Why a signature is not valid at this time; empty if it is (RFC 6376 3.5, t= and x=)."""
    if signature.expires is not None and signature.expires < now:
        return "it has expired"
    if signature.signed_at is not None and signature.signed_at > now + _CLOCK_SLACK:
        return "it is from the future"
    return ""


def body_changed(coverage: Coverage, body_hashes: Mapping[str, bytes]) -> bool:
    """Whether the body is another one than the one that was signed."""
    return not hmac.compare_digest(body_hashes.get(coverage.body_form, b""), coverage.body_hash)


def _first_look(
    field: RawField, mail: Header, body_hashes: Mapping[str, bytes], now: int, clear: bool
) -> Signed | _Claim:
    """What can be said without a key, or else the claim."""
    tags: dict[str, str] = {}
    try:
        tags = read_tags(field.value)
        signature = read_signature(field, tags)
        _check_tags(tags, signature)
        if "l" in tags:
            # RFC 6376 8.2: whatever is added behind the signed part would count as signed.
            return _signed(DkimResult.POLICY, signature, "l= leaves the body's end unsigned")
        claim = _Claim(signature, read_coverage(tags), _identity(tags, signature.domain))
    except Unreadable as error:
        return _unreadable(tags, str(error))
    if why := _mismatch(claim, mail, body_hashes, now, clear):
        return _signed(DkimResult.FAIL, signature, why)
    return claim


def _check_tags(tags: dict[str, str], signature: Signature) -> None:
    if needed(tags, "v") != "1":
        raise Unreadable("v= is not 1")
    if "q" in tags and "dns/txt" not in listed(tags["q"]):
        raise Unreadable("q= does not name dns/txt")
    signed_at, expires = signature.signed_at, signature.expires
    if signed_at is not None and expires is not None and expires <= signed_at:
        raise Unreadable("x= is not after t=")


def _mismatch(
    claim: _Claim, mail: Header, body_hashes: Mapping[str, bytes], now: int, clear: bool
) -> str:
    """Why a signature does not count for this mail; empty if only its key is missing."""
    covered = mail.covered(claim.signature.field, claim.coverage.names)
    if _FROM not in covered:
        return "not every From is signed"  # RFC 6376 5.4: the one field that must be
    if not clear:
        return "the From field can be read in two ways"
    if why := untimely(claim.signature, now):
        return why
    return "the body has changed" if body_changed(claim.coverage, body_hashes) else ""


def _affordable(looked: Iterable[Signed | _Claim]) -> Iterator[Signed | _Claim]:
    left = MOST_VERIFIED
    for item in looked:
        if isinstance(item, _Claim):
            left -= 1
            if left < 0:
                continue
        yield item


def _judged(claim: _Claim, mail: Header, records: tuple[bytes, ...] | None) -> Signed:
    signature, coverage = claim.signature, claim.coverage
    where = f"at {signature.key_name}"
    if records is None:
        return _signed(DkimResult.TEMPERROR, signature, f"the DNS does not answer {where}")
    try:
        key = usable_key(records, signature.algorithm)
    except Unreadable as error:
        return _signed(DkimResult.PERMERROR, signature, f"{error} {where}")
    if key.exact and claim.identity != signature.domain:
        return _signed(DkimResult.PERMERROR, signature, f"i= is another domain, t=s {where}")
    digest = mail.digest(signature.field, coverage.names, relaxed=coverage.relaxed)
    if not key.verifies(digest, signature.value):
        return _signed(DkimResult.FAIL, signature, "the signed header fields have changed")
    if key.testing:
        return _signed(DkimResult.POLICY, signature, f"only a test, t=y {where}")
    covered = mail.covered(signature.field, coverage.names)
    names = frozenset(name.decode() for name in covered)
    body = coverage.body_form.encode() + coverage.body_hash
    return replace(_signed(DkimResult.PASS, signature, "signed", names), body=body)


def _signed(
    result: DkimResult, signature: Signature, why: str, headers: frozenset[str] = frozenset()
) -> Signed:
    whole = signature.domain.encode() + b"\0" + signature.value
    return Signed(
        result=result,
        domain=signature.domain,
        selector=signature.selector,
        why=why,
        headers=headers,
        signed_at=signature.signed_at,
        fingerprint=hashlib.sha256(whole).hexdigest(),
    )


def _unreadable(tags: dict[str, str], why: str) -> Signed:
    """As much as can be read of whose it is."""

    def read(tag: str) -> str:
        try:
            return host_name(tag, tags.get(tag, ""), dots=1 if tag == "d" else 0)
        except Unreadable:
            return ""

    return Signed(DkimResult.PERMERROR, read("d"), read("s"), why)


def _identity(tags: dict[str, str], domain: str) -> str:
    """The domain of i=, which is d= or below it (RFC 6376 3.5)."""
    _, at, behind = tags.get("i", f"@{domain}").rpartition("@")
    if not at:
        raise Unreadable("i= has no @")
    identity = host_name("i", behind.strip(WHITE))
    if identity != domain and not identity.endswith(f".{domain}"):
        raise Unreadable("i= is not below d=")
    return identity


def _seconds(tags: dict[str, str], name: str) -> int | None:
    if name not in tags:
        return None
    if not _SECONDS.fullmatch(tags[name]):
        raise Unreadable(f"{name}= is no time")
    return int(tags[name])


def _author_is_clear(header: bytes) -> bool:
    """Whether there is one From with one reading: no signature speaks for another one."""
    try:
        author_of(header)
    except MailRefused:
        return False
    return True
