"""The interface of models: requests, answers, errors."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from kern.run import Message, RequestedCall
from kern.values.canonical import clean_json, clean_text


class ToolSpec(BaseModel):
    """A tool as the model sees it: name, purpose, and the JSON Schema of its arguments."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str = ""
    parameters: dict[str, JsonValue] = Field(default_factory=dict)


class OutputSpec(BaseModel):
    """The shape that the answer must have: a name and a JSON Schema."""

    model_config = ConfigDict(frozen=True)

    name: str
    json_schema: dict[str, JsonValue]


class ModelRequest(BaseModel):
    """One call of a model. It has the whole conversation, since servers need not keep any."""

    model_config = ConfigDict(frozen=True)

    instructions: str | None = None
    messages: Sequence[Message]
    tools: Sequence[ToolSpec] = ()
    output: OutputSpec | None = None
    may_call_tools: bool = True


class Usage(BaseModel):
    """Tokens that one call used, as the provider reports them; zeros where it reports none."""

    model_config = ConfigDict(frozen=True)

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class ModelResponse(BaseModel):
    """One answer: text, calls, and the provider's items, which have to be sent back as they are.

    Lone surrogates and NUL, which databases refuse, are removed from it.
    """

    model_config = ConfigDict(frozen=True)

    content: str = ""
    tool_calls: list[RequestedCall] = Field(default_factory=list)
    provider: str
    items: list[dict[str, JsonValue]] = Field(default_factory=list)
    usage: Usage = Field(default_factory=Usage)

    @field_validator("content", "provider")
    @classmethod
    def _clean_text(cls, value: str) -> str:
        return clean_text(value)

    @field_validator("items")
    @classmethod
    def _clean_items(cls, value: JsonValue) -> JsonValue:
        return clean_json(value)

    @field_validator("tool_calls")
    @classmethod
    def _clean_calls(cls, calls: list[RequestedCall]) -> list[RequestedCall]:
        return [
            RequestedCall(
                id=clean_text(call.id),
                name=clean_text(call.name),
                arguments=clean_text(call.arguments),
            )
            for call in calls
        ]


class ProviderError(Exception):
    """A call to a provider failed.

    Attributes:
        code: `rate_limited`, `server_error`, `timeout`, `connection`, `refused` or
            `insufficient_quota`.
        retryable: Whether the same call may succeed later.
        retry_after: The seconds to wait, if the provider named any.
    """

    def __init__(
        self, message: str, *, code: str, retryable: bool, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.retry_after = retry_after


Delta = Callable[[str], None]


class Model(ABC):
    """A model that answers one request at a time.

    It keeps no conversation, and components may share it.

    Attributes:
        id: The model's name; default: the name of its class.
    """

    id: str

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        if not hasattr(cls, "id"):
            cls.id = cls.__name__

    @property
    def declared(self) -> tuple[object, ...]:
        """What distinguishes it from another model of its class; default: its public attributes."""
        return tuple(value for name, value in sorted(vars(self).items()) if name[:1] != "_")

    @abstractmethod
    def respond(
        self, request: ModelRequest, on_delta: Delta | None = None
    ) -> ModelResponse | Awaitable[ModelResponse]:
        """Answer `request`; with `on_delta`, stream the answer and pass on each piece of its text.

        An `async` method must not block: it shares the loop with everything else that the process
        executes. One without `async` is called in a thread, and may.

        Raises:
            ProviderError: the provider failed or refused.
        """
