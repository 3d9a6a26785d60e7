"""What is fuzzed, and what must hold for any input: each target raises when it does not."""

import contextlib
import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from email.policy import compat32
from unittest import mock

from inbound.auth.bodyhash import RELAXED, hashes_wanted
from inbound.auth.fields import fields, values
from inbound.auth.fromheader import author_of
from inbound.door import sink as sink_module
from inbound.door.dots import DataReader
from inbound.door.receive import message_id
from inbound.door.sink import MailSink
from inbound.mail import decoding, parts
from inbound.mail.attachments import attachments
from inbound.mail.decoding import decoded
from inbound.mail.parts import Part
from inbound.mail.skeleton import read_contents
from store.errors import MailRefused, Refusal
from tests.fuzz import scans, seeds, speaking
from tests.fuzz.talk import check_talk
from tests.test_auth_bodyhash import relaxed, simple
from tests.test_auth_fields import reference as fields_reference
from tests.test_door_sink import Kept, reference, split_of

LIMIT, HEADER_LIMIT, LONGEST_LINE = 4_096, 512, 256


@dataclass(frozen=True)
class Target:
    """
    Attributes:
        run: raises what is wrong with an input.
        words: what the mutations sprinkle in.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    words: Sequence[bytes]


def packets(data: bytes, seed: int) -> list[bytes]:
    """The same bytes in random pieces; seed 0 leaves them in one."""
    if seed == 0:
        return [data]
    chance, found = random.Random(seed), []
    while data:
        size = chance.choice((1, 1, 2, 3, 7, 40, 700))
        found.append(data[:size])
        data = data[size:]
    return found


# ---------------------------------------------------------------- sink and dots


def check_sink(data: bytes) -> None:
    seed, wire = (data or b"\0")[0], data[1:]
    small = {"HEADER_LIMIT": HEADER_LIMIT, "LONGEST_LINE": LONGEST_LINE}
    with mock.patch.multiple(sink_module, **small):
        _check_sink(packets(wire, seed), wire)


def _check_sink(chunks: list[bytes], wire: bytes) -> None:
    kept = Kept()
    sink = MailSink(kept, LIMIT)
    reader, left, longest = DataReader(sink), None, max(map(len, chunks), default=0)
    for number, chunk in enumerate(chunks):
        left = reader.feed(chunk)
        assert len(reader.held) <= 4
        if left is not None:
            left += b"".join(chunks[number + 1 :])
            break
        assert len(sink.head) <= HEADER_LIMIT + longest + 8
    mail, rest = reference(wire)
    assert left == rest
    if rest is None:
        return
    header, body = split_of(mail)
    assert (sink.problem is None) == _is_clean(mail, header)
    assert len(kept.data) <= LIMIT
    if sink.problem is not None:
        assert sink.problem.code in (550, 552, 554)
        return
    assert kept.data == mail
    assert (sink.size, sink.header) == (len(mail), header)
    assert sink.header_sha256 == hashlib.sha256(header).hexdigest()
    assert sink.body_sha256 == hashlib.sha256(body).hexdigest()
    assert sink.body_hashes == {
        name: hashlib.sha256(relaxed(body) if name == RELAXED else simple(body)).digest()
        for name in hashes_wanted(header)
    }


def _is_clean(mail: bytes, header: bytes) -> bool:
    bare = re.search(rb"\r(?!\n)|(?<!\r)\n|\0", mail)
    long = any(len(line) + 1 > LONGEST_LINE for line in mail.split(b"\r\n")[:-1])
    return not bare and not long and len(mail) <= LIMIT and len(header) <= HEADER_LIMIT


# ---------------------------------------------------------------- the header


def check_header(data: bytes) -> None:
    # The sink lets no bare line end in, and no empty line into the header.
    block = re.sub(rb"\r(?!\n)|(?<!\r)\n|\0", b"", data)
    block = re.sub(rb"(?:\r\n){2,}", b"\r\n", block).removeprefix(b"\r\n")
    assert list(fields(block)) == fields_reference(block)
    assert hashes_wanted(block) <= {"simple", "relaxed"}
    assert all(b"\r\n" not in value for value in values(block, b"from", b"to", b"message-id"))
    known_by = message_id(block)
    assert len(known_by) <= 500
    assert " ".join(known_by.split()) == known_by.strip()
    author = _author_of(block)
    if author is None:
        return
    assert re.fullmatch(r"[^@\s<>\"(),:;\\\[\]]+@[^@\s<>\"(),:;\\\[\]]+", author), author
    assert author == author.lower()
    # Whoever else reads this mail sees no other author, if any. RFC 5322 4.4 lets blanks and comments
    # stand around the dots of an old address.
    readable = block.decode(errors="replace")
    shown = HeaderParser(policy=compat32).parsestr(readable).get_all("from", [])
    assert len(shown) <= 1
    for one in shown:
        assert author in "".join(_without_comments(str(one)).split()).lower()


def _without_comments(value: str) -> str:
    while (less := re.sub(r"\((?:[^()\\]|\\.)*\)", "", value)) != value:
        value = less
    return value


def _author_of(block: bytes) -> str | None:
    try:
        return author_of(block)
    except MailRefused as error:
        refusal = error
    assert (refusal.code, refusal.enhanced) == (550, "5.7.1")
    return None


# ---------------------------------------------------------------- the parts of a mail


class Held:
    """A mail in memory that watches where it is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read_bytes = 0

    def __len__(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> bytes:
        assert 0 <= start <= end
        self.read_bytes += min(end, len(self.data)) - min(start, len(self.data))
        return self.data[start:end]


def check_split(data: bytes) -> None:
    mail = Held(data)
    root = _split(mail)
    assert mail.read_bytes <= (parts.DEEPEST + 2) * (3 * len(data) + 2_000)
    with mock.patch.object(parts, "WINDOW", 64):
        in_windows = _split(Held(data))
    assert (root is None) == (in_windows is None)
    if root is None or in_windows is None:
        return
    assert _shape(root) == _shape(in_windows)
    _check_ranges(root, 0, len(data))
    for part in root.leaves():
        _check_decoded(mail, part)
    try:
        contents = read_contents(mail, root)
        files = attachments(mail, root, lambda pieces: Held(b"".join(pieces)))
    except Refusal:
        return
    assert isinstance(contents.body, str)
    assert len({file.name for file in files}) == len(files)
    for file in files:
        with contextlib.suppress(Refusal):
            assert sum(map(len, file.pieces())) <= 2 * len(data)


def _split(mail: Held) -> Part | None:
    try:
        return parts.split(mail)
    except Refusal:
        return None


def _shape(part: Part) -> list[tuple[int, int, int, str]]:
    below = [*part.children, *([part.mail] if part.mail else [])]
    own = (part.header_start, part.start, part.end, part.type)
    return [own, *(one for child in below for one in _shape(child))]


def _check_ranges(part: Part, start: int, end: int) -> None:
    assert start <= part.header_start <= part.start <= part.end <= end
    at = part.start
    for child in part.children:
        _check_ranges(child, at, part.end)
        at = child.end
    if part.mail:
        _check_ranges(part.mail, part.start, part.end)


def _check_decoded(mail: Held, part: Part) -> None:
    whole = b"".join(decoded(mail, part))
    assert len(whole) <= part.size
    if part.encoding in ("7bit", "8bit", "binary"):
        assert whole == mail.data[part.start : part.end]
    lines = mail.data[part.start : part.end].split(b"\n")
    if part.encoding == "quoted-printable" and max(map(len, lines)) < 64:
        with mock.patch.object(decoding, "_PIECE", 64):
            assert b"".join(decoded(mail, part)) == whole


TARGETS = {
    "sink": Target(
        check_sink,
        seeds.sink,
        [b"\r\n", b"\r", b"\n", b"\0", b".", b"\r\n.\r\n", b"\r\n.", b"..", b" ", b"\t", b"\r\n\r\n",
         b"DKIM-Signature: c=relaxed/relaxed\r\n", b"DKIM-Signature: \r\n", b"c=simple/relaxed;"],
    ),
    "header": Target(
        check_header,
        seeds.header,
        [b"\r\n", b" ", b"\t", b":", b";", b",", b"<", b">", b'"', b"(", b")", b"@", b"\\", b"[", b"]",
         b"From:", b"\r\nFrom: ", b"From ", b"=?utf-8?q?", b"?=", b"=?utf-8?b?", b"a@b.c", b"\xc3\xa4",
         b"\xff", b"Message-ID: ", b"DKIM-Signature: ", b"c=relaxed/", b"\r\n ", b"xn--", b"=40", b"=2C"],
    ),
    "dialogue": Target(
        check_talk,
        seeds.dialogue,
        [b"\r\n", b"\n", b"\r", b"\0", b".", b"\r\n.\r\n", b"EHLO x\r\n", b"HELO x\r\n", b"LHLO x\r\n",
         b"MAIL FROM:<anna@lab.example>\r\n", b"RCPT TO:<share@scans.example>\r\n", b"DATA\r\n",
         b"BDAT 5\r\n", b"BDAT 5 LAST\r\n", b"BDAT 0 LAST\r\n", b" LAST", b"RSET\r\n", b"NOOP\r\n",
         b"QUIT\r\n", b"STARTTLS\r\n", b"XYZZY\r\n", b" SIZE=", b" BODY=8BITMIME", b" SMTPUTF8",
         b"HELP ", b"VRFY ", b"\xff", b"\xc2\xb2", b"X-Refuse: 1\r\n", b"X-Break: 1\r\n", seeds.MAIL],
    ),
    "split": Target(
        check_split,
        seeds.split,
        [b"\r\n", b"\n", b"--", b"--b", b"--b--", b"\r\n--b\r\n", b"\r\n--b--\r\n", b";", b"=", b'"', b"*",
         b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: message/rfc822\r\n",
         b"Content-Type: text/html; charset=", b"Content-Transfer-Encoding: base64\r\n", b"utf-7", b"\xff",
         b"Content-Transfer-Encoding: quoted-printable\r\n", b"Content-Transfer-Encoding: x-uuencode\r\n",
         b"Content-Disposition: attachment; filename=", b"filename*=utf-8''%C3", b"name*0*=", b"\r\n\r\n",
         b"=?utf-8?q?", b"?=", b"begin 644 a.stl\r\n", b"\r\n`\r\nend\r\n", b"=ybegin line=128 ", b"\0"],
    ),
    "verdict": Target(
        speaking.check_verdict,
        speaking.verdicts,
        [b"anna@lab.example", b"lab.example", b"attacker.example", b"\r\nFrom: ", b"\r\n ", b"<", b">", b",",
         b";", b"d=", b"d=lab.example;", b"i=@lab.example;", b"h=from:", b"h=from:to:date:subject;", b"l=0;",
         b"s=s;", b"b=", b"bh=", b"c=simple/simple;", b"a=rsa-sha1;", b"DKIM-Signature: ", b"=?utf-8?q?",
         b"Authentication-Results: scans.example; dmarc=pass header.from=lab.example\r\n", b"\0", b"\xff",
         b"Received: from x by mx.relay.example\r\n", b"ARC-Seal: i=1; cv=none; d=trusted.example; ", b"("],
    ),
    "results": Target(
        speaking.check_results,
        speaking.results,
        [b";", b"=", b"(", b")", b'"', b"\\", b" ", b"\r\n\t", b"pass", b"dmarc=pass", b"spf=", b"/1", b"@",
         b"header.from=", b"smtp.mailfrom=", b"mx.relay.example", b"Received: by ", b"\xff", b"\0", b"none"],
    ),
    "said": Target(
        speaking.check_said,
        speaking.said,
        [b"\n", b"\n\n", b" ", b"> ", b"REVOKE", b"DELETE", b"STATUS", b"EXTEND 7", b"CODE 123456", b"-- \n",
         b"On Monday Kim wrote:\n", b"From: ", b"-----Original Message-----\n", b"[EXTERNAL] ", b"*", b"<div>",
         "\u200b".encode(), "\uff32".encode(), "\u201c".encode(), "删除".encode(), b"CAUTION: ", b"\xff", b"@",
         b"<blockquote>", b"</div>", b'style="display:none"', b"&#82;", b"ADD kim@clinic.example", b"C-1042"],
    ),
    "report": Target(
        speaking.check_report,
        speaking.reports,
        [b"\r\n", b":", b";", b"Status: 5.1.1\r\n", b"Action: failed\r\n", b"Final-Recipient: rfc822; ", b"4.2.2",
         b"Diagnostic-Code: smtp; 550 ", b"message/delivery-status", b"message/feedback-report", b"--", b"\xff",
         b"Content-Transfer-Encoding: base64\r\n", b"X-Failed-Recipients: ", b"\r\n\r\n", b"5.7.1", b"\0", b"("],
    ),
    **{name: Target(*row) for name, row in scans.ROWS.items()},
}  # fmt: skip
