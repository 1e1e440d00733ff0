"""Turns what was given to `kern answer` into a decision on its requirement."""

from dataclasses import dataclass, fields

from pydantic import JsonValue

from kern.errors import InvalidDecision, InvalidInput
from kern.requirements import Requirement, UserInputField
from kern.values.canonical import parse_json
from kern.values.states import RequirementKind

_FITTING = {
    RequirementKind.user_input: ("value", "values"),
    RequirementKind.user_feedback: ("choice",),
    RequirementKind.external_execution: ("result", "unknown"),
    RequirementKind.unknown_outcome: ("happened", "run_again", "fail"),
    RequirementKind.error: ("run_again", "skip", "fail"),
    RequirementKind.output_review: ("run_again", "fail"),
}
# They let something happen, or settle what has: whoever gives them was shown the call.
_ABOUT_A_CALL = frozenset({"value", "values", "result", "happened", "run_again"})
_ONE_OF = (
    RequirementKind.external_execution,
    RequirementKind.unknown_outcome,
    RequirementKind.error,
)


@dataclass(frozen=True)
class AnswerOptions:
    """The options of `kern answer`, as they were typed."""

    value: tuple[str, ...] = ()
    values: str | None = None
    choice: tuple[str, ...] = ()
    result: str | None = None
    unknown: bool = False
    happened: str | None = None
    run_again: bool = False
    skip: bool = False
    fail: bool = False
    even_if_running: bool = False

    @property
    def names(self) -> list[str]:
        """Which options were given."""
        return [
            field.name
            for field in fields(self)
            if getattr(self, field.name) not in (None, False, ())
            and field.name != "even_if_running"
        ]

    @property
    def needs_display(self) -> bool:
        """Whether the person has to have been shown the call."""
        return not _ABOUT_A_CALL.isdisjoint(self.names)


def fill_in(item: Requirement, options: AnswerOptions, note: str | None, by: str) -> None:
    """Fill in the decision that was typed.

    Raises:
        InvalidInput: options contradict each other, or hold no JSON where JSON is needed.
        InvalidDecision: the options do not fit what the requirement waits for.
    """
    _check(item, options)
    match options.names[0]:
        case "choice":
            item.provide_user_feedback(list(options.choice), note, by)
        case "result":
            item.set_external_execution_result(json_or_text(options.result or ""), note, by)
        case "unknown":
            item.mark_unknown(note or "", by)
        case "happened":
            item.mark_happened(json_or_text(options.happened or ""), note, by)
        case "run_again":
            item.run_again(note, by, even_if_running=options.even_if_running)
        case "skip":
            item.skip(note, by)
        case "fail":
            item.fail(note, by)
        case _:
            values = {} if options.values is None else json_object(options.values, "--values")
            option_values = dict(_named_value(option, item.fields) for option in options.value)
            item.provide_user_input({**values, **option_values}, note, by)


def json_object(text: str, option: str) -> dict[str, JsonValue]:
    """Read a JSON object.

    Raises:
        InvalidInput: it is not a JSON object.
    """
    try:
        value = parse_json(text)
    except ValueError as error:
        message = f"{option} is not valid JSON: {error}. Nothing was changed."
        raise InvalidInput(message) from None
    if not isinstance(value, dict):
        message = f"{option} takes a JSON object such as '{{\"amount\": 30}}'. Nothing was changed."
        raise InvalidInput(message)
    return value


def json_or_text(text: str) -> JsonValue:
    """Read a value as JSON, or as the text that it is."""
    try:
        return parse_json(text)
    except ValueError:
        return text


def field_value(text: str, field: UserInputField | None) -> JsonValue:
    """Read a value for a field: digits stay text where text is asked for."""
    value = json_or_text(text)
    wants_text = field is not None and field.json_schema.get("type", field.type) == "string"
    return text if wants_text and not isinstance(value, str) else value


def _named_value(option: str, input_fields: list[UserInputField]) -> tuple[str, JsonValue]:
    name, equals, text = option.partition("=")
    if not equals or not name:
        message = f"--value takes NAME=VALUE, not {option!r}. Nothing was changed."
        raise InvalidInput(message)
    field = next((field for field in input_fields if field.name == name), None)
    return name, field_value(text, field)


def _check(item: Requirement, options: AnswerOptions) -> None:
    fitting = _FITTING.get(item.kind, ())
    flags = " or ".join(f"--{name.replace('_', '-')}" for name in fitting)
    wrong = [name for name in options.names if name not in fitting]
    if not fitting:
        message = (
            f"Requirement {item.id!r} waits for {item.kind.value}: use `kern approve` or `kern "
            "reject`."
        )
        raise InvalidDecision(message)
    if wrong or not options.names:
        actual = f"not --{wrong[0].replace('_', '-')}" if wrong else "and none was given"
        message = (
            f"Requirement {item.id!r} waits for {item.kind.value}: it takes {flags}, {actual}. "
            "Nothing was changed."
        )
        raise InvalidDecision(message)
    if item.kind in _ONE_OF and len(options.names) > 1:
        message = f"Give one of {flags}. Nothing was changed."
        raise InvalidInput(message)
