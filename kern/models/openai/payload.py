"""Reads what servers send, which may lack fields, hold nulls, or differ from published types."""

import json
from collections.abc import Mapping

from pydantic import JsonValue

from kern.models.base import Usage
from kern.values.canonical import clean_json, clean_text

Json = dict[str, JsonValue]


def text(value: JsonValue) -> str:
    """Return `value` if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def mapping(value: JsonValue) -> Json:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: JsonValue) -> list[Json]:
    """Return the objects in `value` if it is a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def clean(value: Json) -> Json:
    """Return `value` with every text in it storable."""
    return mapping(clean_json(value))


def usage(value: JsonValue, names: tuple[str, str]) -> Usage:
    """Read the token counts; `names` are the protocol's words for input and output."""
    counts = mapping(value)
    input_name, output_name = names
    return Usage(
        input_tokens=_count(counts.get(f"{input_name}_tokens")),
        output_tokens=_count(counts.get(f"{output_name}_tokens")),
        cached_tokens=_count(
            mapping(counts.get(f"{input_name}_tokens_details")).get("cached_tokens")
        ),
        reasoning_tokens=_count(
            mapping(counts.get(f"{output_name}_tokens_details")).get("reasoning_tokens")
        ),
    )


def _count(value: JsonValue) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return max(value, 0) if isinstance(value, int) else 0


def arguments_text(value: JsonValue) -> str:
    """Return a call's arguments as raw text; some servers send an object, or nothing for none."""
    if isinstance(value, str):
        return clean_text(value) if value.strip() else "{}"
    return "{}" if value is None else json.dumps(clean_json(value), ensure_ascii=False)


def sendable_arguments(raw: str) -> str:
    """Return arguments that every server takes back.

    Several parse the arguments in the conversation and refuse the whole of it over a broken one;
    the model must still see what it wrote.
    """
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return raw
    return json.dumps({"invalid_json": raw}, ensure_ascii=False)


def without_nones(value: Mapping[str, JsonValue]) -> Json:
    """Return `value` without the fields that are null."""
    return {key: item for key, item in value.items() if item is not None}
