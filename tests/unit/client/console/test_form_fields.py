"""Each schema has the control that fits it, filled with exactly its value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kern.client.console.form_fields import (
    Control,
    FormField,
    as_posted,
    form_field,
    input_fields,
    option_value,
)
from kern.client.console.form_schema import Schema
from kern.requirements import UserInputField


def control(schema: Schema, value: object = None, *, required: bool = True) -> FormField:
    return form_field("values.x", "v1", "x", schema, required=required, value=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "maxLength": 120}, "text"),
        ({"type": "string", "maxLength": 121}, "textarea"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "date-time"}, "datetime-local"),
        ({"type": "string", "format": "email"}, "email"),
        ({"type": "string", "format": "uri"}, "url"),
        ({"type": "string", "writeOnly": True}, "password"),
        ({"type": "integer"}, "number"),
        ({"type": "number"}, "decimal"),
        ({"type": "boolean"}, "yes_no"),
        ({"enum": [1, 2, 3, 4, 5]}, "radios"),
        ({"enum": [1, 2, 3, 4, 5, 6]}, "select"),
        ({"type": "array", "items": {"enum": ["a"]}}, "checkboxes"),
        ({"type": "object"}, "json"),
        ({"type": "array", "items": {"type": "object"}}, "json"),
    ],
)
def test_a_schema_has_its_control(schema: Schema, expected: Control) -> None:
    assert control(schema).control == expected


def test_bounds_are_said_and_patterns_are_not() -> None:
    days = control({"type": "integer", "minimum": 7, "maximum": 90})
    assert (days.minimum, days.maximum, days.note) == ("7", "90", "Whole number, 7 to 90")
    vat = control({"type": "string", "pattern": "^FR[0-9]+$", "description": "FR and digits"})
    assert vat.hint == "FR and digits"
    assert "[0-9]" not in repr(vat)


def test_nothing_is_chosen_without_a_default() -> None:
    assert control({"type": "boolean"}).selected == ()
    assert control({"type": "boolean"}, value=False).selected == ("false",)
    assert control({"enum": ["a", "b"]}).selected == ()


def test_a_moment_that_the_native_control_would_change_is_text() -> None:
    schema: Schema = {"type": "string", "format": "date-time"}
    assert control(schema, "2026-12-14T10:00:00Z").value == "2026-12-14T10:00"
    assert control(schema, "2026-12-14T10:00:00+02:00").control == "text"
    assert control(schema, "2026-12-14T10:00:31Z").control == "text"


def test_a_secret_is_never_shown_again() -> None:
    field = control({"type": "string", "writeOnly": True}, "s3cret")
    assert field.value == ""
    assert as_posted(field, {"values.x": ["s3cret"]}).value == ""


def test_what_was_typed_is_kept() -> None:
    assert (
        as_posted(control({"type": "number"}), {"values.x": ["1.000,5"]}, "no").value == "1.000,5"
    )
    selected = as_posted(control({"enum": ["a", "b"]}, "a"), {"values.x": ['"b"']})
    assert selected.selected == ('"b"',)


@given(st.text())
def test_options_post_printable_ascii(text: str) -> None:
    assert option_value(text).isascii()
    assert option_value(text).isprintable()


def test_a_requirement_has_a_control_for_each_value() -> None:
    fields = input_fields(
        [
            UserInputField(name="a", default="x", source="quote.pdf"),
            UserInputField(name="b", type="integer"),
        ]
    )
    assert [(item.name, item.control, item.value, item.source) for item in fields] == [
        ("values.a", "text", "x", "quote.pdf"),
        ("values.b", "number", "", ""),
    ]
