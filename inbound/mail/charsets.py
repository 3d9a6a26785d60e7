"""Bytes that are text, made readable whatever their label says (RFC 2045 5.2, RFC 2046 4.1.2).

A label is believed strictly, through the superset that programs mean by it. It is overruled where the
bytes are UTF-8 beyond chance: one character is enough under a western label if no pair of western
letters and signs reads like it, three under another single-byte label, ten under a double-byte one
("CAFÉ" before a closing quotation mark of windows-1252 is valid UTF-8, as is many a short word of
Chinese in GBK). Without a usable label UTF-8 is tried, then a guess; nothing fails, and what no charset
explains is U+FFFD.
"""

import re
from encodings.aliases import aliases

from charset_normalizer import from_bytes

GUESSED_FROM = 64 * 1024  # bytes
_LONGEST_LABEL = 40

# Python reads these as text, and no mail is written in them; EBCDIC would hide ASCII words.
_NO_CHARSET = re.compile(
    r".*_codec|rot_13|mbcs|oem|idna|punycode|.*escape|undefined|palmos|charmap"
    r"|cp(?:037|273|424|500|875|1026|1140)"
)
_SUPERSETS = {
    "ascii": "cp1252",
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
    "iso2022_jp": "iso2022_jp_ext",
    "iso2022_jp_1": "iso2022_jp_ext",
}
# Names of mail programs that Python does not know; windows-NNN and cpNNN are one family.
_NICKNAMES = {
    "unicode11utf7": "utf_7",
    "unicode11utf8": "utf_8",
    "utf8mb4": "utf_8",
    "ksc56011992": "euc_kr",
    "iso88598i": "iso8859_8",
    "iso88598e": "iso8859_8",
    "iso2022jpms": "iso2022_jp",
    "cp31j": "cp932",
    "cp20127": "ascii",
    "cp20866": "koi8_r",
    "cp21866": "koi8_u",
    "cp38598": "iso8859_8",
    "cp50220": "iso2022_jp",
    "cp50221": "iso2022_jp",
    "cp50222": "iso2022_jp",
    "cp51932": "euc_jp",
    "cp51936": "gb18030",
    "cp51949": "euc_kr",
    "cp52936": "hz",
    "cp54936": "gb18030",
    "cp65000": "utf_7",
    "cp65001": "utf_8",
    **{f"cp{28590 + n}": f"iso8859_{n}" for n in (*range(2, 12), 13, 14, 15, 16)},
    "cp28591": "latin_1",
}
_NEVER_ALIASED = ("koi8_t", "koi8_u", "cp720", "cp737", "cp856", "cp874", "cp1006")
_WESTERN = {"ascii", "latin_1", "cp1252", "iso8859_15"}
_WIDE = re.compile(r"utf_(?:16|32)")
_STATEFUL = re.compile(r"iso2022|hz")  # escapes among ASCII bytes
_DOUBLE_BYTE = re.compile(r"gb|big5|cp9[345]|euc|shift_jis|johab")
_GUESSES = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("koi8_r", "gb18030", "big5", "cp932", "euc_jp", "cp949"),
]
_LATIN_GUESSES = {"cp1250", "cp1254", "cp1257"}
_BOMS = {  # the longer first: UTF-32 begins like UTF-16
    b"\xef\xbb\xbf": "utf_8_sig",
    b"\xff\xfe\0\0": "utf_32",
    b"\0\0\xfe\xff": "utf_32",
    b"\xff\xfe": "utf_16",
    b"\xfe\xff": "utf_16",
}
_CUT = {"unexpected end of data", "incomplete multibyte sequence", "truncated data"}
_ODD = re.compile("[^\x00-\x7f]")
_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LONE = re.compile("[\ud800-\udfff]")  # UTF-7 can write halves, which no file or letter can hold
_JIS_RUN = re.compile(rb"\x1b\$[@B]((?:[!-~]{2})*)")
_JIS_ASCII = re.compile(rb"\x1b\([BJ]")
_HIGH = bytes(byte | 0x80 for byte in range(256))


def readable_text(data: bytes, charset: str | None) -> str:
    """The text of `data`, without control characters but tab and line ends; never an error."""
    return shown(_decoded(data, _codec(charset)))


def shown(text: str) -> str:
    """A text without what can neither be stored nor seen."""
    return _LONE.sub("\ufffd", _UNSHOWN.sub("", text.removeprefix("\ufeff")))


def is_charset(label: str) -> bool:
    """Whether a label names a charset, or says that its writer did not know it (RFC 1428)."""
    return _codec(label) is not None or "unknown" in label.lower()


