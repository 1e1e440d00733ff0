"""Heartbeats: an activity that sends none for its timeout is considered dead and starts again.

They are sent from the worker's event loop, so they show that the process is alive and its loop
turns, not that the tool makes progress: tools execute elsewhere (`tool_loop.py`), where one that
blocks cannot silence them. By the answer to a heartbeat the server also cancels the activity.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from temporalio import activity

from kern.errors import KernError

_BEATS_PER_TIMEOUT = 3
_FIRST_SECONDS = 1.0


@asynccontextmanager
async def beating(meanwhile: Callable[[], Awaitable[None]] | None = None) -> AsyncGenerator[None]:
    """Send heartbeats while the block runs.

    `meanwhile` is called once if the block takes longer than the first interval.
    """
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        yield
        return
    interval = timeout.total_seconds() / _BEATS_PER_TIMEOUT
    tasks: list[asyncio.Task[None]] = []

    def start() -> None:
        tasks.append(asyncio.create_task(_beat(interval)))
        if meanwhile is not None:
            # In a task of its own: a database that is away must not stop the heartbeats.
            tasks.append(asyncio.create_task(_quietly(meanwhile)))

    # Most activities end before this, and then cost neither a task nor a request.
    timer = asyncio.get_running_loop().call_later(min(interval, _FIRST_SECONDS), start)
    try:
        yield
    finally:
        timer.cancel()
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _beat(interval: float) -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(interval)


async def _quietly(meanwhile: Callable[[], Awaitable[None]]) -> None:
    with suppress(KernError):
        await meanwhile()
