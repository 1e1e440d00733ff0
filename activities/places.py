"""Places: how many calls are executed at once in one process.

An attempt takes a place before it takes its call, so a call that waits for a place has not begun:
nobody holds it, and its timeout does not count. What needs no place, such as noting that a call was
decided or that a child run ended, never waits behind tools.

A tool that waits for a run of its own leaves its place for as long: the run may need it. Code that
executes beyond its timeout, or beyond the end of its run, keeps its place until it ends: there are
never more calls than places. If all places are taken by such code, the worker says so.

Who waits for a place keeps an activity's slot of the worker, of which there are many more than
places. A process bounds how many wait: the rest waits in Temporal, where another worker may take
it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime, timedelta

from kern.activities.starts import Start
from kern.process.clock import utc_now
from kern.process.waiting_tools import leave_place

# So many attempts may wait for a place in one process.
DEFAULT_QUEUE_LENGTH = 1000
_MOST_NAMES = 3


class QueueFullError(Exception):
    """More attempts wait for a place than the process allows."""


class Places:
    """The places of a process.

    Args:
        count: How many there are.
        longest_queue: How many attempts may wait for one.
        clock: Returns the time; default: now, in UTC.
    """

    def __init__(
        self,
        count: int,
        longest_queue: int = DEFAULT_QUEUE_LENGTH,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._count = self._free = count
        self._longest_queue = longest_queue
        self._clock = clock
        self._queue: deque[asyncio.Future[None]] = deque()
        # Which places are taken, the oldest first.
        self._taken: dict[Place, None] = {}
        self._full_since: datetime | None = None

    def try_take(self) -> "Place | None":
        """Take a place if one is free; none is while somebody waits for it."""
        if self._free <= 0:
            return None
        self._free -= 1
        return self._place()

    async def take(self) -> "Place":
        """Wait for a place, first come first served.

        Raises:
            QueueFullError: too many wait already.
        """
        place = self.try_take()
        if place is not None:
            return place
        if len(self._queue) >= self._longest_queue:
            raise QueueFullError
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # The place was handed over already.
                self.give_back()
            elif turn in self._queue:
                self._queue.remove(turn)
            raise
        return self._place()

    @asynccontextmanager
    async def occupied(self, name: str) -> AsyncGenerator[None]:
        """Wait for a place, and have it within the block. Raises as `take`."""
        place = await self.take()
        place.name = name
        with place.occupied():
            yield

    def give_back(self, place: "Place | None" = None) -> None:
        """Hand a place to whoever has waited longest, or have one more."""
        if place is not None:
            self._taken.pop(place, None)
        self._full_since = None
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def blocked(self, longer_than: timedelta) -> str | None:
        """Say what has all places, if for so long none of it has ended; None otherwise."""
        since = self._full_since
        if since is None or self._clock() - since <= longer_than:
            return None
        oldest = [f"{place.name or 'a call'} since {_time(place.since)}" for place in self._taken]
        more = f" and {len(oldest) - _MOST_NAMES} more" if len(oldest) > _MOST_NAMES else ""
        waiting = f", {len(self._queue)} wait" if self._queue else ""
        names = ", ".join(oldest[:_MOST_NAMES])
        return (
            f"all {self._count} places are taken and none was given back since {_time(since)}: "
            f"{names}{more}{waiting}"
        )

    def _place(self) -> "Place":
        place = Place(self, self._clock())
        self._taken[place] = None
        if len(self._taken) >= self._count:
            self._full_since = place.since
        return place


class Place:
    """A place that one attempt has; it is given back once.

    Attributes:
        name: What is executed in it, as people know it.
        since: When it was taken.
    """

    def __init__(self, places: Places, since: datetime) -> None:
        self._places = places
        self._loop = asyncio.get_running_loop()
        self._start: Start | None = None
        self._is_given_back = False
        self.is_left = False
        self.name = ""
        self.since = since

    @property
    def is_free(self) -> bool:
        """Whether code can be executed in it: it was not left, and no earlier code executes."""
        return not self.is_left and (self._start is None or not self._start.is_executing)

    def execute(self, start: Start) -> None:
        """Execute code in it, which keeps it until its end whoever leaves it before."""
        self._start = start

    def leave(self) -> None:
        """Give the place back, on the worker's loop, once the code in it has ended."""
        self.is_left = True
        if self._start is None or not self._start.is_executing:
            self._give_back()
        else:
            self._start.on_end(self._give_back_from_any_thread)

    def _give_back(self) -> None:
        if not self._is_given_back:
            self._is_given_back = True
            self._places.give_back(self)

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
        token = leave_place.set(self._lend)
        try:
            yield
        finally:
            leave_place.reset(token)

    def _lend(self) -> None:
        """Give the place back although its code executes: it waits for a run."""
        self.is_left = True
        self._give_back_from_any_thread()

    def _give_back_from_any_thread(self) -> None:
        # The worker may have stopped before the code has ended.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._give_back)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
