"""Numbers that callers give to say how many, or after which one."""

from kern.description import described
from kern.errors import InvalidInput

# What a column of whole numbers takes on every database.
LARGEST = 2**31 - 1


def a_count(what: str, given: object, *, least: int = 1, most: int = LARGEST) -> int:
    """Return a whole number that a caller gave.

    Raises:
        InvalidInput: it is none, or not within the bounds.
    """
    if isinstance(given, int) and not isinstance(given, bool) and least <= given <= most:
        return given
    message = f"{what} is {described(given)}: use a whole number from {least} to {most:,}."
    raise InvalidInput(message)
