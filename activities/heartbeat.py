"""Signs of life: an attempt that stops beating counts as dead, and another one begins."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from temporalio import activity

_BEATS_PER_TIMEOUT = 3


@asynccontextmanager
async def beating(meanwhile: Callable[[], Awaitable[None]] | None = None) -> AsyncGenerator[None]:
    """Beat as long as the block runs.

    `meanwhile` is called once when it takes longer than one beat.
    """
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        yield
        return
    task = asyncio.create_task(_beat(timeout.total_seconds() / _BEATS_PER_TIMEOUT, meanwhile))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _beat(interval: float, meanwhile: Callable[[], Awaitable[None]] | None) -> None:
    # Most attempts end before this, and then cost the server no word.
    await asyncio.sleep(min(interval, 1.0))
    if meanwhile is not None:
        await meanwhile()
    while True:
        activity.heartbeat()
        await asyncio.sleep(interval)
