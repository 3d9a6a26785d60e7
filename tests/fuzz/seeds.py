"""What fuzzing begins with: the golden mails, and the awkward cases that the other tests know."""

import re
from functools import cache
from pathlib import Path

MAILS = Path(__file__).parents[1] / "mails"
SMUGGLING = [b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r",
             b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n"]  # fmt: skip
HEADER = b"From: Anna <anna@lab.example>\r\nMessage-ID: <1@lab.example>\r\nSubject: LIST\r\n"
SIGNED = b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n\td=x; h=from; bh=x; b=x\r\n"
OPENING = b"EHLO x\r\nMAIL FROM:<anna@lab.example>\r\nRCPT TO:<share@scans.example>\r\n"
TWO = OPENING + b"RCPT TO:<SHARE@scans.example>\r\n"
MAIL = HEADER + b"\r\nLIST\r\n"


@cache
def mails() -> list[bytes]:
    """The golden mails with what is encoded in them cut down to a few lines."""
    wires = [re.sub(rb"\r?\n", b"\r\n", path.read_bytes()) for path in sorted(MAILS.glob("*.eml"))]
    run = re.compile(rb"((?:[A-Za-z0-9+/]{60,}\r\n){2})(?:[A-Za-z0-9+/]{60,}\r\n)+")
    return [run.sub(rb"\1", wire) for wire in wires]


def sink() -> list[bytes]:
    """One byte that says how it is cut into packets, then what comes over the wire."""
    wires = [
        b"", b".\r\n", b"..\r\n.\r\nQUIT\r\n", b"\r\n.\r\n", b"a\r\n.b\r\n..\r\n.\r\n", SIGNED + b".\r\n",
        SIGNED + b"\r\na  b\t\r\n \r\n\r\n.\r\n", b"Subject: x\r\n\r\n" + b"a" * 300 + b"\r\n.\r\n",
        b"X: " + b"a" * 600 + b"\r\n\r\n.\r\n", MAIL * 20 + b".\r\n",
    ]  # fmt: skip
    wires += [MAIL + form + MAIL + b".\r\n" for form in SMUGGLING]
    wires += [mail[:2_000] + b"\r\n.\r\n" for mail in mails()[:8]]
    return [bytes([number % 256]) + wire for number, wire in enumerate(wires)]


def header() -> list[bytes]:
    blocks = [mail.partition(b"\r\n\r\n")[0] + b"\r\n" for mail in mails()]
    froms = [
        b"anna@lab.example", b"Anna <anna@lab.example>", b'"a, b" <a@b.c>', b"a@b.c, d@e.f", b"x: a@b.c;",
        b"=?utf-8?q?A=2C?= <a@b.c>", b"a@b.c (a (b))", b"<@x:a@b.c>", b"a@[1.2.3.4]", b'"a b"@c.d', b"(((",
        "Änna <anna@lab.example>".encode(), b"\xff <a@b.c>", b"Anna\r\n\t<a@b.c>", b"a@b.c\r\nFrom: d@e.f",
        b"<a@b.c> <d@e.f>", b"xn--a@b.c", b"a.@b.c", b"a@b.c.", b"a..b@c.d", b"=?utf-8?b?YUBiLmM=?=",
    ]  # fmt: skip
    return blocks + [b"From: " + value + b"\r\n" + SIGNED for value in froms]


def dialogue() -> list[bytes]:
    """One byte for the packets, one for the kind of door, then all that a client says."""
    chunk = b"BDAT %d LAST\r\n%b" % (len(MAIL), MAIL)
    said = [
        OPENING + b"DATA\r\n" + MAIL + b".\r\nQUIT\r\n",
        TWO + b"DATA\r\n" + MAIL + b".\r\n" + OPENING + chunk + b"QUIT\r\n",
        TWO + b"BDAT 20\r\n" + MAIL[:20] + b"BDAT %d LAST\r\n" % (len(MAIL) - 20) + MAIL[20:] + b"NOOP\r\n",
        OPENING + b"BDAT 5\r\nFrom:RSET\r\n" + OPENING + chunk,
        OPENING + b"BDAT 0 LAST\r\nBDAT x\r\n" + MAIL,
        OPENING + b"BDAT 20000\r\n" + MAIL, OPENING + b"BDAT 9000 LAST\r\n" + MAIL,
        OPENING + b"BDAT 3\r\nabcDATA\r\nRCPT TO:<share@scans.example>\r\nBDAT 2 LAST\r\n\r\n",
        b"MAIL FROM:<> SIZE=99999999\r\nRCPT TO:<no@x.y>\r\nDATA\r\n" + chunk,
        b"EHLO x\r\nMAIL FROM:<a@b.c> BODY=8BITMIME SMTPUTF8\r\nMAIL FROM:<a@b.c> BODY=BINARYMIME\r\n",
        b"HELO x\r\nHELP\r\nVRFY a\r\nEXPN a\r\nSTARTTLS\r\nAUTH PLAIN AA==\r\n\r\n \r\n\xff\r\nXYZZY\r\n" * 3,
        b"NOOP\r\n" * 210, b"NOOP " + b"a" * 1_500 + b"\r\nNOOP\r\n", b"LHLO x\r\nEHLO y\r\n",
        OPENING + b"DATA\r\nX-Refuse: 1\r\n" + MAIL + b".\r\n" + OPENING + b"DATA\r\nX-Break: 1\r\n" + MAIL + b".\r\n",
        OPENING + b"DATA x\r\nDATA\r\n" + b"a" * 9_000 + b"\r\n.\r\nNOOP\r\n",
    ]  # fmt: skip
    said += [OPENING + b"DATA\r\n" + MAIL + form + OPENING + chunk for form in SMUGGLING]
    lmtp = [line.replace(b"EHLO", b"LHLO") for line in said]
    return [bytes([number, 0]) + line for number, line in enumerate(said)] + [
        bytes([number, 1]) + line for number, line in enumerate(lmtp)
    ]


def split() -> list[bytes]:
    odd = [
        b"", b"\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b--\r\n",
        b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\na\r\n----\r\n',
        b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\na\r\n--b--",
        b"Content-Type: multipart/x; boundary*=utf-8''%C3%A4\r\n\r\n--\xc3\xa4\r\n\r\n--\xc3\xa4--",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n--b \t\r\n--b--x\r\n--bb\r\n--b--",
        b"Content-Type: application/octet-stream; name*0=a; name*1*=%20b\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\n-- scanned --\r\nQUI=\r\nQQ==\r\nQ\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\nContent-Disposition: attachment\r\n\r\n=41=\r\n=4",
        b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny",
        b"Subject: x\r\n\r\nbegin 644 a.stl\r\n#0V%T\r\n`\r\nend\r\n",
        b"Subject: =?utf-8?b?w4Q=?= =?x-unknown?q?=FF?=\r\nContent-Type: text/html; charset=nope\r\n\r\n<p>\xff",
    ]  # fmt: skip
    return [*odd, *(mail[:6_000] for mail in mails())]
