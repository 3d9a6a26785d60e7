"""From bytes to a durable mail: who may write to which address, and the commit behind 250.

Order: spool file synced, its folder synced, row committed, then 250. What dies before that is as if
it had never come, and the sender tries again; what comes after it is never lost.
"""

import email.parser
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

import structlog

from inbound.auth.verdict import Proof, is_trusted, judge
from inbound.door.sink import DataSink
from store.blobs.spool import SpoolWriting
from store.errors import MailRefused
from store.house import House
from store.model import MailState
from store.records import access, audit, labs, mails
from store.tokens import ADDRESS, Purpose, new_id

log = structlog.get_logger()


@dataclass(frozen=True)
class Envelope:
    peer: str  # the client's IP address
    sender: str  # MAIL FROM, empty for <>
    recipients: list[str]


class Arriving:
    """A mail that is being received: its sink, and the spool file behind it."""

    def __init__(self, mail_id: str, spool: SpoolWriting, limit: int) -> None:
        self.mail_id = mail_id
        self.spool = spool
        self.sink = DataSink(spool, limit)


class Receiver:
    def __init__(self, house: House) -> None:
        self.house = house
        self.trusted: list[IPv4Network | IPv6Network] = house.settings.trusted_networks

    def check_room(self) -> None:
        """Raises MailRefused (452) when the disk could not hold two more of the largest mails."""
        if self.house.spool.free_bytes() < 2 * self.house.settings.max_mail_bytes:
            raise MailRefused(452, "4.3.1", "This server's disk is full. Try again later.")

    async def check_recipient(self, address: str, peer: str) -> None:
        """Raises MailRefused when this address is not ours, or this client may not write to it."""
        settings = self.house.settings
        if not is_trusted(peer, self.trusted):
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
        mail_id = new_id()
        spool = self.house.spool.create(mail_id)
        return Arriving(mail_id, spool, self.house.settings.max_mail_bytes)

    async def commit(self, arriving: Arriving, envelope: Envelope) -> str:
        """Makes a received mail durable; returns its id.

        Raises:
            MailRefused: the mail itself is at fault, or its author may not send here.
        """
        if arriving.sink.problem:
            raise arriving.sink.problem
        member_id, author = await self._author(arriving, envelope)
        await self.house.threads.run(arriving.spool.commit)
        try:
            state = await self._write_row(arriving, envelope, member_id, author)
        except Exception:
            # Not when cancelled: the row may stand. A file that no row wants goes at the next start.
            self.house.spool.discard(arriving.mail_id)
            raise
        if state is MailState.DUPLICATE:
            await self.house.threads.run(self.house.spool.discard, arriving.mail_id)
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

    async def _author(self, arriving: Arriving, envelope: Envelope) -> tuple[str, str]:
        verdict = judge(arriving.sink.header, envelope.peer, self.trusted)
        async with self.house.database.read() as connection:
            member = await labs.member_by_address(connection, verdict.author)
        if verdict.proof is Proof.NONE or member is None or member.disabled_at is not None:
            await self._record_refusal(verdict.author)
            raise MailRefused(
                550,
                "5.7.1",
                f"{verdict.author} is not a member of a lab here. Write from your registered"
                f" address, or ask {self.house.settings.operator} to add this one.",
            )
        return member.id, verdict.author

    async def _record_refusal(self, author: str) -> None:
        async with self.house.database.write() as connection:
            await audit.record(connection, self.house.clock.now(), author, "mail refused")

    async def _write_row(
        self, arriving: Arriving, envelope: Envelope, member_id: str, author: str
    ) -> MailState:
        sink = arriving.sink
        arrival = mails.Arrival(
            id=arriving.mail_id,
            received_at=self.house.clock.now(),
            sender=envelope.sender,
            author=author,
            member_id=member_id,
            recipients=envelope.recipients,
            message_id=_message_id(sink.header),
            header_sha256=sink.header_sha256,
            body_sha256=sink.body_sha256,
            size=sink.size,
        )
        async with self.house.database.write() as connection:
            return (await mails.accept(connection, arrival)).state


def _message_id(header: bytes) -> str:
    fields = email.parser.BytesHeaderParser().parsebytes(header)
    return " ".join(str(fields.get("message-id", "")).split())[:500]
