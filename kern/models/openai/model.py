"""What the two OpenAI protocols have in common: settings, one call, streamed or not."""

from abc import abstractmethod
from typing import Protocol

from pydantic import JsonValue

from kern.models.base import Delta, Model, ModelRequest, ModelResponse
from kern.models.openai.endpoint import Endpoint
from kern.models.openai.errors import Target
from kern.models.openai.payload import without_nones

Json = dict[str, JsonValue]


class Assembler(Protocol):
    """Puts the events of a streamed answer together."""

    def take(self, event: Json) -> None:
        """Add one event."""
        ...

    def result(self) -> Json | None:
        """Return the answer as it would have come unstreamed; None if the stream was cut."""
        ...


class OpenAIModel(Model):
    """A model behind one of OpenAI's protocols. Making one opens nothing and needs no key.

    Args:
        id: The model's name at the provider.
        base_url: Where the API is; without it OPENAI_BASE_URL, else OpenAI itself.
        api_key: The key; without it OPENAI_API_KEY. A server other than OpenAI may need none.
        temperature: Sent if given.
        max_output_tokens: The most tokens that an answer may have, reasoning included.
        reasoning: How much to reason, such as `{"effort": "low"}`.
        timeout: Seconds that one call may take in all, up to the last piece of its answer.
        extra: Fields to add to each request; one with None removes the field of that name.
    """

    _path: str

    def __init__(
        self,
        id: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        temperature: float | None = None,
        max_output_tokens: int | None = None,
        reasoning: dict[str, JsonValue] | None = None,
        timeout: float = 600,
        extra: dict[str, JsonValue] | None = None,
    ) -> None:
        self.id = id
        self.temperature = temperature
        self.max_output_tokens = max_output_tokens
        self.reasoning = reasoning
        self.timeout = timeout
        self.extra = extra or {}
        self._endpoint = Endpoint(id, base_url, api_key, timeout)

    @property
    def declared(self) -> tuple[object, ...]:
        """Its settings, and the server that it was given; keys are none of them."""
        return (*super().declared, self._endpoint.base_url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, host={self._endpoint.target.host!r})"

    async def respond(self, request: ModelRequest, on_delta: Delta | None = None) -> ModelResponse:
        """Answer `request`; see `Model.respond`. It never retries: whoever calls decides that.

        Raises:
            ProviderError: the provider failed or refused, or the answer was cut off.
        """
        body = self._body(request)
        if on_delta is None:
            answer = await self._endpoint.post(self._path, without_nones(body | self.extra))
        else:
            body |= self._stream_fields()
            assembler = self._assembler(on_delta)
            await self._endpoint.stream(
                self._path, without_nones(body | self.extra), assembler.take
            )
            whole = assembler.result()
            if whole is None:
                problem = "the stream ended before the answer did"
                raise self._endpoint.target.error(problem, code="connection", retryable=True)
            answer = whole
        # Ids for calls that come without one must not repeat in a conversation.
        return self._read(answer, self._endpoint.target, len(request.messages))

    def _stream_fields(self) -> Json:
        return {"stream": True}

    @abstractmethod
    def _body(self, request: ModelRequest) -> Json: ...

    @abstractmethod
    def _assembler(self, on_delta: Delta) -> Assembler: ...

    @abstractmethod
    def _read(self, answer: Json, target: Target, position: int) -> ModelResponse: ...
