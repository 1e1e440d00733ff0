"""Reads of a JSON Schema what a form has to know of one value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeGuard

from pydantic import JsonValue

Schema = Mapping[str, JsonValue]
Kind = Literal["string", "integer", "number", "boolean", "enum", "enums", "json"]
_PLAIN: dict[str, Kind] = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}
_LEVELS = 20


@dataclass(frozen=True)
class ValueSchema:
    """One value: its kind, its rest schema without references, and whether it may be null."""

    kind: Kind
    schema: Schema
    options: tuple[JsonValue, ...] = ()
    is_nullable: bool = False

    def text(self, keyword: str) -> str | None:
        """Return a keyword of the schema that is a text."""
        value = self.schema.get(keyword)
        return value if isinstance(value, str) else None

    def number(self, keyword: str) -> int | float | None:
        """Return a keyword of the schema that is a number."""
        value = self.schema.get(keyword)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_schema(schema: Schema) -> ValueSchema:
    """Return what a schema says of a value; JSON is asked for where no control fits."""
    plain, is_nullable = _without_null(_resolved(schema, schema, _LEVELS), schema)
    options = _options(plain)
    if options:
        return ValueSchema("enum", plain, options, is_nullable)
    if plain.get("type") == "array" and _is_schema(items := plain.get("items")):
        options = _options(_resolved(items, schema, _LEVELS))
        if options:
            return ValueSchema("enums", plain, options, is_nullable)
    kind = plain.get("type")
    is_open = any(key in plain for key in ("oneOf", "anyOf", "allOf"))
    if isinstance(kind, str) and kind in _PLAIN and not is_open:
        return ValueSchema(_PLAIN[kind], plain, (), is_nullable)
    return ValueSchema("json", plain, (), is_nullable)


def _options(schema: Schema) -> tuple[JsonValue, ...]:
    if "const" in schema:
        return (schema["const"],)
    options = schema.get("enum")
    return tuple(options) if isinstance(options, list) else ()


def _resolved(schema: Schema, root: Schema, levels: int) -> Schema:
    """Return a schema with the reference that it consists of followed, and what it adds."""
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/") or not levels:
        return schema
    target: JsonValue = dict(root)
    for part in reference.removeprefix("#/").split("/"):
        if not _is_schema(target):
            return schema
        target = target.get(part.replace("~1", "/").replace("~0", "~"))
    if not _is_schema(target):
        return schema
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {**_resolved(target, root, levels - 1), **rest}


def _without_null(schema: Schema, root: Schema) -> tuple[Schema, bool]:
    kinds = schema.get("type")
    if isinstance(kinds, list) and "null" in kinds:
        rest = [kind for kind in kinds if kind != "null"]
        return {**schema, "type": rest[0] if len(rest) == 1 else rest}, True
    branches = schema.get("anyOf")
    if not isinstance(branches, list):
        return schema, False
    schemas = [item for item in branches if _is_schema(item) and item.get("type") != "null"]
    is_nullable = len(schemas) < len(branches)
    if len(schemas) != 1:
        return schema, is_nullable
    added = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**_resolved(schemas[0], root, _LEVELS), **added}, is_nullable


def _is_schema(value: JsonValue) -> TypeGuard[dict[str, JsonValue]]:
    return isinstance(value, dict)
