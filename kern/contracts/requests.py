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
    def _an_id(cls, given: object, info: ValidationInfo) -> str | None:
        return given if given is None else require_id(str(info.field_name), given)

    @field_validator("input")
    @classmethod
    def _clean_input(cls, given: str) -> str:
        return clean_text(given)

    @field_validator("dependencies", "metadata")
    @classmethod
    def _clean(cls, given: JsonValue) -> JsonValue:
        return clean_json(given)


Input = str | BaseModel | Mapping[str, JsonValue] | Sequence[JsonValue]


def input_text(given: object) -> str:
    """Return an input as the text that the model reads.

    Raises:
        InvalidInput: it is neither a text nor anything that becomes JSON.
    """
    match given:
        case str():
            return given
        case BaseModel():
            return given.model_dump_json()
        case Mapping():
            return canonical_json(dict(given))
        case Sequence() if not isinstance(given, bytes | bytearray):
            return canonical_json(list(given))
        case _:
            message = f"{given!r} is no input: give a text, a pydantic model, a dict or a list."
            raise InvalidInput(message)
