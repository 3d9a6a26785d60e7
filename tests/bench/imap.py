"""Row `imap-60mb`: a 60 MB mail fetched from a real Dovecot.

Ours is the door's own mailbox, window by window; the peer is imapclient as shipped, which fetches the
mail whole and formats every byte of it for a debug log. Each side measures itself in a process of its own.
"""

import asyncio
import json
import subprocess
import sys
from typing import Any

from tests.bench.rows import at_least, below, interleaved
from tests.bench.split import cpu_here, mail_of, peak_here
from tests.dovecot import running_dovecot

SIZES = (30_000_000, 10_000_000, 3_850_000)  # bytes of the attachments


def measure() -> list[dict[str, Any]]:
    return asyncio.run(_measure())


async def _measure() -> list[dict[str, Any]]:
    async with running_dovecot() as dovecot:
        await dovecot.append(mail_of(1000))
        await dovecot.append(mail_of(*SIZES))
        sides = {side: lambda side=side: _run(side, dovecot.url()) for side in ("ours", "theirs")}
        found = await asyncio.get_running_loop().run_in_executor(None, interleaved, sides)
    ours, theirs = found["ours"], found["theirs"]
    return [
        at_least("imap-60mb", ours["cpu"], theirs["cpu"], "imapclient", "s CPU", 8),
        below("imap-60mb-memory", ours["memory"], 10, "MB"),
    ]


def _run(side: str, url: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.imap", side, url]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    found: dict[str, float] = json.loads(output)
    return found


def _ours(url: str) -> Any:
    from inbound.door.mailbox import Account, Mailbox  # noqa: PLC0415 -- the peer's must not load ours

    mailbox = Mailbox(Account.of(url))
    mailbox.__enter__()  # for as long as this process lives
    mailbox.look()

    def fetch(uid: int) -> int:
        return sum(len(window) for window in mailbox.windows(uid, mailbox.size(uid) or 0))

    return fetch


def _theirs(url: str) -> Any:
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415

    from imapclient import IMAPClient  # noqa: PLC0415

    parts = urlsplit(url)
    client = IMAPClient("127.0.0.1", port=parts.port, ssl=False)
    client.login(unquote(parts.username or ""), unquote(parts.password or ""))
    client.select_folder("INBOX", readonly=True)
    return lambda uid: len(client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"])


def _measured(side: str, url: str) -> dict[str, float]:
    fetch = {"ours": _ours, "theirs": _theirs}[side](url)
    fetch(1)  # whatever a library loads and allocates for good
    memory, before = peak_here(anew=True), cpu_here()
    assert fetch(2) > 60_000_000
    return {"cpu": cpu_here() - before, "memory": (peak_here() - memory) / 1e6}


if __name__ == "__main__":
    print(json.dumps(_measured(sys.argv[1], sys.argv[2])))
