"""What a domain's owner asks for, and who may vouch for it: RFC 9989 rule by rule."""

from pathlib import Path
from time import process_time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.auth.dmarc import Dmarc, DmarcPolicy, ascii_name, discover, is_aligned
from inbound.auth.dns import NOTHING, Answer, DnsResolver, DnsTrouble
from tests.fakedns import FakeDns

VECTORS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "vectors" / "dmarc.yml").read_text("utf-8")
)
PSD = "v=DMARC1; p=none; psd=y"


class Zone:
    """The DNS in small, with a list of its questions; names in `trouble` do not answer."""

    def __init__(self, texts: dict[str, list[str]], exists: list[str] | None = None) -> None:
        self.texts = texts
        self.known = [*texts, *(exists or [])]
        self.trouble: set[str] = set()
        self.questions: list[tuple[str, str]] = []

    async def txt(self, name: str) -> Answer:
        return self.answer(name, "TXT", tuple(text.encode() for text in self.texts.get(name, [])))

    async def a(self, name: str) -> Answer:
        return self.answer(name, "A", ())

    async def aaaa(self, name: str) -> Answer:
        raise AssertionError(name)

    async def mx(self, name: str) -> Answer:
        raise AssertionError(name)

    async def ptr(self, address: str) -> Answer:
        raise AssertionError(address)

    def answer(self, name: str, kind: str, records: tuple[bytes, ...]) -> Answer:
        self.questions.append((name, kind))
        if name in self.trouble:
            raise DnsTrouble(name)
        exists = any(known == name or known.endswith("." + name) for known in self.known)
        return Answer(records, exists=True) if exists else NOTHING


def test_there_are_enough_rules() -> None:
    assert len({vector["rule"] for vector in VECTORS}) == len(VECTORS) >= 60


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["rule"] for vector in VECTORS])
async def test_a_rule_holds(vector):
    zone = Zone(vector["zone"], vector.get("exists"))
    dmarc = await discover(zone, vector["domain"])
    assert (
        len(zone.questions)
        == len(set(zone.questions))
        == vector.get("questions", len(zone.questions))
    )
    for name in ("organization", "policy", "strict_dkim", "strict_spf", "testing"):
        if name in vector:
            assert getattr(dmarc, name) == vector[name], name
    for strict, wanted in ((False, "aligned"), (True, "strictly")):
        for domain, aligned in vector.get(wanted, {}).items():
            zone.questions.clear()
            assert await is_aligned(zone, dmarc, domain, strict=strict) is aligned, domain
            assert len(zone.questions) == len(set(zone.questions)) <= 8
            assert not (strict and zone.questions)


async def test_the_questions_of_a_long_name_are_those_that_the_rfc_lists():
    zone = Zone({})
    await discover(zone, "a.b.c.d.e.f.g.h.i.j.mail.example.com")
    assert [name for name, _ in zone.questions] == [
        "_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "_dmarc.g.h.i.j.mail.example.com",
        "_dmarc.h.i.j.mail.example.com",
        "_dmarc.i.j.mail.example.com",
        "_dmarc.j.mail.example.com",
        "_dmarc.mail.example.com",
        "_dmarc.example.com",
        "_dmarc.com",
    ]


# ---------------------------------------------------------------- trouble


@pytest.mark.parametrize("name", ["_dmarc.a.lab.example", "_dmarc.lab.example", "_dmarc.example"])
async def test_no_step_of_the_walk_may_be_left_out(name):
    zone = Zone({"_dmarc.lab.example": ["v=DMARC1; p=reject"]})
    zone.trouble.add(name)
    with pytest.raises(DnsTrouble):
        await discover(zone, "a.lab.example")


async def test_whether_a_name_exists_may_not_be_guessed_either():
    zone = Zone({"_dmarc.lab.example": ["v=DMARC1; p=none; np=reject"]})
    zone.trouble.add("a.lab.example")
    with pytest.raises(DnsTrouble):
        await discover(zone, "a.lab.example")


async def test_trouble_in_alignment_is_no_answer():
    zone = Zone({"_dmarc.lab.example": ["v=DMARC1; p=reject"]})
    dmarc = await discover(zone, "lab.example")
    zone.trouble.add("_dmarc.mail.lab.example")
    with pytest.raises(DnsTrouble):
        await is_aligned(zone, dmarc, "mail.lab.example", strict=False)


@pytest.mark.parametrize(
    "domain",
    [
        "lab.example",
        "LAB.example.",
        "evil.example",
        "org",
        "example",
        "",
        "..",
        "mail.other.example",
    ],
)
async def test_what_the_names_tell_is_not_asked_for(domain):
    zone = Zone({"_dmarc.lab.example": ["v=DMARC1; p=reject"]})
    dmarc = await discover(zone, "mail.lab.example")
    zone.questions.clear()
    aligned = await is_aligned(zone, dmarc, domain, strict=False)
    assert aligned is (domain.lower() in {"lab.example", "lab.example."})
    assert zone.questions == []


# ---------------------------------------------------------------- attacks


@pytest.mark.parametrize("record", [None, "v=DMARC1; p=reject", PSD, "v=DMARC1; p=none; psd=n"])
@pytest.mark.parametrize("own", [None, "v=DMARC1; p=reject", "v=DMARC1; p=reject; psd=n"])
async def test_a_top_level_domain_vouches_for_nobody(record, own):
    texts = {"_dmarc.org": [record] if record else [], "_dmarc.foo.org": [own] if own else []}
    zone = Zone(texts)
    for author in ("foo.org", "a.foo.org", "org"):
        dmarc = await discover(zone, author)
        assert not await is_aligned(zone, dmarc, "org", strict=False)
        assert not await is_aligned(zone, dmarc, "org", strict=True)


