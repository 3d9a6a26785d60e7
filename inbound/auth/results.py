"""What another mail server says it has verified: the Authentication-Results field (RFC 8601).

Anybody can write such a field, so two things count: that it is read by the grammar and never by a
search for words, and that only one is believed, the one that our own server wrote.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inbound.auth.fields import fields

LONGEST = 8 * 1024  # bytes of a field; what is longer is not read
MOST_FIELDS = 50  # that are looked at, from the top
_DEEPEST_COMMENT = 10
_NAME = b"authentication-results"
_ENDS = " \t\r\n"
_BLANKS = re.compile(r"[ \t]++")
_IN_COMMENT = re.compile(r'\\.|[()"]')
_KEYWORD = re.compile(r"[A-Za-z0-9-]++(?<!-)")
_DIGITS = re.compile(r"[0-9]++")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"')
_PAIR = re.compile(r"\\(.)")
_TOKEN = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~\x80-\U0010ffff-]++")  # RFC 2045 5.1
# A property's value without quotes: RFC 5322 atoms, "." and "@", and the ":" of IPv6 addresses. "/"
# and "=" are in it since Gmail writes parts of base64 so (header.b); none of these ends a value.
_BARE = re.compile(r"[!#$%&'*+./0-9:=?@A-Z^_`a-z{|}~\x80-\U0010ffff-]++")
_WORD = re.compile(r"[^ \t();]++")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Fields that a server writes between its Received line and the mail it took; names in X- are too.
_TRACE = {
    _NAME,
    b"received-spf",
    b"return-path",
    b"delivered-to",
    b"dkim-filter",
    b"dmarc-filter",
    b"arc-filter",
    b"arc-seal",
    b"arc-message-signature",
    b"arc-authentication-results",
    b"authentication-results-original",
    b"bimi-location",
    b"bimi-indicator",
}
_FROM_BEST = ("pass", "none", "neutral", "temperror", "permerror", "policy", "softfail", "fail")


@dataclass(frozen=True)
class Result:
    """One thing that was verified.

    Attributes:
        method: "spf", "dkim", "dmarc" and so on, in lower case.
        value: "pass", "fail" and so on, in lower case.
        properties: "smtp.mailfrom" and so on, in lower case, with their values without quotes.
    """

    method: str
    value: str
    properties: Mapping[str, str]


@dataclass(frozen=True)
class Results:
    authserv_id: str  # who says so, as written
    results: tuple[Result, ...]


@dataclass(frozen=True)
class Believed:
    """What our own mail server says.

    Attributes:
        results: of the one field that is believed, each method's worst.
        forged: further fields in our server's name.
    """

    results: tuple[Result, ...]
    forged: int


def read_results(value: bytes) -> Results | None:
    """What a field says, None where it is not written by the grammar (RFC 8601 2.2).

    A result with a property twice is left out, for nobody can say which of the two was meant; and
    with it all else of that method, except of dkim, which speaks once for each signature. So are
    results of another version of a method than the first (2.6).
    """
    if len(value) > LONGEST:
        return None
    try:
        text = value.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t").decode("utf-8").strip(_ENDS)
        return None if _UNPRINTABLE.search(text) else _payload(_Reader(text))
    except (UnicodeDecodeError, _UnreadableError):
        return None


def believed(header: bytes, authserv_id: str) -> Believed:
    """What our own mail server says about a mail.

    The topmost field with our server's id is the only candidate: servers write on top of what they
    get, so what an attacker brings stands below what ours has written. It is believed where it stands

    * above the first Received line. Lines that begin "by <host> with" do not count as the first: a
      server writes them, without "from", when it hands a mail to itself (Gmail has one on top); or
    * right below the topmost run of Received lines whose "by" is our server, with nothing between but
      fields that servers write. There Gmail puts it, and so does Postfix for most milters, which sit
      below its own line. The run lets a second own line pass (a content filter, LMTP).

    Any further Received line ends that place: below it is what came from outside. In a mail without
    any Received line nothing is believed, for then no server of ours has touched it.

    Lines of an attacker that pretend to be of the run gain him nothing: directly below our server's
    line is where his mail begins anyway. So the rule stands on what RFC 8601 5 asks of the server: it
    writes its field into every mail, or removes those which come in its name.

    Within the field a method counts as its worst result; see worst.

    Args:
        authserv_id: our server's, compared without regard to case and a dot at the end.
    """
    ours = _plain(authserv_id)
    place = _Place(ours)
    carrying: list[tuple[bytes, bool]] = []
    looked_at = 0
    for name, value in fields(header):
        place.go_on(name, value)
        if value is None or name.strip().lower() != _NAME:
            continue
        looked_at += 1
        if looked_at <= MOST_FIELDS and ours and _plain(_server_named(value)) == ours:
            # A blank before the colon is no field by RFC 5322 2.2, but some programs read it as one.
            carrying.append((value, place.trusted and name.lower() == _NAME))
    if not carrying:
        return Believed((), 0)
    topmost, trusted = carrying[0]
    read = read_results(topmost) if trusted and place.received else None
    if read is None:
        return Believed((), len(carrying))
    return Believed(worst(read.results), len(carrying) - 1)


def worst(results: Iterable[Result]) -> tuple[Result, ...]:
    """One result for each thing that was verified: the worst that is said of it.

    So nothing that was slipped into a field, by an address that a server has copied there without
    care, makes a result better. A method speaks of the mail as a whole, but dkim of each domain that
    signed. Where good results of one method name different domains, only one of them can be the
    server's: none is left.
    """
    about: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        about.setdefault(_about(result), []).append(result)
    found = []
    for (method, _), same in about.items():
        result = max(same, key=_badness)
        clashing = method != "dkim" and len({_domains(one) for one in same}) > 1
        if result.value != "pass" or not clashing:
            found.append(result)
    return tuple(found)


def named(value: str) -> str:
    """The domain in a property's value, which is "user@domain", "@domain" or "domain"."""
    return _plain(value.rpartition("@")[2])


