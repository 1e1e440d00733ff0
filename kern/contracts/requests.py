"""What a caller asks for when a run is to begin."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, field_validator

from kern.errors import InvalidInput
from kern.media import File, Image
from kern.values.canonical import canonical_json, clean_json, clean_text
from kern.values.ids import require_id
from kern.values.states import OnBusy


class RunRequest(BaseModel):
    """What a caller asks for: the input as text with its files, and the run's place and context.

    What databases refuse in texts is replaced.
    """

    model_config = ConfigDict(frozen=True)

    component_id: str
    input: str
    session_id: str | None = None
    user_id: str | None = None
    session_state: dict[str, JsonValue] = Field(default_factory=dict)
    run_id: str | None = None
    on_busy: OnBusy = OnBusy.queue
    dependencies: dict[str, JsonValue] = Field(default_factory=dict)
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    media: tuple[Image | File, ...] = ()
    stream: bool = False

    @field_validator("run_id", "session_id", "user_id", mode="before")
    @classmethod
    def _check_id(cls, value: object, info: ValidationInfo) -> str | None:
        return value if value is None else require_id(str(info.field_name), value)

    @field_validator("input")
    @classmethod
    def _clean_input(cls, value: str) -> str:
        return clean_text(value)

    @field_validator("dependencies", "metadata")
    @classmethod
    def _clean(cls, value: JsonValue) -> JsonValue:
        return clean_json(value)


Input = str | BaseModel | Mapping[str, JsonValue] | Sequence[JsonValue]


def input_text(value: object) -> str:
    """Return an input as the text that the model reads.

    Raises:
        InvalidInput: it is neither a text nor anything that becomes JSON.
    """
    match value:
        case str():
            return value
        case BaseModel():
            return value.model_dump_json()
        case Mapping():
            return canonical_json(dict(value))
        case Sequence() if not isinstance(value, bytes | bytearray):
            return canonical_json(list(value))
        case _:
            message = f"{value!r} is no input: give a text, a pydantic model, a dict or a list."
            raise InvalidInput(message)
