"""Validation of what callers pass, and how messages show values."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from kern.errors import InvalidDefinition, InvalidInput

_LENGTH = 200
MemberT = TypeVar("MemberT", bound=StrEnum)


def described(value: object) -> str:
    """Return the repr of a value, cut if it is long; its type if the repr cannot be had."""
    try:
        return f"{value!r:.{_LENGTH}}"
    except BaseException:  # noqa: BLE001  a value's own code may raise anything
        return f"<a {type(value).__name__} that cannot be described>"


def misfit(error: ValidationError) -> str:
    """Return one sentence about the first value that does not fit, and why."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"][:2])
    why = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{where} is {described(first['input'])}: {why[:1].lower()}{why[1:]}."


def require_bools(refusal: type[InvalidInput] = InvalidDefinition, /, **values: object) -> None:
    """Refuse values that are neither True nor False.

    Raises:
        InvalidInput: one is something else; an error of the class `refusal` names it.
    """
    for name, value in values.items():
        if not isinstance(value, bool):
            raise refusal(f"{name} is {described(value)}: use True or False.")


# The largest number that an integer column takes on every database.
LARGEST = 2**31 - 1


def require_count(name: str, value: object, *, least: int = 1, most: int = LARGEST) -> int:
    """Return a whole number from a caller.

    Raises:
        InvalidInput: it is no whole number, or not within the bounds.
    """
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    message = f"{name} is {described(value)}: use a whole number from {least} to {most:,}."
    raise InvalidInput(message)


class Declaration(BaseModel):
    """A frozen model that refuses unknown names.

    Validators of several values raise `InvalidDefinition` themselves.

    Raises:
        InvalidDefinition: a value makes no sense; the message names it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _raise_invalid_definition(
        cls, values: object, handler: ModelWrapValidatorHandler[Self]
    ) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            if not isinstance(values, dict):
                raise
            raise InvalidDefinition(f"{cls.__name__}: {misfit(error)}") from None


def optional_time(name: str, moment: datetime | None) -> datetime | None:
    """Return a moment from a caller.

    Raises as `require_time`.
    """
    return None if moment is None else require_time(name, moment)


def require_time(name: str, moment: object) -> datetime:
    """Return a moment from a caller.

    Raises:
        InvalidInput: it is none, has no zone, or is out of range in UTC.
    """
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidInput(f"{name} is {described(moment)}: give a time with its zone.")
    try:
        moment.astimezone(UTC)
    except OverflowError:
        message = f"{name} is {moment.isoformat()}: in UTC there is no such year."
        raise InvalidInput(message) from None
    return moment


def member_of(name: str, value: object, kinds: type[MemberT]) -> MemberT | None:
    """Return a value as a member of a closed set of words; None for None.

    Raises:
        InvalidInput: it is no member; the message lists those there are.
    """
    if value is None:
        return None
    try:
        return kinds(str(value))
    except ValueError:
        words = ", ".join(repr(kind.value) for kind in kinds)
        message = f"{name} is {described(value)}: use one of {words}."
        raise InvalidInput(message) from None
