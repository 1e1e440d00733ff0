"""The Temporal workers of one process: one for each component, on the component's own queue."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from importlib.metadata import version

from temporalio.client import Client
from temporalio.worker import Worker

from kern.activities.endings import Endings
from kern.activities.model_turn import ModelTurn
from kern.activities.session_texts import SessionTexts
from kern.activities.tool_call import ToolCalls
from kern.client.temporal import queue_of
from kern.db.engine import Database
from kern.db.publishing import publisher_for
from kern.logs import get_logger
from kern.registry import Registry
from kern.settings import Settings

_log = get_logger("kern.worker")

# A run that a killed worker had in its cache waits this long before another worker takes it up.
_STICKY = timedelta(seconds=2)


class ComponentWorkers:
    """Executes the runs of the components that this process has the code of."""

    def __init__(
        self, temporal: Client, db: Database, registry: Registry, settings: Settings
    ) -> None:
        self._temporal = temporal
        self._settings = settings
        self._tool_calls = ToolCalls(db, registry)
        self._activities = (
            ModelTurn(db, registry, settings.model_attempts, publisher_for(db)).model_turn,
            self._tool_calls.tool_call,
            Endings(db).expire,
            Endings(db).close_run,
            SessionTexts(db, registry).summarise,
            SessionTexts(db, registry).name_session,
        )
        self._running: dict[str, tuple[Worker, asyncio.Task[None]]] = {}

    def serve(self, component_ids: Iterable[str]) -> None:
        """Begin to execute runs of these components.

        Those that are served already stay as they are.
        """
        for component_id in component_ids:
            if component_id not in self._running:
                worker = self._worker(component_id)
                self._running[component_id] = (worker, asyncio.create_task(worker.run()))
                _log.info("worker_started", component=component_id)

    @property
    def is_running(self) -> bool:
        """Whether every worker lives."""
        return all(not task.done() for _, task in self._running.values())

    async def wait(self) -> None:
        """Wait until a worker ends, which it does of itself only by an error.

        That error is raised.
        """
        if not self._running:
            await asyncio.Event().wait()
        tasks = [task for _, task in self._running.values()]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Take nothing new, and let what executes come to its end within the grace."""
        await asyncio.gather(*(worker.shutdown() for worker, _ in self._running.values()))
        await asyncio.gather(*(task for _, task in self._running.values()), return_exceptions=True)
        self._running.clear()
        self._tool_calls.close()

    def _worker(self, component_id: str) -> Worker:
        return Worker(
            self._temporal,
            task_queue=queue_of(component_id),
            activities=self._activities,
            # Otherwise every loaded module is hashed to make one.
            build_id=f"kern-{version('kern')}",
            graceful_shutdown_timeout=timedelta(seconds=self._settings.shutdown_grace_seconds),
            sticky_queue_schedule_to_start_timeout=_STICKY,
            max_heartbeat_throttle_interval=timedelta(seconds=self._settings.heartbeat_seconds / 4),
            default_heartbeat_throttle_interval=timedelta(
                seconds=self._settings.heartbeat_seconds / 4
            ),
        )
