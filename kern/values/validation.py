"""Validation of what callers pass, and how messages show values."""

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
    """Return the repr of a value, its beginning if it is long; its type if it has none."""
    try:
        return f"{value!r:.{_LENGTH}}"
    except BaseException:  # noqa: BLE001  a value's own code may raise anything
        return f"<a {type(value).__name__} that cannot be described>"


def misfit(error: ValidationError) -> str:
    """Say in one sentence what the first thing is that does not fit, and why."""
    wrong = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in wrong["loc"][:2])
    why = wrong["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{where} is {described(wrong['input'])}: {why[:1].lower()}{why[1:]}."


def require_bools(refusal: type[InvalidInput] = InvalidDefinition, /, **given: object) -> None:
    """Refuse what is neither True nor False.

    Raises:
        InvalidInput: one is something else; the `refusal`, which names it.
    """
    for name, value in given.items():
        if not isinstance(value, bool):
            raise refusal(f"{name} is {described(value)}: use True or False.")


# What a column of whole numbers takes on every database.
LARGEST = 2**31 - 1


def require_count(what: str, given: object, *, least: int = 1, most: int = LARGEST) -> int:
    """Return a whole number that a caller gave.

    Raises:
        InvalidInput: it is none, or not within the bounds.
    """
    if isinstance(given, int) and not isinstance(given, bool) and least <= given <= most:
        return given
    message = f"{what} is {described(given)}: use a whole number from {least} to {most:,}."
    raise InvalidInput(message)


class Declaration(BaseModel):
    """A frozen model that takes no names that it does not know.

    Checks of several values together raise `InvalidDefinition` themselves.

    Raises:
        InvalidDefinition: a value makes no sense; the message names it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _told(cls, given: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(given)
        except ValidationError as error:
            if not isinstance(given, dict):
                raise
            raise InvalidDefinition(f"{cls.__name__}: {misfit(error)}") from None


def member_of(what: str, value: object, kinds: type[MemberT]) -> MemberT | None:
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
        message = f"{what} is {described(value)}: use one of {words}."
        raise InvalidInput(message) from None
