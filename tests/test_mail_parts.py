"""Where parts lie: against the standard library where both mean the same, and against its limits."""

import base64
import email
import quopri
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.message import EmailMessage, Message
from email.policy import SMTP, compat32
from importlib import resources
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.mail.attachments import attachments
from inbound.mail.decoding import decoded
from inbound.mail.parts import DEEPEST, MOST_PARTS, WINDOW, Part, split
from inbound.mail.skeleton import read_contents
from store.errors import Refusal


class Mail(bytes):
    """A mail in memory, read in windows."""

    __slots__ = ()

    def read(self, start: int, end: int) -> bytes:
        return self[start:end]


def leaves(data: bytes) -> list[tuple[str, bytes]]:
    mail = Mail(data)
    return [(part.type, b"".join(decoded(mail, part))) for part in split(mail).leaves()]


def inner_leaves(data: bytes) -> list[tuple[str, bytes]]:
    """The leaves, with those of an attached mail in its place."""
    mail = Mail(data)

    def below(root: Part) -> Iterator[Part]:
        for part in root.leaves():
            yield from below(part.mail) if part.mail else [part]

    return [(part.type, b"".join(decoded(mail, part))) for part in below(split(mail))]


def library_leaves(data: bytes) -> list[tuple[str, bytes]]:
    return [
        (part.get_content_type(), part.get_payload(decode=True) or b"")
        for part in email.message_from_bytes(data, policy=compat32).walk()
        if not part.is_multipart()
    ]


bodies = st.one_of(
    st.binary(max_size=300),
    st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=80).map(
        lambda text: text.encode("latin-1")
    ),
)


@st.composite
def built(draw: Callable, depth: int = 0) -> Message:
    message = Message()
    if 0 < depth < 3 and draw(st.integers(0, 3)) == 0:
        message["Content-Type"] = "message/rfc822"
        message.attach(draw(built(depth + 1)))
        return message
    if depth < 3 and draw(st.booleans()):
        message["Content-Type"] = f"multipart/{draw(st.sampled_from(['mixed', 'related']))}"
        message.set_boundary(
            draw(st.sampled_from(["b", "b-1", "=_x y", "----=_Part.1"])) + str(depth)
        )
        message.preamble = draw(st.sampled_from([None, "", "This is MIME\r\n--b9\r\n"]))
        for child in draw(st.lists(built(depth + 1), min_size=1, max_size=3)):
            message.attach(child)
        return message
    kind = draw(st.sampled_from(["application/octet-stream", "model/stl", "image/png"]))
    message["Content-Type"] = kind
    data = draw(bodies)

    encoding = draw(st.sampled_from(["base64", "quoted-printable"]))
    message["Content-Transfer-Encoding"] = encoding
    encode = base64.encodebytes if encoding == "base64" else quopri.encodestring
    message.set_payload(encode(data).decode("ascii"))
    return message


@settings(max_examples=150, deadline=None)
@given(message=built(), crlf=st.booleans())
def test_made_up_mails_split_as_the_standard_library_splits_them(
    message: Message, crlf: bool
) -> None:
    data = message.as_bytes(policy=compat32)
    data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n" if crlf else b"\n")
    assert inner_leaves(data) == library_leaves(data)


# Where we read otherwise: 15, 17, 31, 38 and 39 miss a closing line, which is refused here; in 19, 35
# and 47 a line that is no field stands before the blank one, and only the blank one ends a header
# here; 16, 36 and 43 hold delivery reports and an external body, one leaf each for us; 42 holds a
# multipart without parts, whose closing line is its body for us; 25 and 41 name no boundary and are
# refused here.
OTHERWISE = {f"msg_{n}.txt" for n in (15, 16, 17, 19, 25, 31, 35, 36, 38, 39, 41, 42, 43, 47)}


def library_mails() -> list[tuple[str, bytes]]:
    folder = resources.files(pytest.importorskip("test.test_email")) / "data"
    found = sorted(folder.iterdir(), key=lambda one: one.name)
    return [(one.name, one.read_bytes()) for one in found if one.name.startswith("msg_")]


