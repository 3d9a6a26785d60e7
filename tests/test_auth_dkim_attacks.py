"""DKIM under attack: what must not verify, what must not be asked, and what all of it may cost."""

import base64
import re
from email.message import EmailMessage
from email.policy import SMTP
from time import process_time

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.auth.arc import verify_arc
from inbound.auth.bodyhash import RelaxedBody
from inbound.auth.dkim import DkimResult, Signed, verify_dkim
from tests.signing import NOW, Records, publish, record, rsa_key, sign, streamed

LAB = "lab.example"
AUTHOR = b"From: Anna Berg <anna@lab.example>\r\n"
MAIL = (
    AUTHOR + b"To: share@scans.example\r\nSubject: kim@clinic.example C-60\r\n"
    b"Date: Mon, 21 Sep 2026 10:00:00 +0000\r\nMessage-ID: <1@lab.example>\r\n"
    b"Content-Type: text/plain\r\n\r\nplease look\r\n"
)
MB = 1 << 20


def zone() -> Records:
    made = Records()
    publish(made, LAB, "s", rsa_key())
    return made


def signed(mail: bytes = MAIL, **how) -> bytes:
    return sign(mail, how.pop("domain", LAB), how.pop("selector", "s"), rsa_key(), **how)


async def look(mail: bytes, dns: Records | None = None) -> list[Signed]:
    return await verify_dkim(*streamed(mail), dns or zone(), NOW)


async def results(mail: bytes) -> list[DkimResult]:
    return [one.result for one in await look(mail)]


async def test_what_is_attacked_below_verifies_when_it_is_not() -> None:
    assert await results(signed()) == [DkimResult.PASS]


# ---------------------------------------------------------------- what is added to a signed mail


async def test_a_part_behind_the_signed_length_is_not_signed() -> None:
    letter = EmailMessage(policy=SMTP)
    letter["From"], letter["To"], letter["Subject"] = "anna@lab.example", "share@scans.example", "x"
    letter.set_content("please look\n")
    letter.add_attachment(b"solid a", "model", "stl", filename="a.stl")
    mail = letter.as_bytes()
    body = mail.partition(b"\r\n\r\n")[2]
    limited = sign(mail, LAB, "s", rsa_key(), length=len(body))
    boundary = re.search(rb'boundary="(.+?)"', mail)
    assert boundary
    added = limited + b"--" + boundary[1] + b"\r\n\r\nREVOKE\r\n--" + boundary[1] + b"--\r\n"
    for one in (limited, added):
        dns = zone()
        [found] = await look(one, dns)
        assert (found.result, found.headers) == (DkimResult.POLICY, frozenset())
        assert dns.questions == []


async def test_a_second_author_is_seen_wherever_and_however_it_is_written() -> None:
    for added in (
        b"From: eve@other.example\r\n",
        b"FROM:eve@other.example\r\n",
        b"From : eve@other.example\r\n",
        b"From\t: eve@other.example\r\n",
        b" From: eve@other.example\r\n",
        b"\tFrom: eve@other.example\r\n",
        b"From\r\n : eve@other.example\r\n",
        b"From \r\n:eve@other.example\r\n",
        b"From\r\n",
    ):
        for spoiled in (
            added + signed(),
            signed().replace(b"\r\nTo:", b"\r\n" + added + b"To:", 1),
            added + signed(headers=["from", "from", "subject"]),
        ):
            found = await look(spoiled)
            assert all(one.result is DkimResult.FAIL for one in found), added


async def test_an_author_that_is_signed_badly_stays_bad() -> None:
    for author in (b"From : anna@lab.example\r\n", b"From\t:anna@lab.example\r\n",
                   AUTHOR + AUTHOR, b"From: anna@lab.example, eve@lab.example\r\n", b""):  # fmt: skip
        mail = MAIL.replace(AUTHOR, author)
        [found] = await look(signed(mail, headers=["from", "from", "from", "to"]))
        assert found.result is DkimResult.FAIL
        assert found.headers == frozenset()


async def test_a_folded_line_before_the_first_field_is_no_mail_to_believe() -> None:
    for folded in (b" x\r\n", b"\t: y\r\n", b" \r\n", b" DKIM-Signature: v=1; a=rsa-sha256\r\n"):
        found = await look(folded + signed())
        assert found
        assert DkimResult.PASS not in [one.result for one in found]


async def test_whoever_does_not_sign_the_author_signs_nothing() -> None:
    assert await results(signed(headers=["to", "subject", "x-from"])) == [DkimResult.FAIL]


