"""Tools execute away from the worker, and nothing that they raise reaches it."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial

import pytest

from kern.activities.tool_loop import Ended, Raised, Returned, ToolLoop

user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


@pytest.fixture
def loop() -> Iterator[ToolLoop]:
    made = ToolLoop()
    yield made
    made.close()


def submit(
    loop: ToolLoop, function: Callable[..., object], arguments: dict[str, object]
) -> Future[Ended[object]]:
    return loop.submit(function, arguments, lambda value: value)


def end_of(future: Future[Ended[object]]) -> Ended[object]:
    return future.result(timeout=20)


def value_of(future: Future[Ended[object]]) -> object:
    ended = end_of(future)
    assert isinstance(ended, Returned), ended
    return ended.value


def double(number: int) -> int:
    return number * 2


async def double_later(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


def test_sync_and_async_tools_return_their_values(loop: ToolLoop) -> None:
    assert value_of(submit(loop, double, {"number": 2})) == 4
    assert value_of(submit(loop, double_later, {"number": 2})) == 4
    assert value_of(submit(loop, partial(double_later, 3), {})) == 6


def test_no_tool_executes_in_the_callers_thread(loop: ToolLoop) -> None:
    async def where() -> str:
        return threading.current_thread().name

    here = threading.current_thread().name
    there = value_of(submit(loop, lambda: threading.current_thread().name, {}))
    assert len({here, there, value_of(submit(loop, where, {}))}) == 3


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        SystemExit(3),
        KeyboardInterrupt(),
        StopIteration(),
        GeneratorExit(),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_tool_raises_is_its_end(loop: ToolLoop, error: BaseException) -> None:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise error

    for tool in (fail, fail_later):
        ended = end_of(submit(loop, tool, {}))
        assert isinstance(ended, Raised)
        # Python itself does not let a StopIteration out of a coroutine.
        assert ended.error is error or isinstance(ended.error, RuntimeError)
    assert value_of(submit(loop, double_later, {"number": 2})) == 4


def test_arguments_that_the_function_does_not_take_are_its_end_too(loop: ToolLoop) -> None:
    assert isinstance(end_of(submit(loop, double, {"nope": 1})), Raised)
    assert isinstance(end_of(submit(loop, double_later, {"nope": 1})), Raised)


def test_a_tool_that_is_cancelled_ends_cancelled(loop: ToolLoop) -> None:
    began = threading.Event()
    ended = threading.Event()

    async def endless() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    future = submit(loop, endless, {})
    assert began.wait(20)
    future.cancel()
    assert ended.wait(20)
    assert future.cancelled()


def test_an_async_tool_that_blocks_does_not_hold_up_the_next(loop: ToolLoop) -> None:
    began, release = threading.Event(), threading.Event()

    async def blocks() -> str:
        began.set()
        release.wait(20)
        return "late"

    blocked = submit(loop, blocks, {})
    assert began.wait(20)
    assert value_of(submit(loop, double_later, {"number": 2})) == 4
    assert not blocked.done()
    release.set()
    assert value_of(blocked) == "late"


def test_tools_see_the_context_of_their_call(loop: ToolLoop) -> None:
    async def who() -> str:
        return user.get()

    def change() -> str:
        user.set("tool")
        return user.get()

    token = user.set("dana")
    try:
        assert value_of(submit(loop, user.get, {})) == "dana"
        assert value_of(submit(loop, who, {})) == "dana"
        assert value_of(submit(loop, change, {})) == "tool"
        assert user.get() == "dana"
    finally:
        user.reset(token)
