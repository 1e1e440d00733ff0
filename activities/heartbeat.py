"""Signs of life: an attempt that stops beating counts as dead, and another one begins."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from temporalio import activity

from kern.errors import KernError

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
    interval = timeout.total_seconds() / _BEATS_PER_TIMEOUT
    tasks = [asyncio.create_task(_beat(interval))]
    if meanwhile is not None:
        tasks.append(asyncio.create_task(_note(meanwhile, interval)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _beat(interval: float) -> None:
    # Most attempts end before this, and then cost the server no word.
    await asyncio.sleep(min(interval, 1.0))
    while True:
        activity.heartbeat()
        await asyncio.sleep(interval)


async def _note(meanwhile: Callable[[], Awaitable[None]], interval: float) -> None:
    """Call `meanwhile` beside the beats: a database that is away must not silence them."""
    await asyncio.sleep(min(interval, 1.0))
    with suppress(KernError):
        await meanwhile()
