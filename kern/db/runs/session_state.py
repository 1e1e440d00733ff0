"""Changes a session's state: operations under its row's lock, and their events."""

from datetime import datetime

from pydantic import JsonValue
from sqlmodel import Session

from kern.db.engine.mutable_rows import MutableRun
from kern.db.journal.events import record
from kern.db.reading.visibility import no_run
from kern.db.runs.session_queue import lock_session
from kern.errors import InvalidInput
from kern.session_state import StateChange, StateEditor, overwrites


def change_state(tx: Session, run: MutableRun, changes: list[StateChange], now: datetime) -> None:
    """Apply what a run changes, and record it in the run, whose row this transaction holds.

    A set or delete that meets a value which changed since it was read stands, and an event holds
    both. A change that does not fit the value any more is refused, and an event says so.
    """
    if not changes:
        return
    session = lock_session(tx, run.session_id)
    if session is None:
        raise no_run(run.id)
    applied: list[JsonValue] = []
    editor = StateEditor(session.state)
    for change in changes:
        operation = change.model_dump(mode="json", exclude={"seen"})
        is_lost = overwrites(editor.state, change)
        before = _value(editor.state, change.key) if is_lost else {}
        try:
            editor.apply(change)
        except InvalidInput as error:
            # Another run changed the type of the value; the call has happened all the same.
            record(tx, run, "session_state_refused", now, change=operation, reason=str(error))
            continue
        if is_lost:
            values = {"lost": before, "stands": _value(editor.state, change.key)}
            record(tx, run, "session_state_overwritten", now, key=change.key, **values)
        applied.append(operation)
    session.state = editor.state
    session.state_version += 1
    session.updated_at = now
    record(tx, run, "session_state_changed", now, changes=applied)


def _value(state: dict[str, JsonValue], key: str) -> JsonValue:
    """Return a key's value in a dict of one, which is empty where there is no such key."""
    return {"value": state[key]} if key in state else {}
