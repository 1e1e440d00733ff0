"""Delivers what the accepting process could not, finds lost runs, and seals decisions.

Why a relay, when whoever accepts a run or a decision delivers it right after the commit? That
immediate delivery is the fast path, and nearly always the only one. But the process may die between
its commit and the call, and Temporal may be away for hours. The outbox row survives both. The relay
in each worker reads the outbox and delivers those rows, so nobody has to repeat anything.

*Claims.* A row becomes due two seconds after it was written, which leaves the fast path to the
process that accepted it. One transaction claims due rows: it takes their locks, skipping those that
another relay holds, and moves the time at which they are due into the future. That is the whole
claim: there is no owner and no lease. A relay that dies with claimed rows needs no cleaning up,
since the rows simply become due again. Two relays may thus deliver one row, which does no harm (see
`courier`).

*Backoff.* Each claim of a row doubles the time until its next one, up to 30 seconds, so a Temporal
that is away for an hour is asked a few times a minute per row and hears of it within half a minute
of its return. Rows of a kind that this version does not know stay for the workers of a newer one.

*Lost runs.* Temporal may forget what it has acknowledged: its data are deleted, or restored from a
backup. The outbox no longer has a row for that, so the relay compares. Every 30 seconds it asks
Temporal about runs that ought to be active and have not changed for a minute. A run without a
workflow is started again where its rows stand. A run whose workflow was closed by somebody else,
as with `temporal workflow terminate`, has failed, and says so. The same search starts the next run
of a session whose queue has stopped. It goes through the suspects in the order of their ids and
continues where it stopped: hundreds of runs that rightly take long never hide one that is lost.

*Forgotten news.* A Temporal that was restored to an older state runs workflows that wait for what
has happened already. So a workflow of such a run is compared with the rows (see `reconciling`), and
so are those of runs that were cancelled within the last hour. One that is stuck all the same is
replaced by one that begins with the rows.

*Seals.* Every second, apart from both, it seals the decisions that were made since (see
`kern.db.journal.seals`). Nothing that is delivered depends on it.

*The feed.* Beside that it numbers what was added to the feed, and deletes what is too old (see
`kern.db.journal.feed`).

*One row never stops the others.* Whatever an attempt at one delivery or one run raises is logged
with its id, and the relay continues with the next.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import select as sql_select
from sqlalchemy import union
from sqlmodel import Session, col, or_, select
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from kern.client.temporal.courier import Courier
from kern.client.temporal.numbering import Numberer
from kern.client.temporal.reconciling import Reconciler
from kern.contracts.messages import WORKFLOWS
from kern.db.engine.plain_rows import execute
from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.store import Store
from kern.db.engine.tables import OutboxRow, RunRow
from kern.db.journal import outbox, seals
from kern.db.runs import lifecycle, restarts, session_queue
from kern.db.turns.lost_calls import note_lost_calls, runs_with_lost_calls
from kern.process.checkpoints import reach
from kern.process.logs import get_logger
from kern.values.states import RunStatus

_log = get_logger("kern.relay")

DEFAULT_FEED_RETENTION = timedelta(days=30)

_SEARCH_SECONDS = 30.0
_SEAL_SECONDS = 1.0
# Most runs change more often than this. Asking about one that needs no help costs one request.
_STALE_AFTER = timedelta(seconds=60)
_CONCURRENT_DELIVERIES = 20
_CONCURRENT_CHECKS = 25
# A cancellation is looked after for this long; until then Temporal may have forgotten it.
_CANCELLED_WITHIN = timedelta(hours=1)
_SUSPECTS = 100
# Temporal itself does not answer, whichever run is asked about.
_AWAY = {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}


class Relay:
    """Reads the outbox every moment. Each worker has a relay, and any number may run at once."""

    def __init__(
        self,
        db: Store,
        temporal: Client,
        courier: Courier,
        seconds: float,
        feed_retention: timedelta = DEFAULT_FEED_RETENTION,
    ) -> None:
        self._db = db
        self._temporal = temporal
        self._courier = courier
        self._seconds = seconds
        self._feed_retention = feed_retention
        self._reconciler = Reconciler(db, temporal, courier)
        self._searched_to = ""

    async def run(self) -> None:
        """Work until cancelled, also while the database or Temporal is away."""
        numbering = Numberer(self._db).run(self._seconds, self._feed_retention)
        work = (self._search(), self._seal(), numbering)
        beside = [asyncio.create_task(item) for item in work]
        try:
            await self._deliver()
        finally:
            for task in beside:
                task.cancel()

    async def _search(self) -> None:
        """Search apart from the deliveries, which must not wait until workflows have answered."""
        while True:
            try:
                await self.find_lost_runs()
            except Exception as error:  # noqa: BLE001  as in the deliveries
                _log.warning("search_failed", why=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_SEARCH_SECONDS)

    async def _seal(self) -> None:
        while True:
            try:
                await self.seal()
            except Exception as error:  # noqa: BLE001  as in the deliveries
                _log.warning("seal_failed", why=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_SEAL_SECONDS)

    async def seal(self) -> int:
        """Seal the decisions that no seal covers yet; return how many they were."""
        count = 0
        while await self._db.read(seals.is_any_unsealed):
            batch = await self._db.write(lambda tx: seals.seal(tx, datetime.now(UTC)))
            if not batch:
                # Another relay is at it.
                break
            count += batch
        return count

    async def _deliver(self) -> None:
        loop = asyncio.get_running_loop()
        due = asyncio.Event()
        with self._db.when_due(lambda: loop.call_soon_threadsafe(due.set)):
            while True:
                due.clear()
                try:
                    await self.deliver_due()
                except Exception as error:  # noqa: BLE001  nobody else delivers for this worker
                    _log.warning("relay_failed", why=f"{type(error).__name__}: {error}")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(due.wait(), self._seconds)

    async def deliver_due(self) -> int:
        """Claim and deliver the rows that are due; return how many there were."""
        now = datetime.now(UTC)
        if not await self._db.read(lambda tx: outbox.is_any_due(tx, now)):
            return 0
        reach("relay.before_claim")
        due = await self._db.write(lambda tx: outbox.claim_due(tx, now))
        reach("relay.after_claim")
        for start in range(0, len(due), _CONCURRENT_DELIVERIES):
            batch = due[start : start + _CONCURRENT_DELIVERIES]
            sending = (self._courier.deliver(delivery) for delivery in batch)
            outcomes = await asyncio.gather(*sending, return_exceptions=True)
            for delivery, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    # Its claim has postponed it: it is tried again, ever more rarely.
                    why = f"{type(outcome).__name__}: {outcome}"
                    _log.warning("delivery_failed", run_id=delivery.run_id, why=why)
        return len(due)

    async def find_lost_runs(self) -> None:
        """Check the runs that ought to be active and have not changed for a minute.

        A run whose workflow is gone is started where its rows stand. A run whose workflow was
        closed from outside has failed.
        """
        now = datetime.now(UTC)
        before = now - _STALE_AFTER
        suspects = await self._db.read(lambda tx: _suspects(tx, before, self._searched_to))
        for start in range(0, len(suspects), _CONCURRENT_CHECKS):
            batch = suspects[start : start + _CONCURRENT_CHECKS]
            checks = (self._check_run(run_id, before) for run_id in batch)
            outcomes = await asyncio.gather(*checks, return_exceptions=True)
            for run_id, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, RPCError) and outcome.status in _AWAY:
                    raise outcome
                if isinstance(outcome, Exception):
                    # Such as an id that Temporal does not accept, or a workflow that an operator
                    # has paused: the SDK has no word for its status.
                    why = f"{type(outcome).__name__}: {outcome}"
                    _log.warning("run_check_failed", run_id=run_id, why=why)
                self._searched_to = run_id
        if len(suspects) < _SUSPECTS:
            self._searched_to = ""
        await self._note_lost_calls(now)
        for session_id in await self._db.read(lambda tx: session_queue.stuck_sessions(tx, before)):
            await self._start_next_run(session_id, now)

    async def _note_lost_calls(self, now: datetime) -> None:
        since = now - _CANCELLED_WITHIN
        for run_id in await self._db.read(lambda tx: runs_with_lost_calls(tx, since, now)):
            _log.warning("calls_lost", run_id=run_id, why="their worker was lost after its end")
            await self._db.write(partial(note_lost_calls, run_id=run_id, now=now))

    async def _start_next_run(self, session_id: str, now: datetime) -> None:
        await self._db.write(lambda tx: session_queue.start_next_run(tx, session_id, "", now))

    async def _check_run(self, run_id: str, before: datetime) -> None:
        try:
            described = await (await self._courier.handle(run_id)).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            if await self._is_open(run_id):
                _log.warning("run_restarted", run_id=run_id, why="Temporal does not know it")
                await self._courier.start(run_id)
            return
        if await self._db.read(lambda tx: _is_foreign(tx, run_id, described.workflow_type)):
            _log.warning("workflow_is_foreign", run_id=run_id, type=described.workflow_type)
            await self._db.write(lambda tx: _end_foreign(tx, run_id, described.workflow_type))
            return
        status = described.status
        if status is WorkflowExecutionStatus.RUNNING or status is None:
            await self._reconciler.reconcile(described, run_id, before)
        elif await self._is_open(run_id):
            how = status.name.lower()
            _log.warning("run_closed_externally", run_id=run_id, how=how)
            await self._db.write(
                lambda tx: lifecycle.end_outside(tx, run_id, how, datetime.now(UTC))
            )

    async def _is_open(self, run_id: str) -> bool:
        return await self._db.read(lambda tx: _is_open(tx, run_id))


def _suspects(tx: Session, before: datetime, after: str) -> list[str]:
    """Return the next runs to check, in the order of their ids."""
    active = select(RunRow.id).where(
        col(RunRow.status).in_([RunStatus.pending.value, RunStatus.running.value]),
        RunRow.updated_at < before,
        col(RunRow.is_queued).is_(False),
        # Not lost, but not delivered yet.
        col(RunRow.id).not_in(select(OutboxRow.run_id)),
        # A reopened child is started by its parent, which may still be queued.
        or_(
            RunRow.status == RunStatus.running.value,
            col(RunRow.parent_run_id).is_(None),
            col(RunRow.started_at).is_(None),
        ),
    )
    overdue = select(RequirementRow.run_id).where(restarts.overdue(before))
    cancelled = select(RunRow.id).where(
        RunRow.status == RunStatus.cancelled.value,
        RunRow.updated_at < before,
        RunRow.updated_at > before - _CANCELLED_WITHIN,
        # What never began has no workflow that could go on.
        col(RunRow.started_at).is_not(None),
    )
    suspects = union(active, overdue, cancelled).subquery()
    query = sql_select(suspects.c.id).where(suspects.c.id > after).order_by(suspects.c.id)
    return list(execute(tx, query.limit(_SUSPECTS)).scalars())


def _is_open(tx: Session, run_id: str) -> bool:
    run = tx.get(RunRow, run_id)
    return run is not None and not RunStatus(run.status).is_final


def _is_foreign(tx: Session, run_id: str, workflow_type: str) -> bool:
    """Whether Temporal holds another program's workflow under a run's id."""
    run = tx.get(RunRow, run_id)
    return run is not None and WORKFLOWS.get(run.component_kind) not in {None, workflow_type}


def _end_foreign(tx: Session, run_id: str, workflow_type: str) -> None:
    run = lifecycle.lock(tx, run_id)
    message = (
        f"Temporal holds a workflow of the type {workflow_type!r} under this run's id, which is "
        "not Kern's, so that the run never begins. Terminate that workflow and retry the run, or "
        "start one with another id."
    )
    if not RunStatus(run.status).is_final:
        lifecycle.fail(tx, run, "foreign_workflow", message, datetime.now(UTC))
