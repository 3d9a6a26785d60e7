"""The verdict on who wrote a mail, from all that can speak for it: one table for each door."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from ipaddress import ip_network
from time import process_time, tzset

import pytest

from inbound.auth import judge as judging
from inbound.auth.dns import NOTHING, Answer, DnsTrouble
from inbound.auth.envelope import Envelope, Mode
from inbound.auth.judge import Judge
from inbound.auth.verdict import Trust, Verdict
from store.clock import DAY, HOUR, MINUTE
from store.errors import MailRefused
from store.states import Strength
from tests.fakes import ANNA, DOMAIN
from tests.signing import NOW, USUAL, Tags, ed25519_key, publish, rsa_key, seal, sign, streamed

SHARE = f"share@{DOMAIN}"
LAB_IP, ELSEWHERE = "127.0.0.2", "127.0.0.66"  # addresses that a test can connect from
LAB, CLINIC, ATTACKER, SEALER = range(4)  # whose key
OWNERS = {"lab.example": LAB, "clinic.example": CLINIC, "attack.example": ATTACKER}
RELAY = "mx.scans.example"
DATE = formatdate(NOW)


class Zone:
    """A resolver inside the process, with every kind of question; `fail` is SERVFAIL."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[bytes | str]] = {}
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.questions: list[str] = []

    def add(self, name: str, kind: str, text: str) -> None:
        value = text.encode() if kind == "TXT" else text
        self.records.setdefault((name, kind), []).append(value)

    def fail(self, name: str) -> None:
        self.failing.add(name)

    async def _ask(self, name: str, kind: str) -> Answer:
        self.questions.append(name)
        if name in self.silent:
            await asyncio.Event().wait()
        if name in self.failing:
            raise DnsTrouble(name)
        found = self.records.get((name, kind))
        return Answer(tuple(found), exists=True) if found else NOTHING

    async def txt(self, name: str) -> Answer:
        return await self._ask(name, "TXT")

    async def a(self, name: str) -> Answer:
        return await self._ask(name, "A")

    async def aaaa(self, name: str) -> Answer:
        return await self._ask(name, "AAAA")

    async def mx(self, name: str) -> Answer:
        return await self._ask(name, "MX")

    async def ptr(self, address: str) -> Answer:
        return await self._ask(address, "PTR")


def people(dns: object) -> None:
    """The lab and the clinic have a key and a server each; so has somebody who means them ill."""
    for domain, number in OWNERS.items():
        publish(dns, domain, "s1", ed25519_key(number))  # type: ignore[arg-type]
    dns.add("lab.example", "TXT", f"v=spf1 ip4:{LAB_IP} -all")  # type: ignore[attr-defined]
    dns.add("clinic.example", "TXT", "v=spf1 ip4:127.0.0.3 -all")  # type: ignore[attr-defined]
    dns.add("attack.example", "TXT", f"v=spf1 ip4:{ELSEWHERE} -all")  # type: ignore[attr-defined]


def written(
    body: str = "LIST", *, add: Iterable[str] = (), without: Iterable[str] = (), **given: str
) -> bytes:
    """A mail, field by field; `given` are fields in place of the usual ones, `add` whole lines."""
    usual = {
        "From": f"Anna Berg <{ANNA}>",
        "To": SHARE,
        "Subject": "LIST",
        "Date": DATE,
        "Message-ID": "<1@lab.example>",
    }
    fields = {**usual, **{name.replace("_", "-"): value for name, value in given.items()}}
    lines = [f"{name}: {value}" for name, value in fields.items() if name not in without]
    return "\r\n".join([*lines, *add, "", body, ""]).encode()


def signed(
    mail: bytes,
    domain: str = "lab.example",
    whose: int = LAB,
    headers: Iterable[str] = USUAL,
    tags: Tags | None = None,
    length: int | None = None,
) -> bytes:
    key = ed25519_key(whose)
    return sign(mail, domain, "s1", key, headers=headers, tags=tags, length=length)