def test_the_mails_that_cpython_tests_with_split_as_it_splits_them() -> None:
    differ, seen = {}, 0
    for name, raw in library_mails():
        for data in (raw, raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")):
            try:
                ours = inner_leaves(data)
            except Refusal as refusal:
                ours = [("refused", str(refusal).encode())]
            theirs = library_leaves(data)
            seen += 1
            if ours != theirs:
                differ[name] = (ours, theirs)
    assert seen > 90
    assert set(differ) <= OTHERWISE, {n: differ[n] for n in set(differ) - OTHERWISE}


def multipart(*parts: bytes, boundary: bytes = b"b", end: bytes = b"--b--\r\n") -> bytes:
    head = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=%b\r\n\r\n" % boundary
    return head + b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + end


def test_a_boundary_counts_at_the_begin_of_a_line_only_and_may_be_followed_by_blanks() -> None:
    data = multipart(
        b"\r\nx --b\r\n--bb\r\n --b--\r\n--b- -", b"\r\ny", end=b"--b-- \t\r\nepilogue"
    )
    assert [body for _, body in leaves(data)] == [b"x --b\r\n--bb\r\n --b--\r\n--b- -", b"y"]


def test_doubled_boundary_lines_count_once() -> None:
    data = multipart(b"\r\nx").replace(b"--b\r\n", b"--b\r\n--b\r\n", 1)
    assert [body for _, body in leaves(data)] == [b"x"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"\n", b"\r\n"]), min_size=9, max_size=9))
def test_line_ends_of_both_kinds_may_be_mixed(ends: list[bytes]) -> None:
    """As they are within a signature around a mail, or in an attached mail that was encoded."""
    rows = [b"Subject: x", b"Content-Type: multipart/mixed; boundary=b", b"", b"--b"]
    rows += [b"Content-Transfer-Encoding: base64", b"", b"eA==", b"--b--", b"epilogue"]
    data = b"".join(row + end for row, end in zip(rows, ends, strict=True))
    assert leaves(data) == library_leaves(data) == [("text/plain", b"x")]


@pytest.mark.parametrize("shift", range(-6, 7))
def test_a_boundary_across_the_edge_of_a_window_is_found(shift: int) -> None:
    head = multipart(b"\r\n", end=b"")
    filling = b"a" * (WINDOW - len(head) + shift)
    data = head[:-2] + filling + b"\r\n--b\r\n\r\nsecond\r\n--b--\r\n"
    assert [len(body) for _, body in leaves(data)] == [len(filling), len(b"second")]


@pytest.mark.parametrize("cut", [b"", b"--b", b"--b\r\n", b"--b-", b"--b--x", b"\r\n--b--x\r\n"])
def test_a_mail_without_its_closing_boundary_is_refused_as_incomplete(cut: bytes) -> None:
    with pytest.raises(Refusal, match="incomplete"):
        split(Mail(multipart(b"\r\none", b"\r\ntwo", end=cut)))


def test_an_inner_multipart_that_is_cut_off_is_refused_too() -> None:
    inner = b"Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\nx"
    with pytest.raises(Refusal, match="incomplete"):
        split(Mail(multipart(inner)))


def test_an_inner_multipart_with_the_boundary_of_its_parent_is_refused() -> None:
    inner = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--"
    with pytest.raises(Refusal, match="incomplete"):
        split(Mail(multipart(inner)))


@pytest.mark.parametrize("boundary", ["ü".encode(), "ü".encode("latin-1")])
def test_a_boundary_that_is_not_ascii_is_refused(boundary: bytes) -> None:
    with pytest.raises(Refusal, match="cannot be told apart"):
        split(Mail(multipart(b"\r\nx", boundary=boundary)))


ATTACHED = b"Content-Type: message/rfc822\r\n\r\n"
INNER = multipart(b"\r\ninner", boundary=b"z", end=b"--z--")


def test_an_attached_mail_is_one_leaf_with_its_parts_behind_it() -> None:
    (leaf,) = split(Mail(multipart(ATTACHED + INNER))).leaves()
    assert (leaf.type, leaf.depth) == ("message/rfc822", 1)
    assert leaf.mail is not None
    assert [part.type for part in leaf.mail.walk()] == ["multipart/mixed", "text/plain"]


@pytest.mark.parametrize("kind", [b"message/rfc822", b"message/global", b"Message/RFC822"])
@pytest.mark.parametrize("encoding", [b"", b"7bit", b"8BIT", b"binary", b"7bit;", b'"8bit"'])
def test_an_attached_mail_is_read_under_every_name_and_encoding_that_changes_nothing(
    kind: bytes, encoding: bytes
) -> None:
    head = b"Content-Type: %b\r\nContent-Transfer-Encoding: %b\r\n\r\n" % (kind, encoding)
    assert inner_leaves(multipart(head + INNER)) == [("text/plain", b"inner")]


