"""The Temporal workers of one process: one for each component, on the component's own queue."""

import asyncio
import contextlib
from collections.abc import Iterable
from datetime import timedelta
from importlib.metadata import version

from temporalio.client import Client
from temporalio.worker import Worker

from kern.activities.attempt import Executions
from kern.activities.endings import Endings
from kern.activities.model_turn import ModelTurn
from kern.activities.pipeline_step import PipelineSteps
from kern.activities.session_texts import SessionTexts
from kern.activities.tool_call import ToolCalls
from kern.client.temporal.connection import DISTRIBUTION, queue_of
from kern.client.temporal.supervision import kept_alive
from kern.components.registry import Registry
from kern.db.engine.store import Store
from kern.db.journal.text_publisher import publisher_for
from kern.process.logs import get_logger
from kern.process.settings import Settings

_log = get_logger("kern.worker")

# A run that a killed worker had in its cache waits this long before another worker takes it up.
_STICKY = timedelta(seconds=2)


class ComponentWorkers:
    """Executes the runs of the components that this process has the code of.

    A `lasting` worker that an error ended is begun again. Others end for whoever `wait`s for them.
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
        self._executions = Executions()
        self._activities = (
            ModelTurn(db, registry, settings.model_attempts, publisher_for(db)).model_turn,
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
        """Begin to execute runs of these components.

        Those that are served already stay as they are.
        """
        for component_id in component_ids:
            if component_id not in self._tasks:
                self._workers[component_id] = self._worker(component_id)
                self._tasks[component_id] = asyncio.create_task(self._execute(component_id))
                _log.info("worker_started", component=component_id)

    @property
    def is_running(self) -> bool:
        """Whether every worker lives."""
        return all(not task.done() for task in self._tasks.values())

    async def wait(self) -> None:
        """Wait until a worker ends, which it does of itself only by an error.

        That error is raised.
        """
        if not self._tasks:
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Take nothing new, and let what executes come to its end within the grace."""
        self._stopping.set()
        await asyncio.gather(*(worker.shutdown() for worker in self._workers.values()))
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
        self._executions.close()

    async def _execute(self, component_id: str) -> None:
        if not self._lasting:
            await self._workers[component_id].run()
            return
        what = f"the worker of {component_id}"
        await kept_alive(what, lambda: self._once(component_id), self._stopping)

    async def _once(self, component_id: str) -> None:
        if component_id in self._failed:
            # One that had begun has given up its queue. One that could not even begin still holds
            # it, so that no other is made for it, and is run again.
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
            # Otherwise every loaded module is hashed to make one.
            build_id=f"kern-{version(DISTRIBUTION)}",
            graceful_shutdown_timeout=timedelta(seconds=self._settings.shutdown_grace_seconds),
            sticky_queue_schedule_to_start_timeout=_STICKY,
            max_heartbeat_throttle_interval=timedelta(seconds=self._settings.heartbeat_seconds / 4),
            default_heartbeat_throttle_interval=timedelta(
                seconds=self._settings.heartbeat_seconds / 4
            ),
        )
