"""Wakes a waiter on an event loop, from any thread."""

import asyncio
from contextlib import suppress


class Wakeup:
    """What one waiter waits for, on the event loop on which it was made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._is_notified = False

    def notify(self) -> None:
        """Wake the waiter, also one that waits later; from any thread, and however often, once."""
        if self._is_notified:
            return
        self._is_notified = True
        # A loop that was closed has nobody who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until it was notified since the last wait ended; False when it was not in time."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return False
        # In this order: a notification in between is heard by the next wait.
        self._is_notified = False
        self._event.clear()
        return True
