"""ARC rule by rule, over chains that tests/signing.py seals."""

import re
from time import process_time

import dkim
import pytest

from inbound.auth.arc import Arc, ArcResult, verify_arc
from tests.signing import NOW, Records, ed25519_key, publish, record, rsa_key, seal, sign, streamed

LIST = "list.example"
MAIL = (
    b"From: Anna Berg <anna@lab.example>\r\nTo: share@scans.example\r\n"
    b"Subject: kim@clinic.example C-60\r\nDate: Mon, 21 Sep 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1@lab.example>\r\n\r\nplease look\r\n"
)


def zone() -> Records:
    made = Records()
    publish(made, LIST, "s", rsa_key(1024))
    return made


def sealed(mail: bytes = MAIL, hops: int = 1, **how) -> bytes:
    for _ in range(hops):
        mail = seal(mail, LIST, "s", rsa_key(1024), **how)
    return mail


async def look(mail: bytes, dns: Records | None = None, now: int = NOW) -> Arc:
    return await verify_arc(*streamed(mail), zone() if dns is None else dns, now)


async def test_a_mail_without_seals_has_no_chain() -> None:
    dns = zone()
    mail = b"X-ARC-Seal: i=1\r\nAuthentication-Results: x\r\n" + MAIL
    assert await look(mail, dns) == Arc(ArcResult.NONE)
    assert await verify_arc(b"", {}, dns, NOW) == Arc(ArcResult.NONE)
    assert dns.questions == []


@pytest.mark.parametrize("hops", [1, 2, 3, 50])
async def test_a_chain_of_up_to_fifty_hops_passes(hops: int) -> None:
    dns = zone()
    results = "list.example;\r\n dkim=pass\r\n header.d=lab.example"
    found = await look(sealed(sealed(hops=hops - 1), results=results), dns)
    assert found.result is ArcResult.PASS, found.why
    assert found.sealer == LIST
    assert found.results == b"list.example; dkim=pass header.d=lab.example"
    assert found.headers == {"from", "to", "subject", "date", "message-id"}
    assert dns.questions == ["s._domainkey.list.example"]


async def test_a_hop_too_many_breaks_it() -> None:
    found = await look(sealed(hops=51))
    assert (found.result, found.results) == (ArcResult.FAIL, b"")


async def test_what_dkimpy_seals_passes_and_what_we_seal_passes_there() -> None:
    dns, text = zone(), record(rsa_key(1024)).encode()
    for hops in (1, 2, 3):
        mail = sealed(hops=hops)
        assert (await look(mail, dns)).result is ArcResult.PASS
        assert dkim.arc_verify(mail, dnsfunc=lambda name, timeout=5: text)[0] == b"pass"


async def test_hops_may_have_keys_of_their_own() -> None:
    dns = zone()
    publish(dns, "Other.example".lower(), "e", ed25519_key())
    mail = seal(sealed(), "OTHER.example", "e", ed25519_key(), message_tags={"x": str(NOW + 9)})
    found = await look(mail, dns)
    assert (found.result, found.sealer) == (ArcResult.PASS, "other.example")
    assert sorted(dns.questions) == ["e._domainkey.other.example", "s._domainkey.list.example"]


async def test_older_message_signatures_may_break_but_no_seal() -> None:
    changed = sealed().replace(b"C-60", b"[list] C-60")
    assert (await look(changed)).result is ArcResult.FAIL
    assert (await look(sealed(changed))).result is ArcResult.PASS
    for old, new in ((b"i=1; lists", b"i=1; trusted"), (b"cv=none; a", b"cv=none;  z=1; a")):
        spoiled = sealed(changed).replace(old, new)
        assert spoiled != sealed(changed)
        assert (await look(spoiled)).result is ArcResult.FAIL


async def test_what_the_newest_hop_did_not_see_breaks_it() -> None:
    mail = sealed(hops=2)
    for spoiled in (
        mail + b"more\r\n",
        mail.replace(b"anna@lab", b"dora@lab"),
        mail.replace(b"i=2; lists", b"i=2; trusted"),
        re.sub(rb"(ARC-Seal: i=2;.*?; b=)[^\r]+", rb"\1AAAA", mail),
        re.sub(rb"(ARC-Message-Signature: a=.*?; b=)[^\r]+", rb"\1AAAA", mail, count=1),
    ):
        assert spoiled != mail
        found = await look(spoiled)
        assert (found.result, found.results, found.headers) == (ArcResult.FAIL, b"", frozenset())


async def test_headers_are_those_of_which_the_newest_hop_signed_every_field() -> None:
    mail = sealed(headers=["To", "Subject", "Cc"])
    assert (await look(mail)).headers == {"to", "subject", "cc"}
    found = await look(b"Subject: REVOKE\r\n" + mail)
    assert (found.result, found.headers) == (ArcResult.PASS, {"to", "cc"})


