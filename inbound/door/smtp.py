"""The SMTP listener: whom it lets in, and what it finishes before it closes."""

import asyncio
import contextlib
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from inbound.auth.envelope import Mode
from inbound.auth.verdict import Trust
from inbound.door.dialogue import Dialogue, Hooks
from inbound.door.receive import Receiver
from inbound.door.tls import Certificate
from inbound.door.turnstile import Turnstile
from store.settings import host_and_port, socket_path

CLOSING = 30.0  # seconds for the commits that are under way
_TURNS = 10  # of the loop, from a closed connection to the end of its dialogue


class SmtpDoor:
    """Listens until `close`; then finishes the commits that are under way.

    Args:
        listen: "host:port", or "unix:/path".
        hostname: what we call ourselves in the greeting.
        certificate: for STARTTLS; without one it is not offered.
        proxies: networks of load balancers whose connections begin with a PROXY line.
        mode: whether the world or a mail server of ours connects.
    """

    kind = "smtp"
    dialogue: type[Dialogue] = Dialogue

    def __init__(
        self,
        receiver: Receiver,
        listen: str,
        hostname: str,
        certificate: Certificate | None = None,
        proxies: list[IPv4Network | IPv6Network] | None = None,
        mode: Mode = Mode.MX,
    ) -> None:
        self.mode = mode
        self.hooks = Hooks(receiver)
        self.path = socket_path(listen)
        self.host, self.port = ("", 0) if self.path else host_and_port(listen)
        self.hostname = hostname
        self.certificate = certificate
        self.proxies = proxies
        self.turnstile = Turnstile(lambda peer: self._is_seated_first(peer, receiver.trust))
        self.dialogues: set[Dialogue] = set()
        self.server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """Where it listens, as a setting would say it."""
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"

    async def open(self) -> int:
        """Begins to listen; returns the port, 0 for a Unix socket."""
        loop = asyncio.get_running_loop()
        if self.path:
            self.server = await _listen_at(self.path, self._new_dialogue)
            return 0
        self.server = await loop.create_server(
            self._new_dialogue, self.host, self.port, backlog=256
        )
        self.port = self.server.sockets[0].getsockname()[1]
        return self.port

    async def close(self) -> None:
        if self.server is None:
            return
        self.server.close()
        if self.path:
            self.path.unlink(missing_ok=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                while commits := [d.committing for d in self.dialogues if d.committing]:
                    await asyncio.wait(commits)
        for dialogue in list(self.dialogues):
            dialogue.hang_up()
        for _ in range(_TURNS):  # lets the dialogues end and remove their unfinished files
            await asyncio.sleep(0)

    def _is_seated_first(self, peer: str, trust: Trust) -> bool:
        # A mail server of ours brings everybody's mail.
        return self.mode is Mode.RELAY or trust.covers(peer)

    def _new_dialogue(self) -> Dialogue:
        tls = self.certificate.current() if self.certificate else None
        return self.dialogue(
            self.hooks, self.dialogues, self.turnstile, self.hostname, tls, self.proxies, self.mode
        )


async def _listen_at(path: Path, make: Callable[[], Dialogue]) -> asyncio.Server:
    """Listens at a Unix socket; asyncio replaces one that a killed process has left behind."""
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(make, path, backlog=256)
    _let_group_in(path)
    return server


def _let_group_in(path: Path) -> None:
    path.chmod(0o660)
