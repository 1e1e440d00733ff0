"""Models are asked on the loop, or in a thread if they may block."""

import asyncio
import threading
from collections.abc import Awaitable

from kern.activities.model_calls import ModelCalls
from kern.models.base import Delta, Model, ModelRequest, ModelResponse

REQUEST = ModelRequest(messages=[])


class Plain(Model):
    """A model without `async`, which blocks until it is let go."""

    def __init__(self, free: threading.Event) -> None:
        self._free = free
        self.thread: threading.Thread | None = None

    def respond(self, request: ModelRequest, on_delta: Delta | None = None) -> ModelResponse:  # noqa: ARG002
        self.thread = threading.current_thread()
        for piece in ("one ", "two ", "three"):
            if on_delta is not None:
                on_delta(piece)
        assert self._free.wait(10)
        return ModelResponse(content="one two three", provider="test")


class Delegating(Model):
    """A model whose method returns what has to be awaited."""

    def respond(
        self,
        request: ModelRequest,  # noqa: ARG002
        on_delta: Delta | None = None,  # noqa: ARG002
    ) -> Awaitable[ModelResponse]:
        async def answer() -> ModelResponse:
            return ModelResponse(content="later", provider="test")

        return answer()


class Ordinary(Model):
    """A model as most are."""

    async def respond(self, request: ModelRequest, on_delta: Delta | None = None) -> ModelResponse:  # noqa: ARG002
        return ModelResponse(content=threading.current_thread().name, provider="test")


async def test_a_model_that_blocks_does_not_stop_the_loop() -> None:
    calls, free, pieces = ModelCalls(), threading.Event(), list[str]()
    model, is_read = Plain(free), asyncio.Event()

    def read(piece: str) -> None:
        pieces.append(piece)
        if len(pieces) == 3:
            is_read.set()

    answering = asyncio.create_task(calls.respond(model, REQUEST, read))
    await asyncio.wait_for(is_read.wait(), 10)
    assert pieces == ["one ", "two ", "three"]
    free.set()
    assert (await answering).content == "one two three"
    assert model.thread is not threading.current_thread()
    calls.close()


async def test_a_model_may_return_what_is_awaited() -> None:
    calls = ModelCalls()
    assert (await calls.respond(Delegating(), REQUEST)).content == "later"
    calls.close()


async def test_an_async_model_is_asked_on_the_loop() -> None:
    calls = ModelCalls()
    name = threading.current_thread().name
    assert (await calls.respond(Ordinary(), REQUEST)).content == name
    calls.close()