def test_an_attached_mail_that_is_cut_off_stays_one_leaf() -> None:
    cut = INNER.removesuffix(b"--z--")
    (leaf,) = split(Mail(multipart(ATTACHED + cut))).leaves()
    assert (leaf.type, leaf.mail) == ("message/rfc822", None)


def test_parts_of_a_digest_are_attached_mails() -> None:
    digest = b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n" + INNER + b"\r\n--d--"
    assert inner_leaves(digest) == [("text/plain", b"inner")]


def test_parts_of_attached_mails_count_too() -> None:
    root = split(Mail(multipart(ATTACHED + INNER, b"\r\nx")))
    assert root.count == 5
    many = multipart(*[b"\r\nx"] * 300, boundary=b"z", end=b"--z--")
    with pytest.raises(Refusal, match="more than 500 parts"):
        split(Mail(multipart(ATTACHED + many, ATTACHED + many)))


def test_attached_mails_are_read_to_a_depth() -> None:
    root = split(Mail(ATTACHED * 500 + b"\r\nx"))
    found, levels = root, 0
    while found.mail:
        found, levels = found.mail, levels + 1
    assert levels == DEEPEST
    assert found.type == "message/rfc822"


@pytest.mark.parametrize(
    "charset", ["idna", "undefined", "punycode", "unicode_escape", "utf-7", "hex", "nope", "a\0b"]
)
def test_a_boundary_in_a_charset_that_is_none_is_refused_or_read(charset: str) -> None:
    data = multipart(b"\r\nx").replace(b"boundary=b", f"boundary*={charset}''%ff".encode())
    with pytest.raises(Refusal, match=r"cannot be told apart|incomplete"):
        split(Mail(data))


def test_duplicate_fields_count_by_the_first() -> None:
    part = (
        b"Content-Type: model/stl\r\nContent-Type: text/plain\r\n"
        b"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\neA=="
    )
    assert leaves(multipart(part)) == [("model/stl", b"x")]


@pytest.mark.parametrize(
    "written",
    ["BASE64 ", " Base64", "base64\t", "base64;", "base64 (digits)", '"base64"', "\r\n base64"],
)
def test_the_encoding_is_read_whatever_its_case_blanks_and_signs(written: str) -> None:
    part = f"Content-Transfer-Encoding: {written}\r\n\r\neA==".encode()
    assert leaves(multipart(part))[0][1] == b"x"


def test_the_most_parts_and_the_deepest_nesting_are_still_read() -> None:
    assert len(leaves(multipart(*[b"\r\nx"] * (MOST_PARTS - 1)))) == MOST_PARTS - 1
    assert split(Mail(nested(DEEPEST))).leaves()[0].depth == DEEPEST


def nested(depth: int) -> bytes:
    data = b"\r\nx"
    for level in range(depth):
        mark = b"n%d" % level
        data = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n%b\r\n--%b--\r\n" % (
            mark,
            mark,
            data,
            mark,
        )
    return data


def many_addresses() -> bytes:
    return b"To: " + b", ".join(b"a%d@b.example" % n for n in range(14_000)) + b"\r\n\r\nhi"


def attached(depth: int) -> bytes:
    """Attached mails within each other, each beside a text."""
    data = b"Subject: x\r\n\r\nhi\r\n"
    for level in range(depth):
        mark = b"a%d" % level
        data = multipart(b"\r\nREVOKE", ATTACHED + data, boundary=mark, end=b"--%b--\r\n" % mark)
    return data


def encoded_mails(depth: int) -> bytes:
    data = b"Subject: x\r\n\r\nhi\r\n"
    for _ in range(depth):
        head = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        data = head + base64.encodebytes(data)
    return data


