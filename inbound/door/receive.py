"""From bytes to a durable mail: who may write to which address, and the commit behind 250.

Order: spool files synced, their folder synced, rows committed, then 250. What dies before that is as
if it had never come, and the sender tries again; what comes after it is never lost. Mails that end
at the same moment go through these steps together.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from inbound.auth.fields import values
from inbound.auth.verdict import Proof, Trust, judge
from inbound.door.batches import Batches
from inbound.door.sink import MailSink
from store.blobs.spool import SpoolWriting
from store.errors import MailRefused
from store.house import House
from store.model import MailState
from store.records import access, audit, labs, mails
from store.threads import Threads
from store.tokens import ADDRESS, Purpose, new_id

log = structlog.get_logger()
_LONGEST_ID = 500
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class Envelope:
    """What is known of a mail beside its bytes.

    Attributes:
        peer: the client's IP address, "unix:" or "imap".
        sender: MAIL FROM, empty for <>.
        source: the mail's place where it can be fetched again, if it was fetched; else empty.
    """

    peer: str
    sender: str
    recipients: list[str]
    source: str = ""


class Arriving:
    """A mail that is being received: its sink, and the spool file behind it."""

    def __init__(
        self, mail_id: str, spool: SpoolWriting, arriving: set["Arriving"], limit: int
    ) -> None:
        self.mail_id = mail_id
        self.spool = spool
        self.sink = MailSink(spool, limit)
        self.all = arriving
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
    author: str


class Receiver:
    """What all doors share. Close it after them."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.limit = house.settings.max_mail_bytes
        self.trust = Trust(house.settings.trusted_networks, house.settings.trusted_sources)
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

    async def check_recipient(self, address: str, peer: str) -> None:
        """Raises MailRefused when this address is not ours, or this client may not write to it."""
        settings = self.house.settings
        if not self.trust.covers(peer):
            raise MailRefused(
                550,
                "5.7.1",
                f"Mail from {peer} is not accepted here. Ask {settings.operator} to let you in.",
            )
        match = ADDRESS.fullmatch(address.lower())
        if match is None or match["domain"] != settings.domain:
            raise MailRefused(550, "5.7.1", f"{address} is not at this server; it does not relay.")
        if not await self._is_known(match["local"], match["token"]):
            raise MailRefused(550, "5.1.1", f"There is no address {address} here.")

    def open(self) -> Arriving:
        """Raises MailRefused (452) when the disk takes no more."""
        mail_id = new_id()
        try:
            spool = self.house.spool.create(mail_id)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise _not_stored(error) from None
        return Arriving(mail_id, spool, self.arriving, self.limit)

    async def commit(self, arriving: Arriving, envelope: Envelope) -> str:
        """Makes a received mail durable; returns its id.

        Raises:
            MailRefused: the mail itself is at fault, or its author may not send here.
        """
        if arriving.sink.problem:
            raise arriving.sink.problem
        verdict = judge(arriving.sink.header, envelope.peer, self.trust)
        if verdict.proof is Proof.NONE:
            async with self.house.database.write() as connection:
                await self._record_refusal(connection, verdict.author)
            raise self._not_a_member(verdict.author)
        state = await self.batches.add(_Candidate(arriving, envelope, verdict.author))
        log.info("mail accepted", mail=arriving.mail_id, state=state, size=arriving.sink.size)
        self.house.poke()
        return arriving.mail_id

    async def _is_known(self, local: str, token: str | None) -> bool:
        if local == "share" and token is None:
            return True
        purpose = {"share": Purpose.REPLY, "bounce": Purpose.BOUNCE}.get(local)
        if purpose is None or token is None:
            return False
        # A dead token is accepted and judged later: only what was never issued is refused.
        async with self.house.database.read() as connection:
            return await access.holder(connection, token, purpose) is not None

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
        members = await labs.members_by_address(connection, {c.author for c in synced})
        arrivals = [self._arrival(c, members[c.author].id) for c in synced if c.author in members]
        states: dict[str, MailState | Exception] = {}
        states.update(await mails.accept_all(connection, arrivals))
        for candidate in synced:
            if candidate.author not in members:
                states[candidate.arriving.mail_id] = self._not_a_member(candidate.author)
                await self._record_refusal(connection, candidate.author)
        return states

    def _arrival(self, candidate: _Candidate, member_id: str) -> mails.Arrival:
        sink, envelope = candidate.arriving.sink, candidate.envelope
        return mails.Arrival(
            id=candidate.arriving.mail_id,
            received_at=self.house.clock.now(),
            sender=envelope.sender,
            author=candidate.author,
            member_id=member_id,
            recipients=envelope.recipients,
            message_id=message_id(sink.header),
            header_sha256=sink.header_sha256,
            body_sha256=sink.body_sha256,
            size=sink.size,
            source=envelope.source or None,
        )

    def _not_a_member(self, author: str) -> MailRefused:
        return MailRefused(
            550,
            "5.7.1",
            f"{author} is not a member of a lab here. Write from your registered"
            f" address, or ask {self.house.settings.operator} to add this one.",
        )

    async def _record_refusal(self, connection: AsyncConnection, author: str) -> None:
        await audit.record(connection, self.house.clock.now(), author, "mail refused")


def _not_stored(error: OSError) -> MailRefused:
    log.warning("spool cannot be written", error=repr(error))
    return MailRefused(452, "4.3.1", "This server cannot store the mail. Try again later.")


def message_id(header: bytes) -> str:
    """The Message-ID as written, on one line and no longer than anybody writes it."""
    found = next(iter(values(header, b"message-id")), b"")
    return " ".join(found.decode(errors="replace").split())[:_LONGEST_ID]
