"""Signs and seals mails for tests, well or badly (RFC 6376, RFC 8463, RFC 8617).

Written the slow way and without a line of what is tested. `sign` and `seal` put their fields on top of
a mail. Whatever a test wants wrong it gives as tags: they stand in the field before it is signed, so
the signature itself is right. Keys are made once a run.
"""

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from inbound.auth.bodyhash import RELAXED, SIMPLE, RelaxedBody, SimpleBody, hashes_wanted
from inbound.auth.dns import NOTHING, Answer, DnsTrouble

NOW = 1_790_000_000
USUAL = ("From", "To", "Subject", "Date", "Message-ID")
RELAXED_BOTH = "relaxed/relaxed"
PrivateKey = RSAPrivateKey | Ed25519PrivateKey
Tags = Mapping[str, str | None]


class Zone(Protocol):
    """Where records can be put: tests.fakedns.FakeDns, or Records below."""

    def add(self, name: str, kind: str, text: str) -> None: ...


class Records:
    """A resolver inside the process: TXT records, and the names that were asked for."""

    def __init__(self) -> None:
        self.texts: defaultdict[str, list[bytes]] = defaultdict(list)
        self.failing: set[str] = set()
        self.questions: list[str] = []

    def add(self, name: str, kind: str, text: str) -> None:
        assert kind == "TXT"
        self.texts[name].append(text.encode())

    def fail(self, name: str) -> None:
        self.failing.add(name)

    async def txt(self, name: str) -> Answer:
        self.questions.append(name)
        if name in self.failing:
            raise DnsTrouble(name)
        return Answer(tuple(self.texts[name]), exists=True) if name in self.texts else NOTHING


@cache
def rsa_key(bits: int = 2048, number: int = 0) -> RSAPrivateKey:
    return generate_private_key(65_537, bits)


@cache
def ed25519_key(number: int = 0) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def pem(key: RSAPrivateKey) -> bytes:
    """For other signers."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def record(key: PrivateKey, tags: Tags | None = None) -> str:
    """The key record of a key; `tags` are added to it, replace some, or (None) take some away."""
    public = key.public_key()
    if isinstance(key, RSAPrivateKey):
        encoding, form = (
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )
    else:
        encoding, form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    usual = {"v": "DKIM1", "k": _kind(key), "p": _base64(public.public_bytes(encoding, form))}
    return "; ".join(_written(usual, tags))


def publish(
    dns: Zone, domain: str, selector: str, key: PrivateKey, tags: Tags | None = None
) -> None:
    """Puts the key where verifiers look for it."""
    dns.add(f"{selector}._domainkey.{domain}", "TXT", record(key, tags))


def sign(
    mail: bytes,
    domain: str,
    selector: str,
    key: PrivateKey,
    *,
    headers: Iterable[str] = USUAL,
    canon: str = RELAXED_BOTH,
    tags: Tags | None = None,
    name: str = "DKIM-Signature",
    joint: str = "; ",
    end: str = "",
    length: int | None = None,
    hashing: type[SHA1 | SHA256] = SHA256,
) -> bytes:
    """The mail with one more signature.

    Args:
        tags: added to the usual ones, in place of them, or (None) instead of having them.
        joint: what stands between tags.
        end: what stands behind the value of b=.
        length: of the body that is signed, for l=.
    """
    headers = list(headers)
    signed = canonical_body(_parted(mail)[1], canon.partition("/")[2] or SIMPLE)[:length]
    usual = {
        "v": "1",
        "a": f"{_kind(key)}-{hashing.name}",
        "c": canon,
        "d": domain,
        "s": selector,
        "t": str(NOW),
        "h": ":".join(headers),
        "bh": _base64(hashlib.new(hashing.name, signed).digest()),
    }
    if length is not None:
        usual["l"] = str(length)
    field = f"{name}: {joint.join(_written(usual, tags))}{joint}b="
    form = canon.partition("/")[0]
    wanted = [item.strip().lower() for item in headers]
    what = b"".join(_header_form(raw, form) + b"\r\n" for raw in _chosen(mail, wanted))
    what += _header_form((field + end.lstrip(" \t\r\n")).encode(), form)
    return f"{field}{_base64(_signature(key, what, hashing))}{end}\r\n".encode() + mail


def seal(
    mail: bytes,
    domain: str,
    selector: str,
    key: PrivateKey,
    *,
    instance: int | None = None,
    results: str = "lists.example; dkim=pass header.d=lab.example",
    cv: str | None = None,
    headers: Iterable[str] = USUAL,
    canon: str = RELAXED_BOTH,
    message_tags: Tags | None = None,
    seal_tags: Tags | None = None,
) -> bytes:
    """The mail with one more set of ARC fields; `message_tags` and `seal_tags` like those of sign."""
    place = len(_arc_fields(mail)) // 3 + 1 if instance is None else instance
    mail = f"ARC-Authentication-Results: i={place}; {results}\r\n".encode() + mail
    mail = sign(
        mail,
        domain,
        selector,
        key,
        headers=headers,
        canon=canon,
        tags={"v": None, "i": str(place), **(message_tags or {})},
        name="ARC-Message-Signature",
    )
    usual = {
        "i": str(place),
        "cv": cv or ("none" if place == 1 else "pass"),
        "a": f"{_kind(key)}-sha256",
        "d": domain,
        "s": selector,
        "t": str(NOW),
    }
    field = f"ARC-Seal: {'; '.join(_written(usual, seal_tags))}; b="
    what = b"".join(_header_form(raw, RELAXED) + b"\r\n" for raw in _arc_fields(mail))
    what += _header_form(field.encode(), RELAXED)
    return f"{field}{_base64(_signature(key, what, SHA256))}\r\n".encode() + mail


def streamed(mail: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Header block and body hashes, as the sink hands them on."""
    header, body = _parted(mail)
    hashes = {SIMPLE: SimpleBody(), RELAXED: RelaxedBody()}
    for made in hashes.values():
        made.update(body)
    wanted = hashes_wanted(header)
    return header, {form: made.digest() for form, made in hashes.items() if form in wanted}