HOSTILE = {
    "500 attached levels": lambda: attached(500),
    "100,000 attached levels": lambda: ATTACHED * 100_000,
    "10,000 attached mails": lambda: multipart(*[ATTACHED + b"Subject: x\r\n\r\nhi"] * 10_000),
    "attached 10,000 parts": lambda: ATTACHED + multipart(*[b"\r\nx"] * 10_000),
    "attached 50,000 headers": lambda: multipart(ATTACHED + b"A: b\r\n" * 40_000 + b"\r\nhi"),
    "attached false boundaries": lambda: ATTACHED * 10 + multipart(b"\r\n" + b"\r\n--bx" * 300_000),
    "attached 30 MB": lambda: ATTACHED * 10 + multipart(b"\r\n" + b"x" * 76 + b"\r\n" * 15_000_000),
    "encoded 30 times": lambda: encoded_mails(30),
    "a digest": lambda: multipart(*[b"\r\nSubject: x\r\n\r\nhi"] * 9_999).replace(
        b"mixed", b"digest"
    ),
    "texts of no charset": lambda: multipart(*[b"\r\n" + b"\xff\x81 gr\xfc\xdfe " * 5_000] * 400),
    "words of no charset": lambda: (
        b"Subject: " + b"=?unknown?q?=ff=fe?= =?x-unknown?q?=fe=81?= " * 5_500 + b"\r\n\r\nhi"
    ),
    "words without end": lambda: b"Subject: " + b"=?x?q?a " * 30_000 + b"\r\n\r\nhi",
    "names of no charset": lambda: multipart(
        *[
            b'Content-Type: a/b; name="'
            + b"=?unknown?q?=ff=fe?= =?utf-8?q?=81?= " * 9
            + b'"\r\n\r\nx'
        ]
        * 100
    ),
    "begins": lambda: b"Subject: x\r\n\r\n" + b"begin 644 a\r\n#86)C\r\n" * 100_000,
    "texts with files": lambda: multipart(*[b"\r\nbegin 644 a\r\n#86)C\r\n`\r\nend\r\n"] * 499),
    "500 levels": lambda: nested(500),
    "10,000 parts": lambda: multipart(*[b"\r\nx"] * 10_000),
    "10,000 empty parts": lambda: multipart(*[b""] * 10_000),
    "50,000 headers": lambda: b"A: b\r\n" * 43_000 + b"\r\nhi",
    "300,000 headers": lambda: b"A: b\r\n" * 300_000 + b"\r\nhi",
    "many addresses": many_addresses,
    "20,000 addresses": lambda: b"To: " + b"a@b.example,\r\n " * 20_000 + b"\r\n\r\nhi",
    "long text": lambda: b"Subject: x\r\n\r\n" + b"hello world\r\n" * 160_000,
    "long text without lines": lambda: b"Subject: x\r\n\r\n" + b"hello " * 350_000,
    "long page": lambda: b"Content-Type: text/html\r\n\r\n" + b"<p>hello</p>" * 160_000,
    "open tags": lambda: b"Content-Type: text/html\r\n\r\n" + b"<a " * 600_000,
    "open comments": lambda: b"Content-Type: text/html\r\n\r\n" + b"<!--" * 600_000,
    "open quotes": lambda: b"Content-Type: text/html\r\n\r\n" + b"<a b='" * 300_000,
    "entities": lambda: b"Content-Type: text/html\r\n\r\n" + b"&" * 2_000_000,
    "false boundaries": lambda: multipart(b"\r\n" + b"\r\n--bx" * 300_000),
    "boundaries within lines": lambda: multipart(b"\r\n" + b"--b" * 600_000),
    "headers of parts": lambda: multipart(*[b"X: " + b"a" * 200_000 + b"\r\n\r\nx"] * 300),
    "blank header lines": lambda: b"Subject:" + b"\r\n " * 60_000 + b"\r\n\r\nhi",
    "parameters": lambda: b"Content-Type: text/plain" + b"; a=b" * 40_000 + b"\r\n\r\nhi",
    "continuations": lambda: (
        b"Content-Type: model/stl"
        + b"".join(b"; name*%d*=a" % n for n in range(15_000))
        + b"\r\n\r\nhi"
    ),
    "encoded words": lambda: b"Subject: " + b"=?utf-8?q?a?= " * 15_000 + b"\r\n\r\nhi",
    "half encoded words": lambda: b"Subject: " + b"=?" * 100_000 + b"\r\n\r\nhi",
    "a preamble": lambda: multipart(b"\r\nx").replace(
        b"\r\n\r\n", b"\r\n\r\n" + b"p" * 30_000_000, 1
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_mails_are_refused_or_read_in_a_second_and_64_mb(kind: str) -> None:
    mail = Mail(HOSTILE[kind]())
    assert cost(mail, trace=False)[0] < 1
    assert cost(mail, trace=True)[1] < 64 * 1024 * 1024


def cost(mail: Mail, *, trace: bool) -> tuple[float, int]:
    if trace:
        tracemalloc.start()
    begun = process_time()
    try:
        root = split(mail)
        read_contents(mail, root)
        attachments(mail, root)
    except Refusal:
        pass
    taken = process_time() - begun
    peak = tracemalloc.get_traced_memory()[1] if trace else 0
    tracemalloc.stop()
    return taken, peak


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: ", b"text/plain",
             b"; charset=", b"x-none", b"utf-7", b"\r\n", b"\r\n\r\n", b"--b\r\n", b"--b--\r\n",
             b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: x\r\n",
             b'Content-Disposition: attachment; filename="', b"filename*0*=utf-8''%41", b"%ff",
             b'"', b"=?utf-8?b?", b"?=", b"\xff", b"Subject: ", b"name*=nope''%e4", b"=", b";",
             b"Content-Type: text/html\r\n", b"<p", b">", b"Content-Type: message/rfc822\r\n",
             b"filename*=idna''%ff", b"charset*=undefined''x", b"=?unicode_escape?q?=5Cud800?=",
             b"=?utf-7?q?+2AA-?=", b"=?a\0b?q?x?=", b"Content-Transfer-Encoding: x-uuencode\r\n",
             b"\r\nbegin 644 a.stl\r\n#86)C\r\n`\r\nend\r\n", b"begin-base64 644 a\r\nYWJj\r\n====\r\n",
             b"=ybegin line=128 size=1 name=\xff\r\n", b"boundary*=idna''%ff", b"\0"]
        ),
        max_size=25,
    ).map(b"".join)
)  # fmt: skip
def test_no_mail_is_more_than_refused(data: bytes) -> None:
    mail = Mail(data)
    try:
        root = split(mail)
    except Refusal:
        return
    try:
        said = read_contents(mail, root)
        found = attachments(mail, root)
    except Refusal:
        return
    f"{said.subject}{said.text}{said.html_text}".encode()
    for attachment in found:
        attachment.name.encode()
        with suppress(Refusal):
            b"".join(attachment.pieces())


