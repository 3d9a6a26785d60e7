"""The mail inside an S/MIME signature (application/pkcs7-mime; RFC 8551 3.5.2, RFC 5652).

The signature is NOT verified: who speaks is told elsewhere (inbound/auth), and what comes out here has
no more authority than the mail around it. Encrypted mails are only recognised.

A few elements of ASN.1 (X.690) are walked by hand, in DER and in the BER that mail programs stream:
lengths left open, content cut into many octet strings. Nothing is kept, and no length is believed
before its bytes have come.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from inbound.mail.parts import Part
from store.errors import Refusal

Kind = Literal["signed", "enveloped", "compressed", "unknown"]

DEEPEST = 12
MOST_ELEMENTS = 2_000_000  # a program that wraps each line of 60 MB on its own writes a million
LARGEST_HEAD = 64 * 1024  # bytes of one element before the content: names of hash functions
_SMIME = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_ANY = "application/octet-stream"
_AGAIN = "Send it once more without S/MIME."
_PIECE = 1 << 20
_INTEGER, _OCTETS, _OID, _SEQUENCE, _CONTENT = 0x02, 0x04, 0x06, 0x30, 0xA0
_CONSTRUCTED = 0x20
_END = (0, 0)  # closes what was begun without a length
_KINDS: dict[bytes, Kind] = {
    bytes.fromhex("2a864886f70d010702"): "signed",  # 1.2.840.113549.1.7.2
    bytes.fromhex("2a864886f70d010703"): "enveloped",
    bytes.fromhex("2a864886f70d010706"): "enveloped",  # encryptedData
    bytes.fromhex("2a864886f70d0109100117"): "enveloped",  # authEnvelopedData, RFC 5083
    bytes.fromhex("2a864886f70d0109100109"): "compressed",  # RFC 3274
}


def is_mail(part: Part) -> bool:
    """By its type, or by its name where a gateway has forgotten the type (RFC 8551 3.2.1)."""
    return part.type in _SMIME or (part.type == _ANY and part.name.lower().endswith(".p7m"))


def kind(der_head: bytes) -> Kind:
    """What a CMS structure is, told from its first bytes."""
    source = _Source([der_head])
    try:
        return _kind(source)
    except Refusal:
        return "unknown"


def signed_content(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The signed bytes, a MIME entity with its header, in pieces of at most a megabyte or so.

    Raises:
        Refusal: this is no signed mail, or it is damaged; before or between pieces.
    """
    source = _Source(pieces)
    if _kind(source) != "signed":
        raise Refusal(f"This mail is wrapped in S/MIME in a way that is not read here. {_AGAIN}")
    source.expect(_CONTENT)
    source.expect(_SEQUENCE)
    source.take_small(_INTEGER)  # version
    source.skip(*source.header(), DEEPEST)  # digest algorithms
    length = source.expect(_SEQUENCE)
    end = None if length is None else source.at + length
    source.take_small(_OID)  # content type
    # Behind a sequence without content come the certificates, which have the same tag.
    if source.at == end or source.header()[0] != _CONTENT:
        raise Refusal(f"This mail holds a signature and not what was signed. {_AGAIN}")
    yield from _joined(source.octets(*source.header(), DEEPEST))


def _damaged() -> Refusal:
    return Refusal(f"This mail is signed (S/MIME) and was damaged on its way. {_AGAIN}")


def _kind(source: "_Source") -> Kind:
    source.expect(_SEQUENCE)
    return _KINDS.get(source.take_small(_OID), "unknown")


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in larger pieces: some programs cut after each line."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _PIECE:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


class _Source:
    """ASN.1 elements out of a stream, each tag and length checked as it comes."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = iter(pieces)
        self.piece = b""
        self.used = 0  # of the piece
        self.at = 0  # in all
        self.elements = 0

    def take(self, count: int) -> bytes:
        """A few bytes."""
        self.at += count
        found = self.piece[self.used : self.used + count]
        self.used += count
        while len(found) < count:
            self._next_piece()
            self.used = count - len(found)
            found += self.piece[: self.used]
        return found

    def stream(self, count: int) -> Iterator[bytes]:
        """Many bytes, as they come."""
        self.at += count
        while count:
            if self.used >= len(self.piece):
                self._next_piece()
            found = self.piece[self.used : self.used + min(count, _PIECE)]
            self.used += len(found)
            count -= len(found)
            yield found

    def header(self) -> tuple[int, int | None]:
        """The tag and the length of the next element; None is a length left open."""
        self.elements += 1
        tag, length = self.take(2)
        if self.elements > MOST_ELEMENTS or tag & 0x1F == 0x1F:  # long tags occur nowhere in CMS
            raise _damaged()
        if length < 0x80:
            return tag, length
        if length == 0x80:
            if not tag & _CONSTRUCTED:
                raise _damaged()
            return tag, None
        if length > 0x88:
            raise _damaged()
        return tag, int.from_bytes(self.take(length & 0x7F), "big")

    def expect(self, tag: int) -> int | None:
        found, length = self.header()
        if found != tag:
            raise _damaged()
        return length

    def take_small(self, tag: int) -> bytes:
        found, length = self.header()
        if found != tag or length is None or length > 64:
            raise _damaged()
        return self.take(length)

    def skip(self, tag: int, length: int | None, deepest: int) -> None:
        if length is None:
            for child in self._children(None, deepest):
                self.skip(*child, deepest - 1)
        elif (tag, length) == _END or length > LARGEST_HEAD:
            raise _damaged()
        else:
            for _ in self.stream(length):
                pass

    def octets(self, tag: int, length: int | None, deepest: int) -> Iterator[bytes]:
        """The bytes of an octet string, of whatever strings it is made up (X.690 8.7)."""
        if tag == _OCTETS and length is not None:
            yield from self.stream(length)
        elif tag == _OCTETS | _CONSTRUCTED:
            for child in self._children(length, deepest):
                yield from self.octets(*child, deepest - 1)
        else:
            raise _damaged()

    def _children(self, length: int | None, deepest: int) -> Iterator[tuple[int, int | None]]:
        """The header of each child; whoever asks for the next has read the last one."""
        if not deepest:
            raise _damaged()
        end = None if length is None else self.at + length
        while end is None or self.at < end:
            header = self.header()
            if header == _END:
                if end is None:
                    return
                raise _damaged()
            yield header
        if self.at != end:
            raise _damaged()

    def _next_piece(self) -> None:
        piece = next(self.pieces, None)
        while piece == b"":
            piece = next(self.pieces, None)
        if piece is None:
            raise _damaged()
        self.piece, self.used = piece, 0
