"""The calls that a runtime's thread has not answered yet, and what becomes of them at its end."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from kern.errors import Unavailable

Result = TypeVar("Result")

# A thread that was answered has so long to call again before it counts as one that does not.
_PAUSE_SECONDS = 0.05
# What ends by itself with what is being closed.
_LAST_SECONDS = 0.1


class Calls:
    """Hands calls from any thread to an event loop in another one, until it ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Condition()
        self._tasks: set[asyncio.Task[object]] = set()
        self._lasting = 0
        self._is_over = False

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Have `work` done on the loop.

        Raises:
            Unavailable: the loop ends. So does whoever waits for `work` when that comes.
        """
        with self._lock:
            if self._is_over:
                work.close()
                raise _over()
            answer = asyncio.run_coroutine_threadsafe(self._attended(work), self._loop)
            if _outlasts_the_main_thread():
                self._lasting += 1
                answer.add_done_callback(self._answered)
        return answer

    def wait_for_threads(self) -> None:
        """Wait for threads that keep this process alive and wait for answers."""
        while self._lasting:
            with self._lock:
                self._lock.wait_for(lambda: not self._lasting)
            time.sleep(_PAUSE_SECONDS)

    async def end(self) -> None:
        """Take no more calls, and tell those who wait that nobody answers them here."""
        with self._lock:
            self._is_over = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LAST_SECONDS)
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _attended(self, work: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            return await work
        except asyncio.CancelledError:
            if self._is_over:
                raise _over() from None
            raise

    def _answered(self, answer: Future[Result]) -> None:  # noqa: ARG002  callbacks have it
        with self._lock:
            self._lasting -= 1
            self._lock.notify_all()


def _outlasts_the_main_thread() -> bool:
    thread = threading.current_thread()
    return not thread.daemon and thread is not threading.main_thread()


def _over() -> Unavailable:
    return Unavailable(
        "This process ends its work with runs, so nobody answers here. What was accepted is kept "
        "and goes on where the component is executed next: look with get_run_output."
    )