def test_a_whole_mail_written_by_the_library_is_read_back() -> None:
    message = EmailMessage(policy=SMTP)
    message["Subject"] = "x"
    message.set_content("Grüße\n")
    message.add_attachment(bytes(range(256)) * 9, "model", "stl", filename="a.stl")
    mail = Mail(message.as_bytes())
    root: Part = split(mail)
    assert [part.type for part in root.walk()] == ["multipart/mixed", "text/plain", "model/stl"]
    assert b"".join(decoded(mail, root.leaves()[1])) == bytes(range(256)) * 9


def test_lines_that_are_no_fields_end_no_header() -> None:
    head = b"Subject : x\r\nbroken line\r\nX-\xc3\x9cber: 1\r\n"
    data = head + b"Content-Type: multipart/mixed;\r\n boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b--\r\n"
    root = split(Mail(data))
    assert root.headers["subject"] == "x"
    assert [body for _, body in leaves(data)] == [b"hi"]


@pytest.mark.parametrize(
    "field",
    [b'Content-Type: text/plain; a="' + b";" * 120_000, b"Content-Type: a/b; " + b"c=d; " * 9_000],
)
def test_parameters_without_number_are_refused_at_once(field: bytes) -> None:
    before = process_time()
    with pytest.raises(Refusal, match="too long"):
        split(Mail(field + b"\r\n\r\nhi"))
    assert process_time() - before < 1


@pytest.mark.parametrize("odd", [b"name*=utf-8''a; name*0=b", b"name*" + b"9" * 5_000 + b"=a"])
def test_parameters_that_rfc_2231_does_not_know_are_no_names(odd: bytes) -> None:
    part = split(Mail(b"Content-Type: model/stl; " + odd + b"\r\n\r\nhi"))
    assert part.name in ("", "a", "b")


@pytest.mark.parametrize("boundary", [b"", b"; boundary=" + b"b" * 201])
def test_a_multipart_without_a_usable_boundary_is_refused_and_as_an_attached_mail_one_file(
    boundary: bytes,
) -> None:
    odd = b"Content-Type: multipart/mixed" + boundary + b"\r\n\r\n--q\r\n\r\nhi\r\n--q--\r\n"
    with pytest.raises(Refusal, match="cannot be told apart"):
        split(Mail(odd))
    attached = multipart(b"\r\nhello", b"Content-Type: message/rfc822\r\n\r\n" + odd)
    assert [part.mail for part in split(Mail(attached)).leaves()] == [None, None]
