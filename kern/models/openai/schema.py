"""Prepares JSON Schemas for servers that enforce them: strict where the schema allows it."""

import re

from pydantic import JsonValue

from kern.models.base import OutputSpec, ToolSpec

Json = dict[str, JsonValue]

_DROPPED = frozenset({"default", "examples", "$schema"})
_ANNOTATIONS = frozenset({"title", "description"})
_ALLOWED = _ANNOTATIONS | {
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "multipleOf",
    "pattern",
    "properties",
    "required",
    "type",
}
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)


class _NotStrictError(Exception):
    pass


def strict_schema(schema: Json) -> Json | None:
    """Return `schema` as strict mode wants it, every property required and no other allowed.

    Whatever fits the result fits `schema` too. None if strict mode cannot express the schema.
    """
    if schema.get("type") != "object" or "anyOf" in schema:
        return None
    try:
        return _strict(schema)
    except _NotStrictError:
        return None


def _strict(schema: JsonValue) -> Json:
    if not isinstance(schema, dict):
        raise _NotStrictError
    result: Json = {key: value for key, value in schema.items() if key not in _DROPPED}
    if "$ref" in result:
        # Strict mode takes no other keyword beside a reference.
        if result.keys() - _ANNOTATIONS != {"$ref"}:
            raise _NotStrictError
        return {"$ref": result["$ref"]}
    if result.keys() - _ALLOWED or result.get("format", "date") not in _FORMATS:
        raise _NotStrictError
    if not result.keys() & {"type", "anyOf", "enum", "const"}:
        raise _NotStrictError
    if "items" in result or result.get("type") == "array":
        result["items"] = _strict(result.get("items"))
    if "anyOf" in result:
        result["anyOf"] = _strict_items(result["anyOf"])
    if "$defs" in result:
        result["$defs"] = _strict_values(result["$defs"])
    return _closed(result) if result.get("type") == "object" else result


def _closed(schema: Json) -> Json:
    if schema.get("additionalProperties", False) is not False:
        raise _NotStrictError
    properties = _strict_values(schema.get("properties"))
    required: list[JsonValue] = list(properties)
    return {
        **schema,
        "properties": properties,
        "additionalProperties": False,
        "required": required,
    }


def _strict_values(schemas: JsonValue) -> Json:
    if not isinstance(schemas, dict):
        raise _NotStrictError
    return {name: _strict(schema) for name, schema in schemas.items()}


def _strict_items(schemas: JsonValue) -> list[JsonValue]:
    if not isinstance(schemas, list):
        raise _NotStrictError
    return [_strict(schema) for schema in schemas]


def output_format(output: OutputSpec) -> Json:
    """Return name, schema and strictness of an answer, as both protocols spell them."""
    strict = strict_schema(output.json_schema)
    name = re.sub(r"[^a-zA-Z0-9_-]+", "_", output.name)[:64] or "answer"
    return {
        "name": name,
        "schema": output.json_schema if strict is None else strict,
        "strict": strict is not None,
    }


def function(tool: ToolSpec) -> Json:
    """Return a tool as both protocols spell it.

    Strict only where the schema is so already: making optional arguments required would have the
    model invent values for them.
    """
    parameters: Json = tool.parameters or {"type": "object", "properties": {}}
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": parameters,
        "strict": _is_strict(parameters),
    }


def _is_strict(schema: Json) -> bool:
    strict = strict_schema(schema)
    if strict is None:
        return False
    required, strict_required = schema.get("required", []), strict["required"]
    if not isinstance(required, list) or not isinstance(strict_required, list):
        return False
    same_order = {**schema, "required": strict_required}
    return sorted(map(str, required)) == sorted(map(str, strict_required)) and strict == same_order
