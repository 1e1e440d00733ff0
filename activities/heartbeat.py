"""Signs of life: an attempt that stops beating counts as dead, and another one begins."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from temporalio import activity

from kern.errors import KernError

_BEATS_PER_TIMEOUT = 3
_FIRST_SECONDS = 1.0


@asynccontextmanager
async def beating(meanwhile: Callable[[], Awaitable[None]] | None = None) -> AsyncGenerator[None]:
    """Beat as long as the block runs.

    `meanwhile` is called once when it takes longer than one beat.
    """
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        yield
        return
    interval = timeout.total_seconds() / _BEATS_PER_TIMEOUT
    tasks: list[asyncio.Task[None]] = []

    def begin() -> None:
        tasks.append(asyncio.create_task(_beat(interval)))
        if meanwhile is not None:
            # Beside the beats: a database that is away must not silence them.
            tasks.append(asyncio.create_task(_quietly(meanwhile)))

    # Most attempts end before this, and then cost neither a task nor a word to the server.
    timer = asyncio.get_running_loop().call_later(min(interval, _FIRST_SECONDS), begin)
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
