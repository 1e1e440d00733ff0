"""A model that says its answers piece by piece, and waits in between until a test lets it go on."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from kern.agent import Agent
from kern.models.base import Delta, Model, ModelRequest, ModelResponse
from kern.models.scripted import Call, answers_since_user
from kern.run import RequestedCall
from kern.tools import Function, Tool
from kern.values.ids import new_id
from tests.support.waiting import wait_until

# A path is a file that has to be there before what follows is said.
Part = str | Path | Call | Exception
Spoken = Sequence[Sequence[Part]]


class Speaking(Model):
    """Says the parts of an answer one after the other.

    Args:
        script: The parts of each answer; or a function of how often the model was asked in this
            process, from 0, that returns the parts of all answers.
    """

    id = "speaking"

    def __init__(self, script: Spoken | Callable[[int], Spoken]) -> None:
        self._script = script
        self.streamed = list[bool]()

    async def respond(self, request: ModelRequest, on_delta: Delta | None = None) -> ModelResponse:
        self.streamed.append(on_delta is not None)
        script = self._script
        answers = script(len(self.streamed) - 1) if callable(script) else script
        content, calls = "", list[RequestedCall]()
        for part in answers[answers_since_user(request)]:
            match part:
                case Path():
                    await asyncio.to_thread(wait_until, part.exists, timeout=100)
                case Exception():
                    raise part
                case Call():
                    number = f"call_{len(calls)}_{answers_since_user(request)}"
                    call = RequestedCall(id=number, name=part.name, arguments=part.arguments_text)
                    calls.append(call)
                case _:
                    content += part
                    if on_delta is not None:
                        on_delta(part)
        return ModelResponse(content=content, tool_calls=calls, provider="speaking")


def speaking(
    script: Spoken | Callable[[int], Spoken], tools: Sequence[Tool | Function] = ()
) -> Agent:
    """Return an agent that speaks, under an id that no other test uses."""
    return Agent(id=f"agent-{new_id()}", model=Speaking(script), tools=tools)
