"""What is stored of a tool's end: text for the model, and changes of the session's state."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from pydantic_core import to_json

from kern.errors import InvalidInput
from kern.process.foreign_errors import name_of, text_of
from kern.session_state import SessionState, StateChange
from kern.values.canonical import clean_text, parse_json

_ERROR_TEXT = 4000


@dataclass(frozen=True)
class Outcome:
    """What is stored of the value that a tool returned; not `is_begun` if it was never called."""

    result: str
    changes: Sequence[StateChange] = ()
    is_begun: bool = True

    def without_changes(self, why: str) -> "Outcome":
        """Return the outcome without its changes of the state, with a note for the model."""
        note = f"Its changes of the session's state were not kept: {why}"
        return Outcome(f"{self.result}\n\n{note}")


def outcome_of(value: object, state: SessionState) -> Outcome:
    """Return what to store. It never fails: the effect has happened, so the call is done."""
    outcome = Outcome(result_text(value))
    changes = changes_of(state)
    if isinstance(changes, str):
        return outcome.without_changes(changes)
    return Outcome(outcome.result, changes)


def changes_of(state: SessionState) -> list[StateChange] | str:
    """Return the changes of the state, or why they cannot be stored; it never fails either."""
    try:
        return state.changes()
    except InvalidInput as error:
        return str(error)
    except BaseException as error:  # noqa: BLE001  what is in the state may be the user's code
        return raised_text(error)


def result_text(value: object) -> str:
    """Return a result as text: strings as they are, everything else as JSON.

    It never fails: the effect has happened, and what cannot be written as JSON is described
    instead.
    """
    try:
        if isinstance(value, str):
            return clean_text(value)
        return clean_text(to_json(value, fallback=_described).decode())
    except BaseException:  # noqa: BLE001  a value's own code may raise anything
        return clean_text(json.dumps(_described(value)))


def result_json(value: object) -> JsonValue:
    """Return a result as JSON; like `result_text`, it never fails."""
    try:
        if isinstance(value, str):
            return clean_text(value)
        return parse_json(to_json(value, fallback=_described).decode())
    except BaseException:  # noqa: BLE001  a value's own code may raise anything
        return clean_text(_described(value))


def error_text(error: BaseException) -> str:
    """Return what a tool raised as a sentence for the model."""
    return f"The tool failed: {raised_text(error)}"[:_ERROR_TEXT]


def raised_text(error: BaseException) -> str:
    """Return the type and the text of what code raised."""
    name, text = name_of(type(error)), clean_text(text_of(error))
    return f"{name}: {text[:_ERROR_TEXT]}" if text else name


def _described(value: object) -> str:
    try:
        return repr(value)
    except BaseException:  # noqa: BLE001  as above
        return f"<a {type(value).__name__} that cannot be described>"
