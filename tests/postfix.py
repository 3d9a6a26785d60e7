"""A real Postfix of one's own, run on the files in deploy/postfix as they are shipped.

Only what belongs to the machine is replaced, by `postconf -e` as an operator would: folders, ports,
the next hop, the certificate, and DNS, of which there is none here.
"""

import asyncio
import contextlib
import datetime as dt
import json
import os
import shutil
import signal
import smtplib
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fakes import ANNA, DOMAIN
from tests.service import free_port

SHIPPED = Path(__file__).parent.parent / "deploy" / "postfix"
MASTER = "/usr/lib/postfix/sbin/master"
TABLES = ("recipients", "open_to_all", "header_checks")
# Seconds until it is up, down, or has an empty queue; a door that found its server away comes back ever later.
PATIENCE = 60.0
A_MOMENT = 0.02
# Postfix looks for scanpost's answer about a recipient after a second. For tests of something else.
UNASKED = {"smtpd_recipient_restrictions": "reject_non_fqdn_recipient, reject_unlisted_recipient"}
LAB, STRANGER_IP = "127.0.0.1", "127.0.0.66"  # in mynetworks as shipped, and not

T = TypeVar("T")
Refused = dict[str, tuple[int, bytes]]


class Postfix:
    """One instance: configuration, queue and data below a folder that ends with it."""

    def __init__(self, relay_port: int, next_hop: str = "", **settings: str) -> None:
        """
        Args:
            relay_port: of the SMTP server on loopback that gets what is not for the domain: bounces.
            next_hop: where mail for the domain goes, as inet:127.0.0.1:24; if not given, `socket`.
            settings: what a test wants to be otherwise than shipped.
        """
        self.relay_port, self.settings = relay_port, settings
        self.port = free_port()
        # Not pytest's tmp_path, which only root may enter; short, since paths of sockets are.
        self.folder = Path(tempfile.mkdtemp(prefix="postfix-"))
        self.socket = self.folder / "run" / "lmtp"
        self.next_hop = next_hop or f"unix:{self.socket}"
        self.master = Daemon(MASTER, "-c", str(self.etc), "-d")

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    @property
    def maillog(self) -> str:
        path = self.folder / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    async def start(self) -> None:
        """Writes the configuration, starts Postfix, and waits until it greets."""
        if os.geteuid() != 0:
            pytest.skip("Postfix's master starts its daemons under several users and needs root.")
        await self._configure()
        complaints = await self.run("postfix", "check")  # makes the folders of the queue too
        assert complaints == "", complaints
        await self.master.start()
        await until(self._greets, "Postfix does not greet", lambda: self.maillog)

    async def stop(self) -> None:
        """Ends the master and whatever it has started, and removes the folder."""
        await self.master.stop()
        shutil.rmtree(self.folder)

    async def run(self, command: str, *arguments: str) -> str:
        """Runs one of Postfix's own commands on this instance; returns what it prints."""
        process = await asyncio.create_subprocess_exec(
            command, "-c", str(self.etc), *arguments, stdout=PIPE, stderr=STDOUT
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def postconf(self, *names: str) -> dict[str, str]:
        """Settings as this instance understands them, with $names filled in."""
        lines = (await self.run("postconf", "-x", *names)).splitlines()
        return {name: value for name, _, value in (line.partition(" =") for line in lines)}

    async def queue(self) -> list[dict[str, Any]]:
        """What waits, as `postqueue -j` tells it."""
        lines = (await self.run("postqueue", "-j")).splitlines()
        return [json.loads(line) for line in lines]

    async def emptied(self) -> None:
        """Waits until nothing is queued."""

        async def empty() -> bool:
            return not await self.queue()

        await until(empty, "Mail stays in the queue", lambda: self.maillog)

    async def put_off(self, count: int = 1) -> list[dict[str, Any]]:
        """Waits until so many mails have been tried and are kept; returns them."""
        found: list[dict[str, Any]] = []

        async def deferred() -> bool:
            found[:] = [mail for mail in await self.queue() if mail["queue_name"] == "deferred"]
            return len(found) >= count

        await until(deferred, "No mail is kept for later", lambda: self.maillog)
        return found

    async def flush(self) -> None:
        await self.run("postqueue", "-f")

    async def logged(self, text: str, count: int = 1) -> None:
        """Waits for a line of the log."""

        async def there() -> bool:
            return self.maillog.count(text) >= count

        await until(there, f"{text!r} is not logged", lambda: self.maillog)

    async def say(self, talk: Callable[[smtplib.SMTP], T], source: str = LAB) -> T:
        """Holds an SMTP dialogue as a client at some address of loopback."""

        def dialogue() -> T:
            with smtplib.SMTP(LAB, self.port, "lab.example", PATIENCE, (source, 0)) as client:
                client.ehlo()
                return talk(client)

        return await asyncio.get_running_loop().run_in_executor(None, dialogue)

    async def send(self, data: bytes, *recipients: str, sender: str = ANNA) -> Refused:
        """Sends a mail as the lab; returns who was refused. Raises when everybody was, or the mail."""
        return await self.say(lambda client: client.sendmail(sender, recipients, data))

    async def _configure(self) -> None:
        self.folder.chmod(0o755)
        self.etc.mkdir()
        for name in ("main.cf", "master.cf", *TABLES):
            shutil.copy(SHIPPED / name, self.etc)
        master = (self.etc / "master.cf").read_text()
        line = "smtp      inet "
        assert master.count(line) == 1
        (self.etc / "master.cf").write_text(master.replace(line, f"{LAB}:{self.port} inet "))
        certificate = self_signed(self.folder / "certificate.pem", "mx.scans.example")
        self._make_folders()
        replaced = {
            "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data",
            "maillog_file": self.folder / "maillog",
            "maillog_file_prefixes": self.folder,
            "inet_interfaces": LAB,
            "inet_protocols": "ipv4",
            "smtpd_peername_lookup": "no",
            "smtpd_tls_cert_file": certificate,
            "smtpd_tls_key_file": certificate,
            "relayhost": f"[127.0.0.1]:{self.relay_port}",
            "scanpost_domain": DOMAIN,
            "scanpost_lmtp": self.next_hop,
            **self.settings,
        }
        await self.run("postconf", "-e", *(f"{name}={value}" for name, value in replaced.items()))
        # Postfix reads a file that has just been written again and again, for two seconds.
        os.utime(self.etc / "main.cf", (0, 0))

    def _make_folders(self) -> None:
        assert Path(MASTER).exists(), "Postfix is not installed; `deploy/packages.sh test` does it."
        queue, data, run = self.folder / "queue", self.folder / "data", self.socket.parent
        for path in (queue, data, run):
            path.mkdir()
        # Instead of making the user postfix a member of scanpost's group.
        shutil.chown(run, group="postfix")
        run.chmod(0o2750)
        shutil.chown(data, "postfix")

    async def _greets(self) -> bool:
        assert self.master.alive, self.maillog
        try:
            reader, writer = await asyncio.open_connection(LAB, self.port)
        except ConnectionError:
            return False
        banner = await reader.readline()
        writer.close()
        return banner.startswith(b"220 ")


@asynccontextmanager
async def running_postfix(
    relay_port: int, next_hop: str = "", **settings: str
) -> AsyncIterator[Postfix]:
    postfix = Postfix(relay_port, next_hop, **settings)
    try:
        await postfix.start()
        yield postfix
    finally:
        await postfix.stop()


# ---------------------------------------------------------------- also for tests/dovecot.py


async def until(
    true: Callable[[], Awaitable[bool]], otherwise: str, log: Callable[[], str]
) -> None:
    """Asks a foreign process again and again; fails with its log when the time is over."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await true():
                await asyncio.sleep(A_MOMENT)
    except TimeoutError:
        raise AssertionError(f"{otherwise}:\n{log()}") from None


class Daemon:
    """A daemon in the foreground, leading a process group of its own.

    Nothing of it outlives the tests: `stop` returns when the whole group is gone, and a guard ends it
    when the tests are killed. (The kernel's own way, PDEATHSIG, is lost when a daemon changes users.)
    """

    def __init__(self, *command: str) -> None:
        self.command = command
        self.process: Process | None = None
        self.guard: Process | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
        )
        # Its standard input ends when we close it, or are no more.
        self.guard = await asyncio.create_subprocess_exec(
            *("sh", "-c", 'read -r _; kill -s KILL -- "-$0"', str(self.pid)),
            stdin=PIPE,
            stderr=DEVNULL,
            start_new_session=True,
        )

    async def stop(self) -> None:
        """Asks it to end; returns when it and all it has started are gone."""
        if self.alive:
            assert self.process is not None
            self.process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), PATIENCE / 2)
        await self.kill()

    async def kill(self) -> None:
        """kill -9, for the whole group."""
        if self.process is None:
            return
        async with asyncio.timeout(PATIENCE):
            while is_group(self.pid):
                os.killpg(self.pid, signal.SIGKILL)
                await asyncio.sleep(A_MOMENT)
            await self.process.wait()
        if self.guard is not None:
            self.guard.kill()
            await self.guard.communicate()
        self.process = self.guard = None


def is_group(leader: int) -> bool:
    """Whether anybody but a zombie is left in a process group."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, group = path.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(group) == leader and state != "Z":
            return True
    return False


def self_signed(path: Path, name: str) -> Path:
    """Writes a key and a certificate for a name and 127.0.0.1, valid for a day, into one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    path.chmod(0o600)
    return path
