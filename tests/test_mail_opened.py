"""A spooled mail laid open: mails within mails, signatures around mails, and what stays closed."""

import base64
import quopri
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from time import process_time

import pytest

from inbound.flow import read_mail
from inbound.mail.attachments import MOST_UNFOLDED
from inbound.mail.opened import OpenedMail
from inbound.mail.parts import MOST_PARTS
from inbound.scans.child import Children
from inbound.scans.sniff import Format
from store.blobs.keys import Keys
from store.blobs.spool import Spool
from store.errors import MailRefused, NotFound, Refusal
from store.house import House
from tests.conftest import jaw_stl
from tests.fakes import DOMAIN
from tests.test_mail_attachments import ATTACHED, JAW, files, inside, scan
from tests.test_mail_parts import HOSTILE, multipart, nested
from tests.test_talk_conversation import deliver, letters_of, said, take_in

LOWER = jaw_stl("lower", 500)
LayOpen = Callable[[bytes], OpenedMail]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", Keys(bytes(32)))


@pytest.fixture
def lay_open(spool: Spool) -> Iterator[LayOpen]:
    with ExitStack() as held:

        def lay_open(data: bytes) -> OpenedMail:
            return held.enter_context(opened(spool, data))

        yield lay_open


def opened(spool: Spool, data: bytes) -> OpenedMail:
    writing = spool.create("mail")
    writing.write(data)
    writing.commit()
    return OpenedMail(spool, "mail")


def found(mail: OpenedMail) -> list[tuple[str, Format, bytes]]:
    return [(file.name, file.format, b"".join(file.pieces())) for file in mail.files()]


def encoded(data: bytes, encoding: str, head: str = "Content-Type: message/rfc822") -> bytes:
    encode = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}[encoding]
    return f"{head}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + encode(data)


# ---------------------------------------------------------------- attached mails that were encoded


ORDER = b"Subject: REVOKE\r\n" + multipart(
    b"\r\nREVOKE", scan(), scan(LOWER), boundary=b"order", end=b"--order--\r\n"
)


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
@pytest.mark.parametrize(
    "head",
    [
        "Content-Type: message/rfc822",
        "Content-Type: message/global; name=order.eml",
        "Content-Type: application/octet-stream; name=order.eml",
        "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=O.EML",
        "Content-Type: text/plain; name=order.eml",
        'Content-Type: application/x; name="=?utf-8?Q?Auftr=C3=A4ge.eml?="',
    ],
)
def test_the_scans_of_an_encoded_mail_are_taken_and_its_text_is_not(
    lay_open: LayOpen, head: str, encoding: str
) -> None:
    mail = lay_open(multipart(b"\r\nhello", encoded(ORDER, encoding, head), scan()))
    assert found(mail) == [
        ("a.stl", Format.STL, JAW),
        ("a (2).stl", Format.STL, LOWER),
        ("a (3).stl", Format.STL, JAW),
    ]
    contents = mail.contents()
    assert (contents.subject, contents.body.strip()) == ("x", "hello")


@pytest.mark.parametrize("head", [b"application/octet-stream", b"text/plain"])
def test_a_mail_whose_type_a_program_forgot_is_read_by_its_name(
    lay_open: LayOpen, head: bytes
) -> None:
    part = b"Content-Type: %b; name=order.eml\r\n\r\n%b" % (head, ORDER)
    mail = lay_open(multipart(b"\r\nhello", part))
    assert [data for _, _, data in found(mail)] == [JAW, LOWER]
    assert mail.contents().body.strip() == "hello"


def test_encoded_and_plain_mails_may_lie_in_each_other(lay_open: LayOpen) -> None:
    deep = encoded(inside(encoded(ORDER, "base64"), mark=b"y"), "quoted-printable")
    assert [name for name, _, _ in found(lay_open(multipart(deep, scan())))] == [
        "a.stl",
        "a (2).stl",
        "a (3).stl",
    ]


def test_an_encoded_mail_that_is_the_whole_mail_says_nothing_of_its_own(lay_open: LayOpen) -> None:
    mail = lay_open(b"Subject: STATUS\r\n" + encoded(ORDER, "base64"))
    assert [data for _, _, data in found(mail)] == [JAW, LOWER]
    assert mail.contents().body == ""


