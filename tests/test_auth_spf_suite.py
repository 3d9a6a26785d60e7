"""SPF against the public suite for RFC 7208 and against our own vectors, which a bare clone has too.

Both are YAML of one shape: zones, and the results that RFC 7208 allows over them. `Zone` is the DNS
of such a file; a part of the cases runs over the real resolver and a real server too.
"""

import ipaddress
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from inbound.auth.dns import Answer, DnsResolver, DnsTrouble
from inbound.auth.spf import SpfResult, check_spf
from tests.fakedns import FakeDns

OURS = Path(__file__).parent / "vectors" / "spf.yml"
PUBLIC = Path(__file__).parents[2] / "shared" / "data" / "suites" / "rfc7208-tests.yml"
NO_EXPLANATION = "DEFAULT"  # the suite's word for what a receiver says when the domain says nothing


class Zone:
    """The DNS of one document, as a Resolver.

    A record of type SPF stands for a TXT record, unless its name has an entry TXT, be it NONE. A
    name with TIMEOUT answers for the types that it has, and is silent on all others.
    """

    def __init__(self, names: dict[str, list[Any]]) -> None:
        self.names = {name.lower().rstrip("."): entries for name, entries in names.items()}
        self.questions: list[tuple[str, str]] = []

    async def txt(self, name: str) -> Answer:
        return self._answer(name, "TXT", _joined)

    async def a(self, name: str) -> Answer:
        return self._answer(name, "A", str)

    async def aaaa(self, name: str) -> Answer:
        return self._answer(name, "AAAA", str)

    async def mx(self, name: str) -> Answer:
        answer = self._answer(name, "MX", tuple)
        return Answer(tuple(host for _, host in sorted(answer.records)), answer.exists)

    async def ptr(self, address: str) -> Answer:
        name = ipaddress.ip_address(address).reverse_pointer
        return self._answer(name, "PTR", lambda value: value.rstrip("."))

    def _answer(self, name: str, kind: str, read: Any) -> Answer:
        assert name.isascii()
        assert all(0 < len(label) < 64 for label in name.split(".")), name
        self.questions.append((name, kind))
        seen = []
        while name not in seen:
            seen.append(name)
            name = name.lower().rstrip(".")
            entries = self.names.get(name, [])
            records = [entry for entry in entries if entry != "TIMEOUT"]
            if alias := [record["CNAME"] for record in records if "CNAME" in record]:
                name = alias[0].lower().rstrip(".")
                continue
            found = values_of(records, kind)
            if not found and "TIMEOUT" in entries:
                raise DnsTrouble(f"{name} does not answer.")
            exists = any(known == name or known.endswith(f".{name}") for known in self.names)
            return Answer(tuple(read(value) for value in found), exists)
        raise DnsTrouble(f"{name} is its own alias.")


def values_of(records: list[dict[str, Any]], kind: str) -> list[Any]:
    """The values of one type; of TXT those of the type SPF if there are none of its own."""
    kinds = {name for record in records for name in record}
    if kind == "TXT" and "TXT" not in kinds:
        kind = "SPF"
    return [record[kind] for record in records if record.get(kind, "NONE") != "NONE"]


def _joined(value: str | list[str]) -> bytes:
    return "".join(value).encode("latin-1")


class Case(NamedTuple):
    name: str
    client: str
    sender: str
    helo: str
    results: list[str]
    explanations: list[str]
    zone: dict[str, list[Any]]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def cases(path: Path) -> list[Case]:
    if not path.exists():
        return []
    return [
        Case(
            name=f"{document['description']}: {name}",
            client=test["host"],
            sender=test["mailfrom"],
            helo=test["helo"],
            results=listed(test["result"]),
            explanations=listed(test.get("explanation", [])),
            zone=document["zonedata"],
        )
        for document in yaml.safe_load_all(path.read_text())
        for name, test in document["tests"].items()
    ]


PUBLIC_CASES, OUR_CASES = cases(PUBLIC), cases(OURS)
ALL_CASES = PUBLIC_CASES + OUR_CASES


@pytest.mark.skipif(not PUBLIC_CASES, reason="the public suite for RFC 7208 lies beside the clone")
def test_the_public_suite_is_there_as_a_whole() -> None:
    assert len(PUBLIC_CASES) == 203


def test_our_own_vectors_cover_every_result() -> None:
    assert len(OUR_CASES) >= 60
    assert len({case.name for case in OUR_CASES}) == len(OUR_CASES)
    results = Counter(result for case in OUR_CASES for result in case.results)
    assert set(results) == set(SpfResult)


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)
async def test_a_result_is_one_that_rfc_7208_allows(case: Case) -> None:
    zone = Zone(case.zone)
    spf = await check_spf(zone, case.client, case.sender, case.helo)
    assert spf.result in case.results
    if case.explanations:
        assert (spf.explanation or NO_EXPLANATION) in case.explanations
    assert spf.explanation == "" or spf.result is SpfResult.FAIL
    assert_few(zone.questions)


def assert_few(questions: list[tuple[str, str]]) -> None:
    """What RFC 7208 4.6.4 lets ten terms ask, and no question more."""
    kinds = Counter(kind for _, kind in questions)
    policies = kinds["TXT"] - 2  # the first is no term, and neither is the explanation
    # Ten addresses belong to each question for mail hosts, and ten to the client's own names.
    hosts = kinds["A"] + kinds["AAAA"] - 10 * kinds["MX"] - 10 * kinds["PTR"]
    assert policies + kinds["MX"] + max(0, hosts) <= 10
    assert kinds["PTR"] <= 1


def fits_a_server(case: Case) -> bool:
    """Whether the small server can hold the zone: no aliases, and names that need no escapes."""
    for name, entries in case.zone.items():
        if not name.isascii() or any(char in name for char in " :/%"):
            return False
        for entry in entries:
            if entry != "TIMEOUT" and ("CNAME" in entry or "" in entry.get("MX", [])):
                return False
        if "TIMEOUT" in entries and len(entries) > 1:
            return False
    return str(case.zone).isascii() and "\\" not in str(case.zone)


def fill(server: FakeDns, zone: dict[str, list[Any]]) -> None:
    for name, entries in zone.items():
        if "TIMEOUT" in entries:
            server.fail(name)
            continue
        for kind in ("TXT", "A", "AAAA", "MX", "PTR"):
            for value in values_of(entries, kind):
                texts = {
                    "TXT": lambda value: _joined(value).decode("ascii"),
                    "MX": lambda value: f"{value[0]} {value[1].rstrip('.')}.",
                    "PTR": lambda value: value.rstrip(".") + ".",
                }
                server.add(name, kind, texts.get(kind, str)(value))


@pytest.mark.parametrize(
    "case", [case for case in ALL_CASES if fits_a_server(case)], ids=lambda case: case.name
)
async def test_the_result_over_a_real_resolver_is_the_same(case: Case) -> None:
    async with FakeDns() as server:
        fill(server, case.zone)
        spf = await check_spf(DnsResolver([server.server]), case.client, case.sender, case.helo)
        assert spf.result in case.results
        assert_few(server.questions)
