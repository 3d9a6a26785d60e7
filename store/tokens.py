"""Tokens: 26 letters that say which case and which person, never who is speaking.

A token is an HMAC under the case's key over purpose, person and generation, so that a reminder or
RESEND can print it again while the database holds only its hash. It dies with the key.
Lower-case base32 survives mail systems that fold the case of a local part; 26 letters are 130 bits.
"""

import base64
import hashlib
import hmac
import re
import secrets
from enum import StrEnum

LENGTH = 26
_SHAPE = re.compile(r"[a-z2-7]{26}")
# No I, L, O, U: an id that is read out over the telephone stays right.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class MasterPurpose(StrEnum):
    """What tokens under the master key are for: they belong to no case."""

    BOUNCE = "bounce"  # bounce+<token>@DOMAIN, the envelope sender of one letter
    CONFIRM = "confirm"  # BASE_URL/c/<token>, a click that is waited for
    UPLOAD = "upload"  # BASE_URL/u/<token>, a page that takes files
    FORM = "form"  # what the forms of these pages bring back


class Purpose(StrEnum):
    LINK = "link"  # BASE_URL/r/<token>
    REPLY = "reply"  # share+<token>@DOMAIN


def derive(key: bytes, purpose: Purpose, person_id: str, generation: int) -> str:
    message = f"{purpose}|{person_id}|{generation}".encode()
    return _base32(hmac.digest(key, message, "sha256"))


def derive_for_page(key: bytes, what: str, person_id: str, once: str) -> str:
    """What follows from one page that was shown: two taps on its button come to the same."""
    return _base32(hmac.digest(key, f"page|{what}|{person_id}|{once}".encode(), "sha256"))


def form_key(key: bytes, shown_to: str) -> str:
    """What a form of ours brings back, where a browser does not say which page sent it."""
    return _base32(hmac.digest(key, f"form|{shown_to}".encode(), "sha256"))


def derive_from_master(master: bytes, purpose: MasterPurpose, row_id: str) -> str:
    return _base32(hmac.digest(master, f"token|{purpose}|{row_id}".encode(), "sha256"))


def has_shape(text: str) -> bool:
    """Whether a text could be a token at all: saves the database a question."""
    return _SHAPE.fullmatch(text) is not None


def fingerprint(token: str) -> str:
    """What is stored of a token or of a session: SHA-256, in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_id() -> str:
    """A fresh random id for a row, 26 letters."""
    return _base32(secrets.token_bytes(32))


def derived_id(kind: str, source: str) -> str:
    """The id that always follows from another one, so that a step may run twice."""
    return _base32(hashlib.sha256(f"{kind}|{source}".encode()).digest())


def public_id(case_id: str, length: int = 6) -> str:
    """The case id that people see and say, such as "7F3KQ2": derived, and no secret."""
    number = int.from_bytes(hashlib.sha256(f"public|{case_id}".encode()).digest())
    letters = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        letters.append(_ALPHABET[digit])
    return "".join(letters)


def _base32(digest: bytes) -> str:
    return base64.b32encode(digest).decode().lower()[:LENGTH]
