"""Tells a workflow again what it has forgotten, after Temporal came back older than the database.

The rows decide. A workflow that runs is asked what it waits for, with a query, which leaves nothing
in its history. What has happened already by the rows is signalled once more: resolved requirements,
a cancellation, open work of a pipeline. A workflow that has missed nothing is left as it is, so
asking does no harm to a run that rightly takes long. Each signal makes a workflow look at the rows,
and what is stored there is never done again.

A workflow may also be stuck for good. A worker that lived through the restoring remembers what
the history does not hold: its workflow then waits for what nobody sends, or fails each time that it
is continued. Nothing of it is pending in Temporal. If the rows have work for the run, another
workflow begins with them in its place (see `kern.db.runs.restarts`).
"""

from datetime import UTC, datetime, timedelta
from functools import partial

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from kern.client.temporal.courier import Courier
from kern.contracts.messages import Nothing, OpenWork, Resolved
from kern.db.engine.store import Store
from kern.db.reading.open_work import missed_news
from kern.db.runs import restarts
from kern.process.logs import get_logger

_log = get_logger("kern.relay")

# A query is answered by a worker of the component. Without one nothing could continue anyway.
_QUERY_TIMEOUT = timedelta(seconds=3)
_RPC_TIMEOUT = timedelta(seconds=5)
# A tree of runs has few levels; a cycle in damaged rows would have no end.
_DEEPEST = 20
# A workflow's task that failed so often fails for ever: with the next worker, too.
_MOST_TASK_ATTEMPTS = 3


class Reconciler:
    """Compares workflows with the rows of their runs."""

    def __init__(self, db: Store, temporal: Client, courier: Courier) -> None:
        self._db = db
        self._temporal = temporal
        self._courier = courier
        # The runs whose workflows were reminded at the last search.
        self._reminded: set[str] = set()

    async def reconcile(
        self, described: WorkflowExecutionDescription, run_id: str, before: datetime
    ) -> None:
        """Signal a run's workflow what it has missed; replace it if it is stuck all the same.

        Args:
            described: The workflow, as Temporal knows it.
            run_id: The run.
            before: A run that has changed since is not stuck.

        Raises:
            RPCError: a signal or the start failed.
        """
        has_news = await self._remind(run_id)
        if has_news and run_id not in self._reminded:
            # What it makes of that shows at the next search.
            self._reminded.add(run_id)
            return
        self._reminded.discard(run_id)
        if _is_stuck(described):
            await self._replace(run_id, before)

    async def _replace(self, run_id: str, before: datetime) -> None:
        claim = partial(restarts.claim, run_id=run_id, before=before, now=datetime.now(UTC))
        if not await self._db.write(claim):
            return
        _log.warning("run_restarted", run_id=run_id, why="its workflow is stuck")
        # The new workflow waits for the workflows of the run's children, also of those that have
        # ended by their rows: one that is stuck as well would never report it.
        for child_id in await self._db.read(lambda tx: restarts.ended_children(tx, run_id)):
            await self._end_if_stuck(child_id)
        await self._courier.start(run_id, in_place=True)

    async def _end_if_stuck(self, run_id: str) -> None:
        """Terminate the workflow of a run that has ended by its rows, if it does nothing more."""
        handle = await self._courier.handle(run_id)
        try:
            described = await handle.describe(rpc_timeout=_RPC_TIMEOUT)
            if described.status is WorkflowExecutionStatus.RUNNING and _is_stuck(described):
                await handle.terminate(reason="The run has ended.", rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _remind(self, run_id: str, depth: int = 0) -> bool:
        """Signal a workflow what it has missed; return whether it had missed anything."""
        handle = await self._courier.handle(run_id)
        open_work = await self._open_work(handle, run_id)
        if open_work is None:
            return False
        missed = await self._db.read(lambda tx: missed_news(tx, run_id, open_work))
        if missed.is_cancelled:
            _log.warning("run_reminded", run_id=run_id, why="its cancellation was forgotten")
            await handle.cancel(rpc_timeout=_RPC_TIMEOUT)
            return True
        if missed.closed:
            _log.warning("run_reminded", run_id=run_id, requirements=len(missed.closed))
        for requirement_id in missed.closed:
            news = Resolved(requirement_id=requirement_id)
            await handle.signal("resolved", news, rpc_timeout=_RPC_TIMEOUT)
        if missed.has_unserved_lanes:
            _log.warning("run_reminded", run_id=run_id, why="open steps are not served")
            await handle.signal("poked", Nothing(), rpc_timeout=_RPC_TIMEOUT)
        # Their rows have ended, so that no search finds them; their workflows keep this one.
        children = missed.ended_children if depth < _DEEPEST else ()
        are_reminded = [await self._remind(child_id, depth + 1) for child_id in children]
        return bool(missed.closed) or missed.has_unserved_lanes or any(are_reminded)

    async def _open_work(
        self, handle: WorkflowHandle[object, object], run_id: str
    ) -> OpenWork | None:
        try:
            open_work: OpenWork = await handle.query(
                "open_work", result_type=OpenWork, rpc_timeout=_QUERY_TIMEOUT
            )
        except (RPCError, WorkflowQueryFailedError) as error:
            # No worker polls, or one of a version that answers no queries.
            _log.debug("run_not_compared", run_id=run_id, why=str(error))
            return None
        return open_work


def _is_stuck(described: WorkflowExecutionDescription) -> bool:
    """Whether Temporal has nothing more to do for a workflow, or fails each time that it tries."""
    raw = described.raw_description
    if raw.pending_activities:
        return False
    if not raw.HasField("pending_workflow_task"):
        return True
    return raw.pending_workflow_task.attempt > _MOST_TASK_ATTEMPTS
