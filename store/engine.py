"""Durable work behind one door: DBOS Transact runs flows, this module knows it is DBOS.

A flow is a plain coroutine `flow(step, row_id)`; `step(function, *arguments)` runs a function that
may run twice and keeps its result, so that a flow that a crash cut short goes on where it stopped.
Rows are the truth: the sweep starts flow `kind-row-attempt`, and starting one twice is free.

What DBOS taught (docs/decisions.md): the version is a constant, or a deploy strands the work in
flight; its SQLite needs WAL and FULL, in a file of its own; only one process may run one executor's
work, so `take_lock` comes first; and a flow that is cancelled at shutdown must end in
CancelledError, which DBOS does not record: the next start takes it up again.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID
from sqlalchemy import event

from store.errors import SettingsError, Stopping

VERSION = "flow-3"  # Raise it only when the order of steps in a flow changes incompatibly.
POLLING = 0.25  # seconds; each queue asks SQLite that often (measured: docs/decisions.md)
STRANDED_AFTER = 60_000  # ms without a sign of life from a flow that does not run here
KEPT_DAYS = 30
_UNFINISHED = ("PENDING", "ENQUEUED", "DELAYED")

R = TypeVar("R")
log = structlog.get_logger()
# step(function, *arguments) -> what the function returns, kept.
Step = Callable[..., Awaitable[Any]]
Flow = Callable[[Step, str], Awaitable[None]]


class Standing(StrEnum):
    UNKNOWN = "unknown"  # Never started.
    MOVING = "moving"  # Waits in its queue, runs, or will be recovered.
    OUTDATED = "outdated"  # Of an older version of the steps: a new attempt takes its place.
    STRANDED = "stranded"  # Was running somewhere that is no more.
    ENDED = "ended"  # Returned.
    FAILED = "failed"  # Raised, or was recovered too often.


class Engine:
    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "engine.db"
        self.lock_path = data_dir / "worker.lock"
        self.lock: int | None = None
        self.workflows: dict[str, Callable[..., Any]] = {}
        self.concurrency: dict[str, int] = {}
        self.running: dict[str, asyncio.Task[Any]] = {}
        self.stopping = False

    def add_flow(self, kind: str, flow: Flow, concurrency: int) -> None:
        """Registers a flow before `start`; at most `concurrency` of its kind run at once."""

        async def workflow(row_id: str) -> None:
            task = asyncio.current_task()
            assert task is not None
            if self.stopping:
                raise asyncio.CancelledError  # left for the next start
            self.running[f"{kind}-{row_id}"] = task
            try:
                await flow(_step, row_id)
            except Exception:
                log.exception("flow raised", kind=kind, row=row_id)
                raise
            finally:
                self.running.pop(f"{kind}-{row_id}", None)

        workflow.__qualname__ = f"{kind}_flow"
        # A flow that kills the process must not do so for ever.
        decorate = DBOS.workflow(name=f"{kind}_flow", max_recovery_attempts=10)
        self.workflows[kind] = decorate(workflow)
        self.concurrency[kind] = concurrency

    def take_lock(self) -> None:
        """Makes this process the only one that works on the data folder.

        Raises:
            SettingsError: another one does.
        """
        self.lock_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.lock_path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise SettingsError(
                f"Another scanpost works on {self.lock_path.parent}. Stop it first, or give this one"
                " a data folder of its own (SCANPOST_DATA_DIR)."
            ) from None
        self.lock = lock

    async def start(self) -> None:
        """Takes up what an earlier process left, then new work; the lock must have been taken."""
        assert self.lock is not None
        # It prints what a flow raised, addresses included; we log that ourselves, scrubbed.
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        engine = sa.create_engine(f"sqlite:///{self.path}", pool_size=20, hide_parameters=True)
        _tune(engine)
        config = DBOSConfig(
            name="scanpost",
            system_database_url=f"sqlite:///{self.path}",
            system_database_engine=engine,
            application_version=VERSION,
            executor_id="node-1",
            log_level="CRITICAL",
            run_migrations=True,
        )
        DBOS(config=config)
        # On the loop's own thread: DBOS adopts the running loop for the flows it starts.
        DBOS.launch()
        for kind, concurrency in self.concurrency.items():
            await DBOS.register_queue_async(
                kind, worker_concurrency=concurrency, polling_interval_sec=POLLING
            )

    async def begin(self, kind: str, row_id: str, flow_id: str) -> None:
        """Puts a flow on its queue; free if it was begun before."""
        with SetWorkflowID(flow_id):
            await DBOS.enqueue_workflow_async(kind, self.workflows[kind], row_id)

    async def standing(self, kind: str, row_id: str, flow_id: str) -> Standing:
        status = await DBOS.get_workflow_status_async(flow_id)
        if status is None:
            return Standing.UNKNOWN
        if status.status not in _UNFINISHED:
            return Standing.ENDED if status.status == "SUCCESS" else Standing.FAILED
        if status.app_version != VERSION:
            return Standing.OUTDATED
        runs_here = f"{kind}-{row_id}" in self.running
        if status.status != "PENDING" or runs_here or not _silent(status.updated_at):
            return Standing.MOVING
        return Standing.STRANDED

    async def resume(self, kind: str, flow_id: str) -> None:
        await DBOS.resume_workflow_async(flow_id, queue_name=kind)

    async def forget_old(self) -> int:
        """Deletes what the engine remembers of flows that ended 30 days ago; returns how many."""
        before = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
        old = await DBOS.list_workflows_async(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            end_time=before.isoformat(),
            load_input=False,
            load_output=False,
        )
        if old:
            await DBOS.delete_workflows_async([status.workflow_id for status in old])
        return len(old)

    async def stop(self, patience: float = 2.0) -> None:
        """Cancels the flows that run here, to be taken up at the next start, and closes the engine."""
        self.stopping = True
        if self.lock is None:
            return
        await end_gently(set(self.running.values()), patience)
        # Off the loop: it waits for threads that may want the loop once more.
        await asyncio.get_running_loop().run_in_executor(None, _destroy)
        os.close(self.lock)
        self.lock = None


async def end_gently(tasks: set[asyncio.Task[Any]], patience: float) -> set[asyncio.Task[Any]]:
    """Waits for tasks, then cancels those that go on; returns those that do not end even so.

    Most end by themselves within moments. To cancel one in the middle of a transaction would leave
    its connection, and the thread of that, behind.

    Args:
        patience: seconds, for each of the two.
    """
    for cancelling in (False, True):
        for task in tasks if cancelling else ():
            task.cancel()
        if tasks:
            _, tasks = await asyncio.wait(tasks, timeout=patience)
    return tasks


async def _step(function: Callable[..., Coroutine[Any, Any, R]], *arguments: Any) -> R:
    async def work() -> R:
        try:
            return await function(*arguments)
        except Stopping:
            # Not kept as what the step came to: the next start takes it up again, at once.
            raise asyncio.CancelledError from None

    return await DBOS.run_step_async({"name": function.__name__}, work)


def _silent(updated_at: int | None) -> bool:
    return updated_at is not None and time.time() * 1000 - updated_at > STRANDED_AFTER


def _destroy() -> None:
    with contextlib.suppress(RuntimeError):
        DBOS.destroy(destroy_registry=True)


def _tune(engine: sa.Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in (
            "busy_timeout=30000",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")
