"""The header of a mail as DKIM signs it: which fields, in which form (RFC 6376 3.4.1, 3.4.2, 5.4.2).

A field's name is taken as the most forgiving program takes it, without blanks around it, so that no
field escapes by a blank; an author's field that is written like that counts for nobody, see
fromheader.py. A line without a colon is no field and can be signed by nobody.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from inbound.auth.fields import raw_fields

_BLANKS = re.compile(rb"[ \t]+")
_WHITE = b" \t\r\n"


@dataclass(frozen=True)
class RawField:
    """A field as it came.

    Attributes:
        name: in lower case, without blanks around it.
        raw: all of it, with the line ends inside it and without the last one.
    """

    name: bytes
    raw: bytes

    @property
    def value(self) -> bytes:
        """What stands behind the colon, still folded."""
        return self.raw.partition(b":")[2]


class Header:
    """The fields of a header block, for signatures to choose from."""

    def __init__(self, header: bytes) -> None:
        self.fields = [
            RawField(name.strip().lower(), raw)
            for raw in raw_fields(header)
            for name, colon, _ in [raw.partition(b":")]
            if colon
        ]
        self.named: defaultdict[bytes, list[RawField]] = defaultdict(list)
        for field in self.fields:
            self.named[field.name].append(field)

    def digest(self, own: RawField, names: Sequence[bytes], *, relaxed: bool) -> bytes:
        """What a signature signs: SHA-256 over the fields it names, and its own without b=."""
        form = relaxed_form if relaxed else simple_form
        hashed = hashlib.sha256()
        for field in self._chosen(own, names):
            hashed.update(form(field.raw))
        hashed.update(signature_form(own.raw, relaxed=relaxed))
        return hashed.digest()

    def covered(self, own: RawField, names: Iterable[bytes]) -> frozenset[bytes]:
        """Of the names, those that are listed as often as there are fields of that name."""
        counted = Counter(names)
        return frozenset(
            name for name, count in counted.items() if count >= len(self._others(name, own))
        )

    def _chosen(self, own: RawField, names: Iterable[bytes]) -> Iterator[RawField]:
        """RFC 6376 5.4.2: of several fields of a name the last is signed first."""
        left: dict[bytes, list[RawField]] = {}
        for name in names:
            if name not in left:
                left[name] = self._others(name, own).copy()
            if left[name]:
                yield left[name].pop()

    def _others(self, name: bytes, own: RawField) -> list[RawField]:
        """RFC 6376 3.7: a signature is never among the fields that it lists."""
        found = self.named.get(name, [])
        return [field for field in found if field is not own] if name == own.name else found


def simple_form(raw: bytes) -> bytes:
    """RFC 6376 3.4.1: as it is."""
    return raw + b"\r\n"


def relaxed_form(raw: bytes) -> bytes:
    """RFC 6376 3.4.2: name in lower case, one line, runs of blanks as one, none at the ends."""
    name, _, value = raw.partition(b":")
    value = _BLANKS.sub(b" ", value.replace(b"\r\n", b""))
    return name.strip(_WHITE).lower() + b":" + value.strip(b" ") + b"\r\n"


def signature_form(raw: bytes, *, relaxed: bool) -> bytes:
    """A signature's own field as it is signed: without the value of b=, without a line end."""
    name, colon, value = raw.partition(b":")
    emptied = name + colon + b";".join(_without_signature(spec) for spec in value.split(b";"))
    return (relaxed_form(emptied) if relaxed else simple_form(emptied)).removesuffix(b"\r\n")


def _without_signature(spec: bytes) -> bytes:
    # RFC 6376 3.5: "including all surrounding white space", which is what stands up to the semicolon.
    tag, equals, _ = spec.partition(b"=")
    return tag + equals if equals and tag.strip(_WHITE) == b"b" else spec
