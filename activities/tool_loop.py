"""Executes tools away from the worker's event loop, so that none can stop its heartbeats."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from kern.process.logs import get_logger

_log = get_logger("kern.tools.tool")

_LAG_SECONDS = 1.0
_THREADS = 64


Result = TypeVar("Result")


@dataclass(frozen=True)
class Returned(Generic[Result]):
    """A tool that returned; `value` is what is stored of the value that it returned."""

    value: Result


@dataclass(frozen=True)
class Raised:
    """A tool that raised; no error of a tool reaches the worker, not even SystemExit."""

    error: BaseException


Ended = Returned[Result] | Raised


class ToolLoop:
    """Executes sync tools in threads, and async ones on an event loop of their own.

    An async tool that blocks stops that loop; the next call then gets a new one.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="kern-tool")
        self._loops: list[asyncio.AbstractEventLoop] = []
        self._lock = threading.Lock()

    def submit(
        self,
        function: Callable[..., object],
        arguments: dict[str, object],
        keep: Callable[[object], Result],
    ) -> Future[Ended[Result]]:
        """Begin to execute a tool.

        Its value is passed through `keep` where it executes, since that may call the tool's code.
        """
        if inspect.iscoroutinefunction(function):
            return asyncio.run_coroutine_threadsafe(
                _ended(lambda: function(**arguments), keep), self._live_loop()
            )
        context = contextvars.copy_context()
        return self._threads.submit(context.run, self._call, function, arguments, keep)

    def close(self) -> None:
        """Accept no more tools; those that are being executed run to their end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for loop in self._loops:
            loop.call_soon_threadsafe(loop.stop)

    def _call(
        self,
        function: Callable[..., object],
        arguments: dict[str, object],
        keep: Callable[[object], Result],
    ) -> Ended[Result]:
        try:
            value = function(**arguments)
            if inspect.iscoroutine(value):
                ended = _ended(lambda: value, keep)
                return asyncio.run_coroutine_threadsafe(ended, self._live_loop()).result()
            return Returned(keep(value))
        except BaseException as error:  # noqa: BLE001  SystemExit must not end the worker
            return Raised(error)

    def _live_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loops and _answers(self._loops[-1]):
                return self._loops[-1]
            if self._loops:
                _log.warning("async_tool_blocks", seconds=_LAG_SECONDS)
            self._loops.append(_new_loop())
            return self._loops[-1]


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


def _answers(loop: asyncio.AbstractEventLoop) -> bool:
    reply = threading.Event()
    loop.call_soon_threadsafe(reply.set)
    return reply.wait(_LAG_SECONDS)


def _new_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()

    def turn() -> None:
        loop.run_forever()
        loop.close()

    threading.Thread(target=turn, name="kern-tool-loop", daemon=True).start()
    return loop
