"""What a model is told of a tool's end, as text."""

import json

from pydantic import JsonValue
from pydantic_core import to_json

from kern.canonical import clean_text, parse_json

_ERROR_TEXT = 4000


def result_text(value: object) -> str:
    """Return a result as text: strings as they are, everything else as JSON.

    It never fails: the effect has happened, and what cannot be written as JSON is described
    instead.
    """
    if isinstance(value, str):
        return clean_text(value)
    try:
        return clean_text(to_json(value, fallback=_described).decode())
    except Exception:  # noqa: BLE001  a value's own code may raise anything
        return clean_text(json.dumps(_described(value)))


def result_json(value: object) -> JsonValue:
    """Return a result as JSON; like `result_text`, it never fails."""
    if isinstance(value, str):
        return clean_text(value)
    try:
        return parse_json(to_json(value, fallback=_described).decode())
    except Exception:  # noqa: BLE001  a value's own code may raise anything
        return clean_text(_described(value))


def error_text(error: BaseException) -> str:
    """Return what a tool raised as a sentence for the model."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  an error's own code may raise anything
        text = ""
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return clean_text(f"The tool failed: {said}"[:_ERROR_TEXT])


def _described(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  as above
        return f"<a {type(value).__name__} that cannot be described>"