def canonical_body(body: bytes, form: str) -> bytes:
    lines = body.split(b"\r\n")
    if form == RELAXED:
        lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    whole = b"".join(line + b"\r\n" for line in lines)
    return whole or (b"" if form == RELAXED else b"\r\n")


def _parted(mail: bytes) -> tuple[bytes, bytes]:
    if mail.startswith(b"\r\n"):
        return b"", mail[2:]
    header, _, body = mail.partition(b"\r\n\r\n")
    return header + b"\r\n", body


def _fields(mail: bytes) -> list[bytes]:
    return re.split(rb"\r\n(?![ \t])", _parted(mail)[0])[:-1]


def _name(raw: bytes) -> str:
    return raw.partition(b":")[0].decode("latin-1").strip().lower()


def _chosen(mail: bytes, wanted: list[str]) -> list[bytes]:
    left: defaultdict[str, list[bytes]] = defaultdict(list)
    for raw in _fields(mail):
        left[_name(raw)].append(raw)
    return [left[name].pop() for name in wanted if left[name]]


def _arc_fields(mail: bytes) -> list[bytes]:
    """All of them, set by set, in the order in which they are sealed."""
    kinds = ("arc-authentication-results", "arc-message-signature", "arc-seal")
    found = [raw for raw in _fields(mail) if _name(raw) in kinds]

    def place(raw: bytes) -> tuple[int, int]:
        number = re.search(rb"[:; ]i=(\d+)", raw)
        return int(number[1]) if number else 0, kinds.index(_name(raw))

    return sorted(found, key=place)


def _header_form(raw: bytes, form: str) -> bytes:
    if form == SIMPLE:
        return raw
    value = re.sub(rb"[ \t]+", b" ", raw.partition(b":")[2].replace(b"\r\n", b"")).strip(b" \t")
    return _name(raw).encode() + b":" + value


def _written(usual: Mapping[str, str], tags: Tags | None) -> list[str]:
    return [
        f"{tag}={value}" for tag, value in {**usual, **(tags or {})}.items() if value is not None
    ]


def _kind(key: PrivateKey) -> str:
    return "rsa" if isinstance(key, RSAPrivateKey) else "ed25519"


def _signature(key: PrivateKey, what: bytes, hashing: type[SHA1 | SHA256]) -> bytes:
    if isinstance(key, RSAPrivateKey):
        return key.sign(what, PKCS1v15(), hashing())
    return key.sign(hashlib.sha256(what).digest())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
