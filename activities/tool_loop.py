"""Where tools execute.

Away from the event loop that beats and dispatches, so that none can freeze a worker.
"""

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


Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Returned(Generic[Kept]):
    """A tool that came to its end with a value: what is kept of it."""

    value: Kept


@dataclass(frozen=True)
class Raised:
    """A tool that raised; whatever it raised, it does not reach the worker."""

    error: BaseException


Ended = Returned[Kept] | Raised


class ToolLoop:
    """Executes sync tools in threads, and async ones on an event loop of their own.

    An async tool that blocks holds up that loop; the next call then gets a new one.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="kern-tool")
        self._loops: list[asyncio.AbstractEventLoop] = []
        self._lock = threading.Lock()

    def submit(
        self,
        function: Callable[..., object],
        arguments: dict[str, object],
        keep: Callable[[object], Kept],
    ) -> Future[Ended[Kept]]:
        """Begin to execute a tool.

        Its value is passed through `keep` where it executes: that may be code of the tool's, too.
        """
        if inspect.iscoroutinefunction(function):
            return asyncio.run_coroutine_threadsafe(
                _ended(lambda: function(**arguments), keep), self._live_loop()
            )
        context = contextvars.copy_context()
        return self._threads.submit(context.run, self._call, function, arguments, keep)

    def close(self) -> None:
        """Take no more tools; those that execute are left to end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for loop in self._loops:
            loop.call_soon_threadsafe(loop.stop)

    def _call(
        self,
        function: Callable[..., object],
        arguments: dict[str, object],
        keep: Callable[[object], Kept],
    ) -> Ended[Kept]:
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
    function: Callable[[], Coroutine[object, object, object]], keep: Callable[[object], Kept]
) -> Ended[Kept]:
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
    answered = threading.Event()
    loop.call_soon_threadsafe(answered.set)
    return answered.wait(_LAG_SECONDS)


def _new_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()

    def turn() -> None:
        loop.run_forever()
        loop.close()

    threading.Thread(target=turn, name="kern-tool-loop", daemon=True).start()
    return loop
