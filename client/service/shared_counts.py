"""Counts for many readers: those who ask for the same share one count, and few are made at once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

# So many at once: what people decide and open does not wait behind a thousand counts.
_AT_ONCE = 2


class SharedCounts:
    """Makes the counts that readers ask for.

    A count begins after it was asked for: whoever asks after something has changed is answered by a
    count that knows of it.
    """

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._next: dict[Hashable, asyncio.Task[int]] = {}

    async def of(self, key: Hashable, count: Callable[[], Awaitable[int]]) -> int:
        """Return a count; `key` is the same for those whose counts are the same."""
        task = self._next.get(key)
        if task is None:
            task = asyncio.create_task(self._count(key, count))
            self._next[key] = task
        # Whoever leaves takes the count from nobody else.
        return await asyncio.shield(task)

    async def _count(self, key: Hashable, count: Callable[[], Awaitable[int]]) -> int:
        try:
            await self._turns.acquire()
        finally:
            # From here on it may miss what happens.
            del self._next[key]
        try:
            return await count()
        finally:
            self._turns.release()
