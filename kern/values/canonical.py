"""The one way in which Kern writes JSON whose bytes matter, and the digests taken of it."""

import hashlib
import json
import math
from collections.abc import Mapping

from pydantic import JsonValue

from kern.errors import InvalidInput

# pydantic, and Python's own encoder, go some hundred levels down and no further.
_LEVELS = 100
_TOO_DEEP = f"it is nested deeper than {_LEVELS} levels"


def clean_text(text: str) -> str:
    """Return `text` without what databases and JSON encoders refuse: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "�")


def clean_json(value: JsonValue) -> JsonValue:
    """Return `value` with every text in it, keys included, passed through `clean_text`."""
    match value:
        case str():
            return clean_text(value)
        case list():
            return [clean_json(item) for item in value]
        case dict():
            return {clean_text(key): clean_json(item) for key, item in value.items()}
        case _:
            return value


def canonical_json(value: JsonValue) -> str:
    """Write `value` as JSON with sorted keys and no spaces, the same text for the same value.

    Raises:
        InvalidInput: it holds what JSON does not have: NaN, an infinity, a lone surrogate, an
            object, or more levels than can be written.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        message = f"The value cannot be written as JSON: {error}."
        raise InvalidInput(message) from error
    return text


def storable(value: JsonValue) -> JsonValue:
    """Return `value` as it is stored: cleaned, and nested no deeper than can be read again.

    Raises:
        InvalidInput: it cannot be written as JSON, or is nested too deeply.
    """
    cleaned = clean_json(value)
    canonical_json(cleaned)
    if _is_deeper(cleaned, _LEVELS):
        message = f"The value cannot be kept: {_TOO_DEEP}."
        raise InvalidInput(message)
    return cleaned


def _refuse_constant(name: str) -> JsonValue:
    message = f"{name} is not a JSON number"
    raise ValueError(message)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse_constant(text)
    return number


def parse_json(text: str) -> JsonValue:
    """Read JSON strictly and cleaned of what cannot be stored.

    Raises:
        ValueError: the text is no JSON, holds NaN or an infinity, or is nested too deeply.
    """
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if _is_deeper(value, _LEVELS):
        raise ValueError(_TOO_DEEP)
    return clean_json(value)


def _is_deeper(value: JsonValue, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


def digest(value: JsonValue) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def arguments_digest(tool_name: str, arguments: Mapping[str, JsonValue]) -> str:
    """Return what freezes a call: the digest of the tool's name and its arguments."""
    return digest({"tool": tool_name, "arguments": dict(arguments)})