@dataclass
class Court:
    dns: Zone
    authserv_id: str = ""
    sealers: frozenset[str] = frozenset()
    trusted: list = field(default_factory=list)

    async def judge(
        self,
        mail: bytes,
        *,
        peer: str = ELSEWHERE,
        sender: str = ANNA,
        to: tuple[str, ...] = (SHARE,),
        helo: str = "client.example",
        mode: Mode = Mode.MX,
        later: int = 0,
    ) -> Verdict:
        trust = Trust(self.trusted, frozenset())
        judge = Judge(self.dns, trust, DOMAIN, self.authserv_id, self.sealers)
        envelope = Envelope(peer, sender, list(to), helo=helo, mode=mode)
        return await judge.judge(*streamed(mail), envelope, NOW * 1000 + later)

    async def strength(self, mail: bytes, **given: object) -> Strength:
        return (await self.judge(mail, **given)).strength  # type: ignore[arg-type]


@pytest.fixture
def court() -> Court:
    dns = Zone()
    people(dns)
    return Court(dns)


# ---------------------------------------------------------------- DKIM


async def test_a_signature_of_the_authors_domain_is_signed(court: Court) -> None:
    verdict = await court.judge(signed(written()))
    assert (verdict.author, verdict.strength) == (ANNA, Strength.SIGNED)
    assert verdict.proof == "DKIM lab.example"
    assert verdict.signature
    assert not verdict.sender_proved


async def test_nothing_at_all_is_none_and_says_why(court: Court) -> None:
    verdict = await court.judge(written())
    assert verdict.strength is Strength.NONE
    assert verdict.missing == (
        f"DKIM: no signature of that domain; SPF: fail for lab.example from {ELSEWHERE}"
    )
    assert (verdict.temporary, verdict.rejects, verdict.signature) == (False, False, None)


@pytest.mark.parametrize(
    ("policy", "rejects"),
    [("p=reject", True), ("p=quarantine", False), ("p=none", False), ("p=none; sp=reject", False)],
)
async def test_only_a_domain_that_asks_for_refusal_rejects(
    court: Court, policy: str, rejects: bool
) -> None:
    court.dns.add("_dmarc.lab.example", "TXT", f"v=DMARC1; {policy}")
    assert (await court.judge(written())).rejects is rejects


@pytest.mark.parametrize(
    ("author", "signer", "policy", "counts"),
    [
        ("anna@lab.example", "mail.lab.example", "", True),
        ("anna@lab.example", "mail.lab.example", "adkim=r", True),
        ("anna@lab.example", "mail.lab.example", "adkim=s", False),
        ("anna@desk.lab.example", "lab.example", "", True),
        ("anna@desk.lab.example", "lab.example", "adkim=s", False),
        ("anna@desk.lab.example", "mail.lab.example", "", True),
        ("anna@lab.example", "lab.example", "adkim=s", True),
        ("anna@lab.example", "mail.lab.example", "psd=y", False),
        ("anna@lab.example", "xlab.example", "", False),
        ("anna@lab.example", "lab.example.attack.example", "", False),
    ],
)
async def test_alignment_is_relaxed_unless_the_domain_wants_it_strict(
    court: Court, author: str, signer: str, policy: str, counts: bool
) -> None:
    court.dns.add("_dmarc.lab.example", "TXT", f"v=DMARC1; p=none; {policy}")
    if signer not in OWNERS:
        publish(court.dns, signer, "s1", ed25519_key(LAB))
    mail = signed(written(From=author), signer)
    assert await court.strength(mail, sender="") is (Strength.SIGNED if counts else Strength.NONE)


async def test_without_any_record_a_subdomain_does_not_speak_for_the_domain(court: Court) -> None:
    """RFC 9989 4.10.2: without a record each name is an organization of its own."""
    publish(court.dns, "mail.lab.example", "s1", ed25519_key(LAB))
    assert await court.strength(signed(written(), "mail.lab.example")) is Strength.NONE


