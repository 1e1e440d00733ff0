"""Bounds: within which a person's edit may change an argument."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, JsonValue, StrictFloat, StrictInt, field_validator, model_validator

from kern.errors import InvalidDefinition
from kern.values.canonical import canonical_json
from kern.values.validation import Declaration
from kern.values.visible_text import exact, shortened

_Limit = StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)]
_Number = TypeVar("_Number", int, float)
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?")
# So much of a value is repeated in a message.
_EXCERPT = 80


class Bounds(Declaration):
    """How far an edit may change one argument; without any option it may change freely.

    Numbers are compared exactly, those that are written as text, such as `"12.50"`, too.

    Attributes:
        only: In which direction a number may change: `down` or `up` from what was asked for.
        at_least: The smallest number.
        at_most: The largest number.
        one_of: The values that are allowed.
        max_length: How many characters a text may have.
    """

    only: Literal["down", "up"] | None = None
    at_least: _Limit | None = None
    at_most: _Limit | None = None
    one_of: Sequence[JsonValue] | None = None
    max_length: int | None = Field(default=None, ge=0, strict=True)

    @field_validator("one_of", mode="before")
    @classmethod
    def _values(cls, values: object) -> object:
        if values is None or (isinstance(values, Sequence) and not isinstance(values, str)):
            return values if values is None else tuple(values)
        message = f"one_of is {values!r:.200}: give a list of the values that are allowed."
        raise InvalidDefinition(message)

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if self.one_of is not None and not self.one_of:
            message = (
                "one_of is empty, so that no value is allowed: leave the argument out instead."
            )
            raise InvalidDefinition(message)
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            message = (
                f"at_least is {self.at_least} and at_most is {self.at_most}: no number is within "
                "both."
            )
            raise InvalidDefinition(message)
        return self

    def stricter(self, second: Self) -> Self | None:
        """Return the bounds that are within both; None if no change is."""
        if self == second:
            return self
        if self.only and second.only and self.only != second.only:
            return None
        at_least = _chosen(max, self.at_least, second.at_least)
        at_most = _chosen(min, self.at_most, second.at_most)
        one_of = _in_both(self.one_of, second.one_of)
        if one_of == () or (at_least is not None and at_most is not None and at_least > at_most):
            return None
        return self.model_copy(
            update={
                "only": self.only or second.only,
                "at_least": at_least,
                "at_most": at_most,
                "one_of": one_of,
                "max_length": _chosen(min, self.max_length, second.max_length),
            }
        )


def stricter_bounds(
    bounds: Mapping[str, Bounds] | None, second: Mapping[str, Bounds] | None
) -> dict[str, Bounds] | None:
    """Return the bounds of the arguments that both let change; None lets all change freely."""
    if bounds is None or second is None:
        only = second if bounds is None else bounds
        return None if only is None else dict(only)
    joined = {name: bounds[name].stricter(second[name]) for name in bounds if name in second}
    return {name: item for name, item in sorted(joined.items()) if item is not None}


def violation(
    bounds: Mapping[str, Bounds], name: str, value: JsonValue, before: JsonValue
) -> str | None:
    """Say which bound an edit of an argument breaks; None if it keeps to all of them.

    `before` is what was asked for.
    """
    limits = bounds.get(name)
    excerpt = shortened(value, _EXCERPT)
    if limits is None:
        editable = ", ".join(bounds) or "none"
        return f"{name} may not be edited, and was set to {excerpt}; those that may: {editable}"
    broken = _broken_list(limits, value) or _broken_number(limits, value, before)
    return None if broken is None else f"{name} {broken}; it was set to {excerpt}"


def out_of_range(bounds: Bounds, name: str, value: JsonValue) -> str | None:
    """As `violation`, for a value that a person filled in, where nothing was asked for before."""
    return violation({name: bounds.model_copy(update={"only": None})}, name, value, None)


def number_of(value: JsonValue) -> Decimal | None:
    """Return a number, also one that is written as text, without any rounding; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return Decimal(repr(value))
    is_number = isinstance(value, str) and _NUMBER.fullmatch(value) is not None
    return Decimal(value) if is_number and isinstance(value, str) else None


def _broken_list(limits: Bounds, value: JsonValue) -> str | None:
    if limits.one_of is not None and not _is_among(value, limits.one_of):
        return f"has to be one of {', '.join(map(exact, limits.one_of))} (one_of)"
    if limits.max_length is None:
        return None
    if not isinstance(value, str):
        return f"has to be a text of at most {limits.max_length:,} characters (max_length)"
    if len(value) > limits.max_length:
        return (
            f"may have at most {limits.max_length:,} characters (max_length), and this is "
            f"{len(value):,}"
        )
    return None


def _broken_number(limits: Bounds, value: JsonValue, before: JsonValue) -> str | None:
    if limits.only is None and limits.at_least is None and limits.at_most is None:
        return None
    number = number_of(value)
    if number is None:
        return "has to be a number"
    if limits.at_least is not None and number < Decimal(repr(limits.at_least)):
        return f"has to be at least {limits.at_least} (at_least)"
    if limits.at_most is not None and number > Decimal(repr(limits.at_most)):
        return f"may be at most {limits.at_most} (at_most)"
    return None if limits.only is None else _broken_direction(limits.only, number, before)


def _broken_direction(only: str, number: Decimal, before: JsonValue) -> str | None:
    start = number_of(before)
    if start is None:
        return f"may only go {only} (only), and {shortened(before, _EXCERPT)} is no number"
    is_beyond = number > start if only == "down" else number < start
    return f"may only go {only} from {exact(before)} (only)" if is_beyond else None


def _is_among(value: JsonValue, values: Sequence[JsonValue]) -> bool:
    number = None if isinstance(value, str) else number_of(value)
    return any(
        canonical_json(value) == canonical_json(item)
        or (number is not None and not isinstance(item, str) and number == number_of(item))
        for item in values
    )


def _in_both(
    values: Sequence[JsonValue] | None, second: Sequence[JsonValue] | None
) -> Sequence[JsonValue] | None:
    """Return the values in both lists, of which None has every value."""
    if values is None or second is None or values == second:
        return second if values is None else values
    return tuple(sorted((item for item in values if _is_among(item, second)), key=canonical_json))


def _chosen(
    choose: Callable[[list[_Number]], _Number], limit: _Number | None, second: _Number | None
) -> _Number | None:
    """Return one of two limits, of which None is none."""
    limits = [item for item in (limit, second) if item is not None]
    return choose(limits) if limits else None
