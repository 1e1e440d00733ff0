"""Wakes one who waits on an event loop, from any thread."""

import asyncio
from contextlib import suppress


class Bell:
    """Heard by one who waits, on the event loop on which it was made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rings = asyncio.Event()
        self._is_rung = False

    def ring(self) -> None:
        """Wake whoever waits, or will wait; from any thread, and however often, once."""
        if self._is_rung:
            return
        self._is_rung = True
        # A loop that was closed has nobody who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._rings.set)

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until it was rung since the last wait ended; False when it was not in time."""
        try:
            await asyncio.wait_for(self._rings.wait(), seconds)
        except TimeoutError:
            return False
        # In this order: who rings it in between rings it once more.
        self._is_rung = False
        self._rings.clear()
        return True
