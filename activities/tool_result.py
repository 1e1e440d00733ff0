"""What is kept of a tool's end: text for the model, and changes of the session's state."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_core import to_json

from kern.canonical import clean_text
from kern.errors import InvalidInput
from kern.session_state import SessionState, StateChange

_ERROR_TEXT = 4000


@dataclass(frozen=True)
class Outcome:
    """What is kept of a value that a tool returned."""

    result: str
    changes: Sequence[StateChange] = ()

    def without_changes(self, error: BaseException) -> "Outcome":
        """Return the outcome without what it did to the state, and why."""
        why = f"Its changes of the session's state were not kept: {_said(error)}"
        return Outcome(f"{self.result}\n\n{why}")


def outcome_of(value: object, state: SessionState) -> Outcome:
    """Return what is kept. It never fails: the effect has happened, so the call is done."""
    outcome = Outcome(result_text(value))
    try:
        return Outcome(outcome.result, state.changes())
    except BaseException as error:  # noqa: BLE001  what is in the state may be the user's code
        return outcome.without_changes(error)


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


def error_text(error: BaseException) -> str:
    """Return what a tool raised as a sentence for the model."""
    return f"The tool failed: {_raised(error)}"[:_ERROR_TEXT]


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, InvalidInput) else _raised(error)


def _raised(error: BaseException) -> str:
    try:
        text = clean_text(str(error))
    except BaseException:  # noqa: BLE001  an error's own code may raise anything
        text = ""
    return f"{type(error).__name__}: {text[:_ERROR_TEXT]}" if text else type(error).__name__


def _described(value: object) -> str:
    try:
        return repr(value)
    except BaseException:  # noqa: BLE001  as above
        return f"<a {type(value).__name__} that cannot be described>"
