"""One question, asked again and again: which rows are due, and does somebody work on them?

Reminders, retries and ends are rows with a `due_at`, so that whoever sets the clock owns the time.
"""

import asyncio
import contextlib
import errno
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from store.clock import DAY, MINUTE, SECOND
from store.engine import Engine, Flow, Standing, Step
from store.errors import ChildLost, SettingsError, Stopping, TryAgain
from store.house import House
from store.model import LetterDraft
from store.records import cases, confirmations, labs, mails, outbox, uploads, versions, work
from store.records.work import Due
from store.states import MailState, Strength
from store.uploads import UploadState

TRIES = 3
_DESTROYING = frozenset({"case", "upload"})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})
AWAY = 2 * MINUTE  # until a flow looks again whether its stores are back
PAUSE = 1.0  # seconds between two looks when nobody pokes
log = structlog.get_logger()


def waiting_for_stores(house: House, kind: str, flow: Flow) -> Flow:
    """The flow, as it waits in its row while the object store is down or the disk full.

    That is no failure of its own, and whoever mends it has as long as it takes.
    """

    async def run(step: Step, row_id: str) -> None:
        try:
            await flow(step, row_id)
        except (ChildLost, Stopping):
            raise
        except (TryAgain, OSError) as trouble:
            if isinstance(trouble, OSError) and trouble.errno not in _FULL:
                raise
            log.warning("stores away", kind=kind, row=row_id, error=str(trouble))
            later = house.clock.now() + AWAY
            async with house.database.write() as connection:
                await work.wait(connection, kind, row_id, later)

    return run


