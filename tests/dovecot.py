"""A real Dovecot of one's own: one mailbox in a temporary folder, IMAP on free ports of loopback."""

import asyncio
import imaplib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import pytest

from tests.postfix import Daemon, self_signed, until
from tests.service import free_port

PROGRAM = "/usr/sbin/dovecot"
USER, PASSWORD = "scans@lab.example", "pass word/1"  # characters that a URL must escape
OWNER = "mail"  # of the mailbox's files: Dovecot opens none as root
# What Dovecot 2.3 offers once somebody has logged in.
CAPABILITIES = (
    "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS"
    " THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS"
    " LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH"
    " LIST-STATUS BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY"
)
CONFIGURATION = """
base_dir = {folder}/run
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
disable_plaintext_auth = no
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={folder}/home
}}
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:~/Maildir
mailbox_idle_check_interval = 1 secs
imap_capability = {capabilities}
rawlog_dir = {folder}/said
namespace inbox {{
  inbox = yes
  prefix = {prefix}
  separator = {separator}
}}
{tls}
"""
TLS = """
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
ssl_min_protocol = TLSv1.2
"""

T = TypeVar("T")


class Dovecot:
    """One server with one user.

    Args:
        without: capabilities that it shall not offer, such as "IDLE" or "MOVE". (It still obeys them.)
        tls: STARTTLS, and a second port for TLS from the first byte, by a self-signed certificate.
        prefix: what the names of folders begin with, such as "INBOX." at many providers.
    """

    def __init__(self, *without: str, tls: bool = False, prefix: str = "") -> None:
        self.port = free_port()
        self.tls_port = free_port() if tls else 0
        self.folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self.prefix = prefix
        self.capabilities = [word for word in CAPABILITIES.split() if word not in without]
        self.daemon = Daemon(PROGRAM, "-F", "-c", str(self.folder / "dovecot.conf"))

    @property
    def certificate(self) -> Path:
        """Key and certificate for localhost; whoever connects may trust it as an authority."""
        return self.folder / "certificate.pem"

    def url(self, folder: str = "") -> str:
        """As SCANPOST_IMAP_URL says it; by TLS from the first byte if there is TLS."""
        scheme, port = ("imaps", self.tls_port) if self.tls_port else ("imap", self.port)
        who = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
        return f"{scheme}://{who}@127.0.0.1:{port}/{quote(folder)}"

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def said(self) -> str:
        """What all clients have said once they were logged in, connection by connection.

        These helpers' own questions are among it: EXAMINE, UID FETCH, STATUS, LIST, APPEND.
        """
        found = sorted((self.folder / "said").glob("*.in"))
        return "".join(re.sub(r"(?m)^\d+\.\d+ ", "", path.read_text("latin-1")) for path in found)

    async def start(self) -> None:
        """Starts it, the first time or again, and waits until the user can log in."""
        if os.geteuid() != 0:
            pytest.skip("Dovecot's master starts its processes under several users and needs root.")
        if not (self.folder / "dovecot.conf").exists():
            self._configure()
        await self.daemon.start()
        await until(self._lets_in, "Dovecot lets nobody in", lambda: self.log)

    async def stop(self) -> None:
        """Ends it and everything it has started, and removes the folder."""
        await self.daemon.kill()  # asked kindly it takes a second
        shutil.rmtree(self.folder)

    async def kill(self) -> None:
        """kill -9 for the whole server; `start` starts it again on the same ports and mailbox."""
        await self.daemon.kill()

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    async def ask(self, question: Callable[[imaplib.IMAP4], T]) -> T:
        """Asks by a connection of its own, logged in, in a thread."""

        def asked() -> T:
            with imaplib.IMAP4("127.0.0.1", self.port, timeout=20) as client:
                client.login(USER, PASSWORD)
                return question(client)

        return await asyncio.get_running_loop().run_in_executor(None, asked)

    async def append(self, data: bytes, folder: str = "INBOX") -> None:
        def append(client: imaplib.IMAP4) -> None:
            _done(client.append(f'"{folder}"', "", "", data))

        await self.ask(append)

    async def folders(self) -> list[str]:
        def listed(client: imaplib.IMAP4) -> list[str]:
            lines = _done(client.list())
            return sorted(line.decode().rpartition(" ")[2].strip('"') for line in lines if line)

        return await self.ask(listed)

    async def mails(self, folder: str = "INBOX") -> dict[int, bytes]:
        """The mails of a folder by UID; none when there is no such folder."""
        return {uid: data for uid, (_, data) in (await self._look(folder)).items()}

    async def flags(self, folder: str = "INBOX") -> dict[int, set[str]]:
        """What clients have noted on each mail, such as \\Seen."""
        return {uid: flags for uid, (flags, _) in (await self._look(folder)).items()}

    async def validity(self, folder: str = "INBOX") -> int:
        """The folder's UIDVALIDITY: with another one, all UIDs have been given anew."""

        def asked(client: imaplib.IMAP4) -> int:
            (line,) = _done(client.status(f'"{folder}"', "(UIDVALIDITY)"))
            found = re.search(rb"UIDVALIDITY (\d+)", line)
            assert found
            return int(found[1])

        return await self.ask(asked)

    async def recreate(self, folder: str = "INBOX") -> None:
        """Deletes a folder with its mails and makes it anew: UIDs begin at 1, under another validity."""
        before = await self.validity(folder)
        if folder == "INBOX":  # no command deletes it
            self._remove_inbox()
        else:
            await self._doveadm("mailbox", "delete", "-u", USER, folder)
            await self._doveadm("mailbox", "create", "-u", USER, folder)
        # Made from the time in seconds: within one second it could be the old one.
        await self._doveadm(
            *("mailbox", "update", "--uid-validity", str(before + 1), "-u", USER, folder)
        )

    async def holds(self, count: int, folder: str = "INBOX") -> None:
        """Waits until so many mails are in a folder."""

        async def so_many() -> bool:
            return len(await self._look(folder)) == count

        await until(so_many, f"{folder} does not hold {count}", lambda: self.log)

    async def _look(self, folder: str) -> dict[int, tuple[set[str], bytes]]:
        def look(client: imaplib.IMAP4) -> dict[int, tuple[set[str], bytes]]:
            if client.select(f'"{folder}"', readonly=True)[0] != "OK":
                return {}
            found = {}
            for part in client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")[1]:
                if isinstance(part, tuple):
                    uid = re.search(rb"UID (\d+)", part[0])
                    assert uid
                    flags = {flag.decode() for flag in imaplib.ParseFlags(part[0])}
                    found[int(uid[1])] = (flags, part[1])
            return found

        return await self.ask(look)

    async def _doveadm(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *("doveadm", "-c", str(self.folder / "dovecot.conf"), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()

    def _remove_inbox(self) -> None:
        """Its files only: the other folders lie in the same folder, as .Name."""
        maildir = self.folder / "home" / "Maildir"
        for path in [*maildir.glob("dovecot.index*"), maildir / "dovecot-uidlist"]:
            path.unlink()
        for name in ("cur", "new", "tmp"):
            shutil.rmtree(maildir / name)

    async def _lets_in(self) -> bool:
        assert self.daemon.alive, self.log
        try:
            await self.ask(lambda client: client.noop())
        except (OSError, imaplib.IMAP4.error):
            return False
        return True

    def _configure(self) -> None:
        self.folder.chmod(0o755)
        for name in ("home", "said"):
            (self.folder / name).mkdir()
            shutil.chown(self.folder / name, OWNER, OWNER)
        self_signed(self.certificate, "localhost")
        (self.folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        text = CONFIGURATION.format(
            folder=self.folder,
            port=self.port,
            tls_port=self.tls_port,
            owner=OWNER,
            capabilities=" ".join(self.capabilities),
            prefix=self.prefix,
            separator=self.prefix[-1:] or "/",
            tls=TLS.format(certificate=self.certificate) if self.tls_port else "ssl = no",
        )
        (self.folder / "dovecot.conf").write_text(text)


@asynccontextmanager
async def running_dovecot(
    *without: str, tls: bool = False, prefix: str = ""
) -> AsyncIterator[Dovecot]:
    dovecot = Dovecot(*without, tls=tls, prefix=prefix)
    try:
        await dovecot.start()
        yield dovecot
    finally:
        await dovecot.stop()


def _done(answer: tuple[str, list]) -> list:
    assert answer[0] == "OK", answer
    return answer[1]
