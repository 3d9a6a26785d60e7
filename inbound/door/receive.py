"""From bytes to a durable mail: who may write to which address, and the commit behind 250.

Order: spool files synced, their folder synced, rows committed, then 250. What dies before that is as
if it had never come, and the sender tries again; what comes after it is never lost. Mails that end
at the same moment go through these steps together.
"""

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.auth.dns import DnsResolver, Resolver
from inbound.auth.envelope import Envelope
from inbound.auth.fields import values
from inbound.auth.judge import Judge
from inbound.auth.verdict import Trust
from inbound.door.admission import Admission, Admitted
from inbound.door.batches import Batches
from inbound.door.sink import MailSink
from store.blobs.spool import SpoolWriting
from store.errors import MailRefused
from store.house import House
from store.model import Member
from store.records import labs, mails
from store.settings import Settings
from store.states import MailState
from store.threads import Threads
from store.tokens import new_id

log = structlog.get_logger()
_LONGEST_ID = 500
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Arriving:
    """A mail that is being received: its sink, and the spool file behind it."""

    def __init__(
        self, mail_id: str, spool: SpoolWriting, arriving: set["Arriving"], limit: int
    ) -> None:
        self.mail_id = mail_id
        self.spool = spool
        self.sink = MailSink(spool, limit)
        self.all = arriving
        self.looked_at = False  # whether its header was looked at before the body came
        arriving.add(self)

    def abort(self) -> None:
        """Leaves nothing behind; free to call after the commit."""
        self.spool.abort()
        self.all.discard(self)


@dataclass(frozen=True)
class _Candidate:
    """A mail that is whole and waits for its commit."""

    arriving: Arriving
    envelope: Envelope
    admitted: Admitted