async def test_a_subject_added_on_top_is_not_among_what_is_signed() -> None:
    for added in (b"Subject: REVOKE all\r\n", b"SUBJECT : REVOKE all\r\n", b"Content-Type:x\r\n"):
        name = added.partition(b":")[0].strip().lower().decode()
        names = ["from", "to", "subject", "content-type"]
        [found] = await look(added + signed(headers=names))
        assert found.result is DkimResult.PASS
        assert found.headers == {"from", "to", "subject", "content-type"} - {name}
        # RFC 6376 8.15: signed once more than it is there, nothing can be added.
        assert await results(added + signed(headers=[*names, name])) == [DkimResult.FAIL]


async def test_what_is_changed_is_not_signed() -> None:
    for old, new in (
        (b"anna@lab", b"dora@lab"),
        (b"C-60", b"C-61"),
        (b"please", b"REVOKE"),
        (b"look\r\n", b"look\r\n\r\nREVOKE\r\n"),
        (b"; s=s", b";  s=s; z=1"),
        (b"h=From:To:", b"h=From:"),
    ):
        assert await results(signed().replace(old, new, 1)) == [DkimResult.FAIL], old


# ---------------------------------------------------------------- weak signatures and keys


async def test_sha_1_is_refused() -> None:
    [found] = await look(signed(hashing=SHA1))
    assert found.result is DkimResult.PERMERROR
    # Nor by calling its hash another name.
    renamed = signed(hashing=SHA1, tags={"a": "rsa-sha256"})
    assert await results(renamed) == [DkimResult.FAIL]


async def test_a_key_that_is_only_tried_out_does_not_count() -> None:
    dns = Records()
    publish(dns, LAB, "s", rsa_key(), {"t": "y"})
    [found] = await look(signed(), dns)
    assert (found.result, found.headers) == (DkimResult.POLICY, frozenset())
    [found] = await look(signed().replace(b"C-60", b"C-61"), dns)
    assert found.result is DkimResult.FAIL


def odd_record(bits: int, exponent: int, even: int = 0) -> str:
    """A key that nobody has: any number will do for the modulus."""
    numbers = RSAPublicNumbers(exponent, (1 << (bits - 1)) + (1 << 64) + 1 - even)
    der = numbers.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; p={base64.b64encode(der).decode()}"


@pytest.mark.parametrize(
    ("bits", "exponent", "why"),
    [
        (1023, 65_537, "RSA key of 1023 bits"),
        (4097, 65_537, "RSA key of 4097 bits"),
        (16_384, 65_537, "RSA key of 16384 bits"),
        (2048, (1 << 33) + 1, "RSA key with a strange exponent or modulus"),
        (2048, (1 << 2000) + 1, "RSA key with a strange exponent or modulus"),
    ],
)
async def test_keys_too_small_too_large_or_odd_are_refused(
    bits: int, exponent: int, why: str
) -> None:
    dns = Records()
    dns.add("s._domainkey.lab.example", "TXT", odd_record(bits, exponent))
    begin = process_time()
    [found] = await look(signed(), dns)
    assert process_time() - begin < 0.5
    assert found.result is DkimResult.PERMERROR
    assert found.why == f"{why} at s._domainkey.lab.example"


