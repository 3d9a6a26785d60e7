"""Lists of tags, "v=1; a=rsa-sha256; ...", of DKIM and ARC, and what stands in them (RFC 6376 3.2).

Whatever is not written as the RFC asks is Unreadable as a whole: two readings of a signature would be
two answers to who wrote a mail.
"""

import base64
import binascii
import re

WHITE = " \t\r\n"  # RFC 6376 2.8: folding white space
_LONGEST_NAME = 253  # RFC 1035 2.3.4, written out
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WHITE_RUN = re.compile(r"[ \t\r\n]+")
# RFC 5321 4.1.2 sub-domain, and the underscore, which names in the DNS have and hosts have not.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


class Unreadable(ValueError):
    """Not written as the RFC asks; the text says what, in a few words."""


def read_tags(text: bytes) -> dict[str, str]:
    """The tags of a list; their values without white space at the ends.

    Raises:
        Unreadable: something stands there that is no list of tags, or a tag stands there twice.
    """
    try:
        listed = text.decode("utf-8")  # RFC 8616 3: beside ASCII
    except UnicodeDecodeError:
        raise Unreadable("neither ASCII nor UTF-8") from None
    if _CONTROL.search(listed):
        raise Unreadable("control characters")
    specs = listed.split(";")
    if len(specs) > 1 and not specs[-1].strip(WHITE):
        specs.pop()  # one semicolon may end the list
    found: dict[str, str] = {}
    for spec in specs:
        name, equals, value = spec.partition("=")
        name = name.strip(WHITE)
        if not equals or not _NAME.fullmatch(name):
            raise Unreadable("not a list of tags")
        if name in found:
            raise Unreadable(f"{name[:20]}= stands there twice")
        found[name] = value.strip(WHITE)
    return found


def needed(tags: dict[str, str], name: str) -> str:
    """The value of a tag that must be there and hold something."""
    value = tags.get(name)
    if not value:
        raise Unreadable(f"{name}= is missing")
    return value


def listed(value: str) -> list[str]:
    """The items of a value like "from : to : subject"."""
    return [item.strip(WHITE) for item in value.split(":")]


def decoded(name: str, value: str) -> bytes:
    """The bytes behind a base64 value, in which white space may stand anywhere (RFC 6376 2.10)."""
    try:
        return base64.b64decode(_WHITE_RUN.sub("", value), validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable(f"{name}= is not base64") from None


def host_name(name: str, value: str, *, dots: int = 0) -> str:
    """A name that the DNS may be asked for, in lower case and ASCII (RFC 8616 4: A-labels).

    Args:
        name: of the tag, for the sentence.
        value: what stands in it.
        dots: the least number of dots in it.
    """
    ascii_name = value if value.isascii() else _a_labels(name, value)
    labels = ascii_name.lower().split(".")
    if len(ascii_name) > _LONGEST_NAME or len(labels) <= dots:
        raise Unreadable(f"{name}= is no host name")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise Unreadable(f"{name}= is no host name")
    return ascii_name.lower()


def _a_labels(name: str, value: str) -> str:
    """The ASCII form, only of a name that comes back from it as it was: "ß" would become "ss"."""
    try:
        if len(value) <= _LONGEST_NAME and value.encode("idna").decode("idna") == value:
            return value.encode("idna").decode("ascii")
    except UnicodeError:
        pass
    raise Unreadable(f"{name}= is no host name")
