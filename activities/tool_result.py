"""What a model is told of a tool's end, as text."""

import json

from pydantic_core import PydanticSerializationError, to_json

from kern.canonical import clean_text

_ERROR_TEXT = 4000


def result_text(value: object) -> str:
    """Return a result as text: strings as they are, everything else as JSON.

    It never fails: the effect has happened, and what cannot be written as JSON is described
    instead.
    """
    if isinstance(value, str):
        return clean_text(value)
    try:
        return clean_text(to_json(value, fallback=repr).decode())
    except (PydanticSerializationError, ValueError, RecursionError):
        return clean_text(json.dumps(repr(value)))


def error_text(error: BaseException) -> str:
    """Return what a tool raised as a sentence for the model."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return clean_text(f"The tool failed: {said}"[:_ERROR_TEXT])
