"""Tells a workflow again what it has forgotten, after Temporal came back older than the database.

The rows decide. A workflow that runs is asked what it waits for, with a query, which leaves nothing
in its history. What has happened already by the rows is signalled once more: resolved requirements,
a cancellation, open work of a pipeline. A workflow that has missed nothing is left as it is, so
asking does no harm to a run that rightly takes long. Each signal makes a workflow look at the rows,
and what is stored there is never done again.
"""

from datetime import timedelta

from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError

from kern.client.temporal.courier import Courier
from kern.contracts.messages import Nothing, OpenWork, Resolved
from kern.db.engine.store import Store
from kern.db.reading.open_work import missed_news
from kern.process.logs import get_logger

_log = get_logger("kern.relay")

# A query is answered by a worker of the component. Without one nothing could continue anyway.
_QUERY_TIMEOUT = timedelta(seconds=3)
_RPC_TIMEOUT = timedelta(seconds=5)
# A tree of runs has few levels; a cycle in damaged rows would have no end.
_DEEPEST = 20


class Reconciler:
    """Compares workflows with the rows of their runs."""

    def __init__(self, db: Store, temporal: Client, courier: Courier) -> None:
        self._db = db
        self._temporal = temporal
        self._courier = courier

    async def reconcile(self, run_id: str, depth: int = 0) -> None:
        """Signal a run's workflow what it has missed.

        Raises:
            RPCError: a signal failed.
        """
        handle = await self._courier.handle(run_id)
        open_work = await self._open_work(handle, run_id)
        if open_work is None:
            return
        missed = await self._db.read(lambda tx: missed_news(tx, run_id, open_work))
        if missed.is_cancelled:
            _log.warning("run_reminded", run_id=run_id, why="its cancellation was forgotten")
            await handle.cancel(rpc_timeout=_RPC_TIMEOUT)
            return
        if missed.closed:
            _log.warning("run_reminded", run_id=run_id, requirements=len(missed.closed))
        for requirement_id in missed.closed:
            news = Resolved(requirement_id=requirement_id)
            await handle.signal("resolved", news, rpc_timeout=_RPC_TIMEOUT)
        if missed.has_unserved_lanes:
            _log.warning("run_reminded", run_id=run_id, why="open steps are not served")
            await handle.signal("poked", Nothing(), rpc_timeout=_RPC_TIMEOUT)
        # Their rows have ended, so that no search finds them; their workflows keep this one.
        for child_id in missed.ended_children if depth < _DEEPEST else ():
            await self.reconcile(child_id, depth + 1)

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
