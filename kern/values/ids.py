"""Ids: UUIDv7, so that they sort by the time at which they were made."""

import unicodedata

import uuid_utils

from kern.errors import InvalidInput
from kern.values.validation import described

# Temporal takes 1,000 bytes, and a character may have four.
_LONGEST_ID = 240
_PREFIX = "kern:"


def new_id() -> str:
    """Return a new id. Never call it from workflow code: a replay would get another one."""
    return str(uuid_utils.uuid7())


def require_id(name: str, value: object) -> str:
    """Return an id from a caller if it can be one in SQL and in Temporal.

    Raises:
        InvalidInput: it is empty, too long, or holds what cannot be stored.
    """
    text = require_text(name, value)
    if len(text) > _LONGEST_ID:
        message = f"{name} has {len(text):,} characters: use {_LONGEST_ID} at most."
        raise InvalidInput(message)
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        message = (
            f"{name} is {described(text)}: control characters and lone surrogates are no part of "
            "it."
        )
        raise InvalidInput(message)
    if text.startswith(_PREFIX):
        message = f"{name} is {described(text)}: what begins with {_PREFIX!r} is Kern's own."
        raise InvalidInput(message)
    return text


def optional_id(name: str, value: object) -> str | None:
    """As `require_id`; None for None, which leaves the id out.

    Raises:
        InvalidInput: as `require_id`.
    """
    return None if value is None else require_id(name, value)


def require_text(name: str, value: object) -> str:
    """Return an id or a name from a caller.

    Raises:
        InvalidInput: it is no text, or empty: an empty id is not the same as none.
    """
    if not isinstance(value, str):
        message = f"{name} is {described(value)}: it has to be a text."
        raise InvalidInput(message)
    if not value.strip():
        message = f"{name} is empty: give one, or leave it out where it may be left out."
        raise InvalidInput(message)
    return value
