"""Waits for runs to become idle: by notifications of this process, and by their workflows."""

import asyncio
import time
from collections import deque
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

from sqlmodel import Session
from temporalio.client import (
    Client,
    RPCTimeoutOrCancelledError,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
)
from temporalio.service import RPCError

from kern.client.service.missing_worker import reporting_missing_worker
from kern.client.service.own_runs import refuse_own
from kern.client.temporal.workflow_ids import workflow_id
from kern.contracts.messages import Stop, StopQuery
from kern.db.engine.store import Store
from kern.db.engine.tables import RunRow
from kern.db.reading.visibility import no_run
from kern.process.logs import get_logger
from kern.process.wakeup import Wakeup
from kern.values.ids import new_id
from kern.values.states import RunStatus

_log = get_logger("kern.client")

FIRST_WAIT, LONGEST_WAIT = 0.1, 1.0
# What this process executes it hears of; what it has not heard of by then, it asks about. An
# update costs five events, and some ten milliseconds of CPU here and in the server.
_LISTEN_SECONDS = 0.25
# So often the row of a run is looked at whose workflow has not answered yet: the row decides.
_LOOK_AGAIN_SECONDS = 5.0
# Of a run that ended so long ago the workflow has ended too, if it can.
_CLOSES_WITHIN_SECONDS = 2.0


@dataclass
class _Question:
    """What a workflow is asked, and by how many."""

    task: asyncio.Task[bool]
    askers: int = 0


class Waiting:
    """Waits for runs, for one database and one Temporal.

    Args:
        db: Where the runs are kept.
        temporal: Where their workflows are.
        look_again: After how many seconds the row of a run is looked at again.
    """

    def __init__(
        self,
        db: Store,
        temporal: Client,
        *,
        look_again: float = _LOOK_AGAIN_SECONDS,
    ) -> None:
        self._db = db
        self._temporal = temporal
        self._patience = 0.0
        self._look_again = look_again
        self._ended: deque[tuple[float, str]] = deque()
        self._questions: dict[tuple[str, str], _Question] = {}

    def listen(self, seconds: float = _LISTEN_SECONDS) -> None:
        """Ask Temporal so much later: this process executes runs, and hears of their stops."""
        self._patience = seconds

    def watch(self, run_id: str) -> AbstractContextManager[Wakeup]:
        """Return a wake-up for a run's stops; to be entered before the run is made to continue."""
        return self._db.stops.watch(run_id)

    async def refuse_own(self, run_id: str) -> None:
        """Refuse to wait for the run whose code this is. Raises as `own_runs.refuse_own`."""
        await refuse_own(self._db, run_id)

    async def stop(self, run_id: str, watch: Wakeup, query: StopQuery | None = None) -> None:
        """Wait until a run is idle and has heard of what the query names.

        This process is notified, or the workflow answers. It looks at the row while Temporal does
        not answer or has not started the run yet, and from time to time besides.
        """
        query, delay = query or StopQuery(), FIRST_WAIT
        if self._patience and await watch.wait(self._patience):
            return
        with reporting_missing_worker(self._db, run_id):
            while not await self._has_stopped(run_id, watch, query):
                if await self.is_idle(run_id) or await watch.wait(delay):
                    return
                delay = min(delay * 2, LONGEST_WAIT)

    async def is_idle(self, run_id: str) -> bool:
        """Whether the run's row says that it is paused or has ended."""
        return await self._db.read(lambda tx: _is_idle(tx, run_id))

    def ended(self, run_id: str) -> None:
        """Note that a run's end was reported, whose workflow may not have closed yet."""
        now = time.monotonic()
        while self._ended and now - self._ended[0][0] > _CLOSES_WITHIN_SECONDS:
            self._ended.popleft()
        self._ended.append((now, run_id))

    async def settle(self) -> None:
        """Let the workflows of runs that have just ended end too, while there are workers."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSES_WITHIN_SECONDS):
                await asyncio.gather(*(self._closed(run_id) for _, run_id in self._ended))

    async def _closed(self, run_id: str) -> None:
        with suppress(RPCError, RPCTimeoutOrCancelledError, WorkflowFailureError, RuntimeError):
            handle = self._temporal.get_workflow_handle(await workflow_id(self._db, run_id))
            await handle.result()

    async def _has_stopped(self, run_id: str, watch: Wakeup, query: StopQuery) -> bool:
        with self._asking(run_id, query) as asking:
            hearing = asyncio.create_task(watch.wait())
            try:
                while True:
                    done, _ = await asyncio.wait(
                        {asking, hearing},
                        timeout=self._look_again,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    if hearing in done:
                        return True
                    if asking in done:
                        return asking.result()
                    if await self.is_idle(run_id):
                        return True
            finally:
                hearing.cancel()

    @contextmanager
    def _asking(self, run_id: str, query: StopQuery) -> Generator[asyncio.Task[bool]]:
        """Ask a workflow once for all who want to know the same: it answers ten at a time."""
        key = (run_id, query.model_dump_json())
        question = self._questions.get(key)
        if question is None or question.task.done():
            question = _Question(asyncio.create_task(self._ask(run_id, query)))
            self._questions[key] = question
        question.askers += 1
        try:
            yield question.task
        finally:
            question.askers -= 1
            if not question.askers:
                question.task.cancel()
                if self._questions.get(key) is question:
                    del self._questions[key]

    async def _ask(self, run_id: str, query: StopQuery) -> bool:
        handle = self._temporal.get_workflow_handle(await workflow_id(self._db, run_id))
        try:
            stop = await handle.execute_update(
                "wait_for_stop", query, id=new_id(), result_type=Stop
            )
        except (
            RPCError,
            RPCTimeoutOrCancelledError,
            WorkflowUpdateFailedError,
            RuntimeError,
        ) as error:
            _log.debug("waiting", run_id=run_id, why=str(error))
            return False
        return not stop.moved


def _is_idle(tx: Session, run_id: str) -> bool:
    run = tx.get(RunRow, run_id)
    if run is None:
        raise no_run(run_id)
    return RunStatus(run.status).is_idle
