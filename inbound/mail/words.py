"""Encoded words in a header field (RFC 2047) and in its parameters (RFC 2231), as people meant them.

The standard library's own reading believes every charset a sender names, also what is none ("idna",
"unicode_escape"), and gives up a field in which encoded and raw letters stand side by side.
"""

import binascii
import re
from email.message import Message

from inbound.mail.charsets import is_charset, readable_text, shown

LONGEST = 8_000  # characters of a field that are read; to guess a charset takes its time
_LONGEST_NAME = 1_000  # the same of a file's name, which each of many parts may have
_FOLD = re.compile(r"\r?\n(?=[ \t])")
# RFC 2231 5: the language may stand behind the charset.
_WORD = re.compile(r"=\?([^?*\s]{1,80})(?:\*[^?\s]{0,80})?\?([bq])\?([^?]*)\?=", re.IGNORECASE)


def decoded_words(value: str) -> str:
    """The text of a field's value, on one line; a word that lies about itself stays as it is.

    mail-parser loses the blank where a line was folded after an encoded word, and so glues an
    address to the case number behind it.
    """
    plain = _FOLD.sub("", value)[:LONGEST]
    said, octets, charset, at = [""], b"", "", 0
    for word in _WORD.finditer(plain):
        found = _octets(word)
        if found is None:
            continue
        between = plain[at : word.start()]
        # RFC 2047 6.2: blanks between encoded words are not shown; programs cut characters in two there.
        if between.strip() or word[1].lower() != charset:
            said += [readable_text(octets, charset), between if between.strip() or not at else ""]
            octets = b""
        octets, charset, at = octets + found, word[1].lower(), word.end()
    said += [readable_text(octets, charset), plain[at:]]
    return " ".join(shown("".join(said)).split())


def parameter(headers: Message, name: str, field: str = "content-type") -> str:
    """A parameter of a field; of several with one name the first that is not encoded."""
    try:
        given = headers.get_param(name, "", header=field)
    except (ValueError, TypeError):  # numbered in ways that RFC 2231 does not know
        return ""
    if isinstance(given, str):
        return given
    charset, _, value = given
    try:
        return readable_text(value.encode("latin-1"), charset)  # the library's way to hand on bytes
    except UnicodeEncodeError:  # raw letters beside those that were encoded
        return value


def file_name(headers: Message) -> str:
    """The name of a part, as written: RFC 2183, or what came before it; inside quotes also RFC 2047."""
    disposed = parameter(headers, "filename", "content-disposition")[:_LONGEST_NAME]
    return decoded_words(disposed) or decoded_words(parameter(headers, "name")[:_LONGEST_NAME])


def _octets(word: re.Match[str]) -> bytes | None:
    charset, encoding, text = word.groups()
    if not is_charset(charset):
        return None
    written = text.encode("ascii", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(written, header=True)
    try:
        return binascii.a2b_base64(written + b"=" * (-len(written) % 4))
    except binascii.Error:
        return None
