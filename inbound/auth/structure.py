"""A header that cannot be read in two ways: whatever a signature or a person sees, we see too.

Mail programs differ over a field that stands twice, or whose name has a blank before the colon
(RFC 5322 3.6, 2.2): one shows the first, another the last, and a signature may cover either. Such a
mail is refused, whoever sends it.
"""

from inbound.auth.fields import fields
from store.errors import MailRefused

# RFC 5322 3.6: at most once each; RFC 2045 3 for the last three.
_MOST_LINES = 4_000  # each costs the event loop its time before anybody has proved anything
_ONCE = frozenset(
    {
        b"from",
        b"sender",
        b"reply-to",
        b"to",
        b"cc",
        b"subject",
        b"date",
        b"message-id",
        b"in-reply-to",
        b"references",
        b"mime-version",
        b"content-type",
        b"content-transfer-encoding",
    }
)


def check_structure(header: bytes) -> None:
    """Args: the header block, without the empty line that ends it.

    Raises:
        MailRefused: it can be read in two ways; says which field is at fault.
    """
    if header.startswith((b" ", b"\t")):
        raise _refusal("its header begins with the rest of a line")
    if header.count(b"\n") > _MOST_LINES:
        raise MailRefused(554, "5.6.0", f"The header of this mail has over {_MOST_LINES:,} lines.")
    seen = set()
    for name, value in fields(header):
        plain = name.strip().lower()
        if plain not in _ONCE:
            continue
        called = plain.decode().title()
        if value is None or plain != name.lower():
            raise _refusal(f"{called} is not followed by its colon")
        if plain in seen:
            raise _refusal(f"{called} stands twice in its header")
        seen.add(plain)


def _refusal(why: str) -> MailRefused:
    return MailRefused(550, "5.6.0", f"This mail can be read in two ways: {why}.")
