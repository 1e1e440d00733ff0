"""What a form reads of a JSON Schema."""

import pytest

from kern.client.console.form_schema import Schema, read_schema

DEFS: Schema = {
    "$ref": "#/$defs/Speed",
    "$defs": {"Speed": {"enum": ["slow", "fast"], "type": "string"}},
}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "integer"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"enum": [1, 2]}, "enum"),
        ({"const": "x"}, "enum"),
        (DEFS, "enum"),
        ({"type": "array", "items": {"enum": ["a"]}}, "enums"),
        ({"type": "array", "items": {"type": "string"}}, "json"),
        ({"type": "object"}, "json"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "json"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "json"),
        ({}, "json"),
        ({"$ref": "#/nowhere"}, "json"),
        ({"$ref": "#"}, "json"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "json"),
    ],
)
def test_each_schema_has_a_kind(schema: Schema, kind: str) -> None:
    assert read_schema(schema).kind == kind


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]},
        {"type": ["integer", "null"], "minimum": 3},
        {
            "anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}],
            "$defs": {"N": {"type": "integer", "minimum": 3}},
        },
    ],
)
def test_null_is_no_kind_of_its_own(schema: Schema) -> None:
    about = read_schema(schema)
    assert (about.kind, about.is_nullable, about.number("minimum")) == ("integer", True, 3)