@dataclass
class Sweep:
    house: House
    engine: Engine
    tidied_at: int = 0
    tidying: asyncio.Task[None] | None = None
    stopping: bool = False

    async def run(self) -> None:
        """Sweeps until `stopping`; an error of one sweep is logged, and the next one comes."""
        try:
            while not self.stopping:
                self.house.poked.clear()
                try:
                    await self.once(self.house.clock.now())
                except Exception:
                    log.exception("sweep failed")
                # Not wait_for: in Python 3.11 it swallows a cancellation that comes with a poke.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PAUSE):
                        await self.house.poked.wait()
        finally:
            if self.tidying:
                self.tidying.cancel()

    async def once(self, now: int) -> int:
        """Starts, resumes or gives up whatever is due; returns how many rows are."""
        async with self.house.database.read() as connection:
            rows = await work.due(connection, now)
        for row in rows:
            await self._move(row, now)
        if now - self.tidied_at > DAY:
            self.tidied_at = now
            self.tidying = asyncio.create_task(self._tidy())
        return len(rows)

    async def _tidy(self) -> None:
        """Once a day, beside the sweep: an object store that is down must not hold it up."""
        try:
            await self.engine.forget_old()
            blobs = self.house.blobs
            await self.house.object_threads.run(blobs.check)
            left = await self.house.object_threads.run(blobs.sweep_unfinished, DAY / SECOND)
        except SettingsError as error:  # it was private when we started
            log.error("the object store is not safe any more", error=str(error))  # noqa: TRY400
        except Exception:
            log.exception("tidying failed")
        else:
            log.info("tidied", unfinished_objects=left)

    async def _move(self, row: Due, now: int) -> None:
        standing = await self.engine.standing(row.kind, row.id, row.flow_id)
        if standing is Standing.UNKNOWN:
            await self.engine.begin(row.kind, row.id, row.flow_id)
        elif standing is Standing.STRANDED:
            await self.engine.resume(row.kind, row.flow_id)
        elif standing is Standing.OUTDATED:
            await self._supersede(row, now)
        elif standing in (Standing.FAILED, Standing.ENDED):
            await self._after_failure(row, now)

    async def _supersede(self, row: Due, now: int) -> None:
        async with self.house.database.write() as connection:
            if row in await work.due(connection, now):
                await work.reschedule(connection, row.kind, row.id, now, row.failures)
        self.house.poke()

    async def _after_failure(self, row: Due, now: int) -> None:
        """The flow is over and the row is still due: try anew, or give it up and tell the operator."""
        async with self.house.database.write() as connection:
            if row not in await work.due(connection, now):
                return  # The flow moved the row after we asked.
            failures = row.failures + 1
            log.warning("flow failed", kind=row.kind, row=row.id, failures=failures)
            if failures < TRIES:
                pause = failures * MINUTE // 2
                await work.reschedule(connection, row.kind, row.id, now + pause, failures)
            else:
                await self._give_up(connection, row, now)
        self.house.poke()

    async def _give_up(self, connection: AsyncConnection, row: Due, now: int) -> None:
        log.error("flow given up", kind=row.kind, row=row.id)
        if row.kind in _DESTROYING:  # What was promised to be destroyed is tried again, every day.
            await work.reschedule(connection, row.kind, row.id, now + DAY)
        else:
            await work.bury(connection, row.kind, row.id)
        if row.kind == "upload":
            await self._give_up_upload(connection, row, now)
        if row.kind == "confirmation":
            await self._drop_mail_of(connection, row)
        if row.kind == "mail" and not await cases.break_off(connection, row.id, now):
            # Objects of a version that is dropped here are sealed, and go with the case.
            await versions.drop(connection, cases.version_id_of(row.id))
            await mails.note_files(connection, row.id, [])
            await self._tell_sender(connection, row, now)
        await self._tell_operator(connection, row, now)

    async def _drop_mail_of(self, connection: AsyncConnection, row: Due) -> None:
        """A mail does not wait for a click that can do nothing any more."""
        found = await confirmations.find(connection, row.id)
        if found and found.kind.keeps_mail and found.mail_id:
            # DEAD: the next start keeps it for the operator, as it keeps every mail that failed.
            await mails.settle(connection, found.mail_id, MailState.DEAD, f"{found.kind} failed")

    async def _give_up_upload(self, connection: AsyncConnection, row: Due, now: int) -> None:
        """Who pressed Share hears that nothing came of it; a day later its files are destroyed."""
        upload = await uploads.find(connection, row.id)
        if upload is None or upload.state is not UploadState.SHARED:
            return
        await uploads.settle(connection, row.id, UploadState.DEAD)
        member = await labs.member(connection, upload.member_id)
        sentence = (
            "This server failed to read the files that you uploaded. Its operator has been told."
            " Nothing was shared and nobody else was told. Write UPLOAD to try it once more."
        )
        draft = LetterDraft(
            kind="notice",
            recipient=member.address,
            recipient_name=member.name,
            subject="Your upload could not be read",
            context={"heading": "Not done", "sentences": [sentence], "case": None},
        )
        await outbox.write(connection, draft, self.house.settings.domain, now)

    async def _tell_sender(self, connection: AsyncConnection, row: Due, now: int) -> None:
        """Who got a 250 hears what became of it, even where no case can say so."""
        mail = await mails.mail(connection, row.id)
        if mail.strength is Strength.NONE:
            return  # nobody has proved who sent it
        address, name = mail.author, ""
        if mail.member_id is not None:
            member = await labs.member(connection, mail.member_id)
            address, name = member.address, member.name
        case = await cases.find(connection, mail.case_id) if mail.case_id else None
        doing = f"prepare your scans for {case.short_name}" if case else "read your mail"
        sentence = (
            f"This server failed to {doing}. Its operator has been told, and keeps the mail,"
            " sealed. Nothing was done and nobody else was told."
        )
        draft = LetterDraft(
            kind="notice",
            recipient=address,
            recipient_name=name,
            subject="Your mail could not be read",
            context={"heading": "Not done", "sentences": [sentence], "case": None},
            in_reply_to=mail.message_id,
            thread=[mail.message_id] if mail.message_id else [],
        )
        await outbox.write(connection, draft, self.house.settings.domain, now)

    async def _tell_operator(self, connection: AsyncConnection, row: Due, now: int) -> None:
        """A letter about a letter to the operator could go on for ever."""
        if row.kind == "letter" and (await outbox.letter(connection, row.id)).kind == "operator":
            return
        settings = self.house.settings
        draft = LetterDraft(
            kind="operator",
            recipient=settings.operator,
            subject=f"scanpost could not finish a {row.kind}",
            context={"kind": row.kind, "row": row.id, "tries": TRIES},
        )
        await outbox.write(connection, draft, settings.domain, now)
