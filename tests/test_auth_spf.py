"""SPF against pyspf over random policies, and against policies that are meant to hurt."""

import asyncio
import importlib
import ipaddress
import random
import re
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inbound.auth.dns import Answer, DnsResolver
from inbound.auth.spf import LONGEST_EXPLANATION, Spf, SpfResult, check_spf
from inbound.auth.spfmacro import BadPolicy, as_name
from inbound.auth.spfrecord import LONGEST_RECORD, read_record
from store.clock import SECOND, SystemClock
from tests.fakedns import FakeDns
from tests.test_auth_spf_suite import Zone, values_of

with warnings.catch_warnings():
    # pyspf's docstrings hold escapes that Python does not know; said once, when it is compiled.
    warnings.filterwarnings("ignore", "invalid escape sequence")
    pyspf = importlib.import_module("spf")

SEED = 20261122
WORLDS, TERMS = 1_000, 4_000
CLIENTS = ["192.0.2.1", "192.0.2.77", "198.51.100.9", "2001:db8::1", "2001:db8:1::9", "::ffff:192.0.2.1"]  # fmt: skip
DOMAINS = [f"n{number}.example" for number in range(5)]
HOSTS = ["h0.example", "h1.example", "n0.example", "n1.example", "M.N2.example"]
MACROS = ["%{i}", "%{ir}", "%{d}", "%{d2}", "%{d1}", "%{dr}", "%{o}", "%{l}", "%{l1r-}", "%{lr-}", "%{s}",
          "%{h}", "%{h2}", "%{v}", "%{L}", "%{S}", "%%", "%_", "%-", "%{p}"]  # fmt: skip
BROKEN = ["moo", "ip4", "include", "exists", "a:", "mx/33", "ip4:1.2.3", "ptr/3", "all:x", "%{d}", "a:%{x}", "a:x",
          "redirect=", "ip6:1::2::3", "a//129", "a:b.c%", "ip4:1.2.3.4/08", "include:n0.example/24", "-", "?", "=all",
          "a:%(d)", "all."]  # fmt: skip


# ---------------------------------------------------------------- pyspf


def pyspf_over(
    monkeypatch: pytest.MonkeyPatch, zone: Zone, client: str, sender: str, helo: str
) -> tuple[str, str]:
    """Result and words of pyspf, which asks the same zone."""

    def look_up(name: str, kind: str, *_: object) -> list[tuple[tuple[str, str], object]]:
        entries = zone.names.get(name.lower().rstrip("."), [])
        found = values_of([entry for entry in entries if entry != "TIMEOUT"], kind)
        if not found and "TIMEOUT" in entries:
            raise pyspf.TempError("silence")
        if kind == "TXT":
            found = [["".join(text).encode("latin-1")] for text in found]
        return [((name, kind), tuple(value) if kind == "MX" else value) for value in found]

    monkeypatch.setattr(pyspf, "DNSLookup", look_up)
    return pyspf.check2(client, sender, helo, querytime=0)


def own_words(words: str) -> str:
    """What the domain says; pyspf says something of its own where the domain is silent."""
    return "" if words == pyspf.EXPLANATIONS["fail"] else words


# What differs on purpose over random policies, by pyspf's words when it refuses to read on.
WORDS_OF_DIFFERENCES = re.compile(
    r"(?!exp|redirect)[a-z.]+= MUST appear at most once"  # RFC 7208 6: ignored however often
    r"|include has trivial recursion"  # RFC 7208 5.2: nothing is, before its turn comes
    r"|Too many DNS lookups"  # pyspf counts a redirect that is not followed; see below
)


