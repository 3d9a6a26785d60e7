"""A mail that nobody sent: what came in by an upload page, written down as RFC 5322 and RFC 2045 say.

Files stand in it byte for byte (RFC 2045 6.2, "binary"): no transport will touch this mail, and base64
would cost a third more disk and a second reading. A boundary of 192 random bits stands in no file.
"""

import base64
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import quote

from store.clock import SECOND

_LONGEST_NAME = 80
_TEXT = b'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
_FILE = (
    "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n"
    "Content-Disposition: attachment; filename*=UTF-8''{}\r\n\r\n"
)


@dataclass(frozen=True)
class Written:
    """What a mail says besides its files.

    Attributes:
        in_reply_to: a Message-ID of ours; empty for none.
    """

    sender: str
    sender_name: str
    recipient: str
    subject: str
    note: str
    message_id: str
    at: int
    in_reply_to: str = ""


@dataclass(frozen=True)
class File:
    name: str
    pieces: Iterable[bytes]


def write(said: Written, files: Iterable[File]) -> tuple[bytes, Iterator[bytes]]:
    """The header block with the empty line behind it, and the body, piece by piece."""
    boundary = secrets.token_hex(24)
    return _header(said, boundary), _body(said.note, files, boundary.encode())


def _header(said: Written, boundary: str) -> bytes:
    local, _, domain = said.sender.rpartition("@")
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(_one_line(said.sender_name)[:_LONGEST_NAME], local, domain)
    mail["To"] = said.recipient
    mail["Subject"] = _one_line(said.subject)  # whole: half an address would be somebody else's
    mail["Date"] = datetime.fromtimestamp(said.at / SECOND, UTC)
    mail["Message-ID"] = said.message_id
    if said.in_reply_to:
        mail["In-Reply-To"] = said.in_reply_to
    mail["MIME-Version"] = "1.0"
    kind = f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\n'
    return mail.as_bytes().removesuffix(b"\r\n") + kind.encode()


def _body(note: str, files: Iterable[File], boundary: bytes) -> Iterator[bytes]:
    yield b"--%b\r\n" % boundary
    yield _TEXT + base64.encodebytes(f"{note}\r\n".encode(errors="replace")).replace(b"\n", b"\r\n")
    for file in files:
        # The line end before a delimiter belongs to the delimiter (RFC 2046 5.1.1).
        yield b"\r\n--%b\r\n" % boundary
        yield _FILE.format(quote(file.name, safe="", errors="replace")).encode()
        yield from file.pieces
    yield b"\r\n--%b--\r\n" % boundary


def _one_line(text: str) -> str:
    """No control or line separator; "=?" is taken apart, or else it would be read as encoded (RFC 2047)."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(plain.replace("=?", "= ?").split())
