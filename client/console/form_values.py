"""Reads the values of a posted form, or says of each what is wrong with it, all at once."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import JsonValue

from kern.client.console.editable_text import from_field
from kern.client.console.form_fields import (
    FormField,
    Posted,
    as_posted,
    input_fields,
    json_text,
    schema_of,
)
from kern.client.console.form_schema import Schema, ValueSchema, read_schema
from kern.requirements import UserInputField
from kern.values.canonical import parse_json
from kern.values.json_formats import checker

if TYPE_CHECKING:
    from jsonschema import ValidationError

_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MINUTE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}")
# Longer ones are refused by Python itself.
_MOST_DIGITS = 400
_VALUE_MISSING = "This value is needed."


class _Missing:
    """Stands for a value that was left out."""


_MISSING = _Missing()


@dataclass(frozen=True)
class FieldProblem:
    """What is wrong with one value, and the id of its control."""

    field_id: str
    argument: str
    message: str


@dataclass(frozen=True)
class FormResult:
    """What a form holds.

    Attributes:
        values: The values, where there is no problem.
        problems: What is wrong with each that does not fit.
        fields: The controls, with everything that was typed.
    """

    values: dict[str, JsonValue]
    problems: list[FieldProblem] = field(default_factory=list["FieldProblem"])
    fields: list[FormField] = field(default_factory=list["FormField"])


class _RefusedError(ValueError):
    """What was typed is no value of its kind; the text says why."""


def read_input(fields: Iterable[UserInputField], posted: Posted) -> FormResult:
    """Read the values that a requirement asks for.

    Args:
        fields: What is asked for.
        posted: The posted form; the names of values begin with `values.`.
    """
    items = list(fields)
    values: dict[str, JsonValue] = {}
    problems: list[FieldProblem] = []
    controls: list[FormField] = []
    for item, control in zip(items, input_fields(items), strict=True):
        value, problem = read_value(control, schema_of(item), posted, item.default)
        if not isinstance(value, _Missing):
            values[item.name] = value
        if problem:
            problems.append(FieldProblem(control.id, item.name, problem))
        controls.append(as_posted(control, posted, problem))
    return FormResult({} if problems else values, problems, controls)


def read_value(
    control: FormField, schema: Schema, posted: Posted, original: JsonValue
) -> tuple[JsonValue | _Missing, str]:
    """Return a value and an empty text, or why there is none.

    Args:
        control: Its control.
        schema: Its schema.
        posted: The posted form.
        original: What the control was filled with.
    """
    about = read_schema(schema)
    texts = list(posted.get(control.name, ()))
    try:
        value = _parsed(control, about, texts, original)
    except _RefusedError as error:
        return _MISSING, str(error)
    if isinstance(value, _Missing):
        return value, _VALUE_MISSING if control.required else ""
    return value, _misfit(value, schema)


def read_result(text: str) -> JsonValue:
    """Read the result of a call: JSON if it is JSON, else the text that it is."""
    try:
        return parse_json(text)
    except ValueError:
        return text.replace("\r\n", "\n")


def read_choices(choices: Iterable[str], posted: Posted) -> list[str]:
    """Return the choices that were made: options post their numbers, from 1 on.

    What is no number of a choice is left out.
    """
    numbered = {str(number): choice for number, choice in enumerate(choices, 1)}
    return [numbered[text] for text in posted.get("choices", ()) if text in numbered]


def _parsed(
    control: FormField, about: ValueSchema, texts: list[str], original: JsonValue
) -> JsonValue | _Missing:
    if about.kind == "enums":
        selected = [_option(text, about) for text in texts]
        return selected if selected or original or control.required else _MISSING
    text = texts[0] if texts else ""
    if not text.strip() and about.kind != "string":
        return _empty(about, original)
    parse: dict[str, Callable[[], JsonValue]] = {
        "enum": lambda: _option(text, about),
        "boolean": lambda: _yes_or_no(text),
        "integer": lambda: _integer(text.strip()),
        "number": lambda: _number(text.strip()),
        "json": lambda: _json(text),
    }
    if about.kind in parse:
        return parse[about.kind]()
    return _text(control, about, text, original)


def _empty(about: ValueSchema, original: JsonValue) -> JsonValue | _Missing:
    if original is None:
        return _MISSING
    if about.is_nullable:
        return None
    raise _RefusedError(_VALUE_MISSING)


def _text(
    control: FormField, about: ValueSchema, text: str, original: JsonValue
) -> JsonValue | _Missing:
    before = original if isinstance(original, str) else ""
    if not text:
        if about.is_nullable and original is not None:
            return None
        return "" if before and not control.required else _MISSING
    if control.control == "datetime-local" and _MINUTE.fullmatch(text):
        return before if before.startswith(text) else f"{text}:00Z"
    return from_field(text, before)


def _option(text: str, about: ValueSchema) -> JsonValue:
    try:
        value = parse_json(text)
    except ValueError:
        value = text
    for option in about.options:
        if option == value and type(option) is type(value):
            return option
    raise _RefusedError("Choose one of the options.")


def _yes_or_no(text: str) -> bool:
    if text not in {"true", "false"}:
        raise _RefusedError("Choose Yes or No.")
    return text == "true"


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS or not _INTEGER.fullmatch(text):
        raise _RefusedError("Enter a whole number in digits only, such as 1000.")
    return int(text)


def _number(text: str) -> int | float:
    if len(text) > _MOST_DIGITS or not _NUMBER.fullmatch(text):
        raise _RefusedError("Enter a number with a point and without grouping, such as 1000.5.")
    if _INTEGER.fullmatch(text):
        return int(text)
    value = float(text)
    if value in {float("inf"), float("-inf")} or Decimal(text) != Decimal(repr(value)):
        raise _RefusedError("This number has more digits than can be kept exactly.")
    return value


def _json(text: str) -> JsonValue:
    try:
        return parse_json(text)
    except ValueError:
        raise _RefusedError("This is not valid JSON.") from None


def _misfit(value: JsonValue, schema: Schema) -> str:
    """Say why a value does not fit its schema. The value itself may be secret."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  slow to import, seldom needed

    validator = Draft202012Validator(dict(schema), format_checker=checker())
    errors = sorted(validator.iter_errors(value), key=lambda item: len(item.absolute_path))
    return _sentence(errors[0], schema) if errors else ""


