"""Ids: UUIDv7, so that they sort by the time they were made."""

import unicodedata

import uuid_utils

from kern.errors import InvalidInput

# Temporal takes 1,000 bytes, and a character may have four.
_LONGEST_ID = 240
_OURS = "kern:"


def new_id() -> str:
    """Return a new id. Never call it from workflow code: a replay would get another one."""
    return str(uuid_utils.uuid7())


def require_id(what: str, given: object) -> str:
    """Return an id that a caller gave, if it can be one everywhere: in SQL and in Temporal.

    Raises:
        InvalidInput: it is empty, too long, or holds what cannot be stored.
    """
    text = not_empty(what, given)
    if len(text) > _LONGEST_ID:
        message = f"{what} has {len(text)} characters: use {_LONGEST_ID} at most."
        raise InvalidInput(message)
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        message = f"{what} is {text!r}: control characters and lone surrogates are no part of it."
        raise InvalidInput(message)
    if text.startswith(_OURS):
        message = f"{what} is {text!r}: what begins with {_OURS!r} is Kern's own."
        raise InvalidInput(message)
    return text


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
