"""A DNS server in small, over UDP and TCP on one loopback port, that keeps a list of its questions.

`add` takes a record as a zone file writes it; a name that has none does not exist. `fail` makes a
name answer SERVFAIL, `mute` makes it not answer at all. Answers over 512 bytes come by TCP only.
"""

import asyncio
import struct
from collections import defaultdict
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

_UDP = 512


class FakeDns:
    """Use it as `async with FakeDns() as dns:`."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.failing: set[str] = set()
        self.muted: set[str] = set()
        self.questions: list[tuple[str, str]] = []  # name, type, in the order they came
        self.host, self.port = "127.0.0.1", 0

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def server(self) -> tuple[str, int]:
        return self.host, self.port

    def add(self, name: str, kind: str, text: str) -> None:
        """Adds a record; the text of a TXT record is taken as it is, however long."""
        if kind == "TXT":
            pieces = [text[at : at + 250] for at in range(0, len(text), 250)] or [""]
            escaped = (piece.replace("\\", "\\\\").replace('"', '\\"') for piece in pieces)
            text = " ".join(f'"{piece}"' for piece in escaped)
        self.records[name.lower().rstrip("."), kind].append(text)

    def remove(self, name: str, kind: str) -> None:
        self.records.pop((name.lower(), kind), None)

    def fail(self, name: str) -> None:
        self.failing.add(name.lower())

    def mute(self, name: str) -> None:
        self.muted.add(name.lower())

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.tcp = await asyncio.start_server(self._serve_tcp, self.host, 0)
        self.port = self.tcp.sockets[0].getsockname()[1]
        self.udp, _ = await loop.create_datagram_endpoint(
            lambda: _Udp(self), local_addr=(self.host, self.port)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.udp.close()
        self.tcp.close()
        await self.tcp.wait_closed()

    def answer(self, data: bytes, limit: int) -> bytes | None:
        """The reply to a question; None for a name that is muted."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.questions.append((name, kind))
        if name in self.muted:
            return None
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        if name in self.failing:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif found := self.records.get((name, kind)):
            reply.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", kind, found))
        elif not any(known == name or known.endswith(f".{name}") for known, _ in self.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        wire = reply.to_wire()
        if len(wire) <= limit:
            return wire
        reply.answer.clear()
        reply.flags |= dns.flags.TC
        return reply.to_wire()

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                reply = self.answer(await reader.readexactly(size), 65_535)
                if reply is not None:
                    writer.write(struct.pack("!H", len(reply)) + reply)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, zone: FakeDns) -> None:
        self.zone = zone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self.zone.answer(data, _UDP)
        if reply is not None:
            self.transport.sendto(reply, addr)  # type: ignore[attr-defined]
