"""Asks for values one by one, checks each at once, and keeps what was typed where it asks again."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from kern.client.cli.printing import say, styled
from kern.client.console.editable_text import from_field, needs_escapes, to_field
from kern.client.console.form_fields import FormField, input_fields
from kern.client.console.form_values import read_input
from kern.requirements import Requirement, UserInputField
from kern.values.bounds import Bounds, violation
from kern.values.canonical import parse_json
from kern.values.visible_text import exact, misleading, plain, spelled

_YES = frozenset({"y", "yes", "true"})
_NO = frozenset({"n", "no", "false"})


class Lines(Protocol):
    """Where a person edits lines."""

    def line(self, question: str, text: str = "", *, is_secret: bool = False) -> str | None:
        """Ask for a line that begins with a text; None if the person leaves it."""
        ...


@dataclass(frozen=True)
class _Question:
    """One value that is asked for.

    Attributes:
        name: The name of the value.
        prompt: What stands before the line.
        text: What the line begins with.
        read: Returns the value as the only item, nothing for one that is left out, or why the text
            is no value.
        hints: What is said above the line.
    """

    name: str
    prompt: str
    text: str
    read: Callable[[str], list[JsonValue] | str]
    is_secret: bool = False
    hints: tuple[str, ...] = ()


class Form:
    """The values that somebody fills in about one requirement, with all that they have typed."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._texts: dict[str, str] = {}
        self._values: dict[str, JsonValue] = {}

    def fill_in(self, item: Requirement, problem: str = "") -> dict[str, JsonValue] | None:
        """Ask for the values that a requirement asks for; None if the person leaves it.

        Args:
            item: The requirement.
            problem: Why what was filled in before was refused. What it names is asked again.
        """
        controls = input_fields(item.fields)
        questions = [
            _question_of(field, control)
            for field, control in zip(item.fields, controls, strict=True)
        ]
        return self._ask(questions, problem)

    def edit(
        self, item: Requirement, names: Sequence[str], problem: str = ""
    ) -> dict[str, JsonValue] | None:
        """Ask for other values of arguments; None if the person leaves it. As `fill_in`."""
        current = item.current_arguments or item.arguments
        questions = [_edit_question(item, name, current.get(name)) for name in names]
        return self._ask(questions, problem)

    def _ask(self, questions: Sequence[_Question], problem: str) -> dict[str, JsonValue] | None:
        wrong = [item for item in questions if problem and _names(problem, item.name)]
        for question in wrong or questions:
            if not self._answer(question):
                return None
        return {
            item.name: self._values[item.name] for item in questions if item.name in self._values
        }

    def _answer(self, question: _Question) -> bool:
        for hint in question.hints:
            say(hint, exact_blanks=True)
        text = self._texts.get(question.name, question.text)
        while True:
            line = self._lines.line(question.prompt, text, is_secret=question.is_secret)
            if line is None:
                return False
            text = line
            if not question.is_secret:
                self._texts[question.name] = line
            value = question.read(line)
            if isinstance(value, str):
                say(styled(f"   {spelled(value, is_escaped=True)}", "red"), exact_blanks=True)
                text = "" if question.is_secret else text
                continue
            if value:
                self._values[question.name] = value[0]
            else:
                self._values.pop(question.name, None)
            return True


