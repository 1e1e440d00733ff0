"""Values as messages show them, whatever their own code does."""

_LENGTH = 200


def described(value: object) -> str:
    """Return the repr of a value, its beginning if it is long; its type if it has none."""
    try:
        return f"{value!r:.{_LENGTH}}"
    except BaseException:  # noqa: BLE001  a value's own code may raise anything
        return f"<a {type(value).__name__} that cannot be described>"
