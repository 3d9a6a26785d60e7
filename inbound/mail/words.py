"""Encoded words in a header field (RFC 2047), as people were meant to read them."""

import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header

_FOLD = re.compile(r"\r?\n(?=[ \t])")


def decoded_words(value: str) -> str:
    """The text of a field's value, on one line; a value that lies about itself stays as it is.

    mail-parser loses the blank where a line was folded after an encoded word, and so glues an
    address to the case number behind it.
    """
    plain = _FOLD.sub("", value)
    try:
        plain = str(make_header(decode_header(plain)))
    except (LookupError, ValueError, HeaderParseError):
        return " ".join(plain.split())
    return " ".join(plain.split())