def _decoded(data: bytes, codec: str | None) -> str:
    text = _by_bom(data)
    if text is None and codec:
        text = _mislabelled(data, codec)
        if text is None:
            text = _labelled(data, codec)
    if text is None:
        text = _strictly(data, "utf_8")
    if text is None:
        text = _nearly(data, codec) if codec else None
    if text is None:
        text = _nearly(data, "utf_8")
    return _guessed(data) if text is None else text


def _squashed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


# Looked up here and never by codecs.lookup: that imports modules by the sender's word, remembers each
# unknown one, and knows codecs that are no charsets.
_KNOWN = {
    _squashed(name): codec
    for codec in (*aliases.values(), *_NEVER_ALIASED)
    if not _NO_CHARSET.fullmatch(codec)
    for name in (codec, *(alias for alias, known in aliases.items() if known == codec))
} | _NICKNAMES


def _codec(charset: str | None) -> str | None:
    """The codec that a label names, before supersets; None if it names no charset."""
    label = _squashed((charset or "")[:_LONGEST_LABEL].partition(";")[0])
    plain = label.removeprefix("x")
    numbered = re.sub(r"^(?:windows|win|dos|ibm|ansi|ms|codepage)(?:cp)?(?=\d)", "cp", plain)
    return next((_KNOWN[name] for name in (label, plain, numbered) if name in _KNOWN), None)


def _by_bom(data: bytes) -> str | None:
    for mark, codec in _BOMS.items():
        if data.startswith(mark):
            return _strictly(data, codec)
    return None


def _mislabelled(data: bytes, codec: str) -> str | None:
    """The text if it is UTF-8 although its label says otherwise; see above."""
    if data.isascii() and not _WIDE.match(codec):
        return None
    if codec.startswith("utf_8") or _STATEFUL.match(codec):
        return None
    text = _strictly(data, "utf_8")
    if text is None:
        return None
    if _WIDE.match(codec):  # all but never without a zero byte
        return None if b"\0" in data else text
    odd = _ODD.findall(text)
    enough = 10 if _DOUBLE_BYTE.match(codec) else 3
    # Two bytes that begin beyond "Å" may be a capital of windows-1252 with a quotation mark or "®".
    western = codec in _WESTERN and any(letter < "\u0180" or letter > "\u07ff" for letter in odd)
    return text if western or len(odd) >= enough else None


def _labelled(data: bytes, codec: str) -> str | None:
    if codec in ("latin_1", "cp1252"):  # five bytes are not defined; Latin-1 has controls there
        return data.decode("cp1252", "replace")
    text = _strictly(data, _SUPERSETS.get(codec, codec))
    if text is None and _STATEFUL.match(codec) and data.isascii():
        return _vendors_japanese(data) if b"\x1b$" in data else data.decode(codec, "replace")
    return text


def _vendors_japanese(data: bytes) -> str:
    """ISO-2022-JP with the row of circled numbers and "㈱" that Windows added to it."""
    euc = _JIS_RUN.sub(lambda run: run[1].translate(_HIGH), data)
    return _JIS_ASCII.sub(b"", euc).decode("euc_jis_2004", "replace")


def _strictly(data: bytes, codec: str) -> str | None:
    """The text; a last character that a limit cut in two is left out behind others that are whole."""
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        whole = data[: error.start]
        if error.reason in _CUT and not whole.isascii() and error.end == len(data):
            return whole.decode(codec)
    except ValueError:  # some codecs raise no better
        pass
    return None


def _nearly(data: bytes, codec: str) -> str | None:
    """The text if at most one in ten of the characters beyond ASCII is damaged."""
    text = data.decode(_SUPERSETS.get(codec, codec), "replace")
    damaged = text.count("\ufffd")
    beyond = len(text) - len(text.encode("ascii", "ignore"))
    return text if damaged * 10 <= beyond - damaged else None


def _guessed(data: bytes) -> str:
    head = data[:GUESSED_FROM]
    if len(data) > len(head):
        head = head[: max(head.rfind(b"\n"), head.rfind(b" ")) + 1] or head
    matches = from_bytes(head, cp_isolation=_GUESSES)
    best = matches.best()
    if best is None:
        return data.decode("cp1252", "replace")
    codec = best.encoding
    if codec in _LATIN_GUESSES and any(
        match.encoding == "cp1252"
        and (match.chaos, -match.coherence) <= (best.chaos, -best.coherence)
        for match in matches
    ):
        codec = "cp1252"  # of equal guesses the one that most letters are written in
    return data.decode(codec, "replace")
