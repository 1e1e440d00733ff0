"""The bridge over which any thread calls the event loop of a runtime.

A runtime has a thread of its own, in which its event loop runs. Users call from other threads: from
the main one, from a thread pool, from the thread of another event loop. A call is a coroutine that
is handed to the loop, and a future by which the caller waits. Three things make this harder than
`run_coroutine_threadsafe`:

*A loop that ends leaves its callers waiting.* A future of a loop that has stopped never completes,
and its caller blocks for ever. So the bridge keeps every call that is in progress. `end` refuses
new ones, cancels the others, and each caller gets `Unavailable`, which says that the run itself is
kept. The lock makes submitting and ending exclude each other: a call either is refused, or is seen
by `end`.

*The interpreter waits for threads before it ends.* When the main thread is done, Python joins all
threads that are not daemons. If such a thread waits for a run, the runtime must go on executing it,
or the process never ends. But Python runs the exit callback which closes the runtime *before* it
joins. The callback therefore calls `wait_for_threads` first. It only waits for calls from threads
that Python would join: a daemon thread is abandoned anyway, and the main thread is the one that
waits here.

*A thread usually makes several calls in a row*, such as run and then continue_run. Between two of
them it waits for nothing, and would be overtaken by the end. So after each answer it gets a moment
to call again.
"""

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from kern.errors import Unavailable

Result = TypeVar("Result")

# For how long a thread that was answered may take until it calls again.
_NEXT_CALL_SECONDS = 0.05
# For how long calls may complete by themselves before they are cancelled: closing the readers, for
# instance, completes the calls that read.
_COMPLETION_SECONDS = 0.1


class CallBridge:
    """Hands calls from any thread to an event loop in another thread, until that loop ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # The loop's thread only.
        self._tasks: set[asyncio.Task[object]] = set()
        # Any thread, under the condition, which notifies of answers.
        self._condition = threading.Condition()
        self._joined_calls = 0
        self._has_ended = False

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Execute `work` on the loop.

        The future raises `Unavailable` if the loop ends before `work` does.

        Raises:
            Unavailable: The loop has ended; `work` was not begun.
        """
        with self._condition:
            if self._has_ended:
                work.close()
                raise _closing_error()
            answer = asyncio.run_coroutine_threadsafe(self._execute(work), self._loop)
            if _interpreter_joins_this_thread():
                self._joined_calls += 1
                answer.add_done_callback(self._on_answer)
        return answer

    def wait_for_threads(self) -> None:
        """Wait for the calls of threads that the interpreter would wait for as it ends."""
        while self._joined_calls:
            with self._condition:
                self._condition.wait_for(lambda: not self._joined_calls)
            time.sleep(_NEXT_CALL_SECONDS)

    async def end(self) -> None:
        """Refuse new calls, and have every caller that still waits raise `Unavailable`.

        Call it on the loop. A second call does nothing.
        """
        with self._condition:
            self._has_ended = True
        # A call that was submitted right before that reaches `_tasks` within two turns of the loop:
        # the first creates its task, the second starts it.
        for _ in range(2):
            await asyncio.sleep(0)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_COMPLETION_SECONDS)
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _execute(self, work: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            return await work
        except asyncio.CancelledError:
            # Two may cancel: the caller, who waits no more, or `end`, which owes an explanation.
            if self._has_ended:
                raise _closing_error() from None
            raise

    def _on_answer(self, answer: Future[Result]) -> None:  # noqa: ARG002  callbacks get it
        with self._condition:
            self._joined_calls -= 1
            self._condition.notify_all()


def _interpreter_joins_this_thread() -> bool:
    thread = threading.current_thread()
    return not thread.daemon and thread is not threading.main_thread()


def _closing_error() -> Unavailable:
    return Unavailable(
        "This process ends its work with runs, so nobody answers here. What was accepted is kept "
        "and goes on where the component is executed next: look with get_run_output."
    )
