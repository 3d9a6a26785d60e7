"""Which parts of a mail are what its sender says, and not files."""

from inbound.mail.parts import Part, Windows
from inbound.scans.sniff import HEAD, Format, sniff

SAID = frozenset({"text/plain", "text/html"})
# Other forms of what is said; what people read is in the plain or HTML text beside them.
_ALSO_SAID = frozenset({"text/calendar", "text/enriched", "text/x-amp-html", "text/watch-html"})
# What mail programs add for each other.
_MACHINES = frozenset(
    {
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-signature",
        "application/pgp-keys",
        "message/delivery-status",
        "message/disposition-notification",
        "text/rfc822-headers",
    }
)
_TEXT_SCANS = frozenset({Format.STL, Format.PLY})


def is_said(mail: Windows, part: Part) -> bool:
    """Whether a leaf is text or HTML that people read.

    A scan that a script has put into the body, without a name, is a file all the same.
    """
    if part.type not in SAID or part.headers.get_filename() or part.disposition == "attachment":
        return False
    if part.type == "text/html" or part.encoding in ("base64", "quoted-printable"):
        return True
    head = mail.read(part.start, min(part.end, part.start + HEAD))
    return sniff(head, part.size) not in _TEXT_SCANS


def is_no_file(mail: Windows, part: Part) -> bool:
    """Whether a leaf is nothing that was sent as a file."""
    if part.headers.get_content_maintype() == "multipart" or part.type in _MACHINES:
        return True
    if part.type in _ALSO_SAID:
        return not part.headers.get_filename() and part.disposition != "attachment"
    return is_said(mail, part)
