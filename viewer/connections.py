"""The listener of the web server: how many may be connected, and how long one may say nothing.

Every open file that a stranger's browser holds is one less for the mail. So connections have seats,
well below what the process may open. Who comes when all are taken gets the seat of whoever has waited
longest without a request; whoever is being answered is never sent away. No client of the Internet has
more than a few. A proxy in front stands for everybody, and is known by its private address.
"""

import asyncio
import resource
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import cast

import structlog
from aiohttp import web

from store.settings import host_and_port
from viewer.headers import policy
from viewer.visit import HOUSE

SEATS = 1_000
SEATS_A_CLIENT = 64
HEAD = 20.0  # seconds for the head of a request, from its first byte, or from the connection
KEPT = 75.0  # seconds from an answer to the next request: more than proxies keep theirs (nginx: 60)
STALLED = 120.0  # seconds in which a reader must have taken something
_BACKLOG = 32  # accepted in one go, before any of them is counted
_SILENCE = 60.0  # seconds between two lines of the log about the same
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger()


class WebListener:
    """Listens until `close`.

    Args:
        listen: "host:port".
        proxies: further networks of proxies, besides private ones.
    """

    def __init__(
        self, app: web.Application, listen: str, proxies: Iterable[IPv4Network | IPv6Network] = ()
    ) -> None:
        self.app = app
        self.host, self.port = host_and_port(listen)
        self.seats = Seats(proxies)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=3)
        self.server: asyncio.Server | None = None

    async def open(self) -> int:
        """Begins to listen; returns the port."""
        await self.runner.setup()
        self.server = await asyncio.get_running_loop().create_server(
            self._new_connection, self.host, self.port, backlog=_BACKLOG
        )
        self.port = self.server.sockets[0].getsockname()[1]
        return self.port

    async def close(self) -> None:
        if self.server:
            self.server.close()
        await self.runner.cleanup()

    def _new_connection(self) -> "Connection":
        assert self.runner.server is not None
        return Connection(self.runner.server, self.seats, policy(self.app[HOUSE].settings))


class Seats:
    """Who is connected, and who of them waits, longest first."""

    def __init__(self, proxies: Iterable[IPv4Network | IPv6Network] = ()) -> None:
        self.proxies = list(proxies)
        self.clients: dict[Connection, str] = {}  # "" for a proxy
        self.counts: Counter[str] = Counter()
        self.waiting: dict[Connection, None] = {}
        self.silent_until = 0.0

    def enter(self, one: "Connection", peer: str) -> bool:
        """False when nobody can be sent away for it."""
        client = self._client_of(peer)
        full = len(self.clients) >= _room()
        if client and self.counts[client] >= SEATS_A_CLIENT:
            freed = self._free(client)
        else:
            freed = not full or self._free()
        if not freed:
            self._say_full()
            return False
        self.clients[one] = client
        self.counts[client] += 1
        self.waiting[one] = None
        return True

    def leave(self, one: "Connection") -> None:
        self.waiting.pop(one, None)
        client = self.clients.pop(one, None)
        if client is None:
            return
        self.counts[client] -= 1
        if not self.counts[client]:
            del self.counts[client]

    def wait(self, one: "Connection") -> None:
        if one in self.clients:
            self.waiting[one] = None

    def serve(self, one: "Connection") -> None:
        self.waiting.pop(one, None)

    def _free(self, client: str = "") -> bool:
        """Sends away whoever has waited longest: of this client, or of all."""
        for one in self.waiting:
            if not client or self.clients[one] == client:
                self.leave(one)
                one.hang_up()
                return True
        return False

    def _client_of(self, peer: str) -> str:
        """One IPv4 address, or a whole /64 of IPv6, which is what one host is given; "" for a proxy."""
        address: IPv4Address | IPv6Address = ip_address(peer.partition("%")[0])
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if address.is_private or any(address in network for network in self.proxies):
            return ""
        if isinstance(address, IPv6Address):
            return str(IPv6Address(int(address) >> 64 << 64))
        return str(address)

    def _say_full(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self.silent_until:
            return
        self.silent_until = now + _SILENCE
        log.warning("web connections refused: all seats are taken", seats=len(self.clients))


def _room() -> int:
    """A quarter of what may be open: each may hold a file too, and the mail needs the other half."""
    return min(SEATS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)


class Connection(web.RequestHandler):
    """One connection; whatever it waits for has a deadline, except our own work on a request."""

    def __init__(self, server: web.Server, seats: Seats, headers: dict[str, str]) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # None is its way to say no log
            auto_decompress=False,  # viewer/formdata.py refuses what is packed
            keepalive_timeout=KEPT,
        )
        self.seats = seats
        self.headers = headers
        self.wire: asyncio.Transport | None = None
        self.is_serving = False
        self.has_begun = False  # the head of a request
        self.deadline: asyncio.TimerHandle | None = None
        self.unread = 0  # bytes of ours that lay here when somebody stopped reading

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = cast(asyncio.Transport, transport)
        peer = self.wire.get_extra_info("peername")
        if not peer or not self.seats.enter(self, peer[0]):
            self.wire.abort()
            return
        super().connection_made(transport)
        self.has_begun = True
        self._set_deadline(HEAD, self.hang_up)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._cancel_deadline()
        self.wire = None
        self.seats.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if data and not self.is_serving and not self.has_begun:
            self.has_begun = True
            self._set_deadline(HEAD, self.hang_up)
        super().data_received(data)

    def begin(self) -> None:
        """A request is here and being answered."""
        self.is_serving = True
        self.seats.serve(self)
        self._cancel_deadline()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self.is_serving = self.has_begun = False
            self.seats.wait(self)
            self._set_deadline(KEPT, self.hang_up)

    def pause_writing(self) -> None:
        super().pause_writing()
        assert self.wire is not None
        self.unread = self.wire.get_write_buffer_size()
        self._set_deadline(STALLED, self._look_whether_it_reads)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel_deadline()
        if not self.is_serving:
            self._set_deadline(KEPT, self.hang_up)

    def hang_up(self) -> None:
        """Lets go at once, whatever lies in buffers: closing politely could take for ever."""
        if self.wire is not None:
            self.wire.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- quotes what was sent
    ) -> web.StreamResponse:
        """What cannot be read as a request is anybody's noise: answered, not quoted and not logged."""
        if status >= 500:
            log.error("request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("The answer has begun; another one cannot follow.")
        sentence = "This request cannot be read." if status < 500 else "Something failed here."
        response = web.Response(status=status, text=f"{sentence}\n", headers=self.headers)
        response.force_close()
        return response

    def _look_whether_it_reads(self) -> None:
        assert self.wire is not None
        left = self.wire.get_write_buffer_size()
        if left >= self.unread:
            self.hang_up()
            return
        self.unread = left
        self._set_deadline(STALLED, self._look_whether_it_reads)

    def _set_deadline(self, seconds: float, then: Callable[[], None]) -> None:
        self._cancel_deadline()
        if self.wire is not None:
            self.deadline = asyncio.get_running_loop().call_later(seconds, then)

    def _cancel_deadline(self) -> None:
        if self.deadline:
            self.deadline.cancel()
            self.deadline = None


@web.middleware
async def busy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost: from here on the connection has a request of its own."""
    if isinstance(request.protocol, Connection):
        request.protocol.begin()
    return await handler(request)
