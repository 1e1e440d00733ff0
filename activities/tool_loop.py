"""Executes tools away from the worker's event loop, so that none can stop its heartbeats."""

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from kern.activities.async_loops import AsyncLoops
from kern.activities.starts import Start

Result = TypeVar("Result")

# A call never waits for a thread: `places.py` bounds how many are executed at once.
_THREADS = 100_000


@dataclass(frozen=True)
class Returned(Generic[Result]):
    """A tool that returned; `value` is what is stored of the value that it returned."""

    value: Result


@dataclass(frozen=True)
class Raised:
    """A tool that raised; no error of a tool reaches the worker, not even SystemExit."""

    error: BaseException


@dataclass(frozen=True)
class NotBegun:
    """A tool that was not called, and never will be by this attempt."""


Ended = Returned[Result] | Raised | NotBegun


class ToolLoop:
    """Executes sync tools in threads, and async ones on event loops of their own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="kern-tool")
        self._loops = AsyncLoops()

    def submit(
        self,
        function: Callable[..., object],
        arguments: dict[str, object],
        keep: Callable[[object], Result],
        start: Start | None = None,
    ) -> Future[Ended[Result]]:
        """Begin to execute a tool, if its `start` still allows it by then.

        Its value is passed through `keep` where it executes, since that may call the tool's code.
        """
        start = start or Start()
        if inspect.iscoroutinefunction(function):
            return self._loops.submit(
                lambda: self._start_async(lambda: function(**arguments), keep, start)
            )
        context = contextvars.copy_context()
        return self._threads.submit(context.run, self._call, function, arguments, keep, start)

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, which may block, away from the loop that waits for it.

        The threads of asyncio are few, and whoever blocks all of them would hold up the others.
        """
        context = contextvars.copy_context()
        return await asyncio.wrap_future(self._threads.submit(context.run, work))

    def close(self) -> None:
        """Accept no more tools; those that are being executed run to their end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._loops.close()

    def _call(
        self,
        function: Callable[..., object],
        arguments: dict[str, object],
        keep: Callable[[object], Result],
        start: Start,
    ) -> Ended[Result]:
        while not start.is_confirmed:
            if not start.confirm():
                return NotBegun()
        if not start.begin():
            return NotBegun()
        try:
            value = function(**arguments)
            if inspect.iscoroutine(value):
                return self._loops.submit(lambda: _ended(lambda: value, keep)).result()
            return Returned(keep(value))
        except BaseException as error:  # noqa: BLE001  SystemExit must not end the worker
            return Raised(error)
        finally:
            start.end()

    async def _start_async(
        self,
        function: Callable[[], Coroutine[object, object, object]],
        keep: Callable[[object], Result],
        start: Start,
    ) -> Ended[Result]:
        # Another tool may block this loop after the row was asked.
        while not start.is_confirmed:
            if not await self.in_thread(start.confirm):
                return NotBegun()
        if not start.begin():
            return NotBegun()
        try:
            return await _ended(function, keep)
        finally:
            start.end()


async def _ended(
    function: Callable[[], Coroutine[object, object, object]], keep: Callable[[object], Result]
) -> Ended[Result]:
    try:
        return Returned(keep(await function()))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Nobody cancelled it: something that the tool waited for was cancelled.
        return Raised(error)
    except BaseException as error:  # noqa: BLE001  SystemExit must not end the worker
        return Raised(error)
