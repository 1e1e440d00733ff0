"""Delivers to Temporal what SQL has accepted; delivering it twice does no harm.

Accepting a run or a decision writes a row to the outbox in the same transaction. The courier turns
that row into one call of Temporal and then deletes it. The process may die between the two, and a
call that timed out may have been executed, so any process may deliver the same row again. That is
safe because each kind of delivery is idempotent:

- A *start* uses the run's id as the workflow's, behind the installation's prefix. While that
  workflow is open, `USE_EXISTING` turns the start into a no-op. Once it has closed,
  `ALLOW_DUPLICATE` starts another one, which begins with the rows: if the run has ended, it finds
  nothing to do. Hence the same call also recovers a run whose workflow Temporal has lost.
- A *resolved* signal carries only the requirement's id. The decision itself is read from SQL, so a
  second signal leads to a second look at the same row.
- A *reopen* starts the workflow together with a signal. If the earlier workflow is about to close,
  the signal keeps it open.
- A *cancel* is a request that Temporal itself accepts any number of times.

What the errors mean:

- `NOT_FOUND` for a signal or a cancel: no workflow with this id is open. It has closed, or Temporal
  has lost it. A signal is then delivered together with a start, unless an operator has terminated
  the workflow, which ends the run; a cancel has nothing left to do. (A missing namespace is
  `NOT_FOUND` too, and then the start fails as well.)
- Any other `RPCError`, and the `RuntimeError` of a lazy client that cannot connect: Temporal may or
  may not have heard. The row stays in the outbox, and a relay delivers it again.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlmodel import Session
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from kern.client.temporal.connection import bookkeeping_queue_of, queue_of, reason
from kern.client.temporal.workflow_ids import prefix_of, workflow_id
from kern.contracts.messages import WORKFLOWS, Nothing, Resolved, RunCursor
from kern.db.decisions import deliveries
from kern.db.engine.store import Store
from kern.db.engine.tables import RunRow
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.db.runs import lifecycle
from kern.errors import KernError, Unavailable
from kern.process.checkpoints import reach
from kern.process.logs import get_logger
from kern.process.settings import Settings
from kern.values.states import RunStatus

_log = get_logger("kern.courier")

_RPC_TIMEOUT = timedelta(seconds=5)
# Well within the outbox's grace, after which a relay would deliver the same rows again.
_BATCH_SECONDS = 0.5
_USE_EXISTING = WorkflowIDConflictPolicy.USE_EXISTING


class Courier:
    """Starts, signals and cancels the workflows that the outbox names."""

    def __init__(self, db: Store, temporal: Client, settings: Settings) -> None:
        self._db = db
        self._temporal = temporal
        self._sent: list[tuple[Delivery, datetime]] = []
        self._confirming: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._cursor = RunCursor(
            run_id="",
            heartbeat=settings.heartbeat_seconds,
            turns_per_history=settings.turns_per_history,
        )

    async def deliver(self, delivery: Delivery) -> bool:
        """Send a delivery to Temporal and delete its row.

        Returns:
            False when Temporal does not answer: the row stays, and a relay tries again.
        """
        if not await self._try_send(delivery):
            return False
        await self.confirm(delivery)
        return True

    async def deliver_accepted(self, delivery: Delivery) -> bool:
        """Send what this process has just accepted, and delete its row a little later.

        The caller waits for Temporal only, not for another transaction: the rows of half a second
        are deleted together. If the process dies before that, a relay delivers the row again.

        Returns:
            False when Temporal does not answer: the row stays, and a relay delivers it.
        """
        is_sent = await self._try_send(delivery)
        if is_sent:
            self._confirm_soon(delivery)
        return is_sent

    async def confirm(self, delivery: Delivery) -> None:
        """Delete the row of a delivery that Temporal has acknowledged."""
        at = datetime.now(UTC)
        await self._db.write(lambda tx: deliveries.confirm(tx, delivery, at))
        reach("deliver.after_confirm")

    async def close(self) -> None:
        """Delete at once the rows of all that was sent."""
        self._closing.set()
        if self._confirming is not None:
            await self._confirming
        await self._confirm_sent()

    async def send(self, delivery: Delivery) -> None:
        """Send a delivery to Temporal; its row stays.

        Raises:
            Unavailable: Temporal does not answer.
        """
        reach("deliver.before_send")
        try:
            match delivery.kind:
                case DeliveryKind.start if delivery.is_new:
                    await self._start(_first_position(delivery))
                case DeliveryKind.start:
                    await self.start(delivery.run_id)
                case DeliveryKind.reopen:
                    await self.start(delivery.run_id, reopened=True)
                case DeliveryKind.resolved:
                    await self._signal(delivery)
                case DeliveryKind.cancel:
                    await self._cancel(delivery)
        except (RPCError, RuntimeError) as error:
            message = (
                f"Temporal does not answer: {reason(error)}. What was accepted is kept and "
                "delivered later."
            )
            raise Unavailable(message) from error
        reach("deliver.after_send")

    async def start(
        self,
        run_id: str,
        resolved: str | None = None,
        *,
        reopened: bool = False,
        in_place: bool = False,
    ) -> None:
        """Start a run's workflow from its rows; do nothing if the run has ended or is gone.

        Args:
            run_id: The run.
            resolved: A requirement whose resolution the workflow is to hear of as it starts.
            reopened: Whether a workflow that is about to close has to continue instead.
            in_place: Whether a workflow that is open is terminated, in the same step.
        """
        position = await self._db.read(lambda tx: _stored_position(tx, run_id))
        if position is not None:
            signal = None if resolved is None else Resolved(requirement_id=resolved)
            conflict = WorkflowIDConflictPolicy.TERMINATE_EXISTING if in_place else _USE_EXISTING
            await self._start(position, Nothing() if reopened else signal, conflict)

    async def handle(self, run_id: str) -> WorkflowHandle[object, object]:
        """Return the handle of a run's workflow, whether there is one or not."""
        return self._temporal.get_workflow_handle(await workflow_id(self._db, run_id))

    async def terminated_among(self, run_ids: Sequence[str]) -> str | None:
        """Return the first of these runs whose workflow an operator has terminated.

        None if there is none, or if Temporal does not answer: delivering looks once more.
        """
        for run_id in run_ids:
            try:
                described = await (await self.handle(run_id)).describe(rpc_timeout=_RPC_TIMEOUT)
            except (RPCError, RuntimeError, ValueError):
                # A ValueError: the SDK has no word for the status of a paused workflow.
                continue
            if described.status is WorkflowExecutionStatus.TERMINATED:
                return run_id
        return None

    async def _try_send(self, delivery: Delivery) -> bool:
        try:
            await self.send(delivery)
        except Unavailable as error:
            _log.warning(
                "delivery_postponed", run_id=delivery.run_id, kind=delivery.kind, why=str(error)
            )
            return False
        return True

    def _confirm_soon(self, delivery: Delivery) -> None:
        self._sent.append((delivery, datetime.now(UTC)))
        if self._confirming is None or self._confirming.done():
            self._confirming = asyncio.create_task(self._confirm_batches())

    async def _confirm_batches(self) -> None:
        while self._sent:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _BATCH_SECONDS)
            await self._confirm_sent()

    async def _confirm_sent(self) -> None:
        batch, self._sent = self._sent, []
        if not batch:
            return
        try:
            await self._db.write(lambda tx: _confirm_all(tx, batch))
        except KernError as error:
            # Their rows become due, and a relay delivers and deletes them.
            _log.warning("confirmation_failed", why=str(error))
            return
        reach("deliver.after_confirm")

    async def _start(
        self,
        at: "_Position",
        signal: Resolved | Nothing | None = None,
        conflict: WorkflowIDConflictPolicy = _USE_EXISTING,
    ) -> None:
        prefix = await prefix_of(self._db)
        fields = {
            "run_id": at.run_id,
            "prefix": prefix,
            "turn": at.turn,
            "parent_run_id": at.parent_run_id,
            "retries": at.retries or None,
            "bookkeeping_queue": bookkeeping_queue_of(prefix),
        }
        await self._temporal.start_workflow(
            WORKFLOWS[at.component_kind],
            self._cursor.model_copy(update={k: v for k, v in fields.items() if v is not None}),
            id=prefix + at.run_id,
            task_queue=queue_of(at.component_id),
            # SQL knows which runs have ended; a workflow of one finds that out at once.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=conflict,
            # A start that brings a signal cannot be eager.
            request_eager_start=signal is None,
            start_signal=None if signal is None else _name_of(signal),
            start_signal_args=[] if signal is None else [signal],
            rpc_timeout=_RPC_TIMEOUT,
        )

    async def _signal(self, delivery: Delivery) -> None:
        requirement_id = delivery.requirement_id or ""
        handle = await self.handle(delivery.run_id)
        try:
            await handle.signal(
                "resolved", Resolved(requirement_id=requirement_id), rpc_timeout=_RPC_TIMEOUT
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            if await self.terminated_among([delivery.run_id]) is not None:
                now = datetime.now(UTC)
                await self._db.write(
                    lambda tx: lifecycle.end_outside(tx, delivery.run_id, "terminated", now)
                )
                return
            await self.start(delivery.run_id, resolved=requirement_id)

    async def _cancel(self, delivery: Delivery) -> None:
        if await self._db.read(lambda tx: _stored_position(tx, delivery.run_id)) is not None:
            # The run has been reopened since: this cancel is out of date.
            return
        handle = await self.handle(delivery.run_id)
        try:
            await handle.cancel(rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise


def _name_of(signal: Resolved | Nothing) -> str:
    return "resolved" if isinstance(signal, Resolved) else "reopened"


@dataclass(frozen=True)
class _Position:
    """Where in a run its workflow has to begin."""

    run_id: str
    component_id: str
    component_kind: str
    turn: int = 1
    parent_run_id: str | None = None
    retries: int = 0


def _first_position(delivery: Delivery) -> _Position:
    return _Position(delivery.run_id, delivery.component_id, delivery.component_kind)


def _stored_position(tx: Session, run_id: str) -> _Position | None:
    run = tx.get(RunRow, run_id)
    if run is None or RunStatus(run.status).is_final:
        return None
    return _Position(
        run_id,
        run.component_id,
        run.component_kind,
        max(run.turn, 1),
        run.parent_run_id,
        run.retries,
    )


def _confirm_all(tx: Session, sent: Sequence[tuple[Delivery, datetime]]) -> None:
    # In one order, so that two who confirm the same never wait for each other.
    for delivery, at in sorted(sent, key=lambda item: item[0].id):
        deliveries.confirm(tx, delivery, at)