class Receiver:
    """What all doors share. Close it after them."""

    def __init__(
        self, house: House, resolver: Resolver | None = None, trust: Trust | None = None
    ) -> None:
        settings = house.settings
        self.house = house
        self.limit = settings.max_mail_bytes
        self.trust = trust or Trust(settings.trusted_networks, settings.trusted_sources)
        resolver = resolver or DnsResolver(settings.resolving_servers)
        self.admission = Admission(house, _judge(settings, resolver, self.trust))
        self.arriving: set[Arriving] = set()
        self.batches: Batches[_Candidate, MailState] = Batches(
            self._commit_together, lambda: len(self.arriving)
        )
        # Of its own: a commit must not wait behind uploads to an object store that is down.
        self.threads = Threads(1)

    def close(self) -> None:
        self.threads.stop()

    def check_room(self) -> None:
        """Raises MailRefused (452) when the disk could not hold the largest mails that may come."""
        room = (2 + len(self.arriving)) * self.limit
        if self.house.spool.free_bytes() < room:
            raise MailRefused(452, "4.3.1", "This server's disk is full. Try again later.")

    async def check_recipient(self, address: str, others: Sequence[str] = ()) -> None:
        """Raises MailRefused when this address is not ours, or not for a mail that goes to others."""
        await self.admission.check_recipient(address, others)

    def open(self, recipients: Sequence[str]) -> Arriving:
        """Raises MailRefused (452) when the disk takes no more."""
        mail_id = new_id()
        try:
            spool = self.house.spool.create(mail_id)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise _not_stored(error) from None
        limit = self.admission.limit_for(recipients, self.limit)
        return Arriving(mail_id, spool, self.arriving, limit)

    async def look_at_header(self, arriving: Arriving, envelope: Envelope) -> None:
        """As soon as the header has come: a mail that can only be refused is not written down."""
        if arriving.looked_at or not arriving.sink.header_ended:
            return
        arriving.looked_at = True
        if await self.admission.is_hopeless(arriving.sink.header, envelope):
            arriving.sink.drop()

    async def commit(self, arriving: Arriving, envelope: Envelope) -> str:
        """Makes a received mail durable; returns its id.

        Raises:
            MailRefused: the mail itself is at fault, or its author may not send here.
        """
        if arriving.sink.problem:
            raise arriving.sink.problem
        admitted = await self.admission.admit(arriving.sink, envelope)
        state = await self.batches.add(_Candidate(arriving, envelope, admitted))
        log.info("mail accepted", mail=arriving.mail_id, state=state, size=arriving.sink.size)
        self.house.poke()
        return arriving.mail_id

    async def _commit_together(
        self, candidates: list[_Candidate]
    ) -> Sequence[MailState | Exception]:
        """Commits a batch; gives each mail its state, or what is wrong with that one."""
        spools = [candidate.arriving.spool for candidate in candidates]
        errors: Sequence[OSError | None]
        try:
            errors = await self.threads.run(self.house.spool.commit_all, spools)
        except OSError as error:  # their folder: none of them is durable
            errors = [error] * len(candidates)
            ids = [candidate.arriving.mail_id for candidate in candidates]
            await self.threads.run(self.house.spool.discard_all, ids)
        pairs = list(zip(candidates, errors, strict=True))
        states = await self._write_rows([c for c, error in pairs if error is None])
        unwanted = [i for i, state in states.items() if state is not MailState.RECEIVED]
        if unwanted:
            await self.threads.run(self.house.spool.discard_all, unwanted)
        return [_not_stored(error) if error else states[c.arriving.mail_id] for c, error in pairs]

    async def _write_rows(self, synced: list[_Candidate]) -> dict[str, MailState | Exception]:
        try:
            async with self.house.database.write() as connection:
                return await self._write_rows_in(connection, synced)
        except OperationalError as error:  # the database's own trouble, not one mail's
            return await self._after(error, synced)
        except Exception as error:  # noqa: BLE001 -- whoever waits for it raises it
            if len(synced) == 1:
                return await self._after(error, synced)
        # One of them is at fault: the others must not suffer for it.
        alone = [await self._write_rows([candidate]) for candidate in synced]
        return {mail_id: state for one in alone for mail_id, state in one.items()}

    async def _after(
        self, error: Exception, synced: list[_Candidate]
    ) -> dict[str, MailState | Exception]:
        """What became of rows whose transaction raised: it may have been committed all the same.

        Raises:
            Exception: it cannot be told; then no file is removed before the next start.
        """
        mail_ids = [candidate.arriving.mail_id for candidate in synced]
        async with self.house.database.read() as connection:
            written = await mails.states(connection, mail_ids)
        return {mail_id: written.get(mail_id, error) for mail_id in mail_ids}

    async def _write_rows_in(
        self, connection: AsyncConnection, synced: list[_Candidate]
    ) -> dict[str, MailState | Exception]:
        authors = {candidate.admitted.author for candidate in synced}
        members = await labs.members_by_address(connection, authors)
        states: dict[str, MailState | Exception] = {}
        arrivals: list[mails.Arrival] = []
        for candidate in synced:
            try:
                arrivals.append(await self._arrival(connection, candidate, members, arrivals))
            except MailRefused as refusal:
                states[candidate.arriving.mail_id] = refusal
                await self.admission.record_refusal(connection, candidate.admitted.verdict)
        states.update(await mails.accept_all(connection, arrivals))
        return states

    async def _arrival(
        self,
        connection: AsyncConnection,
        candidate: _Candidate,
        members: Mapping[str, Member],
        beside: list[mails.Arrival],
    ) -> mails.Arrival:
        """Raises MailRefused when its author is nobody here. `beside` are the others of its batch."""
        sink, envelope = candidate.arriving.sink, candidate.envelope
        admitted, verdict = candidate.admitted, candidate.admitted.verdict
        member_id = await self.admission.standing(
            connection, admitted, envelope.recipients, members, _strangers(beside)
        )
        if sink.dropped:  # its author became somebody while it came
            raise MailRefused(451, "4.3.0", "Send this mail once more: it can be taken now.")
        return mails.Arrival(
            id=candidate.arriving.mail_id,
            received_at=self.house.clock.now(),
            sender=envelope.sender,
            author=verdict.author,
            member_id=member_id,
            strength=verdict.strength,
            proof=verdict.proof,
            signature=verdict.signature,
            recipients=envelope.recipients,
            message_id=message_id(sink.header),
            header_sha256=sink.header_sha256,
            body_sha256=sink.body_sha256,
            size=sink.size,
            source=envelope.source or None,
        )


def _strangers(arrivals: list[mails.Arrival]) -> dict[str, int]:
    """Authors of no lab, with the bytes of their mails."""
    return {one.author: one.size for one in arrivals if one.member_id is None and one.strength}


def _judge(settings: Settings, resolver: Resolver, trust: Trust) -> Judge:
    return Judge(resolver, trust, settings.domain, settings.authserv_id, settings.trusted_sealers)


def _not_stored(error: OSError) -> MailRefused:
    log.warning("spool cannot be written", error=repr(error))
    return MailRefused(452, "4.3.1", "This server cannot store the mail. Try again later.")


def message_id(header: bytes) -> str:
    """The Message-ID as written, on one line and no longer than anybody writes it."""
    found = next(iter(values(header, b"message-id")), b"")
    return " ".join(found.decode(errors="replace").split())[:_LONGEST_ID]