def _sentence(error: "ValidationError", schema: Schema) -> str:
    limit = error.validator_value
    where = "".join(f" at {part}" for part in list(error.absolute_path)[:1])
    texts = {
        "minimum": f"Has to be {limit} or more",
        "maximum": f"Has to be {limit} or less",
        "exclusiveMinimum": f"Has to be more than {limit}",
        "exclusiveMaximum": f"Has to be less than {limit}",
        "multipleOf": f"Has to be a multiple of {limit}",
        "minLength": f"Has to have {limit} characters or more",
        "maxLength": f"Has to have {limit} characters or fewer",
        "minItems": f"Choose {limit} or more",
        "maxItems": f"Choose {limit} or fewer",
        "uniqueItems": "Has the same item twice",
        "format": f"Is not a valid {limit}",
        "required": "Lacks a value that is needed",
        "type": f"Has to be {_kind(limit)}",
    }
    text = texts.get(str(error.validator))
    if text is not None:
        return f"{text}{where}."
    hint = schema.get("description")
    described = f": {hint.rstrip('.')}" if isinstance(hint, str) and hint else ""
    return f"Does not have the form that is expected{where}{described}."


def _kind(limit: object) -> str:
    words = {"integer": "a whole number", "string": "text", "boolean": "yes or no"}
    return words.get(str(limit), f"of type {limit}")


def unchanged_text(control: FormField, posted: Posted, value: JsonValue) -> bool:
    """Whether a control still holds what it was filled with."""
    texts = tuple(text.replace("\r\n", "\n") for text in posted.get(control.name, ()))
    if control.options or control.control == "yes_no":
        return texts == control.selected
    before = json_text(value) if control.control == "json" else control.value
    return texts == (before,)
