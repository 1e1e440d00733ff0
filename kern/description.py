"""Values as messages show them, whatever their own code does."""

from pydantic import ValidationError

_LENGTH = 200


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