def der(*numbers: int) -> bytes:
    """An RSAPublicKey (RFC 8017 A.1.1) by hand: the library makes no wrong ones."""

    def item(kind: int, data: bytes) -> bytes:
        return bytes([kind, 0x82]) + len(data).to_bytes(2) + data

    return item(0x30, b"".join(item(2, n.to_bytes(n.bit_length() // 8 + 1)) for n in numbers))


@pytest.mark.parametrize("numbers", [(1 << 2047, 3), ((1 << 2047) + 1, 1), ((1 << 2047) + 1, 2),
                                     ((1 << 2047) + 1, 0), (0, 3), ((1 << 2047) + 1, 1 << 40)])  # fmt: skip
async def test_numbers_that_are_no_key_are_refused(numbers: tuple[int, int]) -> None:
    dns = Records()
    text = f"v=DKIM1; p={base64.b64encode(der(*numbers)).decode()}"
    dns.add("s._domainkey.lab.example", "TXT", text)
    [found] = await look(signed(), dns)
    assert found.result is DkimResult.PERMERROR, found.why


async def test_a_signature_of_another_length_is_none() -> None:
    for value in (b"AA==", b"A" * 40_000, b"/" * 344):
        spoiled = re.sub(rb"; b=[^\r]+", b"; b=" + value, signed())
        assert await results(spoiled) == [DkimResult.FAIL]


# ---------------------------------------------------------------- questions to the DNS


@pytest.mark.parametrize(
    "how",
    [
        {"selector": "s\0.x"},
        {"selector": "a" * 300},
        {"selector": "a" * 64},
        {"selector": ".".join("a" * 127)},
        {"selector": "s\u200b"},
        {"selector": "s\r\n .x"},
        {"selector": "*"},
        {"selector": "s\\000"},
        {"selector": "s/../x"},
        {"selector": "s."},
        {"domain": 'lab".example'},
        {"domain": "lab(x).example"},
        {"domain": "lab.example)"},
        {"domain": "lab,example"},
        {"domain": "anna@lab.example"},
        {"domain": "lab.example:53"},
        {"domain": "[192.0.2.1]"},
        {"domain": "lab\\.example"},
        {"domain": "example"},
        {"domain": "a." * 130 + "example"},
        {"domain": ".".join(["a" * 60] * 4), "selector": "a" * 20},
        {"domain": "\u212aim.example"},
    ],
)
async def test_an_odd_name_is_a_permanent_error_and_no_question(how) -> None:
    dns = zone()
    found = await look(signed(**how), dns)
    assert [one.result for one in found] == [DkimResult.PERMERROR]
    assert dns.questions == []


async def test_a_dns_that_does_not_answer_is_no_verdict() -> None:
    dns = zone()
    dns.fail("t._domainkey.lab.example")
    mail = sign(signed(), LAB, "t", rsa_key())
    found = await look(mail, dns)
    assert [one.result for one in found] == [DkimResult.TEMPERROR, DkimResult.PASS]


async def test_what_does_not_fit_the_mail_asks_nothing() -> None:
    dns = zone()
    for spoiled in (
        signed() + b"more\r\n",
        b"From: eve@other.example\r\n" + signed(),
        signed(tags={"t": "1", "x": "2"}),
        signed(tags={"t": str(NOW + 9000)}),
        signed(headers=["to"]),
    ):
        assert [one.result for one in await look(spoiled, dns)] == [DkimResult.FAIL]
    assert dns.questions == []


async def test_two_hundred_signatures_cost_five_questions_and_no_time() -> None:
    dns = Records()
    mail = MAIL
    for number in range(200):
        mail = signed(mail, selector=f"s{number}")
        publish(dns, LAB, f"s{number}", rsa_key())
    header, hashes = streamed(mail)
    begin = process_time()
    found = await verify_dkim(header, hashes, dns, NOW)
    assert process_time() - begin < 1
    assert [one.result for one in found] == [DkimResult.PASS] * 5
    assert dns.questions == [f"s{number}._domainkey.lab.example" for number in range(199, 194, -1)]


async def test_unreadable_signatures_hide_a_good_one_only_in_large_numbers() -> None:
    for count, expected in ((19, 1), (20, 0)):
        dns = zone()
        found = await look(b"DKIM-Signature: v=1; d=(\r\n" * count + signed(), dns)
        assert len(found) == 20
        assert [one.result for one in found].count(DkimResult.PASS) == expected
        assert len(dns.questions) == expected


async def test_one_name_is_asked_for_once() -> None:
    dns = zone()
    assert await results(signed(signed(signed()))) == [DkimResult.PASS] * 3
    assert len(await look(signed(signed(signed())), dns)) == 3
    assert dns.questions == ["s._domainkey.lab.example"]


# ---------------------------------------------------------------- time


def cpu_for(line: bytes) -> float:
    """Of the relaxed hash of 4 MB in such lines, in pieces as they come; the best of three."""
    body = (line * (4 * MB // len(line) + 1))[: 4 * MB // len(line) * len(line)]
    step = 64 * len(line)

    def once() -> float:
        made = RelaxedBody()
        begin = process_time()
        for at in range(0, len(body), step):
            made.update(body[at : at + step])
        made.digest()
        return process_time() - begin

    return min(once() for _ in range(3))


@pytest.mark.parametrize("blanks", [b" " * 997 + b"x\r\n", b" " * 998 + b"\r\n",
                                    b"\t" * 997 + b"x\r\n"])  # fmt: skip
def test_lines_of_blanks_cost_no_more_than_words(blanks: bytes) -> None:
    words = (b"please look at case C-60 now " * 35)[:998] + b"\r\n"
    assert cpu_for(blanks) <= 2 * cpu_for(words) + 0.005


@pytest.mark.parametrize(
    "header",
    [
        b"DKIM-Signature: " + b" " * 250_000,
        b"DKIM-Signature: v=1; b=" + b" \t" * 125_000 + b"x",
        b"DKIM-Signature: " + b";" * 250_000,
        b"DKIM-Signature: " + b"a=1;" * 60_000,
        b"DKIM-Signature: h=" + b"from:" * 50_000,
        b"DKIM-Signature: d=" + b"a." * 120_000,
        b"DKIM-Signature: d=" + "ä".encode() * 120_000,
        b"DKIM-Signature: i=" + b"@" * 250_000,
        b"DKIM-Signature: v=1\r\n" + b" \r\n" * 80_000,
        b"DKIM-Signature: v=1\r\n" * 12_000,
        b"a:\r\n" * 60_000 + b"DKIM-Signature: v=1",
        b" \r\n" * 80_000,
        b"From:" * 50_000,
        b"ARC-Seal: i=1; a=" + b" ;" * 120_000,
        b"ARC-Seal: i=1\r\n" * 16_000,
        b"".join(b"ARC-Seal:i=%d;b=\r\n" % number for number in range(12_000)),
        b"ARC-Authentication-Results: " + b" " * 250_000,
        b"ARC-Authentication-Results: i" + b" " * 250_000,
    ],
)
async def test_hostile_headers_are_read_in_no_time(header: bytes) -> None:
    header = header + b"\r\n" + AUTHOR
    begin = process_time()
    await verify_dkim(header, {}, Records(), NOW)
    await verify_arc(header, {}, Records(), NOW)
    assert process_time() - begin < 1


async def test_five_signatures_over_a_header_at_its_limit_are_verified_in_no_time() -> None:
    dns = zone()
    filler = b"X-Lab: %d  \t \r\n"
    mail = b"".join(filler % number for number in range(12_000)) + MAIL
    names = ["from", *["x-lab"] * 4000]
    for _ in range(5):
        mail = signed(mail, headers=names)
    header, hashes = streamed(mail)
    begin = process_time()
    found = await verify_dkim(header, hashes, dns, NOW)
    assert process_time() - begin < 1
    assert [one.result for one in found] == [DkimResult.PASS] * 5
    assert found[0].headers == {"from"}


# ---------------------------------------------------------------- any bytes at all

KEY = record(rsa_key(1024)).encode()
PIECES = st.sampled_from(
    [b"DKIM-Signature:", b"ARC-Seal:", b"ARC-Message-Signature:", b"ARC-Authentication-Results:",
     b"From:", b"From : ", b" a@lab.example", b"\r\n", b"\r\n ", b" ", b"\t", b";", b"=", b":", b"@",
     b" v=1;", b" a=rsa-sha256;", b" a=ed25519-sha256;", b" d=lab.example;", b" s=s;", b" h=from;",
     b" bh=AAAA;", b" b=AAAA;", b" i=1;", b" i=@lab.example;", b" cv=none;", b" c=relaxed/relaxed;",
     b" t=1;", b" l=1;", b"\0", b"\xff", "é".encode(), b"d=\xc3\xa9.example;"]
) | st.binary(max_size=3)  # fmt: skip
START = [
    b"",
    AUTHOR,
    AUTHOR + b"DKIM-Signature: v=1; a=rsa-sha256; d=lab.example; s=s; h=from; bh=AAAA; b=AAAA",
    AUTHOR + b"ARC-Authentication-Results: i=1; x\r\nARC-Message-Signature: i=1; a=rsa-sha256;"
    b" d=lab.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
    b"ARC-Seal: i=1; cv=none; a=rsa-sha256; d=lab.example; s=s; b=AAAA",
]


@settings(max_examples=1200, deadline=None)
@given(
    start=st.sampled_from(START),
    more=st.lists(PIECES, max_size=24).map(b"".join),
    text=st.just(KEY) | st.binary(max_size=40) | st.binary(max_size=6).map(lambda b: b"p=" + b),
)
async def test_whatever_bytes_come_there_is_an_answer(
    start: bytes, more: bytes, text: bytes
) -> None:
    dns = Records()
    dns.texts["s._domainkey.lab.example"].append(text)
    hashes = {"simple": b"\0\0\0", "relaxed": b"\0\0\0"}
    for header in (start + more, more + start):
        for one in await verify_dkim(header, hashes, dns, NOW):
            assert one.result is not DkimResult.PASS
            assert one.domain.isascii()
        await verify_arc(header, hashes, dns, NOW)
    assert set(dns.questions) <= {"s._domainkey.lab.example", "s._domainkey.xn--9ca.example"}
