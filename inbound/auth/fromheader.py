"""The author of a mail, from a From field that cannot be read in two ways (RFC 5322 3.6.2).

What other programs show as the author must be who we take for the author: exactly one From field,
with exactly one mailbox, on which two parsers agree.
"""

import re
from email import policy
from email.headerregistry import AddressHeader
from email.utils import getaddresses

from store.errors import MailRefused

# RFC 5322 2.2: a name of printable ASCII without colon. Anything before the colon is part of it.
_FIELD = re.compile(rb"([^\r\n:]*?)([ \t]*):(.*(?:\r\n[ \t].*)*)")
_PLAIN_ADDRESS = re.compile(r"[^@\s<>\"(),:;\\\[\]]+@[^@\s<>\"(),:;\\\[\]]+")


def author_of(header: bytes) -> str:
    """The author's address in lower case.

    Args:
        header: the header block, without the empty line that ends it.

    Raises:
        MailRefused: there is no author, more than one, or one that can be read in two ways.
    """
    fields = [(m.group(1), m.group(2), m.group(3)) for m in _FIELD.finditer(header)]
    froms = [(gap, value) for name, gap, value in fields if name.strip().lower() == b"from"]
    if len(froms) != 1:
        raise _refusal("exactly one From field is needed, with one sender only")
    gap, raw = froms[0]
    if gap or header[:1] in b" \t":
        raise _refusal("the From field is not written as RFC 5322 asks")
    try:
        value = b" ".join(raw.split(b"\r\n")).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise _refusal("the From field is neither ASCII nor UTF-8") from None
    return _one_mailbox(value)


def _one_mailbox(value: str) -> str:
    parsed = policy.default.header_factory("from", value)
    assert isinstance(parsed, AddressHeader)
    others = [address for _, address in getaddresses([value]) if address]
    addresses = parsed.addresses
    if len(addresses) != 1 or len(others) != 1 or any(g.display_name for g in parsed.groups):
        raise _refusal("the From field must name one sender only")
    address = addresses[0].addr_spec
    if others[0].lower() != address.lower() or not _PLAIN_ADDRESS.fullmatch(address):
        raise _refusal("the address in the From field can be read in two ways")
    return address.lower()


def _refusal(why: str) -> MailRefused:
    return MailRefused(550, "5.7.1", f"The sender of this mail is not clear: {why}.")