class Worlds:
    """Random zones in which every name that exists has addresses, and every client a name."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def world(self) -> dict[str, list]:
        world: dict[str, list] = {"silent.example": ["TIMEOUT"]}
        for name in HOSTS + DOMAINS:
            entries = world.setdefault(name.lower(), [])
            for _ in range(self.chance.randrange(1, 3)):
                entries.append(
                    {"A": self.one_of("192.0.2.1", "192.0.2.99", "198.51.100.10", "203.0.113.4")}
                )
                entries.append({"AAAA": self.one_of("2001:db8::1", "2001:db8::ffff", "2001:db8:1::1")})  # fmt: skip
        for client in CLIENTS:
            address = ipaddress.ip_address(client)
            address = getattr(address, "ipv4_mapped", None) or address
            world[address.reverse_pointer] = [
                {"PTR": self.one_of(*HOSTS)} for _ in range(self.chance.randrange(1, 3))
            ]
        for domain in DOMAINS:
            hosts = self.chance.randrange(1, 4)
            world[domain] += [
                {"MX": [self.chance.randrange(3), self.one_of(*HOSTS)]} for _ in range(hosts)
            ]
            world[domain].append({"TXT": self.record(domain)})
            if self.chance.random() < 0.03:
                world[domain].append({"TXT": "v=spf1 -all"})
        return world

    def record(self, domain: str) -> str:
        terms = [self.term(domain) for _ in range(self.chance.randrange(1, 6))]
        return " ".join(["v=spf1", *terms, self.one_of("", "", "", "-all", "~all", "?all")])

    def term(self, domain: str) -> str:
        kind = self.one_of("all", "a", "a", "mx", "mx", "ptr", "include", "include", "exists", "ip4", "ip4",
                           "ip6", "moo=", "redirect=", "exp=", "broken")  # fmt: skip
        qualifier = self.one_of("", "", "", "+", "-", "~", "?")
        target = f":{self.name(domain)}"
        prefix = self.one_of(
            "", "", "", "/24", "/0", "/32", "//64", "//0", "/24//64", "/16//128", "/8"
        )
        return {
            "all": self.one_of("", "", f"{qualifier}all"),
            "a": qualifier + kind + self.one_of("", target) + prefix,
            "mx": qualifier + kind + self.one_of("", target) + prefix,
            "ptr": qualifier + kind + self.one_of("", target),
            "include": qualifier + kind + target,
            "exists": qualifier + kind + target,
            "ip4": f"{qualifier}ip4:{self.one_of('192.0.2.0/24', '192.0.2.1', '198.51.100.8/30', '0.0.0.0/0')}",
            "ip6": f"{qualifier}ip6:{self.one_of('2001:db8::/32', '2001:DB8:1::/48', '::/0', '::ffff:192.0.2.1')}",
            "moo=": self.one_of("moo=", "ra=x", "a.b=%{d}"),
            "broken": self.one_of(*[""] * 150, *BROKEN),
        }.get(kind, kind + target[1:])

    def name(self, domain: str) -> str:
        others = [other for other in DOMAINS if other != domain]
        macros = f"{self.one_of(*MACROS)}{self.one_of(*MACROS)}.{self.one_of(*others)}"
        whole = self.one_of("%{d}", "%{o}", "%{h}", "%{d2}", "n%{l1}.%{d1}", "%{d1r}.%{d1}")
        rare = self.one_of(
            f"void{self.chance.randrange(3)}.example", "silent.example", f"{others[0]}."
        )
        host = self.one_of(*HOSTS)
        return self.one_of(*others, *others, host, macros, whole, rare)

    def sender(self) -> str:
        return self.one_of("x@", "1@", "2-0@", "a.b+c@", "postmaster@") + self.one_of(*DOMAINS)

    def one_of(self, *choices: str) -> str:
        return self.chance.choice(choices)


async def test_random_policies_give_what_pyspf_gives(monkeypatch):
    chance = Worlds(SEED)
    seen: Counter[str] = Counter()
    for _ in range(WORLDS):
        zone = Zone(chance.world())
        for _ in range(4):
            question = chance.one_of(*CLIENTS), chance.sender(), chance.one_of(*DOMAINS)
            ours = await check_spf(zone, *question)
            theirs, words = pyspf_over(monkeypatch, zone, *question)
            seen[theirs] += 1
            if ours.result != theirs and WORDS_OF_DIFFERENCES.search(words):
                seen["differs"] += 1
                continue
            assert ours.result == theirs, (question, words, zone.names)
            if theirs == "fail":
                # Names of clients are in lower case here.
                assert ours.explanation.lower() == own_words(words).lower(), (question, zone.names)
    assert min(seen[result] for result in set(SpfResult) - {"none"}) > 30
    assert seen["differs"] < WORLDS * 4 // 30


async def test_random_terms_are_read_as_pyspf_reads_them(monkeypatch):
    chance = Worlds(SEED)
    world = chance.world()
    for domain in DOMAINS:
        world[domain] = [entry for entry in world[domain] if "TXT" not in entry]
        world[domain].append({"TXT": "v=spf1 ip4:192.0.2.1 -all"})
    differs = 0
    for _ in range(TERMS):
        term = mutated(chance.chance, chance.term("rec.example"))
        world["rec.example"] = [*world["n0.example"][:-1], {"TXT": f"v=spf1 {term} ~all"}]
        zone = Zone(world)
        question = chance.one_of(*CLIENTS), "a.b-c@rec.example", "n1.example"
        ours = await check_spf(zone, *question)
        theirs, words = pyspf_over(monkeypatch, zone, *question)
        if ours.result != theirs:
            differs += 1
            # pyspf looks neither at what follows a macro's letter, be it no brace at all, nor at a
            # percent sign behind "%%", nor at bytes that no grammar allows; and it forbids %{c},
            # %{r}, %{t} in unknown modifiers.
            odd = re.search(r"%\{|%%%|[\x00-\x20\x7f]", term)
            assert odd, (term, ours, words)
            assert ours.result == "permerror" or "c,r,t" in words, (term, ours, words)
    assert differs < TERMS // 20


def mutated(chance: random.Random, term: str) -> str:
    chars = list(term)
    for _ in range(chance.randrange(3)):
        at = chance.randrange(len(chars) + 1)
        chars[at : at + chance.randrange(2)] = chance.choices(
            'abz09./:%{}=-~?+_,rRdDlsiptcXx2"\x7f\t&', k=chance.randrange(2)
        )
    return "".join(chars)


def zone_of(**records: str | list) -> dict[str, list]:
    """Zones by keyword: a_example="v=spf1 -all" is the TXT record of a.example."""
    return {
        name.replace("_", "."): [{"TXT": value}] if isinstance(value, str) else value
        for name, value in records.items()
    }


A_RECORD = [{"A": "192.0.2.1"}]
FAR = [{"A": "203.0.113.4"}]
LABELS = ".".join(["x" * 59] * 4)
DELIBERATE = {
    "unknown modifiers may repeat (RFC 7208 6)": (
        zone_of(d_example="v=spf1 moo=1 moo=2 +all"), {}, "pass", "permerror",
    ),
    "unknown modifiers may hold every macro (RFC 7208 12)": (
        zone_of(d_example="v=spf1 moo=%{c} +all"), {}, "pass", "permerror",
    ),
    "names of modifiers are read in any case (RFC 7208 4.6.1)": (
        zone_of(d_example="v=spf1 REDIRECT=e.example", e_example="v=spf1 -all"), {}, "fail", "neutral",
    ),
    "what stands behind a match is not looked at, be it a loop (RFC 7208 4.6)": (
        zone_of(d_example="v=spf1 ip4:192.0.2.1 include:d.example -all"), {}, "pass", "permerror",
    ),
    "a redirect counts when it is followed (RFC 7208 6.1)": (
        zone_of(d_example="v=spf1" + " a:h.example" * 10 + " +all redirect=d.example", h_example=FAR),
        {}, "pass", "permerror",
    ),
    "a macro has nothing but its letter, parts, order and delimiters (RFC 7208 7.1)": (
        zone_of(d_example="v=spf1 a:%{dx!} +all"), {}, "permerror", "pass",
    ),
    "no parts at all cannot be asked for (RFC 7208 7.3)": (
        zone_of(d_example="v=spf1 a:%{d0} +all"), {}, "permerror", "pass",
    ),
    "a percent sign is nothing alone, be it behind two others (RFC 7208 7.1)": (
        zone_of(d_example="v=spf1 a:%%%s.example +all"), {}, "permerror", "pass",
    ),
    "who has no local part is postmaster in every macro (RFC 7208 4.3)": (
        {"d.example": [{"TXT": "v=spf1 exists:%{s}.e.example -all"}], "postmaster@d.example.e.example": A_RECORD},
        {"sender": "@d.example"}, "pass", "fail",
    ),
    "control characters spoil a policy (RFC 7208 12)": (
        zone_of(d_example="v=spf1 a:\x01.example +all"), {}, "permerror", "pass",
    ),
    "parts are joined by dots, always (RFC 7208 7.3)": (
        {"l-d.example": [{"TXT": "v=spf1 exists:%{d-}.e.example -all"}], "l.d.example.e.example": A_RECORD},
        {"sender": "a@l-d.example"}, "pass", "fail",
    ),
    "the letter r may be written in upper case (RFC 7208 7.1)": (
        zone_of(d_example="v=spf1 exists:%{dR}.e.example -all", example_d_e_example=A_RECORD),
        {}, "pass", "fail",
    ),
    "labels are lost until the name fits (RFC 7208 7.3)": (
        {"d.example": [{"TXT": f"v=spf1 exists:a.b.c.{LABELS}.zzz.example -all"}], f"c.{LABELS}.zzz.example": A_RECORD},
        {}, "pass", "fail",
    ),
    "trouble with the client's names is no trouble of the policy (RFC 7208 5.5)": (
        {"d.example": [{"TXT": "v=spf1 ptr -all"}], "1.2.0.192.in-addr.arpa": ["TIMEOUT"]},
        {}, "fail", "temperror",
    ),
    "a client without a name is no fault of the policy (RFC 7208 4.6.4)": (
        zone_of(d_example="v=spf1 a:x.example a:y.example ptr -all"), {}, "fail", "permerror",
    ),
    "mail hosts without an IPv6 address are one term (RFC 7208 4.6.4)": (
        {"d.example": [{"TXT": "v=spf1 mx -all"}, *({"MX": [n, f"{n}.example"]} for n in range(3))],
         **{f"{n}.example": FAR for n in range(3)}},
        {"client": "2001:db8::1"}, "fail", "permerror",
    ),
    "mail hosts behind the one that matches are not asked for": (
        {"d.example": [{"TXT": "v=spf1 mx -all"}, {"MX": [1, "h.example"]}, {"MX": [2, "s.example"]}],
         "h.example": A_RECORD, "s.example": ["TIMEOUT"]},
        {}, "pass", "temperror",
    ),
    "the domain stands behind the last at sign (RFC 5321 4.1.2)": (
        zone_of(d_example="v=spf1 +all"), {"sender": '"a@b"@d.example'}, "pass", "none",
    ),
    "a domain without a dot is not asked (RFC 7208 4.3)": (
        zone_of(example="v=spf1 +all"), {"sender": "a@example"}, "none", "pass",
    ),
    "a domain is made of letters, digits, hyphens (RFC 7208 4.3)": (
        {"d e.example": [{"TXT": "v=spf1 +all"}]}, {"sender": "a@d e.example"}, "none", "pass",
    ),
    "a record may be only so long (RFC 7208 3.4)": (
        zone_of(d_example="v=spf1 " + "ip4:192.0.2.9 " * 700 + "+all"), {}, "permerror", "pass",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", DELIBERATE)
async def test_what_differs_from_pyspf_differs_on_purpose(why, monkeypatch):
    names, asked, ours, theirs = DELIBERATE[why]
    zone = Zone(names)
    question = asked.get("client", "192.0.2.1"), asked.get("sender", "a@d.example"), "h.example"
    assert (await check_spf(zone, *question)).result == ours
    assert pyspf_over(monkeypatch, zone, *question)[0] == theirs


# ---------------------------------------------------------------- whose policy, which words


@pytest.mark.parametrize(
    ("sender", "helo", "domain"),
    [
        ("anna@Lab.EXAMPLE", "h.example", "lab.example"),
        ("anna@lab.example.", "h.example", "lab.example"),
        ("", "Mail.Lab.Example", "mail.lab.example"),
        ("", "[192.0.2.1]", ""),
        ("", "laptop", ""),
        ("anna@", "h.example", ""),
        ("anna@[192.0.2.1]", "h.example", ""),
        ("anna@192.0.2.1", "h.example", ""),
        ("anna@lab..example", "h.example", ""),
        ("anna@\u212aab.example", "h.example", ""),  # a sign for Kelvin, whose lower case is ASCII
        ("anna@" + "a." * 123 + "example", "h.example", "a." * 123 + "example"),
        ("anna@" + "a." * 123 + "examples", "h.example", ""),
        ("a" * 2_000 + "@lab.example", "h.example", ""),
    ],
)
async def test_the_domain_asked_is_told_in_lower_case(sender, helo, domain):
    zone = Zone({})
    assert await check_spf(zone, "192.0.2.1", sender, helo) == Spf(SpfResult.NONE, domain)
    assert len(zone.questions) == bool(domain)


@pytest.mark.parametrize("address", ["", "unix:", "lab.example", "192.0.2", "192.0.2.1:25", "::g"])
async def test_a_client_without_an_address_is_nobody(address):
    zone = Zone(zone_of(lab_example="v=spf1 +all"))
    assert await check_spf(zone, address, "a@lab.example", "h.example") == Spf(SpfResult.NONE, "")


async def test_an_interface_is_no_part_of_an_address():
    zone = Zone(zone_of(lab_example="v=spf1 ip6:fe80::1 -all"))
    assert (await check_spf(zone, "fe80::1%eth0", "a@lab.example", "h")).result == "pass"


async def explained(text: str, sender: str = "a@d.example", helo: str = "h.example") -> str:
    zone = Zone(zone_of(d_example="v=spf1 -all exp=e.example", e_example=text))
    spf = await check_spf(zone, "192.0.2.1", sender, helo)
    assert spf.result == "fail"
    return spf.explanation


async def test_the_time_is_told_in_explanations():
    before = SystemClock().now() // SECOND
    assert before <= int(await explained("%{t}")) <= SystemClock().now() // SECOND


@pytest.mark.parametrize("helo", ["a\r\n250 OK", "\0", "\x7f", "\u00e9\u2028", "\udce9"])
async def test_an_explanation_is_one_line_of_ascii_whatever_helo_was(helo):
    words = await explained("You said %{h}.", helo=helo)
    assert words.startswith("You said ")
    assert words.isascii()
    assert words.isprintable()
    assert "?" in words
    assert (await explained("You said %{H}.", helo=helo)).isascii()


async def test_an_explanation_too_long_for_a_reply_is_none():
    assert len(await explained("x" * LONGEST_EXPLANATION)) == LONGEST_EXPLANATION
    assert await explained("x" * (LONGEST_EXPLANATION + 1)) == ""
    assert await explained("%{h}" * 101, helo="h") == ""
    assert await explained("%{h}" * 3, helo="h" * 200) == ""


@settings(max_examples=500, deadline=None)
@given(labels=st.lists(st.integers(1, 63), min_size=1, max_size=30), dot=st.sampled_from(["", "."]))
@example([1, 126, 126], "")  # 255 and 253 characters
@example([1, 127, 126], "")  # 256 and 254
def test_a_name_keeps_the_labels_that_fit_from_the_right(labels, dot):
    whole = ["x" * length for length in labels]
    fitting = [name for at in range(len(whole)) if len(name := ".".join(whole[at:])) <= 253]
    assert as_name(".".join(whole) + dot) == (fitting or whole[-1:])[0]


# ---------------------------------------------------------------- policies that are meant to hurt


@pytest.fixture
async def dns() -> AsyncIterator[FakeDns]:
    async with FakeDns() as server:
        yield server


async def asked(dns: FakeDns, client: str = "192.0.2.1", sender: str = "a@d.example") -> SpfResult:
    return (await check_spf(DnsResolver([dns.server]), client, sender, "h.example")).result


def kinds(dns: FakeDns) -> Counter[str]:
    return Counter(kind for _, kind in dns.questions)


async def test_the_eleventh_term_is_not_asked(dns):
    dns.add(
        "d.example", "TXT", "v=spf1 " + " ".join(f"a:h{n}.example" for n in range(11)) + " +all"
    )
    for number in range(11):
        dns.add(f"h{number}.example", "A", "203.0.113.1")
    assert await asked(dns) is SpfResult.PERMERROR
    assert kinds(dns) == {"TXT": 1, "A": 10}
    assert ("h10.example", "A") not in dns.questions


async def test_ten_terms_are_asked(dns):
    dns.add(
        "d.example", "TXT", "v=spf1 " + " ".join(f"a:h{n}.example" for n in range(10)) + " ~all"
    )
    for number in range(10):
        dns.add(f"h{number}.example", "A", "203.0.113.1")
    assert await asked(dns) is SpfResult.SOFTFAIL
    assert kinds(dns) == {"TXT": 1, "A": 10}


@pytest.mark.parametrize("way", ["include:", "redirect="])
async def test_a_long_way_ends_after_ten_policies(dns, way):
    dns.add("d.example", "TXT", f"v=spf1 {way}n0.example")
    for number in range(30):
        dns.add(f"n{number}.example", "TXT", f"v=spf1 {way}n{number + 1}.example")
    assert await asked(dns) is SpfResult.PERMERROR
    assert kinds(dns) == {"TXT": 11}


async def test_policies_that_branch_are_counted_together(dns):
    for number in range(8):
        way = " ".join(f"include:n{number + 1}.example" for _ in range(9))
        dns.add(f"n{number}.example", "TXT", f"v=spf1 {way} ?all")
    dns.add("n8.example", "TXT", "v=spf1 ?all")
    assert await asked(dns, sender="a@n0.example") is SpfResult.PERMERROR
    assert kinds(dns)["TXT"] <= 11


@pytest.mark.parametrize("way", ["include:", "redirect="])
async def test_a_loop_ends_by_the_limit_and_is_asked_once_around(dns, way):
    dns.add("d.example", "TXT", f"v=spf1 {way}e.example")
    dns.add("e.example", "TXT", f"v=spf1 {way}d.example")
    assert await asked(dns) is SpfResult.PERMERROR
    assert kinds(dns) == {"TXT": 2}


async def test_a_loop_that_macros_make_new_each_time_ends_too():
    zone = Zone({"d.example": [{"TXT": "v=spf1 include:x.%{d} +all"}]})
    policy = zone.names["d.example"]
    zone.names.update({f"{'x.' * n}d.example": policy for n in range(1, 40)})
    assert (await check_spf(zone, "192.0.2.1", "a@d.example", "h")).result == "permerror"
    assert len(zone.questions) == 11


async def test_the_third_name_that_does_not_exist_is_the_last_one_asked(dns):
    dns.add("d.example", "TXT", "v=spf1 a:x.example mx:y.example exists:z.example a:w.example +all")
    assert await asked(dns) is SpfResult.PERMERROR
    assert dns.questions[1:] == [("x.example", "A"), ("y.example", "MX"), ("z.example", "A")]


async def test_mail_hosts_beyond_ten_are_not_asked_at_all(dns):
    dns.add("d.example", "TXT", "v=spf1 mx +all")
    for number in range(11):
        dns.add("d.example", "MX", f"{number} h{number}.example.")
        dns.add(f"h{number}.example", "A", "192.0.2.1")
    assert await asked(dns) is SpfResult.PERMERROR
    assert kinds(dns) == {"TXT": 1, "MX": 1}


async def test_the_most_that_a_policy_can_ask_is_ten_times_ten_hosts():
    zone = Zone(
        {"d.example": [{"TXT": "v=spf1 " + " ".join(f"mx:m{n}.example" for n in range(10))}]}
    )
    for number in range(10):
        hosts = [f"h{host}.m{number}.example" for host in range(10)]
        zone.names[f"m{number}.example"] = [{"MX": [1, host]} for host in hosts]
        zone.names.update(dict.fromkeys(hosts, FAR))
    assert (await check_spf(zone, "192.0.2.1", "a@d.example", "h")).result == "neutral"
    assert Counter(kind for _, kind in zone.questions) == {"TXT": 1, "MX": 10, "A": 100}


async def test_a_client_with_a_thousand_names_is_asked_for_ten_once(dns):
    terms = " ".join(["ptr:e.example", "exists:%{p}.e.example"] * 5)
    dns.add("d.example", "TXT", f"v=spf1 {terms} -all exp=%{{p}}.example")
    dns.add("unknown.e.example", "AAAA", "2001:db8::1")
    for number in range(1_000):
        dns.add("1.2.0.192.in-addr.arpa", "PTR", f"h{number}.example.")
    # The name that the macro makes of no name has no address: after the third time it is enough.
    assert await asked(dns) is SpfResult.PERMERROR
    dns.add("unknown.e.example", "A", "127.0.0.2")
    assert await asked(dns) is SpfResult.PASS
    addresses = [
        name for name, kind in dns.questions if kind == "A" and name != "unknown.e.example"
    ]
    assert len(addresses) == 2 * 10


async def test_two_records_are_none_that_can_be_used(dns):
    dns.add("d.example", "TXT", "v=spf1 +all")
    dns.add("d.example", "TXT", "v=spf1 -all")
    assert await asked(dns) is SpfResult.PERMERROR
    assert kinds(dns) == {"TXT": 1}


async def test_ten_kilobytes_are_no_record(dns):
    dns.add("d.example", "TXT", "v=spf1 " + "a:h.example " * 850 + "+all")
    begin = process_time()
    assert await asked(dns) is SpfResult.PERMERROR
    assert process_time() - begin < 1
    assert set(dns.questions) == {("d.example", "TXT")}


async def test_a_server_that_fails_is_trouble_and_no_result(dns):
    dns.add("d.example", "TXT", "v=spf1 a:e.example -all")
    dns.fail("e.example")
    assert await asked(dns) is SpfResult.TEMPERROR
    assert await asked(dns, sender="a@e.example") is SpfResult.TEMPERROR


@pytest.mark.parametrize(
    "local",
    [
        "a b",
        '"a b"',
        "a\tb",
        "a\0b",
        "%{d}",
        "a/b",
        "a\\b",
        "-",
        "*",
        "_",
        "a;b",
        "'",
        "a" * 63,
        "O'Neil",
    ],
)
async def test_an_odd_local_part_is_asked_for_as_it_is(local):
    zone = Zone(zone_of(d_example="v=spf1 exists:%{l}.e.example -all"))
    zone.names[f"{local.lower()}.e.example"] = A_RECORD
    assert (await check_spf(zone, "192.0.2.1", f"{local}@d.example", "h")).result == "pass"


@pytest.mark.parametrize("local", ["a..b", ".a", "a.", "a" * 64, "\u00e9", "\udce9"])
async def test_a_local_part_that_makes_no_name_is_not_asked_for(local):
    zone = Zone(zone_of(d_example="v=spf1 exists:%{l}.e.example -all"))
    spf = await check_spf(zone, "192.0.2.1", f"{local}@d.example", "h")
    assert spf.result == "fail"
    assert len(zone.questions) == 1


async def test_an_odd_local_part_reaches_a_real_server_whole(dns):
    dns.add("d.example", "TXT", "v=spf1 exists:%{l}.e.example -all")
    dns.add("a\\032b.e.example", "A", "127.0.0.2")  # the server writes a blank like that
    assert await asked(dns, sender="a b@d.example") is SpfResult.PASS
    assert await asked(dns, sender="a\\b@d.example") is SpfResult.FAIL


class Slow(Zone):
    """A zone whose addresses, and texts below slow.example, never come."""

    async def a(self, name: str) -> Answer:
        return await asyncio.Event().wait() or await super().a(name)

    async def txt(self, name: str) -> Answer:
        if name.endswith("slow.example"):
            await asyncio.Event().wait()
        return await super().txt(name)


async def test_a_check_ends_in_time(monkeypatch):
    monkeypatch.setattr("inbound.auth.spf.MOST_SECONDS", 0.01)
    zone = Slow(zone_of(d_example="v=spf1 a -all", e_example="v=spf1 -all exp=slow.example"))
    assert (await check_spf(zone, "192.0.2.1", "a@d.example", "h")).result == "temperror"
    assert await check_spf(zone, "192.0.2.1", "a@e.example", "h") == Spf(
        SpfResult.FAIL, "e.example"
    )


@pytest.mark.parametrize(
    "terms",
    ["a" * 8_000, "a:" + "a" * 8_000, "a/" + "/1" * 4_000, "a:b" + "/" * 8_000, "%{l}" * 2_000, "a:" + "%{l}" * 1_990 + ".e",
     "x=" + "%{d" + "1" * 8_000 + "}", "a:%{d" + "0" * 8_000 + "1}", "a:%{d" + "-" * 8_000 + "}", "a:%{" * 2_000,
     "ip4:" + "1" * 8_000, "ip6:" + ":" * 8_000, "ip6:" + "1:" * 4_000, "=" * 8_000, " " * 8_000, "a " * 4_000, "-" * 8_000,
     "a:" + "%{h}" * 1_990 + ".e", "a:" + "." * 8_000, "a:b." + "a-" * 4_000, "exp=" + "%%" * 4_000, "a=" * 4_000],
)  # fmt: skip
async def test_a_long_record_takes_no_time(terms):
    zone = Zone(zone_of(d_example=f"v=spf1 {terms}"[:LONGEST_RECORD]))
    begin = process_time()
    await check_spf(zone, "192.0.2.1", "a." * 490 + "@d.example", "h" * 1_000_000)
    assert process_time() - begin < 0.2


class Everywhere(Zone):
    """A zone in which every name has the same policy."""

    async def txt(self, name: str) -> Answer:
        await super().txt(name)
        return Answer((b"v=spf1 include:" + b"%{s}" * 2_000 + b".e.example ?all",), exists=True)


async def test_ten_long_policies_that_swell_take_little_time():
    zone = Everywhere({})
    begin = process_time()
    spf = await check_spf(zone, "192.0.2.1", "a." * 490 + "a@d.example", "h")
    assert spf.result == "permerror"
    assert len(zone.questions) == 11
    assert process_time() - begin < 1


pieces = st.sampled_from(
    ["v=spf1 ", " ", "a", "mx", "ptr", "all", "include:", "exists:", "ip4:", "ip6:", "redirect=", "exp=", "d.example",
     "/24", "//64", "%{", "}", "%{l}", "%{p}", "%{S4r-}", "%", "-", "~", "?", "+", ":", ".", "0", "192.0.2.1", "::1", "\xff"]
)  # fmt: skip
texts = st.text(max_size=30) | st.sampled_from(
    ["d.example", "a@d.example", "@d.example", "a\ud800@d.example"]
)


@settings(max_examples=1_000, deadline=None)
@given(
    record=st.binary(max_size=60).map(lambda data: b"v=spf1 " + data)
    | st.binary(max_size=20)
    | st.lists(pieces, max_size=12).map(
        lambda parts: b"v=spf1 " + "".join(parts).encode("latin-1")
    ),
    local=st.text(max_size=10),
    sender=texts,
    helo=texts,
    client=st.sampled_from(CLIENTS) | st.text(max_size=5),
)
@example(b"v=spf1 exists:%{S}.d.example -all exp=d.example", "\ud800", "a@b", "\udfff", "192.0.2.1")
async def test_whatever_is_published_and_said_there_is_a_result(
    record, local, sender, helo, client
):
    text = record.decode("latin-1")
    zone = Zone(
        {
            name: [{"TXT": text}, *A_RECORD, {"MX": [1, "d.example"]}]
            for name in ("d.example", "e.example")
        }
    )
    for who in (sender, f"{local}@d.example"):
        spf = await check_spf(zone, client, who, helo)
        assert spf.result in SpfResult
        assert spf.domain == "" or (spf.domain.isascii() and spf.domain == spf.domain.lower())
        assert spf.explanation == "" or (
            spf.explanation.isascii() and spf.explanation.isprintable()
        )


@settings(max_examples=1_000, deadline=None)
@given(terms=st.lists(pieces, max_size=15).map("".join) | st.text(max_size=40))
def test_a_text_is_a_record_or_none_that_can_be_used(terms):
    try:
        record = read_record(f"v=spf1 {terms}")
    except BadPolicy:
        return
    assert len(record.directives) <= len(terms.split())