@pytest.mark.parametrize(
    ("fields", "recipients"),
    [
        ({"To": "kim@clinic.example"}, [SHARE]),
        ({"To": f'"{SHARE}" <kim@clinic.example>'}, [SHARE]),
        ({"To": f"kim@clinic.example ({SHARE})"}, [SHARE]),
        ({"To": "kim@clinic.example", "Reply-To": SHARE}, [SHARE]),
        ({"To": f"x{SHARE}"}, [SHARE]),
        ({"To": f"{SHARE}.attack.example"}, [SHARE]),
        ({"To": "share@[127.0.0.1]"}, [SHARE]),
        ({"To": SHARE}, [SHARE, f"share+{'a' * 26}@{DOMAIN}"]),
        ({"To": SHARE}, [f"share+{'a' * 26}@{DOMAIN}"]),
        ({"To": "(" * 3000 + SHARE}, [SHARE]),
        ({"To": ""}, [SHARE]),
    ],
)
async def test_a_signature_for_another_mailbox_counts_for_nothing(
    court: Court, fields: dict[str, str], recipients: list[str]
) -> None:
    verdict = await court.judge(signed(written(**fields)), to=tuple(recipients))
    assert verdict.strength is Strength.NONE
    assert "does not cover that it is for us" in verdict.missing


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"To": "Kim@clinic.example"}, USUAL),  # Cc is there and not signed
        ({"To": SHARE}, ("From", "Subject", "Date")),
        ({"To": "kim@clinic.example"}, ("From", "Subject", "Date", "To", "Message-ID")),
    ],
)
async def test_an_unsigned_to_or_cc_does_not_make_it_ours(
    court: Court, fields: dict[str, str], headers: tuple[str, ...]
) -> None:
    mail = signed(written(**fields, Cc=SHARE), headers=headers)
    assert await court.strength(mail) is Strength.NONE


@pytest.mark.parametrize(
    "fields",
    [
        {"To": "Share <SHARE@Scans.Example>"},
        {"To": f"kim@clinic.example, {SHARE}"},
        {"To": f"kim@clinic.example,\r\n <{SHARE}>"},
        {"To": "kim@clinic.example", "Cc": SHARE},
    ],
)
async def test_however_it_is_written_our_address_in_a_signed_to_or_cc_counts(
    court: Court, fields: dict[str, str]
) -> None:
    mail = signed(written(**fields), headers=(*USUAL, "Cc"))
    assert await court.strength(mail) is Strength.SIGNED


