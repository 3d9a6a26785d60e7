"""The process is killed while it empties a mailbox: every mail is taken, and none twice."""

import asyncio
import os
import random
from pathlib import Path

from tests.dovecot import running_dovecot
from tests.fakes import ANNA, KIM, mail
from tests.service import Service

LONG = bool(os.environ.get("SCANPOST_LONG_RUNS"))
KILLS, MAILS = (20, 40) if LONG else (3, 8)


async def test_a_killed_process_loses_no_mail_of_its_mailbox_and_takes_none_twice(
    tmp_path: Path,
) -> None:
    chance = random.Random(3)
    async with running_dovecot() as dovecot:
        service = Service(tmp_path / "data", f"folder://{tmp_path}/letters")
        service.environment["SCANPOST_IMAP_URL"] = dovecot.url()
        service.environment["SCANPOST_TRUSTED_CLIENTS"] = "imap"
        await service.command("lab", "add", "Acme")
        await service.command("account", "add", ANNA, "--name", "Anna", "--lab", "Acme")
        sent = 0
        for kill in range(KILLS):
            until = MAILS * (kill + 1) // KILLS
            while sent < until:
                sent += 1
                noise = {"x.bin": os.urandom(2_000_000)}
                await dovecot.append(mail(f"{KIM} C-{sent}", f"LIST {sent}", noise).as_bytes())
            await service.start()
            await asyncio.sleep(chance.uniform(0, 0.5))  # the moment of the kill is what varies
            service.kill()
            await service.ended()
        await service.start()
        await dovecot.holds(0)
        await dovecot.holds(MAILS, "Processed")
        service.kill(15)
        await service.ended()
    taken = service.rows("select message_id, count(*) from mails group by message_id")
    assert len(taken) == MAILS
    assert {count for _, count in taken} == {1}
    assert service.rows("select count(*) from mails where state = 'duplicate'") == [(0,)]
    left = [path.name for path in (tmp_path / "data" / "spool").iterdir()]
    assert not [name for name in left if name.endswith(".tmp")]