@pytest.mark.parametrize(
    "wrong",
    [
        encoded(ORDER.removesuffix(b"--order--\r\n"), "base64"),  # cut off
        encoded(b"Subject: lunch\r\n\r\nREVOKE", "base64"),  # without files
        encoded(nested(40), "base64"),
        encoded(multipart(*[b"\r\nx"] * 600), "base64"),
        encoded(b"X: " + b"x" * 300_000, "base64"),
        encoded(b"", "base64"),
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n*** no digits",
    ],
)
def test_an_encoded_mail_that_gives_no_file_is_one_and_its_neighbours_are_taken(
    lay_open: LayOpen, wrong: bytes
) -> None:
    mail = lay_open(multipart(b"\r\nhello", wrong, scan()))
    assert [(file.name, file.format) for file in mail.files()] == [
        ("attached mail", Format.MAIL),
        ("a.stl", Format.STL),
    ]


# ---------------------------------------------------------------- what unfolding costs


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_was_unfolded_is_sealed_has_no_name_and_goes_with_the_mail(spool: Spool) -> None:
    before = open_files()
    with opened(spool, multipart(*[encoded(ORDER, "base64")] * 20)) as mail:
        assert len(mail.files()) == 40
        assert open_files() == before + 21
        assert [path.name for path in spool.root.iterdir()] == ["mail.sealed"]
    assert open_files() == before


def test_a_mail_that_is_refused_while_it_is_opened_leaves_nothing_open(spool: Spool) -> None:
    before = open_files()
    with pytest.raises(Refusal):
        opened(spool, multipart(b"\r\nx", end=b""))
    with pytest.raises(NotFound):
        OpenedMail(spool, "other")
    assert open_files() == before


SMALL = encoded(b"Subject: x\r\n\r\nhi", "base64")
MANY = {
    "many": lambda: multipart(*[SMALL] * (MOST_UNFOLDED + 1)),
    "many of many": lambda: multipart(*[encoded(multipart(*[SMALL] * 20), "base64")] * 20),
    "many parts": lambda: multipart(
        *[encoded(multipart(*[b"\r\nx"] * (MOST_PARTS - 50)), "base64")] * 40
    ),
}


@pytest.mark.parametrize("kind", MANY)
def test_too_many_mails_to_unfold_are_refused(lay_open: LayOpen, kind: str) -> None:
    with pytest.raises(Refusal, match="Too many mails are attached"):
        lay_open(MANY[kind]()).files()


def test_as_many_as_are_allowed_are_read(lay_open: LayOpen) -> None:
    mail = lay_open(multipart(*[SMALL] * MOST_UNFOLDED, scan()))
    assert [file.format for file in mail.files()] == [*[Format.MAIL] * MOST_UNFOLDED, Format.STL]


def deep(levels: int, encoding: str) -> bytes:
    data = b"Subject: x\r\n\r\n" + b"hello\r\n" * 10_000
    for _ in range(levels):
        data = b"Subject: x\r\n" + encoded(data, encoding)
    return data


def large(levels: int) -> bytes:
    """A large mail that a program has called an attachment, several times over."""
    data = multipart(b"Content-Type: model/stl\r\n\r\n" + (b"x" * 76 + b"\r\n") * 150_000)
    for level in range(levels):
        mark = b"l%d" % level
        part = b"Content-Type: application/octet-stream; name=a.eml\r\n\r\n" + data
        data = multipart(part, boundary=mark, end=b"--%b--\r\n" % mark)
    return data


UNFOLDED = {
    **{kind: HOSTILE[kind] for kind in HOSTILE if "attached" in kind or "file" in kind},
    "encoded 30 times": HOSTILE["encoded 30 times"],
    "a digest": HOSTILE["a digest"],
    **MANY,
    "15 levels of base64": lambda: deep(15, "base64"),
    "30 levels of quoted-printable": lambda: deep(30, "quoted-printable"),
    "12 MB ten times": lambda: large(10),
}


@pytest.mark.parametrize("kind", UNFOLDED)
def test_hostile_mails_are_refused_or_laid_open_in_a_second_and_64_mb(
    spool: Spool, kind: str
) -> None:
    data = UNFOLDED[kind]()
    assert cost(spool, data, trace=False)[0] < 1
    assert cost(spool, data, trace=True)[1] < 64 * 1024 * 1024


def cost(spool: Spool, data: bytes, *, trace: bool) -> tuple[float, int]:
    writing = spool.create("mail")
    writing.write(data)
    writing.commit()
    if trace:
        tracemalloc.start()
    begun = process_time()
    with suppress(Refusal), OpenedMail(spool, "mail") as mail:
        mail.contents()
        assert open_files() < 100
        mail.files()
    taken = process_time() - begun
    peak = tracemalloc.get_traced_memory()[1] if trace else 0
    tracemalloc.stop()
    return taken, peak