@pytest.mark.parametrize(
    ("date", "strength"),
    [
        (formatdate(NOW - 2 * DAY // 1000 + 60), Strength.SIGNED),
        (formatdate(NOW - 2 * DAY // 1000 - 60), Strength.SENT),
        (formatdate(NOW + 9 * MINUTE // 1000), Strength.SIGNED),
        (formatdate(NOW + 11 * MINUTE // 1000), Strength.SENT),
        ("Thu, 01 Jan 1970 00:00:00 +0000", Strength.SENT),
        ("Fri, 31 Dec 9999 23:59:59 -2359", Strength.SENT),
        ("yesterday", Strength.SENT),
        ("", Strength.SENT),
        ("x" * 200, Strength.SENT),
        ("1" * 90, Strength.SENT),
        ("Mon, 21 Sep 2026 14:13:20 +99999999999999", Strength.SENT),
        ("Mon, 21 Sep 2026 14:13:20 ä", Strength.SENT),
    ],
)
async def test_a_date_of_other_days_makes_a_signature_weaker(
    court: Court, date: str, strength: Strength
) -> None:
    assert await court.strength(signed(written(Date=date))) is strength


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Honolulu", "Asia/Tokyo"])
async def test_a_date_without_a_zone_is_utc_wherever_we_run(
    court: Court, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        tzset()
        try:
            assert await court.strength(signed(written(Date=formatdate(NOW)))) is Strength.SIGNED
        finally:
            patch.undo()
            tzset()


@pytest.mark.parametrize(
    ("headers", "without", "strength"),
    [
        (("From", "To", "Date"), (), Strength.SENT),
        (("From", "To", "Subject"), (), Strength.SENT),
        (USUAL, ("Date",), Strength.SENT),  # signed that there is none
        (USUAL, ("Subject",), Strength.SIGNED),
        (("From", "To", "Date"), ("Subject",), Strength.SENT),  # one could be added
        (("To", "Subject", "Date"), (), Strength.NONE),
    ],
)
async def test_what_a_signature_leaves_out_makes_it_weaker(
    court: Court, headers: tuple[str, ...], without: tuple[str, ...], strength: Strength
) -> None:
    assert await court.strength(signed(written(without=without), headers=headers)) is strength


async def test_l_leaves_a_signature_worth_nothing(court: Court) -> None:
    mail = signed(written(), length=4)
    assert await court.strength(mail) is Strength.NONE
    assert await court.strength(mail + b"REVOKE\r\n") is Strength.NONE


async def test_of_several_signatures_the_best_counts(court: Court) -> None:
    weak = signed(written(), headers=("From", "To"))
    mail = signed(signed(weak), "attack.example", ATTACKER)
    assert await court.strength(mail) is Strength.SIGNED
    broken = mail.replace(b"\r\nLIST\r\n", b"\r\nREVOKE\r\n")
    assert await court.strength(broken) is Strength.NONE


async def test_a_signature_is_known_again_whatever_stands_around_it(court: Court) -> None:
    mail = signed(written(), headers=("From", "To", "Subject", "Date"))
    first = await court.judge(mail)
    changed = mail.replace(b"<1@lab", b"<2@lab")
    assert (await court.judge(b"Received: from x by y\r\n" + changed)).signature == first.signature
    other = signed(written("LIST please"), headers=("From", "To", "Subject", "Date"))
    assert (await court.judge(other)).signature != first.signature


async def test_a_mail_with_two_signatures_is_known_again_by_either(court: Court) -> None:
    """Whoever plays it again may take one away, and change what neither covers."""
    publish(court.dns, "lab.example", "s2", rsa_key())
    covered = ("From", "To", "Subject", "Date")
    for number in (0, 1):
        key = (ed25519_key(LAB), rsa_key())[number]
        one = sign(written(), "lab.example", f"s{number + 1}", key, headers=covered)
        both = sign(one, "lab.example", f"s{2 - number}", (rsa_key(), ed25519_key(LAB))[number])
        first, again = await court.judge(both), await court.judge(one.replace(b"<1@", b"<2@"))
        assert first.signature == again.signature is not None
        assert first.strength is again.strength is Strength.SIGNED
        blanks = one.replace(b"Subject: LIST", b"Subject:  LIST ").replace(
            b"\r\nLIST", b"\r\nLIST  "
        )
        assert (await court.judge(blanks)).signature == first.signature


@pytest.mark.parametrize(
    "other",
    [
        {"Subject": "STATUS"}, {"Date": formatdate(NOW - 1)}, {"From": "ben@lab.example"},
        {"body": "LIST please"},
    ],
)  # fmt: skip
async def test_what_says_something_else_is_another_mail(
    court: Court, other: dict[str, str]
) -> None:
    first, second = (
        await court.judge(signed(written())),
        await court.judge(signed(written(**other))),
    )
    assert first.signature != second.signature


async def test_two_hundred_signatures_cost_few_questions_and_little_time(court: Court) -> None:
    mail = written()
    for number in range(200):
        domain = f"d{number}.attack.example"
        mail = sign(mail, domain, "s1", ed25519_key(ATTACKER), headers=("From", "To"))
    begun = process_time()
    verdict = await court.judge(mail)
    assert process_time() - begun < 1
    assert verdict.strength is Strength.NONE
    keys = [name for name in court.dns.questions if "_domainkey" in name]
    assert len(keys) <= 5
    assert len(court.dns.questions) < 20
    assert len(verdict.missing) <= 200


# ---------------------------------------------------------------- SPF


async def test_a_server_of_the_authors_domain_has_sent_it(court: Court) -> None:
    verdict = await court.judge(written(), peer=LAB_IP)
    assert (verdict.strength, verdict.proof) == (Strength.SENT, "SPF lab.example")
    assert verdict.sender_proved
    assert verdict.signature is None


async def test_a_blind_copy_counts_as_sent(court: Court) -> None:
    mail = signed(written(To="kim@clinic.example"))
    assert await court.strength(mail, peer=LAB_IP) is Strength.SENT


async def test_signed_and_sent_is_signed_and_may_be_answered(court: Court) -> None:
    verdict = await court.judge(signed(written()), peer=LAB_IP)
    assert verdict.strength is Strength.SIGNED
    assert verdict.sender_proved


async def test_what_is_sent_keeps_the_signature_it_also_has(court: Court) -> None:
    mail = signed(written(), headers=("From", "To"))
    verdict = await court.judge(mail, peer=LAB_IP)
    assert verdict.strength is Strength.SENT
    assert verdict.signature == (await court.judge(mail)).signature


@pytest.mark.parametrize(
    ("sender", "helo", "policy", "counts"),
    [
        ("bounces@mail.lab.example", "x", "", True),
        ("bounces@mail.lab.example", "x", "aspf=s", False),
        ("", "mail.lab.example", "", True),
        ("", "lab.example", "aspf=s", True),
        ("", "mail.lab.example", "aspf=s", False),
        ("x@attack.example", "lab.example", "", False),
        ("", "attack.example", "", False),
        ("", "[127.0.0.2]", "", False),
        ("anna@lab.example@attack.example", "lab.example", "", False),
        ("anna@lab.example.", "x", "", True),
        ("ANNA@LAB.EXAMPLE", "x", "", True),
    ],
)
async def test_spf_is_aligned_like_a_signature(
    court: Court, sender: str, helo: str, policy: str, counts: bool
) -> None:
    court.dns.add("_dmarc.lab.example", "TXT", f"v=DMARC1; p=none; {policy}")
    court.dns.add("mail.lab.example", "TXT", f"v=spf1 ip4:{LAB_IP} -all")
    strength = await court.strength(written(), peer=LAB_IP, sender=sender, helo=helo)
    assert strength is (Strength.SENT if counts else Strength.NONE)


@pytest.mark.parametrize("peer", ["unix:", "imap", "", "unknown", "::1%eth0"])
async def test_a_peer_without_an_address_has_no_spf(court: Court, peer: str) -> None:
    court.dns.records.pop(("lab.example", "TXT"))
    court.dns.add("lab.example", "TXT", "v=spf1 +all" if peer != "::1%eth0" else "v=spf1 -all")
    assert await court.strength(written(), peer=peer) is Strength.NONE


# ---------------------------------------------------------------- trouble of the DNS


@pytest.mark.parametrize(
    "name", ["s1._domainkey.lab.example", "lab.example", "_dmarc.lab.example", "_dmarc.example"]
)
async def test_trouble_of_the_authors_domain_is_unknown_never_a_refusal(
    court: Court, name: str
) -> None:
    court.dns.fail(name)
    verdict = await court.judge(signed(written(To="kim@clinic.example")))
    assert verdict.temporary
    assert verdict.strength is Strength.NONE


async def test_trouble_of_spf_does_not_hurt_a_good_signature(court: Court) -> None:
    court.dns.fail("lab.example")
    court.dns.fail("_dmarc.lab.example")
    verdict = await court.judge(signed(written()))
    assert (verdict.strength, verdict.temporary) == (Strength.SIGNED, False)


async def test_trouble_of_the_key_does_not_hurt_good_spf(court: Court) -> None:
    court.dns.fail("s1._domainkey.lab.example")
    assert await court.strength(signed(written()), peer=LAB_IP) is Strength.SENT


@pytest.mark.parametrize("name", ["s1._domainkey.attack.example", "attack.example"])
async def test_trouble_of_a_strangers_domain_changes_nothing(court: Court, name: str) -> None:
    court.dns.fail(name)
    mail = signed(written(), "attack.example", ATTACKER)
    verdict = await court.judge(mail, sender="x@attack.example")
    assert (verdict.strength, verdict.temporary) == (Strength.NONE, False)


async def test_a_dns_that_is_silent_is_unknown_in_the_end(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "PATIENCE", 0.05)
    court.dns.silent.add("s1._domainkey.lab.example")
    assert (await court.judge(signed(written()))).temporary


async def test_no_mail_causes_more_questions_than_its_limit(court: Court) -> None:
    """Nor does it gain by using them up: what is not asked any more is no record, and no pass."""
    spf = " ".join(f"mx:m{number}.attack.example" for number in range(10))
    court.dns.add("big.attack.example", "TXT", f"v=spf1 {spf} -all")
    for number in range(10):
        for host in range(10):
            court.dns.add(f"m{number}.attack.example", "MX", f"h{number}{host}.attack.example")
            court.dns.add(f"h{number}{host}.attack.example", "A", "192.0.2.1")
    court.dns.add("_dmarc.lab.example", "TXT", "v=DMARC1; p=none; adkim=s")
    publish(court.dns, "guest.lab.example", "s1", ed25519_key(ATTACKER))
    mail = signed(written(), "guest.lab.example", ATTACKER)
    verdict = await court.judge(mail, sender="x@big.attack.example")
    assert verdict.strength is Strength.NONE
    assert 50 < len(court.dns.questions) <= judging.QUESTIONS


# ---------------------------------------------------------------- relay and IMAP


def stamped(mail: bytes, results: str, by: str = RELAY) -> bytes:
    """As a relay hands a mail on: its own results and its own Received on top."""
    stamp = (
        f"Authentication-Results: {by}; {results}\r\nReceived: from x by {by} with SMTP; now\r\n"
    )
    return stamp.encode() + mail


@pytest.fixture(params=[Mode.RELAY, Mode.IMAP])
def mode(request: pytest.FixtureRequest) -> Mode:
    return request.param


SPF = f"spf=pass smtp.mailfrom={ANNA}"


async def test_a_relay_is_believed_about_spf(court: Court, mode: Mode) -> None:
    court.authserv_id = RELAY
    verdict = await court.judge(stamped(written(), SPF), mode=mode, peer="unix:")
    assert (verdict.strength, verdict.proof) == (Strength.SENT, f"SPF by {RELAY}")
    assert verdict.sender_proved
    assert verdict.forged == 0


@pytest.mark.parametrize(
    "results",
    [
        "spf=fail smtp.mailfrom=anna@lab.example",
        "spf=pass smtp.mailfrom=x@attack.example",
        "spf=pass smtp.mailfrom=x@attack.example smtp.helo=lab.example",
        "spf=pass",
        "dkim=pass header.d=lab.example header.i=@lab.example",
        "dkim=pass header.d=lab.example; dmarc=pass header.from=lab.example",
        "dmarc=pass header.from=lab.example",
        "arc=pass; auth=pass smtp.auth=anna@lab.example; iprev=pass",
        f"{SPF}; spf=fail smtp.mailfrom={ANNA}",
        f"spf=pass smtp.mailfrom=x@attack.example; {SPF}",
        'spf=none smtp.mailfrom="x; spf=pass smtp.mailfrom=anna@lab.example"@attack.example',
        "spf=none (spf=pass smtp.mailfrom=anna@lab.example)",
    ],
)
async def test_what_else_a_relay_says_proves_nothing(
    court: Court, mode: Mode, results: str
) -> None:
    court.authserv_id = RELAY
    assert await court.strength(stamped(written(), results), mode=mode) is Strength.NONE


async def test_a_relays_dmarc_does_not_make_up_for_a_signature_that_we_do_not_count(
    court: Court, mode: Mode
) -> None:
    court.authserv_id = RELAY
    said = "dkim=pass header.d=lab.example; dmarc=pass header.from=lab.example"
    elsewhere = stamped(signed(written(To="other@elsewhere.example")), said)
    assert await court.strength(elsewhere, mode=mode) is Strength.NONE
    longer = stamped(signed(written(), length=4) + b"REVOKE\r\n", said)
    assert await court.strength(longer, mode=mode) is Strength.NONE


@pytest.mark.parametrize("configured", ["", "other.example"])
async def test_without_its_name_nobodys_results_are_believed(
    court: Court, mode: Mode, configured: str
) -> None:
    court.authserv_id = configured
    assert await court.strength(stamped(written(), SPF), mode=mode) is Strength.NONE


async def test_results_below_the_relays_own_are_forged(court: Court, mode: Mode) -> None:
    court.authserv_id = RELAY
    inner = f"Authentication-Results: {RELAY}; {SPF}\r\n".encode() + written()
    verdict = await court.judge(stamped(inner, "spf=fail smtp.mailfrom=x@y.example"), mode=mode)
    assert (verdict.strength, verdict.forged) == (Strength.NONE, 1)


async def test_behind_a_relay_the_signature_is_verified_by_ourselves(
    court: Court, mode: Mode
) -> None:
    court.authserv_id = RELAY
    mail = stamped(signed(written()), "dkim=fail; dmarc=fail header.from=lab.example")
    assert await court.strength(mail, mode=mode) is Strength.SIGNED


async def test_behind_a_relay_its_address_has_no_spf(court: Court, mode: Mode) -> None:
    assert await court.strength(written(), mode=mode, peer=LAB_IP) is Strength.NONE


@pytest.mark.parametrize("by", [DOMAIN, DOMAIN.upper(), f"{DOMAIN}."])
async def test_as_mx_results_in_our_own_name_are_counted_and_ignored(court: Court, by: str) -> None:
    court.authserv_id = DOMAIN  # a relay's setting does not open the door to the world
    said = f"{SPF}; dkim=pass header.d=lab.example; dmarc=pass header.from=lab.example"
    verdict = await court.judge(stamped(written(), said, by))
    assert (verdict.strength, verdict.forged) == (Strength.NONE, 1)
    many = stamped(stamped(signed(written()), said, by), said, by)
    verdict = await court.judge(many)
    assert (verdict.strength, verdict.forged) == (Strength.SIGNED, 2)


# ---------------------------------------------------------------- ARC

TOLD = "lists.example; dmarc=pass header.from=lab.example"


def forwarded(results: str = TOLD, headers: Iterable[str] = USUAL) -> bytes:
    mail = written(To="old@lists.example", Subject="[list] LIST")
    return seal(mail, "lists.example", "s1", ed25519_key(SEALER), results=results, headers=headers)


@pytest.fixture
def listed(court: Court) -> Court:
    publish(court.dns, "lists.example", "s1", ed25519_key(SEALER))
    court.sealers = frozenset({"lists.example"})
    return court


async def test_a_listed_sealer_is_believed_like_a_server(listed: Court) -> None:
    verdict = await listed.judge(forwarded())
    assert (verdict.strength, verdict.proof) == (Strength.SENT, "DMARC by ARC lists.example")
    assert not verdict.sender_proved


@pytest.mark.parametrize("sealers", [(), ("other.example",), ("example",), ("a.lists.example",)])
async def test_an_unlisted_sealer_gains_nothing(listed: Court, sealers: tuple[str, ...]) -> None:
    listed.sealers = frozenset(sealers)
    assert await listed.strength(forwarded()) is Strength.NONE


@pytest.mark.parametrize(
    "mail",
    [
        forwarded(headers=("To", "Subject", "Date")),
        forwarded("lists.example; dmarc=pass header.from=attack.example"),
        forwarded("lists.example; dmarc=fail header.from=lab.example"),
        forwarded("lists.example; dkim=pass header.d=lab.example"),
        forwarded("lists.example; spf=pass smtp.mailfrom=x@lists.example"),
        forwarded("no results at all"),
        forwarded().replace(b"\r\nLIST\r\n", b"\r\nREVOKE\r\n"),
        forwarded().replace(b"[list] LIST", b"[list] REVOKE"),
        forwarded(f"{TOLD}; dmarc=fail header.from=lab.example"),
    ],
)
async def test_a_seal_that_does_not_cover_or_say_enough_is_nothing(
    listed: Court, mail: bytes
) -> None:
    assert await listed.strength(mail) is Strength.NONE


async def test_who_seals_on_top_of_a_listed_sealer_is_whom_it_depends_on(listed: Court) -> None:
    mail = seal(forwarded(), "attack.example", "s1", ed25519_key(ATTACKER), results=TOLD)
    assert await listed.strength(mail) is Strength.NONE


async def test_trouble_with_a_sealers_key_is_unknown(listed: Court) -> None:
    listed.dns.fail("s1._domainkey.lists.example")
    assert (await listed.judge(forwarded())).temporary


# ---------------------------------------------------------------- trust


@pytest.mark.parametrize("peer", ["127.0.0.5", "::ffff:127.0.0.5"])
async def test_a_trusted_client_vouches_and_asks_nobody(court: Court, peer: str) -> None:
    court.trusted = [ip_network("127.0.0.0/29")]
    verdict = await court.judge(written(), peer=peer)
    assert verdict.strength is Strength.VOUCHED
    assert verdict.sender_proved
    assert court.dns.questions == []
    assert await court.strength(written(), peer="127.0.0.9") is Strength.NONE


async def test_even_a_trusted_client_brings_no_mail_that_reads_in_two_ways(court: Court) -> None:
    court.trusted = [ip_network("127.0.0.0/8")]
    with pytest.raises(MailRefused):
        await court.judge(written(add=("From: eve@other.example",)))
    with pytest.raises(MailRefused):
        await court.judge(written(add=("Subject: REVOKE",)))


async def test_an_old_signature_is_no_stronger_for_being_new_to_us(court: Court) -> None:
    mail = signed(written())
    assert await court.strength(mail, later=47 * HOUR) is Strength.SIGNED
    assert await court.strength(mail, later=49 * HOUR) is Strength.SENT
