"""The bridge from threads to the runtime's loop: each call is answered, or told why it is not."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future

import pytest

from kern.client.processes.calls import CallBridge
from kern.errors import Unavailable

pytestmark = pytest.mark.timeout(30)

SECONDS = 10.0


class Bridge:
    """A bridge to a loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.calls = CallBridge(self.loop)
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def end(self) -> None:
        asyncio.run_coroutine_threadsafe(self.calls.end(), self.loop).result(SECONDS)

    def stop(self) -> None:
        self.end()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(SECONDS)
        self.loop.close()


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge()
    yield bridge
    bridge.stop()


async def endless() -> str:
    await asyncio.Event().wait()
    return "never"


def in_thread(work: Callable[[], object], *, daemon: bool = False) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=daemon)
    thread.start()
    return thread


def test_calls_from_many_threads_get_their_own_answers(bridge: Bridge) -> None:
    answers: dict[int, int] = {}

    async def double(number: int) -> int:
        await asyncio.sleep(0.01)
        return 2 * number

    def call(number: int) -> None:
        answers[number] = bridge.calls.submit(double(number)).result(SECONDS)

    threads = [in_thread(lambda n=number: call(n)) for number in range(20)]  # type: ignore[misc]
    for thread in threads:
        thread.join(SECONDS)
    assert answers == {number: 2 * number for number in range(20)}


def test_work_runs_in_the_thread_of_the_loop(bridge: Bridge) -> None:
    async def where() -> threading.Thread:
        return threading.current_thread()

    assert bridge.calls.submit(where()).result(SECONDS) is bridge.thread


def test_an_error_reaches_the_caller(bridge: Bridge) -> None:
    async def fail() -> None:
        raise ValueError("no such order")

    with pytest.raises(ValueError, match="no such order"):
        bridge.calls.submit(fail()).result(SECONDS)


def test_a_call_that_waits_at_the_end_raises_unavailable(bridge: Bridge) -> None:
    answer = bridge.calls.submit(endless())
    bridge.end()
    with pytest.raises(Unavailable, match="look with get_run_output"):
        answer.result(SECONDS)


async def test_a_call_submitted_right_before_the_end_raises_unavailable() -> None:
    calls = CallBridge(asyncio.get_running_loop())
    answer = calls.submit(endless())
    await calls.end()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(asyncio.wrap_future(answer), 1)


def test_work_that_is_about_to_complete_at_the_end_is_still_answered(bridge: Bridge) -> None:
    async def complete() -> str:
        await asyncio.sleep(0.02)
        return "done"

    answer = bridge.calls.submit(complete())
    bridge.end()
    assert answer.result(SECONDS) == "done"


def test_a_call_after_the_end_is_refused_and_never_begun(bridge: Bridge) -> None:
    begun: list[str] = []

    async def work() -> None:
        begun.append("work")

    bridge.end()
    with pytest.raises(Unavailable, match="ends its work"):
        bridge.calls.submit(work())
    bridge.end()
    assert begun == []


def test_a_caller_that_gives_up_cancels_its_own_call_only(bridge: Bridge) -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def wait_for(event: asyncio.Event) -> str:
        await event.wait()
        return "answered"

    event = asyncio.Event()
    other = bridge.calls.submit(wait_for(event))
    own = bridge.calls.submit(wait())
    bridge.calls.submit(asyncio.sleep(0)).result(SECONDS)
    own.cancel()
    with pytest.raises(CancelledError):
        own.result(SECONDS)
    assert cancelled.wait(SECONDS)
    bridge.loop.call_soon_threadsafe(event.set)
    assert other.result(SECONDS) == "answered"


def test_the_end_waits_for_work_that_cleans_up_after_its_cancellation(bridge: Bridge) -> None:
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.02)
            cleaned.append("closed")

    answer = bridge.calls.submit(work())
    bridge.end()
    assert cleaned == ["closed"]
    with pytest.raises(Unavailable):
        answer.result(SECONDS)


def test_threads_that_the_interpreter_joins_are_waited_for(bridge: Bridge) -> None:
    free, submitted = threading.Event(), threading.Event()
    answers: list[str] = []

    async def work() -> str:
        await asyncio.to_thread(free.wait)
        return "done"

    def call() -> None:
        first = bridge.calls.submit(work())
        submitted.set()
        answers.append(first.result(SECONDS))
        # As soon as it is answered it calls again, as with run and continue_run.
        answers.append(bridge.calls.submit(work()).result(SECONDS))

    caller = in_thread(call)
    assert submitted.wait(SECONDS)
    threading.Timer(0.1, free.set).start()
    bridge.calls.wait_for_threads()
    caller.join(SECONDS)
    assert answers == ["done", "done"]


@pytest.mark.parametrize("daemon", [False, True])
def test_whether_a_thread_is_waited_for_depends_on_whether_it_is_a_daemon(
    bridge: Bridge, *, daemon: bool
) -> None:
    answers: list[Future[str]] = []
    submitted, returned = threading.Event(), threading.Event()

    def call() -> None:
        answers.append(bridge.calls.submit(endless()))
        submitted.set()

    def wait() -> None:
        bridge.calls.wait_for_threads()
        returned.set()

    in_thread(call, daemon=daemon)
    assert submitted.wait(SECONDS)
    waiting = in_thread(wait)
    assert returned.wait(0.3) is daemon
    # A caller that gives up is not waited for any more, either.
    answers[0].cancel()
    assert returned.wait(SECONDS)
    waiting.join(SECONDS)


def test_the_main_thread_does_not_wait_for_its_own_calls(bridge: Bridge) -> None:
    answer = bridge.calls.submit(endless())
    began = time.monotonic()
    bridge.calls.wait_for_threads()
    assert time.monotonic() - began < SECONDS / 2
    answer.cancel()
