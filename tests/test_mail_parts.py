"""Where parts lie: against the standard library where both mean the same, and against its limits."""

import base64
import email
import quopri
import tracemalloc
from collections.abc import Callable
from email.message import EmailMessage, Message
from email.policy import SMTP, compat32
from importlib import resources
from time import perf_counter

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
    assert leaves(data) == library_leaves(data)


# Where we read otherwise: 15, 17, 31, 38 and 39 miss a closing line, which is refused here; in 19, 35
# and 47 a line that is no field stands before the blank one, and only the blank one ends a header
# here; 36 and 43 hold an external body and a delivery report, one leaf each for us.
OTHERWISE = {f"msg_{n}.txt" for n in (15, 17, 19, 31, 35, 36, 38, 39, 43, 47)}


def library_mails() -> list[tuple[str, bytes]]:
    folder = resources.files(pytest.importorskip("test.test_email")) / "data"
    found = sorted(folder.iterdir(), key=lambda one: one.name)
    return [(one.name, one.read_bytes()) for one in found if one.name.startswith("msg_")]


def test_the_mails_that_cpython_tests_with_split_as_it_splits_them() -> None:
    differ, seen = {}, 0
    for name, raw in library_mails():
        for data in (raw, raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")):
            try:
                ours = [one for one in leaves(data) if one[0] != "message/rfc822"]
            except Refusal as refusal:
                ours = [("refused", str(refusal).encode())]
            theirs = library_leaves(data)
            if "message/rfc822" in {kind for kind, _ in leaves_or_none(data)}:
                continue  # an attached mail is one leaf for us
            seen += 1
            if ours != theirs:
                differ[name] = (ours, theirs)
    assert seen > 60
    assert set(differ) <= OTHERWISE, {n: differ[n] for n in set(differ) - OTHERWISE}


def leaves_or_none(data: bytes) -> list[tuple[str, bytes]]:
    try:
        return leaves(data)
    except Refusal:
        return []


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
    with pytest.raises(Refusal, match="not ASCII"):
        split(Mail(multipart(b"\r\nx", boundary=boundary)))


def test_an_attached_mail_is_one_leaf() -> None:
    attached = b"Content-Type: message/rfc822\r\n\r\n" + multipart(b"\r\ninner", boundary=b"z")
    assert [part.type for part in split(Mail(multipart(attached))).leaves()] == ["message/rfc822"]


def test_duplicate_fields_count_by_the_first() -> None:
    part = (
        b"Content-Type: model/stl\r\nContent-Type: text/plain\r\n"
        b"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\neA=="
    )
    assert leaves(multipart(part)) == [("model/stl", b"x")]


@pytest.mark.parametrize("written", ["BASE64 ", " Base64", "base64\t"])
def test_the_encoding_is_read_whatever_its_case_and_blanks(written: str) -> None:
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


HOSTILE = {
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
    begun = perf_counter()
    try:
        root = split(mail)
        read_contents(mail, root)
        attachments(mail, root)
    except Refusal:
        pass
    taken = perf_counter() - begun
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
             b"Content-Type: text/html\r\n", b"<p", b">", b"Content-Type: message/rfc822\r\n"]
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
    read_contents(mail, root)
    for attachment in attachments(mail, root):
        b"".join(decoded(mail, attachment.part))


def test_a_whole_mail_written_by_the_library_is_read_back() -> None:
    message = EmailMessage(policy=SMTP)
    message["Subject"] = "x"
    message.set_content("Grüße\n")
    message.add_attachment(bytes(range(256)) * 9, "model", "stl", filename="a.stl")
    mail = Mail(message.as_bytes())
    root: Part = split(mail)
    assert [part.type for part in root.walk()] == ["multipart/mixed", "text/plain", "model/stl"]
    assert b"".join(decoded(mail, root.leaves()[1])) == bytes(range(256)) * 9
