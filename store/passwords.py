"""Passwords of cases: their hashes (Argon2id, RFC 9106), and how often one may be wrong.

19 MiB, two passes: 20 ms, so neither is ever done on the loop. A try is counted before it is judged.
"""

import os
import unicodedata

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

SHORTEST, LONGEST = 8, 200  # characters
_PLAIN = str.maketrans("‘’“”–—", "''\"\"--")
_MEMORY, _PASSES, _LANES, _SALT, _LENGTH = 19 * 1024, 2, 1, 16, 32  # KiB; OWASP's second choice


def plain_form(words: str) -> str:
    """What is hashed: however a keyboard puts accents together, which quotes and dashes a telephone
    makes of plain ones, and however many blanks it writes.
    """
    return " ".join(unicodedata.normalize("NFC", words).translate(_PLAIN).split())


def hash_of(words: str) -> str:
    """A password's hash, with its salt and costs (PHC string format). Blocks."""
    hasher = Argon2id(
        salt=os.urandom(_SALT),
        length=_LENGTH,
        iterations=_PASSES,
        lanes=_LANES,
        memory_cost=_MEMORY,
    )
    return hasher.derive_phc_encoded(plain_form(words).encode())


def is_right(words: str, kept: str) -> bool:
    """Whether these are the words of a hash. Blocks."""
    try:
        Argon2id.verify_phc_encoded(plain_form(words)[:LONGEST].encode(), kept)
    except InvalidKey:
        return False
    return True