# ---------------------------------------------------------------- S/MIME


ENTITY = multipart(
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe", scan()
).partition(b"Subject: x\r\n")[2]
OpenSsl = Callable[..., bytes]


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> OpenSsl:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder: Path = tmp_path_factory.mktemp("openssl")

    def run(*words: str, entity: bytes = b"") -> bytes:
        program = ["openssl", *words]
        return subprocess.run(
            program, cwd=folder, input=entity, check=True, capture_output=True
        ).stdout

    run(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", "/CN=Anna Berg", "-keyout", "key", "-out", "certificate"),
    )
    run(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes"),
        *("-subj", "/CN=Dr Kim", "-keyout", "their-key", "-out", "theirs"),
    )
    return run


SIGN = ("-sign", "-nodetach", "-signer", "certificate", "-inkey", "key")
FIELDS = (
    "-from",
    "anna@lab.example",
    "-to",
    f"share@{DOMAIN}",
    "-subject",
    "kim@clinic.example C-1",
)


def on_the_wire(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def wrapped(der: bytes, kind: str = "application/pkcs7-mime; name=smime.p7m") -> bytes:
    head = f"Subject: kim@clinic.example C-1\r\nMessage-ID: <1@lab.example>\r\nContent-Type: {kind}\r\n"
    digits = base64.encodebytes(der).replace(b"\n", b"\r\n")
    return head.encode() + b"Content-Transfer-Encoding: base64\r\n\r\n" + digits


def signed(openssl: OpenSsl, entity: bytes = ENTITY) -> bytes:
    return openssl("cms", *SIGN, "-binary", "-outform", "DER", entity=entity)


def check_opened(mail: OpenedMail) -> None:
    contents = mail.contents()
    assert (contents.subject, contents.body) == ("kim@clinic.example C-1", "Grüße")
    assert found(mail) == [("a.stl", Format.STL, JAW)]


@pytest.mark.parametrize("program", ["smime", "cms"])
@pytest.mark.parametrize("more", [(), ("-binary",), ("-stream",), ("-indef", "-binary")])
def test_a_mail_that_openssl_signs_as_a_whole_is_read_like_any_other(
    lay_open: LayOpen, openssl: OpenSsl, program: str, more: tuple[str, ...]
) -> None:
    data = on_the_wire(openssl(program, *SIGN, *FIELDS, *more, entity=ENTITY))
    assert b"pkcs7-mime" in data
    check_opened(lay_open(data))


@pytest.mark.parametrize(
    "kind",
    [
        "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m",
        'application/x-pkcs7-mime; name="smime.p7m"',
        "application/pkcs7-mime",
        "application/octet-stream; name=smime.p7m",
        "application/octet-stream; name=SMIME.P7M",
    ],
)
def test_a_signed_mail_is_known_by_its_type_or_its_name(
    lay_open: LayOpen, openssl: OpenSsl, kind: str
) -> None:
    check_opened(lay_open(wrapped(signed(openssl), kind)))


def test_a_signed_mail_keeps_its_own_fields_whatever_was_signed(
    lay_open: LayOpen, openssl: OpenSsl
) -> None:
    entity = b"Subject: REVOKE\r\nMessage-ID: <2@x>\r\nAuto-Submitted: no\r\n" + ENTITY
    mail = lay_open(wrapped(signed(openssl, entity)))
    contents = mail.contents()
    assert contents.subject == "kim@clinic.example C-1"
    assert contents.header("message-id") == "<1@lab.example>"
    assert contents.header("content-type").startswith("multipart/mixed")
    assert found(mail) == [("a.stl", Format.STL, JAW)]


def test_a_mail_signed_twice_and_three_times_is_read(lay_open: LayOpen, openssl: OpenSsl) -> None:
    data = ENTITY
    for layers in range(1, 5):
        data = wrapped(signed(openssl, data)).partition(b"<1@lab.example>\r\n")[2]
        mail = lay_open(b"Subject: kim@clinic.example C-1\r\n" + data)
        if layers < 4:
            check_opened(mail)
    # A fourth signature is not taken off for what the mail says, but its files are found.
    assert mail.contents().body == ""
    assert found(mail) == [("a.stl", Format.STL, JAW)]


def test_what_was_signed_may_hold_any_byte_and_any_line_end(
    lay_open: LayOpen, openssl: OpenSsl
) -> None:
    raw = b"Content-Type: model/stl; name=a.stl\nContent-Transfer-Encoding: binary\n\n" + JAW
    mail = lay_open(wrapped(signed(openssl, raw)))
    assert found(mail) == [("a.stl", Format.STL, JAW)]
    odd = b"X-Odd: =?a\0b?q?x?=\nContent-Type: text/plain; charset*=a\0b''x\n\nhello\0 you\n"
    assert lay_open(wrapped(signed(openssl, odd))).contents().body.strip() == "hello you"


def test_a_signature_beside_the_mail_is_quiet(lay_open: LayOpen, openssl: OpenSsl) -> None:
    words = [word for word in SIGN if word != "-nodetach"]
    data = on_the_wire(openssl("smime", *words, *FIELDS, entity=ENTITY))
    assert b"multipart/signed" in data
    check_opened(lay_open(data))


@pytest.mark.parametrize("program", ["smime", "cms"])
@pytest.mark.parametrize("more", [(), ("-stream",)])
def test_an_encrypted_mail_is_refused_in_plain_words(
    lay_open: LayOpen, openssl: OpenSsl, program: str, more: tuple[str, ...]
) -> None:
    encrypted = openssl(program, "-encrypt", "-aes256", *FIELDS, *more, "theirs", entity=ENTITY)
    sentence = (
        "This mail is encrypted (S/MIME) and cannot be opened here. Nothing was done."
        " Send it once more without encryption."
    )
    assert refusal(lay_open, on_the_wire(encrypted)) == sentence
    plain = encrypted.partition(b"C-1\n")[2]
    assert refusal(lay_open, wrapped(signed(openssl, plain))) == sentence  # and signed around it
    der = base64.b64decode(encrypted.partition(b"\n\n")[2])
    assert refusal(lay_open, wrapped(der, "application/octet-stream; name=smime.p7m")) == sentence


def refusal(lay_open: LayOpen, data: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        lay_open(data)
    return str(caught.value)


def test_a_signed_mail_that_was_damaged_or_is_none_is_refused(
    lay_open: LayOpen, openssl: OpenSsl
) -> None:
    whole = signed(openssl)
    assert refusal(lay_open, wrapped(whole[:5_000])) == (
        "This mail is signed (S/MIME) and was damaged on its way. Send it once more without S/MIME."
    )
    cut = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx"
    assert "its end is missing" in refusal(lay_open, wrapped(signed(openssl, cut)))
    for other in (b"", b"plain words", b"\x30\x80\6\1\1"):
        assert "S/MIME" in refusal(lay_open, wrapped(other))


def test_a_mail_signed_as_a_whole_that_was_forwarded_gives_its_scans(
    lay_open: LayOpen, openssl: OpenSsl
) -> None:
    inner = wrapped(signed(openssl))
    for part in (ATTACHED + inner, encoded(inner, "base64"), inner.partition(b"example>\r\n")[2]):
        mail = lay_open(multipart(b"\r\nhello", part))
        assert found(mail) == [("a.stl", Format.STL, JAW)]
        assert mail.contents().body.strip() == "hello"


def test_an_encrypted_mail_that_was_forwarded_is_one_file(
    lay_open: LayOpen, openssl: OpenSsl
) -> None:
    encrypted = openssl("cms", "-encrypt", "-aes256", "-outform", "DER", "theirs", entity=ENTITY)
    mail = lay_open(multipart(b"\r\nhello", ATTACHED + wrapped(encrypted), scan()))
    assert [(file.name, file.format) for file in mail.files()] == [
        ("smime.p7m", Format.OTHER),
        ("a.stl", Format.STL),
    ]


# ---------------------------------------------------------------- what stays closed


PGP = (
    b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=p\r\n\r\n'
    b"--p\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
    b"--p\r\nContent-Type: application/octet-stream; name=encrypted.asc\r\n\r\n-----BEGIN\r\n--p--\r\n"
)
RPMSG = b"Content-Type: application/x-microsoft-rpmsg-message; name=message_v2.rpmsg\r\n\r\nx"
CLOSED = {
    "PGP": (PGP, "is encrypted"),
    "PGP behind a list": (multipart(PGP, b"\r\na footer"), "is encrypted"),
    "PGP behind Exchange": (
        multipart(
            b"\r\n",
            b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1",
            b"Content-Type: application/octet-stream; name=encrypted.asc\r\n\r\nx",
        ),
        "is encrypted",
    ),
    "RPMSG": (multipart(b"\r\nprotected", RPMSG), "protected by Microsoft"),
    "RPMSG by its name": (
        multipart(b"Content-Type: application/octet-stream; name=message.rpmsg\r\n\r\nx"),
        "protected by Microsoft",
    ),
    "a piece": (
        b'Content-Type: message/partial; number=2; total=3; id="a"\r\n\r\nx',
        "one piece of a mail that your program has cut up",
    ),
}


@pytest.mark.parametrize("kind", CLOSED)
def test_a_closed_mail_is_refused_with_what_to_do(lay_open: LayOpen, kind: str) -> None:
    data, reason = CLOSED[kind]
    sentence = refusal(lay_open, data)
    assert reason in sentence
    assert "Nothing was done. Send it" in sentence


@pytest.mark.parametrize("kind", [kind for kind in CLOSED if kind != "a piece"])
def test_a_closed_mail_that_was_attached_closes_no_other(lay_open: LayOpen, kind: str) -> None:
    parts = b"\r\nhello", ATTACHED + CLOSED[kind][0], scan()
    mail = lay_open(multipart(*parts, boundary=b"out", end=b"--out--\r\n"))
    assert mail.contents().body.strip() == "hello"
    assert (found(mail)[-1][1], found(mail)[-1][2]) == (Format.STL, JAW)


# ---------------------------------------------------------------- through the door and the flow


async def test_a_nul_byte_is_refused_at_the_door_with_what_to_do(house: House) -> None:
    head = b"From: anna@lab.example\r\nContent-Type: model/stl; name=a.stl\r\n"
    with pytest.raises(MailRefused, match="A NUL byte is in this mail; send files base64-encoded"):
        await take_in(house, head + b"Content-Transfer-Encoding: binary\r\n\r\n" + JAW[:100])


ENDLESS = {
    "500 levels": lambda: nested(500),
    "10,000 parts": lambda: multipart(*[b"\r\nx"] * 10_000),
    "40,000 headers": lambda: b"A: b\r\n" * 40_000 + b"\r\nhi",
    "a long To": lambda: (
        b"To: " + b", ".join(b"a%d@b.example" % n for n in range(14_000)) + b"\r\n\r\nhi"
    ),
    "a 2 MB text": lambda: b"\r\n" + b"hello world\r\n" * 160_000,
    "a 2 MB line": lambda: b"\r\n" + b"hello " * 170_000,
    "blank lines": lambda: b"\r\n" + b"\r\n" * 100_000,
    "many quotes": lambda: b"\r\n" + b"> " * 300_000,
    "many Ons": lambda: b"\r\n" + b"On " * 50_000 + b"wrote:\r\n",
    "many Froms": lambda: b"\r\n" + b"From: a\r\n" * 20_000,
    "many dashes": lambda: b"\r\n" + b"-" * 200_000 + b"\r\n" + b"_" * 200_000,
    "many verbs": lambda: b"\r\n" + b"hello\r\nREVOKE\r\n" * 50_000,
    "one verb": lambda: b"\r\nREVOKE " + b"kim@clinic.example " * 10_000,
    "addresses": lambda: b"Subject: " + b"a@" * 60_000 + b"\r\n\r\nhi",
    "names": lambda: b"Subject: " + b"Kim " * 30_000 + b"<kim@clinic.example>\r\n\r\nhi",
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_an_endless_mail_is_answered_in_a_second(house: House, kind: str) -> None:
    begin = b"From: Anna Berg <anna@lab.example>\r\n"
    body = ENDLESS[kind]()
    if kind == "40,000 headers":
        with pytest.raises(MailRefused, match="over 4,000 lines"):
            await take_in(house, begin + body)
        return
    mail_id = await take_in(house, begin + body)
    begun = process_time()
    assert not await read_mail(house, Children(), mail_id)
    assert process_time() - begun < 1
    assert [letter.kind for letter in await letters_of(house)] in (["notice"], ["transcript"])


async def test_what_cannot_be_opened_is_answered_once_and_discarded(house: House) -> None:
    begin = b"From: Anna Berg <anna@lab.example>\r\nSubject: =?utf-8?q?M=C3=BCller?=\r\n"
    mail_id, prepared = await deliver(house, begin + PGP)
    assert not prepared
    (letter,) = await letters_of(house)
    assert letter.subject == "Re: Müller"
    assert said(letter).startswith("This mail is encrypted and cannot be opened here.")
    assert mail_id not in house.spool.mail_ids()


def test_without_a_place_to_unfold_an_encoded_mail_is_one_file() -> None:
    """As the parts alone are looked at, without a spool."""
    assert [file.format for file in files(encoded(ORDER, "base64"))] == [Format.MAIL]
