"""Event loops for async tools, in threads of their own: one is enough while no tool blocks it.

A tool that calls something blocking stops its loop, and every coroutine on it. So work is *offered*
to a loop, which takes it when it turns. Work that no loop has taken within a second is offered to
another one, and whichever turns first takes it. A loop that answers again is used again; one that
has nothing to do ends, unless it is the only one.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Generic, TypeVar

from kern.process.logs import get_logger

_log = get_logger("kern.tools.tool")

_LAG_SECONDS = 1.0

Value = TypeVar("Value")


class _Work(Generic[Value]):
    """A coroutine that one of several loops takes."""

    def __init__(self, make: Callable[[], Coroutine[object, object, Value]]) -> None:
        self.make = make
        self.result: Future[Value] = Future()
        self.is_taken = threading.Event()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take the work; False if another loop has it, or nobody wants it any more."""
        with self._lock:
            if self.is_taken.is_set() or self.result.cancelled():
                return False
            self.is_taken.set()
            return True


class _Loop:
    """A loop in its thread, with the offers that it has not looked at."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._offers: dict[int, float] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        threading.Thread(target=self._turn, name="kern-tool-loop", daemon=True).start()

    @property
    def is_blocked(self) -> bool:
        """Whether it has not looked at an offer for too long."""
        oldest = min(self._offers.copy().values(), default=None)
        return oldest is not None and time.monotonic() - oldest >= _LAG_SECONDS

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do."""
        return not self._tasks and not self._offers

    def offer(self, work: _Work[Value], when_idle: Callable[[], object]) -> None:
        """Have work taken when the loop turns."""
        self._offers[id(work)] = time.monotonic()
        self._loop.call_soon_threadsafe(self._look_at, work, when_idle)

    def stop(self) -> None:
        """End the loop, and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _look_at(self, work: _Work[Value], when_idle: Callable[[], object]) -> None:
        self._offers.pop(id(work), None)
        if not work.take():
            return
        task = self._loop.create_task(work.make())
        self._tasks.add(task)

        def end(ended: asyncio.Task[Value]) -> None:
            self._tasks.discard(ended)
            _hand_over(ended, work.result)
            when_idle()

        def stop(result: Future[Value]) -> None:
            if result.cancelled():
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(task.cancel)

        task.add_done_callback(end)
        work.result.add_done_callback(stop)

    def _turn(self) -> None:
        self._loop.run_forever()
        self._loop.close()


class AsyncLoops:
    """Executes coroutines on loops that turn."""

    def __init__(self) -> None:
        self._loops: list[_Loop] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def submit(self, make: Callable[[], Coroutine[object, object, Value]]) -> Future[Value]:
        """Execute what `make` returns on one of the loops.

        Called on an event loop it returns at once; elsewhere when a loop has taken the work.
        """
        work = _Work(make)
        self._offer(work)
        try:
            caller = asyncio.get_running_loop()
        except RuntimeError:
            while not work.is_taken.wait(_LAG_SECONDS) and not work.result.done():
                self._offer_again(work)
        else:
            caller.call_later(_LAG_SECONDS, self._watch, work, caller)
        return work.result

    def close(self) -> None:
        """Stop all loops, with what they execute."""
        with self._lock:
            self._is_closed = True
            for loop in self._loops:
                loop.stop()
            self._loops.clear()

    def _watch(self, work: _Work[Value], caller: asyncio.AbstractEventLoop) -> None:
        if not work.is_taken.is_set() and not work.result.done():
            self._offer_again(work)
            caller.call_later(_LAG_SECONDS, self._watch, work, caller)

    def _offer_again(self, work: _Work[Value]) -> None:
        _log.warning("async_tool_blocks", seconds=_LAG_SECONDS)
        self._offer(work)

    def _offer(self, work: _Work[Value]) -> None:
        with self._lock:
            if self._is_closed:
                work.result.cancel()
                return
            loop = next((loop for loop in self._loops if not loop.is_blocked), None)
            if loop is None:
                loop = _Loop()
                self._loops.append(loop)
            loop.offer(work, self._end_idle)

    def _end_idle(self) -> None:
        """End the loops that have nothing to do; one stays."""
        with self._lock:
            for loop in [loop for loop in self._loops[1:] if loop.is_idle]:
                self._loops.remove(loop)
                loop.stop()


def _hand_over(ended: asyncio.Task[Value], result: Future[Value]) -> None:
    """Pass the end of a task on to whoever waits for it in another thread."""
    with suppress(InvalidStateError):
        if ended.cancelled():
            result.cancel()
        elif (error := ended.exception()) is not None:
            result.set_exception(error)
        else:
            result.set_result(ended.result())
