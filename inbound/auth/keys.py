"""The public keys that domains publish for their signatures (RFC 6376 3.6, RFC 8301, RFC 8463).

A name may hold other records beside the key, so each record is looked at for whether it can serve the
signature: exactly one must. With two, nobody could say which one the domain meant.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from inbound.auth.dns import DnsTrouble, Resolver
from inbound.auth.tags import Unreadable, decoded, listed, read_tags

ALGORITHMS = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}  # and the type of their keys
_SMALLEST_RSA, _LARGEST_RSA = 1024, 4096  # RFC 8301 3.2; what is larger costs us time
_LARGEST_EXPONENT = 1 << 32
_MOST_RECORDS = 10
_LONGEST_RECORD = 8_000

# The records at each name; None where the DNS does not answer.
Records = Mapping[str, tuple[bytes, ...] | None]


@dataclass(frozen=True)
class Key:
    """A key that can serve a signature.

    Attributes:
        testing: t=y, the domain only tries DKIM out.
        exact: t=s, i= may not name a subdomain.
    """

    public: RSAPublicKey | Ed25519PublicKey
    testing: bool
    exact: bool

    def verifies(self, digest: bytes, signature: bytes) -> bool:
        """Whether this signature is over this SHA-256 (RFC 8463 3: Ed25519 signs the hash too)."""
        try:
            if isinstance(self.public, RSAPublicKey):
                self.public.verify(signature, digest, PKCS1v15(), Prehashed(SHA256()))
            else:
                self.public.verify(signature, digest)
        except (InvalidSignature, ValueError):
            return False
        return True


async def look_up(names: Iterable[str], resolver: Resolver) -> Records:
    """What the DNS has at each of the names, asked all at once and each name once."""
    asked = list(dict.fromkeys(names))
    answers = await asyncio.gather(*(_records(name, resolver) for name in asked))
    return dict(zip(asked, answers, strict=True))


def usable_key(records: tuple[bytes, ...], algorithm: str) -> Key:
    """The one key among a name's records that can serve a signature by this algorithm.

    Raises:
        Unreadable: none can, or more than one.
    """
    if not records:
        raise Unreadable("no key")
    if len(records) > _MOST_RECORDS:
        raise Unreadable("too many records")
    found, reasons = [], []
    for record in records:
        try:
            found.append(_read(record, algorithm))
        except Unreadable as error:
            reasons.append(str(error))
    if len(found) > 1:
        raise Unreadable("more than one key")
    if not found:
        raise Unreadable(reasons[0])
    return found[0]


async def _records(name: str, resolver: Resolver) -> tuple[bytes, ...] | None:
    try:
        return (await resolver.txt(name)).records
    except DnsTrouble:
        return None


def _read(record: bytes, algorithm: str) -> Key:
    if len(record) > _LONGEST_RECORD:
        raise Unreadable("key record too long")
    tags = read_tags(record)
    # RFC 6376 3.6.1: v= need not be there; where it is, it comes first.
    if "v" in tags and (next(iter(tags)) != "v" or tags["v"] != "DKIM1"):
        raise Unreadable("not a DKIM1 key record")
    if tags.get("k", "rsa") != ALGORITHMS[algorithm]:
        raise Unreadable("key of another type")
    if "h" in tags and "sha256" not in listed(tags["h"]):
        raise Unreadable("key not for SHA-256")
    if not {"*", "email"} & set(listed(tags.get("s", "*"))):
        raise Unreadable("key not for mail")
    if "p" not in tags:
        raise Unreadable("key record without a key")
    if not tags["p"]:
        raise Unreadable("key revoked")
    data = decoded("p", tags["p"])
    flags = listed(tags.get("t", ""))
    public = _rsa(data) if algorithm == "rsa-sha256" else _ed25519(data)
    return Key(public, testing="y" in flags, exact="s" in flags)


def _rsa(data: bytes) -> RSAPublicKey:
    try:
        public = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise Unreadable("key cannot be read") from None
    if not isinstance(public, RSAPublicKey):
        raise Unreadable("key cannot be read")
    if not _SMALLEST_RSA <= public.key_size <= _LARGEST_RSA:
        raise Unreadable(f"RSA key of {public.key_size} bits")
    numbers = public.public_numbers()
    if not 3 <= numbers.e <= _LARGEST_EXPONENT or not numbers.e & numbers.n & 1:
        raise Unreadable("RSA key with a strange exponent or modulus")
    return public


def _ed25519(data: bytes) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(data)
    except ValueError:
        raise Unreadable("key cannot be read") from None
