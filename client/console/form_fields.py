"""Controls for values that a JSON Schema describes (see `form_values` for what is posted)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import JsonValue

from kern.client.console.editable_text import needs_escapes, to_field
from kern.client.console.form_schema import Schema, ValueSchema, read_schema
from kern.requirements import UserInputField
from kern.values.visible_text import misleading

Control = Literal[
    "text", "textarea", "password", "number", "decimal", "date", "datetime-local", "email", "url",
    "yes_no", "radios", "select", "checkboxes", "json",
]  # fmt: skip
# What was posted: the texts of each control by its name.
Posted = Mapping[str, Sequence[str]]

_LONGEST_LINE = 120
_MOST_RADIOS = 5
_CONTROLS: dict[str, Control] = {
    "enums": "checkboxes",
    "boolean": "yes_no",
    "integer": "number",
    "number": "decimal",
    "json": "json",
}
_FORMATS: dict[str, Control] = {"date": "date", "email": "email", "uri": "url"}
# Of `YYYY-MM-DDTHH:MM`, all that the native control holds.
_MINUTES = 16


@dataclass(frozen=True)
class Option:
    """A value that can be selected: what is posted, in ASCII, and what is shown."""

    value: str
    label: str


@dataclass(frozen=True)
class FormField:
    """A control for one value.

    Attributes:
        name: The name under which it is posted.
        id: Its id on the page.
        argument: The name of the value.
        value: What it is filled with: a text as the field shows it.
        selected: Of options, the values that are selected.
        hint: What the author says of the value.
        note: What the console says of it, such as its bounds.
        source: Where what it is filled with was found.
        problem: Why what was posted does not fit.
        is_fixed: Whether nobody may change it.
    """

    name: str
    id: str
    argument: str
    control: Control
    required: bool
    value: str = ""
    selected: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    minimum: str | None = None
    maximum: str | None = None
    max_length: int | None = None
    hint: str = ""
    note: str = ""
    source: str = ""
    problem: str = ""
    has_escapes: bool = False
    is_fixed: bool = False

    @property
    def is_wide(self) -> bool:
        """Whether it takes the whole width."""
        return self.control in {"textarea", "json", "checkboxes"}


def input_fields(fields: Iterable[UserInputField]) -> list[FormField]:
    """Return the controls for the values that a requirement asks for."""
    return [
        form_field(
            f"values.{field.name}",
            f"v{number}",
            field.name,
            schema_of(field),
            required=field.required,
            value=field.default,
            hint=field.description,
            source=field.source or "",
        )
        for number, field in enumerate(fields, 1)
    ]


def schema_of(field: UserInputField) -> Schema:
    """Return the schema of a value that is asked for."""
    return field.json_schema or {"type": field.type}


def form_field(
    name: str,
    id: str,
    argument: str,
    schema: Schema,
    *,
    required: bool,
    value: JsonValue = None,
    hint: str = "",
    source: str = "",
) -> FormField:
    """Return the control for a value; `value` is what it is filled with, None for nothing."""
    about = read_schema(schema)
    field = FormField(
        name=name,
        id=id,
        argument=argument,
        control=_control(about, value),
        required=required and not about.is_nullable,
        hint=hint or about.text("description") or "",
        note=_note(about),
        source=source,
    )
    return _filled(_bounded(field, about), about, value)


def as_posted(field: FormField, posted: Posted, problem: str = "") -> FormField:
    """Return a control that keeps what was typed, with what is wrong with it."""
    texts = tuple(posted.get(field.name, ()))
    if field.control == "password":
        return replace(field, problem=problem)
    if field.options or field.control == "yes_no":
        return replace(field, selected=texts, problem=problem)
    return replace(field, value=texts[0] if texts else "", problem=problem)


def option_value(value: JsonValue) -> str:
    """Return a value as what an option posts: JSON in printable ASCII."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def _control(about: ValueSchema, value: JsonValue) -> Control:
    if about.kind == "enum":
        return "radios" if len(about.options) <= _MOST_RADIOS else "select"
    if about.kind == "string":
        return _text_control(about, value if isinstance(value, str) else "")
    return _CONTROLS[about.kind]


def _text_control(about: ValueSchema, text: str) -> Control:
    if about.schema.get("writeOnly") is True:
        return "password"
    format_name = about.text("format")
    if format_name == "date-time" and (not text or _is_local_minute(text)):
        return "datetime-local"
    if format_name in _FORMATS and not needs_escapes(text):
        return _FORMATS[format_name]
    longest = about.number("maxLength")
    is_long = longest is not None and longest > _LONGEST_LINE
    return "textarea" if is_long or "\n" in text else "text"


def _is_local_minute(text: str) -> bool:
    """Whether the native control holds a moment whole: one at a full minute of UTC."""
    return len(text) >= _MINUTES and text[_MINUTES:] in {"Z", ":00Z", "+00:00", ":00+00:00"}


def _bounded(field: FormField, about: ValueSchema) -> FormField:
    longest = about.number("maxLength")
    return replace(
        field,
        minimum=_bound(about.number("minimum")),
        maximum=_bound(about.number("maximum")),
        max_length=int(longest) if longest is not None else None,
        options=tuple(Option(option_value(value), _label(value)) for value in about.options),
    )


def _bound(number: float | None) -> str | None:
    return None if number is None else json.dumps(number)


def _label(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _filled(field: FormField, about: ValueSchema, value: JsonValue) -> FormField:
    if field.control == "password" or value is None:
        return field
    match about.kind:
        case "enums" if isinstance(value, list):
            return replace(field, selected=tuple(option_value(item) for item in value))
        case "enum" | "boolean":
            return replace(field, selected=(option_value(value),))
        case "string" if isinstance(value, str):
            text = value[:_MINUTES] if field.control == "datetime-local" else to_field(value)
            return replace(field, value=text, has_escapes=needs_escapes(value))
        case "json":
            return replace(field, value=json_text(value))
        case _:
            return replace(field, value=json.dumps(value))


def json_text(value: JsonValue) -> str:
    """Return JSON for a text area, in printable ASCII where characters could be misread."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    whole = json.dumps(value, indent=2).replace("\x7f", "\\u007f")
    misread = {text[index] for index in misleading(text, is_escaped=True)}
    return whole if misread - {"\n"} else text


def _note(about: ValueSchema) -> str:
    least, most = about.number("minimum"), about.number("maximum")
    if about.text("format") == "date-time":
        return "UTC"
    if about.kind not in {"integer", "number"}:
        return ""
    kind = "Whole number" if about.kind == "integer" else "Number"
    if least is not None and most is not None:
        return f"{kind}, {least:,} to {most:,}"
    if most is not None:
        return f"{kind}, at most {most:,}"
    return kind if least is None else f"{kind}, at least {least:,}"
