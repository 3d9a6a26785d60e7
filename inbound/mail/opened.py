"""A spooled mail laid open: its parts, what it says, and its files. Everything here blocks.

A mail that is signed as a whole (S/MIME, opaque) is read as if it were not: the signature is not what
says who speaks (inbound/auth does). One that is encrypted cannot be read, and its author is told.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Self

from inbound.mail import opaque
from inbound.mail.attachments import Attachment, attachments
from inbound.mail.decoding import decoded
from inbound.mail.parts import Part, Windows, split, without_content_fields
from inbound.mail.skeleton import Contents, read_contents
from store.blobs.spool import Spool
from store.errors import Refusal

_LAYERS = 3  # signatures around signatures
_SEND_OPEN = "Nothing was done. Send it once more without encryption."
_ENCRYPTED = f"This mail is encrypted and cannot be opened here. {_SEND_OPEN}"
_PROTECTED = (
    "This mail is protected by Microsoft (message.rpmsg) and cannot be opened here. Nothing was done."
    " Send it once more without protection."
)
_CLOSED = {
    "multipart/encrypted": _ENCRYPTED,
    "application/pgp-encrypted": _ENCRYPTED,  # what Exchange and mailing lists leave of it
    "application/x-microsoft-rpmsg-message": _PROTECTED,
    "message/partial": "This mail is one piece of a mail that your program has cut up. Nothing was"
    " done. Send it in one piece, or the scans in several mails.",
}


class OpenedMail:
    """Use it in a `with`.

    Raises:
        NotFound: the mail has been discarded.
        Refusal: it is over a limit, incomplete, or encrypted.
    """

    def __init__(self, spool: Spool, mail_id: str) -> None:
        self.spool = spool
        self.held = ExitStack()
        try:
            self.mail: Windows = self.held.enter_context(spool.open(mail_id))
            self.root = split(self.mail)
            self._take_off_signatures()
            _refuse_closed(self.root)
        except BaseException:
            self.held.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.held.close()

    def contents(self) -> Contents:
        return read_contents(self.mail, self.root)

    def files(self) -> list[Attachment]:
        return attachments(self.mail, self.root, self._keep)

    def _take_off_signatures(self) -> None:
        for _ in range(_LAYERS):
            if not opaque.is_mail(self.root):
                return
            head = next(decoded(self.mail, self.root), b"")
            if opaque.kind(head) == "enveloped":
                raise Refusal(
                    f"This mail is encrypted (S/MIME) and cannot be opened here. {_SEND_OPEN}"
                )
            self.mail = self._keep(_as_if_unsigned(self.mail, self.root))
            self.root = split(self.mail)

    def _keep(self, pieces: Iterable[bytes]) -> Windows:
        """Bytes that were unpacked, readable in windows until this mail is closed."""
        return self.held.enter_context(self.spool.scratch(pieces))


def _as_if_unsigned(mail: Windows, root: Part) -> Iterator[bytes]:
    """The mail's own header with the header and body that were signed (RFC 8551 3.1)."""
    yield without_content_fields(mail.read(root.header_start, root.start)).rstrip(b"\r\n") + b"\r\n"
    yield from opaque.signed_content(decoded(mail, root))


def _refuse_closed(root: Part) -> None:
    for part in root.walk():
        if part.type in _CLOSED:
            raise Refusal(_CLOSED[part.type])
        if part.name.lower().endswith(".rpmsg"):
            raise Refusal(_PROTECTED)
