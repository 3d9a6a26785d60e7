"""Who wrote a mail: DKIM, SPF, DMARC and ARC become one verdict.

Authority needs an aligned pass for the domain of the one address in From, whatever policy that domain
publishes: "no record" and "p=none" prove nothing. Three things raise a verdict:

    SIGNED   a DKIM signature of the author's domain over From, Subject, Date and the To or Cc in
             which we stand, and the Date is of these days
    SENT     SPF for the author's domain; or DKIM that leaves out Subject or Date, or is old; or the
             word of a server or sealer that the operator has named
    NONE     anything else

A signature made for somebody else's mailbox counts for nothing here: it is valid for ever, and
whoever got the mail can send it on (RFC 6376 8.6).
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import getaddresses, parsedate_to_datetime
from ipaddress import ip_address

from inbound.auth.arc import ArcResult, verify_arc
from inbound.auth.canonical import Header, relaxed_form
from inbound.auth.dkim import DkimResult, Signed, verify_dkim
from inbound.auth.dmarc import Dmarc, DmarcPolicy, ascii_name, discover, is_aligned
from inbound.auth.dns import CountedResolver, DnsTrouble, Resolver
from inbound.auth.envelope import Envelope, Mode
from inbound.auth.fields import values
from inbound.auth.fromheader import author_of
from inbound.auth.results import Result, believed, read_results, worst
from inbound.auth.spf import SpfResult, check_spf
from inbound.auth.structure import check_structure
from inbound.auth.verdict import Trust, Verdict
from store.clock import DAY, MINUTE, SECOND
from store.states import Strength

QUESTIONS = 160  # of the DNS for one mail; RFC 7208 4.6.4 alone permits 123
PATIENCE = 25.0  # seconds for all of them; RFC 5321 4.5.3.2.6 gives us ten minutes
OLDEST, NEWEST = 2 * DAY, 10 * MINUTE  # how far Date may lie behind and before our clock
_MOST_REASONS, _LONGEST_REASONS = 3, 200  # what is told of why; a reply must have room for the rest
_MOST_ADDRESSES = 16 * 1024  # bytes of To and Cc that are looked through


@dataclass(frozen=True)
class Judge:
    """What verdicts are made with.

    Attributes:
        authserv_id: whose Authentication-Results are believed; empty: nobody's.
        our_id: our own, which no mail may bring.
        sealers: domains whose ARC seals are believed.
    """

    resolver: Resolver
    trust: Trust
    our_id: str
    authserv_id: str = ""
    sealers: frozenset[str] = frozenset()

    async def judge(
        self, header: bytes, body_hashes: Mapping[str, bytes], envelope: Envelope, now: int
    ) -> Verdict:
        """Who wrote the mail with this header block, and how that is known.

        Args:
            body_hashes: what the body came to, for each canonicalisation that signatures name.
            now: milliseconds.

        Raises:
            MailRefused: the header can be read in two ways.
        """
        author = author_of(header)
        check_structure(header)
        if self.trust.covers(envelope.peer):
            vouched = f"trusted client {envelope.peer}"
            return Verdict(author, Strength.VOUCHED, vouched, sender_proved=True)
        look = _Look(self, header, body_hashes, envelope, author, now)
        forged = self._forged(header, envelope)
        try:
            async with asyncio.timeout(PATIENCE):
                verdict = await look.verdict()
        except TimeoutError:
            verdict = look.unknown()
        return replace(verdict, forged=forged)

    def _forged(self, header: bytes, envelope: Envelope) -> int:
        """Results that the mail brought and that claim to be ours (RFC 8601 5)."""
        if envelope.mode is not Mode.MX and self.authserv_id:
            return believed(header, self.authserv_id).forged
        ours = believed(header, self.our_id)
        return ours.forged + bool(ours.results)


@dataclass
class _Look:
    """One mail, looked at."""

    by: Judge
    header: bytes
    body_hashes: Mapping[str, bytes]
    envelope: Envelope
    author: str
    now: int
    trouble: bool = False
    missing: list[str] = field(default_factory=list)
    dmarc: Dmarc | None = None

    def __post_init__(self) -> None:
        self.domain = _ascii_domain(self.author)
        self.resolver = CountedResolver(self.by.resolver, QUESTIONS)

    async def verdict(self) -> Verdict:
        signatures, sent = await asyncio.gather(
            verify_dkim(self.header, self.body_hashes, self.resolver, self.now // SECOND),
            self._sent_by(),
        )
        best = await self._best_signature(signatures)
        if best and best.strength is Strength.SIGNED:
            return replace(best, sender_proved=bool(sent))
        if sent:
            signature = best.signature if best else None
            return Verdict(
                self.author, Strength.SENT, sent, sender_proved=True, signature=signature
            )
        return best or await self._forwarded() or await self._unproved()

    def unknown(self) -> Verdict:
        return Verdict(self.author, Strength.NONE, temporary=True)

    # ------------------------------------------------------------ DKIM

    async def _best_signature(self, signatures: list[Signed]) -> Verdict | None:
        found: list[Verdict] = []
        for one in signatures:
            if one.result is DkimResult.TEMPERROR and _related(one.domain, self.domain):
                self.trouble = True
            if one.result is not DkimResult.PASS:
                if _related(one.domain, self.domain):
                    self.missing.append(f"DKIM: {one.why}")
            elif await self._aligned(one.domain, "dkim"):
                found += self._weighed(one)
            else:
                self.missing.append(f"DKIM: signed by {one.domain}")
        return max(found, key=lambda verdict: verdict.strength, default=None)

    def _weighed(self, signature: Signed) -> list[Verdict]:
        if not self._is_for_us(signature):
            self.missing.append("DKIM: the signature does not cover that it is for us")
            return []
        whole = {"subject", "date"} <= signature.headers and self._is_of_these_days()
        strength = Strength.SIGNED if whole else Strength.SENT
        proof = f"DKIM {signature.domain}"
        return [Verdict(self.author, strength, proof, signature=self._fingerprint(signature))]

    def _fingerprint(self, signature: Signed) -> str:
        """What tells a mail that is played again.

        Many mails bear two signatures of their domain, by an old and a new algorithm or by two servers.
        So it is what was signed that counts, or the mail without the first would be another one.
        """
        if not {"subject", "date"} <= signature.headers:
            return signature.fingerprint
        said = [
            field for field in Header(self.header).fields if field.name in (b"date", b"subject")
        ]
        forms = sorted(relaxed_form(field.raw) for field in said)
        whole = b"\0".join([self.author.encode(), signature.body, *forms])
        return hashlib.sha256(whole).hexdigest()

    def _is_for_us(self, signature: Signed) -> bool:
        """Whether every address that it was brought to stands in a signed To or Cc."""
        covered = [name.encode() for name in ("to", "cc") if name in signature.headers]
        named = b", ".join(values(self.header, *covered)) if covered else b""
        try:
            found = getaddresses([named[:_MOST_ADDRESSES].decode("latin-1")])
        except (RecursionError, ValueError, IndexError):  # the library's parser gives up
            return False
        written = {address.lower() for _, address in found}
        return all(recipient.lower() in written for recipient in self.envelope.recipients)

    def _is_of_these_days(self) -> bool:
        """A signature does not end; what it permits does."""
        (written,) = values(self.header, b"date") or [b""]
        try:
            date = parsedate_to_datetime(written[:100].decode("ascii"))
            # RFC 5322 3.3: "-0000" is UTC, from a host that says nothing of its own zone.
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            moment = int(date.timestamp() * SECOND)
        except (ValueError, TypeError, OverflowError, IndexError):
            return False
        return self.now - OLDEST <= moment <= self.now + NEWEST

    # ------------------------------------------------------------ SPF, or who has checked it

    async def _sent_by(self) -> str:
        """What says that a server of the author's domain has sent it; empty if nothing does."""
        if self.envelope.mode is not Mode.MX:
            return await self._told_by_relay()
        address = self.envelope.peer.partition("%")[0]
        if not _is_address(address):
            return ""
        spf = await check_spf(self.resolver, address, self.envelope.sender, self.envelope.helo)
        if spf.result is SpfResult.PASS and await self._aligned(spf.domain, "spf"):
            return f"SPF {spf.domain}"
        if spf.result is SpfResult.TEMPERROR and _related(spf.domain, self.domain):
            self.trouble = True
        of = f" for {spf.domain}" if spf.domain else ""
        self.missing.append(f"SPF: {spf.result}{of} from {address}")
        return ""

    async def _told_by_relay(self) -> str:
        """Only SPF: its dmarc=pass may stand on a signature that we do not count.

        Such as one for somebody else's mailbox, or one that leaves the body's end unsigned (l=).
        """
        if not self.by.authserv_id:
            return ""
        told = believed(self.header, self.by.authserv_id).results
        spf = tuple(result for result in told if result.method == "spf")
        return await self._told(spf, self.by.authserv_id)

    async def _told(self, results: tuple[Result, ...], by: str) -> str:
        """What somebody whom the operator has named says about the author's domain."""
        for result in results:
            if result.value == "pass" and await self._speaks_for_author(result):
                return f"{result.method.upper()} by {by}"
        return ""

    async def _speaks_for_author(self, result: Result) -> bool:
        if result.method == "dmarc":
            return _domain(result.properties.get("header.from", "")) == self.domain
        if result.method == "spf":
            said = result.properties.get("smtp.mailfrom") or result.properties.get("smtp.helo", "")
            return await self._aligned(_domain(said), "spf")
        return False  # dkim: looked at by ourselves

    # ------------------------------------------------------------ ARC, DMARC

    async def _forwarded(self) -> Verdict | None:
        """The word of a sealer that the operator trusts, about a mail that it has changed or sent on."""
        if not self.by.sealers or not values(self.header, b"arc-seal"):
            return None
        arc = await verify_arc(self.header, self.body_hashes, self.resolver, self.now // SECOND)
        self.trouble = self.trouble or arc.result is ArcResult.TEMPERROR
        if arc.result is not ArcResult.PASS or arc.sealer not in self.by.sealers:
            return None
        if "from" not in arc.headers:  # RFC 8617 lets a chain pass whose newest seal leaves it out
            return None
        results = read_results(arc.results)
        told = worst(results.results) if results else ()
        proof = await self._told(told, f"ARC {arc.sealer}")
        return Verdict(self.author, Strength.SENT, proof) if proof else None

    async def _aligned(self, domain: str, how: str) -> bool:
        """Whether a domain that passed speaks for the author's (RFC 9989 4.4)."""
        if not domain or not self.domain:
            return False
        if domain == self.domain:
            return True
        if not _related(domain, self.domain):
            return False
        try:
            self.dmarc = self.dmarc or await discover(self.resolver, self.domain)
            strict = self.dmarc.strict_dkim if how == "dkim" else self.dmarc.strict_spf
            return await is_aligned(self.resolver, self.dmarc, domain, strict=strict)
        except DnsTrouble:
            self.trouble = True
            return False

    async def _unproved(self) -> Verdict:
        if self.trouble:
            return self.unknown()
        try:
            dmarc = self.dmarc or await discover(self.resolver, self.domain)
        except DnsTrouble:
            return self.unknown()
        if not any(reason.startswith("DKIM") for reason in self.missing):
            self.missing.insert(0, "DKIM: no signature of that domain")
        rejects = dmarc.policy is DmarcPolicy.REJECT
        missing = "; ".join(list(dict.fromkeys(self.missing))[:_MOST_REASONS])[:_LONGEST_REASONS]
        return Verdict(self.author, Strength.NONE, missing=missing, rejects=rejects)


def _related(one: str, other: str) -> bool:
    """Whether two domains could be of one organization at all: spares the DNS the question."""
    return one.split(".")[-2:] == other.split(".")[-2:]


def _domain(value: str) -> str:
    return _ascii_domain(value.rpartition("@")[2])


def _ascii_domain(address: str) -> str:
    """The domain of an address as the DNS knows it (RFC 5890 A-label); empty where there is none."""
    return ascii_name(address.rpartition("@")[2]) or ""


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