@pytest.mark.parametrize(
    "how",
    [
        {"instance": 2},
        {"instance": 0},
        {"instance": 100},
        {"cv": "pass"},
        {"cv": "fail"},
        {"cv": "None"},
        {"seal_tags": {"cv": None}},
        {"seal_tags": {"cv": ""}},
        {"seal_tags": {"h": "from"}},
        {"seal_tags": {"i": None}},
        {"seal_tags": {"i": "x"}},
        {"seal_tags": {"i": "١"}},
        {"seal_tags": {"a": "rsa-sha1"}},
        {"seal_tags": {"a": None}},
        {"seal_tags": {"d": "list"}},
        {"seal_tags": {"d": 'list".example'}},
        {"seal_tags": {"s": "a" * 64}},
        {"seal_tags": {"s": None}},
        {"seal_tags": {"s": "none"}},
        {"seal_tags": {"t": "soon"}},
        {"seal_tags": {"t": str(NOW + 700)}},
        {"seal_tags": {"x": str(NOW - 1)}},
        {"message_tags": {"i": None}},
        {"message_tags": {"i": "2"}},
        {"message_tags": {"bh": None}},
        {"message_tags": {"bh": "AAAA"}},
        {"message_tags": {"h": None}},
        {"message_tags": {"c": "nofws"}},
        {"message_tags": {"a": "rsa-sha1"}},
        {"message_tags": {"l": "0"}},
        {"message_tags": {"t": str(NOW + 700)}},
        {"message_tags": {"t": "5", "x": str(NOW - 1)}},
        {"message_tags": {"h": "from:ARC-Seal"}},
        {"message_tags": {"s": "none"}},
    ],
)
async def test_each_rule_of_a_set_is_kept(how) -> None:
    found = await look(sealed(**how))
    assert found.result is ArcResult.FAIL
    assert found.why


@pytest.mark.parametrize("canon", ["relaxed/relaxed", "simple/simple", "relaxed", "simple"])
async def test_message_signatures_have_any_canonical_form(canon: str) -> None:
    assert (await look(sealed(canon=canon))).result is ArcResult.PASS


async def test_a_message_signature_without_c_is_relaxed() -> None:
    mail = sealed(MAIL.replace(b"please look", b"please \t look "), message_tags={"c": None})
    assert (await look(mail)).result is ArcResult.PASS


@pytest.mark.parametrize(
    "name", [b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results"]
)
@pytest.mark.parametrize("place", [1, 2, 3])
async def test_a_set_with_a_field_less_or_more_breaks_it(name: bytes, place: int) -> None:
    mail = sealed(hops=3)
    pattern = re.compile(rb"(?m)^%s: (?:[^\r]*; )?i=%d;[^\r]*\r\n" % (name, place))
    found = pattern.search(mail)
    assert found
    assert (await look(pattern.sub(b"", mail, count=1))).result is ArcResult.FAIL
    assert (await look(found[0] + mail)).result is ArcResult.FAIL


@pytest.mark.parametrize(
    "results",
    [b"lists.example; i=1; x", b"i=1 lists.example; x", b"i=; x", b"x=1; x", b"i=11; x", b""],
)
async def test_results_without_their_place_break_it(results: bytes) -> None:
    mail = sealed()
    spoiled = re.sub(rb"(ARC-Authentication-Results:)[^\r]*", rb"\1 " + results, mail)
    assert (await look(spoiled)).result is ArcResult.FAIL


@pytest.mark.parametrize("tags", [{"t": "y"}, {"p": ""}, {"h": "sha1"}, {"k": "ed25519"}])
async def test_a_key_that_does_not_serve_breaks_it(tags) -> None:
    dns = Records()
    publish(dns, LIST, "s", rsa_key(1024), tags)
    assert (await look(sealed(), dns)).result is ArcResult.FAIL


async def test_a_dns_that_does_not_answer_is_no_verdict_unless_the_chain_is_broken_anyway() -> None:
    dns = zone()
    dns.fail("t._domainkey.list.example")
    mail = seal(sealed(), LIST, "t", rsa_key(1024))
    found = await look(mail, dns)
    assert (found.result, found.sealer, found.results) == (ArcResult.TEMPERROR, LIST, b"")
    broken = mail.replace(b"i=1; lists", b"i=1; trusted")
    assert (await look(broken, dns)).result is ArcResult.FAIL


async def test_more_than_twelve_keys_are_not_asked_for() -> None:
    for hops, expected in ((12, ArcResult.PASS), (13, ArcResult.FAIL)):
        dns, mail = Records(), MAIL
        for number in range(hops):
            publish(dns, LIST, f"s{number}", rsa_key(1024))
            mail = seal(mail, LIST, f"s{number}", rsa_key(1024))
        assert (await look(mail, dns)).result is expected
        assert len(dns.questions) == (hops if expected is ArcResult.PASS else 0)


async def test_what_cannot_pass_asks_nothing() -> None:
    dns = zone()
    for spoiled in (sealed() + b"more\r\n", sealed(cv="fail"), sealed(instance=2)):
        assert (await look(spoiled, dns)).result is ArcResult.FAIL
    assert dns.questions == []


async def test_fifty_large_sets_are_hashed_once() -> None:
    results = "lists.example;" + " x=y;" * 900
    mail = sealed(hops=50, results=results)
    header, hashes = streamed(mail)
    assert len(header) > 200_000
    begin = process_time()
    assert (await verify_arc(header, hashes, zone(), NOW)).result is ArcResult.PASS
    assert process_time() - begin < 1


async def test_a_dkim_signature_does_not_make_a_chain() -> None:
    assert (await look(sign(MAIL, LIST, "s", rsa_key()))).result is ArcResult.NONE
