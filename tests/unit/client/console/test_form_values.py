"""Posted forms become exactly the values that were typed, or say what is wrong with each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from kern.client.console.form_fields import form_field, input_fields
from kern.client.console.form_values import (
    read_choices,
    read_input,
    read_result,
    unchanged_text,
)
from kern.requirements import UserInputField


def field(
    schema: dict[str, JsonValue], *, required: bool = True, default: JsonValue = None
) -> UserInputField:
    return UserInputField(name="x", required=required, json_schema=schema, default=default)


def read(item: UserInputField, *texts: str) -> JsonValue | str:
    """Return the value, or the sentence that says what is wrong."""
    result = read_input([item], {"values.x": list(texts)})
    if result.problems:
        assert result.values == {}
        return result.problems[0].message
    return result.values.get("x", "left out")


NUMBER: dict[str, JsonValue] = {"type": "number"}
INTEGER: dict[str, JsonValue] = {"type": "integer", "minimum": 7, "maximum": 90}


@pytest.mark.parametrize(
    ("text", "value"),
    [("12.5", 12.5), ("12", 12), ("-0.25", -0.25), ("1e3", 1000.0), (" 12.5 ", 12.5)],
)
def test_numbers_are_read_exactly(text: str, value: float) -> None:
    number = read(field(NUMBER), text)
    assert number == value
    assert type(number) is type(value)


@pytest.mark.parametrize(
    "text",
    ["1.000,5", "1,000.5", "1,5", "1 000", "0x10", "1_000", "NaN", "Infinity", "\u0661", "1e999",
     "0.1234567890123456789", "9" * 401, "--1", "1.", ".5"],
)  # fmt: skip
def test_a_number_that_could_be_another_is_refused(text: str) -> None:
    message = read(field(NUMBER), text)
    assert isinstance(message, str)
    assert message.startswith(("Enter a number", "This number"))


@pytest.mark.parametrize("text", ["1.0", "1e3", "1_000", "30 days", "\u0663"])
def test_whole_numbers_have_digits_only(text: str) -> None:
    assert read(field(INTEGER), text) == "Enter a whole number in digits only, such as 1000."


def test_bounds_are_checked_in_words() -> None:
    assert read(field(INTEGER), "6") == "Has to be 7 or more."
    assert read(field(INTEGER), "91") == "Has to be 90 or less."
    assert read(field(INTEGER), "90") == 90


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("false", False), ("yes", "Choose Yes or No.")]
)
def test_booleans(text: str, value: JsonValue) -> None:
    assert read(field({"type": "boolean"}), text) == value


def test_a_boolean_that_nobody_chose_is_missing() -> None:
    assert read(field({"type": "boolean"})) == "This value is needed."
    assert read(field({"type": "boolean"}, required=False)) == "left out"


def test_options_keep_their_types() -> None:
    schema: dict[str, JsonValue] = {"enum": ["1", 1, True, None]}
    assert read(field(schema), '"1"') == "1"
    assert read(field(schema), "1") == 1
    assert read(field(schema), "true") is True
    assert read(field(schema), "2") == "Choose one of the options."
    many: dict[str, JsonValue] = {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1}
    assert read(field(many), '"a"', '"b"') == ["a", "b"]
    assert read(field(many)) == "Choose 1 or more."
    assert read(field(many), '"c"') == "Choose one of the options."


def test_objects_are_json() -> None:
    schema: dict[str, JsonValue] = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }
    assert read(field(schema), '{"city": "Lyon"}') == {"city": "Lyon"}
    assert read(field(schema), "{city}") == "This is not valid JSON."
    assert read(field(schema), '{"city": 1}') == "Has to be text at city."
    assert read(field(schema), "{}") == "Lacks a value that is needed."


def test_a_pattern_is_never_shown_and_a_secret_never_repeated() -> None:
    schema: dict[str, JsonValue] = {
        "type": "string",
        "pattern": "^FR[0-9]+$",
        "description": "FR and digits.",
        "writeOnly": True,
    }
    result = read_input([field(schema)], {"values.x": ["s3cret"]})
    assert result.problems[0].message == "Does not have the form that is expected: FR and digits."
    assert "s3cret" not in repr(result)


@pytest.mark.parametrize(
    ("item", "value"),
    [
        (field({"type": "string"}), "This value is needed."),
        (field({"type": "string"}, required=False), "left out"),
        (field({"type": "string"}, required=False, default="x"), ""),
        (field({"type": ["string", "null"]}, required=False, default="x"), None),
        (field({"type": "integer"}, required=False), "left out"),
        (field({"type": "integer"}, required=False, default=3), "This value is needed."),
        (field({"type": ["integer", "null"]}, required=False, default=3), None),
    ],
)
def test_an_empty_field(item: UserInputField, value: JsonValue) -> None:
    assert read(item, "") == value


def test_a_moment_of_the_native_control_is_utc() -> None:
    schema: dict[str, JsonValue] = {"type": "string", "format": "date-time"}
    assert read(field(schema), "2026-12-14T10:00") == "2026-12-14T10:00:00Z"
    kept = field(schema, default="2026-12-14T10:00:00+00:00")
    assert read(kept, "2026-12-14T10:00") == "2026-12-14T10:00:00+00:00"
    assert read(field(schema), "tomorrow") == "Is not a valid date-time."


def test_all_values_are_checked_at_once_and_all_that_was_typed_is_kept() -> None:
    fields = [
        UserInputField(name="a", type="integer"),
        UserInputField(name="b", type="number"),
        UserInputField(name="c"),
    ]
    posted = {"values.a": ["x"], "values.b": ["1.000,5"], "values.c": ["fine"]}
    result = read_input(fields, posted)
    assert [problem.argument for problem in result.problems] == ["a", "b"]
    assert [control.value for control in result.fields] == ["x", "1.000,5", "fine"]
    assert result.values == {}


values = st.one_of(
    st.text(min_size=1).map(lambda text: ({"type": "string"}, text)),
    st.integers(-(10**30), 10**30).map(lambda number: ({"type": "integer"}, number)),
    st.floats(allow_nan=False, allow_infinity=False).map(
        lambda number: ({"type": "number"}, number)
    ),
    st.booleans().map(lambda value: ({"type": "boolean"}, value)),
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0")), st.integers()
    ).map(lambda value: ({"type": "object"}, value)),
)


@given(values)
def test_a_form_that_nobody_touched_changes_nothing(
    case: tuple[dict[str, JsonValue], JsonValue],
) -> None:
    schema, value = case
    item = field(schema, default=value)
    (control,) = input_fields([item])
    posted = {
        "values.x": list(control.selected) if control.control == "yes_no" else [control.value]
    }
    assert unchanged_text(control, posted, value)
    read_back = read(item, *posted["values.x"])
    if not isinstance(value, str) or value.strip():
        assert repr(read_back) == repr(value)


def test_touching_is_seen() -> None:
    control = form_field("x", "v1", "x", {"type": "string"}, required=True, value="a\nb")
    assert unchanged_text(control, {"x": ["a\r\nb"]}, "a\nb")
    assert not unchanged_text(control, {"x": ["a b"]}, "a\nb")


def test_choices_post_their_numbers() -> None:
    choices = ["The same\u200b", "Another"]
    assert read_choices(choices, {"choices": ["2", "1"]}) == ["Another", "The same\u200b"]
    assert read_choices(choices, {"choices": ["3", "x"]}) == []


def test_a_result_is_json_or_text() -> None:
    assert read_result('{"id": 1}') == {"id": 1}
    assert read_result("paid\r\nlate") == "paid\nlate"
