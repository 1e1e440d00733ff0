"""Titles of calls: templates with the names of arguments, and how values are written in them."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from string import Formatter

from pydantic import JsonValue

from kern.errors import InvalidDefinition
from kern.values.bounds import number_of
from kern.values.invisible import first_invisible
from kern.values.visible_text import exact, plain, shortened, spelled

_NAME = re.compile(r"[^\W\d]\w*")
_MISSING = "?"
_LONGEST = 200
# Of each value in a title; what is decided about shows all of it.
_LONGEST_VALUE = 80
# Beyond so many digits, a number is shown as JSON has it.
_MOST_DIGITS = 30


def fields_of(template: str) -> list[str]:
    """Return the names in a template, in their order.

    Raises:
        InvalidDefinition: it has anything but plain names in braces, or is no line of text.
    """
    hidden = first_invisible(template)
    if hidden is not None:
        problem = f"U+{ord(hidden):04X} in it cannot be seen"
    elif not template.strip() or len(template) > _LONGEST:
        problem = f"it has {len(template)} characters: give a line of 1 to {_LONGEST}"
    else:
        try:
            return [name for _, name in _parts(template) if name is not None]
        except ValueError as error:
            problem = str(error)
    message = f"The title {template!r:.220} cannot be used: {problem}."
    raise InvalidDefinition(message)


def rendered(template: str, arguments: Mapping[str, JsonValue], *, amount: str | None) -> str:
    """Return a title on one line, in which no character can be misread.

    Numbers are grouped, texts only where they are the `amount`; what has no value is a `?`.
    """
    return "".join(
        spelled(literal)
        + ("" if name is None else _in_title(arguments.get(name), is_amount=name == amount))
        for literal, name in _parts(template)
    )


def decimal_text(value: JsonValue) -> str | None:
    """Return a number in plain decimal digits, with those of a text kept; None for no number."""
    number = number_of(value)
    return None if number is None else _digits(number, whole=isinstance(value, float))


def value_text(value: JsonValue) -> str | None:
    """Return a value as people type it: a text as it is, where all of it can be seen, or JSON."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return decimal_text(value)
    return spelled(value) if isinstance(value, str) else exact(value)


def value_after_edit(
    text: str | None, before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]
) -> str | None:
    """Return what is typed of an edited call: the new value of the argument whose value it was.

    It stays the same text if it is not clear which argument that is, or if there is no new value.
    """
    if text is None:
        return None
    names = [name for name, value in before.items() if value_text(value) == text]
    return (value_text(after.get(names[0])) if len(names) == 1 else None) or text


def _parts(template: str) -> Iterator[tuple[str, str | None]]:
    """Yield each literal text with the name behind it.

    Raises:
        ValueError: there is anything else; the message says what.
    """
    for literal, name, spec, conversion in Formatter().parse(template):
        if name is not None and (spec or conversion or not _NAME.fullmatch(name)):
            message = (
                f"{{{name}}} is no plain name of an argument: attributes, indexes, conversions and "
                "formats are not looked at"
            )
            raise ValueError(message)
        yield literal, name


def _in_title(value: JsonValue, *, is_amount: bool) -> str:
    if value is None:
        return _MISSING
    number = number_of(value) if is_amount or not isinstance(value, str) else None
    if number is not None:
        return _digits(number, whole=isinstance(value, float), grouped=True)
    if isinstance(value, str) and len(value) <= _LONGEST_VALUE:
        return plain(value)
    return shortened(value, _LONGEST_VALUE)


def _digits(number: Decimal, *, whole: bool, grouped: bool = False) -> str:
    """Return the digits of a number; a float that is `whole` has no decimal places."""
    if abs(number.adjusted()) > _MOST_DIGITS:
        return str(number)
    if whole and number == number.to_integral_value():
        number = number.to_integral_value()
    return f"{number:,f}" if grouped else f"{number:f}"
