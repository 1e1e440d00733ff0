"""The Temporal worker of one task queue: started again after an error, and stopped by itself."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from temporalio.client import Client
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    Worker,
)

from kern import __version__
from kern.client.temporal.supervision import supervise
from kern.process.settings import Settings

# Temporal first offers a workflow's tasks to the worker that has it in its cache. If that worker
# was killed, each of its runs waits this long before another worker may have it. The SDK's default
# is ten seconds, which a person would notice.
_STICKY = timedelta(seconds=2)
# Who waits, such as a tool for a run of its own or a call for a place, has a slot and costs little
# else. What executes at once is bounded by places, and so is who waits for one: a slot is free.
_SLOTS = 10_000
# A deadline or an ending takes milliseconds.
_BOOKKEEPING_POLLS = 2
# Without one, the SDK hashes the code of every loaded module.
_BUILD = f"kern-{__version__}"


class QueueWorker:
    """Executes the tasks of one queue, from when it is made.

    Args:
        name: What people know the worker by.
        make: Returns a Temporal worker; called again if the SDK needs another one.
        lasting: Whether the worker is started again when an error ends it. Otherwise `task` ends
            with the error.
    """

    def __init__(self, name: str, make: Callable[[Interceptor], Worker], *, lasting: bool) -> None:
        self._use = _Use()
        self._make: Callable[[], Worker] = partial(make, self._use)
        self._worker = self._make()
        self._has_failed = False
        self._stopping = asyncio.Event()
        work = supervise(name, self._run, self._stopping) if lasting else self._run()
        self.task = asyncio.create_task(work)

    @property
    def idle_seconds(self) -> float:
        """For how long no activity has been executed; 0 while one is."""
        return self._use.idle_seconds

    async def stop(self) -> None:
        """Take no new tasks, and let running activities end within the shutdown grace."""
        self._stopping.set()
        await self._worker.shutdown()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _run(self) -> None:
        if self._has_failed:
            # The SDK allows one worker per client and queue. A worker that ran has given its queue
            # back, so it is replaced. One that failed before it could run still holds the queue:
            # making another raises RuntimeError, and the same worker is run again.
            with contextlib.suppress(RuntimeError):
                self._worker = self._make()
        try:
            await self._worker.run()
        except Exception:
            self._has_failed = True
            raise


class _Use(Interceptor):
    """Notes when a worker executes activities."""

    def __init__(self) -> None:
        self.active = 0
        self.last_use = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        return 0.0 if self.active else time.monotonic() - self.last_use

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Return what notes the activities."""
        return _NotedActivity(next, self)


class _NotedActivity(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, use: _Use) -> None:
        super().__init__(following)
        self._use = use

    async def execute_activity(self, input: ExecuteActivityInput) -> object:
        self._use.active += 1
        try:
            return await super().execute_activity(input)
        finally:
            self._use.active -= 1
            self._use.last_use = time.monotonic()


def component_worker(
    client: Client,
    queue: str,
    activities: Sequence[Callable[..., object]],
    settings: Settings,
    interceptor: Interceptor,
) -> Worker:
    """Return a worker for workflows and for activities that need a component's code."""
    return Worker(
        client,
        task_queue=queue,
        activities=activities,
        interceptors=[interceptor],
        max_concurrent_activities=_SLOTS,
        build_id=_BUILD,
        graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_grace_seconds),
        sticky_queue_schedule_to_start_timeout=_STICKY,
        max_heartbeat_throttle_interval=_throttle(settings),
        default_heartbeat_throttle_interval=_throttle(settings),
    )


def bookkeeping_worker(
    client: Client,
    queue: str,
    activities: Sequence[Callable[..., object]],
    settings: Settings,
    interceptor: Interceptor,
) -> Worker:
    """Return a worker for activities that need no component's code; it executes no workflows."""
    # Without the plugin, which adds the workflows.
    bare = Client(
        client.service_client, namespace=client.namespace, data_converter=client.data_converter
    )
    return Worker(
        bare,
        task_queue=queue,
        activities=activities,
        interceptors=[interceptor],
        max_concurrent_activity_task_polls=_BOOKKEEPING_POLLS,
        build_id=_BUILD,
        graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_grace_seconds),
        max_heartbeat_throttle_interval=_throttle(settings),
        default_heartbeat_throttle_interval=_throttle(settings),
    )


def _throttle(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.heartbeat_seconds / 4)
