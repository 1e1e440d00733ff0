"""Tells Temporal what SQL has accepted; telling it twice does no harm."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from kern.client.temporal.connection import queue_of, reason
from kern.contracts.messages import WORKFLOWS, Nothing, Resolved, RunCursor
from kern.db.engine.store import Store
from kern.db.engine.tables import RunRow
from kern.db.journal import outbox
from kern.db.journal.outbox import Delivery, DeliveryKind
from kern.errors import KernError, Unavailable
from kern.process.checkpoints import reach
from kern.process.logs import get_logger
from kern.process.settings import Settings
from kern.values.states import RunStatus

_log = get_logger("kern.courier")

_PATIENCE = timedelta(seconds=5)
# Well within the outbox's grace: what is noted later, the relay tells again.
_NOTED_AFTER = 0.5


class Courier:
    """Starts, signals and cancels workflows for what lies in the outbox."""

    def __init__(self, db: Store, temporal: Client, settings: Settings) -> None:
        self._db = db
        self._temporal = temporal
        self._told: list[str] = []
        self._noting: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._cursor = RunCursor(
            run_id="",
            heartbeat=settings.heartbeat_seconds,
            turns_per_history=settings.turns_per_history,
        )

    async def deliver(self, delivery: Delivery) -> bool:
        """Tell Temporal, and forget the delivery.

        False when Temporal does not answer, and the relay tries again.
        """
        try:
            await self.tell(delivery)
        except Unavailable as error:
            _log.warning(
                "delivery_waits", run_id=delivery.run_id, kind=delivery.kind, why=str(error)
            )
            return False
        await self.confirm(delivery)
        return True

    async def tell_at_once(self, delivery: Delivery) -> bool:
        """Tell Temporal what was just accepted; whether it answered.

        That it was told is noted soon, and the relay does what remains.
        """
        try:
            await self.tell(delivery)
        except Unavailable as error:
            _log.warning("delivery_waits", run_id=delivery.run_id, why=str(error))
            return False
        self.note(delivery)
        return True

    async def confirm(self, delivery: Delivery) -> None:
        """Forget a delivery that Temporal has heard."""
        await self._db.write(lambda tx: outbox.confirm(tx, delivery.id))
        reach("deliver.after_confirm")

    def note(self, delivery: Delivery) -> None:
        """Forget a delivery that Temporal has heard, soon, and with others in one transaction."""
        self._told.append(delivery.id)
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._note_soon())

    async def close(self) -> None:
        """Note at once what was told, and wait for what is being noted."""
        self._closing.set()
        if self._noting is not None:
            await self._noting
        await self._note_now()

    async def _note_soon(self) -> None:
        while self._told:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _NOTED_AFTER)
            await self._note_now()

    async def _note_now(self) -> None:
        told, self._told = self._told, []
        if not told:
            return
        try:
            await self._db.write(lambda tx: outbox.confirm(tx, *told))
        except KernError as error:
            _log.warning("deliveries_not_noted", why=str(error))
            return
        reach("deliver.after_confirm")

    async def tell(self, delivery: Delivery) -> None:
        """Tell Temporal what was accepted.

        Raises:
            Unavailable: Temporal does not answer.
        """
        reach("deliver.before_tell")
        try:
            match delivery.kind:
                case DeliveryKind.start if delivery.is_new:
                    await self._start(_fresh(delivery))
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
        reach("deliver.after_tell")

    async def start(self, run_id: str, heard: str | None = None, *, reopened: bool = False) -> None:
        """Start a run's workflow where its rows stand, also when an earlier one was lost.

        With `reopened`, one that is just about to end goes on instead.
        """
        found = await self._db.read(lambda tx: _beginning(tx, run_id))
        if found is not None:
            signal = None if heard is None else Resolved(requirement_id=heard)
            await self._start(found, Nothing() if reopened else signal)

    async def _start(self, at: "_Beginning", signal: Resolved | Nothing | None = None) -> None:
        given = {
            "run_id": at.run_id,
            "turn": at.turn,
            "parent_run_id": at.parent_run_id,
            "retries": at.retries or None,
        }
        await self._temporal.start_workflow(
            WORKFLOWS[at.component_kind],
            self._cursor.model_copy(update={k: v for k, v in given.items() if v is not None}),
            id=at.run_id,
            task_queue=queue_of(at.component_id),
            # SQL knows which runs have ended: their workflow finds that out in its first activity.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            request_eager_start=signal is None,
            start_signal=None if signal is None else _name_of(signal),
            start_signal_args=[] if signal is None else [signal],
            rpc_timeout=_PATIENCE,
        )

    async def _signal(self, delivery: Delivery) -> None:
        requirement_id = delivery.requirement_id or ""
        handle = self._temporal.get_workflow_handle(delivery.run_id)
        try:
            await handle.signal(
                "resolved", Resolved(requirement_id=requirement_id), rpc_timeout=_PATIENCE
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            await self.start(delivery.run_id, heard=requirement_id)

    async def _cancel(self, delivery: Delivery) -> None:
        if await self._db.read(lambda tx: _beginning(tx, delivery.run_id)) is not None:
            # It was opened again since then.
            return
        handle = self._temporal.get_workflow_handle(delivery.run_id)
        try:
            await handle.cancel(rpc_timeout=_PATIENCE)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise


def _name_of(signal: Resolved | Nothing) -> str:
    return "resolved" if isinstance(signal, Resolved) else "reopened"


@dataclass(frozen=True)
class _Beginning:
    """Where a run's workflow has to begin."""

    run_id: str
    component_id: str
    component_kind: str
    turn: int = 1
    parent_run_id: str | None = None
    retries: int = 0


def _fresh(delivery: Delivery) -> _Beginning:
    return _Beginning(delivery.run_id, delivery.component_id, delivery.component_kind)


def _beginning(tx: Session, run_id: str) -> _Beginning | None:
    run = tx.get(RunRow, run_id)
    if run is None or RunStatus(run.status).is_final:
        return None
    return _Beginning(
        run_id,
        run.component_id,
        run.component_kind,
        max(run.turn, 1),
        run.parent_run_id,
        run.retries,
    )