class _UnreadableError(Exception):
    """The field is not written by the grammar."""


class _Reader:
    """A place in a text. Nothing is read twice and nothing recurses."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def need(self, pattern: re.Pattern[str]) -> str:
        found = self.take(pattern)
        if not found:
            raise _UnreadableError
        return found[0]

    def sees(self, mark: str) -> bool:
        return self.text.startswith(mark, self.at)

    def passes(self, mark: str) -> bool:
        """Steps over a mark, if it is here."""
        found = self.sees(mark)
        self.at += len(mark) if found else 0
        return found

    def ended(self) -> bool:
        return self.at == len(self.text)

    def blank(self) -> bool:
        """Steps over blanks and comments (CFWS); whether there were any."""
        begin = self.at
        self.take(_BLANKS)
        while self.sees("("):
            self._comment()
            self.take(_BLANKS)
        return self.at > begin

    def sign(self, mark: str) -> None:
        """Steps over a mark and what is blank around it."""
        self.blank()
        if not self.passes(mark):
            raise _UnreadableError
        self.blank()

    def value(self) -> str:
        """A token or a quoted string, without the quotes (RFC 2045 5.1)."""
        quoted = self.take(_QUOTED)
        return _PAIR.sub(r"\1", quoted[1]) if quoted else self.need(_TOKEN)

    def _comment(self) -> None:
        """A parenthesis between quotes can be read in two ways: RFC 5322 3.2.2 has no quotes in comments.

        Servers put the sender's address there, and its local part may be "a) dmarc=pass (".
        """
        depth, quoted = 0, False
        for found in _IN_COMMENT.finditer(self.text, self.at):
            mark = found[0]
            if mark == '"':
                quoted = not quoted
            elif mark in "()":
                depth += 1 if mark == "(" else -1
                if quoted or depth > _DEEPEST_COMMENT:
                    break
                if depth == 0:
                    self.at = found.end()
                    return
        raise _UnreadableError


class _Place:
    """Where in a header we are, from the top: whether our server has written what stands here."""

    def __init__(self, ours: str) -> None:
        self.ours = ours
        self.trusted = True
        self.received = False  # any Received line was seen
        self.in_run = False
        self.below_run = False

    def go_on(self, name: bytes, value: bytes | None) -> None:
        """Goes to the next field."""
        name = name.strip().lower()
        if name == b"received":
            self.received = True
            self.trusted = self.trusted and self._passes(value or b"")
            return
        self.below_run = self.below_run or self.in_run
        self.in_run = False
        if value is None or (self.below_run and name not in _TRACE and name[:2] != b"x-"):
            self.trusted = False

    def _passes(self, received: bytes) -> bool:
        """Whether what stands below this Received line may still be our server's."""
        match _words(received):
            case ["from", _, "by", host] if _plain(host) == self.ours and not self.below_run:
                self.in_run = True
                return True
            case ["by", _, "with", _]:
                return not self.in_run and not self.below_run
        return False


