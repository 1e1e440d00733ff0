"""The Temporal workers of one process: one for each component, on the component's own queue.

A queue for each component, and not one for all, because processes that share a folder or a cluster
may have different code: a task must only reach a process that has the component's code. In return,
a process with a hundred components has a hundred workers, which share the client's connection and
the activities' objects.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from kern import __version__
from kern.activities.endings import Endings
from kern.activities.executions import Executions
from kern.activities.model_turn import ModelTurn
from kern.activities.pipeline_step import PipelineSteps
from kern.activities.result_journal import ResultJournal, ResultKeeper
from kern.activities.session_texts import SessionTexts
from kern.activities.tool_call import ToolCalls
from kern.client.temporal.connection import queue_of
from kern.client.temporal.supervision import supervise
from kern.components.registry import Registry
from kern.db.engine.store import Store
from kern.db.journal.text_publisher import publisher_for
from kern.process.logs import get_logger
from kern.process.settings import Settings
from kern.values.attempts import lease_of

_log = get_logger("kern.worker")

# Temporal first offers a workflow's tasks to the worker that has it in its cache. If that worker
# was killed, each of its runs waits this long before another worker may have it. The SDK's default
# is ten seconds, which a person would notice.
_STICKY = timedelta(seconds=2)


class ComponentWorkers:
    """Executes the runs of the components whose code this process has.

    With `lasting`, a worker that an error ended is restarted: so it is in a script. Otherwise the
    error reaches whoever calls `wait`, and the process ends, for its orchestrator to restart it.
    """

    def __init__(
        self,
        temporal: Client,
        db: Store,
        registry: Registry,
        settings: Settings,
        *,
        lasting: bool = False,
    ) -> None:
        self._temporal = temporal
        self._settings = settings
        self._lasting = lasting
        self._results = ResultKeeper(db, ResultJournal(settings.home / "results"))
        self._executions = Executions(
            db, settings.tool_slots, self._results, lease_of(settings.heartbeat_seconds)
        )
        self._storing: asyncio.Task[None] | None = None
        publisher = publisher_for(db)
        self._activities = (
            ModelTurn(
                db, registry, settings.model_outage_seconds, publisher, self._results
            ).model_turn,
            ToolCalls(db, registry, self._executions).tool_call,
            PipelineSteps(db, registry, self._executions).pipeline_step,
            Endings(db).expire,
            Endings(db).pause_run,
            Endings(db).close_run,
            SessionTexts(db, registry).summarise,
            SessionTexts(db, registry).name_session,
        )
        self._workers: dict[str, Worker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failed: set[str] = set()
        self._stopping = asyncio.Event()

    def serve(self, component_ids: Iterable[str]) -> None:
        """Start workers for these components, except for those that have one already."""
        if self._storing is None:
            self._storing = asyncio.create_task(self._results.store_kept())
        for component_id in component_ids:
            if component_id not in self._tasks:
                self._workers[component_id] = self._worker(component_id)
                self._tasks[component_id] = asyncio.create_task(self._execute(component_id))
                _log.info("worker_started", component=component_id)

    @property
    def is_running(self) -> bool:
        """Whether every worker is running."""
        return all(not task.done() for task in self._tasks.values())

    async def wait(self) -> None:
        """Wait until a worker ends.

        Raises:
            Exception: The error that ended it; without `stop`, nothing else ends a worker.
        """
        if not self._tasks:
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Take no new tasks, and let running activities end within the shutdown grace."""
        self._stopping.set()
        await asyncio.gather(*(worker.shutdown() for worker in self._workers.values()))
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
        self._executions.close()
        if self._storing is not None:
            self._storing.cancel()

    async def _execute(self, component_id: str) -> None:
        if not self._lasting:
            await self._workers[component_id].run()
            return
        name = f"the worker of {component_id}"
        await supervise(name, lambda: self._run_once(component_id), self._stopping)

    async def _run_once(self, component_id: str) -> None:
        if component_id in self._failed:
            # The SDK allows one worker per client and queue. A worker that ran has given its queue
            # back, so it is replaced. One that failed before it could run still holds the queue:
            # making another raises RuntimeError, and the same worker is run again.
            with contextlib.suppress(RuntimeError):
                self._workers[component_id] = self._worker(component_id)
        try:
            await self._workers[component_id].run()
        except Exception:
            self._failed.add(component_id)
            raise

    def _worker(self, component_id: str) -> Worker:
        return Worker(
            self._temporal,
            task_queue=queue_of(component_id),
            activities=self._activities,
            # Without one, the SDK hashes the code of every loaded module.
            build_id=f"kern-{__version__}",
            graceful_shutdown_timeout=timedelta(seconds=self._settings.shutdown_grace_seconds),
            sticky_queue_schedule_to_start_timeout=_STICKY,
            max_heartbeat_throttle_interval=timedelta(seconds=self._settings.heartbeat_seconds / 4),
            default_heartbeat_throttle_interval=timedelta(
                seconds=self._settings.heartbeat_seconds / 4
            ),
        )
