"""Mails wrapped in an S/MIME signature: what openssl writes comes out as it went in."""

import datetime as dt
import shutil
import subprocess
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import process_time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.mail.opaque import DEEPEST, kind, signed_content
from store.errors import Refusal

ENTITY = b"Content-Type: text/plain\r\n\r\nTwo scans for Dr Kim.\r\n" * 3
SIGNED = bytes.fromhex("06092a864886f70d010702")
DATA = bytes.fromhex("06092a864886f70d010701")
EOC = b"\0\0"


def content(data: bytes, size: int = 1 << 16) -> bytes:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(signed_content(pieces))


def refusal(data: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        content(data)
    return str(caught.value)


# ---------------------------------------------------------------- written by hand


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def ber(tag: int, *parts: bytes) -> bytes:
    """The same with its length left open."""
    return bytes([tag, 0x80]) + b"".join(parts) + EOC


def signed(octets: bytes, write=der) -> bytes:
    algorithms = der(0x31, der(0x30, bytes.fromhex("0609608648016503040201")))
    inner = write(0x30, DATA, write(0xA0, octets))
    return write(0x30, SIGNED, write(0xA0, write(0x30, b"\2\1\1", algorithms, inner, der(0x31))))


@pytest.mark.parametrize("outer", [der, ber])
@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 70_000, 1 << 20, (2 << 20) + 3])
def test_one_octet_string_is_read_whatever_its_length(outer, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert content(signed(der(4, data[:size]), outer)) == data[:size]


@settings(max_examples=300, deadline=None)
@given(
    chunks=st.lists(st.binary(max_size=300), max_size=12),
    outer=st.sampled_from([der, ber]),
    inner=st.sampled_from([der, ber]),
    nested=st.integers(1, 4),
    cut=st.integers(1, 400),
)
def test_content_in_many_strings_is_joined(chunks, outer, inner, nested: int, cut: int) -> None:
    octets = b"".join(der(4, chunk) for chunk in chunks)
    for _ in range(nested):
        octets = inner(0x24, octets)
    assert content(signed(octets, outer), cut) == b"".join(chunks)


def test_the_kinds_are_told_by_their_identifiers() -> None:
    def head(identifier: str) -> bytes:
        return der(0x30, der(6, bytes.fromhex(identifier)), der(0xA0, b"x" * 300))[:100]

    assert kind(head("2a864886f70d010702")) == "signed"
    assert kind(head("2a864886f70d010703")) == "enveloped"
    assert kind(head("2a864886f70d010706")) == "enveloped"
    assert kind(head("2a864886f70d0109100117")) == "enveloped"
    assert kind(head("2a864886f70d0109100109")) == "compressed"
    assert kind(head("2a864886f70d010701")) == "unknown"
    for junk in (b"", b"0", b"\x30\x80", b"\x30\x80\x06", b"plain words", b"\x30\x03\2\1\1"):
        assert kind(junk) == "unknown"


# ---------------------------------------------------------------- written by programs


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder: Path = tmp_path_factory.mktemp("smime")
    (folder / "entity").write_bytes(ENTITY)
    (folder / "large").write_bytes(ENTITY * 10_000)

    def run(*words: str) -> bytes:
        return subprocess.run(
            ["openssl", *words], cwd=folder, check=True, capture_output=True
        ).stdout

    run(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Anna"),
        *("-keyout", "key", "-out", "certificate"),
    )
    return run


SIGN = ("-sign", "-nodetach", "-signer", "certificate", "-inkey", "key", "-outform", "DER")


@pytest.mark.parametrize("program", ["smime", "cms"])
@pytest.mark.parametrize("more", [(), ("-stream",), ("-indef",), ("-nocerts",), ("-noattr",)])
@pytest.mark.parametrize(("name", "times"), [("entity", 1), ("large", 10_000)])
def test_what_openssl_signs_comes_out(openssl, program: str, more, name: str, times: int) -> None:
    written = openssl(program, *SIGN, "-binary", *more, "-in", name)
    assert kind(written[:4096]) == "signed"
    for size in (7, 1_000, 1 << 20) if times == 1 else (1 << 20,):
        assert content(written, size) == ENTITY * times
    if "-stream" in more:
        assert b"\x24\x80" in written


def test_line_ends_that_openssl_makes_canonical_come_out_as_signed(openssl) -> None:
    written = openssl("smime", *SIGN, "-stream", "-in", "entity")
    assert content(written) == ENTITY


def test_a_signature_in_a_signature_comes_out_layer_by_layer(openssl, tmp_path: Path) -> None:
    (tmp_path / "inner").write_bytes(openssl("cms", *SIGN, "-binary", "-in", "entity"))
    outer = openssl("cms", *SIGN, "-binary", "-stream", "-in", str(tmp_path / "inner"))
    assert content(content(outer)) == ENTITY


@pytest.mark.parametrize("more", [(), ("-stream",)])
@pytest.mark.parametrize("program", ["smime", "cms"])
def test_what_openssl_encrypts_is_recognised_and_not_opened(openssl, program: str, more) -> None:
    written = openssl(
        *(program, "-encrypt", "-aes256", "-outform", "DER", *more, "-in", "entity", "certificate")
    )
    assert kind(written[:4096]) == "enveloped"
    assert refusal(written) == (
        "This mail is wrapped in S/MIME in a way that is not read here."
        " Send it once more without S/MIME."
    )


def test_a_signature_without_its_mail_is_refused(openssl) -> None:
    written = openssl("cms", *(word for word in SIGN if word != "-nodetach"), "-in", "entity")
    assert kind(written[:4096]) == "signed"
    assert refusal(written).startswith("This mail holds a signature and not what was signed.")
    bare = openssl("crl2pkcs7", "-nocrl", "-certfile", "certificate", "-outform", "DER")
    assert refusal(bare).startswith("This mail holds a signature and not what was signed.")
    streamed = b"\x30\x80" + SIGNED + b"\xa0\x80\x30\x80\2\1\1\x31\0\x30\x80" + DATA + EOC
    assert refusal(streamed + b"\xa0\x80").startswith("This mail holds a signature and not")


@pytest.mark.parametrize("curve", [True, False])
def test_what_the_cryptography_library_signs_comes_out(curve: bool) -> None:
    key = (
        ec.generate_private_key(ec.SECP256R1()) if curve else rsa.generate_private_key(65537, 2048)
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Anna")])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day.replace(year=2027))
    written = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(ENTITY)
        .add_signer(builder.sign(key, hashes.SHA256()), key, hashes.SHA256())
        .sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
    )
    assert kind(written[:4096]) == "signed"
    assert content(written) == ENTITY


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize(
    "octets",
    [
        der(4, ENTITY)[:-1] + b"",
        bytes([4, 0x80]) + ENTITY + EOC,
        bytes([4, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]) + ENTITY,
        bytes([4, 0x88]) + b"\xff" * 8 + ENTITY,
        bytes([4, 0x89]) + b"\0" * 9,
        bytes([4, 0xFF]),
        der(0x0C, ENTITY),
        der(0x24, der(0x0C, ENTITY)),
        der(0x24, der(4, ENTITY), EOC),
        b"\x24\x05" + der(4, ENTITY),
        b"\x24\x80" + der(4, ENTITY),
        b"\x1f\x81\x01\x00",
        b"\x24\x80" * (DEEPEST + 1) + der(4, ENTITY) + EOC * (DEEPEST + 1),
        b"\x24\x80" * 5_000,
    ],
)
def test_damaged_content_is_refused(octets: bytes) -> None:
    open_ended = b"\x30\x80" + SIGNED + b"\xa0\x80\x30\x80\2\1\1\x31\0\x30\x80" + DATA + b"\xa0\x80"
    assert refusal(open_ended + octets) == (
        "This mail is signed (S/MIME) and was damaged on its way. Send it once more without S/MIME."
    )


def test_every_cut_before_the_end_of_the_content_is_refused() -> None:
    written = signed(ber(0x24, der(4, b"first"), der(4, b"second")), ber)
    whole = written.index(b"second") + len(b"second") + len(EOC)
    for cut in range(whole):
        assert refusal(written[:cut]).startswith("This mail is ")
    assert content(written[:whole]) == b"firstsecond"


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=6))
def test_damaged_mails_are_read_or_refused(place: int, written: bytes) -> None:
    data = bytearray(signed(ber(0x24, der(4, ENTITY), der(4, ENTITY)), ber))
    place %= len(data)
    data[place : place + len(written)] = written
    with suppress(Refusal):
        assert len(content(bytes(data))) <= len(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    kind(data)
    with suppress(Refusal):
        content(data)
    with suppress(Refusal):
        content(b"\x30\x80" + SIGNED + b"\xa0\x80\x30\x80" + data)


def endless(head: bytes, unit: bytes, size: int) -> Iterator[bytes]:
    yield head
    block = unit * ((1 << 20) // len(unit))
    for _ in range(size >> 20):
        yield block


@pytest.mark.parametrize(
    ("head", "unit"),
    [
        (b"\x31\x80", b"\x30\x80\0\0"),
        (b"\x31\x80", b"\x30\x80"),
        (b"\x31\x85\x10\0\0\0\0", b"x"),
        (b"\x31\0\x30\x80" + DATA + b"\xa0\x80\x24\x80", b"\4\0"),
        (b"\x31\0\x30\x80" + DATA + b"\xa0\x80\x24\x80", b"\x24\x80\0\0"),
        (b"\x31\0\x30\x80" + DATA + b"\xa0\x80\x24\x80", b"\4\1x"),
    ],
)
def test_endless_elements_are_given_up(head: bytes, unit: bytes) -> None:
    before = b"\x30\x80" + SIGNED + b"\xa0\x80\x30\x80\2\1\1"
    start = process_time()
    with pytest.raises(Refusal, match="damaged"):
        for _ in signed_content(endless(before + head, unit, 60 << 20)):
            pass
    assert process_time() - start < 20


@pytest.mark.parametrize("size", [78, 1_000, 16_384, 60 << 20])
def test_memory_stays_small_whatever_the_size(size: int) -> None:
    before = (
        b"\x30\x80" + SIGNED + b"\xa0\x80\x30\x80\2\1\1\x31\0\x30\x80" + DATA + b"\xa0\x80\x24\x80"
    )
    total = 60 << 20

    def mail() -> Iterator[bytes]:
        yield before
        if size == total:
            yield b"\4\x84" + size.to_bytes(4, "big")
            for _ in range(60):
                yield bytes(1 << 20)
        else:
            block = der(4, bytes(size)) * ((1 << 20) // size)
            for _ in range(10):
                yield block
        yield EOC

    tracemalloc.start()
    found = sum(map(len, signed_content(mail())))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == total if size == total else found == 10 * ((1 << 20) // size) * size
    assert peak < 8 << 20
