"""The Temporal workers of one process: one for each component, on the component's own queue.

A queue for each component, and not one for all, because processes that share a folder or a cluster
may have different code: a task must only reach a process that has the component's code. In return,
a process with a hundred components has a hundred workers, which share the client's connection and
the activities' objects. The worker of a component that the program has dropped ends when it has
nothing to do (`idle_workers.py`).

Bookkeeping (deadlines, pauses, endings) needs no component's code. One worker of the process does
it, on a queue that all processes of the installation share, with slots of its own: so it never
waits behind tools. Every worker of a component takes it too, for runs that began before there was
that queue.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

from temporalio.client import Client
from temporalio.worker import Interceptor, Worker

from kern.activities.endings import Endings
from kern.activities.executions import Executions
from kern.activities.model_calls import ModelCalls
from kern.activities.model_turn import ModelTurn
from kern.activities.pipeline_step import PipelineSteps
from kern.activities.result_journal import ResultJournal, ResultKeeper
from kern.activities.session_texts import SessionTexts
from kern.activities.tool_call import ToolCalls
from kern.client.temporal.connection import bookkeeping_queue_of, queue_of
from kern.client.temporal.idle_workers import IdleWorkers
from kern.client.temporal.queue_worker import QueueWorker, bookkeeping_worker, component_worker
from kern.client.temporal.workflow_ids import prefix_of
from kern.components.component import Component
from kern.components.registry import Registry
from kern.db.engine.store import Store
from kern.db.journal.text_publisher import publisher_for
from kern.process.logs import get_logger
from kern.process.loop_watch import LoopWatch
from kern.process.settings import Settings
from kern.values.attempts import lease_of

_log = get_logger("kern.worker")

_LOOK_SECONDS = 1.0
# Places that nobody gave back for so long are reported.
_BLOCKED_AFTER = timedelta(seconds=10)
_ADVICE = {
    "tools": (
        "Give tools and steps a timeout, or raise KERN_TOOL_SLOTS. A tool that waits for a run in "
        "a thread of its own keeps its place, which that run may need: have the tool itself wait, "
        "or start the thread's work with contextvars.copy_context().run."
    ),
    "models": "Give the model a timeout, or raise KERN_MODEL_SLOTS.",
}


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
        self._db = db
        self._registry = registry
        self._settings = settings
        self._lasting = lasting
        self._results = ResultKeeper(db, ResultJournal(settings.home / "results"))
        self._executions = Executions(
            db, settings.tool_slots, self._results, lease_of(settings.heartbeat_seconds)
        )
        self._models = models = ModelCalls(settings.model_slots)
        self._places = {"tools": self._executions.places, "models": models.places}
        publisher = publisher_for(db)
        self._bookkeeping = (Endings(db).expire, Endings(db).pause_run, Endings(db).close_run)
        self._activities = (
            ModelTurn(
                db,
                registry,
                settings.model_outage_seconds,
                publisher,
                results=self._results,
                models=models,
            ).model_turn,
            ToolCalls(db, registry, self._executions).tool_call,
            PipelineSteps(db, registry, self._executions).pipeline_step,
            SessionTexts(db, registry, models).summarise,
            SessionTexts(db, registry, models).name_session,
            *self._bookkeeping,
        )
        self._workers: dict[str, QueueWorker] = {}
        self._ending: set[str] = set()
        self._bookkeeper: QueueWorker | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._idle = IdleWorkers(db, registry, self._idle_seconds)
        self._watch = LoopWatch()
        self._blocked: set[str] = set()
        self._failed = asyncio.Event()
        self._is_stopping = False
        # Called when a component went.
        self.on_change: Callable[[], None] = lambda: None
        registry.keeps_orphans = True

    async def serve(self, component_ids: Iterable[str]) -> None:
        """Start workers for these components, except for those that have one already."""
        if not self._tasks:
            self._watch.start()
            self._tasks = [
                asyncio.create_task(self._results.store_kept()),
                asyncio.create_task(self._look_after()),
            ]
        queue = bookkeeping_queue_of(await prefix_of(self._db))
        if self._bookkeeper is None:
            make = partial(
                bookkeeping_worker, self._temporal, queue, self._bookkeeping, self._settings
            )
            self._bookkeeper = self._start("the worker of deadlines", make)
        for component_id in component_ids:
            if component_id not in self._workers and component_id not in self._ending:
                self._start_component(component_id)

    @property
    def is_running(self) -> bool:
        """Whether every worker is running."""
        return all(not worker.task.done() for worker in self._all())

    def blocked(self) -> dict[str, str]:
        """Return for tools and for models what has had all their places for too long, if any."""
        reasons: dict[str, str] = {}
        for part, places in self._places.items():
            why = places.blocked(_BLOCKED_AFTER)
            if why is not None:
                reasons[part] = f"{why}. {_ADVICE[part]}"
        return reasons

    async def wait(self) -> None:
        """Wait until a worker ends.

        Raises:
            Exception: The error that ended it; without `stop`, nothing else ends a worker.
        """
        await self._failed.wait()
        for worker in self._all():
            if worker.task.done():
                worker.task.result()

    async def end_idle(self) -> None:
        """End the workers that nobody needs any more."""
        components = await self._idle.unneeded()
        await asyncio.gather(*(self._end(component) for component in components))

    async def _end(self, component: Component) -> None:
        """End the worker of an orphan and forget it, unless it is needed by then after all.

        What the worker has taken by then is executed to its end: the component is still there.
        """
        worker = self._workers.pop(component.id, None)
        self._ending.add(component.id)
        try:
            if worker is not None:
                await worker.stop()
            is_needed = await self._idle.has_active_runs(component)
        finally:
            self._ending.discard(component.id)
        if self._is_stopping:
            return
        if is_needed or not self._registry.forget(component):
            self._start_component(component.id)
            return
        _log.info("worker_ended", component=component.id, why="nobody has the component any more")
        self.on_change()

    async def stop(self) -> None:
        """Take no new tasks, and let running activities end within the shutdown grace."""
        self._is_stopping = True
        self._watch.stop()
        workers = self._all()
        await asyncio.gather(*(worker.stop() for worker in workers))
        self._workers.clear()
        self._bookkeeper = None
        self._executions.close()
        self._models.close()
        self._registry.release_orphans()
        for task in self._tasks:
            task.cancel()

    def _all(self) -> list[QueueWorker]:
        bookkeepers = [] if self._bookkeeper is None else [self._bookkeeper]
        return [*self._workers.values(), *bookkeepers]

    def _start_component(self, component_id: str) -> None:
        make = partial(
            component_worker,
            self._temporal,
            queue_of(component_id),
            self._activities,
            self._settings,
        )
        self._workers[component_id] = self._start(f"the worker of {component_id}", make)
        _log.info("worker_started", component=component_id)

    def _start(self, name: str, make: Callable[[Interceptor], Worker]) -> QueueWorker:
        worker = QueueWorker(name, make, lasting=self._lasting)
        worker.task.add_done_callback(self._note_end)
        return worker

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failed.set()

    def _idle_seconds(self, component_id: str) -> float:
        worker = self._workers.get(component_id)
        return 0.0 if worker is None else worker.idle_seconds

    async def _look_after(self) -> None:
        """Report what stands, and end what is not needed any more, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._report_blocked()
            try:
                await self.end_idle()
            except Exception as error:  # noqa: BLE001  the next look may succeed
                _log.warning("workers_not_ended", why=f"{type(error).__name__}: {error}")

    def _report_blocked(self) -> None:
        blocked = self.blocked()
        for part in sorted(blocked.keys() - self._blocked):
            _log.warning("places_blocked", part=part, why=blocked[part])
        for part in sorted(self._blocked - blocked.keys()):
            _log.warning("places_free_again", part=part)
        self._blocked = set(blocked)