def _names(problem: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", problem) is not None


def _question_of(field: UserInputField, control: FormField) -> _Question:
    about = f" ({control.hint})" if control.hint else ""
    note = f" <{control.note}>" if control.note else ""
    optional = "" if control.required else " [optional]"
    labels = [f"   {number}  {plain(item.label)}" for number, item in enumerate(control.options, 1)]
    several = ", numbers with commas" if control.control == "checkboxes" else ", a number"
    how = several if labels else ", y or n" if control.control == "yes_no" else ""
    source = f" [{field.source}]" if field.source else ""
    head = spelled(f"{field.name}{about}{note}{source}{optional}{how}", is_escaped=True)
    return _Question(
        name=field.name,
        prompt=f"   {head}: ",
        text=_start_of(field, control),
        read=lambda text: _read(field, control, text),
        is_secret=control.control == "password",
        hints=tuple(labels),
    )


def _start_of(field: UserInputField, control: FormField) -> str:
    if control.control == "json":
        return "" if field.default is None else _json_line(field.default)
    if control.options:
        numbers = [str(number) for number, item in enumerate(control.options, 1)
                   if item.value in control.selected]  # fmt: skip
        return ",".join(numbers)
    if control.control == "yes_no":
        return {"true": "y", "false": "n"}.get("".join(control.selected), "")
    return control.value


def _read(field: UserInputField, control: FormField, text: str) -> list[JsonValue] | str:
    texts = [text]
    if control.options:
        texts = _numbered(control, text)
    elif control.control == "yes_no":
        word = text.strip().lower()
        texts = ["true" if word in _YES else "false" if word in _NO else word]
    # As the only field, its control has the same name.
    [only] = input_fields([field])
    result = read_input([field], {only.name: texts})
    if result.problems:
        return result.problems[0].message
    return list(result.values.values())


def _numbered(control: FormField, text: str) -> list[str]:
    """Return the values of the options whose numbers were typed, and the rest as it is."""
    values = {str(number): item.value for number, item in enumerate(control.options, 1)}
    return [values.get(part.strip(), part.strip()) for part in text.split(",") if part.strip()]


def _edit_question(item: Requirement, name: str, value: JsonValue) -> _Question:
    limits = _limits_of((item.bounds or {}).get(name))
    hint = f" <{limits}>" if limits else ""
    text = to_field(value) if isinstance(value, str) else _json_line(value)
    return _Question(
        name=name,
        prompt=f"   {spelled(f'{name}{hint}', is_escaped=True)}: ",
        text=text,
        read=lambda line: _read_edit(item, name, value, line),
        hints=_escape_hints(value),
    )


def _limits_of(bounds: Bounds | None) -> str:
    if bounds is None:
        return ""
    texts = {
        f"only {bounds.only}": bounds.only,
        f"at least {bounds.at_least}": bounds.at_least,
        f"at most {bounds.at_most}": bounds.at_most,
        f"one of {', '.join(map(exact, bounds.one_of or ()))}": bounds.one_of,
        f"up to {bounds.max_length} characters": bounds.max_length,
    }
    return ", ".join(text for text, limit in texts.items() if limit is not None)


def _json_line(value: JsonValue) -> str:
    """Return JSON on one line, in printable ASCII if any character could be misread."""
    text = json.dumps(value, ensure_ascii=False)
    if not misleading(text, is_escaped=True):
        return text
    return json.dumps(value).replace("\x7f", "\\u007f")


def _escape_hints(value: JsonValue) -> tuple[str, ...]:
    if isinstance(value, str) and needs_escapes(value):
        return ("   An escape such as \\u200b stands for a character that cannot be seen.",)
    return ()


def _read_edit(
    item: Requirement, name: str, current: JsonValue, line: str
) -> list[JsonValue] | str:
    value: JsonValue
    if isinstance(current, str):
        value = from_field(line, current)
    else:
        try:
            value = parse_json(line)
        except ValueError:
            return "This is not valid JSON: a text needs quotes, a number none."
    before = item.arguments.get(name)
    if item.bounds is None or (name in item.arguments and value == before):
        return [value]
    problem = violation(item.bounds, name, value, before)
    return [value] if problem is None else f"{problem}."


def print_fixed(item: Requirement, names: Sequence[str]) -> None:
    """Print which arguments an edit may not change."""
    fixed = [spelled(name) for name in item.arguments if name not in names]
    if fixed:
        say(f"   Fixed by the author of the call: {', '.join(fixed)}", exact_blanks=True)
