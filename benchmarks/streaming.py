"""How long a piece of text takes from the model to whoever reads it."""

import asyncio
import time

from kern.agent import Agent
from kern.events import RunContent
from kern.models.base import Delta, Model, ModelRequest, ModelResponse

_PIECES = 100
# As fast as a fast model writes.
_BETWEEN = 0.005


class Timed(Model):
    """Says what time it is, again and again."""

    id = "timed"

    async def respond(self, request: ModelRequest, on_delta: Delta | None = None) -> ModelResponse:  # noqa: ARG002  it says the same to everybody
        """Say the time."""
        said = ""
        for _ in range(_PIECES if on_delta is not None else 0):
            piece = f"{time.perf_counter()} "
            said += piece
            if on_delta is not None:
                on_delta(piece)
            await asyncio.sleep(_BETWEEN)
        return ModelResponse(content=said, provider="timed")


TELLING = Agent(id="bench-telling", model=Timed())


async def latencies() -> list[float]:
    """Stream one run; return the seconds that each piece took."""
    took = list[float]()
    async for event in TELLING.arun("What time is it?", stream=True):
        now = time.perf_counter()
        if isinstance(event, RunContent):
            took += [now - float(said) for said in event.content.split()]
    return took