def _payload(reader: _Reader) -> Results:
    authserv_id = _server(reader)
    if reader.blank() and (version := reader.take(_DIGITS)):
        if version[0] != "1":
            raise _UnreadableError
        reader.blank()
    if not reader.sees(";"):
        raise _UnreadableError
    results: list[Result] = []
    spoilt: set[str] = set()
    first = True
    while not reader.ended():
        reader.sign(";")
        method = reader.need(_KEYWORD).lower()
        reader.blank()
        if first and method == "none" and reader.ended():
            break
        first = False
        result = _result(reader, method)
        if result is not None:
            results.append(result)
        elif method != "dkim":
            spoilt.add(method)
    return Results(authserv_id, tuple(r for r in results if r.method not in spoilt))


def _server(reader: _Reader) -> str:
    reader.blank()
    return reader.value()


def _result(reader: _Reader, method: str) -> Result | None:
    """What follows a method's name; None for one that cannot be used."""
    usable = True
    if reader.passes("/"):
        reader.blank()
        usable = reader.need(_DIGITS) == "1"
    reader.sign("=")
    value = reader.need(_KEYWORD).lower()
    properties: dict[str, str] = {}
    first = True
    while True:
        apart = reader.blank()
        if reader.ended() or reader.sees(";"):
            return Result(method, value, properties) if usable else None
        if not apart:
            raise _UnreadableError
        kind = reader.need(_KEYWORD).lower()
        reader.blank()
        if first and kind == "reason" and not reader.sees("."):
            reader.sign("=")
            reader.value()
        else:
            reader.sign(".")
            key = f"{kind}.{reader.need(_KEYWORD).lower()}"
            reader.sign("=")
            usable = usable and key not in properties
            properties[key] = _property(reader)
        first = False


def _property(reader: _Reader) -> str:
    """A property's value: a quoted string, that and "@domain", or what needs no quotes."""
    quoted = reader.take(_QUOTED)
    if not quoted:
        value = reader.need(_BARE)
        if value.count("@") > 1 or value.endswith("@"):
            raise _UnreadableError
        return value
    local = _PAIR.sub(r"\1", quoted[1])
    return f"{local}@{reader.need(_TOKEN)}" if reader.passes("@") else local


def _server_named(value: bytes) -> str:
    """In whose name a field is written, even one that is broken behind that."""
    try:
        return _server(_Reader(value[:LONGEST].decode("utf-8", "replace").strip(_ENDS)))
    except _UnreadableError:
        return ""


def _words(received: bytes) -> list[str]:
    """The first four words of a Received line (RFC 5321 4.4), in lower case."""
    reader = _Reader(received[:LONGEST].decode("utf-8", "replace"))
    words: list[str] = []
    try:
        while len(words) < 4:
            reader.blank()
            words.append(reader.need(_WORD).lower())
    except _UnreadableError:
        pass
    return words


def _about(result: Result) -> tuple[str, str]:
    """What was verified: the mail; or, by dkim, the signature of a domain."""
    if result.method != "dkim":
        return result.method, ""
    domain = result.properties.get("header.d") or result.properties.get("header.i", "")
    return "dkim", named(domain)


def _domains(result: Result) -> frozenset[tuple[str, str]]:
    return frozenset((key, named(value)) for key, value in result.properties.items())


def _badness(result: Result) -> int:
    """The greater the worse; a value that we do not know is the worst."""
    return (*_FROM_BEST, result.value).index(result.value)


def _plain(host: str) -> str:
    return host.lower().removesuffix(".")
