"""What the hops before us say they saw: ARC (RFC 8617), sets of three fields sealed by each hop.

A chain that passes says only that these hops sealed it. Whether the newest of them is to be believed
is for whoever asks. All seals are verified, and of the message signatures the newest one: older ones
break where a mailing list has changed the mail.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto

from inbound.auth.bodyhash import RELAXED
from inbound.auth.canonical import Header, RawField, relaxed_form, signature_form
from inbound.auth.dkim import (
    Coverage,
    Signature,
    body_changed,
    read_coverage,
    read_signature,
    untimely,
)
from inbound.auth.dns import Resolver
from inbound.auth.keys import Records, look_up, usable_key
from inbound.auth.tags import Unreadable, needed, read_tags

MOST_SETS = 50  # RFC 8617 4.2.1
MOST_LOOKUPS = 12
_RESULTS, _MESSAGE, _SEAL = NAMES = (
    b"arc-authentication-results",
    b"arc-message-signature",
    b"arc-seal",
)
_UNNAMED = f"{RELAXED}/{RELAXED}"
_POSITION = re.compile(r"[0-9]{1,2}")
_RESULTS_POSITION = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([0-9]{1,2})[ \t\r\n]*;")


class ArcResult(StrEnum):
    NONE = auto()  # No hop has sealed this mail.
    PASS = auto()  # All seals hold, and the mail is as the newest hop saw it.
    FAIL = auto()  # The chain is broken, or one of its hops says so.
    TEMPERROR = auto()  # The DNS does not answer: nothing is known yet.


@dataclass(frozen=True)
class Arc:
    """The chain, looked at.

    Attributes:
        sealer: d= of the newest seal, in lower case and ASCII; empty if it cannot be read.
        results: what the newest ARC-Authentication-Results says behind "i=N;", if the chain passes.
        why: in a few words.
        headers: the names, in lower case, of which the newest hop's signature covers every field
            there is in the mail, or that there is none; empty unless the chain passes. RFC 8617
            does not ask that From is among them: whoever believes the results must.
    """

    result: ArcResult
    sealer: str = ""
    results: bytes = b""
    why: str = ""
    headers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Set:
    """What one hop has added."""

    results: RawField
    message: RawField
    seal: RawField
    sealed: Signature


async def verify_arc(
    header: bytes, body_hashes: Mapping[str, bytes], resolver: Resolver, now: int
) -> Arc:
    """The chain of a mail, by RFC 8617 5.2.

    Args:
        header: the header block, without the empty line that ends it.
        body_hashes: SHA-256 of the body by the name of its canonical form.
        now: in seconds.
    """
    mail = Header(header)
    if not any(name in mail.named for name in NAMES):
        return Arc(ArcResult.NONE)
    sealer = ""
    try:
        sets = _sets(mail)
        sealer = sets[-1].sealed.domain
        message, coverage = _newest_message(sets[-1], body_hashes, now)
        signatures = [message, *(found.sealed for found in sets)]
        records = await _look_up(signatures, resolver)
        digests = [mail.digest(message.field, coverage.names, relaxed=coverage.relaxed)]
        digests += _seal_digests(sets)
        for signature, digest in zip(signatures, digests, strict=True):
            _check(signature, digest, records)
    except Unreadable as error:
        return Arc(ArcResult.FAIL, sealer, why=str(error))
    if None in records.values():
        return Arc(ArcResult.TEMPERROR, sealer, why="the DNS does not answer for a key")
    covered = mail.covered(message.field, coverage.names)
    return Arc(
        ArcResult.PASS,
        sealer,
        _said(sets[-1].results),
        "sealed",
        frozenset(name.decode() for name in covered),
    )


def _sets(mail: Header) -> list[_Set]:
    """The sets from the oldest, of which none is missing or there twice (RFC 8617 5.2 step 3)."""
    by_name = [mail.named.get(name, []) for name in NAMES]
    count = len(by_name[0])
    if count > MOST_SETS or any(len(fields) != count for fields in by_name):
        raise Unreadable("a set is not complete, or there are too many")
    placed: dict[tuple[bytes, int], RawField] = {}
    for fields in by_name:
        for field in fields:
            placed[field.name, _position(field)] = field
    places = range(1, count + 1)
    if any((name, place) not in placed for name in NAMES for place in places):
        raise Unreadable("a set is not complete")
    return [_set(place, *(placed[name, place] for name in NAMES)) for place in places]


def _set(place: int, results: RawField, message: RawField, seal: RawField) -> _Set:
    tags = read_tags(seal.value)
    if "h" in tags:  # RFC 8617 4.1.3: what a seal covers is not the sealer's choice
        raise Unreadable("a seal has h=")
    said = needed(tags, "cv")
    if said == "fail":
        raise Unreadable(f"hop {place} found the chain broken")
    if said != ("none" if place == 1 else "pass"):
        raise Unreadable(f"cv= of hop {place} cannot be")
    return _Set(results, message, seal, read_signature(seal, tags))


def _newest_message(
    newest: _Set, body_hashes: Mapping[str, bytes], now: int
) -> tuple[Signature, Coverage]:
    tags = read_tags(newest.message.value)
    # RFC 8617 4.1.2 leaves c= to DKIM, but whoever seals without it means relaxed/relaxed: so says
    # the public validation suite.
    message, coverage = read_signature(newest.message, tags), read_coverage(tags, _UNNAMED)
    if "l" in tags:
        raise Unreadable("l= leaves the body's end unsigned")
    if _SEAL in coverage.names:
        raise Unreadable("a message signature covers a seal")  # RFC 8617 4.1.2
    if why := untimely(message, now) or untimely(newest.sealed, now):
        raise Unreadable(why)
    if body_changed(coverage, body_hashes):
        raise Unreadable("the body has changed")
    return message, coverage


async def _look_up(signatures: list[Signature], resolver: Resolver) -> Records:
    names = {signature.key_name for signature in signatures}
    if len(names) > MOST_LOOKUPS:
        raise Unreadable("too many keys")
    return await look_up(names, resolver)


def _seal_digests(sets: list[_Set]) -> list[bytes]:
    """SHA-256 for each seal, over all sets up to its own (RFC 8617 5.1.1); each is hashed once."""
    digests = []
    hashed = hashlib.sha256()
    for found in sets:
        hashed.update(relaxed_form(found.results.raw) + relaxed_form(found.message.raw))
        sealed = hashed.copy()
        sealed.update(signature_form(found.seal.raw, relaxed=True))
        digests.append(sealed.digest())
        hashed.update(relaxed_form(found.seal.raw))
    return digests


def _check(signature: Signature, digest: bytes, records: Records) -> None:
    """Passes over a key that the DNS did not give: the others may say already that it fails."""
    found = records[signature.key_name]
    if found is None:
        return
    where = f"at {signature.key_name}"
    try:
        key = usable_key(found, signature.algorithm)
    except Unreadable as error:
        raise Unreadable(f"{error} {where}") from None
    if key.testing:
        raise Unreadable(f"only a test, t=y {where}")
    if not key.verifies(digest, signature.value):
        name = signature.field.name.decode()
        raise Unreadable(f"{name} of {signature.domain} does not hold")


def _position(field: RawField) -> int:
    if field.name != _RESULTS:
        position = read_tags(field.value).get("i", "")
        return int(position) if _POSITION.fullmatch(position) else 0
    found = _RESULTS_POSITION.match(field.value)
    return int(found[1]) if found else 0


def _said(results: RawField) -> bytes:
    """RFC 8617 4.1.1: what stands behind the position is like Authentication-Results."""
    return results.value.replace(b"\r\n", b"").partition(b";")[2].strip()
