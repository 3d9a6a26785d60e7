"""A certificate of our own, and a proxy that speaks TLS in front of a server, as an operator's Caddy does."""

import asyncio
import base64
import contextlib
import datetime as dt
import ssl
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

PIECE = 64 * 1024


@dataclass(frozen=True)
class Certificate:
    """A certificate of `localhost`, signed by an authority that nobody else knows."""

    authority: Path
    chain: Path
    key: Path
    spki: str  # the public key's SHA-256, as Chromium's command line takes it

    @classmethod
    def make(cls, folder: Path) -> Self:
        ca_key, key = (
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP256R1()),
        )
        ca_name, name = _name("scanpost tests"), _name("localhost")
        authority = (
            _builder(ca_name, ca_name, ca_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(ca_key, SHA256())
        )
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        leaf = (
            _builder(name, ca_name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(ca_key, SHA256())
        )
        made = cls(folder / "ca.pem", folder / "chain.pem", folder / "key.pem", _spki(key))
        made.authority.write_bytes(authority.public_bytes(Encoding.PEM))
        made.chain.write_bytes(leaf.public_bytes(Encoding.PEM))
        made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return made

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


class TlsFront:
    """https on one port, passed on in the clear to a server; http on another, which only redirects."""

    def __init__(self, certificate: Certificate, upstream: int) -> None:
        self.certificate = certificate
        self.upstream = upstream
        self.servers: list[asyncio.Server] = []
        self.connections: set[asyncio.Task[None]] = set()
        self.writers: set[StreamWriter] = set()
        self.https_port = self.http_port = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.https_port}"

    async def __aenter__(self) -> Self:
        context = self.certificate.context()
        secure = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, ssl=context)
        self.https_port = secure.sockets[0].getsockname()[1]
        plain = await asyncio.start_server(self._redirect, "127.0.0.1", 0)
        self.http_port = plain.sockets[0].getsockname()[1]
        self.servers = [secure, plain]
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self.servers:
            server.close()
        # What is cut off reads an end, and so each connection comes to its own.
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*self.connections, return_exceptions=True)

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._remember(writer)
        answers, questions = await asyncio.open_connection("127.0.0.1", self.upstream)
        self.writers.add(questions)
        await asyncio.gather(_pipe(reader, questions), _pipe(answers, writer))
        self.writers.discard(questions)

    async def _redirect(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._remember(writer)
        with contextlib.suppress(asyncio.IncompleteReadError):  # looked whether somebody listens
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            answer = f"HTTP/1.1 301 Moved Permanently\r\nLocation: {self.url}{path}\r\n"
            writer.write(f"{answer}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    def _remember(self, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        self.writers.add(writer)
        task.add_done_callback(
            lambda done: (self.connections.discard(done), self.writers.discard(writer))
        )


async def _pipe(reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=30))
    )


def _spki(key: ec.EllipticCurvePrivateKey) -> str:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(sha256(public).digest()).decode()
