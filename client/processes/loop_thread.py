"""A thread with an event loop of its own, and the calls that other threads make into it."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar

from kern.client.processes.calls import CallBridge
from kern.errors import KernError, Unavailable
from kern.process.waiting_tools import WAIT_SECONDS, leave_place

Result = TypeVar("Result")

_JOIN_SECONDS = 15.0
_LAST_SECONDS = 2.0


class LoopThread:
    """Runs coroutines for callers in any thread and on any event loop.

    Neither a caller's blocking code nor the end of its event loop touches what runs here.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._calls = CallBridge(self._loop)
        self._thread = threading.Thread(target=self._turn, name=name, daemon=True)
        self._thread.start()
        self._process = os.getpid()

    @property
    def is_running(self) -> bool:
        """Whether it takes calls."""
        return self._thread.is_alive() and not self._loop.is_closed()

    def call(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Have work done, and wait for it in synchronous code.

        Raises:
            KernError: the caller is in this thread, which would wait for itself.
            Unavailable: the thread has ended, or ends before it answers.
        """
        if threading.current_thread() is self._thread:
            message = (
                "A synchronous method of Kern was called inside its event loop: use the method "
                "that begins with 'a'."
            )
            raise KernError(message)
        self._check_process()
        answer = self._calls.submit(work())
        try:
            leave = leave_place.get()
            if leave is not None:
                with suppress(TimeoutError):
                    return answer.result(WAIT_SECONDS)
                leave()
            return answer.result()
        finally:
            # After a Ctrl-C nobody waits for it any more.
            answer.cancel()

    async def acall(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Have work done, whatever loop the caller is on.

        Raises:
            Unavailable: the thread has ended, or ends before it answers.
        """
        if asyncio.get_running_loop() is self._loop:
            return await work()
        self._check_process()
        answer = asyncio.wrap_future(self._calls.submit(work()))
        leave = leave_place.get()
        if leave is not None:
            # The tool's loop need not be the worker's: `leave` may be called from any thread.
            timer = asyncio.get_running_loop().call_later(WAIT_SECONDS, leave)
            answer.add_done_callback(lambda _answer: timer.cancel())
        return await answer

    def submit(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Have a part of the runtime's own work done, also while calls are refused.

        It serves everybody: nothing of the context of whoever caused it, such as a tenant, stays.
        """
        return Context().run(asyncio.run_coroutine_threadsafe, coroutine, self._loop)

    def wait_for_threads(self) -> None:
        """Wait for threads that outlast the main one and wait for answers."""
        self._calls.wait_for_threads()

    async def refuse_calls(self) -> None:
        """Take no more calls, and answer those that wait with `Unavailable`."""
        await self._calls.end()

    def end(self) -> None:
        """End the loop and its thread; whoever still waits for an answer gets `Unavailable`."""
        # Also where something did not end in time.
        with suppress(TimeoutError):
            self.submit(self._calls.end()).result(_LAST_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_JOIN_SECONDS)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            message = (
                "This process was forked from the one whose runtime this is, and has a runtime of "
                "its own: run the component, or open isolated_runtime(), after the fork."
            )
            raise Unavailable(message)

    def _turn(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
