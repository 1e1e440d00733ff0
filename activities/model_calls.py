"""Asks models: on the worker's loop, or in a thread if a model's `respond` is an ordinary function.

How many are asked at once is bounded by places of their own, so that calls of tools, however many
wait, never hold up a model's turn, nor the other way round.
"""

import asyncio
import contextvars
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from kern.activities.places import Places
from kern.models.base import Delta, Model, ModelRequest, ModelResponse
from kern.process.settings import DEFAULT_MODEL_SLOTS

# A call never waits for a thread: places bound how many there are.
_THREADS = 100_000


class ModelCalls:
    """Asks models for the components of one process.

    Args:
        count: How many are asked at once; more wait.
    """

    def __init__(self, count: int = DEFAULT_MODEL_SLOTS) -> None:
        self.places = Places(count)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="kern-model")

    def close(self) -> None:
        """Accept no more calls; those that execute run to their end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def respond(
        self, model: Model, request: ModelRequest, on_delta: Delta | None = None
    ) -> ModelResponse:
        """Have a model answer; the call has a place already.

        Pieces of text that come from a thread are passed on by the loop, in their order.
        """
        respond = model.respond
        if inspect.iscoroutinefunction(respond):
            return cast("ModelResponse", await respond(request, on_delta))
        loop = asyncio.get_running_loop()

        def hand_over(piece: str) -> None:
            if on_delta is not None:
                loop.call_soon_threadsafe(on_delta, piece)

        context = contextvars.copy_context()
        delta = None if on_delta is None else hand_over
        answer = await loop.run_in_executor(
            self._threads, lambda: context.run(model.respond, request, delta)
        )
        return answer if isinstance(answer, ModelResponse) else await answer
