"""Who may write to which address. What is not proved is refused in the dialogue, never answered.

share@ needs a proved author: a member of a lab, a reviewer in the case's thread, or a stranger where
the operator lets strangers sign up. What comes to bounce@ is believed for its token alone, since
servers that return mail prove nothing; what comes to postmaster@ is only shown to a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.auth.envelope import Envelope, Mode
from inbound.auth.fields import values
from inbound.auth.fromheader import author_of
from inbound.auth.judge import Judge
from inbound.auth.verdict import Verdict
from inbound.door.sink import MailSink, too_large_sentence
from store.addresses import Desk
from store.clock import HOUR, SECOND
from store.errors import MailRefused
from store.house import House
from store.model import Member
from store.records import access, audit, labs, mails, outbox
from store.states import Strength
from store.tokens import Purpose

MACHINE_MAIL = 2 * 1024 * 1024  # bytes of a mail that nobody proves
LONGEST_WAIT = 4 * HOUR  # that a DNS may be silent before a relayed mail is filed away
STRANGERS = 50  # first mails that wait for a click, in all
STRANGERS_BYTES = 2 << 30
log = structlog.get_logger()


@dataclass(frozen=True)
class Admitted:
    """A mail that may come in, as far as its author says."""

    desk: Desk
    verdict: Verdict

    @property
    def author(self) -> str:
        return self.verdict.author


class Admission:
    def __init__(self, house: House, judge: Judge) -> None:
        self.house = house
        self.judge = judge
        self.addressing = house.settings.addressing

    async def check_recipient(self, address: str, others: Sequence[str] = ()) -> None:
        """Whether a mail for `others` may go to this address too.

        Raises:
            MailRefused: it is not ours or was never given to anybody; or another mail must carry it.
        """
        own = self.addressing.read(address)
        if own is None and address.rpartition("@")[2].lower() != self.addressing.domain:
            raise MailRefused(550, "5.7.1", f"{address} is not at this server; it does not relay.")
        # A dead token is accepted and judged later: only what was never issued is refused.
        if own is None or (own.token and not await self._was_issued(own.desk, own.token)):
            raise MailRefused(550, "5.1.1", f"There is no address {address} here.")
        if others and own.desk is not self.desk_of(others):
            raise MailRefused(452, "4.5.3", f"Send the copy to {address} in a mail of its own.")

    def desk_of(self, recipients: Sequence[str]) -> Desk:
        own = self.addressing.read(recipients[0]) if recipients else None
        return own.desk if own else Desk.SHARE

    def limit_for(self, recipients: Sequence[str], limit: int) -> int:
        """The largest mail for these recipients in bytes: who proves nothing brings no scans."""
        return limit if self.desk_of(recipients) is Desk.SHARE else min(limit, MACHINE_MAIL)

    async def is_hopeless(self, header: bytes, envelope: Envelope) -> bool:
        """Whether a mail whose body is still to come can only be refused: it is not written down.

        Its author is of no lab, and neither the thread of a case nor a sign-up could let it in.
        """
        if self.desk_of(envelope.recipients) is not Desk.SHARE or self._trusts(envelope):
            return False
        try:
            author = author_of(header)
        except MailRefused:
            return True
        async with self.house.database.read() as connection:
            if await labs.members_by_address(connection, {author}):
                return False
            return not await self._may_come(connection, author, envelope.recipients)

    async def admit(self, sink: MailSink, envelope: Envelope) -> Admitted:
        """Who has written a whole mail.

        Raises:
            MailRefused: nobody proves it (550), the DNS does not answer (451), or it is too large for
                mail that nobody has to prove (552).
        """
        desk = self.desk_of(envelope.recipients)
        if desk is not Desk.SHARE:
            if sink.size > MACHINE_MAIL:  # a mailbox says too late whom a mail was for
                raise MailRefused(552, "5.3.4", too_large_sentence(MACHINE_MAIL))
            return Admitted(desk, Verdict(_claimed_author(sink.header), Strength.NONE))
        now = self.house.clock.now()
        verdict = await self.judge.judge(sink.header, sink.body_hashes, envelope, now)
        if verdict.forged:
            log.warning("forged results of checks stripped", count=verdict.forged)
        if verdict.temporary and envelope.mode is Mode.RELAY and _has_waited(sink.header, now):
            # The server in front would bounce it at last, to whoever the envelope names.
            raise MailRefused(550, "5.7.1", "Who wrote this mail could not be verified for hours.")
        if verdict.temporary:
            raise MailRefused(
                451,
                "4.7.0",
                f"The DNS does not answer, so who wrote as {verdict.author} cannot be verified."
                " Try again later.",
            )
        if verdict.strength is Strength.NONE:
            async with self.house.database.write() as connection:
                await self.record_refusal(connection, verdict)
            raise self._unproved(verdict)
        return Admitted(desk, verdict)

    async def standing(
        self,
        connection: AsyncConnection,
        admitted: Admitted,
        recipients: list[str],
        members: Mapping[str, Member],
        beside: Mapping[str, int],
    ) -> str | None:
        """The id of the member who has written, None for a mail that is nobody's of a lab.

        Args:
            beside: strangers whose mails are committed together with this one, and their bytes.

        Raises:
            MailRefused: the author is proved, and nobody here.
        """
        if admitted.desk is not Desk.SHARE:
            return None
        if admitted.author in members:
            return members[admitted.author].id
        if not await self._may_come(connection, admitted.author, recipients):
            raise self._not_a_member(admitted.verdict)
        if not self._is_in_thread(recipients):
            await self._check_strangers(connection, admitted.verdict, beside)
        return None

    async def record_refusal(self, connection: AsyncConnection, verdict: Verdict) -> None:
        await audit.record(
            connection,
            self.house.clock.now(),
            verdict.author,
            "mail refused",
            proof=verdict.proof or "none",
            forged_results=verdict.forged,
        )

    def _trusts(self, envelope: Envelope) -> bool:
        return self.judge.trust.covers(envelope.peer)

    async def _was_issued(self, desk: Desk, token: str) -> bool:
        async with self.house.database.read() as connection:
            if desk is Desk.BOUNCE:
                return await outbox.by_bounce_token(connection, token) is not None
            return await access.holder(connection, token, Purpose.REPLY) is not None

    async def _may_come(
        self, connection: AsyncConnection, author: str, recipients: Sequence[str]
    ) -> bool:
        """Whether somebody of no lab may write here at all; what they may say is judged later."""
        if self._is_in_thread(recipients) or self.house.settings.may_sign_up(author):
            return True
        # Where addresses hold no tokens, a reviewer's reply comes to share@ like everything else.
        return not self.addressing.separator and await access.reviews_any(connection, author)

    def _is_in_thread(self, recipients: Sequence[str]) -> bool:
        return any(own.token for one in recipients if (own := self.addressing.read(one)))

    async def _check_strangers(
        self, connection: AsyncConnection, verdict: Verdict, beside: Mapping[str, int]
    ) -> None:
        """One mail of a stranger waits at a time, and all of them fill only so much of the disk."""
        if not self.house.settings.may_sign_up(verdict.author):
            return
        waiting = {**await mails.waiting_strangers(connection, unread=True), **beside}
        if verdict.author in waiting:
            raise MailRefused(
                451,
                "4.7.1",
                "Your first mail waits for you: press the link in the letter that was sent to"
                f" {verdict.author}. This one is taken after that.",
                answerable=verdict.sender_proved,
            )
        if len(waiting) >= STRANGERS or sum(waiting.values()) >= STRANGERS_BYTES:
            raise MailRefused(
                451, "4.3.1", "Too many people are signing up just now. Try again later."
            )

    def _unproved(self, verdict: Verdict) -> MailRefused:
        # RFC 7372 3: 5.7.26 where the author's domain asks for refusal.
        return MailRefused(
            550,
            "5.7.26" if verdict.rejects else "5.7.1",
            f"Nothing proves that {verdict.author} wrote this mail, so nothing was done"
            f" ({verdict.missing}). Send it through your own mail provider, or ask"
            f" {self.house.settings.operator}.",
        )

    def _not_a_member(self, verdict: Verdict) -> MailRefused:
        return MailRefused(
            550,
            "5.7.1",
            f"{verdict.author} is not a member of a lab here. Write from your registered address;"
            f" from there, ADDRESS {verdict.author} lets this one in too. Or ask"
            f" {self.house.settings.operator}.",
            answerable=verdict.sender_proved,
        )


def _has_waited(header: bytes, now: int) -> bool:
    """Whether the server in front has tried for hours already: its Received line says since when."""
    received = next(iter(values(header, b"received")), b"")
    try:
        date = parsedate_to_datetime(received.rpartition(b";")[2].strip()[:100].decode("ascii"))
        return now - int(date.timestamp() * SECOND) > LONGEST_WAIT
    except (ValueError, TypeError, OverflowError, IndexError):
        return False


def _claimed_author(header: bytes) -> str:
    """Who a mail says has written it; empty where that is not clear."""
    try:
        return author_of(header)
    except MailRefused:
        return ""
