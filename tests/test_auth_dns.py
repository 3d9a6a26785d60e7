"""inbound/auth/dns.py against a DNS server over UDP and TCP."""

from collections.abc import AsyncIterator

import pytest

from inbound.auth.dns import CountedResolver, DnsResolver, DnsTrouble
from tests.fakedns import FakeDns


@pytest.fixture
async def dns() -> AsyncIterator[FakeDns]:
    async with FakeDns() as server:
        yield server


async def test_each_kind_of_record_is_read(dns):
    dns.add("lab.example", "TXT", "one")
    dns.add("lab.example", "A", "192.0.2.1")
    dns.add("lab.example", "AAAA", "2001:db8::1")
    dns.add("lab.example", "MX", "20 second.lab.example.")
    dns.add("lab.example", "MX", "10 first.lab.example.")
    dns.add("1.2.0.192.in-addr.arpa", "PTR", "mail.lab.example.")
    resolver = DnsResolver([dns.server])
    assert (await resolver.txt("lab.example")).records == (b"one",)
    assert (await resolver.a("lab.example.")).records == ("192.0.2.1",)
    assert (await resolver.aaaa("lab.example")).records == ("2001:db8::1",)
    assert (await resolver.mx("lab.example")).records == (
        "first.lab.example",
        "second.lab.example",
    )
    assert (await resolver.ptr("192.0.2.1")).records == ("mail.lab.example",)


async def test_a_long_text_comes_by_tcp_and_is_joined(dns):
    dns.add("key.example", "TXT", "k" * 2_000)
    assert (await DnsResolver([dns.server]).txt("key.example")).records == (b"k" * 2_000,)


async def test_a_name_without_records_differs_from_no_name(dns):
    dns.add("below.lab.example", "A", "192.0.2.1")
    resolver = DnsResolver([dns.server])
    assert (await resolver.txt("lab.example")).exists
    assert not (await resolver.txt("nothing.example")).exists


@pytest.mark.parametrize("name", ["a..example", "x" * 64 + ".example", "a." * 130 + "example", ""])
async def test_a_name_that_cannot_be_is_asked_of_nobody(dns, name):
    answer = await DnsResolver([dns.server]).txt(name)
    assert not answer.exists
    assert dns.questions == []


async def test_a_server_that_fails_is_no_answer(dns):
    dns.fail("lab.example")
    with pytest.raises(DnsTrouble):
        await DnsResolver([dns.server]).txt("lab.example")


async def test_a_server_that_is_silent_is_no_answer(dns, monkeypatch):
    monkeypatch.setattr("inbound.auth.dns.QUESTION_SECONDS", 0.05)
    monkeypatch.setattr("inbound.auth.dns.TOTAL_SECONDS", 0.1)
    dns.mute("lab.example")
    with pytest.raises(DnsTrouble):
        await DnsResolver([dns.server]).txt("lab.example")


async def test_an_answer_is_asked_for_once(dns):
    dns.add("lab.example", "TXT", "one")
    resolver = DnsResolver([dns.server])
    await resolver.txt("lab.example")
    await resolver.txt("lab.example")
    assert dns.questions == [("lab.example", "TXT")]


async def test_one_mail_may_ask_only_so_much(dns):
    dns.add("lab.example", "TXT", "one")
    counted = CountedResolver(DnsResolver([dns.server]), 1)
    assert (await counted.txt("lab.example")).records
    with pytest.raises(DnsTrouble):
        await counted.txt("lab.example")
