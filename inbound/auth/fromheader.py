"""The author of a mail, from a From field that cannot be read in two ways (RFC 5322 3.6.2).

What other programs show as the author must be who we take for the author: exactly one From field,
with exactly one mailbox, on which two parsers agree.
"""

import functools
import re
from email import policy
from email.headerregistry import AddressHeader
from email.utils import getaddresses

from inbound.auth.fields import fields
from store.errors import MailRefused

LONGEST = 1000  # bytes of a From field; the library's parser recurses over longer ones
_PLAIN_ADDRESS = re.compile(r"[^@\s<>\"(),:;\\\[\]]+@[^@\s<>\"(),:;\\\[\]]+")


def author_of(header: bytes) -> str:
    """The author's address in lower case.

    Args:
        header: the header block, without the empty line that ends it.

    Raises:
        MailRefused: there is no author, more than one, or one that can be read in two ways.
    """
    froms = [(name, value) for name, value in fields(header) if _reads_as_from(name)]
    if len(froms) != 1:
        raise _refusal("exactly one From field is needed, with one sender only")
    name, raw = froms[0]
    # RFC 5322 2.2: the colon follows the name at once, and no header begins with a folded line.
    if len(name) != len(b"from") or raw is None or header.startswith((b" ", b"\t")):
        raise _refusal("the From field is not written as RFC 5322 asks")
    if len(raw) > LONGEST:
        raise _refusal("the From field is too long")
    try:
        value = raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise _refusal("the From field is neither ASCII nor UTF-8") from None
    return _one_mailbox(value)


def _reads_as_from(name: bytes) -> bool:
    """Whether any program could take this for From: some forgive blanks around the name."""
    return name.strip().lower() == b"from"


@functools.lru_cache(1024)  # the same few people write again and again
def _one_mailbox(value: str) -> str:
    try:
        parsed = policy.default.header_factory("from", value)
    except Exception:  # noqa: BLE001
        # The library's parser stumbles in many ways over half an address: "<", ".:", "a@[", "((((".
        raise _refusal("the From field cannot be read") from None
    assert isinstance(parsed, AddressHeader)
    others = [address for _, address in getaddresses([value]) if address]
    addresses = parsed.addresses
    if len(addresses) != 1 or len(others) != 1 or any(g.display_name for g in parsed.groups):
        raise _refusal("the From field must name one sender only")
    address = addresses[0].addr_spec
    if others[0].lower() != address.lower() or not _PLAIN_ADDRESS.fullmatch(address):
        raise _refusal("the address in the From field can be read in two ways")
    if address.lower().isascii() != address.isascii():  # the Kelvin sign's small letter is our k
        raise _refusal("the address in the From field is written with a look-alike of a letter")
    return address.lower()


def _refusal(why: str) -> MailRefused:
    return MailRefused(550, "5.7.1", f"The sender of this mail is not clear: {why}.")
