"""LMTP (RFC 2033), for a mail server in front of us that queues, greylists and faces the world.

The dialogue is SMTP's, but for its greeting LHLO, and that a mail is answered once for each
recipient: the server in front bounces or retries for each of them alone.
"""

from inbound.auth.envelope import Mode
from inbound.door.dialogue import Dialogue
from inbound.door.receive import Receiver
from inbound.door.smtp import SmtpDoor


class LmtpDialogue(Dialogue):
    ident = "scanpost LMTP"
    # The server in front brings everybody's mail through one connection: their faults are not its own.
    most_errors = 1_000

    async def smtp_LHLO(self, arg: str | None) -> None:  # noqa: N802 -- aiosmtpd's names
        await super().smtp_EHLO(arg)

    async def smtp_EHLO(self, _arg: str | None) -> None:  # noqa: N802
        await self.push("500 5.5.1 This is LMTP: say LHLO")

    async def smtp_HELO(self, _arg: str | None) -> None:  # noqa: N802
        await self.push("500 5.5.1 This is LMTP: say LHLO")

    async def check_helo_needed(self, _helo: str = "LHLO") -> bool:
        needed: bool = await super().check_helo_needed("LHLO")
        return needed

    async def _answer(self, reply: str) -> None:
        for _ in self.answering:
            await self.push(reply)


class LmtpDoor(SmtpDoor):
    kind = "lmtp"
    dialogue = LmtpDialogue

    def __init__(self, receiver: Receiver, listen: str, hostname: str) -> None:
        super().__init__(receiver, listen, hostname, mode=Mode.RELAY)
