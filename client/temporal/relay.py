"""The relay.

Delivers what was accepted while nobody could deliver it, and finds runs that Temporal lost.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

from sqlmodel import Session, col, or_, select
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from kern.client.temporal.courier import Courier
from kern.db.engine.store import Store
from kern.db.engine.tables import OutboxRow, RequirementRow, RunRow
from kern.db.journal import outbox
from kern.db.runs import lifecycle, session_queue
from kern.errors import KernError
from kern.process.checkpoints import reach
from kern.process.logs import get_logger
from kern.values.states import RequirementStatus, RunStatus

_log = get_logger("kern.relay")

_SEARCH_EVERY = 30.0
_STALE = timedelta(seconds=60)
_AT_ONCE = 20


class Relay:
    """Looks into the outbox every moment. Every worker has one, and any number may run at once."""

    def __init__(self, db: Store, temporal: Client, courier: Courier, seconds: float) -> None:
        self._db = db
        self._temporal = temporal
        self._courier = courier
        self._seconds = seconds

    async def run(self) -> None:
        """Work until cancelled; a database or a Temporal that is away is waited for."""
        searched = 0.0
        loop = asyncio.get_running_loop()
        due = asyncio.Event()
        with self._db.when_due(lambda: loop.call_soon_threadsafe(due.set)):
            while True:
                due.clear()
                try:
                    await self.deliver_due()
                    if loop.time() - searched >= _SEARCH_EVERY:
                        searched = loop.time()
                        await self.find_lost()
                except (KernError, RPCError) as error:
                    _log.warning("relay_waits", why=str(error))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(due.wait(), self._seconds)

    async def deliver_due(self) -> int:
        """Deliver what is due; return how much there was."""
        now = datetime.now(UTC)
        if not await self._db.read(lambda tx: outbox.is_any_due(tx, now)):
            return 0
        reach("relay.before_claim")
        due = await self._db.write(lambda tx: outbox.claim_due(tx, now))
        reach("relay.after_claim")
        for start in range(0, len(due), _AT_ONCE):
            await asyncio.gather(
                *(self._courier.deliver(one) for one in due[start : start + _AT_ONCE])
            )
        return len(due)

    async def find_lost(self) -> None:
        """Look after runs that should have moved and have not.

        One whose workflow is gone is started where its rows stand. One whose workflow was ended
        from outside has failed.
        """
        now = datetime.now(UTC)
        for run_id in await self._db.read(lambda tx: _suspects(tx, now - _STALE)):
            try:
                await self._look_after(run_id)
            except RPCError as error:
                if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                    raise
                # One that Temporal cannot even name must not hold up the others.
                _log.warning("run_not_looked_after", run_id=run_id, why=str(error))
        for session_id in await self._db.read(
            lambda tx: session_queue.stuck_sessions(tx, now - _STALE)
        ):
            await self._start_next_run(session_id, now)

    async def _start_next_run(self, session_id: str, now: datetime) -> None:
        await self._db.write(lambda tx: session_queue.start_next_run(tx, session_id, "", now))

    async def _look_after(self, run_id: str) -> None:
        try:
            described = await self._temporal.get_workflow_handle(run_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            _log.warning("run_restarted", run_id=run_id, why="Temporal does not know it")
            await self._courier.start(run_id)
            return
        status = described.status
        if status is WorkflowExecutionStatus.RUNNING or status is None:
            return
        how = status.name.lower()
        message = (
            f"The run's workflow was ended from outside Kern ({how}). Nothing of it runs any more."
        )
        _log.warning("run_ended_outside", run_id=run_id, how=how)
        await self._db.write(lambda tx: _end(tx, run_id, message))


def _suspects(tx: Session, before: datetime) -> list[str]:
    moving = select(RunRow.id).where(
        col(RunRow.status).in_([RunStatus.pending.value, RunStatus.running.value]),
        RunRow.updated_at < before,
        col(RunRow.is_queued).is_(False),
        # What was accepted of it is not delivered yet: it was not lost.
        col(RunRow.id).not_in(select(OutboxRow.run_id)),
        # One that goes on again inside another is started by that one, which may wait its turn.
        or_(
            RunRow.status == RunStatus.running.value,
            col(RunRow.parent_run_id).is_(None),
            col(RunRow.started_at).is_(None),
        ),
    )
    overdue = select(RequirementRow.run_id).where(
        RequirementRow.status == RequirementStatus.pending.value,
        col(RequirementRow.due_at) < before,
    )
    return list(dict.fromkeys([*tx.exec(moving.limit(100)), *tx.exec(overdue.limit(100))]))


def _end(tx: Session, run_id: str, message: str) -> None:
    run = lifecycle.lock(tx, run_id)
    if not RunStatus(run.status).is_final:
        lifecycle.fail(tx, run, "ended_outside", message, datetime.now(UTC))
