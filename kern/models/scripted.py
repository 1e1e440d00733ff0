"""A model with scripted answers, for tests, rehearsals and demonstrations."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, JsonValue

from kern.errors import InvalidDefinition
from kern.models.base import Delta, Model, ModelRequest, ModelResponse, ProviderError, Usage
from kern.run import RequestedCall
from kern.values.canonical import clean_text

__all__ = ["Call", "Part", "Script", "ScriptedModel", "Step", "answers_since_user"]

PROVIDER = "scripted"


@dataclass(frozen=True, init=False)
class Call:
    """A tool call that the model makes.

    Args:
        name: The tool.
        arguments_text: The arguments' raw text instead, for text that is no valid JSON.
        arguments: The arguments, by name.
    """

    name: str
    arguments_text: str = field()

    def __init__(
        self, name: str, /, *, arguments_text: str | None = None, **arguments: JsonValue
    ) -> None:
        text = arguments_text or json.dumps(arguments, ensure_ascii=False)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "arguments_text", text)


Part = str | BaseModel | Call
Step = Part | Sequence[Part] | Exception
Script = Sequence[Step] | Callable[[ModelRequest], Step]


class ScriptedModel(Model):
    """A model whose answers are scripted.

    Which answer is next follows from the conversation alone, so that a script survives crashes and
    works in any number of processes.

    Args:
        script: One step for each answer since the last user message, or a function of the request
            that returns one. A step is text, a pydantic model (its JSON), a `Call`, a list of
            these, or an exception to raise. Past the end the last step is repeated if it is text,
            else it is an error. Calls are made even where the request forbids them, as real servers
            may.
        id: The model's name.
    """

    def __init__(self, script: Script, id: str = "scripted") -> None:
        if not callable(script) and (isinstance(script, str) or not script):
            message = (
                f"A script is a list of steps or a function, not {script!r}. Pass a step or more."
            )
            raise InvalidDefinition(message)
        self.id = id
        self._script = script

    @property
    def declared(self) -> tuple[object, ...]:
        """Its name and its script."""
        return (self.id, self._script)

    def __repr__(self) -> str:
        return f"ScriptedModel(id={self.id!r})"

    async def respond(self, request: ModelRequest, on_delta: Delta | None = None) -> ModelResponse:
        """Return the script's answer for this point of the conversation.

        Raises:
            ProviderError: the script has no answer for it.
        """
        turn = answers_since_user(request)
        step = self._script(request) if callable(self._script) else self._step(self._script, turn)
        if isinstance(step, Exception):
            raise step
        parts = [step] if isinstance(step, str | BaseModel | Call) else list(step)
        content = clean_text("".join(_texts(parts)))
        if on_delta is not None:
            for piece in re.findall(r"\S+\s*|\s+", content):
                on_delta(piece)
        calls = [
            RequestedCall(id=f"call_{turn}_{index}", name=call.name, arguments=call.arguments_text)
            for index, call in enumerate(part for part in parts if isinstance(part, Call))
        ]
        output = [content, *(call.arguments for call in calls)]
        return ModelResponse(
            content=content,
            tool_calls=calls,
            provider=PROVIDER,
            usage=Usage(input_tokens=_words(_texts_of(request)), output_tokens=_words(output)),
        )

    def _step(self, script: Sequence[Step], turn: int) -> Step:
        if turn < len(script):
            return script[turn]
        if isinstance(script[-1], str | BaseModel):
            return script[-1]
        message = (
            f"Model {self.id!r}: the script has {len(script)} steps and was asked for number "
            f"{turn + 1}. Add a step, or end the script with text, which is then repeated."
        )
        raise ProviderError(message, code="refused", retryable=False)


def answers_since_user(request: ModelRequest) -> int:
    """Count the assistant messages after the last user message: the index of the next step."""
    roles = [message.role for message in request.messages]
    last = len(roles) - roles[::-1].index("user") if "user" in roles else 0
    return roles[last:].count("assistant")


def _texts(parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, BaseModel):
            yield part.model_dump_json()


def _texts_of(request: ModelRequest) -> Iterator[str]:
    yield request.instructions or ""
    for message in request.messages:
        yield message.content


def _words(texts: Iterator[str] | Sequence[str]) -> int:
    return sum(len(text.split()) for text in texts)
