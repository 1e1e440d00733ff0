"""The latency of streamed text, from the model to its reader."""

import asyncio
import time

from kern.agent import Agent
from kern.events import RunContent
from kern.models.base import Delta, Model, ModelRequest, ModelResponse

_PIECES = 100
# As fast as a fast model writes.
_BETWEEN = 0.005


class Timed(Model):
    """Answers with the current time, piece by piece."""

    id = "timed"

    async def respond(self, request: ModelRequest, on_delta: Delta | None = None) -> ModelResponse:  # noqa: ARG002  it answers every request alike
        """Write the time in each piece."""
        text = ""
        for _ in range(_PIECES if on_delta is not None else 0):
            piece = f"{time.perf_counter()} "
            text += piece
            if on_delta is not None:
                on_delta(piece)
            await asyncio.sleep(_BETWEEN)
        return ModelResponse(content=text, provider="timed")


TIMED = Agent(id="bench-telling", model=Timed())


async def latencies() -> list[float]:
    """Stream one run; return the latency of each piece, in seconds."""
    seconds = list[float]()
    async for event in TIMED.arun("What time is it?", stream=True):
        now = time.perf_counter()
        if isinstance(event, RunContent):
            seconds += [now - float(sent_at) for sent_at in event.content.split()]
    return seconds
