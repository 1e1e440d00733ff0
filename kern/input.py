"""What a run is given to answer: whatever it is, the model reads it as text."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, JsonValue

from kern.canonical import canonical_json
from kern.errors import InvalidInput

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