async def test_two_suffixes_deep_a_neighbour_does_not_vouch():
    zone = Zone({"_dmarc.co.example": [PSD], "_dmarc.bar.co.example": ["v=DMARC1; p=none"]})
    dmarc = await discover(zone, "foo.co.example")
    for other in ("co.example", "bar.co.example", "x.bar.co.example"):
        assert not await is_aligned(zone, dmarc, other, strict=False)


@pytest.mark.parametrize(
    "domain",
    ["[192.0.2.1]", "a b.example", "lab.example;", 'a"b.example', "a(b).example", "lab.example\0",
     "lab.example\n", "*.example", "x" * 64 + ".example", "a." * 130 + "example", "ü" * 300 + ".example",
     "\udcff.example", ".", ".lab.example", "lab.example..", "xn--" + "ü" * 60 + ".example"],
)  # fmt: skip
async def test_a_name_that_no_host_has_is_asked_of_nobody(domain):
    zone = Zone({})
    dmarc = await discover(zone, domain)
    assert (dmarc.organization, dmarc.policy) == (dmarc.domain, None)
    assert not await is_aligned(zone, dmarc, domain, strict=True)
    assert not await is_aligned(
        zone, Dmarc("lab.example", "lab.example", None), domain, strict=False
    )
    assert zone.questions == []


@pytest.mark.parametrize(
    "record",
    ["v=DMARC1" + ";" * 60_000, "v=DMARC1;" + "p=reject;" * 7_000, "v" + " " * 60_000 + "=DMARC1",
     "v=DMARC1;p=x;rua=" + "a" * 60_000, "v=DMARC1;p=x;rua=" + "," * 60_000,
     "v=DMARC1;p=x;rua=" + "a:!" * 20_000, "v=DMARC1;" + "\tp\t" * 20_000],
)  # fmt: skip
async def test_a_long_record_costs_no_time(record):
    begun = process_time()
    await discover(Zone({"_dmarc.lab.example": [record]}), "lab.example")
    assert process_time() - begun < 0.2


labels = st.sampled_from(["a", "b", "lab", "xn--a", "_x", "", "-", "ü", "ß", "x" * 64, "\0", "。"])
tags = st.lists(
    st.sampled_from(["p=reject", "p=none", "p=x", "sp=none", "np=reject", "psd=y", "psd=n", "psd=u",
                     "adkim=s", "t=y", "rua=mailto:a@b", "rua=x", "p", "=", "é=1", "v=DMARC1", ""]),
    max_size=5,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    author=st.lists(labels, max_size=12).map(".".join),
    other=st.lists(labels, max_size=12).map(".".join),
    record=st.lists(tags, min_size=4, max_size=4),
)
async def test_any_zone_and_name_give_an_answer_within_the_limits(author, other, record):
    names = ["a", "lab.a", "b.lab.a", "a.b.lab.a"]
    texts = {
        f"_dmarc.{name}": ["v=DMARC1;" + ";".join(tags)]
        for name, tags in zip(names, record, strict=True)
    }
    zone = Zone(texts)
    dmarc = await discover(zone, author)
    assert len(zone.questions) == len(set(zone.questions)) <= 9
    assert dmarc.domain == dmarc.organization or dmarc.domain.endswith("." + dmarc.organization)
    aligned = await is_aligned(zone, dmarc, other, strict=False)
    there, back = ascii_name(other), await discover(zone, other)
    same = there is not None and ascii_name(author) is not None and "." in there
    assert aligned is (same and back.organization == dmarc.organization)


# ---------------------------------------------------------------- by a real server


async def test_a_real_server_is_asked_at_most_eight_times_for_the_walk():
    async with FakeDns() as dns:
        dns.add(
            "_dmarc.lab.example", "TXT", "v=DMARC1; p=reject; adkim=s; rua=" + "mailto:x@y," * 60
        )
        resolver = DnsResolver([dns.server])
        dmarc = await discover(resolver, "a.b.c.d.e.f.g.h.i.lab.example")
        assert dmarc == Dmarc(
            "a.b.c.d.e.f.g.h.i.lab.example", "lab.example", DmarcPolicy.REJECT, strict_dkim=True
        )
        assert len(set(dns.questions)) == 8
        dns.questions.clear()
        assert await is_aligned(resolver, dmarc, "mail.lab.example", strict=False)
        # What the walk before has asked comes from the resolver's memory.
        assert dns.questions == [("_dmarc.mail.lab.example", "TXT")]


async def test_a_real_server_tells_a_name_that_does_not_exist_from_one_without_records():
    async with FakeDns() as dns:
        dns.add("_dmarc.lab.example", "TXT", "v=DMARC1; p=none; sp=quarantine; np=reject")
        dns.add("there.lab.example", "MX", "10 mx.lab.example.")
        resolver = DnsResolver([dns.server])
        assert (await discover(resolver, "there.lab.example")).policy is DmarcPolicy.QUARANTINE
        assert (await discover(resolver, "gone.lab.example")).policy is DmarcPolicy.REJECT


async def test_a_real_server_that_fails_is_trouble():
    async with FakeDns() as dns:
        dns.add("_dmarc.a.lab.example", "TXT", "v=DMARC1; p=none")
        dns.fail("_dmarc.lab.example")
        with pytest.raises(DnsTrouble):
            await discover(DnsResolver([dns.server]), "a.lab.example")
