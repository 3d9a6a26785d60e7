"""Which parts of a mail are what its sender says, and not files."""

import re

from inbound.mail.decoding import decoded
from inbound.mail.parts import Part, Windows
from inbound.scans.sniff import HEAD, Format, sniff

SAID = frozenset({"text/plain", "text/html"})
UUENCODED = frozenset({"x-uuencode", "uuencode", "x-uue", "uue"})  # as an encoding of a whole part
# Other forms of what is said; what people read is in the plain or HTML text beside them.
_ALSO_SAID = frozenset({"text/calendar", "text/enriched", "text/x-amp-html", "text/watch-html"})
# What mail programs add for each other.
_MACHINES = frozenset(
    {
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-signature",
        "application/pgp-keys",
        "application/applefile",  # RFC 1740: what a Mac knows of the file beside it
        "message/delivery-status",
        "message/global-delivery-status",
        "message/disposition-notification",
        "message/global-disposition-notification",
        "message/feedback-report",
        "message/global-headers",
        "text/rfc822-headers",
    }
)
# Signatures whose type a gateway has forgotten, and texts that Exchange has turned into files.
_MACHINES_NAMES = re.compile(r"smime\.p7s|ATT\d{5}\.(?:txt|html?)", re.IGNORECASE)
_FACET = re.compile(rb"(?m)^[ \t]*(?:facet|endsolid)\b", re.IGNORECASE)
_VERTEX = re.compile(rb"(?m)^v(?:[ \t]+[-+]?\d[-+.\deE]*){3}")
_SCANS = frozenset({Format.STL, Format.PLY, Format.OBJ, Format.ZIP, Format.TNEF})
_MANY = 10  # lines of corners that nobody writes in a letter


def is_said(mail: Windows, part: Part) -> bool:
    """Whether a leaf is text or HTML that people read.

    A scan that a script has put into the body, without a name, is a file all the same.
    """
    if part.type not in SAID or part.name or part.disposition == "attachment":
        return False
    if part.encoding in UUENCODED:
        return False
    return part.type == "text/html" or not _is_scan(next(decoded(mail, part), b""), part.size)


def is_no_file(mail: Windows, part: Part) -> bool:
    """Whether a leaf is nothing that was sent as a file."""
    if part.headers.get_content_maintype() == "multipart" or part.type in _MACHINES:
        return True
    if _MACHINES_NAMES.fullmatch(part.name) and not _holds_scans(mail, part):
        return True
    if part.type in _ALSO_SAID:
        return not part.name and part.disposition != "attachment"
    return is_said(mail, part)


def _holds_scans(mail: Windows, part: Part) -> bool:
    """Whether a part is a scan or an archive, whatever a program has called it."""
    return sniff(next(decoded(mail, part), b"")[:HEAD], part.size) in _SCANS


def _is_scan(begin: bytes, size: int) -> bool:
    """Whether the lines of a text are a scan's; a letter too may begin with "Solid work"."""
    head = begin[:HEAD]
    kind = sniff(head, size)
    if kind is Format.STL:
        return b"\0" in head or _FACET.search(head) is not None
    if kind is Format.OBJ:
        return len(_VERTEX.findall(head)) >= _MANY
    return kind is Format.PLY
