"""Places: how many calls are executed at once in one process.

An attempt takes a place before it takes its call, so a call that waits for a place has not begun:
nobody holds it, and its timeout does not count. What needs no place, such as noting that a call was
decided or that a child run ended, never waits behind tools.

A tool that waits for a run of its own leaves its place for as long: the run may need it.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from kern.process.waiting_tools import leave_place


class Places:
    """The places of a process.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._queue: deque[asyncio.Future[None]] = deque()

    def try_take(self) -> "Place | None":
        """Take a place if one is free; none is while somebody waits for it."""
        if self._free <= 0:
            return None
        self._free -= 1
        return Place(self)

    async def take(self) -> "Place":
        """Wait for a place, first come first served."""
        place = self.try_take()
        if place is not None:
            return place
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # The place was handed over already.
                self.give_back()
            raise
        return Place(self)

    def give_back(self) -> None:
        """Hand a place to whoever has waited longest, or have one more."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Place:
    """A place that one attempt has; it is given back once."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._loop = asyncio.get_running_loop()
        self.is_left = False

    def leave(self) -> None:
        """Give the place back, on the worker's loop."""
        if not self.is_left:
            self.is_left = True
            self._places.give_back()

    @contextmanager
    def occupied(self) -> Generator[None]:
        """Give the place back after the block, or earlier: when code in it waits for a run."""
        with self.lent():
            try:
                yield
            finally:
                self.leave()

    @contextmanager
    def lent(self) -> Generator[None]:
        """Let the code in the block give the place back when it waits for a run."""
        token = leave_place.set(self._leave_from_any_thread)
        try:
            yield
        finally:
            leave_place.reset(token)

    def _leave_from_any_thread(self) -> None:
        self._loop.call_soon_threadsafe(self.leave)
