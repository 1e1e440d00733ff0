"""Ids: UUIDv7, so that they sort by the time they were made."""

import uuid_utils

from kern.errors import InvalidInput


def new_id() -> str:
    """Return a new id. Never call it from workflow code: a replay would get another one."""
    return str(uuid_utils.uuid7())


def not_empty(what: str, given: object) -> str:
    """Return an id or name that a caller gave.

    Raises:
        InvalidInput: it is no text, or an empty one, which nobody means and which is not none.
    """
    if not isinstance(given, str):
        message = f"{what} is {given!r}: it has to be a text."
        raise InvalidInput(message)
    if not given.strip():
        message = f"{what} is empty: give one, or leave it out where it may be left out."
        raise InvalidInput(message)
    return given
